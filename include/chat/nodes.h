/* nodes.h - port: what a store hears from the other nodes, for the router. SPEC 8.
 *
 * Called by the store from turns of its own. 'devices' are those of the uid that are connections of
 * this process, perhaps none, lent until the call returns; as with sent() the store only
 * proposes. */
#ifndef CHAT_NODES_H
#define CHAT_NODES_H

#include <stddef.h>

#include "chat/mapping_store.h"
#include "chat/request.h"

struct node_events {
    /* A message that was sent on another node to 'to'. With history it has its id, 'previous' is as
     * in struct sent, and its body may have been left out; without, each is told once. Messages and
     * broadcasts of one connection are told in the order in which they were sent. Borrows all. */
    void (*arrived)(void *ctx, struct str to, const struct delivery *delivery,
                    struct message_id previous, const conn_id *devices, size_t n);

    /* A broadcast that was sent on another node. 'devices': all of this process, but for those that
     * were bound when it had been sent already ([CAST-6]). */
    void (*broadcast_arrived)(void *ctx, const struct delivery *delivery, const conn_id *devices,
                              size_t n);

    /* With history: 'newest' is, or was a moment ago, the last message of 'uid'. Told for every
     * local uid from time to time, after the store was away, and when a message is sent again:
     * what a device has not got yet is in the inbox. */
    void (*newest_known)(void *ctx, struct str uid, struct message_id newest,
                         const conn_id *devices, size_t n);
};

#endif
