/* A sign, in up to three round trips: write our traces and look at the uid's fds; if some may be
 * stale, ask which of their nodes are alive; remove the stale ones. Most signs take one. Where a
 * key of another type is met, it is removed and all begins again, once. */
#include <stdlib.h>

#include "chat/mem.h"
#include "mapping_store/redis.h"

enum {
    SUSPECTS_MAX = 4000 /* fds that one sign looks at, the rest is left to the next */
};

/* An fd of the uid's set that is not one of this process's devices of the uid. */
struct suspect {
    char *bytes;
    size_t len;
    size_t i_node; /* of the node that it may live on */
    bool is_stale;
    bool has_key; /* which goes with it */
};

struct node {
    char bytes[NODE_SIZE_MAX];
    size_t len;
    bool is_alive;
};

struct bind {
    struct redis_store *store;
    struct op *op;
    uint64_t started_ms;
    bool is_repaired;
    uint64_t now_ms; /* by Redis' clock */
    bool spares_unlisted;
    size_t n_suspects;
    struct suspect *suspects; /* room for SUSPECTS_MAX, or NULL */
    size_t n_nodes;           /* up to NODES_MAX; beyond it they count as alive */
    size_t nodes_capacity;
    struct node *nodes;
};

/* ---- which fds may be stale ---- */

/* The node's place in the list; NODES_MAX if it is full. */
static size_t node_index(struct bind *bind, struct str node)
{
    for (size_t i = 0; i < bind->n_nodes; i++) {
        if (str_eq((struct str){bind->nodes[i].bytes, bind->nodes[i].len}, node)) {
            return i;
        }
    }
    if (bind->n_nodes == NODES_MAX) {
        redis_log_error(bind->store, "bind", "a set has fds of more nodes than there may be");
        return NODES_MAX;
    }
    if (bind->n_nodes == bind->nodes_capacity) {
        bind->nodes_capacity = bind->nodes_capacity * 2 + 1;
        bind->nodes = mem_realloc(bind->nodes, bind->nodes_capacity * sizeof *bind->nodes);
    }
    struct node *new = &bind->nodes[bind->n_nodes];
    new->is_alive = false;
    memcpy(new->bytes, node.ptr, node.len);
    new->len = node.len;
    return bind->n_nodes++;
}

static bool is_ours_and_live(const struct bind *bind, conn_id device)
{
    struct str uid = op_uid(bind->op);
    return str_eq(devices_uid(bind->store->devices, device), uid) ||
           str_eq(pending_uid(bind->store->pending, device), uid);
}

/* False: 'fd' is live for all we know. */
static bool judge(struct bind *bind, struct str fd, struct suspect *suspect)
{
    struct redis_store *store = bind->store;
    conn_id device = device_of_fd(store, fd);
    if (device != CONN_NONE) {
        suspect->is_stale = true;
        /* A device that is signed as another uid keeps its key, which says so. */
        suspect->has_key = devices_uid(store->devices, device).len == 0 &&
                           pending_uid(store->pending, device).len == 0;
        return !is_ours_and_live(bind, device);
    }
    suspect->has_key = true;
    struct str node = node_of_fd(fd);
    suspect->is_stale = node.len == 0 || str_eq(node, str_of(store->node));
    if (!suspect->is_stale) {
        suspect->i_node = node_index(bind, node);
        return suspect->i_node < NODES_MAX;
    }
    return true;
}

static void on_written_reply(void *ctx, size_t i, const redisReply *reply)
{
    (void)i;
    struct bind *bind = ctx;
    if (reply->type != REDIS_REPLY_ARRAY) {
        return; /* only SMEMBERS gives an array */
    }
    for (size_t k = 0; k < reply->elements && bind->n_suspects < SUSPECTS_MAX; k++) {
        struct str fd = redis_text(reply->element[k]);
        struct suspect suspect = {.len = fd.len};
        if (!judge(bind, fd, &suspect)) {
            continue;
        }
        if (bind->suspects == NULL) {
            bind->suspects = mem_alloc(SUSPECTS_MAX * sizeof *bind->suspects);
        }
        suspect.bytes = mem_copy(fd);
        bind->suspects[bind->n_suspects++] = suspect;
    }
}

/* ---- the end ---- */

static void forget_suspects(struct bind *bind)
{
    for (size_t i = 0; i < bind->n_suspects; i++) {
        free(bind->suspects[i].bytes);
    }
    bind->n_suspects = 0;
    bind->n_nodes = 0;
}

static void bind_destroy(struct bind *bind)
{
    forget_suspects(bind);
    free(bind->suspects);
    free(bind->nodes);
    free(bind);
}

static void on_undone(void *ctx, enum batch_result result, const char *error)
{
    (void)ctx;
    (void)result; /* The refresh and the next join try again what could not be undone. */
    (void)error;
}

/* Redis refused a part of it: the device's traces become again what the device is. */
static void undo(struct bind *bind)
{
    struct redis_store *store = bind->store;
    conn_id device = bind->op->device;
    struct str current = devices_uid(store->devices, device);
    struct str tried = op_uid(bind->op);
    struct name fd = fd_of(store, device);
    struct batch *batch = batch_create(store, NULL, on_undone, NULL);
    if (!str_eq(current, tried)) {
        traces_remove(batch, str_of(store->node), name_str(&fd), tried);
    }
    if (current.len > 0 && store->state == STORE_OPEN) {
        traces_write(batch, store, device, current);
    }
    batch_send(batch);
}

/* A Redis that is slow but answers must not make a sign take three times the time limit: no
 * round trip is begun when half of it is over. */
static bool has_time(const struct bind *bind)
{
    const struct redis_store *store = bind->store;
    return loop_now_ms(store->loop) - bind->started_ms <= store->timeout_ms / 2;
}

static void bind_write(struct bind *bind);

/* Not after close, whose walk would not see what is written now. */
static bool may_repair(const struct bind *bind)
{
    return !bind->is_repaired && has_time(bind) && bind->store->state != STORE_CLOSED;
}

/* Once more from the start. */
static void bind_repair(struct bind *bind)
{
    struct redis_store *store = bind->store;
    struct str before = devices_uid(store->devices, bind->op->device);
    bind->is_repaired = true;
    redis_repair_journal(store);
    redis_repair_set(store, op_uid(bind->op));
    if (before.len > 0) {
        redis_repair_set(store, before); /* which the device leaves: [STORE-2] */
    }
    forget_suspects(bind);
    bind_write(bind);
}

static void bind_finish(struct bind *bind, enum batch_result result, const char *error)
{
    struct redis_store *store = bind->store;
    if (result == BATCH_WRONG_TYPE && may_repair(bind)) {
        bind_repair(bind);
        return;
    }
    if (result == BATCH_WRONG_TYPE || result == BATCH_REFUSED) {
        redis_log_error(store, "bind", error);
        undo(bind);
    }
    pending_done(store->pending, bind->op, result == BATCH_OK ? ERR_OK : ERR_UNAVAILABLE);
    bind_destroy(bind);
}

/* ---- third round trip: remove ---- */

static void meet_the_dead(const struct bind *bind)
{
    for (size_t i = 0; i < bind->n_nodes && bind->store->has_nodes; i++) {
        if (!bind->nodes[i].is_alive) {
            redis_node_was_met(bind->store, (struct str){bind->nodes[i].bytes, bind->nodes[i].len});
        }
    }
}

static void on_removed(void *ctx, enum batch_result result, const char *error)
{
    bind_finish(ctx, result, error);
}

/* [STORE-6] "A sign removes from its uid's set every fd whose connection no longer exists, with
 * that fd's own key, and no fd of a live device." */
static void remove_stale(struct bind *bind)
{
    meet_the_dead(bind);
    struct name set = key_of_uid(op_uid(bind->op));
    struct str *args = mem_alloc((2 + bind->n_suspects) * sizeof *args);
    struct batch *batch = batch_create(bind->store, NULL, on_removed, bind);
    size_t n_args = 2;
    args[0] = STR("SREM");
    args[1] = name_str(&set);
    for (size_t i = 0; i < bind->n_suspects; i++) {
        const struct suspect *suspect = &bind->suspects[i];
        if (!suspect->is_stale && bind->nodes[suspect->i_node].is_alive) {
            continue;
        }
        args[n_args] = (struct str){suspect->bytes, suspect->len};
        if (suspect->has_key) {
            traces_remove_fd_key(batch, args[n_args]);
        }
        n_args++;
    }
    if (n_args > 2) {
        batch_ask(batch, args, n_args);
    }
    free(args);
    batch_send(batch);
}

/* ---- second round trip: who is alive ---- */

enum {
    ALIVE_NOW,
    ALIVE_SELF,
    ALIVE_OTHERS
};

/* [NODE-4] Who is not listed is dead; but not if somebody has deleted the list, which nobody but
 * this node itself can be believed about. */
static void on_alive_reply(void *ctx, size_t i, const redisReply *reply)
{
    struct bind *bind = ctx;
    bool is_listed = reply->type == REDIS_REPLY_STRING;
    if (i == ALIVE_NOW && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        bind->now_ms = redis_time_ms(reply);
    } else if (i == ALIVE_SELF) {
        bind->spares_unlisted = !is_listed || redis_list_was_lost(bind->store);
    } else if (i >= ALIVE_OTHERS) {
        bind->nodes[i - ALIVE_OTHERS].is_alive =
            is_listed ? strtod(reply->str, NULL) > (double)bind->now_ms : bind->spares_unlisted;
    }
}

/* [NODE-4] By a list of nodes that has another type nobody can be told dead, so nobody is. The
 * next lease puts it right. */
static void spare_all_nodes(struct bind *bind)
{
    for (size_t i = 0; i < bind->n_nodes; i++) {
        bind->nodes[i].is_alive = true;
    }
}

static void on_alive_known(void *ctx, enum batch_result result, const char *error)
{
    struct bind *bind = ctx;
    if (result == BATCH_WRONG_TYPE) {
        redis_log_error(bind->store, "bind", error);
        spare_all_nodes(bind);
        result = BATCH_OK;
    }
    if (result != BATCH_OK) {
        bind_finish(bind, result, error);
    } else if (!has_time(bind)) {
        bind_finish(bind, BATCH_REFUSED, "too slow");
    } else {
        remove_stale(bind);
    }
}

/* Asked at this moment, not remembered: a node that joined a moment ago has live fds. */
static void ask_who_is_alive(struct bind *bind)
{
    struct batch *batch = batch_create(bind->store, on_alive_reply, on_alive_known, bind);
    batch_ask(batch, (struct str[]){STR("TIME")}, 1);
    batch_ask(batch, (struct str[]){STR("ZSCORE"), STR("chat_nodes"), str_of(bind->store->node)},
              3);
    for (size_t i = 0; i < bind->n_nodes; i++) {
        struct str node = {bind->nodes[i].bytes, bind->nodes[i].len};
        batch_ask(batch, (struct str[]){STR("ZSCORE"), STR("chat_nodes"), node}, 3);
    }
    batch_send(batch);
}

/* ---- first round trip: write ---- */

static void on_written(void *ctx, enum batch_result result, const char *error)
{
    struct bind *bind = ctx;
    if (result != BATCH_OK || bind->n_suspects == 0) {
        bind_finish(bind, result, error);
    } else if (!has_time(bind)) {
        bind_finish(bind, BATCH_REFUSED, "too slow");
    } else if (bind->n_nodes > 0) {
        ask_who_is_alive(bind);
    } else {
        remove_stale(bind);
    }
}

static void bind_write(struct bind *bind)
{
    struct redis_store *store = bind->store;
    conn_id device = bind->op->device;
    struct str uid = op_uid(bind->op);
    struct str before = devices_uid(store->devices, device);
    struct name set = key_of_uid(uid);
    struct batch *batch = batch_create(store, on_written_reply, on_written, bind);
    if (before.len > 0 && !str_eq(before, uid)) {
        /* Before the journal forgets the old uid. */
        struct name old_set = key_of_uid(before);
        struct name fd = fd_of(store, device);
        batch_ask(batch, (struct str[]){STR("SREM"), name_str(&old_set), name_str(&fd)}, 3);
    }
    traces_write(batch, store, device, uid);
    redis_queue_note_end(store, bind->op);
    batch_ask(batch, (struct str[]){STR("SMEMBERS"), name_str(&set)}, 2);
    batch_send(batch);
}

void redis_bind_start(struct redis_store *store, struct op *op)
{
    struct bind *bind = mem_alloc(sizeof *bind);
    bind->store = store;
    bind->op = op;
    bind->started_ms = loop_now_ms(store->loop);
    bind_write(bind);
}
