/* mapping_store.h - port: who is signed as whom, and messages on their way to them. SPEC 5 says
 * how it looks in Redis.
 *
 * Maps a uid to its devices: the connections that are signed as it. Two stores implement the
 * port and pass one contract suite (tests/unit/store_contract.c): memory (memory_store.h), the
 * embedded default, and redis (redis_store.h), where other programs can read the mapping and
 * other nodes share it. A store never decides who a connection is: identity belongs to the
 * connection, and the router has it ([ID-1]).
 *
 * Callbacks fire exactly once, from a later turn of the loop, never inside the call that asked,
 * so callers see one ordering whichever store is behind. Callers ask by the functions at the end,
 * and stores tell by mapping_store_tells(): together they assert it. For one device, and for sends
 * and broadcasts altogether, callbacks fire in the order of the calls, provided that the caller
 * does not ask for a device whose bind has not been answered. A send sees every bind and unbind
 * that was answered or called before it.
 *
 * What the features history and nodes need besides stands in inbox.h and nodes.h. */
#ifndef CHAT_MAPPING_STORE_H
#define CHAT_MAPPING_STORE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#include "chat/conn_id.h"
#include "chat/err.h"
#include "chat/message_id.h"
#include "chat/str.h"

struct mapping_store;
struct inbox_ops;
struct node_events;

/* A msg, or with an empty 'to' a broadcast, on its way through the store. */
struct message {
    struct str to;
    struct str from;
    struct str body; /* JSON text */
    struct str cid;  /* decoded; len 0: none. By it the feature history knows a retry ([HIST-18]) */
};

/* What became of a message. */
struct sent {
    enum err err; /* ERR_OK, ERR_UNAVAILABLE, or with history ERR_FULL ([HIST-16]) */

    /* With ERR_OK the devices of 'to' that are connections of this process, in the order in which
     * they were bound, lent until the callback returns. Those on other nodes get it by theirs. */
    const conn_id *devices;
    size_t n;

    /* With history; else none: */
    struct message_id id;
    struct message_id previous; /* of the uid's message before this one; none: not known */
    bool is_dup;                /* [HIST-18] 'id' is the first one's: nothing was stored */
};

/* 'err' is ERR_OK or ERR_UNAVAILABLE. */
typedef void mapping_bound_fn(void *ctx, conn_id device, enum err err);
typedef void mapping_sent_fn(void *ctx, const struct sent *sent);
typedef void mapping_done_fn(void *ctx, enum err err);

struct mapping_store_ops {
    /* Make 'device' a device of 'uid', and of no other uid, and remove the uid's stale fds
     * ([STORE-6]). Copies 'uid'. With ERR_UNAVAILABLE the device is bound as it was before. */
    void (*bind)(struct mapping_store *store, conn_id device, struct str uid,
                 mapping_bound_fn *bound, void *ctx);

    /* 'device' is no device any more, and its traces go: at once in memory, in Redis when it can
     * be reached. Not while a bind of this device waits for its answer. Nothing happens if it
     * was never bound. */
    void (*unbind)(struct mapping_store *store, conn_id device);

    /* Look up the devices of message->to; with history store the message first; with nodes take
     * it to the other nodes that have devices of 'to'. Borrows what 'message'
     * points to until 'sent' is called. */
    void (*send)(struct mapping_store *store, const struct message *message, mapping_sent_fn *sent,
                 void *ctx);

    /* Take a broadcast to every other node. This process's devices are the caller's business.
     * Borrows what 'message' points to until 'done' is called. */
    void (*broadcast)(struct mapping_store *store, const struct message *message,
                      mapping_done_fn *done, void *ctx);

    /* From now on tell 'ctx' what comes from other nodes (nodes.h). Before the first turn of the
     * loop. Borrows 'events'. */
    void (*listen)(struct mapping_store *store, const struct node_events *events, void *ctx);

    /* Why the store cannot do its work now, one clause of English without a full stop, lent until
     * the next call; NULL: it can. */
    const char *(*trouble)(struct mapping_store *store);

    /* Prepare to stop: remove all traces of this process from where others can see them, then
     * call 'closed' once, from a later turn. Never takes longer than the store's time limit for
     * a command. From now on everything that is asked is answered ERR_UNAVAILABLE. */
    void (*close)(struct mapping_store *store, void (*closed)(void *ctx), void *ctx);

    /* Answer what is pending with ERR_UNAVAILABLE (the one case where callbacks fire inside a
     * call: they may call unbind and nothing else), then free. NULL is allowed. */
    void (*destroy)(struct mapping_store *store);
};

struct mapping_store {
    const struct mapping_store_ops *ops;
    const struct inbox_ops *inbox; /* NULL: the feature history is off */
    bool is_asked;                 /* a call has not returned yet */
};

static inline void mapping_store_enter(struct mapping_store *store)
{
    assert(!store->is_asked);
    store->is_asked = true;
}

static inline void mapping_store_leave(struct mapping_store *store)
{
    store->is_asked = false;
}

/* For stores: before each callback, and before an event of nodes.h. */
static inline void mapping_store_tells(const struct mapping_store *store)
{
    assert(!store->is_asked);
}

static inline void mapping_store_bind(struct mapping_store *store, conn_id device, struct str uid,
                                      mapping_bound_fn *bound, void *ctx)
{
    mapping_store_enter(store);
    store->ops->bind(store, device, uid, bound, ctx);
    mapping_store_leave(store);
}

static inline void mapping_store_unbind(struct mapping_store *store, conn_id device)
{
    mapping_store_enter(store);
    store->ops->unbind(store, device);
    mapping_store_leave(store);
}

static inline void mapping_store_send(struct mapping_store *store, const struct message *message,
                                      mapping_sent_fn *sent, void *ctx)
{
    mapping_store_enter(store);
    store->ops->send(store, message, sent, ctx);
    mapping_store_leave(store);
}

static inline void mapping_store_broadcast(struct mapping_store *store,
                                           const struct message *message, mapping_done_fn *done,
                                           void *ctx)
{
    mapping_store_enter(store);
    store->ops->broadcast(store, message, done, ctx);
    mapping_store_leave(store);
}

static inline void mapping_store_close(struct mapping_store *store, void (*closed)(void *ctx),
                                       void *ctx)
{
    mapping_store_enter(store);
    store->ops->close(store, closed, ctx);
    mapping_store_leave(store);
}

#endif
