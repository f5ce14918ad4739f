/* A msg or a broadcast on its way. Redis is asked for each one, so that "unavailable" is true.
 * What it says about this process is not used: an fd there never decides who a connection is
 * ([ID-1]), and a set that somebody deleted does not cost a live device its message ([STORE-8]). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/mem.h"
#include "mapping_store/redis.h"

/* ---- without history ---- */

static void on_counted(void *ctx, const redisReply *reply)
{
    struct op *op = ctx;
    struct redis_store *store = op->store;
    bool is_count = reply != NULL && reply->type == REDIS_REPLY_INTEGER;
    if (!is_count && reply != NULL) {
        redis_log_error(store, "send",
                        reply->type == REDIS_REPLY_ERROR ? reply->str : "not the reply of a set");
    }
    /* [STORE-13] A value of another type is as good as a deleted set. */
    bool has_answered = is_count || (reply != NULL && redis_is_wrong_type(reply));
    pending_done(store->pending, op, has_answered ? ERR_OK : ERR_UNAVAILABLE);
}

/* One node is all there is: only the set's size is asked, which costs the same whatever somebody
 * put there. */
static bool count(struct redis_store *store, struct op *op)
{
    struct name set = key_of_uid(op->message.to);
    struct str args[] = {STR("SCARD"), name_str(&set)};
    return redis_link_command(store->link, args, 2, on_counted, op);
}

/* ---- to other nodes ---- */

static void rung(struct op *op)
{
    struct redis_store *store = op->store;
    op->n_asked--;
    if (op->n_asked == 0) {
        pending_done(store->pending, op, op->has_failed ? ERR_UNAVAILABLE : ERR_OK);
    }
}

/* One node that is told. */
struct ringing {
    struct op *op;
    bool is_again; /* its queue was no queue */
    size_t len;
    char node[NODE_SIZE_MAX];
};

static void on_rung(void *ctx, const redisReply *reply);

static bool ring_one(struct ringing *ringing)
{
    const struct message *message = &ringing->op->message;
    struct ring ring = {.uid = message->to, .from = message->from, .body = message->body};
    return redis_ring(ringing->op->store, (struct str){ringing->node, ringing->len}, &ring, on_rung,
                      ringing);
}

/* [STORE-13] A queue of another type, perhaps of a node that nobody has ever seen, must not keep a
 * message from all others. */
static bool ring_again(struct ringing *ringing, const redisReply *reply)
{
    if (ringing->is_again || reply == NULL || !redis_is_wrong_type(reply)) {
        return false;
    }
    ringing->is_again = true;
    redis_repair_queue(ringing->op->store, (struct str){ringing->node, ringing->len});
    return ring_one(ringing);
}

/* Nil: there is no such queue, the node is gone. */
static void on_rung(void *ctx, const redisReply *reply)
{
    struct ringing *ringing = ctx;
    struct op *op = ringing->op;
    if (ring_again(ringing, reply)) {
        return;
    }
    free(ringing);
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        op->has_failed = true;
    }
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        redis_log_error(op->store, "ring", reply->str);
    }
    rung(op);
}

/* Answered when each node's queue has it. */
static void ring_and_wait(struct redis_store *store, struct op *op, const struct targets *targets)
{
    op->n_asked = 1;
    op->store = store;
    for (size_t i = 0; i < targets->n; i++) {
        struct str node = targets->nodes[i];
        struct ringing *ringing = mem_alloc(sizeof *ringing);
        *ringing = (struct ringing){.op = op, .len = node.len};
        memcpy(ringing->node, node.ptr, node.len);
        if (ring_one(ringing)) {
            op->n_asked++;
        } else {
            op->has_failed = true;
            free(ringing);
        }
    }
    rung(op);
}

/* [REPLY-8] Not if 'are_all' says that there are more nodes than these. */
static void ring_all(struct redis_store *store, struct op *op, const struct targets *targets,
                     bool are_all)
{
    if (are_all) {
        ring_and_wait(store, op, targets);
    } else {
        pending_done(store->pending, op, ERR_UNAVAILABLE);
    }
}

static void on_members(void *ctx, const redisReply *reply)
{
    struct op *op = ctx;
    struct redis_store *store = op->store;
    bool is_set = reply != NULL && reply->type == REDIS_REPLY_ARRAY;
    if (!is_set && reply != NULL) {
        redis_log_error(store, "send",
                        reply->type == REDIS_REPLY_ERROR ? reply->str : "not the reply of a set");
    }
    if (!is_set && (reply == NULL || !redis_is_wrong_type(reply))) {
        pending_done(store->pending, op, ERR_UNAVAILABLE);
        return;
    }
    struct targets targets;
    ring_all(store, op, &targets, redis_targets_of(store, is_set ? reply : NULL, &targets));
}

static bool ask_for_members(struct redis_store *store, struct op *op)
{
    struct name set = key_of_uid(op->message.to);
    struct str args[] = {STR("SMEMBERS"), name_str(&set)};
    return redis_link_command(store->link, args, 2, on_members, op);
}

/* With history a ring that is lost costs time only. */
static void on_rung_for_history(void *ctx, const redisReply *reply)
{
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        redis_log_error(ctx, "ring", reply->str);
    }
}

/* A duplicate is rung again, because the first one's server may have died before it did; its body
 * may be another one now. */
static void ring(struct redis_store *store, const struct op *op, const redisReply *members)
{
    const struct message *message = &op->message;
    struct targets targets;
    (void)redis_targets_of(store, members, &targets); /* whoever is not told finds it */
    struct ring ring = {.uid = message->to, .id = op->id};
    if (!op->is_dup) {
        ring.from = message->from;
        ring.previous = op->previous;
    }
    if (!op->is_dup && message->body.len <= RING_BODY_SIZE_MAX) {
        ring.body = message->body;
    }
    for (size_t i = 0; i < targets.n; i++) {
        /* False: the link is away. */
        (void)redis_ring(store, targets.nodes[i], &ring, on_rung_for_history, store);
    }
}

/* ---- with history: append.lua ---- */

enum appended {
    APPENDED_STORED,
    APPENDED_DUPLICATE,
    APPENDED_FULL,
    APPENDED_LATE, /* Redis hung, and whoever asked was told so meanwhile */
    N_APPENDED
};

/* What append.lua returns. */
enum {
    REPLY_BECAME,
    REPLY_ID,
    REPLY_PREVIOUS,
    REPLY_NOTE,
    REPLY_MEMBERS,
    N_REPLY
};

static bool is_append_reply(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == N_REPLY &&
           reply->element[REPLY_BECAME]->type == REDIS_REPLY_INTEGER &&
           reply->element[REPLY_BECAME]->integer >= 0 &&
           reply->element[REPLY_BECAME]->integer < N_APPENDED &&
           reply->element[REPLY_MEMBERS]->type == REDIS_REPLY_ARRAY;
}

static void on_appended(void *ctx, const redisReply *reply)
{
    struct op *op = ctx;
    struct redis_store *store = op->store;
    if (!is_append_reply(reply) || !redis_reply_id(reply->element[REPLY_ID], &op->id) ||
        !redis_reply_id(reply->element[REPLY_PREVIOUS], &op->previous)) {
        redis_script_failed(store, "send", reply);
        pending_done(store->pending, op, ERR_UNAVAILABLE);
        return;
    }
    redis_log_note(store, reply->element[REPLY_NOTE]);
    enum appended became = (enum appended)reply->element[REPLY_BECAME]->integer;
    op->is_dup = became == APPENDED_DUPLICATE;
    bool is_there = became == APPENDED_STORED || became == APPENDED_DUPLICATE;
    if (store->has_nodes && is_there) {
        ring(store, op, reply->element[REPLY_MEMBERS]);
    }
    pending_done(store->pending, op,
                 is_there                  ? ERR_OK
                 : became == APPENDED_FULL ? ERR_FULL
                                           : ERR_UNAVAILABLE);
}

static bool append(struct redis_store *store, struct op *op)
{
    const struct message *message = &op->message;
    struct inbox_keys keys;
    if (!redis_memory_takes(store, message)) {
        return false;
    }
    inbox_keys_of(&keys, message->to);
    bool has_cid = message->cid.len > 0;
    struct str args[16] = {[2] = has_cid ? STR("4") : STR("3"), keys.inbox, keys.state, keys.set};
    size_t n = 6;
    if (has_cid) {
        inbox_keys_add_cid(&keys, message->from, message->cid);
        args[n++] = keys.cid;
    }
    args[n++] = message->from;
    args[n++] = message->body;
    args[n++] = str_of(store->messages_max);
    args[n++] = str_of(store->retention_ms);
    args[n++] = str_of(store->dup_ms);
    args[n++] = store->has_nodes ? STR("1") : STR("0");
    char until_ms[NUMBER_SIZE_MAX];
    snprintf(until_ms, sizeof until_ms, "%" PRIu64, redis_clock_ms(store) + store->timeout_ms);
    args[n++] = str_of(until_ms);
    return redis_script_call(store, SCRIPT_APPEND, args, n, on_appended, op);
}

void redis_send_start(struct redis_store *store, struct op *op)
{
    op->store = store;
    bool has_asked = store->base.inbox != NULL ? append(store, op)
                     : store->has_nodes        ? ask_for_members(store, op)
                                               : count(store, op);
    if (!has_asked) {
        pending_done(store->pending, op, ERR_UNAVAILABLE);
    }
}

/* ---- broadcasts ---- */

static void on_nodes(void *ctx, const redisReply *reply)
{
    struct op *op = ctx;
    struct redis_store *store = op->store;
    if (reply == NULL || (reply->type == REDIS_REPLY_ERROR && !redis_is_wrong_type(reply))) {
        pending_done(store->pending, op, ERR_UNAVAILABLE);
        return;
    }
    if (reply->type == REDIS_REPLY_ARRAY) {
        redis_nodes_are(store, reply);
    }
    struct targets targets;
    ring_all(store, op, &targets, redis_targets_all(store, &targets));
}

/* The nodes are asked for, not remembered: one that has just joined has devices, too. A msg asks
 * something first as well, so the two come in order ([CAST-7]). One more than there may be shows
 * whether these are all. */
void redis_broadcast_start(struct redis_store *store, struct op *op)
{
    op->store = store;
    char last[NUMBER_SIZE_MAX];
    snprintf(last, sizeof last, "%d", NODES_MAX);
    struct str args[] = {STR("ZREVRANGE"), STR("chat_nodes"), STR("0"), str_of(last),
                         STR("WITHSCORES")};
    if (!store->has_nodes) {
        pending_done(store->pending, op, ERR_OK);
    } else if (!redis_link_command(store->link, args, 5, on_nodes, op)) {
        pending_done(store->pending, op, ERR_UNAVAILABLE);
    }
}
