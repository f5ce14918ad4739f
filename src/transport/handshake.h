/* handshake.h - a TCP connection from its accept to its upgrade.
 *
 * Reads the head of the request, and not a byte behind it; answers whatever is no WebSocket in
 * HTTP; hands the socket over where an upgrade is to be answered. So libwebsockets meets no peer
 * that was not judged, and no limit of connections keeps /healthz and /readyz from an answer.
 *
 * After an answer, what the peer still sends is read and dropped for a while: if the socket were
 * closed with bytes unread, the kernel's reset could overtake the answer. */
#ifndef CHAT_HANDSHAKE_H
#define CHAT_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/loop.h"
#include "chat/str.h"
#include "transport/addresses.h"
#include "transport/http.h"

struct handshakes;

/* What the owner decides and gets. Called from the loop, never inside a call of this header's. */
struct handshake_events {
    /* May one more connection from 'address' be upgraded? NULL, or the answer that refuses it. */
    const struct http_answer *(*refuses)(void *ctx, struct address *address);
    /* After refuses() was NULL: the callee takes 'socket' and 'address'. 'key' is borrowed. */
    void (*upgrades)(void *ctx, int socket, struct address *address, struct str key);
    /* What /readyz tells: NULL, or why requests cannot be done. */
    const char *(*trouble)(void *ctx);
};

struct handshake_options {
    uint64_t timeout_ms;    /* from TCP's accept to the end of the head */
    uint32_t head_size_max; /* bytes; a longer head is answered with 431 */
};

/* Copies 'options'; borrows the rest until destroyed. Caller owns. */
struct handshakes *handshakes_create(struct loop *loop, const struct handshake_options *options,
                                     struct addresses *addresses,
                                     const struct handshake_events *events, void *ctx);

/* Closes the sockets of all that are under way. NULL is allowed. */
void handshakes_destroy(struct handshakes *handshakes);

/* Takes 'socket', and 'address', which is left when the handshake ends, unless it is NULL. */
void handshakes_begin(struct handshakes *handshakes, int socket, struct address *address);

/* Under way, those whose answer is still to be read included. */
size_t handshakes_count(const struct handshakes *handshakes);

/* End the oldest one, or the oldest one of 'address': first those that have their answer. False:
 * there is none. */
bool handshakes_end_oldest(struct handshakes *handshakes, const struct address *address);

/* Time passes. */
void handshakes_tick(struct handshakes *handshakes);

#endif
