#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "chat/parser.h"
#include "exact_copy.h"

/* Where 's' of a request may point: into the text, or into the request itself. */
static bool is_within(struct str s, const char *start, size_t size)
{
    return (uintptr_t)s.ptr >= (uintptr_t)start &&
           (uintptr_t)s.ptr + s.len <= (uintptr_t)start + size;
}

static void check_views(struct str text, const struct request *request)
{
    assert_true(request->cid.len == 0 || is_within(request->cid, text.ptr, text.len));
    assert_true(request->body.len == 0 || is_within(request->body, text.ptr, text.len));
    assert_true(request->uid.len == 0 || is_within(request->uid, text.ptr, text.len) ||
                is_within(request->uid, request->decoded, sizeof request->decoded));
    assert_true(request->cid_value.len == 0 || is_within(request->cid_value, text.ptr, text.len) ||
                is_within(request->cid_value, request->cid_decoded, sizeof request->cid_decoded));
}

static const char *const type_names[N_REQUEST_TYPES] = {
    [REQUEST_SIGN] = "sign",
    [REQUEST_MSG] = "msg",
    [REQUEST_BROADCAST] = "broadcast",
};

/* A request as text: type, uid, cid, body, each "-" if there is none and "?" if it is invalid or,
 * of a uid, not there.
 * Parses an exact copy of 'text'. */
static void parse_to_text(struct str text, char *out, size_t size)
{
    struct request request;
    char *copy = exact_copy(text);
    if (request_parse((struct str){copy, text.len}, &request) != ERR_OK) {
        snprintf(out, size, "illegal");
        free(copy);
        return;
    }
    check_views((struct str){copy, text.len}, &request);
    struct str uid = request.uid_valid ? request.uid : STR("?");
    struct str cid = !request.cid_valid ? STR("?") : request.cid.len > 0 ? request.cid : STR("-");
    struct str body = request.body.len > 0 ? request.body : STR("-");
    assert_in_range(request.type, 0, N_REQUEST_TYPES - 1);
    snprintf(out, size, "%s %.*s %.*s %.*s", type_names[request.type], (int)uid.len, uid.ptr,
             (int)cid.len, cid.ptr, (int)body.len, body.ptr);
    free(copy);
}

struct row {
    int line;
    const char *name;
    const char *input;
    const char *want;
};

/* The row says what it wants, and cut short anywhere it is illegal. */
static void check_rows(const struct row *rows, size_t n)
{
    for (const struct row *row = rows; row < rows + n; row++) {
        struct str input = str_of(row->input);
        char got[1024];
        parse_to_text(input, got, sizeof got);
        if (strcmp(got, row->want) != 0) {
            fail_msg("line %d (%s): %s", row->line, row->name, got);
        }
        for (size_t len = 0; len < input.len; len++) {
            parse_to_text((struct str){input.ptr, len}, got, sizeof got);
            if (strcmp(got, "illegal") != 0) {
                fail_msg("line %d (%s): cut to %zu bytes: %s", row->line, row->name, len, got);
            }
        }
    }
}

#define CHECK_ROWS(rows) check_rows((rows), sizeof(rows) / sizeof(rows)[0])

static void test_requests_of_the_original_client(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {__LINE__, "sign", "{\"type\":\"sign\",\"uid\":\"1001\"}", "sign 1001 - -"},
        {__LINE__, "msg", "{\"type\":\"msg\",\"to\":\"1002\",\"body\":\"hi\"}",
         "msg 1002 - \"hi\""},
        {__LINE__, "uid is a number", "{\"type\":\"sign\",\"uid\":1001}", "sign 1001 - -"},
    };
    CHECK_ROWS(rows);
}

/* SPEC 6: a broadcast has a body and no uid. */
static void test_broadcasts(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {__LINE__, "broadcast", "{\"type\":\"broadcast\",\"body\":[1]}", "broadcast ? - [1]"},
        {__LINE__, "no body", "{\"type\":\"broadcast\",\"cid\":\"c\"}", "broadcast ? \"c\" -"},
        {__LINE__, "uid and to", "{\"type\":\"broadcast\",\"uid\":\"a\",\"to\":\"b\",\"body\":0}",
         "broadcast ? - 0"},
        {__LINE__, "escaped", "{\"type\":\"\\u0062roadcast\",\"body\":null}", "broadcast ? - null"},
        {__LINE__, "in capitals", "{\"type\":\"Broadcast\",\"body\":1}", "illegal"},
    };
    CHECK_ROWS(rows);
}

/* [JSON-1] Order, white space and the choice of escapes mean nothing. */
static void test_form_means_nothing(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {__LINE__, "order", "{\"body\":1,\"to\":\"b\",\"type\":\"msg\"}", "msg b - 1"},
        {__LINE__, "space", " {\n\"type\" :\t\"sign\" ,\r\n \"uid\" : \"a\" }", "sign a - -"},
        {__LINE__, "type escaped", "{\"type\":\"s\\u0069gn\",\"uid\":\"a\"}", "sign a - -"},
        {__LINE__, "all of type escaped", "{\"type\":\"\\u006D\\u0073\\u0067\",\"to\":\"a\"}",
         "msg a - -"},
        {__LINE__, "name escaped", "{\"\\u0074ype\":\"sign\",\"u\\u0069d\":\"a\"}", "sign a - -"},
        {__LINE__, "all names escaped",
         "{\"\\u0074\\u0079\\u0070\\u0065\":\"msg\",\"\\u0074\\u006f\":\"a\","
         "\"\\u0062\\u006f\\u0064\\u0079\":2,\"\\u0063\\u0069\\u0064\":\"c\"}",
         "msg a \"c\" 2"},
        {__LINE__, "uid escaped", "{\"type\":\"sign\",\"uid\":\"\\u0031\\/\\\"\\\\\"}",
         "sign 1/\"\\ - -"},
        {__LINE__, "uid escaped, not ASCII",
         "{\"type\":\"sign\",\"uid\":\"\\u4e2d\\uD83D\\uDE00é\"}", "sign 中😀é - -"},
    };
    CHECK_ROWS(rows);
}

/* [JSON-9] Names and type are compared exactly. */
static void test_illegal_requests(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {__LINE__, "nothing", "", "illegal"},
        {__LINE__, "not JSON", "hello", "illegal"},
        {__LINE__, "array", "[\"type\",\"sign\"]", "illegal"},
        {__LINE__, "array of a request", "[{\"type\":\"sign\",\"uid\":\"a\"}]", "illegal"},
        {__LINE__, "string", "\"abc\"", "illegal"},
        {__LINE__, "no type", "{}", "illegal"},
        {__LINE__, "no type, but uid", "{\"uid\":\"a\"}", "illegal"},
        {__LINE__, "type unknown", "{\"type\":\"shout\",\"body\":1}", "illegal"},
        {__LINE__, "type longer than any", "{\"type\":\"broadcasts\",\"body\":1}", "illegal"},
        {__LINE__, "type empty", "{\"type\":\"\",\"uid\":\"a\"}", "illegal"},
        {__LINE__, "type in capitals", "{\"type\":\"Sign\",\"uid\":\"a\"}", "illegal"},
        {__LINE__, "type with space", "{\"type\":\"sign \",\"uid\":\"a\"}", "illegal"},
        {__LINE__, "type cut", "{\"type\":\"sig\",\"uid\":\"a\"}", "illegal"},
        {__LINE__, "type with NUL", "{\"type\":\"msg\\u0000\",\"to\":\"a\"}", "illegal"},
        {__LINE__, "type with NUL, escaped", "{\"type\":\"m\\u0073g\\u0000\",\"to\":\"a\"}",
         "illegal"},
        {__LINE__, "type true", "{\"type\":true,\"uid\":\"a\"}", "illegal"},
        {__LINE__, "type null", "{\"type\":null,\"uid\":\"a\"}", "illegal"},
        {__LINE__, "type number", "{\"type\":0,\"uid\":\"a\"}", "illegal"},
        {__LINE__, "type array", "{\"type\":[\"sign\"],\"uid\":\"a\"}", "illegal"},
        {__LINE__, "name in capitals", "{\"Type\":\"sign\",\"uid\":\"a\"}", "illegal"},
        {__LINE__, "name with NUL", "{\"type\\u0000\":\"sign\",\"uid\":\"a\"}", "illegal"},
        {__LINE__, "type deeper", "{\"a\":{\"type\":\"sign\"},\"uid\":\"a\"}", "illegal"},
        {__LINE__, "wrong behind all that counts", "{\"type\":\"sign\",\"uid\":\"a\",\"b\":01}",
         "illegal"},
        {__LINE__, "half a surrogate", "{\"type\":\"msg\",\"to\":\"a\",\"body\":\"\\ud800\"}",
         "illegal"},
        {__LINE__, "comma", "{\"type\":\"sign\",\"uid\":\"a\",}", "illegal"},
        {__LINE__, "not closed", "{\"type\":\"sign\"", "illegal"},
    };
    CHECK_ROWS(rows);
}

/* Trailing text, a second value, and a byte order mark make an illegal request, too. */
static void test_text_around_a_request_is_illegal(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"type\":\"sign\",\"uid\":\"a\"}x",
        "{\"type\":\"sign\",\"uid\":\"a\"}{}",
        "{\"type\":\"sign\",\"uid\":\"a\"},",
        "\xEF\xBB\xBF{\"type\":\"sign\",\"uid\":\"a\"}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char got[1024];
        parse_to_text(str_of(rows[i]), got, sizeof got);
        assert_string_equal(got, "illegal");
    }
}

/* [JSON-4], [JSON-5] Unknown members are ignored; of a repeated name the last one counts, valid
 * or not. */
static void test_members_unknown_and_repeated(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {__LINE__, "unknown", "{\"x\":1,\"type\":\"sign\",\"uidx\":2,\"uid\":\"a\",\"ui\":[3]}",
         "sign a - -"},
        {__LINE__, "long name", "{\"type\":\"sign\",\"a name that is longer than any of ours\":1}",
         "sign ? - -"},
        {__LINE__, "other case", "{\"type\":\"sign\",\"uid\":\"a\",\"UID\":\"b\"}", "sign a - -"},
        {__LINE__, "name with NUL is another",
         "{\"type\":\"sign\",\"uid\":\"a\",\"uid\\u0000\":\"b\"}", "sign a - -"},
        {__LINE__, "empty name", "{\"\":1,\"type\":\"sign\",\"uid\":\"a\"}", "sign a - -"},
        {__LINE__, "type twice", "{\"type\":\"sign\",\"uid\":\"a\",\"type\":\"msg\",\"to\":\"b\"}",
         "msg b - -"},
        {__LINE__, "type, then unknown", "{\"type\":\"sign\",\"uid\":\"a\",\"type\":\"x\"}",
         "illegal"},
        {__LINE__, "unknown, then type", "{\"type\":1,\"uid\":\"a\",\"type\":\"sign\"}",
         "sign a - -"},
        {__LINE__, "uid twice", "{\"type\":\"sign\",\"uid\":\"a\",\"uid\":\"b\"}", "sign b - -"},
        {__LINE__, "uid, then none", "{\"type\":\"sign\",\"uid\":\"a\",\"uid\":[]}", "sign ? - -"},
        {__LINE__, "none, then uid", "{\"type\":\"sign\",\"uid\":[],\"uid\":\"a\"}", "sign a - -"},
        {__LINE__, "uid twice, once escaped",
         "{\"type\":\"sign\",\"uid\":\"a\",\"\\u0075id\":\"b\"}", "sign b - -"},
        {__LINE__, "body twice", "{\"type\":\"msg\",\"to\":\"a\",\"body\":1,\"body\":2}",
         "msg a - 2"},
        {__LINE__, "cid twice", "{\"type\":\"sign\",\"uid\":\"a\",\"cid\":\"1\",\"cid\":\"2\"}",
         "sign a \"2\" -"},
        {__LINE__, "cid, then none", "{\"type\":\"sign\",\"uid\":\"a\",\"cid\":\"1\",\"cid\":2}",
         "sign a ? -"},
        {__LINE__, "sign has no to", "{\"type\":\"sign\",\"to\":\"b\"}", "sign ? - -"},
        {__LINE__, "msg has no uid", "{\"type\":\"msg\",\"uid\":\"b\",\"body\":1}", "msg ? - 1"},
        {__LINE__, "sign ignores to", "{\"type\":\"sign\",\"to\":[],\"uid\":\"a\"}", "sign a - -"},
        {__LINE__, "msg ignores uid", "{\"type\":\"msg\",\"to\":\"a\",\"uid\":[]}", "msg a - -"},
    };
    CHECK_ROWS(rows);
}

static const struct {
    int line;
    const char *value;
    const char *want; /* "?": invalid */
} uids[] = {
    {__LINE__, "\"a\"", "a"},
    {__LINE__, "\"0\"", "0"},
    {__LINE__, "\" a b \"", " a b "},
    {__LINE__, "\"é\"", "é"},
    {__LINE__, "\"1.0\"", "1.0"},
    {__LINE__, "\"\\u0020\"", " "},
    {__LINE__, "\"\\u0080\"", "\xC2\x80"}, /* a control character, but none of those */
    {__LINE__, "\"\"", "?"},
    {__LINE__, "\"\x7F\"", "?"},
    {__LINE__, "\"a\\u007F\"", "?"},
    {__LINE__, "\"a\\u0000\"", "?"},
    {__LINE__, "\"\\u0000\"", "?"},
    {__LINE__, "\"\\u0000a\"", "?"},
    {__LINE__, "\"\\u0001a\"", "?"},
    {__LINE__, "\"a\\u001f\"", "?"},
    {__LINE__, "\"a\\nb\"", "?"},
    {__LINE__, "\"\\b\"", "?"},
    {__LINE__, "0", "0"},
    {__LINE__, "-0", "0"},
    {__LINE__, "7", "7"},
    {__LINE__, "-7", "-7"},
    {__LINE__, "-10", "-10"},
    {__LINE__, "9007199254740991", "9007199254740991"},
    {__LINE__, "-9007199254740991", "-9007199254740991"},
    {__LINE__, "9007199254740992", "?"},
    {__LINE__, "-9007199254740992", "?"},
    {__LINE__, "9999999999999999", "?"},
    {__LINE__, "10000000000000000", "?"},
    {__LINE__, "18446744073709551617", "?"}, /* 2^64 + 1 */
    {__LINE__, "-18446744073709551617", "?"},
    {__LINE__, "1.0", "?"},
    {__LINE__, "1e3", "?"},
    {__LINE__, "0.0", "?"},
    {__LINE__, "0e0", "?"},
    {__LINE__, "null", "?"},
    {__LINE__, "true", "?"},
    {__LINE__, "false", "?"},
    {__LINE__, "[]", "?"},
    {__LINE__, "[\"a\"]", "?"},
    {__LINE__, "{}", "?"},
};

/* [UID-1], [UID-2], [UID-3] What is a uid, and which. 'value' stands for uid in a sign and for
 * to in a msg. */
static void test_uids(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof uids / sizeof uids[0]; i++) {
        char sign[128];
        char msg[128];
        char want_sign[128];
        char want_msg[128];
        snprintf(sign, sizeof sign, "{\"type\":\"sign\",\"uid\":%s}", uids[i].value);
        snprintf(msg, sizeof msg, "{\"to\":%s,\"type\":\"msg\",\"body\":\"\"}", uids[i].value);
        snprintf(want_sign, sizeof want_sign, "sign %s - -", uids[i].want);
        snprintf(want_msg, sizeof want_msg, "msg %s - \"\"", uids[i].want);
        const struct row both[] = {
            {uids[i].line, "sign", sign, want_sign},
            {uids[i].line, "msg", msg, want_msg},
        };
        CHECK_ROWS(both);
    }
}

/* Writes the request 'before', n times 'unit', 'after' to 'out'; returns its length. */
static size_t write_request(char *out, const char *before, const char *unit, size_t n,
                            const char *after)
{
    char *p = stpcpy(out, before);
    for (size_t i = 0; i < n; i++) {
        p = stpcpy(p, unit);
    }
    return (size_t)(stpcpy(p, after) - out);
}

/* Ways to write a character, and the bytes of UTF-8 that it has. */
static const struct {
    const char *unit;
    size_t size;
} units[] = {{"x", 1},       {"\\u0041", 1}, {"\\/", 1},
             {"é", 2},       {"\\u00e9", 2}, {"中", 3},
             {"\\u4E2D", 3}, {"😀", 4},       {"\\uD83D\\uDE00", 4}};

/* [UID-1] 128 bytes, counted after decoding, however they are written. */
static void test_longest_uid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        static char text[4096];
        struct request request;
        size_t n = UID_SIZE_MAX / units[i].size;

        size_t len = write_request(text, "{\"type\":\"sign\",\"uid\":\"", units[i].unit, n, "\"}");
        assert_int_equal(request_parse((struct str){text, len}, &request), ERR_OK);
        assert_true(request.uid_valid);
        assert_int_equal(request.uid.len, n * units[i].size);

        len = write_request(text, "{\"type\":\"sign\",\"uid\":\"", units[i].unit, n + 1, "\"}");
        assert_int_equal(request_parse((struct str){text, len}, &request), ERR_OK);
        assert_false(request.uid_valid);
    }
}

/* [UID-1] Exactly 128 and 129 bytes of several lengths. */
static void test_longest_uid_to_the_byte(void **state)
{
    (void)state;
    static char text[4096];
    struct request request;
    size_t len = write_request(text, "{\"type\":\"sign\",\"uid\":\"é", "中", 42, "\"}");
    assert_int_equal(request_parse((struct str){text, len}, &request), ERR_OK);
    assert_true(request.uid_valid);
    assert_int_equal(request.uid.len, 128);

    len = write_request(text, "{\"type\":\"sign\",\"uid\":\"", "中", 43, "\"}");
    assert_int_equal(request_parse((struct str){text, len}, &request), ERR_OK);
    assert_false(request.uid_valid);
}

/* [CID-1], [CID-3] A cid is kept as it was written. */
static void test_cids(void **state)
{
    (void)state;
    static const struct {
        int line;
        const char *value;
        bool valid;
    } rows[] = {
        {__LINE__, "\"1\"", true},
        {__LINE__, "\"a \\n\\u0041\\\"\"", true},
        {__LINE__, "\"\\u0000\"", true},
        {__LINE__, "\"\x7F\"", true},
        {__LINE__, "\"\\ud83d\\uDE00中\"", true},
        {__LINE__, "\"\"", false},
        {__LINE__, "1", false},
        {__LINE__, "null", false},
        {__LINE__, "true", false},
        {__LINE__, "[\"a\"]", false},
        {__LINE__, "{}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];
        char want[128];
        snprintf(text, sizeof text, "{\"type\":\"sign\",\"uid\":\"a\",\"cid\":%s}", rows[i].value);
        snprintf(want, sizeof want, "sign a %s -", rows[i].valid ? rows[i].value : "?");
        const struct row row[] = {{rows[i].line, rows[i].value, text, want}};
        CHECK_ROWS(row);
    }
}

/* [CID-1] 64 bytes, counted after decoding, however they are written. */
static void test_longest_cid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        static char text[4096];
        struct request request;
        size_t n = CID_SIZE_MAX / units[i].size;

        size_t len = write_request(text, "{\"type\":\"sign\",\"cid\":\"", units[i].unit, n, "\"}");
        assert_int_equal(request_parse((struct str){text, len}, &request), ERR_OK);
        assert_true(request.cid_valid);
        assert_int_equal(request.cid.len, n * strlen(units[i].unit) + 2);
        assert_int_equal(request.cid_value.len, n * units[i].size);

        len = write_request(text, "{\"type\":\"sign\",\"cid\":\"", units[i].unit, n + 1, "\"}");
        assert_int_equal(request_parse((struct str){text, len}, &request), ERR_OK);
        assert_false(request.cid_valid);
        assert_int_equal(request.cid.len, 0);
        assert_int_equal(request.cid_value.len, 0);
    }
}

/* [HIST-18] By its value, escapes decoded and U+0000 included, a cid tells a retry. */
static void test_cid_value_is_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *cid;
        struct str want; /* len 0: it is no cid */
    } rows[] = {
        {"\"m1\"", STR_INIT("m1")},
        {"\"\\u006d1\"", STR_INIT("m1")},
        {"\"\\u0000\"", STR_INIT("\0")},
        {"\"a\\u0000b\"", STR_INIT("a\0b")},
        {"\"\\u0000\\u0000\"", STR_INIT("\0\0")},
        {"\"\\n\\/\\\"\"", STR_INIT("\n/\"")},
        {"\"\\uD83D\\uDE00\"", STR_INIT("😀")},
        {"\"\"", STR_INIT("")},
        {"7", STR_INIT("")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];
        struct request request;
        snprintf(text, sizeof text, "{\"type\":\"msg\",\"cid\":%s}", rows[i].cid);

        assert_int_equal(request_parse(str_of(text), &request), ERR_OK);

        assert_int_equal(request.cid_valid, rows[i].want.len > 0);
        assert_int_equal(request.cid_value.len, rows[i].want.len);
        assert_memory_equal(request.cid_value.ptr, rows[i].want.ptr, rows[i].want.len);
        check_views(str_of(text), &request);
    }
}

/* Without a cid there is no value of one. */
static void test_cid_value_when_there_is_no_cid_is_empty(void **state)
{
    (void)state;
    struct request request;
    memset(&request, 0xA5, sizeof request);

    assert_int_equal(request_parse(STR("{\"type\":\"msg\"}"), &request), ERR_OK);

    assert_true(request.cid_valid);
    assert_int_equal(request.cid.len, 0);
    assert_int_equal(request.cid_value.len, 0);
}

/* [HIST-9] What is an id, and which. 'value' stands for since in a sign. */
static void test_sinces(void **state)
{
    (void)state;
    static const struct {
        int line;
        const char *value;
        bool valid;
        struct message_id want;
    } rows[] = {
        {__LINE__, "\"0-0\"", true, {0, 0}},
        {__LINE__, "\"1700000000000-0\"", true, {1700000000000, 0}},
        {__LINE__, "\"17-42\"", true, {17, 42}},
        {__LINE__, "\"\\u0031-\\u0032\"", true, {1, 2}},
        {__LINE__,
         "\"9007199254740991-9007199254740991\"",
         true,
         {9007199254740991, 9007199254740991}},
        {__LINE__, "\"9007199254740992-0\"", false, {0, 0}},
        {__LINE__, "\"0-9007199254740992\"", false, {0, 0}},
        {__LINE__, "\"18446744073709551617-0\"", false, {0, 0}},
        {__LINE__, "\"yesterday\"", false, {0, 0}},
        {__LINE__, "\"\"", false, {0, 0}},
        {__LINE__, "\"17\"", false, {0, 0}},
        {__LINE__, "\"17-\"", false, {0, 0}},
        {__LINE__, "\"-17\"", false, {0, 0}},
        {__LINE__, "\"017-0\"", false, {0, 0}},
        {__LINE__, "\"17-00\"", false, {0, 0}},
        {__LINE__, "\"17-0 \"", false, {0, 0}},
        {__LINE__, "\" 17-0\"", false, {0, 0}},
        {__LINE__, "\"17-0\\u0000\"", false, {0, 0}},
        {__LINE__, "\"17-0-0\"", false, {0, 0}},
        {__LINE__, "\"+17-0\"", false, {0, 0}},
        {__LINE__, "\"1.5-0\"", false, {0, 0}},
        {__LINE__, "\"000000000000000000000000000000000000000000017-0\"", false, {0, 0}},
        {__LINE__, "17", false, {0, 0}},
        {__LINE__, "null", false, {0, 0}},
        {__LINE__, "false", false, {0, 0}},
        {__LINE__, "[\"17-0\"]", false, {0, 0}},
        {__LINE__, "{}", false, {0, 0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];
        struct request request;
        snprintf(text, sizeof text, "{\"type\":\"sign\",\"uid\":\"a\",\"since\":%s}",
                 rows[i].value);
        char *copy = exact_copy(str_of(text));

        assert_int_equal(request_parse((struct str){copy, strlen(text)}, &request), ERR_OK);

        free(copy);
        bool right = request.has_since && request.since_valid == rows[i].valid &&
                     message_id_compare(request.since, rows[i].want) == 0;
        if (!right) {
            fail_msg("line %d: since %s", rows[i].line, rows[i].value);
        }
    }
}

static void test_since_when_there_is_none_is_valid(void **state)
{
    (void)state;
    struct request request;
    memset(&request, 0xA5, sizeof request);

    assert_int_equal(request_parse(STR("{\"type\":\"sign\",\"uid\":\"a\"}"), &request), ERR_OK);

    assert_false(request.has_since);
    assert_true(request.since_valid);
}

/* [BODY-1], [BODY-2], [BODY-3] Any value is a body, and its text is kept byte for byte. */
static void test_body_is_kept_as_it_was_written(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "null",
        "false",
        "0",
        "-0",
        "\"\"",
        "{}",
        "[]",
        "9007199254740993",
        "123456789012345678901234567890.5e-1000",
        "1e400",
        "1E+2",
        "1.10",
        "\"\\u0000\\uD83D\\uDE00\\/ é\x7F\"",
        "{\"b\":1,\"a\":{ \"b\" : [ 1 , 2 ] },\"b\":2,\"type\":\"sign\"}",
        "[ [ ] , { } ,\t\"a\"\n]",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char text[256];
        char want[256];
        snprintf(text, sizeof text, "{\"type\":\"msg\",\"to\":\"a\",\"body\": %s }", bodies[i]);
        snprintf(want, sizeof want, "msg a - %s", bodies[i]);
        const struct row row[] = {{__LINE__, bodies[i], text, want}};
        CHECK_ROWS(row);
    }
}

/* A body of 64 KiB is one view, copied nowhere. */
static void test_long_body(void **state)
{
    (void)state;
    static char text[70000];
    struct request request;
    size_t len =
        write_request(text, "{\"type\":\"msg\",\"to\":\"a\",\"body\":\"", "x", 65536, "\"}");
    assert_int_equal(request_parse((struct str){text, len}, &request), ERR_OK);
    assert_int_equal(request.body.len, 65538);
    assert_ptr_equal(request.body.ptr + request.body.len, text + len - 1);
}

/* A string of 64 KiB in escapes where a short one is expected is none, and is not decoded. */
static void test_long_strings_in_short_places(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after, *want;
    } rows[] = {
        {"{\"type\":\"", "\"}", "illegal"},
        {"{\"type\":\"sign\",\"uid\":\"", "\"}", "sign ? - -"},
        {"{\"type\":\"sign\",\"cid\":\"", "\"}", "sign ? ? -"},
        {"{\"type\":\"sign\",\"", "\":1}", "sign ? - -"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static char text[70000];
        char got[128];
        size_t len = write_request(text, rows[i].before, "\\u0041", 10900, rows[i].after);
        parse_to_text((struct str){text, len}, got, sizeof got);
        assert_string_equal(got, rows[i].want);
    }
}

/* An illegal request leaves 'out' as it was. */
static void test_illegal_request_leaves_out_untouched(void **state)
{
    (void)state;
    struct request request;
    struct request before;
    memset(&request, 0xA5, sizeof request);
    memset(&before, 0xA5, sizeof before);
    enum err err =
        request_parse(STR("{\"type\":\"sign\",\"uid\":\"\\u0061\",\"cid\":\"1\""), &request);
    assert_int_equal(err, ERR_ILLEGAL);
    err = request_parse(STR("{\"type\":\"x\",\"uid\":\"\\u0061\",\"cid\":\"1\"}"), &request);
    assert_int_equal(err, ERR_ILLEGAL);
    assert_memory_equal(&request, &before, sizeof request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_of_the_original_client),
        cmocka_unit_test(test_broadcasts),
        cmocka_unit_test(test_form_means_nothing),
        cmocka_unit_test(test_illegal_requests),
        cmocka_unit_test(test_text_around_a_request_is_illegal),
        cmocka_unit_test(test_members_unknown_and_repeated),
        cmocka_unit_test(test_uids),
        cmocka_unit_test(test_longest_uid),
        cmocka_unit_test(test_longest_uid_to_the_byte),
        cmocka_unit_test(test_cids),
        cmocka_unit_test(test_longest_cid),
        cmocka_unit_test(test_cid_value_is_decoded),
        cmocka_unit_test(test_cid_value_when_there_is_no_cid_is_empty),
        cmocka_unit_test(test_sinces),
        cmocka_unit_test(test_since_when_there_is_none_is_valid),
        cmocka_unit_test(test_body_is_kept_as_it_was_written),
        cmocka_unit_test(test_long_body),
        cmocka_unit_test(test_long_strings_in_short_places),
        cmocka_unit_test(test_illegal_request_leaves_out_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
