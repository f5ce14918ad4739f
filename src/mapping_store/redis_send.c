/* A msg on its way. Redis is asked for each one, so that "unavailable" is true. What it says about
 * this process is not used: an fd there never decides who a connection is ([ID-1]), and a set
 * that somebody deleted does not cost a live device its message ([STORE-8]). */
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

/* ---- with history: append.lua ---- */

enum appended {
    APPENDED_STORED,
    APPENDED_DUPLICATE,
    APPENDED_FULL,
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
    pending_done(store->pending, op, became == APPENDED_FULL ? ERR_FULL : ERR_OK);
}

static bool append(struct redis_store *store, struct op *op)
{
    const struct message *message = &op->message;
    struct inbox_keys keys;
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
    args[n++] = STR("0");
    return redis_script_call(store, SCRIPT_APPEND, args, n, on_appended, op);
}

void redis_send_start(struct redis_store *store, struct op *op)
{
    op->store = store;
    bool has_asked = store->base.inbox != NULL ? append(store, op) : count(store, op);
    if (!has_asked) {
        pending_done(store->pending, op, ERR_UNAVAILABLE);
    }
}
