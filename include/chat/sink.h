/* sink.h - port: what the router may do to a connection. transport implements it; tests record
 * it.
 *
 * No call fails: a connection that is gone, or going, is passed over in silence, because whoever
 * asks cannot know yet. No call calls back into the router before it returns. */
#ifndef CHAT_SINK_H
#define CHAT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/conn_id.h"
#include "chat/request.h"

struct sink;

struct sink_ops {
    /* Send 'reply' to 'conn'. Copies it. What is sent to one connection leaves in the order of the
     * calls; a peer for which more than outbox_size_max bytes wait and that does not read is
     * closed ([WS-12]). */
    void (*reply)(struct sink *sink, conn_id conn, const struct reply *reply);

    /* Send 'delivery' to each of the 'n' connections, as reply() does. Written as JSON once for
     * all. */
    void (*deliver)(struct sink *sink, const conn_id *conns, size_t n,
                    const struct delivery *delivery);

    /* Send a ping with 'payload', of at most 125 bytes; its pong comes as router_ponged().
     * Copies it. */
    void (*ping)(struct sink *sink, conn_id conn, struct str payload);

    /* Does the peer read fast enough to be given more? False is a promise: router_drained() comes
     * once it has read what waits, if the connection lives so long. */
    bool (*takes_more)(struct sink *sink, conn_id conn);

    /* Close with the RFC 6455 close code 'code' once everything sent before has left. What the peer
     * sends from now on is not received. router_closed() follows later, as for every close. */
    void (*close)(struct sink *sink, conn_id conn, uint16_t code);

    /* Stop or go on receiving from this connection: the router's brake on a peer that asks
     * faster than the store answers. A few messages that were already read may still arrive
     * after a stop. */
    void (*receive_more)(struct sink *sink, conn_id conn, bool more);
};

struct sink {
    const struct sink_ops *ops;
};

#endif
