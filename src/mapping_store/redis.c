#include "mapping_store/redis.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "chat/random.h"
#include "chat/redis_store.h"

enum {
    COMMANDS_IN_FLIGHT_MAX = 262144, /* above it everything is answered ERR_UNAVAILABLE */
    HOLD_PART = 6,           /* of timeout_ms, for which requests wait for a store that starts */
    REFRESH_TICKS = 200,     /* parts into which refresh_ms is cut */
    REFRESH_TICKS_USED = 180 /* in which every device has its turn: some are left for delays */
};

static struct redis_store *as_redis(struct mapping_store *base)
{
    return (struct redis_store *)base;
}

/* ---- binds and sends ---- */

/* [NODE-7] The others may take a node without a lease for dead: it does not say that it sent. */
static bool may_start(const struct redis_store *store, const struct op *op)
{
    return store->state == STORE_OPEN &&
           redis_link_n_in_flight(store->link) < COMMANDS_IN_FLIGHT_MAX &&
           (op->kind == OP_BIND || !store->has_nodes || redis_lease_is_fresh(store));
}

static void op_start(void *ctx, struct op *op)
{
    struct redis_store *store = ctx;
    if (store->state == STORE_STARTING) {
        return; /* it waits until that is over */
    }
    if (!may_start(store, op)) {
        pending_done(store->pending, op, ERR_UNAVAILABLE);
    } else if (op->kind == OP_BIND) {
        redis_bind_start(store, op);
    } else if (op->kind == OP_SEND) {
        redis_send_start(store, op);
    } else {
        redis_broadcast_start(store, op);
    }
}

static void redis_bind(struct mapping_store *base, conn_id device, struct str uid,
                       mapping_bound_fn *bound, void *ctx)
{
    struct redis_store *store = as_redis(base);
    op_start(store, pending_bind(store->pending, device, uid, bound, ctx));
}

static void redis_send(struct mapping_store *base, const struct message *message,
                       mapping_sent_fn *sent, void *ctx)
{
    struct redis_store *store = as_redis(base);
    op_start(store, pending_send(store->pending, message, sent, ctx));
}

static void redis_broadcast(struct mapping_store *base, const struct message *message,
                            mapping_done_fn *done, void *ctx)
{
    struct redis_store *store = as_redis(base);
    op_start(store, pending_broadcast(store->pending, message, done, ctx));
}

static void redis_listen(struct mapping_store *base, const struct node_events *events, void *ctx)
{
    struct redis_store *store = as_redis(base);
    store->events = events;
    store->events_ctx = ctx;
}

/* Found out by what is refused, and by the renewal of the lease, which has a time limit as every
 * command has. */
static const char *redis_trouble(struct mapping_store *base)
{
    struct redis_store *store = as_redis(base);
    if (store->state == STORE_CLOSED) {
        return "the server stops";
    }
    if (store->state != STORE_OPEN) {
        const char *why = redis_link_why(store->link);
        return why != NULL ? why : "the server is still joining";
    }
    if (store->refusal != NULL) {
        return store->refusal;
    }
    if (!redis_lease_is_fresh(store)) {
        return redis_lease_trouble(store);
    }
    return store->has_nodes && !store->is_reading ? "the queue of this node is not read" : NULL;
}

/* What came while the store was starting is given to its new state. */
static void set_state(struct redis_store *store, enum store_state state)
{
    bool was_starting = store->state == STORE_STARTING;
    store->state = state;
    if (was_starting) {
        loop_timer_stop(store->hold_timer);
        pending_each(store->pending, op_start, store);
        redis_readings_start(store);
    }
}

static void on_hold_timer(void *ctx)
{
    set_state(ctx, STORE_AWAY);
}

struct forgetting {
    struct redis_store *store;
    size_t uid_len;
    char uid[UID_SIZE_MAX];
};

static void on_forgotten(void *ctx, enum batch_result result, const char *error)
{
    struct forgetting *forgetting = ctx;
    struct redis_store *store = forgetting->store;
    if (result == BATCH_WRONG_TYPE) {
        /* [STORE-2] If this was the uid's last device, nobody writes it again. */
        redis_repair_set(store, (struct str){forgetting->uid, forgetting->uid_len});
        redis_repair_journal(store);
    } else if (result == BATCH_REFUSED) {
        redis_log_error(store, "unbind", error);
    }
    free(forgetting);
}

static void forget(struct redis_store *store, conn_id device, struct str uid)
{
    struct forgetting *forgetting = mem_alloc(sizeof *forgetting);
    forgetting->store = store;
    forgetting->uid_len = uid.len;
    memcpy(forgetting->uid, uid.ptr, uid.len);
    struct name fd = fd_of(store, device);
    struct batch *batch = batch_create(store, NULL, on_forgotten, forgetting);
    traces_remove(batch, str_of(store->node), name_str(&fd), uid);
    batch_send(batch);
}

/* While Redis is away nothing is kept for later: the journal there knows the fd, and the next
 * join finds that it is no device any more. */
static void redis_unbind(struct mapping_store *base, conn_id device)
{
    struct redis_store *store = as_redis(base);
    struct str uid = devices_uid(store->devices, device);
    if (uid.len == 0) {
        return;
    }
    if (redis_link_is_connected(store->link)) {
        forget(store, device, uid);
    }
    devices_unbind(store->devices, device);
}

/* ---- when the store may be used ---- */

static void on_connected(void *ctx)
{
    struct redis_store *store = ctx;
    if (store->state != STORE_CLOSED) {
        redis_join_start(store);
    }
}

void redis_store_joined(struct redis_store *store)
{
    store->is_joining = false;
    redis_greet_the_others(store);
    redis_link_accept(store->link);
    set_state(store, STORE_OPEN);
    redis_memory_look(store);
    redis_settings_check(store);
}

static void on_lost(void *ctx)
{
    struct redis_store *store = ctx;
    store->is_joining = false;
    if (store->state != STORE_CLOSED) {
        set_state(store, STORE_AWAY);
    }
}

/* ---- what has to be done again and again ---- */

static void on_lease_timer(void *ctx)
{
    struct redis_store *store = ctx;
    if (redis_link_is_connected(store->link) &&
        (store->state == STORE_OPEN || store->is_registering)) {
        redis_lease_renew(store);
        redis_memory_look(store);
    }
}

static void on_refreshed(struct redis_store *store, enum batch_result result, const char *error)
{
    if (result == BATCH_WRONG_TYPE || result == BATCH_REFUSED) {
        redis_log_error(store, "refresh", error);
    }
}

/* [STORE-8] Every trace is written again within refresh_ms: a few devices at a time, so that
 * nobody waits for it. */
static void on_refresh_timer(void *ctx)
{
    struct redis_store *store = ctx;
    if (store->state != STORE_OPEN || store->is_registering) {
        return;
    }
    /* A few devices have their turn every so many ticks: the fraction is carried on. */
    store->refresh_due += devices_count(store->devices);
    size_t n = store->refresh_due / REFRESH_TICKS_USED;
    store->refresh_due %= REFRESH_TICKS_USED;
    if (n > 0) {
        redis_write_next(store, n, on_refreshed);
    }
}

/* ---- the end ---- */

static void on_close_timer(void *ctx)
{
    struct redis_store *store = ctx;
    void (*closed)(void *) = store->closed;
    store->closed = NULL; /* once, whether all was removed first or the time was over */
    if (closed != NULL) {
        mapping_store_tells(&store->base);
        closed(store->closed_ctx);
    }
}

void redis_store_left(struct redis_store *store)
{
    loop_timer_start(store->close_timer, 0, 0); /* a later turn, whoever called */
}

static void redis_close(struct mapping_store *base, void (*closed)(void *ctx), void *ctx)
{
    struct redis_store *store = as_redis(base);
    assert(store->state != STORE_CLOSED);
    set_state(store, STORE_CLOSED);
    loop_timer_stop(store->lease_timer);
    loop_timer_stop(store->refresh_timer);
    store->closed = closed;
    store->closed_ctx = ctx;
    loop_timer_start(store->close_timer, store->timeout_ms, 0);
    redis_leave(store);
}

static void redis_destroy(struct mapping_store *base)
{
    if (base == NULL) {
        return;
    }
    struct redis_store *store = as_redis(base);
    store->state = STORE_CLOSED;
    redis_link_destroy(store->link); /* binds, walks and registrations end, each with BATCH_LOST */
    store->link = NULL;
    redis_link_destroy(store->reader);
    redis_readings_fail(store);
    pending_destroy(store->pending);
    loop_timer_destroy(store->hold_timer);
    loop_timer_destroy(store->lease_timer);
    loop_timer_destroy(store->refresh_timer);
    loop_timer_destroy(store->close_timer);
    loop_timer_destroy(store->reading_timer);
    loop_timer_destroy(store->reader_timer);
    redis_nodes_fini(store);
    devices_destroy(store->devices);
    free(store);
}

static const struct mapping_store_ops redis_ops = {
    .bind = redis_bind,
    .unbind = redis_unbind,
    .send = redis_send,
    .broadcast = redis_broadcast,
    .listen = redis_listen,
    .trouble = redis_trouble,
    .close = redis_close,
    .destroy = redis_destroy,
};

static void start_timers(struct redis_store *store)
{
    uint64_t tick_ms = store->refresh_ms / REFRESH_TICKS;
    tick_ms = tick_ms > 0 ? tick_ms : 1;
    store->hold_timer = loop_timer_create(store->loop, on_hold_timer, store);
    store->lease_timer = loop_timer_create(store->loop, on_lease_timer, store);
    store->refresh_timer = loop_timer_create(store->loop, on_refresh_timer, store);
    store->close_timer = loop_timer_create(store->loop, on_close_timer, store);
    store->reading_timer = loop_timer_create(store->loop, redis_on_reading_timer, store);
    store->reader_timer = loop_timer_create(store->loop, redis_on_reader_timer, store);
    loop_timer_start(store->hold_timer, store->timeout_ms / HOLD_PART, 0);
    uint64_t renewal_ms = store->lease_ms / LEASE_RENEWALS;
    loop_timer_start(store->lease_timer, renewal_ms, renewal_ms);
    loop_timer_start(store->refresh_timer, tick_ms, tick_ms);
}

static void draw_node(struct redis_store *store, const char *node_name)
{
    char digits[NODE_DIGITS + 1] = "";
    random_hex(digits, NODE_DIGITS);
    snprintf(store->node_name, sizeof store->node_name, "%s", node_name);
    snprintf(store->node, sizeof store->node, "%s-%s", store->node_name, digits);
    struct str name;
    bool is_node = node_name_of(str_of(store->node), &name);
    assert(is_node && strlen(node_name) == name.len); /* config.h allows no other names */
}

static void use_history(struct redis_store *store, const struct inbox_limits *limits)
{
    store->base.inbox = &redis_inbox_ops;
    snprintf(store->messages_max, sizeof store->messages_max, "%" PRIu32, limits->messages_max);
    store->memory.percent_max = limits->redis_percent_max;
    snprintf(store->retention_ms, sizeof store->retention_ms, "%" PRIu64, limits->retention_ms);
    snprintf(store->dup_ms, sizeof store->dup_ms, "%d", INBOX_DUP_MS);
}

struct mapping_store *redis_store_create(struct loop *loop,
                                         const struct redis_store_options *options)
{
    static const struct redis_link_events events = {.connected = on_connected, .lost = on_lost};
    struct redis_store *store = mem_alloc(sizeof *store);
    store->base.ops = &redis_ops;
    store->loop = loop;
    store->state = STORE_STARTING;
    store->timeout_ms = options->timeout_ms;
    store->refresh_ms = options->refresh_ms;
    store->lease_ms = options->lease_ms;
    store->is_body = options->is_body;
    store->readings_end = &store->readings;
    draw_node(store, options->node_name);
    if (options->history != NULL) {
        use_history(store, options->history);
    }
    store->devices = devices_create();
    store->pending = pending_create(loop, &store->base, store->devices);
    start_timers(store);
    store->link = redis_link_create(loop, &options->url, options->timeout_ms, &events, store);
    redis_nodes_init(store);
    if (options->nodes) {
        store->has_nodes = true;
        store->reader = redis_reader_create(store, &options->url);
    }
    return &store->base;
}
