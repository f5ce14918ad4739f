#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/mem.h"
#include "chat/utf8.h"
#include "mapping_store/redis.h"

/* ---- keys ---- */

static struct str put(struct inbox_keys *keys, size_t begin)
{
    assert(keys->len <= sizeof keys->bytes);
    return (struct str){keys->bytes + begin, keys->len - begin};
}

static void add(struct inbox_keys *keys, struct str s)
{
    assert(s.len <= sizeof keys->bytes - keys->len);
    memcpy(keys->bytes + keys->len, s.ptr, s.len);
    keys->len += s.len;
}

/* "<kind>:{chat_map_uid_fd:<uid>}": the set's name is what Redis Cluster chooses the slot by, so
 * '{', '}' and '%' in the uid are written as URLs do. */
static struct str add_key(struct inbox_keys *keys, struct str kind, struct str uid)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t begin = keys->len;
    add(keys, kind);
    add(keys, STR(":{chat_map_uid_fd:"));
    for (size_t i = 0; i < uid.len; i++) {
        unsigned char c = (unsigned char)uid.ptr[i];
        if (c == '{' || c == '}' || c == '%') {
            add(keys, (struct str){(char[]){'%', digits[c >> 4], digits[c & 15]}, 3});
        } else {
            keys->bytes[keys->len++] = (char)c;
        }
    }
    add(keys, STR("}"));
    return put(keys, begin);
}

void inbox_keys_of(struct inbox_keys *keys, struct str uid)
{
    assert(uid.len <= UID_SIZE_MAX);
    keys->len = 0;
    keys->inbox = add_key(keys, STR("chat_inbox"), uid);
    keys->state = add_key(keys, STR("chat_inbox_state"), uid);
    size_t begin = keys->len;
    add(keys, STR("chat_map_uid_fd:"));
    add(keys, uid);
    keys->set = put(keys, begin);
    keys->uid = uid;
}

void inbox_keys_add_cid(struct inbox_keys *keys, struct str from, struct str cid)
{
    assert(from.len <= UID_SIZE_MAX && cid.len <= CID_SIZE_MAX);
    char from_len[8];
    snprintf(from_len, sizeof from_len, ":%zu:", from.len);
    size_t begin = keys->len;
    add_key(keys, STR("chat_dup"), keys->uid);
    add(keys, str_of(from_len));
    add(keys, from);
    add(keys, cid);
    keys->cid = put(keys, begin);
}

/* ---- replies ---- */

bool redis_reply_id(const redisReply *reply, struct message_id *out)
{
    return reply->type == REDIS_REPLY_STRING &&
           message_id_parse((struct str){reply->str, reply->len}, out);
}

void redis_log_note(struct redis_store *store, const redisReply *note)
{
    if (note->type == REDIS_REPLY_STRING && note->len > 0) {
        redis_log_error(store, "repair", note->str);
    }
}

/* Whoever can write to Redis can write anything: it must not break a delivery's JSON. */
static bool is_uid(struct str uid)
{
    if (uid.len == 0 || uid.len > UID_SIZE_MAX || !utf8_valid(uid)) {
        return false;
    }
    for (size_t i = 0; i < uid.len; i++) {
        if ((unsigned char)uid.ptr[i] < 0x20 || uid.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

bool redis_is_delivery(const struct redis_store *store, const struct delivery *delivery)
{
    return is_uid(delivery->from) && delivery->body.len > 0 && utf8_valid(delivery->body) &&
           (store->is_body == NULL || store->is_body(delivery->body));
}

/* ---- read.lua ---- */

/* Owned by the store's list, oldest first; gone once it is answered. */
struct reading {
    struct reading *next;
    struct redis_store *store;
    inbox_read_fn *read;
    void *ctx;
    enum {
        READING_WAITS, /* for the store to open */
        READING_ASKED,
        READING_FAILED /* and a later turn says so */
    } state;
    bool has_after;
    struct message_id after;
    size_t n_max;
    bool is_again; /* after a page of garbage: */
    struct message_id began;
    bool dropped;
    bool gap;
    size_t uid_len;
    char uid[UID_SIZE_MAX];
};

/* What read.lua returns. */
enum missing {
    MISSING_NOTHING,
    MISSING_PERHAPS,
    MISSING_SOMETHING
};

enum {
    PAGE_AFTER,
    PAGE_NEWEST,
    PAGE_MISSING,
    PAGE_NOTE,
    PAGE_MESSAGES,
    N_PAGE
};

static void answer(struct reading *reading, const struct inbox_page *page)
{
    struct reading **place = &reading->store->readings;
    while (*place != reading) {
        place = &(*place)->next;
    }
    *place = reading->next;
    if (reading->next == NULL) {
        reading->store->readings_end = place;
    }
    mapping_store_tells(&reading->store->base);
    reading->read(reading->ctx, page);
    free(reading);
}

static void fail(struct reading *reading)
{
    answer(reading, &(struct inbox_page){.err = ERR_UNAVAILABLE});
}

static void fail_later(struct reading *reading)
{
    reading->state = READING_FAILED;
    loop_timer_start(reading->store->reading_timer, 0, 0);
}

static void fail_those(struct redis_store *store, bool all)
{
    struct reading *next = NULL;
    for (struct reading *reading = store->readings; reading != NULL; reading = next) {
        next = reading->next;
        if (all || reading->state == READING_FAILED) {
            fail(reading);
        }
    }
}

void redis_on_reading_timer(void *ctx)
{
    fail_those(ctx, false);
}

void redis_readings_fail(struct redis_store *store)
{
    fail_those(store, true);
}

static bool to_delivery(const redisReply *message, struct delivery *out)
{
    if (message->type != REDIS_REPLY_ARRAY || message->elements != 3 ||
        message->element[1]->type != REDIS_REPLY_STRING ||
        message->element[2]->type != REDIS_REPLY_STRING) {
        return false;
    }
    *out = (struct delivery){.from = {message->element[1]->str, message->element[1]->len},
                             .body = {message->element[2]->str, message->element[2]->len}};
    return redis_reply_id(message->element[0], &out->id);
}

/* Those of the page that can be delivered. '*last' is the last one's id, deliverable or not. */
static size_t to_deliveries(const struct redis_store *store, const redisReply *messages,
                            struct delivery *out, struct message_id *last)
{
    size_t n = 0;
    for (size_t i = 0; i < messages->elements && n < INBOX_PAGE_MESSAGES_MAX; i++) {
        if (to_delivery(messages->element[i], &out[n])) {
            *last = out[n].id;
            n += redis_is_delivery(store, &out[n]) ? 1 : 0;
        }
    }
    return n;
}

static bool is_page(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == N_PAGE &&
           reply->element[PAGE_MISSING]->type == REDIS_REPLY_INTEGER &&
           reply->element[PAGE_MESSAGES]->type == REDIS_REPLY_ARRAY;
}

static bool ask(struct reading *reading);

static void on_page(void *ctx, const redisReply *reply)
{
    struct reading *reading = ctx;
    struct redis_store *store = reading->store;
    struct delivery deliveries[INBOX_PAGE_MESSAGES_MAX];
    struct inbox_page page = {.err = ERR_OK, .messages = deliveries};
    if (!is_page(reply) || !redis_reply_id(reply->element[PAGE_AFTER], &page.after) ||
        !redis_reply_id(reply->element[PAGE_NEWEST], &page.newest)) {
        redis_script_failed(store, "read", reply);
        fail(reading);
        return;
    }
    const redisReply *messages = reply->element[PAGE_MESSAGES];
    struct message_id last = MESSAGE_ID_NONE;
    redis_log_note(store, reply->element[PAGE_NOTE]);
    page.dropped = reply->element[PAGE_MISSING]->integer == MISSING_SOMETHING;
    page.gap = reply->element[PAGE_MISSING]->integer != MISSING_NOTHING;
    page.n = to_deliveries(store, messages, deliveries, &last);
    if (reading->is_again) {
        page.after = reading->began;
        page.dropped = reading->dropped;
        page.gap = reading->gap;
    }
    if (page.n > 0 || message_id_is_none(last)) {
        answer(reading, &page);
        return;
    }
    redis_log_error(store, "read", "a page of what cannot be delivered");
    reading->is_again = true;
    reading->began = page.after;
    reading->dropped = page.dropped;
    reading->gap = page.gap;
    reading->has_after = true;
    reading->after = last;
    if (!ask(reading)) {
        fail(reading);
    }
}

static bool ask(struct reading *reading)
{
    struct redis_store *store = reading->store;
    struct inbox_keys keys;
    inbox_keys_of(&keys, (struct str){reading->uid, reading->uid_len});
    char after[MESSAGE_ID_SIZE_MAX];
    size_t after_len = reading->has_after ? message_id_write(reading->after, after) : 0;
    char messages_max[NUMBER_SIZE_MAX];
    char size_max[NUMBER_SIZE_MAX];
    snprintf(messages_max, sizeof messages_max, "%zu", reading->n_max);
    snprintf(size_max, sizeof size_max, "%d", INBOX_PAGE_SIZE_MAX);
    struct str args[] = {[2] = STR("2"),
                         keys.inbox,
                         keys.state,
                         {after, after_len},
                         str_of(store->retention_ms),
                         str_of(messages_max),
                         str_of(size_max)};
    reading->state = READING_ASKED;
    return redis_script_call(store, SCRIPT_READ, args, sizeof args / sizeof args[0], on_page,
                             reading);
}

static void start(struct reading *reading)
{
    struct redis_store *store = reading->store;
    if (store->state == STORE_STARTING) {
        return; /* it waits until that is over */
    }
    /* While the traces are written again the newest messages are compared, and read. */
    bool may_ask =
        store->state == STORE_OPEN || (store->state == STORE_AWAY && store->is_registering);
    if (!may_ask || !ask(reading)) {
        fail_later(reading);
    }
}

void redis_readings_start(struct redis_store *store)
{
    for (struct reading *reading = store->readings; reading != NULL; reading = reading->next) {
        if (reading->state == READING_WAITS) {
            start(reading);
        }
    }
}

static void inbox_read(struct mapping_store *base, struct str uid, const struct message_id *after,
                       size_t n_max, inbox_read_fn *read, void *ctx)
{
    struct redis_store *store = (struct redis_store *)base;
    assert(uid.len > 0 && uid.len <= UID_SIZE_MAX);
    struct reading *reading = mem_alloc(sizeof *reading);
    reading->store = store;
    reading->read = read;
    reading->ctx = ctx;
    reading->n_max = n_max < INBOX_PAGE_MESSAGES_MAX ? n_max : INBOX_PAGE_MESSAGES_MAX;
    reading->has_after = after != NULL;
    reading->after = after != NULL ? *after : MESSAGE_ID_NONE;
    reading->uid_len = uid.len;
    memcpy(reading->uid, uid.ptr, uid.len);
    *store->readings_end = reading;
    store->readings_end = &reading->next;
    start(reading);
}

/* ---- confirm.lua ---- */

static void on_confirmed(void *ctx, const redisReply *reply)
{
    if (reply == NULL || reply->type != REDIS_REPLY_STRING) {
        redis_script_failed(ctx, "confirm", reply);
    } else {
        redis_log_note(ctx, reply);
    }
}

static void inbox_confirm(struct mapping_store *base, struct str uid, struct message_id id)
{
    struct redis_store *store = (struct redis_store *)base;
    struct inbox_keys keys;
    inbox_keys_of(&keys, uid);
    char text[MESSAGE_ID_SIZE_MAX];
    size_t len = message_id_write(id, text);
    struct str args[] = {
        [2] = STR("2"), keys.inbox, keys.state, {text, len}, str_of(store->retention_ms)};
    if (store->state == STORE_OPEN) {
        /* False: the link is away, and with it the confirmation. */
        (void)redis_script_call(store, SCRIPT_CONFIRM, args, sizeof args / sizeof args[0],
                                on_confirmed, store);
    }
}

const struct inbox_ops redis_inbox_ops = {.read = inbox_read, .confirm = inbox_confirm};
