#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "chat/limits.h"
#include "chat/random.h"
#include "dies.h"

/* The linker puts this in place of the C library's (--wrap in CMakeLists.txt). */
ssize_t __real_getrandom(void *out, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);

enum source {
    SYSTEM,
    COUNTING,
    STUTTERING,
    BROKEN
};

static enum source source;
static unsigned n_calls;
static unsigned char next_byte;

/* COUNTING gives 0x01, 0x23, 0x45 … in turn; STUTTERING the same, one byte every other call,
 * interrupted in between. */
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
    if (source == SYSTEM) {
        return __real_getrandom(out, size, flags);
    }
    n_calls++;
    if (source == BROKEN || (source == STUTTERING && n_calls % 2 == 1)) {
        errno = source == BROKEN ? ENOSYS : EINTR;
        return -1;
    }
    size_t n = source == STUTTERING ? 1 : size;
    for (size_t i = 0; i < n; i++) {
        ((unsigned char *)out)[i] = next_byte;
        next_byte = (unsigned char)(next_byte + 0x22);
    }
    return (ssize_t)n;
}

static void given_source(enum source kind)
{
    source = kind;
    n_calls = 0;
    next_byte = 0x01;
}

/* Both halves of every byte are used, in order, and nothing is written behind the last digit. */
static void test_digits_are_the_bytes_of_the_source(void **state)
{
    (void)state;
    static const struct {
        size_t n_digits;
        const char *want;
    } rows[] = {
        {0, "......"}, {1, "0....."}, {2, "01...."}, {3, "012..."}, {5, "01234."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[] = "......";
        given_source(COUNTING);

        random_hex(out, rows[i].n_digits);

        assert_string_equal(out, rows[i].want);
    }
}

/* Far more digits than are drawn at once continue as the source does. */
static void test_many_digits_do_not_repeat(void **state)
{
    (void)state;
    char out[600];
    char want[601];
    given_source(COUNTING);
    unsigned char byte = 0x01;
    for (size_t i = 0; i < sizeof out; i += 2) {
        snprintf(want + i, 3, "%02x", byte);
        byte = (unsigned char)(byte + 0x22);
    }

    random_hex(out, sizeof out);

    assert_memory_equal(out, want, sizeof out);
}

/* A signal, or less than was asked for, changes nothing. */
static void test_source_that_stutters_is_asked_again(void **state)
{
    (void)state;
    char out[] = "........";
    given_source(STUTTERING);

    random_hex(out, 8);

    assert_string_equal(out, "01234567");
    assert_int_equal(n_calls, 8);
}

/* [SIGN-2] Two tokens are 32 lower-case hexadecimal digits each, and not the same. */
static void test_system_source_gives_different_tokens(void **state)
{
    (void)state;
    char a[TOKEN_SIZE + 1] = "";
    char b[TOKEN_SIZE + 1] = "";
    given_source(SYSTEM);

    random_hex(a, TOKEN_SIZE);
    random_hex(b, TOKEN_SIZE);

    assert_int_equal(strspn(a, "0123456789abcdef"), TOKEN_SIZE);
    assert_int_equal(strspn(b, "0123456789abcdef"), TOKEN_SIZE);
    assert_string_not_equal(a, b);
}

static void draw_from_broken_source(void)
{
    char out[TOKEN_SIZE];
    given_source(BROKEN);
    random_hex(out, sizeof out);
}

static void test_broken_source_aborts(void **state)
{
    (void)state;
    assert_true(dies_saying(draw_from_broken_source, "no randomness"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits_are_the_bytes_of_the_source),
        cmocka_unit_test(test_many_digits_do_not_repeat),
        cmocka_unit_test(test_source_that_stutters_is_asked_again),
        cmocka_unit_test(test_system_source_gives_different_tokens),
        cmocka_unit_test(test_broken_source_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
