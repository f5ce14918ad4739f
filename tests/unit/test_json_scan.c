#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>

#include "chat/limits.h"
#include "exact_copy.h"
#include "parser/json_scan.h"

/* What was found, as text: for each member its name, a letter for the value's kind, the value as
 * it was written, of strings the decoded length, and '!' behind it if there are escapes. */
struct found {
    char text[2048];
    size_t len;
    size_t n_members;
};

static void describe_string(struct found *found, const struct json_value *value)
{
    if (value->kind == JSON_STRING) {
        found->len += (size_t)snprintf(found->text + found->len, sizeof found->text - found->len,
                                       " %zu%s", value->decoded_len, value->has_escapes ? "!" : "");
    }
}

static void describe(void *ctx, const struct json_value *name, const struct json_value *value)
{
    struct found *found = ctx;
    found->n_members++;
    found->len +=
        (size_t)snprintf(found->text + found->len, sizeof found->text - found->len, "%s%.*s",
                         found->len > 0 ? "; " : "", (int)name->text.len, name->text.ptr);
    describe_string(found, name);
    found->len +=
        (size_t)snprintf(found->text + found->len, sizeof found->text - found->len, " %c %.*s",
                         "-SIO"[value->kind], (int)value -> text.len, value->text.ptr);
    describe_string(found, value);
    assert_true(found->len < sizeof found->text);
}

static void count(void *ctx, const struct json_value *name, const struct json_value *value)
{
    (void)name;
    (void)value;
    ++*(size_t *)ctx;
}

/* Whether 'text' is an object, for texts of any length. Scans an exact copy. */
static bool accepts(struct str text)
{
    size_t n_members = 0;
    char *copy = exact_copy(text);
    bool accepted = json_scan_object((struct str){copy, text.len}, count, &n_members);
    free(copy);
    return accepted;
}

/* Whether cJSON takes 'text' for one JSON text. It is more lenient than RFC 8259, never stricter
 * in what is tried here: so what we accept, it accepts. */
static bool oracle_accepts(struct str text)
{
    char *terminated = malloc(text.len + 1);
    assert_non_null(terminated);
    memcpy(terminated, text.ptr, text.len);
    terminated[text.len] = '\0';
    cJSON *json = cJSON_ParseWithLengthOpts(terminated, text.len + 1, NULL, true);
    bool accepted = json != NULL;
    cJSON_Delete(json);
    free(terminated);
    return accepted;
}

struct row {
    int line;
    const char *name;
    const char *input;
    const char *want; /* as struct found says it */
};

/* The row is an object with the members it says, and cut short anywhere it is none. */
static void check_valid(const struct row *row)
{
    struct str input = str_of(row->input);
    struct found found = {.len = 0};
    char *copy = exact_copy(input);
    bool accepted = json_scan_object((struct str){copy, input.len}, describe, &found);
    free(copy);
    if (!accepted || strcmp(found.text, row->want) != 0) {
        fail_msg("line %d (%s): accepted %d: %s", row->line, row->name, accepted, found.text);
    }
    for (size_t len = 0; len < input.len; len++) {
        if (accepts((struct str){input.ptr, len})) {
            fail_msg("line %d (%s): valid after only %zu bytes", row->line, row->name, len);
        }
    }
}

static void test_members_are_found(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {__LINE__, "empty", "{}", ""},
        {__LINE__, "empty, spaced", " \t\r\n{ \t\r\n}", ""},
        {__LINE__, "one", "{\"a\":\"b\"}", "\"a\" 1 S \"b\" 1"},
        {__LINE__, "two", "{\"a\":\"\",\"\":1}", "\"a\" 1 S \"\" 0; \"\" 0 I 1"},
        {__LINE__, "spaced", " { \"a\"\t:\r1\n,\n\"b\" : [ ] }", "\"a\" 1 I 1; \"b\" 1 O [ ]"},
        {__LINE__, "repeated", "{\"a\":1,\"a\":2}", "\"a\" 1 I 1; \"a\" 1 I 2"},
        {__LINE__, "literals", "{\"a\":true,\"b\":false,\"c\":null}",
         "\"a\" 1 O true; \"b\" 1 O false; \"c\" 1 O null"},
        {__LINE__, "members within are no members", "{\"a\":{\"b\":1},\"c\":[{\"d\":2}]}",
         "\"a\" 1 O {\"b\":1}; \"c\" 1 O [{\"d\":2}]"},
        {__LINE__, "one after the other on the same level",
         "{\"a\":[{\"b\":1},[2],{\"c\":[]},[[]]]}", "\"a\" 1 O [{\"b\":1},[2],{\"c\":[]},[[]]]"},
        {__LINE__, "long name", "{\"a name of more than eight bytes\":0}",
         "\"a name of more than eight bytes\" 31 I 0"},
        {__LINE__, "UTF-8", "{\"中\":\"é😀\"}", "\"中\" 3 S \"é😀\" 6"},
        {__LINE__, "DEL is no control character here", "{\"a\":\"\x7F\"}", "\"a\" 1 S \"\x7F\" 1"},
        {__LINE__, "quotes in strings in arrays", "{\"a\":[\"]\",\"}\",\"\\\"]\"]}",
         "\"a\" 1 O [\"]\",\"}\",\"\\\"]\"]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_valid(&rows[i]);
    }
}

/* An escape counts as the bytes of UTF-8 that it stands for. */
static void test_escapes_are_measured(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {__LINE__, "one letter each", "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
         "\"a\" 1 S \"\\\"\\\\\\/\\b\\f\\n\\r\\t\" 8!"},
        {__LINE__, "NUL", "{\"a\":\"\\u0000\"}", "\"a\" 1 S \"\\u0000\" 1!"},
        {__LINE__, "last of one byte", "{\"a\":\"\\u007f\"}", "\"a\" 1 S \"\\u007f\" 1!"},
        {__LINE__, "first of two", "{\"a\":\"\\u0080\"}", "\"a\" 1 S \"\\u0080\" 2!"},
        {__LINE__, "last of two", "{\"a\":\"\\u07FF\"}", "\"a\" 1 S \"\\u07FF\" 2!"},
        {__LINE__, "first of three", "{\"a\":\"\\u0800\"}", "\"a\" 1 S \"\\u0800\" 3!"},
        {__LINE__, "before surrogates", "{\"a\":\"\\ud7ff\"}", "\"a\" 1 S \"\\ud7ff\" 3!"},
        {__LINE__, "after surrogates", "{\"a\":\"\\ue000\"}", "\"a\" 1 S \"\\ue000\" 3!"},
        {__LINE__, "last of three", "{\"a\":\"\\uFFFF\"}", "\"a\" 1 S \"\\uFFFF\" 3!"},
        {__LINE__, "first pair", "{\"a\":\"\\uD800\\uDC00\"}", "\"a\" 1 S \"\\uD800\\uDC00\" 4!"},
        {__LINE__, "last pair", "{\"a\":\"\\udbff\\udfff\"}", "\"a\" 1 S \"\\udbff\\udfff\" 4!"},
        {__LINE__, "two pairs", "{\"a\":\"x\\uD83D\\uDE00\\uD83D\\uDE00y\"}",
         "\"a\" 1 S \"x\\uD83D\\uDE00\\uD83D\\uDE00y\" 10!"},
        {__LINE__, "mixed", "{\"a\":\"0123456789\\n中0123456789\\u00e9\"}",
         "\"a\" 1 S \"0123456789\\n中0123456789\\u00e9\" 26!"},
        {__LINE__, "in a name", "{\"\\u0061\":1}", "\"\\u0061\" 1! I 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_valid(&rows[i]);
    }
}

/* Numbers stay the text that they were; those without fraction and exponent are told apart. */
static void test_numbers_are_kept_digit_for_digit(void **state)
{
    (void)state;
    static const struct {
        int line;
        const char *number;
        char kind;
    } rows[] = {
        {__LINE__, "0", 'I'},
        {__LINE__, "-0", 'I'},
        {__LINE__, "7", 'I'},
        {__LINE__, "-10", 'I'},
        {__LINE__, "9007199254740993", 'I'},
        {__LINE__, "123456789012345678901234567890123456789012345678901234567890", 'I'},
        {__LINE__, "0.0", 'O'},
        {__LINE__, "-0.10", 'O'},
        {__LINE__, "1.0", 'O'},
        {__LINE__, "1e3", 'O'},
        {__LINE__, "1E3", 'O'},
        {__LINE__, "1e+03", 'O'},
        {__LINE__, "0e-0", 'O'},
        {__LINE__, "1e400", 'O'},
        {__LINE__, "-12.345E-678", 'O'},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char input[128];
        char want[128];
        snprintf(input, sizeof input, "{\"a\":%s}", rows[i].number);
        snprintf(want, sizeof want, "\"a\" 1 %c %s", rows[i].kind, rows[i].number);
        check_valid(&(struct row){rows[i].line, rows[i].number, input, want});
    }
}

/* 'text' is refused; of its beginnings none is accepted that cJSON refuses; and nothing is read
 * past their ends. */
static void check_invalid(int line, struct str text)
{
    if (accepts(text)) {
        fail_msg("line %d: accepted: %.*s", line, (int)text.len, text.ptr);
    }
    for (size_t len = 0; len < text.len; len++) {
        struct str cut = {text.ptr, len};
        if (accepts(cut) && !oracle_accepts(cut)) {
            fail_msg("line %d: accepted: %.*s", line, (int)cut.len, cut.ptr);
        }
    }
}

static const struct {
    int line;
    const char *value;
} no_values[] = {
    /* numbers */
    {__LINE__, "01"},
    {__LINE__, "-01"},
    {__LINE__, "00"},
    {__LINE__, "1."},
    {__LINE__, "1.e3"},
    {__LINE__, ".5"},
    {__LINE__, "-.5"},
    {__LINE__, "+1"},
    {__LINE__, "-"},
    {__LINE__, "--1"},
    {__LINE__, "- 1"},
    {__LINE__, "1e"},
    {__LINE__, "1e+"},
    {__LINE__, "1E-"},
    {__LINE__, "1e1.5"},
    {__LINE__, "1.2.3"},
    {__LINE__, "1e5e5"},
    {__LINE__, "0x10"},
    {__LINE__, "1_000"},
    {__LINE__, "1 2"},
    {__LINE__, "1a"},
    {__LINE__, "NaN"},
    {__LINE__, "Infinity"},
    {__LINE__, "-Infinity"},
    {__LINE__, "-a"},
    {__LINE__, "１"},
    /* literals */
    {__LINE__, "True"},
    {__LINE__, "TRUE"},
    {__LINE__, "tru"},
    {__LINE__, "truee"},
    {__LINE__, "fals"},
    {__LINE__, "nul"},
    {__LINE__, "nil"},
    {__LINE__, "undefined"},
    /* strings */
    {__LINE__, "\""},
    {__LINE__, "\"a"},
    {__LINE__, "'a'"},
    {__LINE__, "\"a\"\"b\""},
    {__LINE__, "\"a\nb\""},
    {__LINE__, "\"a\tb\""},
    {__LINE__, "\"\x01\""},
    {__LINE__, "\"\x1F\""},
    {__LINE__, "\"1234567\x1F\""}, /* the last byte of eight */
    {__LINE__, "\"12345678\x1F\""},
    {__LINE__, "\"\\"},
    {__LINE__, "\"\\\""},
    {__LINE__, "\"\\a\""},
    {__LINE__, "\"\\'\""},
    {__LINE__, "\"\\0\""},
    {__LINE__, "\"\\x41\""},
    {__LINE__, "\"\\N\""},
    {__LINE__, "\"\\U0041\""},
    {__LINE__, "\"\\u\""},
    {__LINE__, "\"\\u004\""},
    {__LINE__, "\"\\u004g\""},
    {__LINE__, "\"\\u00:0\""},
    {__LINE__, "\"\\u00@0\""},
    {__LINE__, "\"\\u00`0\""},
    {__LINE__, "\"\\u+041\""},
    {__LINE__, "\"\\u 041\""},
    {__LINE__, "\"\\uD800\""}, /* a first half alone */
    {__LINE__, "\"\\udbff\""},
    {__LINE__, "\"\\uDC00\""}, /* a second half alone */
    {__LINE__, "\"\\udfff\""},
    {__LINE__, "\"\\uD800x\\uDC00\""}, /* something in between */
    {__LINE__, "\"\\uD800xuDC00\""},
    {__LINE__, "\"\\uD800\\xDC00\""},
    {__LINE__, "\"\\uD800\\uD800\""}, /* two first halves */
    {__LINE__, "\"\\uD800\\uDBFF\""},
    {__LINE__, "\"\\uD800\\uE000\""},
    {__LINE__, "\"\\uD800\\u0041\""},
    {__LINE__, "\"\\uD800\\n\""},
    {__LINE__, "\"\\uDC00\\uD800\""}, /* the wrong way round */
    {__LINE__, "\"\\uD83D\\uDE0\""},
    {__LINE__, "\"\\uD83D\\uDE00\\uDE00\""},
    /* arrays and objects */
    {__LINE__, "["},
    {__LINE__, "]"},
    {__LINE__, "[1"},
    {__LINE__, "[1,"},
    {__LINE__, "[1,]"},
    {__LINE__, "[,1]"},
    {__LINE__, "[,]"},
    {__LINE__, "[1,,2]"},
    {__LINE__, "[1 2]"},
    {__LINE__, "[1:2]"},
    {__LINE__, "[1}"},
    {__LINE__, "[}"},
    {__LINE__, "[\"a\":1]"},
    {__LINE__, "[1]]"},
    {__LINE__, "[[1]"},
    {__LINE__, "{"},
    {__LINE__, "{1"},
    {__LINE__, "{1:2}"},
    {__LINE__, "{a:1}"},
    {__LINE__, "{'a':1}"},
    {__LINE__, "{\"a\"}"},
    {__LINE__, "{\"a\":}"},
    {__LINE__, "{\"a\" 1}"},
    {__LINE__, "{\"a\",1}"},
    {__LINE__, "{\"a\"::1}"},
    {__LINE__, "{\"a\":1,}"},
    {__LINE__, "{,\"a\":1}"},
    {__LINE__, "{,}"},
    {__LINE__, "{\"a\":1 \"b\":2}"},
    {__LINE__, "{\"a\":1;\"b\":2}"},
    {__LINE__, "{\"a\":1,,\"b\":2}"},
    {__LINE__, "{\"a\":1]"},
    {__LINE__, "{]"},
    {__LINE__, "{\"\\uD800\":1}"},
    {__LINE__, "{null:1}"},
    {__LINE__, "[{\"a\":[}]]"},
    {__LINE__, "[{]}"},
    /* no value at all */
    {__LINE__, ""},
    {__LINE__, " "},
    {__LINE__, ","},
    {__LINE__, ":"},
    {__LINE__, "/**/1"},
    {__LINE__, "1//"},
    {__LINE__, "\v1"},
    {__LINE__, "\f1"},
    {__LINE__, "\xC2\xA0"
               "1"}, /* no-break space */
    {__LINE__, "\xEF\xBB\xBF"
               "1"},
    {__LINE__, "\x80"},
    {__LINE__, "\xFF"},
};

/* What is no value is none wherever a value can stand. */
static void test_values_that_are_none(void **state)
{
    (void)state;
    static const char *const around[] = {"{\"a\":%s}", "{\"a\":[%s,1]}", "{\"a\":[0,{\"b\":%s}]}",
                                         "{\"a\":%s,\"b\":1}"};
    for (size_t i = 0; i < sizeof no_values / sizeof no_values[0]; i++) {
        for (size_t j = 0; j < sizeof around / sizeof around[0]; j++) {
            const char *hole = strstr(around[j], "%s");
            char text[128];
            snprintf(text, sizeof text, "%.*s%s%s", (int)(hole - around[j]), around[j],
                     no_values[i].value, hole + 2);
            check_invalid(no_values[i].line, str_of(text));
        }
    }
}

static void test_texts_that_are_no_object(void **state)
{
    (void)state;
    const struct {
        int line;
        struct str text;
    } rows[] = {
        {__LINE__, STR("")},
        {__LINE__, STR(" ")},
        {__LINE__, STR("null")},
        {__LINE__, STR("1")},
        {__LINE__, STR("\"abc\"")},
        {__LINE__, STR("[]")},
        {__LINE__, STR("[{}]")},
        {__LINE__, STR("{")},
        {__LINE__, STR("}")},
        {__LINE__, STR("{]")},
        {__LINE__, STR("{}{}")},
        {__LINE__, STR("{} {}")},
        {__LINE__, STR("{},")},
        {__LINE__, STR("{}}")},
        {__LINE__, STR("{}x")},
        {__LINE__, STR("{},{}")},
        {__LINE__, STR("{}\0")},
        {__LINE__, STR("\0{}")},
        {__LINE__, STR("{\0}")},
        {__LINE__, STR("{\"a\0\":1}")},
        {__LINE__, STR("{\"a\":\"\0\"}")},
        {__LINE__, STR("{\"a\":1\0}")},
        {__LINE__, STR("\xEF\xBB\xBF{}")},
        {__LINE__, STR("\xFF\xFE{}")},
        {__LINE__, STR("{,}")},
        {__LINE__, STR("{\"a\":1,}")},
        {__LINE__, STR("{\"a\":1 \"b\":2}")},
        {__LINE__, STR("{\"a\"}")},
        {__LINE__, STR("{\"a\" 1}")},
        {__LINE__, STR("{\"a\":1]")},
        {__LINE__, STR("{a:1}")},
        {__LINE__, STR("{1:1}")},
        {__LINE__, STR("// {}\n{}")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_invalid(rows[i].line, rows[i].text);
    }
}

/* The text is whole with the last '}'; any white space may follow, and nothing else. */
static void test_space_may_follow(void **state)
{
    (void)state;
    assert_true(accepts(STR("{\"a\":1} \t\r\n")));
    assert_false(accepts(STR("{\"a\":1} \t\r\n.")));
}

/* A string byte by byte: control characters end it wherever they stand, everything else belongs
 * to it. */
static void test_every_byte_at_every_place_of_a_string(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 20; at++) {
            char text[] = "{\"a\":\"....................\"}";
            text[6 + at] = (char)byte;
            bool want = byte >= 0x20 && byte != '"' && byte != '\\';
            if (accepts((struct str){text, sizeof text - 1}) != want) {
                fail_msg("byte 0x%02X at %zu", (unsigned)byte, at);
            }
        }
    }
}

/* Appends 'n' times 's' at 'p'; returns the place behind it. */
static char *repeat(char *p, const char *s, size_t n)
{
    size_t len = strlen(s);
    for (size_t i = 0; i < n; i++, p += len) {
        memcpy(p, s, len);
    }
    return p;
}

/* {"a": and 'n_levels' - 1 times 'opening', 'middle', as many times 'closing', and }. */
static bool accepts_nested(const char *opening, const char *middle, const char *closing,
                           size_t n_levels)
{
    static char text[NESTING_MAX * 16];
    char *p = repeat(text, "{\"a\":", 1);
    p = repeat(p, opening, n_levels - 1);
    p = repeat(p, middle, 1);
    p = repeat(p, closing, n_levels - 1);
    p = repeat(p, "}", 1);
    return accepts((struct str){text, (size_t)(p - text)});
}

/* [JSON-7] NESTING_MAX levels, the object itself included, and not one more. */
static void test_nesting_has_a_limit(void **state)
{
    (void)state;
    static const struct {
        const char *opening, *middle, *closing;
        size_t n_extra; /* levels in 'middle' */
    } rows[] = {
        {"[", "0", "]", 0},
        {"[", "", "]", 0},
        {"{\"b\":", "0", "}", 0},
        {"{\"b\":", "{}", "}", 1},
        {"[", "[]", "]", 1},
        {" [ 1 , ", "\"\"", " , 1 ] ", 0},
        {"{\"a\":[],\"b\":", "0", "}", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t max = NESTING_MAX - rows[i].n_extra;
        assert_true(accepts_nested(rows[i].opening, rows[i].middle, rows[i].closing, 64));
        assert_true(accepts_nested(rows[i].opening, rows[i].middle, rows[i].closing, max));
        assert_false(accepts_nested(rows[i].opening, rows[i].middle, rows[i].closing, max + 1));
    }
}

/* Arrays and objects in turn, closed in the order in which they were opened and in no other. */
static void test_nesting_remembers_each_level(void **state)
{
    (void)state;
    static char text[NESTING_MAX * 8];
    char *p = repeat(text, "{\"a\":", 1);
    char *closing[NESTING_MAX];
    uint64_t pattern = UINT64_C(0xB3D1F8A54C72E690);
    for (size_t level = 1; level < NESTING_MAX; level++) {
        p = repeat(p, pattern >> level % 63 & 1 ? "{\"a\":" : "[", 1);
    }
    p = repeat(p, "0", 1);
    for (size_t level = NESTING_MAX; level-- > 1;) {
        closing[level] = p;
        p = repeat(p, pattern >> level % 63 & 1 ? "}" : "]", 1);
    }
    p = repeat(p, "}", 1);
    struct str whole = {text, (size_t)(p - text)};
    assert_true(accepts(whole));
    for (size_t level = 1; level < NESTING_MAX; level++) {
        char right = *closing[level];
        *closing[level] = right == '}' ? ']' : '}';
        assert_false(accepts(whole));
        *closing[level] = right;
    }
}

/* [JSON-8] Nesting without end is refused, and takes no stack. */
static void test_endless_nesting_is_refused(void **state)
{
    (void)state;
    static char text[65536];
    memset(text, '[', sizeof text);
    assert_false(accepts((struct str){text, sizeof text}));
    memcpy(text, "{\"a\":", 5);
    assert_false(accepts((struct str){text, sizeof text}));
    char *p = repeat(text, "{\"a\":", sizeof text / 5);
    assert_false(accepts((struct str){text, (size_t)(p - text)}));
}

struct long_string {
    size_t text_len, decoded_len;
};

static void measure(void *ctx, const struct json_value *name, const struct json_value *value)
{
    (void)name;
    *(struct long_string *)ctx = (struct long_string){value->text.len, value->decoded_len};
}

/* A string as long as a message can be is measured like a short one. */
static void test_long_strings_are_measured(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        size_t decoded_len;
    } rows[] = {{"x", 1}, {"中", 3}, {"\\n", 1}, {"\\u4e2d", 3}, {"\\ud83d\\ude00", 4}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static char text[65536];
        size_t n = (sizeof text - 16) / strlen(rows[i].unit);
        char *p = repeat(text, "{\"a\":\"", 1);
        p = repeat(p, rows[i].unit, n);
        p = repeat(p, "\"}", 1);
        char *copy = exact_copy((struct str){text, (size_t)(p - text)});
        struct long_string got = {0, 0};
        assert_true(json_scan_object((struct str){copy, (size_t)(p - text)}, measure, &got));
        free(copy);
        assert_int_equal(got.text_len, n * strlen(rows[i].unit) + 2);
        assert_int_equal(got.decoded_len, n * rows[i].decoded_len);
    }
}

/* Texts made by the grammar, always the same ones: a generator for the comparison with cJSON. */
struct maker {
    uint64_t seed; /* xorshift64 */
    char text[8192];
    size_t len;
};

static size_t pick(struct maker *maker, size_t n)
{
    maker->seed ^= maker->seed << 13;
    maker->seed ^= maker->seed >> 7;
    maker->seed ^= maker->seed << 17;
    return (size_t)(maker->seed >> 33) % n;
}

static void make(struct maker *maker, const char *s)
{
    size_t len = strlen(s);
    assert_true(maker->len + len <= sizeof maker->text);
    memcpy(maker->text + maker->len, s, len);
    maker->len += len;
}

#define MAKE_ONE_OF(maker, list) \
    make((maker), (list)[pick((maker), sizeof(list) / sizeof(list)[0])])

static void make_space(struct maker *maker)
{
    static const char *const spaces[] = {"", "", "", " ", "\n", "\t\r "};
    MAKE_ONE_OF(maker, spaces);
}

static void make_string(struct maker *maker)
{
    static const char *const pieces[] = {"a",
                                         "b",
                                         "0123456789abcdef",
                                         "中",
                                         "😀",
                                         "{",
                                         "]",
                                         ",",
                                         ":",
                                         "\\\"",
                                         "\\\\",
                                         "\\/",
                                         "\\n",
                                         "\\u0041",
                                         "\\u00e9",
                                         "\\uD83D\\uDE00"};
    make(maker, "\"");
    for (size_t n = pick(maker, 6); n > 0; n--) {
        MAKE_ONE_OF(maker, pieces);
    }
    make(maker, "\"");
}

static void make_scalar(struct maker *maker)
{
    static const char *const scalars[] = {"true", "false", "null",   "0",       "-0",
                                          "7",    "-12",   "3.25",   "1e5",     "-2E-3",
                                          "\"\"", "\"x\"", "1e+400", "0.0e-00", "9007199254740993"};
    if (pick(maker, 2) == 0) {
        make_string(maker);
    } else {
        MAKE_ONE_OF(maker, scalars);
    }
}

/* Some values, closed by 'closer'; objects' have names. Arrays and objects within stay empty or
 * hold scalars: two levels, where all the grammar already shows. */
static void make_container(struct maker *maker, bool is_object, int levels)
{
    make(maker, is_object ? "{" : "[");
    make_space(maker);
    for (size_t i = 0, n = pick(maker, 5); i < n; i++) {
        make(maker, i > 0 ? "," : "");
        make_space(maker);
        if (is_object) {
            make_string(maker);
            make_space(maker);
            make(maker, ":");
            make_space(maker);
        }
        make_scalar(maker);
        make_space(maker);
        if (levels > 0) {
            make(maker, is_object ? ",\"c\":[" : ",[");
            make_scalar(maker);
            make(maker, pick(maker, 2) == 0 ? ",{}]" : ",{\"d\" :[ ]}]");
        }
    }
    make(maker, is_object ? "}" : "]");
}

static void make_object(struct maker *maker)
{
    maker->len = 0;
    make_space(maker);
    make_container(maker, true, (int)pick(maker, 2));
    make_space(maker);
}

/* Change one byte, take one out, or put one in; never leave nothing. */
static void spoil(struct maker *maker)
{
    static const char bytes[] = "{}[]:,\"\\ue019-+.Etfn \n\x01\x7F\xC3";
    size_t at = pick(maker, maker->len);
    char byte = bytes[pick(maker, sizeof bytes - 1)];
    switch (maker->len > 1 ? pick(maker, 3) : 0) {
    case 0:
        maker->text[at] = byte;
        break;
    case 1:
        memmove(maker->text + at, maker->text + at + 1, maker->len - at - 1);
        maker->len--;
        break;
    default:
        memmove(maker->text + at + 1, maker->text + at, maker->len - at);
        maker->text[at] = byte;
        maker->len++;
        break;
    }
}

/* The members that cJSON found and we haven't compared yet. */
static void compare_member(void *ctx, const struct json_value *name, const struct json_value *value)
{
    const cJSON **next = ctx;
    assert_non_null(*next);
    assert_int_equal(strlen((*next)->string), name->decoded_len);
    assert_int_equal(cJSON_IsString(*next), value->kind == JSON_STRING);
    if (value->kind == JSON_STRING) {
        assert_int_equal(strlen((*next)->valuestring), value->decoded_len);
    }
    if (value->kind == JSON_INTEGER) {
        assert_true(cJSON_IsNumber(*next));
    }
    *next = (*next)->next;
}

/* Whatever is put together by the grammar is accepted, with the members that cJSON finds. */
static void test_same_members_as_cjson(void **state)
{
    (void)state;
    static struct maker maker = {.seed = 1914};
    for (int i = 0; i < 5000; i++) {
        make_object(&maker);
        struct str text = {maker.text, maker.len};
        cJSON *json = cJSON_ParseWithLength(text.ptr, text.len);
        assert_non_null(json);
        const cJSON *next = json->child;
        char *copy = exact_copy(text);
        if (!json_scan_object((struct str){copy, text.len}, compare_member, &next)) {
            fail_msg("refused: %.*s", (int)text.len, text.ptr);
        }
        assert_null(next);
        free(copy);
        cJSON_Delete(json);
    }
}

/* What we accept of texts with a few mistakes in them, cJSON accepts, too. */
static void test_nothing_is_accepted_that_cjson_refuses(void **state)
{
    (void)state;
    static struct maker maker = {.seed = 8259};
    int n_accepted = 0;
    int n_refused = 0;
    for (int i = 0; i < 20000; i++) {
        make_object(&maker);
        for (size_t n = 1 + pick(&maker, 3); n > 0; n--) {
            spoil(&maker);
        }
        struct str text = {maker.text, maker.len};
        if (!accepts(text)) {
            n_refused++;
            continue;
        }
        n_accepted++;
        if (!oracle_accepts(text)) {
            fail_msg("accepted: %.*s", (int)text.len, text.ptr);
        }
    }
    /* Else it would have compared nothing. */
    assert_in_range(n_accepted, 1000, 19000);
    assert_in_range(n_refused, 1000, 19000);
}

static const struct {
    int line;
    struct str text;
    bool is_value;
} texts[] = {
    {__LINE__, STR_INIT("1"), true},         {__LINE__, STR_INIT(" \"a\" "), true},
    {__LINE__, STR_INIT("[{},null]"), true}, {__LINE__, STR_INIT("{\"a\":1}"), true},
    {__LINE__, STR_INIT(""), false},         {__LINE__, STR_INIT(" "), false},
    {__LINE__, STR_INIT("1 2"), false},      {__LINE__, STR_INIT("1,\"from\":\"x\""), false},
    {__LINE__, STR_INIT("[1"), false},       {__LINE__, STR_INIT("nul"), false},
};

/* A body of somebody else's is one value, and cannot bring members of its own ([WS-16]). */
static void test_a_text_is_one_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (json_scan_text(texts[i].text) != texts[i].is_value) {
            fail_msg("line %d", texts[i].line);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_are_found),
        cmocka_unit_test(test_escapes_are_measured),
        cmocka_unit_test(test_numbers_are_kept_digit_for_digit),
        cmocka_unit_test(test_values_that_are_none),
        cmocka_unit_test(test_texts_that_are_no_object),
        cmocka_unit_test(test_space_may_follow),
        cmocka_unit_test(test_every_byte_at_every_place_of_a_string),
        cmocka_unit_test(test_nesting_has_a_limit),
        cmocka_unit_test(test_nesting_remembers_each_level),
        cmocka_unit_test(test_endless_nesting_is_refused),
        cmocka_unit_test(test_long_strings_are_measured),
        cmocka_unit_test(test_same_members_as_cjson),
        cmocka_unit_test(test_nothing_is_accepted_that_cjson_refuses),
        cmocka_unit_test(test_a_text_is_one_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
