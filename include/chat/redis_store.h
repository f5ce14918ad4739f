/* redis_store.h - the mapping store in Redis, under the original service's keys. SPEC 5.
 *
 * Asynchronous, over one connection whose commands leave together once in each turn of the loop.
 * While Redis is away every bind and send is answered ERR_UNAVAILABLE, within the time limit;
 * when it is back, everything that is bound is written again, and nobody has to sign again. */
#ifndef CHAT_REDIS_STORE_H
#define CHAT_REDIS_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/err.h"
#include "chat/inbox.h"
#include "chat/loop.h"
#include "chat/mapping_store.h"
#include "chat/redis_url.h"

struct redis_store_options {
    struct redis_url url;
    const char *node_name; /* config.h; unique in the deployment */
    uint64_t timeout_ms;   /* for connecting, and for each command */
    uint64_t lease_ms; /* a node that has not renewed its lease for so long is dead ([NODE-5]); the
                              same on every node */
    uint64_t refresh_ms; /* every trace is written again within this time ([STORE-8]) */
    bool nodes;          /* SPEC 8: other nodes on the same Redis are told and listened to */
    const struct inbox_limits *history; /* SPEC 7; NULL: off; copied */
    bool (*is_body)(struct str text);   /* is it a JSON text? Asked of bodies that come from Redis,
                                           where others may have written; NULL: only UTF-8 is */
};

/* Copies 'options'. Returns at once and connects in the background: a Redis that is away is not an
 * error but logged. Borrows 'loop' until destroyed. Caller owns. */
struct mapping_store *redis_store_create(struct loop *loop,
                                         const struct redis_store_options *options);

#endif
