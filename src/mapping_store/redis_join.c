/* After each connect, before any bind or find: traces of predecessors go (once), the lease is
 * taken, then the journal is compared with the devices and all devices are written again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "mapping_store/redis.h"

/* ---- a walk through a node's journal, removing the traces in it ---- */

typedef void walk_done_fn(struct redis_store *store, enum batch_result result, const char *error);

struct walk {
    struct redis_store *store;
    char node[NODE_SIZE_MAX + 1];
    bool keeps_devices; /* ours stay; else all goes, the node itself at the end */
    walk_done_fn *done;
    char cursor[24];
    struct batch *removals; /* of the page that has just come */
};

static void walk_next(struct walk *walk);

static void walk_finish(struct walk *walk, enum batch_result result, const char *error)
{
    struct redis_store *store = walk->store;
    walk_done_fn *done = walk->done;
    free(walk);
    done(store, result, error);
}

static void on_node_removed(void *ctx, enum batch_result result, const char *error)
{
    walk_finish(ctx, result, error);
}

static void remove_node(struct walk *walk)
{
    struct name journal = key_of_node_fds(str_of(walk->node));
    struct batch *batch = batch_create(walk->store, NULL, on_node_removed, walk);
    batch_ask(batch, (struct str[]){STR("DEL"), name_str(&journal)}, 2);
    batch_ask(batch, (struct str[]){STR("ZREM"), STR("chat_nodes"), str_of(walk->node)}, 3);
    batch_send(batch);
}

/* In a key of another type there is no trace of ours. The uid's next sign replaces it. */
static void on_page_removed(void *ctx, enum batch_result result, const char *error)
{
    struct walk *walk = ctx;
    if (result > BATCH_WRONG_TYPE) {
        walk_finish(walk, result, error);
    } else if (strcmp(walk->cursor, "0") != 0) {
        walk_next(walk);
    } else if (walk->keeps_devices) {
        walk_finish(walk, BATCH_OK, "");
    } else {
        remove_node(walk);
    }
}

static void walk_judge(struct walk *walk, struct str fd, struct str uid)
{
    struct redis_store *store = walk->store;
    if (walk->keeps_devices) {
        conn_id device = device_of_fd(store, fd);
        if (device == CONN_NONE || !str_eq(devices_uid(store->devices, device), uid)) {
            traces_remove(walk->removals, str_of(walk->node), fd, uid);
        }
    } else if (str_eq(node_of_fd(fd), str_of(walk->node))) { /* or it cannot have written it */
        traces_remove_visible(walk->removals, fd, uid);
    }
}

static void on_page(void *ctx, size_t i, const redisReply *reply)
{
    (void)i;
    struct walk *walk = ctx;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return;
    }
    snprintf(walk->cursor, sizeof walk->cursor, "%s", redis_text(reply->element[0]).ptr);
    walk->removals = batch_create(walk->store, NULL, on_page_removed, walk);
    const redisReply *page = reply->element[1];
    for (size_t k = 0; k + 1 < page->elements; k += 2) {
        struct str fd = redis_text(page->element[k]);
        struct str uid = redis_text(page->element[k + 1]);
        walk_judge(walk, fd, uid);
    }
}

static void on_page_done(void *ctx, enum batch_result result, const char *error)
{
    struct walk *walk = ctx;
    if (result > BATCH_WRONG_TYPE) {
        walk_finish(walk, result, error);
        return;
    }
    struct batch *removals = walk->removals;
    if (removals == NULL) { /* not a hash: as good as an empty one */
        snprintf(walk->cursor, sizeof walk->cursor, "0");
        removals = batch_create(walk->store, NULL, on_page_removed, walk);
    }
    walk->removals = NULL;
    batch_send(removals);
}

static void walk_next(struct walk *walk)
{
    struct name journal = key_of_node_fds(str_of(walk->node));
    struct batch *batch = batch_create(walk->store, on_page, on_page_done, walk);
    struct str args[] = {STR("HSCAN"), name_str(&journal), str_of(walk->cursor), STR("COUNT"),
                         STR("500")};
    batch_ask(batch, args, 5);
    batch_send(batch);
}

static void walk_start(struct redis_store *store, const char *node, bool keeps_devices,
                       walk_done_fn *done)
{
    struct walk *walk = mem_alloc(sizeof *walk);
    walk->store = store;
    snprintf(walk->node, sizeof walk->node, "%s", node);
    snprintf(walk->cursor, sizeof walk->cursor, "0");
    walk->keeps_devices = keeps_devices;
    walk->done = done;
    walk_next(walk);
}

/* ---- the last step: all devices are written again ---- */

static void register_next(struct redis_store *store);

/* False, and the join is over, if the step before did not work. */
static bool join_goes_on(struct redis_store *store, enum batch_result result, const char *error)
{
    if (result == BATCH_REFUSED && store->state != STORE_CLOSED) {
        redis_link_reject(store->link, error);
    }
    return result <= BATCH_WRONG_TYPE && store->state != STORE_CLOSED;
}

static void on_registered(struct redis_store *store, enum batch_result result, const char *error)
{
    if (result == BATCH_WRONG_TYPE) {
        redis_log_error(store, "register", error);
    }
    if (!join_goes_on(store, result, error)) {
        store->is_registering = false;
        return;
    }
    register_next(store);
}

static void register_next(struct redis_store *store)
{
    size_t n = store->n_to_register < REGISTER_BATCH ? store->n_to_register : REGISTER_BATCH;
    if (n == 0) {
        store->is_registering = false;
        if (store->is_joining) {
            redis_store_joined(store);
        }
        return;
    }
    store->n_to_register -= n;
    redis_write_next(store, n, on_registered);
}

void redis_register_all(struct redis_store *store)
{
    store->n_to_register = devices_count(store->devices);
    if (!store->is_registering) {
        store->is_registering = true;
        register_next(store);
    }
}

/* ---- the journal against the devices ---- */

static void on_reconciled(struct redis_store *store, enum batch_result result, const char *error)
{
    if (join_goes_on(store, result, error)) {
        redis_register_all(store);
    }
}

/* ---- the lease ---- */

static void on_leased(void *ctx, enum batch_result result, const char *error)
{
    struct redis_store *store = ctx;
    if (join_goes_on(store, result, error)) {
        walk_start(store, store->node, true, on_reconciled);
    }
}

/* ---- predecessors: nodes of our name, and nodes whose lease is over ---- */

static void take_over(struct redis_store *store);
static void takeover_next(struct redis_store *store);

static void on_taken_over(struct redis_store *store, enum batch_result result, const char *error)
{
    if (join_goes_on(store, result, error)) {
        takeover_next(store);
    }
}

static void takeover_next(struct redis_store *store)
{
    if (store->n_predecessors == 0 && store->has_more_predecessors) {
        take_over(store);
        return;
    }
    if (store->n_predecessors == 0) {
        store->has_taken_over = true;
        redis_lease_take(store, on_leased);
        return;
    }
    store->n_predecessors--;
    const char *node = store->predecessors[store->n_predecessors];
    log_line(LOG_INFO, "redis_takeover", "node=%s", node);
    walk_start(store, node, false, on_taken_over);
}

static void judge_node(struct redis_store *store, struct str node, double lease_end_ms)
{
    struct str name;
    if (!node_name_of(node, &name)) {
        return;
    }
    bool is_namesake = str_eq(name, str_of(store->node_name));
    /* With the feature nodes the dead may come back, and are cleaned up after all the time. */
    bool is_expired = !store->has_nodes && lease_end_ms <= (double)store->redis_now_ms;
    if (!is_namesake && !is_expired) {
        return;
    }
    store->has_more_predecessors = store->n_predecessors == PREDECESSORS_MAX;
    if (!store->has_more_predecessors) {
        char *copy = store->predecessors[store->n_predecessors++];
        memcpy(copy, node.ptr, node.len);
        copy[node.len] = '\0';
    }
}

static void on_nodes_reply(void *ctx, size_t i, const redisReply *reply)
{
    struct redis_store *store = ctx;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0) {
        return;
    }
    if (i == 0 && reply->elements == 2) {
        store->redis_now_ms = redis_time_ms(reply);
        return;
    }
    for (size_t k = 0; k < reply->elements; k += 2) {
        struct str node = redis_text(reply->element[k]);
        judge_node(store, node, strtod(redis_text(reply->element[k + 1]).ptr, NULL));
    }
}

static void on_nodes_known(void *ctx, enum batch_result result, const char *error)
{
    if (result == BATCH_WRONG_TYPE) { /* then nobody knows of any predecessor */
        redis_log_error(ctx, "takeover", error);
    }
    on_taken_over(ctx, result, error);
}

static void take_over(struct redis_store *store)
{
    store->n_predecessors = 0;
    store->has_more_predecessors = false;
    struct batch *batch = batch_create(store, on_nodes_reply, on_nodes_known, store);
    batch_ask(batch, (struct str[]){STR("TIME")}, 1);
    struct str args[] = {STR("ZRANGE"), STR("chat_nodes"), STR("0"), STR("-1"), STR("WITHSCORES")};
    batch_ask(batch, args, 5);
    batch_send(batch);
}

static void on_scripts_loaded(struct redis_store *store, enum batch_result result,
                              const char *error)
{
    if (!join_goes_on(store, result, error)) {
        return;
    }
    /* Once: later, a namesake or an expired lease may be a server that is only slow to come
     * back. */
    if (store->has_taken_over) {
        redis_lease_take(store, on_leased);
    } else {
        take_over(store);
    }
}

void redis_join_start(struct redis_store *store)
{
    store->is_joining = true;
    redis_scripts_load(store, on_scripts_loaded);
}

/* ---- a clean stop ---- */

static void on_left(struct redis_store *store, enum batch_result result, const char *error)
{
    if (result == BATCH_REFUSED) {
        redis_log_error(store, "leave", error);
    }
    redis_store_left(store);
}

static void on_queue_left(void *ctx, enum batch_result result, const char *error)
{
    (void)ctx;
    (void)result; /* else it goes a little later */
    (void)error;
}

/* Nobody tells this node anything any more, but for those who have not looked yet: for them the
 * queue stays a little, or they would make one that nobody removes. */
static void leave_the_others(struct redis_store *store)
{
    struct name queue = key_of_node_queue(str_of(store->node));
    struct batch *batch = batch_create(store, NULL, on_queue_left, NULL);
    char linger_ms[NUMBER_SIZE_MAX];
    snprintf(linger_ms, sizeof linger_ms, "%" PRIu64, 2 * store->lease_ms);
    batch_ask(batch, (struct str[]){STR("ZREM"), STR("chat_nodes"), str_of(store->node)}, 3);
    batch_ask(batch, (struct str[]){STR("PEXPIRE"), name_str(&queue), str_of(linger_ms)}, 3);
    batch_send(batch);
}

void redis_leave(struct redis_store *store)
{
    if (store->has_nodes) {
        leave_the_others(store);
    }
    /* By the journal, which has the traces of binds in flight, too. */
    walk_start(store, store->node, false, on_left);
}
