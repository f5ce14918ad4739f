/* pending.h - the binds, sends and broadcasts that wait for their answers, in the order of the
 * calls.
 *
 * Both stores give their answers through it, and so keep the promises of mapping_store.h:
 * callbacks fire from a later turn, each once, in the order of the calls, and a send sees every
 * bind called before it. Hence an answer that is known waits for those before it. */
#ifndef CHAT_PENDING_H
#define CHAT_PENDING_H

#include <stdbool.h>

#include "chat/limits.h"
#include "chat/loop.h"
#include "chat/mapping_store.h"
#include "mapping_store/devices.h"

struct pending;

enum op_kind {
    OP_BIND,
    OP_SEND,
    OP_BROADCAST
};

/* Owned by its struct pending; gone once it is answered. */
struct op {
    struct op *next;
    enum op_kind kind;
    union {
        mapping_bound_fn *bound;
        mapping_sent_fn *sent;
        mapping_done_fn *broadcast;
    } answered;
    void *ctx;
    void *store; /* for the store's own use: */
    size_t n_asked;
    bool has_failed;
    conn_id device;           /* OP_BIND, */
    struct message_id behind; /* as devices_bind() takes it */
    struct message message;   /* OP_SEND, OP_BROADCAST: borrowed from the caller */
    bool done;                /* the answer is known: */
    enum err err;
    struct message_id id; /* with history: as in struct sent */
    struct message_id previous;
    bool is_dup;
    size_t uid_len; /* OP_BIND: a copy, for the caller may change its own */
    char uid[UID_SIZE_MAX];
};

/* Of 'store'. Borrows all until destroyed. Caller owns. */
struct pending *pending_create(struct loop *loop, const struct mapping_store *store,
                               struct devices *devices);

/* Answer everything with ERR_UNAVAILABLE now, then free. */
void pending_destroy(struct pending *pending);

/* Copy 'uid'. The op is lent until pending_done(). */
struct op *pending_bind(struct pending *pending, conn_id device, struct str uid,
                        mapping_bound_fn *bound, void *ctx);
struct op *pending_send(struct pending *pending, const struct message *message,
                        mapping_sent_fn *sent, void *ctx);
struct op *pending_broadcast(struct pending *pending, const struct message *message,
                             mapping_done_fn *done, void *ctx);

/* The answer to 'op' is known. A later turn makes it so in the devices, if it is a bind that
 * went well, and calls back. */
void pending_done(struct pending *pending, struct op *op, enum err err);

/* Call 'each' with every op, oldest first. It may call pending_done(). */
void pending_each(struct pending *pending, void (*each)(void *ctx, struct op *op), void *ctx);

/* The uid that a bind binds to, or a send sends to. Lent as long as the op is. */
struct str op_uid(const struct op *op);

/* The uid to which an unanswered bind wants to bind 'device', len 0 if there is none. */
struct str pending_uid(const struct pending *pending, conn_id device);

#endif
