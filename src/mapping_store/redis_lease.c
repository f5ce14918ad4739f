#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "mapping_store/redis.h"
#include "mapping_store/redis_lua.h"

/* What lease.lua returns. */
enum {
    LEASE_WAS,
    LEASE_NOW,
    LEASE_QUEUE_WAS,
    LEASE_LAST,
    LEASE_NODES,
    N_LEASE
};

enum lease_was {
    LEASE_GONE,
    LEASE_OVER,
    LEASE_VALID
};

/* A question for the lease. Several may be on their way, and each is judged by what was known when
 * it was asked. */
struct leasing {
    struct redis_store *store;
    uint64_t asked_ms; /* our clock */
    struct message_id cursor;
    batch_done_fn *done;
};

/* By EVAL, so that it does not depend on what Redis remembers. */
static void ask_for_lease(struct batch *batch, struct redis_store *store)
{
    struct name queue = key_of_node_queue(str_of(store->node));
    char lease_ms[NUMBER_SIZE_MAX];
    char linger_ms[NUMBER_SIZE_MAX];
    char nodes_max[NUMBER_SIZE_MAX];
    char cursor[ENTRY_ID_SIZE_MAX];
    snprintf(nodes_max, sizeof nodes_max, "%d", NODES_MAX);
    snprintf(lease_ms, sizeof lease_ms, "%" PRIu64, store->lease_ms);
    snprintf(linger_ms, sizeof linger_ms, "%d", NODE_LINGER_MS);
    size_t cursor_len = store->has_cursor ? redis_entry_id_write(store->cursor, cursor) : 0;
    struct str args[12] = {STR("EVAL"), STR(lua_lease)};
    size_t n = 2;
    args[n++] = store->has_nodes ? STR("2") : STR("1");
    args[n++] = STR("chat_nodes");
    if (store->has_nodes) {
        args[n++] = name_str(&queue);
    }
    args[n++] = str_of(store->node);
    args[n++] = str_of(lease_ms);
    args[n++] = str_of(linger_ms);
    args[n++] = (struct str){cursor, cursor_len};
    args[n++] = str_of(nodes_max);
    batch_ask(batch, args, n);
}

static bool is_lease_reply(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == N_LEASE &&
           reply->element[LEASE_WAS]->type == REDIS_REPLY_INTEGER &&
           reply->element[LEASE_NOW]->type == REDIS_REPLY_STRING &&
           reply->element[LEASE_QUEUE_WAS]->type == REDIS_REPLY_INTEGER &&
           reply->element[LEASE_NODES]->type == REDIS_REPLY_ARRAY;
}

/* True: what stands in Redis of this node may not be what it wrote, or what others wrote for it
 * may be lost. */
static bool is_damaged(const struct leasing *leasing, const redisReply *reply)
{
    struct redis_store *store = leasing->store;
    bool has_lost_rings = false;
    struct message_id last;
    if (store->has_nodes && redis_entry_id(reply->element[LEASE_LAST], &last)) {
        has_lost_rings = redis_queue_was(
            store, (enum queue_was)reply->element[LEASE_QUEUE_WAS]->integer, last, leasing->cursor);
    }
    long long was = reply->element[LEASE_WAS]->integer;
    if (was == LEASE_GONE && store->state == STORE_OPEN) {
        log_line(
            LOG_WARN, "redis_lease_gone",
            "node=%s likely=\"Redis was flushed, chat_nodes overwritten, or another server has "
            "this node_name\"",
            store->node);
    } else if (was == LEASE_OVER && store->state == STORE_OPEN) {
        log_line(LOG_WARN, "redis_lease_over",
                 "node=%s note=\"for a while the others took this server for dead\"", store->node);
    }
    return was != LEASE_VALID || has_lost_rings;
}

/* Redis' clock was that when it answered, so now it is not less: the largest of what has been seen
 * is the nearest. A clock that was put back is believed. */
static void set_clock(struct redis_store *store, uint64_t now_ms)
{
    uint64_t known_ms = redis_clock_ms(store);
    if (now_ms > known_ms || known_ms - now_ms > store->lease_ms) {
        store->redis_ahead_ms = now_ms - loop_now_ms(store->loop);
    }
}

uint64_t redis_clock_ms(const struct redis_store *store)
{
    return loop_now_ms(store->loop) + store->redis_ahead_ms;
}

static void on_lease_reply(void *ctx, size_t i, const redisReply *reply)
{
    (void)i;
    const struct leasing *leasing = ctx;
    struct redis_store *store = leasing->store;
    if (!is_lease_reply(reply)) {
        redis_log_error(store, "lease", "not the reply of this script");
        return;
    }
    bool is_first = store->lease_renewed_ms == 0;
    /* [NODE-5] Counted from the question: Redis may have heard it long before it answered. */
    store->lease_renewed_ms = leasing->asked_ms;
    redis_refusal_is_over(store, leasing->asked_ms);
    if (!is_first && reply->element[LEASE_WAS]->integer == LEASE_GONE) {
        store->list_lost_ms = loop_now_ms(store->loop);
    }
    set_clock(store, strtoull(reply->element[LEASE_NOW]->str, NULL, 10));
    bool needs_registration = is_damaged(leasing, reply) && store->state == STORE_OPEN;
    if (store->has_nodes) {
        redis_nodes_are(store, reply->element[LEASE_NODES]);
        redis_clean_up_after_the_dead(store);
    }
    if (needs_registration) {
        redis_register_all(store);
    }
}

/* Where this Redis was, there may be a master now: the name is resolved anew with the next link. */
static bool is_replica(const char *error)
{
    return strncmp(error, "READONLY", strlen("READONLY")) == 0;
}

static void on_renewed(void *ctx, enum batch_result result, const char *error)
{
    struct redis_store *store = ctx;
    if (result == BATCH_REFUSED && is_replica(error)) {
        redis_link_reject(store->link, error);
    } else if (result == BATCH_WRONG_TYPE || result == BATCH_REFUSED) {
        redis_log_error(store, "lease", error);
    }
}

static void on_lease_answered(void *ctx, enum batch_result result, const char *error)
{
    struct leasing leasing = *(struct leasing *)ctx;
    free(ctx);
    leasing.done(leasing.store, result, error);
}

void redis_lease_take(struct redis_store *store, batch_done_fn *done)
{
    struct leasing *leasing = mem_alloc(sizeof *leasing);
    *leasing = (struct leasing){store, loop_now_ms(store->loop), store->cursor, done};
    struct batch *batch = batch_create(store, on_lease_reply, on_lease_answered, leasing);
    ask_for_lease(batch, store);
    batch_send(batch);
}

void redis_lease_renew(struct redis_store *store)
{
    redis_lease_take(store, on_renewed);
}

bool redis_list_was_lost(const struct redis_store *store)
{
    uint64_t relisted_ms = store->lease_ms / LEASE_RENEWALS * LEASE_RENEWALS_QUIET;
    return store->list_lost_ms > 0 && loop_now_ms(store->loop) - store->list_lost_ms < relisted_ms;
}

static uint64_t fresh_ms(const struct redis_store *store)
{
    return store->lease_ms / LEASE_RENEWALS * LEASE_RENEWALS_FRESH;
}

bool redis_lease_is_fresh(const struct redis_store *store)
{
    return loop_now_ms(store->loop) - store->lease_renewed_ms < fresh_ms(store);
}

const char *redis_lease_trouble(struct redis_store *store)
{
    snprintf(store->trouble, sizeof store->trouble, "the lease could not be renewed for %g s",
             (double)fresh_ms(store) / 1000);
    return store->trouble;
}
