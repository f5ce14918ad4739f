/* wire.h - between the socket and libwebsockets. */
#ifndef CHAT_WIRE_H
#define CHAT_WIRE_H

#include <stddef.h>

#include "transport/connection.h"

/* Make room for sockets up to 'n_sockets'. Once, before the first wire_attach(). */
void wire_init(size_t n_sockets);
void wire_fini(void);

/* From now on what is read from 'connection->socket' passes its guard, and counts as heard. Borrows
 * 'connection' until detached. */
void wire_attach(struct connection *connection);
void wire_detach(const struct connection *connection);

#endif
