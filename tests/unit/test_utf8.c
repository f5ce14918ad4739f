#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chat/utf8.h"
#include "exact_copy.h"

static bool is_valid(struct str s)
{
    char *copy = exact_copy(s);
    bool valid = utf8_valid((struct str){copy, s.len});
    free(copy);
    return valid;
}

/* 's' behind 0 to 16 and before 0 to 8 letters: wherever a skip by eight bytes ends, the answer
 * is the same. */
static void check_everywhere(int line, struct str s, bool want)
{
    char text[64];
    for (size_t before = 0; before <= 16; before++) {
        for (size_t after = 0; after <= 8; after++) {
            memset(text, 'x', sizeof text);
            memcpy(text + before, s.ptr, s.len);
            if (is_valid((struct str){text, before + s.len + after}) != want) {
                fail_msg("line %d: should%s be valid", line, want ? "" : " not");
            }
        }
    }
}

/* The first and the last character of each length, and around what is left out. */
static void test_characters_are_valid(void **state)
{
    (void)state;
    static const struct {
        int line;
        const char *text;
    } rows[] = {
        {__LINE__, "\x01"},
        {__LINE__, "\x7F"},
        {__LINE__, "\xC2\x80"},
        {__LINE__, "\xDF\xBF"},
        {__LINE__, "\xE0\xA0\x80"},
        {__LINE__, "\xED\x9F\xBF"}, /* U+D7FF */
        {__LINE__, "\xEE\x80\x80"}, /* U+E000 */
        {__LINE__, "\xEF\xBF\xBF"}, /* U+FFFF */
        {__LINE__, "\xF0\x90\x80\x80"},
        {__LINE__, "\xF4\x8F\xBF\xBF"}, /* U+10FFFF */
        {__LINE__, "注册成功"},
        {__LINE__, "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_everywhere(rows[i].line, str_of(rows[i].text), true);
    }
    check_everywhere(__LINE__, (struct str){"\0", 1}, true);
    assert_true(utf8_valid((struct str){NULL, 0}));
}

static void test_other_bytes_are_not(void **state)
{
    (void)state;
    static const struct {
        int line;
        const char *text;
    } rows[] = {
        {__LINE__, "\x80"}, /* a tail alone */
        {__LINE__, "\xBF"},
        {__LINE__, "\xC3\xA9\xA9"},     /* a tail too many */
        {__LINE__, "\xC0\x80"},         /* overlong U+0000 */
        {__LINE__, "\xC1\xBF"},         /* overlong U+007F */
        {__LINE__, "\xE0\x9F\xBF"},     /* overlong U+07FF */
        {__LINE__, "\xF0\x8F\xBF\xBF"}, /* overlong U+FFFF */
        {__LINE__, "\xED\xA0\x80"},     /* U+D800 */
        {__LINE__, "\xED\xBF\xBF"},     /* U+DFFF */
        {__LINE__, "\xF4\x90\x80\x80"}, /* U+110000 */
        {__LINE__, "\xF5\x80\x80\x80"},
        {__LINE__, "\xF8\x88\x80\x80\x80"},
        {__LINE__, "\xFE"},
        {__LINE__, "\xFF"},
        {__LINE__, "\xC3("}, /* a tail missing */
        {__LINE__, "\xE4\xB8("},
        {__LINE__, "\xE4(\xAD"},
        {__LINE__, "\xF0\x9F\x98("},
        {__LINE__, "\xF0\x9F(\x80"},
        {__LINE__, "\xF0(\x98\x80"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_everywhere(rows[i].line, str_of(rows[i].text), false);
    }
}

/* A text cut short is valid exactly if it is cut between characters; nothing behind the cut is
 * read. */
static void test_cut_text_is_valid_between_characters_only(void **state)
{
    (void)state;
    struct str text = STR("plain ascii, then é 中 😀 and 注册成功, then ascii again");
    for (size_t len = 0; len < text.len; len++) {
        bool between = ((unsigned char)text.ptr[len] & 0xC0) != 0x80;
        assert_int_equal(is_valid((struct str){text.ptr, len}), between);
    }
}

/* Writes 'code' as UTF-8 by the rule of RFC 3629, section 3; returns the bytes written. */
static size_t encode(uint32_t code, unsigned char *out)
{
    static const unsigned char leads[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len; i > 1; i--) {
        out[i - 1] = (unsigned char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (unsigned char)(leads[len] | code);
    return len;
}

/* Every character there is is valid, and so nothing may be missing; what isn't is counted below. */
static void test_every_code_point_is_valid_but_surrogates(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        unsigned char bytes[4];
        size_t len = encode(code, bytes);
        bool surrogate = code >= 0xD800 && code <= 0xDFFF;
        if (utf8_valid((struct str){(const char *)bytes, len}) == surrogate) {
            fail_msg("U+%04X", (unsigned)code);
        }
    }
}

/* Of all sequences of three bytes exactly as many are valid as can be put together from
 * characters. */
static void test_number_of_valid_triples(void **state)
{
    (void)state;
    const unsigned long ones = 0x80;
    const unsigned long twos = 0x800 - 0x80;
    const unsigned long threes = 0x10000 - 0x800 - 0x800; /* surrogates are none */
    unsigned long n_valid = 0;
    for (uint32_t i = 0; i < 1u << 24; i++) {
        char bytes[3] = {(char)(i >> 16), (char)(i >> 8), (char)i};
        n_valid += utf8_valid((struct str){bytes, 3});
    }
    assert_int_equal(n_valid, ones * ones * ones + 2 * ones * twos + threes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters_are_valid),
        cmocka_unit_test(test_other_bytes_are_not),
        cmocka_unit_test(test_cut_text_is_valid_between_characters_only),
        cmocka_unit_test(test_every_code_point_is_valid_but_surrogates),
        cmocka_unit_test(test_number_of_valid_triples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
