/* router.h - what happens when a connection opens, speaks, closes. SPEC 4, 6 and 7.
 *
 * Pure: it knows no socket, no JSON, no clock, no Redis. It touches the world through two ports,
 * sink.h and mapping_store.h, and one source of chance. It keeps who each connection is ([ID-1])
 * and the order of its replies ([ORDER-1]).
 *
 * Requests that were received before a connection closed still take effect; their replies go
 * nowhere. */
#ifndef CHAT_ROUTER_H
#define CHAT_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/conn_id.h"
#include "chat/features.h"
#include "chat/mapping_store.h"
#include "chat/request.h"
#include "chat/sink.h"

struct router;

/* Writes 'n_digits' lower-case hexadecimal digits from a secure random source: random_hex(), or
 * a fake. */
typedef void router_random_fn(char *out, size_t n_digits);

struct router_options {
    struct features features;
    const struct str *broadcasters; /* the uids that may broadcast ([CAST-9]); borrowed */
    size_t n_broadcasters;          /* 0: everybody may */
    size_t requests_size_max; /* bytes of requests in flight of all connections; 0: no limit */
};

/* Borrows both ports until destroyed, copies 'options'. Caller owns. At the end every connection
 * is closed, then the store is destroyed, which answers what is pending, then the router. */
struct router *router_create(struct sink *sink, struct mapping_store *store,
                             router_random_fn *random, const struct router_options *options);
void router_destroy(struct router *router); /* NULL is allowed */

/* A connection is open, and not signed. 'conn' has not been opened before. */
void router_opened(struct router *router, conn_id conn);

/* A legal request. Borrows it. */
void router_received(struct router *router, conn_id conn, const struct request *request);

/* An illegal request ([ILLEGAL-1]): answered in its turn, and the connection is closed with
 * 1008. */
void router_received_illegal(struct router *router, conn_id conn);

/* The peer has said its last: it closed, or broke the transport's rules. Close with 'code' (its
 * own, 1005 if it gave none; or 1002, 1007, 1009) after the replies to what it asked before
 * ([ORDER-6]). Nothing that it sends later is received. */
void router_received_broken(struct router *router, conn_id conn, uint16_t code);

/* Do the requests in flight of all connections take as much memory as they may? Then long requests
 * are to be read later. */
bool router_is_full(const struct router *router);

/* The connection is closed, whoever closed it. Its traces go. */
void router_closed(struct router *router, conn_id conn);

/* The peer has answered a ping with this payload. Borrows it. */
void router_ponged(struct router *router, conn_id conn, struct str payload);

/* The sink's takes_more() was false for this connection, and is true again. */
void router_drained(struct router *router, conn_id conn);

/* Time passes: to be called every ROUTER_TICK_MS. */
enum {
    ROUTER_TICK_MS = 100
};
void router_tick(struct router *router);

/* Why requests cannot be done now, one clause of English without a full stop, lent until the next
 * call; NULL: they can. */
const char *router_trouble(struct router *router);

/* Connections that are signed now. */
size_t router_n_signed(const struct router *router);

#endif
