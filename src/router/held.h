/* held.h - inside the router, for the feature history: broadcasts that wait until a device has read
 * the messages that came before them. [CAST-7]
 *
 * What one connection sends comes to a device one way: from this process, or from another node.
 * Each way keeps the order: what comes later by it was sent later. So a broadcast goes behind the
 * newest message that had come its way before it, and before all newer ones. Messages that came
 * the other way are of other connections, and in no order with it. */
#ifndef CHAT_ROUTER_HELD_H
#define CHAT_ROUTER_HELD_H

#include <stdbool.h>
#include <stddef.h>

#include "chat/message_id.h"
#include "chat/request.h"

enum way {
    WAY_HERE,
    WAY_NODES,
    N_WAYS
};

/* The newest messages of a uid that have come, or are known of, each way. */
struct known {
    struct message_id ids[N_WAYS];
};

/* 'id' came, from another node or not. */
void known_raise(struct known *known, struct message_id id, bool is_from_node);

struct held_broadcast {
    struct held_broadcast *next;
    struct message_id behind; /* the message that it goes behind */
    struct delivery delivery; /* its texts are in 'text' */
    char text[];
};

/* All zeros: there is none. */
struct held {
    struct {
        struct held_broadcast *first;
        struct held_broadcast *last;
    } ways[N_WAYS];
    size_t size; /* bytes */
};

/* Bytes that the broadcast would add to 'size'. */
size_t held_size_of(const struct delivery *broadcast);

/* Keep a copy, which goes behind what is known. */
void held_add(struct held *held, const struct delivery *broadcast, const struct known *known);

/* One that goes before the message 'id'; NULL: there is none. Caller owns. */
struct held_broadcast *held_take_before(struct held *held, struct message_id id);

/* Whichever is left; NULL: none. Caller owns. */
struct held_broadcast *held_take(struct held *held);

/* Is there one that came from this process? */
bool held_has_own(const struct held *held);

#endif
