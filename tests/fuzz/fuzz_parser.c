/* Any bytes as a message: the parser neither reads outside of them nor accepts what it could not
 * pass on. SPEC 3. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "chat/parser.h"
#include "chat/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A heap copy of the exact size, so that AddressSanitizer sees the first byte too far. */
static struct str copy_of(const void *bytes, size_t len)
{
    char *copy = malloc(len == 0 ? 1 : len);
    assert(copy != NULL);
    memcpy(copy, bytes, len);
    return (struct str){copy, len};
}

static void drop(struct str copy)
{
    free((void *)(uintptr_t)copy.ptr);
}

static bool is_within(struct str part, struct str whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

/* [BODY-2] What was accepted as a body is accepted again, and is the same text. */
static void check_body_survives(struct str body)
{
    static const char head[] = "{\"type\":\"msg\",\"to\":\"a\",\"body\":";
    char *text = malloc(sizeof head + body.len);
    assert(text != NULL);
    memcpy(text, head, sizeof head - 1);
    memcpy(text + sizeof head - 1, body.ptr, body.len);
    text[sizeof head - 1 + body.len] = '}';
    struct request again;
    enum err err = request_parse((struct str){text, sizeof head + body.len}, &again);
    assert(err == ERR_OK && str_eq(again.body, body));
    free(text);
}

/* A parser that is more generous than RFC 8259 has to accept what a strict one does. */
static void check_other_parser_agrees(struct str text)
{
    cJSON *value = cJSON_ParseWithLength(text.ptr, text.len);
    assert(value != NULL);
    cJSON_Delete(value);
}

static void check_replies(const struct request *request)
{
    char reply[REPLY_SIZE_MAX];
    struct reply sent = {.kind = REPLY_SENT, .cid = request->cid, .id = request->since};
    check_other_parser_agrees((struct str){reply, reply_write(&sent, reply)});
    struct delivery delivery = {.from = request->uid, .body = request->body, .id = request->since};
    if (request->uid_valid && request->body.len > 0) {
        char *out = malloc(delivery_size_max(&delivery));
        assert(out != NULL);
        check_other_parser_agrees((struct str){out, delivery_write(&delivery, out)});
        free(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = copy_of(data, size);
    struct request request;
    if (utf8_valid(text) && request_parse(text, &request) == ERR_OK) {
        assert(request.type < N_REQUEST_TYPES);
        assert(is_within(request.cid, text) && is_within(request.body, text));
        assert(!request.uid_valid || (request.uid.len >= 1 && request.uid.len <= UID_SIZE_MAX));
        assert(request.cid_value.len <= CID_SIZE_MAX);
        assert(request.body.len == 0 || body_is_valid(request.body));
        check_other_parser_agrees(text);
        check_replies(&request);
        if (request.body.len > 0) {
            check_body_survives(request.body);
        }
    }
    drop(text);
    return 0;
}
