/* mapping_store.h - port: who is signed as whom. SPEC 5 says how it looks in Redis.
 *
 * Maps a uid to its devices: the connections that are signed as it. Two stores implement the
 * port and pass one contract suite (tests/unit/store_contract.c): memory (memory_store.h), the
 * embedded default, and redis (redis_store.h), where other programs can read the mapping. A
 * store never decides who a connection is: identity belongs to the connection, and the router
 * has it ([ID-1]).
 *
 * Callbacks fire exactly once, from a later turn of the loop, never inside the call that asked,
 * so callers see one ordering whichever store is behind. For one device, and for finds
 * altogether, callbacks fire in the order of the calls, provided that the caller does not ask
 * for a device whose bind has not been answered. A find sees every bind and unbind that was
 * answered or called before it. */
#ifndef CHAT_MAPPING_STORE_H
#define CHAT_MAPPING_STORE_H

#include <stddef.h>

#include "chat/conn_id.h"
#include "chat/err.h"
#include "chat/str.h"

struct mapping_store;

/* 'err' is ERR_OK or ERR_UNAVAILABLE. */
typedef void mapping_bound_fn(void *ctx, conn_id device, enum err err);

/* With ERR_OK the 'n' devices of the uid that are connections of this process, in the order in
 * which they were bound, lent until the callback returns; with ERR_UNAVAILABLE n is 0. */
typedef void mapping_found_fn(void *ctx, enum err err, const conn_id *devices, size_t n);

struct mapping_store_ops {
    /* Make 'device' a device of 'uid', and of no other uid, and remove the uid's stale fds
     * ([STORE-6]). Copies 'uid'. With ERR_UNAVAILABLE the device is bound as it was before. */
    void (*bind)(struct mapping_store *store, conn_id device, struct str uid,
                 mapping_bound_fn *bound, void *ctx);

    /* 'device' is no device any more, and its traces go: at once in memory, in Redis when it can
     * be reached. Not while a bind of this device waits for its answer. Nothing happens if it
     * was never bound. */
    void (*unbind)(struct mapping_store *store, conn_id device);

    /* Look up the devices of 'uid'. Copies 'uid'. */
    void (*find)(struct mapping_store *store, struct str uid, mapping_found_fn *found, void *ctx);

    /* Prepare to stop: remove all traces of this process from where others can see them, then
     * call 'closed' once, from a later turn. Never takes longer than the store's time limit for
     * a command. From now on every bind and find is answered ERR_UNAVAILABLE. */
    void (*close)(struct mapping_store *store, void (*closed)(void *ctx), void *ctx);

    /* Answer what is pending with ERR_UNAVAILABLE (the one case where callbacks fire inside a
     * call: they may call unbind and nothing else), then free. NULL is allowed. */
    void (*destroy)(struct mapping_store *store);
};

struct mapping_store {
    const struct mapping_store_ops *ops;
};

#endif
