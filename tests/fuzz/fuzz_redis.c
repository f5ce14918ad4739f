/* Any replies as what Redis says, in any order with losses, time and requests: nothing crashes,
 * and every request is answered once. SPEC 5, 7, 8.
 *
 * The input is a program: a byte for each step, and what the step needs behind it. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chat/inbox.h"
#include "chat/log.h"
#include "chat/nodes.h"
#include "chat/redis_store.h"
#include "fakes/fake_loop.h"
#include "scripted_link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    DEPTH_MAX = 4,
    ELEMENTS_MAX = 6,
    STRING_SIZE_MAX = 24,
    DEVICES = 4,
    TICK_MS = 50
};

static const uint8_t *input;
static size_t n_left;
static struct mapping_store *store;
static int n_asked;
static int n_answered;
static bool is_bound[DEVICES + 1]; /* or was asked to be */
static bool is_binding[DEVICES + 1];

static uint8_t take(void)
{
    if (n_left == 0) {
        return 0;
    }
    n_left--;
    return *input++;
}

/* ---- replies ---- */

/* What a Redis that is what it should be might say, so that the rest of the store is reached,
 * too. */
static const struct str words[] = {
    STR_INIT("17-0"),
    STR_INIT("18446744073709551615-1"),
    STR_INIT("0-0"),
    STR_INIT("node-0123456789abcdef"),
    STR_INIT("node-0123456789abcdef.1"),
    STR_INIT("node-0123456789abcdef.18446744073709551616"),
    STR_INIT("alice"),
    STR_INIT("{\"a\":1}"),
    STR_INIT("uid"),
    STR_INIT("from"),
    STR_INIT("body"),
    STR_INIT("id"),
    STR_INIT("previous"),
    STR_INIT("marker"),
    STR_INIT("0"),
    STR_INIT("1795614838975"),
    STR_INIT("nan"),
    STR_INIT("0123456789abcdef0123456789abcdef01234567"),
    STR_INIT("noeviction"),
    STR_INIT("\xff\xfe"),
};
static const struct str errors[] = {
    STR_INIT("NOSCRIPT No matching script"),
    STR_INIT("LOADING Redis is loading"),
    STR_INIT("WRONGTYPE Operation against a key"),
    STR_INIT("READONLY You can't write"),
    STR_INIT("OOM command not allowed"),
    STR_INIT("MISCONF Redis is configured"),
    STR_INIT("BUSY Redis is busy"),
    STR_INIT("ERR unknown command"),
    STR_INIT(""),
};

static void set_text(redisReply *reply, struct str text)
{
    reply->str = malloc(text.len + 1);
    assert(reply->str != NULL);
    memcpy(reply->str, text.len == 0 ? "" : text.ptr, text.len);
    reply->str[text.len] = '\0';
    reply->len = text.len;
}

static void set_bytes(redisReply *reply)
{
    size_t len = take() % STRING_SIZE_MAX;
    char bytes[STRING_SIZE_MAX];
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)take();
    }
    set_text(reply, (struct str){bytes, len});
}

static redisReply *make_reply(unsigned depth);

static void set_elements(redisReply *reply, unsigned depth)
{
    reply->elements = depth < DEPTH_MAX ? take() % ELEMENTS_MAX : 0;
    reply->element = calloc(reply->elements + 1, sizeof(redisReply *));
    assert(reply->element != NULL);
    for (size_t i = 0; i < reply->elements; i++) {
        reply->element[i] = make_reply(depth + 1);
    }
}

static redisReply *make_reply(unsigned depth)
{
    redisReply *reply = calloc(1, sizeof *reply);
    assert(reply != NULL);
    uint8_t kind = take();
    switch (kind % 8) {
    case 0:
    case 1:
        reply->type = REDIS_REPLY_ARRAY;
        set_elements(reply, depth);
        break;
    case 2:
        reply->type = REDIS_REPLY_INTEGER;
        reply->integer = (int8_t)take();
        break;
    case 3:
    case 4:
        reply->type = REDIS_REPLY_STRING;
        set_text(reply, words[take() % (sizeof words / sizeof words[0])]);
        break;
    case 5:
        reply->type = kind & 8 ? REDIS_REPLY_STATUS : REDIS_REPLY_STRING;
        set_bytes(reply);
        break;
    case 6:
        reply->type = REDIS_REPLY_ERROR;
        set_text(reply, errors[take() % (sizeof errors / sizeof errors[0])]);
        break;
    default:
        reply->type = REDIS_REPLY_NIL;
        break;
    }
    return reply;
}

static void free_reply(redisReply *reply)
{
    for (size_t i = 0; i < reply->elements; i++) {
        free_reply(reply->element[i]);
    }
    free((void *)reply->element);
    free(reply->str);
    free(reply);
}

/* ---- requests ---- */

static void on_bound(void *ctx, conn_id device, enum err err)
{
    (void)ctx;
    is_binding[device] = false;
    is_bound[device] = is_bound[device] || err == ERR_OK;
    n_answered++;
}

static void on_sent(void *ctx, const struct sent *sent)
{
    (void)ctx;
    assert(sent->err == ERR_OK || sent->n == 0);
    n_answered++;
}

static void on_broadcast(void *ctx, enum err err)
{
    (void)ctx;
    (void)err;
    n_answered++;
}

static void on_page(void *ctx, const struct inbox_page *page)
{
    (void)ctx;
    for (size_t i = 0; page->err == ERR_OK && i < page->n; i++) {
        assert(page->messages[i].from.len > 0 && page->messages[i].body.len > 0);
    }
    n_answered++;
}

static void on_arrived(void *ctx, struct str to, const struct delivery *delivery,
                       struct message_id previous, const conn_id *devices, size_t n)
{
    (void)ctx;
    (void)previous;
    assert(to.len > 0 && n > 0 && devices[0] >= 1 && devices[0] <= DEVICES);
    assert(delivery->from.len > 0 && delivery->body.len > 0);
}

static void on_broadcast_arrived(void *ctx, const struct delivery *delivery, const conn_id *devices,
                                 size_t n)
{
    (void)ctx;
    assert(n <= DEVICES && (n == 0 || devices[0] >= 1));
    assert(delivery->from.len > 0 && delivery->body.len > 0);
}

static void on_newest(void *ctx, struct str uid, struct message_id newest, const conn_id *devices,
                      size_t n)
{
    (void)ctx;
    (void)newest;
    assert(uid.len > 0 && n > 0 && devices[0] >= 1);
}

static const struct node_events events = {on_arrived, on_broadcast_arrived, on_newest};
static const struct message message = {STR_INIT("alice"), STR_INIT("bob"), STR_INIT("{\"n\":1}"),
                                       STR_INIT("c")};

static void ask(uint8_t what)
{
    conn_id device = 1 + what / 8 % DEVICES;
    struct message_id id = {what, 0};
    n_asked++;
    switch (what % 8) {
    case 0:
    case 1:
        if (!is_binding[device]) {
            is_binding[device] = true;
            mapping_store_bind(store, device, what & 64 ? STR("alice") : STR("bob"), on_bound,
                               NULL);
            return;
        }
        break;
    case 2:
        if (!is_binding[device]) {
            mapping_store_unbind(store, device);
        }
        break;
    case 3:
    case 4:
        mapping_store_send(store, &message, on_sent, NULL);
        return;
    case 5:
        mapping_store_broadcast(store, &message, on_broadcast, NULL);
        return;
    case 6:
        mapping_store_read(store, STR("alice"), what & 64 ? &id : NULL, INBOX_PAGE_MESSAGES_MAX,
                           on_page, NULL);
        return;
    default:
        mapping_store_confirm(store, STR("alice"), id);
        break;
    }
    n_asked--;
}

/* ---- the program ---- */

static void step(struct loop *loop)
{
    uint8_t what = take();
    struct redis_link *link = scripted_link(what / 8 % SCRIPTED_LINKS_MAX);
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (scripted_link_waiting(link).len > 0) {
            redisReply *reply = make_reply(0);
            scripted_link_answer(link, reply);
            free_reply(reply);
        } else {
            scripted_link_connect(link);
        }
        break;
    case 4:
        fake_loop_advance(loop, take() * TICK_MS);
        break;
    case 5:
        scripted_link_lose(link);
        break;
    default:
        ask(take());
        break;
    }
    (void)store->ops->trouble(store);
    fake_loop_turn(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct inbox_limits history = {.messages_max = 10, .retention_ms = 60000};
    struct loop *loop = loop_create();
    struct redis_store_options options = {.node_name = "node",
                                          .timeout_ms = 1000,
                                          .lease_ms = 10000,
                                          .refresh_ms = 2000,
                                          .nodes = true,
                                          .history = &history};
    log_set_level(LOG_ERROR);
    memset(is_bound, 0, sizeof is_bound);
    memset(is_binding, 0, sizeof is_binding);
    n_asked = 0;
    n_answered = 0;
    input = data;
    n_left = size;
    store = redis_store_create(loop, &options);
    store->ops->listen(store, &events, NULL);
    while (n_left > 0) {
        step(loop);
    }
    store->ops->destroy(store);
    fake_loop_turn(loop);
    assert(n_answered == n_asked);
    loop_destroy(loop);
    return 0;
}
