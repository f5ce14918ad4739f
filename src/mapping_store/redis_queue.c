/* What nodes tell each other: each has a queue, a stream that the others write to and it alone
 * reads. One queue for messages and broadcasts, so that they come in order ([CAST-7], [CAST-10]).
 *
 * The reader has a link of its own, for its question waits in Redis for an answer. It begins at
 * an id that is known, never at "$", so nothing is missed between two questions. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "mapping_store/redis.h"
#include "mapping_store/redis_lua.h"

enum {
    RETRY_MS = 100, /* after an answer that is none */
    BLOCK_PART = 2, /* of timeout_ms, for which Redis waits for something to tell */
    RING_FIELDS = 6,
    RING_ENTRY_SIZE = 128, /* bytes of an entry, besides its texts */
    RING_ARGS_MAX = 7 + 2 * RING_FIELDS
};

/* ---- writing ---- */

static void on_bounded(void *ctx, const redisReply *reply)
{
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        redis_log_error(ctx, "bounding a queue", reply->str);
    } else if (reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0) {
        log_line(LOG_WARN, "redis_queue_full", "dropped=%lld note=%s", reply->integer,
                 log_value("a node does not read what it is told"));
    }
}

static void bound_queue(struct redis_store *store, struct str queue)
{
    char size_max[NUMBER_SIZE_MAX];
    snprintf(size_max, sizeof size_max, "%d", NODE_QUEUE_SIZE_MAX);
    struct str args[] = {STR("EVAL"), STR(lua_bound), STR("1"), queue, str_of(size_max)};
    /* False: the link is away, and nothing is written any more. */
    (void)redis_link_command(store->link, args, sizeof args / sizeof args[0], on_bounded, store);
}

bool redis_ring(struct redis_store *store, struct str node, const struct ring *ring,
                redis_reply_fn *replied, void *ctx)
{
    struct name queue = key_of_node_queue(node);
    char id[MESSAGE_ID_SIZE_MAX];
    char previous[MESSAGE_ID_SIZE_MAX];
    struct str args[RING_ARGS_MAX] = {STR("XADD"), name_str(&queue)};
    size_t n = 2;
    /* The queue of a node that lives is made if somebody deleted it; of one that is gone for good
     * it is not. */
    if (!redis_node_is_alive(store, node)) {
        args[n++] = STR("NOMKSTREAM");
    }
    args[n++] = STR("MAXLEN");
    args[n++] = STR("~");
    args[n++] = STR("65536");
    args[n++] = STR("*");
    const struct {
        struct str name;
        struct str value;
    } fields[RING_FIELDS] = {
        {STR("marker"), ring->marker},
        {STR("uid"), ring->uid},
        {STR("from"), ring->from},
        {STR("body"), ring->body},
        {STR("id"), {id, message_id_is_none(ring->id) ? 0 : message_id_write(ring->id, id)}},
        {STR("previous"),
         {previous,
          message_id_is_none(ring->previous) ? 0 : message_id_write(ring->previous, previous)}},
    };
    for (size_t i = 0; i < RING_FIELDS; i++) {
        if (fields[i].value.len > 0) {
            args[n++] = fields[i].name;
            args[n++] = fields[i].value;
        }
    }
    if (!redis_link_command(store->link, args, n, replied, ctx)) {
        return false;
    }
    size_t size = RING_ENTRY_SIZE + ring->uid.len + ring->from.len + ring->body.len;
    if (redis_node_was_written(store, node, size)) {
        bound_queue(store, name_str(&queue));
    }
    return true;
}

static void on_greeted(void *ctx, const redisReply *reply)
{
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        redis_log_error(ctx, "greeting", reply->str);
    }
}

void redis_greet_the_others(struct redis_store *store)
{
    struct targets targets;
    struct ring ring = {.marker = str_of(store->node)};
    (void)redis_targets_all(store, &targets); /* the others look at the list */
    for (size_t i = 0; i < targets.n; i++) {
        /* False: the link is away, and greets when it is back. */
        (void)redis_ring(store, targets.nodes[i], &ring, on_greeted, store);
    }
}

/* ---- what an entry says ---- */

static bool field_is(const redisReply *name, const char *wanted)
{
    return name->len == strlen(wanted) && memcmp(name->str, wanted, name->len) == 0;
}

/* False: it is none of ours. */
static bool read_entry(const redisReply *fields, struct ring *out)
{
    *out = (struct ring){.uid = {NULL, 0}};
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *name = fields->element[i];
        const redisReply *reply = fields->element[i + 1];
        if (name->type != REDIS_REPLY_STRING || reply->type != REDIS_REPLY_STRING) {
            return false;
        }
        struct str value = {reply->str, reply->len};
        bool is_read = true;
        if (field_is(name, "uid")) {
            out->uid = value;
            is_read = value.len > 0 && value.len <= UID_SIZE_MAX;
        } else if (field_is(name, "from")) {
            out->from = value;
        } else if (field_is(name, "body")) {
            out->body = value;
        } else if (field_is(name, "id")) {
            is_read = message_id_parse(value, &out->id);
        } else if (field_is(name, "previous")) {
            is_read = message_id_parse(value, &out->previous);
        } else {
            out->marker = value;
            is_read = field_is(name, "marker");
        }
        if (!is_read) {
            return false;
        }
    }
    return true;
}

/* False: it says nothing that can be believed. Without history an id means nothing, and with it a
 * message has one. */
static bool tell_message(struct redis_store *store, const struct ring *ring)
{
    struct delivery delivery = {.from = ring->from, .body = ring->body};
    const conn_id *devices;
    size_t n = devices_find(store->devices, ring->uid, &devices);
    bool has_history = store->base.inbox != NULL;
    bool is_whole = redis_is_delivery(store, &delivery);
    if (has_history ? message_id_is_none(ring->id) : !is_whole) {
        return false;
    }
    if (ring->from.len > 0) {
        delivery.body = is_whole ? ring->body : (struct str){NULL, 0};
        delivery.id = has_history ? ring->id : MESSAGE_ID_NONE;
        store->events->arrived(store->events_ctx, ring->uid, &delivery,
                               has_history ? ring->previous : MESSAGE_ID_NONE, devices, n);
    } else {
        store->events->newest_known(store->events_ctx, ring->uid, ring->id, devices, n);
    }
    return true;
}

static bool tell_broadcast(struct redis_store *store, const struct ring *ring)
{
    const struct delivery delivery = {.from = ring->from, .body = ring->body, .is_broadcast = true};
    if (!redis_is_delivery(store, &delivery)) {
        return false;
    }
    const conn_id *devices;
    size_t n = devices_bound_before(store->devices, store->cursor, &devices);
    store->events->broadcast_arrived(store->events_ctx, &delivery, devices, n);
    return true;
}

/* The entry at the cursor. */
static bool tell(struct redis_store *store, const redisReply *fields)
{
    struct ring ring;
    if (!read_entry(fields, &ring)) {
        return false;
    }
    if (ring.marker.len > 0) {
        redis_node_is_there(store, ring.marker);
        return true;
    }
    if (store->events == NULL) {
        return true;
    }
    mapping_store_tells(&store->base);
    return ring.uid.len > 0 ? tell_message(store, &ring) : tell_broadcast(store, &ring);
}

static const char *read_number(const char *text, uint64_t *out)
{
    char *end = NULL;
    *out = strtoull(text, &end, 10);
    return end;
}

/* Redis' own ids have all that two numbers of 64 bits can say, also if somebody else has chosen
 * them: they are no ids of messages. */
bool redis_entry_id(const redisReply *reply, struct message_id *out)
{
    if (reply->type != REDIS_REPLY_STRING) {
        return false;
    }
    struct message_id id;
    const char *dash = read_number(reply->str, &id.ms);
    if (*dash != '-' || *read_number(dash + 1, &id.n) != '\0') {
        return false;
    }
    *out = id;
    return true;
}

size_t redis_entry_id_write(struct message_id id, char *out)
{
    return (size_t)snprintf(out, ENTRY_ID_SIZE_MAX, "%" PRIu64 "-%" PRIu64, id.ms, id.n);
}

static bool is_entry(const redisReply *entry)
{
    return entry->type == REDIS_REPLY_ARRAY && entry->elements == 2 &&
           entry->element[1]->type == REDIS_REPLY_ARRAY;
}

/* ---- what is in it already ---- */

/* The id of the last entry behind the cursor, if there is one and it is a queue. */
static void on_end(void *ctx, const redisReply *reply)
{
    struct op *op = ctx;
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
        is_entry(reply->element[0])) {
        (void)redis_entry_id(reply->element[0]->element[0], &op->behind);
    }
}

void redis_queue_note_end(struct redis_store *store, struct op *op)
{
    if (!store->has_nodes) {
        return;
    }
    struct name queue = key_of_node_queue(str_of(store->node));
    char after[1 + ENTRY_ID_SIZE_MAX] = "("; /* mostly there is nothing, which is a short reply */
    size_t after_len = 1 + redis_entry_id_write(store->cursor, after + 1);
    struct str args[] = {STR("XREVRANGE"),   name_str(&queue), STR("+"),
                         {after, after_len}, STR("COUNT"),     STR("1")};
    /* False: the link is away, and the bind fails. */
    (void)redis_link_command(store->link, args, sizeof args / sizeof args[0], on_end, op);
}

/* ---- reading ---- */

static void read_on(struct redis_store *store);

/* False: it is not known how to go on behind them. */
static bool take_entries(struct redis_store *store, const redisReply *entries)
{
    struct message_id before = store->cursor;
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];
        if (!is_entry(entry) || !redis_entry_id(entry->element[0], &store->cursor)) {
            redis_log_error(store, "queue", "an entry without an id");
        } else if (store->state == STORE_OPEN || store->state == STORE_AWAY) {
            if (!tell(store, entry->element[1])) {
                redis_log_error(store, "queue", "an entry that is none of ours");
            }
        }
    }
    if (store->cursor.ms == UINT64_MAX && store->state == STORE_OPEN) {
        redis_lease_renew(store); /* soon Redis has no larger id: the queue has to be made anew */
    }
    return message_id_compare(store->cursor, before) > 0;
}

/* The entries of the one stream that was asked about; NULL: there is none new, or it is no such
 * reply. */
static const redisReply *entries_of(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 ||
        reply->element[0]->type != REDIS_REPLY_ARRAY || reply->element[0]->elements != 2 ||
        reply->element[0]->element[1]->type != REDIS_REPLY_ARRAY) {
        return NULL;
    }
    return reply->element[0]->element[1];
}

static void on_read(void *ctx, const redisReply *reply)
{
    struct redis_store *store = ctx;
    store->is_reading = false;
    if (reply == NULL) {
        return; /* the next link begins anew */
    }
    const redisReply *entries = entries_of(reply);
    if (store->has_moved) {
        store->has_moved = false; /* what was asked began elsewhere */
    } else if (reply->type != REDIS_REPLY_NIL &&
               (entries == NULL || !take_entries(store, entries))) {
        /* Whatever stands there is put right by the next lease. */
        redis_log_error(store, "queue",
                        reply->type == REDIS_REPLY_ERROR ? reply->str : "not a stream's entries");
        loop_timer_start(store->reader_timer, RETRY_MS, 0);
        return;
    }
    read_on(store);
}

static void read_on(struct redis_store *store)
{
    if (store->is_reading || !store->has_cursor || store->state == STORE_CLOSED) {
        return;
    }
    struct name queue = key_of_node_queue(str_of(store->node));
    char block_ms[NUMBER_SIZE_MAX];
    char cursor[ENTRY_ID_SIZE_MAX];
    snprintf(block_ms, sizeof block_ms, "%u", (unsigned)(store->timeout_ms / BLOCK_PART));
    struct str args[] = {STR("XREAD"),     STR("BLOCK"),
                         str_of(block_ms), STR("COUNT"),
                         STR("256"),       STR("STREAMS"),
                         name_str(&queue), {cursor, redis_entry_id_write(store->cursor, cursor)}};
    store->is_reading =
        redis_link_command(store->reader, args, sizeof args / sizeof args[0], on_read, store);
}

void redis_on_reader_timer(void *ctx)
{
    read_on(ctx);
}

static void on_reader_connected(void *ctx)
{
    struct redis_store *store = ctx;
    redis_link_accept(store->reader);
    store->has_moved = false;
    read_on(store);
}

static void on_reader_lost(void *ctx)
{
    (void)ctx; /* redis_store.h's trouble() says so, and the link comes back by itself. */
}

struct redis_link *redis_reader_create(struct redis_store *store, const struct redis_url *url)
{
    static const struct redis_link_events events = {.connected = on_reader_connected,
                                                    .lost = on_reader_lost};
    return redis_link_create(store->loop, url, store->timeout_ms, &events, store);
}

/* ---- is it the queue that it was? ---- */

static void move_to(struct redis_store *store, struct message_id id)
{
    if (message_id_compare(id, store->cursor) < 0) {
        devices_bound_before_all(
            store->devices); /* its next ids may be lower than what they know */
    }
    store->cursor = id;
    store->has_cursor = true;
    store->has_moved = store->is_reading;
}

bool redis_queue_was(struct redis_store *store, enum queue_was was, struct message_id last,
                     struct message_id leased_cursor)
{
    bool is_first = !store->has_cursor;
    /* Whatever has been read since the script looked is behind what it saw. */
    bool has_read_on = message_id_compare(store->cursor, leased_cursor) != 0;
    bool is_ahead = was == QUEUE_MADE && message_id_compare(store->cursor, last) < 0;
    if (is_first || is_ahead || (was != QUEUE_TRIMMED && was != QUEUE_WHOLE && !has_read_on)) {
        move_to(store, last);
    }
    read_on(store);
    if (is_first || was == QUEUE_WHOLE) {
        return false;
    }
    log_line(LOG_WARN, "redis_queue_lost", "node=%s how=%s", store->node,
             was == QUEUE_MADE     ? "gone"
             : was == QUEUE_BEHIND ? "older"
                                   : "trimmed");
    return true;
}
