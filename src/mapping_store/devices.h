/* devices.h - this process's devices: connection to uid, uid to its connections. Both stores
 * keep one.
 *
 * Nothing here waits or fails. As large as there are connections, which the transport bounds. */
#ifndef CHAT_DEVICES_H
#define CHAT_DEVICES_H

#include <stdbool.h>
#include <stddef.h>

#include "chat/conn_id.h"
#include "chat/message_id.h"
#include "chat/str.h"

struct devices;

struct devices *devices_create(void);          /* caller owns */
void devices_destroy(struct devices *devices); /* NULL is allowed */

/* Make 'device' a device of 'uid' and of no other. Copies 'uid'. A device of 'uid' keeps its
 * place. If it was no device yet, it comes behind the entry 'behind' of this node's queue; none:
 * before all that are to come. */
void devices_bind(struct devices *devices, conn_id device, struct str uid,
                  struct message_id behind);

/* False: it was not bound. */
bool devices_unbind(struct devices *devices, conn_id device);

/* The uid of 'device', len 0 if it is not bound. Lent until the device is bound or unbound. */
struct str devices_uid(const struct devices *devices, conn_id device);

/* The devices of 'uid' in the order in which they were bound: their number, and in '*out' a copy
 * that is lent until the next call. So the caller may bind and unbind while it walks through
 * them. */
size_t devices_find(struct devices *devices, struct str uid, const conn_id **out);

/* Those that do not come behind the queue's entry 'id'. Lent as above. */
size_t devices_bound_before(struct devices *devices, struct message_id id, const conn_id **out);

/* The queue is another one: from now on no device comes behind any of its entries. */
void devices_bound_before_all(struct devices *devices);

size_t devices_count(const struct devices *devices);

/* The device whose turn it is, with its uid (lent as above): the one that was bound or had its
 * turn longest ago. It goes to the end of the line. False: there is none. */
bool devices_rotate(struct devices *devices, conn_id *device, struct str *uid);

#endif
