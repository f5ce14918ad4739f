/* pending.h - the binds and finds that wait for their answers, in the order of the calls.
 *
 * Both stores give their answers through it, and so keep the promises of mapping_store.h:
 * callbacks fire from a later turn, each once, in the order of the calls, and a find sees every
 * bind called before it. Hence an answer that is known waits for those before it. */
#ifndef CHAT_PENDING_H
#define CHAT_PENDING_H

#include <stdbool.h>

#include "chat/limits.h"
#include "chat/loop.h"
#include "chat/mapping_store.h"
#include "mapping_store/devices.h"

struct pending;

/* A bind or a find. Owned by its struct pending; gone once it is answered. */
struct op {
    struct op *next;
    conn_id device;          /* CONN_NONE: a find */
    mapping_bound_fn *bound; /* or */
    mapping_found_fn *found;
    void *ctx;
    void *store; /* for the store's own use */
    bool done;   /* the answer is known: */
    enum err err;
    size_t uid_len;
    char uid[UID_SIZE_MAX];
};

/* Borrows both until destroyed. Caller owns. */
struct pending *pending_create(struct loop *loop, struct devices *devices);

/* Answer everything with ERR_UNAVAILABLE now, then free. */
void pending_destroy(struct pending *pending);

/* Copy 'uid'. The op is lent until pending_done(). */
struct op *pending_bind(struct pending *pending, conn_id device, struct str uid,
                        mapping_bound_fn *bound, void *ctx);
struct op *pending_find(struct pending *pending, struct str uid, mapping_found_fn *found,
                        void *ctx);

/* The answer to 'op' is known. A later turn makes it so in the devices, if it is a bind that
 * went well, and calls back. */
void pending_done(struct pending *pending, struct op *op, enum err err);

/* Call 'each' with every op, oldest first. It may call pending_done(). */
void pending_each(struct pending *pending, void (*each)(void *ctx, struct op *op), void *ctx);

/* The uid of 'op', lent as long as the op is. */
struct str op_uid(const struct op *op);

/* The uid to which an unanswered bind wants to bind 'device', len 0 if there is none. */
struct str pending_uid(const struct pending *pending, conn_id device);

#endif
