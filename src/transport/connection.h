/* connection.h - what the transport knows of one connection, from its upgrade to the end.
 *
 * A connection is found by its conn_id (the router's calls), by libwebsockets' wsi (its
 * callbacks), and by its socket (wire.c). What it is signed as is none of the transport's
 * business. */
#ifndef CHAT_CONNECTION_H
#define CHAT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/conn_id.h"
#include "chat/loop.h"
#include "transport/deadline_wheel.h"
#include "transport/frame_guard.h"
#include "transport/message_clock.h"
#include "transport/outbox.h"
#include "transport/throttle.h"

struct lws;
struct transport;
struct address;

enum connection_state {
    CONNECTION_HANDSHAKE, /* libwebsockets has not answered yet: the router does not know it */
    CONNECTION_OPEN,
    CONNECTION_CLOSING /* libwebsockets was told to close: nothing is received or sent any more */
};

/* A message of which some pieces have come. */
struct inbox {
    char *memory; /* NULL while there are none */
    size_t len;
    size_t capacity;
    struct connection *before; /* in the line of those that hold memory (inboxes.c) */
    struct connection *behind;
};

/* How a peer reads for which the kernel has no room (slow_readers.c). All zero: it has. */
struct slowness {
    bool watched;      /* more waits than outbox_size_max */
    bool unheard;      /* and it asks for more: no more requests for now */
    uint32_t n_ticks;  /* since 'n_taken' was noted */
    uint64_t n_taken;  /* bytes that its kernel had acknowledged then */
    uint64_t moved_ms; /* when the kernel last had room, while it is blocked */
};

/* Bytes that passed the guard and found no room: one header, one byte of payload, one mark. */
enum {
    WIRE_REST_SIZE = 18
};
struct wire_rest {
    uint8_t n;
    uint8_t bytes[WIRE_REST_SIZE];
};

/* Owned by the transport: created in transport.c, destroyed when libwebsockets destroys its wsi. */
struct connection {
    conn_id id;
    int socket;
    struct lws *wsi;
    struct transport *transport;
    struct loop *loop;
    enum connection_state state;
    struct frame_guard guard;
    struct wire_rest rest;
    struct inbox inbox;
    struct message_clock clock; /* of the message or the control frame that has begun */
    struct outbox outbox;
    size_t held_size;    /* bytes that libwebsockets keeps because the kernel has no room */
    size_t counted_size; /* what of both is counted in transport.outboxes_size */
    struct slowness slowness;
    struct address *address; /* NULL: addresses are not counted */
    struct throttle throttle;
    uint64_t heard_ms;        /* when the last byte came from the peer */
    uint64_t asked_ms;        /* when it was pinged first since then; 0: it was not */
    struct deadline deadline; /* of the next ping or its answer, of the close */
    uint16_t close_code;      /* not 0: close with it when the outbox has left */
    bool to_flush;            /* is in the transport's list of those that have something to say */
    bool to_read;             /* is in the transport's list of those that may have more to read */
    bool blocked;   /* the kernel did not take all: libwebsockets calls back when there is room */
    bool to_drain;  /* the router was told that there is no room: it is told when there is */
    bool tcp_ended; /* the peer ended its half of TCP */
    bool deaf;      /* what the peer still sends is not received */
    bool braked;    /* the router wants no more for now */
    bool waits_for_room; /* requests of all take too much memory: its message is read on later */
    bool throttled;      /* it has made too many requests: no more for now */
};

struct connection *connection_create(struct transport *transport, struct loop *loop, conn_id id,
                                     int socket);

/* The socket is closed by libwebsockets. NULL is allowed. */
void connection_destroy(struct connection *connection);

/* A byte came. */
void connection_heard(struct connection *connection);

#endif
