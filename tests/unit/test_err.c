#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <string.h>

#include "chat/err.h"

static const enum err all[] = {
#define CHAT_ERR_NAME(name, text) name,
    CHAT_ERR_MAP(CHAT_ERR_NAME)
#undef CHAT_ERR_NAME
};

/* Success is 0, as a test "if (err)" expects. */
static void test_err_ok_is_zero(void **state)
{
    (void)state;
    assert_int_equal(ERR_OK, 0);
    assert_string_equal(err_text(ERR_OK), "no error");
}

/* Every failure has its own text: a clause in lower case without a full stop. */
static void test_err_text_is_a_clause_of_its_own(void **state)
{
    (void)state;
    size_t n = sizeof all / sizeof all[0];
    for (size_t i = 0; i < n; i++) {
        const char *text = err_text(all[i]);
        assert_true(islower((unsigned char)text[0]));
        assert_true(text[strlen(text) - 1] != '.');
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(text, err_text(all[j]));
        }
    }
    assert_string_equal(err_text(ERR_UNAVAILABLE), "the backend cannot answer now");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_ok_is_zero),
        cmocka_unit_test(test_err_text_is_a_clause_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
