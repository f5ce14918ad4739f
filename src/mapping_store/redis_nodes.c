#include <stdio.h>
#include <stdlib.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "mapping_store/redis.h"
#include "mapping_store/redis_lua.h"

/* ---- the list ---- */

static bool is_dead(const struct redis_store *store, const struct other_node *other)
{
    return other->lease_end_ms <= (double)redis_clock_ms(store);
}

/* A node that lives renews its lease long before it is over. */
static bool is_quiet(const struct redis_store *store, const struct other_node *other)
{
    uint64_t quiet_ms = store->lease_ms / LEASE_RENEWALS * LEASE_RENEWALS_QUIET;
    return other->lease_end_ms <= (double)(redis_clock_ms(store) + quiet_ms);
}

static struct other_node *find_node(const struct redis_store *store, struct str node)
{
    return (struct other_node *)str_table_get(store->other_names, node);
}

void redis_nodes_init(struct redis_store *store)
{
    store->other_names = str_table_create();
    store->others = mem_alloc(NODES_MAX * sizeof *store->others);
}

static void forget_node(struct redis_store *store, struct other_node *other)
{
    str_table_remove(store->other_names, &other->entry);
    free(other);
}

void redis_nodes_fini(struct redis_store *store)
{
    for (size_t i = 0; i < store->n_others; i++) {
        forget_node(store, store->others[i]);
    }
    free(store->others);
    str_table_destroy(store->other_names);
}

static void log_more(struct redis_store *store)
{
    redis_log_error(store, "nodes", "more nodes than one server can tell");
}

/* The one of that name, perhaps a new one; NULL: it is none, or one too many. */
static struct other_node *find_or_add_node(struct redis_store *store, struct str node)
{
    struct str name;
    struct other_node *other = find_node(store, node);
    if (other != NULL || !node_name_of(node, &name) || str_eq(node, str_of(store->node))) {
        return other;
    }
    if (store->n_others == NODES_MAX) {
        store->has_more_nodes = true;
        return NULL;
    }
    other = mem_alloc(sizeof *other);
    memcpy(other->name, node.ptr, node.len);
    other->entry.key = (struct str){other->name, node.len};
    str_table_add(store->other_names, &other->entry);
    store->others[store->n_others++] = other;
    return other;
}

static void add_node(struct redis_store *store, struct str node, double lease_end_ms)
{
    struct other_node *other = find_or_add_node(store, node);
    if (other != NULL) {
        other->is_listed = true;
        double max_ms = (double)(redis_clock_ms(store) + LEASE_AHEAD_MAX_MS);
        other->lease_end_ms = lease_end_ms < max_ms ? lease_end_ms : max_ms;
    }
}

/* What it said may be old: then the list knows better, a moment later. */
void redis_node_is_there(struct redis_store *store, struct str node)
{
    add_node(store, node, (double)(redis_clock_ms(store) + store->lease_ms));
}

void redis_node_was_met(struct redis_store *store, struct str node)
{
    if (find_node(store, node) == NULL) {
        struct other_node *other = find_or_add_node(store, node);
        if (other != NULL) {
            other->spared_until_ms = loop_now_ms(store->loop) + store->lease_ms;
        }
    }
}

/* One that is not listed any more has left, or somebody deleted the list: until its lease would
 * have been over it is told what happens all the same, and then cleaned up after. */
static void drop_nodes(struct redis_store *store)
{
    size_t n = 0;
    for (size_t i = 0; i < store->n_others; i++) {
        struct other_node *other = store->others[i];
        if (other->is_listed || !is_dead(store, other) || !other->is_cleaned) {
            store->others[n++] = other;
        } else {
            forget_node(store, other);
        }
    }
    store->n_others = n;
}

void redis_nodes_are(struct redis_store *store, const redisReply *nodes)
{
    for (size_t i = 0; i < store->n_others; i++) {
        store->others[i]->is_listed = false;
    }
    store->has_more_nodes = nodes->elements / 2 > NODES_MAX;
    for (size_t i = 0; i + 1 < nodes->elements; i += 2) {
        const redisReply *node = nodes->element[i];
        const redisReply *score = nodes->element[i + 1];
        if (node->type == REDIS_REPLY_STRING && score->type == REDIS_REPLY_STRING) {
            add_node(store, (struct str){node->str, node->len}, strtod(score->str, NULL));
        }
    }
    drop_nodes(store);
    if (store->has_more_nodes) {
        log_more(store);
    }
}

bool redis_node_is_alive(struct redis_store *store, struct str node)
{
    const struct other_node *other = find_node(store, node);
    return other != NULL && !is_dead(store, other);
}

bool redis_node_was_written(struct redis_store *store, struct str node, size_t size)
{
    struct other_node *other = find_node(store, node);
    if (other == NULL) {
        return false; /* it has no queue, or this node has not heard of it yet */
    }
    other->n_written += size;
    if (other->n_written < NODE_QUEUE_LOOK_SIZE) {
        return false;
    }
    other->n_written = 0;
    return true;
}

/* ---- whom to tell ---- */

/* Once: by the number of the telling, or, if the node is not known, by its name. False: there are
 * too many. */
static bool add_target(struct redis_store *store, struct targets *targets, struct str node)
{
    struct other_node *other = find_node(store, node);
    if (other != NULL && other->telling == store->telling) {
        return true;
    }
    for (size_t i = 0; other == NULL && i < targets->n; i++) {
        if (str_eq(targets->nodes[i], node)) {
            return true;
        }
    }
    if (targets->n == NODES_MAX) {
        return false;
    }
    if (other != NULL) {
        other->telling = store->telling;
    }
    targets->nodes[targets->n++] = node;
    return true;
}

/* [NODE-8] Somebody may have removed the traces of a node that is dead, and it may come back. */
static bool add_quiet_nodes(struct redis_store *store, struct targets *targets)
{
    for (size_t i = 0; i < store->n_others; i++) {
        const struct other_node *other = store->others[i];
        if (is_quiet(store, other) && !add_target(store, targets, other->entry.key)) {
            return false;
        }
    }
    return true;
}

bool redis_targets_all(struct redis_store *store, struct targets *out)
{
    for (out->n = 0; out->n < store->n_others; out->n++) {
        out->nodes[out->n] = store->others[out->n]->entry.key;
    }
    return !store->has_more_nodes;
}

/* False: too many. */
static bool add_nodes_of(struct redis_store *store, const redisReply *members, struct targets *out)
{
    struct str own = str_of(store->node);
    for (size_t i = 0; i < members->elements; i++) {
        const redisReply *member = members->element[i];
        if (member->type == REDIS_REPLY_STRING) {
            struct str node = node_of_fd((struct str){member->str, member->len});
            if (node.len > 0 && !str_eq(node, own) && !add_target(store, out, node)) {
                return false;
            }
        }
    }
    return store->base.inbox != NULL || add_quiet_nodes(store, out);
}

bool redis_targets_of(struct redis_store *store, const redisReply *members, struct targets *out)
{
    out->n = 0;
    store->telling++;
    bool is_known = members != NULL && members->elements > 0;
    return (is_known && add_nodes_of(store, members, out)) || redis_targets_all(store, out);
}

/* ---- the dead ---- */

struct cleaning {
    struct redis_store *store;
    size_t len;
    char node[NODE_SIZE_MAX];
};

static void clean_next(struct cleaning *cleaning);

static void clean_finish(struct cleaning *cleaning, bool is_cleaned)
{
    struct other_node *other =
        find_node(cleaning->store, (struct str){cleaning->node, cleaning->len});
    if (other != NULL) {
        other->is_being_cleaned = false;
        other->is_cleaned = is_cleaned;
    }
    free(cleaning);
}

static void on_cleaned(void *ctx, const redisReply *reply)
{
    struct cleaning *cleaning = ctx;
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        redis_log_error(cleaning->store, "cleaning", reply->str);
    }
    bool is_count = reply != NULL && reply->type == REDIS_REPLY_INTEGER;
    if (is_count && reply->integer > 0 && cleaning->store->state == STORE_OPEN) {
        clean_next(cleaning);
    } else {
        clean_finish(cleaning, is_count && reply->integer == 0);
    }
}

/* By EVAL, as the lease. */
static void clean_next(struct cleaning *cleaning)
{
    struct redis_store *store = cleaning->store;
    struct str node = {cleaning->node, cleaning->len};
    char linger_ms[NUMBER_SIZE_MAX];
    snprintf(linger_ms, sizeof linger_ms, "%d", NODE_LINGER_MS);
    struct name journal = key_of_node_fds(node);
    struct name queue = key_of_node_queue(node);
    struct str args[] = {STR("EVAL"),        STR(lua_clean),   STR("3"), STR("chat_nodes"),
                         name_str(&journal), name_str(&queue), node,     STR("500"),
                         str_of(linger_ms)};
    if (!redis_link_command(store->link, args, sizeof args / sizeof args[0], on_cleaned,
                            cleaning)) {
        clean_finish(cleaning, false);
    }
}

static void clean_up_after(struct redis_store *store, struct other_node *other)
{
    struct cleaning *cleaning = mem_alloc(sizeof *cleaning);
    cleaning->store = store;
    cleaning->len = other->entry.key.len;
    memcpy(cleaning->node, other->name, cleaning->len);
    other->is_being_cleaned = true;
    clean_next(cleaning);
}

/* [NODE-6] Again and again as long as it is listed: it may have written something while it died.
 * Each node does so; a part is removed in one, so two at once are only done sooner. */
void redis_clean_up_after_the_dead(struct redis_store *store)
{
    for (size_t i = 0; i < store->n_others; i++) {
        struct other_node *other = store->others[i];
        bool was_dead = other->is_dead;
        other->is_dead = is_dead(store, other);
        if (other->is_dead && !was_dead) {
            log_line(LOG_WARN, "redis_node_dead", "node=%s", other->name);
        }
        bool is_spared = loop_now_ms(store->loop) < other->spared_until_ms;
        if (!other->is_dead) {
            other->is_cleaned = false; /* by when it dies again it has written more */
        } else if (!other->is_being_cleaned && !is_spared) {
            clean_up_after(store, other);
        }
    }
}
