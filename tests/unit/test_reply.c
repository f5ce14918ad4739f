#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/parser.h"

#define TOKEN "0123456789abcdef0123456789abcdef"

/* SPEC 4.1, 6 and 7: each reply, and what it says to a program. */
static const struct row {
    enum reply_kind kind;
    const char *text; /* without cid */
    int status;
    const char *msg, *token, *code; /* NULL: not there */
    bool disconnect;
} rows[] = {
    {REPLY_SIGNED, "{\"status\":1,\"msg\":\"注册成功\",\"token\":\"" TOKEN "\"}", 1, "注册成功",
     TOKEN, NULL, false},
    {REPLY_SENT, "{\"status\":1,\"msg\":\"sended\"}", 1, "sended", NULL, NULL, false},
    {REPLY_NOT_SIGNED, "{\"status\":0,\"msg\":\"发送失败,未登入\",\"code\":\"not_signed\"}", 0,
     "发送失败,未登入", NULL, "not_signed", false},
    {REPLY_INVALID_CID, "{\"status\":0,\"msg\":\"参数错误\",\"code\":\"invalid_cid\"}", 0,
     "参数错误", NULL, "invalid_cid", false},
    {REPLY_INVALID_UID, "{\"status\":0,\"msg\":\"参数错误\",\"code\":\"invalid_uid\"}", 0,
     "参数错误", NULL, "invalid_uid", false},
    {REPLY_INVALID_TO, "{\"status\":0,\"msg\":\"参数错误\",\"code\":\"invalid_to\"}", 0, "参数错误",
     NULL, "invalid_to", false},
    {REPLY_INVALID_SINCE, "{\"status\":0,\"msg\":\"参数错误\",\"code\":\"invalid_since\"}", 0,
     "参数错误", NULL, "invalid_since", false},
    {REPLY_MISSING_BODY, "{\"status\":0,\"msg\":\"参数错误\",\"code\":\"missing_body\"}", 0,
     "参数错误", NULL, "missing_body", false},
    {REPLY_DENIED, "{\"status\":0,\"msg\":\"没有权限\",\"code\":\"denied\"}", 0, "没有权限", NULL,
     "denied", false},
    {REPLY_FULL, "{\"status\":0,\"msg\":\"对方离线消息已满\",\"code\":\"full\"}", 0,
     "对方离线消息已满", NULL, "full", false},
    {REPLY_UNAVAILABLE, "{\"status\":0,\"msg\":\"服务不可用\",\"code\":\"unavailable\"}", 0,
     "服务不可用", NULL, "unavailable", false},
    {REPLY_ILLEGAL, "{\"status\":0,\"msg\":\"非法请求\",\"disconnect\":1,\"code\":\"illegal\"}", 0,
     "非法请求", NULL, "illegal", true},
};

enum {
    N_ROWS = sizeof rows / sizeof rows[0]
};

/* The reply of the row with 'cid', written to the heap, so that a byte past REPLY_SIZE_MAX is
 * seen. Caller owns. */
static char *write_reply(const struct row *row, struct str cid, size_t *len)
{
    struct reply reply = {.kind = row->kind, .cid = cid};
    if (row->token != NULL) {
        reply.token = str_of(row->token);
    }
    char *out = malloc(REPLY_SIZE_MAX);
    assert_non_null(out);
    *len = reply_write(&reply, out);
    return out;
}

static void test_every_kind_is_in_the_table(void **state)
{
    (void)state;
    assert_int_equal(N_ROWS, N_REPLY_KINDS);
    for (size_t i = 0; i < N_ROWS; i++) {
        assert_int_equal(rows[i].kind, i);
    }
}

/* Byte for byte, the order of the members included. */
static void test_reply_is_the_text_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS; i++) {
        size_t len;
        char *out = write_reply(&rows[i], (struct str){NULL, 0}, &len);
        assert_int_equal(len, strlen(rows[i].text));
        assert_memory_equal(out, rows[i].text, len);
        free(out);
    }
}

/* [CID-1] With a cid the reply is the same but for the cid, as it was written, at its end. */
static void test_cid_comes_last(void **state)
{
    (void)state;
    struct str cid = STR("\"a\\u0041\\\"中\"");
    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].kind == REPLY_ILLEGAL) {
            continue; /* [CID-4] never has one */
        }
        char want[1024];
        size_t without = strlen(rows[i].text) - 1;
        snprintf(want, sizeof want, "%.*s,\"cid\":%.*s}", (int)without, rows[i].text, (int)cid.len,
                 cid.ptr);
        size_t len;
        char *out = write_reply(&rows[i], cid, &len);
        assert_int_equal(len, strlen(want));
        assert_memory_equal(out, want, len);
        free(out);
    }
}

/* 'want' NULL: there is no such member. */
static void then_member(const cJSON *json, const char *name, const char *want)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(json, name);
    if (want == NULL) {
        assert_null(member);
        return;
    }
    assert_non_null(member);
    assert_string_equal(cJSON_GetStringValue(member), want);
}

static void then_number(const cJSON *json, const char *name, double want)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(json, name);
    assert_true(cJSON_IsNumber(member));
    assert_true(cJSON_GetNumberValue(member) == want);
}

/* Read back by a JSON parser, each reply has the members of its row and no others. */
static void test_reply_reads_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct row *row = &rows[i];
        bool has_cid = row->kind != REPLY_ILLEGAL;
        size_t len;
        char *out = write_reply(row, has_cid ? STR("\"q\\n1\"") : (struct str){NULL, 0}, &len);
        cJSON *json = cJSON_ParseWithLength(out, len);
        free(out);
        assert_non_null(json);

        then_number(json, "status", row->status);
        then_member(json, "msg", row->msg);
        then_member(json, "token", row->token);
        then_member(json, "code", row->code);
        then_member(json, "cid", has_cid ? "q\n1" : NULL);
        if (row->disconnect) {
            then_number(json, "disconnect", 1);
        }
        int n_members = 2 + (row->token != NULL) + (row->code != NULL) + has_cid + row->disconnect;
        assert_int_equal(cJSON_GetArraySize(json), n_members);
        cJSON_Delete(json);
    }
}

/* The longest cid that a request can carry fits in every reply. */
static void test_longest_cid_fits(void **state)
{
    (void)state;
    char text[1024] = "{\"type\":\"sign\",\"cid\":\"";
    for (int i = 0; i < CID_SIZE_MAX; i++) {
        strcat(text, "\\u0041");
    }
    strcat(text, "\"}");
    struct request request;
    assert_int_equal(request_parse(str_of(text), &request), ERR_OK);
    assert_int_equal(request.cid.len, 6 * CID_SIZE_MAX + 2);

    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].kind == REPLY_ILLEGAL) {
            continue;
        }
        size_t len;
        char *out = write_reply(&rows[i], request.cid, &len);
        assert_in_range(len, request.cid.len, REPLY_SIZE_MAX);
        assert_memory_equal(out + len - 1 - request.cid.len, request.cid.ptr, request.cid.len);
        free(out);
    }
}

#define LONGEST_ID "9007199254740991-9007199254740991"

/* [HIST-5] [HIST-10] [HIST-18] What the feature history adds stands before the cid. */
static void test_reply_has_what_history_adds(void **state)
{
    (void)state;
    static const struct message_id longest_id = {9007199254740991, 9007199254740991};
    const struct {
        struct reply reply;
        const char *want;
    } replies[] = {
        {{.kind = REPLY_SENT, .id = {17, 0}}, "{\"status\":1,\"msg\":\"sended\",\"id\":\"17-0\"}"},
        {{.kind = REPLY_SENT, .id = {17, 42}, .is_dup = true, .cid = STR("\"c\"")},
         "{\"status\":1,\"msg\":\"sended\",\"id\":\"17-42\",\"dup\":1,\"cid\":\"c\"}"},
        {{.kind = REPLY_SENT, .id = longest_id},
         "{\"status\":1,\"msg\":\"sended\",\"id\":\"" LONGEST_ID "\"}"},
        {{.kind = REPLY_SIGNED, .token = STR(TOKEN), .has_gap = true},
         "{\"status\":1,\"msg\":\"注册成功\",\"token\":\"" TOKEN "\",\"gap\":1}"},
        {{.kind = REPLY_SIGNED, .token = STR(TOKEN), .has_gap = true, .cid = STR("\"c\"")},
         "{\"status\":1,\"msg\":\"注册成功\",\"token\":\"" TOKEN "\",\"gap\":1,\"cid\":\"c\"}"},
    };
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        char *out = malloc(REPLY_SIZE_MAX);
        assert_non_null(out);
        size_t len = reply_write(&replies[i].reply, out);
        assert_int_equal(len, strlen(replies[i].want));
        assert_memory_equal(out, replies[i].want, len);
        free(out);
    }
}

/* The delivery, written to the heap with no byte to spare. Caller owns. */
static char *write_whole_delivery(const struct delivery *delivery, size_t *len)
{
    size_t size_max = delivery_size_max(delivery);
    char *out = malloc(size_max);
    assert_non_null(out);
    *len = delivery_write(delivery, out);
    assert_true(*len <= size_max);
    return out;
}

static char *write_delivery(struct str from, struct str body, size_t *len)
{
    return write_whole_delivery(&(struct delivery){.from = from, .body = body}, len);
}

/* [UID-5], [BODY-2] The body as it was written, from as a string. */
static void test_delivery_is_body_then_from(void **state)
{
    (void)state;
    static const struct {
        const char *from, *body, *want;
    } deliveries[] = {
        {"1001", "\"hi\"", "{\"body\":\"hi\",\"from\":\"1001\"}"},
        {"-7", "{ \"a\" : 1e400 }", "{\"body\":{ \"a\" : 1e400 },\"from\":\"-7\"}"},
        {"中 /é😀\x7F", "null", "{\"body\":null,\"from\":\"中 /é😀\x7F\"}"},
        {"a\"b\\c", "[]", "{\"body\":[],\"from\":\"a\\\"b\\\\c\"}"},
        {"\x01\x1F\n", "0", "{\"body\":0,\"from\":\"\\u0001\\u001f\\u000a\"}"},
    };
    for (size_t i = 0; i < sizeof deliveries / sizeof deliveries[0]; i++) {
        size_t len;
        char *out = write_delivery(str_of(deliveries[i].from), str_of(deliveries[i].body), &len);
        assert_int_equal(len, strlen(deliveries[i].want));
        assert_memory_equal(out, deliveries[i].want, len);
        free(out);
    }
}

/* [CAST-2] [HIST-3] A broadcast says so; a stored msg has its id, and as its time the id's. */
static void test_delivery_has_what_features_add(void **state)
{
    (void)state;
    const struct {
        struct delivery delivery;
        const char *want;
    } deliveries[] = {
        {{.from = STR("1001"), .body = STR("0"), .is_broadcast = true},
         "{\"body\":0,\"from\":\"1001\",\"broadcast\":1}"},
        {{.from = STR("1001"), .body = STR("\"hi\""), .id = {17, 0}},
         "{\"body\":\"hi\",\"from\":\"1001\",\"id\":\"17-0\",\"time\":17}"},
        {{.from = STR("a"), .body = STR("{}"), .id = {1700000000000, 3}},
         "{\"body\":{},\"from\":\"a\",\"id\":\"1700000000000-3\",\"time\":1700000000000}"},
        {{.from = STR("\x01"), .body = STR("1"), .id = {9007199254740991, 9007199254740991}},
         "{\"body\":1,\"from\":\"\\u0001\",\"id\":\"" LONGEST_ID "\",\"time\":9007199254740991}"},
    };
    for (size_t i = 0; i < sizeof deliveries / sizeof deliveries[0]; i++) {
        size_t len;
        char *out = write_whole_delivery(&deliveries[i].delivery, &len);
        assert_int_equal(len, strlen(deliveries[i].want));
        assert_memory_equal(out, deliveries[i].want, len);
        free(out);
    }
}

/* Whatever the uid, a JSON parser reads the same one back; the longest of what takes most room
 * included. */
static void test_from_reads_back(void **state)
{
    (void)state;
    for (int byte = 1; byte < 128; byte++) {
        char from[UID_SIZE_MAX + 1];
        memset(from, byte, UID_SIZE_MAX);
        from[UID_SIZE_MAX] = '\0';
        size_t len;
        char *out = write_delivery(str_of(from), STR("1"), &len);
        cJSON *json = cJSON_ParseWithLength(out, len);
        free(out);
        then_member(json, "from", from);
        cJSON_Delete(json);
    }
}

/* A message of the limit with the shortest head is received, so it has to be deliverable with all
 * that a delivery can add. */
static void test_longest_delivery_has_its_room(void **state)
{
    (void)state;
    static const char shortest[] = "{\"type\":\"msg\",\"to\":\"b\",\"body\":1}";
    char from[UID_SIZE_MAX];
    memset(from, 1, sizeof from);
    const struct delivery delivery = {.from = {from, sizeof from},
                                      .body = STR("1"),
                                      .id = {9007199254740991, 9007199254740991},
                                      .is_broadcast = true};
    char *out = malloc(delivery_size_max(&delivery));

    size_t len = delivery_write(&delivery, out);

    enum {
        FRAME_HEADER = 10
    };
    assert_in_range(len + FRAME_HEADER, 6 * UID_SIZE_MAX, DELIVERY_ROOM + strlen(shortest));
    assert_true(len <= delivery_size_max(&delivery));
    free(out);
}

static void test_longest_reply_fits(void **state)
{
    (void)state;
    char cid[6 * CID_SIZE_MAX + 2];
    memset(cid, 'x', sizeof cid);
    for (size_t i = 0; i < N_ROWS; i++) {
        if (rows[i].kind == REPLY_ILLEGAL) {
            continue;
        }
        struct reply reply = {.kind = rows[i].kind,
                              .cid = {cid, sizeof cid},
                              .token = STR(TOKEN),
                              .id = {9007199254740991, 9007199254740991},
                              .is_dup = true,
                              .has_gap = true};
        char *out = malloc(REPLY_SIZE_MAX); /* a byte more is seen by AddressSanitizer */
        assert_in_range(reply_write(&reply, out), sizeof cid, REPLY_SIZE_MAX);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_is_in_the_table),
        cmocka_unit_test(test_reply_is_the_text_of_the_table),
        cmocka_unit_test(test_cid_comes_last),
        cmocka_unit_test(test_longest_reply_fits),
        cmocka_unit_test(test_longest_delivery_has_its_room),
        cmocka_unit_test(test_reply_reads_back),
        cmocka_unit_test(test_longest_cid_fits),
        cmocka_unit_test(test_reply_has_what_history_adds),
        cmocka_unit_test(test_delivery_is_body_then_from),
        cmocka_unit_test(test_delivery_has_what_features_add),
        cmocka_unit_test(test_from_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
