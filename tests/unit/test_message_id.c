/* The names of messages: SPEC 7 says what an id is, and how ids compare. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "chat/message_id.h"
#include "exact_copy.h"
#include "id_texts.h"

#define NUMBER_MAX 9007199254740991

/* "Ids are compared by ms, then by n, as numbers." The table is in order. */
static void test_compare_is_by_ms_then_by_n(void **state)
{
    (void)state;
    static const struct message_id in_order[] = {
        {0, 0}, {0, 1},  {0, 9},  {0, 10},         {1, 0},
        {9, 5}, {10, 0}, {10, 4}, {NUMBER_MAX, 0}, {NUMBER_MAX, NUMBER_MAX},
    };
    int n = sizeof in_order / sizeof in_order[0];
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            int order = message_id_compare(in_order[i], in_order[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void test_none_is_zero_and_zero_only(void **state)
{
    (void)state;
    assert_true(message_id_is_none(MESSAGE_ID_NONE));
    assert_true(message_id_is_none((struct message_id){0, 0}));
    assert_false(message_id_is_none((struct message_id){0, 1}));
    assert_false(message_id_is_none((struct message_id){1, 0}));
}

static const struct {
    const char *text;
    struct message_id id;
} ids[] = {
    {"0-0", {0, 0}},
    {"0-1", {0, 1}},
    {"1-0", {1, 0}},
    {"10-9", {10, 9}},
    {"1700000000000-12", {1700000000000, 12}},
    {"9007199254740991-9007199254740991", {NUMBER_MAX, NUMBER_MAX}},
};

/* The text of an id reads back as that id, and an id is written as that text. */
static void test_id_is_written_and_read_to_the_letter(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct str text = str_of(ids[i].text);
        char *copy = exact_copy(text);
        char *out = malloc(MESSAGE_ID_SIZE_MAX); /* for AddressSanitizer: not a byte more */
        assert_non_null(out);
        struct message_id id = {4, 4};

        assert_true(message_id_parse((struct str){copy, text.len}, &id));
        size_t len = message_id_write(ids[i].id, out);

        assert_int_equal(message_id_compare(id, ids[i].id), 0);
        assert_int_equal(len, text.len);
        assert_memory_equal(out, text.ptr, len);
        free(out);
        free(copy);
    }
}

/* [HIST-9] An id that is cut short may be another one, but never past its dash none. */
static void test_id_when_cut_short_is_the_id_that_is_left(void **state)
{
    (void)state;
    struct str text = STR("17-42");
    for (size_t len = 0; len < text.len; len++) {
        char *copy = exact_copy((struct str){text.ptr, len});
        struct message_id id = {4, 4};
        bool is_id = message_id_parse((struct str){copy, len}, &id);
        assert_int_equal(is_id, len == 4);
        assert_int_equal(
            message_id_compare(id, is_id ? (struct message_id){17, 4} : (struct message_id){4, 4}),
            0);
        free(copy);
    }
}

/* [HIST-9] "Two decimal integers from 0 to 2^53-1 without leading zeros", and nothing else. */
static void test_text_that_is_no_id_is_refused_and_leaves_out_untouched(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ID_TEXTS; i++) {
        struct str text = id_texts[i].text;
        char *copy = exact_copy(text);
        struct message_id id = {4, 4};
        bool is_id = message_id_parse((struct str){copy, text.len}, &id);
        if (is_id != id_texts[i].is_id) {
            fail_msg("\"%s\" is taken for %s id", text.ptr, is_id ? "an" : "no");
        }
        assert_true(is_id || message_id_compare(id, (struct message_id){4, 4}) == 0);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare_is_by_ms_then_by_n),
        cmocka_unit_test(test_none_is_zero_and_zero_only),
        cmocka_unit_test(test_id_is_written_and_read_to_the_letter),
        cmocka_unit_test(test_id_when_cut_short_is_the_id_that_is_left),
        cmocka_unit_test(test_text_that_is_no_id_is_refused_and_leaves_out_untouched),
    };
    return cmocka_run_group_tests_name("message_id", tests, NULL, NULL);
}
