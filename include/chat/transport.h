/* transport.h - WebSockets by libwebsockets: start, stop, what it serves. SPEC 2.
 *
 * Turns bytes of the network into calls of router.h and implements sink.h. Everything that one
 * turn of the loop has to say to a connection leaves in one system call. */
#ifndef CHAT_TRANSPORT_H
#define CHAT_TRANSPORT_H

#include <stdint.h>

#include "chat/err.h"
#include "chat/loop.h"
#include "chat/router.h"
#include "chat/sink.h"

struct transport;

/* Sizes in bytes, times in milliseconds; config.h has defaults and ranges. */
struct transport_options {
    const char *listen_host;              /* numeric IPv4 or IPv6 address */
    uint16_t listen_port;                 /* 0: any free one */
    bool reuse_port;                      /* other processes may listen there, too */
    uint32_t connections_max;             /* 0: as many as the limit of open files allows */
    uint32_t connections_per_address_max; /* 0: no such limit */
    uint32_t message_size_max;            /* [WS-7] */
    uint64_t message_timeout_ms;          /* from a message's first byte to its last */
    uint32_t outbox_size_max;             /* [WS-12] */
    uint32_t outboxes_size_max;           /* of all connections together */
    uint32_t request_rate_max;            /* a second and connection; 0: no such limit */
    uint32_t request_burst_max;           /* at once, before the rate counts */
    uint64_t ping_interval_ms; /* [WS-10] after this time without a byte from the peer, a ping */
    uint64_t ping_timeout_ms;  /* after this much more, the connection is dropped */
    uint64_t handshake_timeout_ms; /* from TCP's accept to the end of the upgrade */
    uint32_t handshake_size_max;   /* the head of its request */
};

/* Listens, but accepts nothing before transport_start(). ERR_IO if it cannot, already logged.
 * Copies 'options'. Borrows 'loop' until destroyed. */
MUST_CHECK enum err transport_create(struct loop *loop, const struct transport_options *options,
                                     struct transport **out);

/* The port for the router. Lives as long as the transport. */
struct sink *transport_sink(struct transport *transport);

/* Accept connections and give them to 'router', which has to live until 'stopped'. */
void transport_start(struct transport *transport, struct router *router);

/* The port it listens on. */
uint16_t transport_port(const struct transport *transport);

/* Stop accepting, close every connection with 1001 ([WS-9]) once what waits for it has left,
 * then call 'stopped' once. Takes at most 'timeout_ms'; connections still open then are cut. */
void transport_stop(struct transport *transport, uint64_t timeout_ms, loop_fn *stopped, void *ctx);

void transport_destroy(
    struct transport
        *transport); /* after 'stopped', or before transport_start(). NULL is allowed */

#endif
