/* wire.h - between the socket and libwebsockets. */
#ifndef CHAT_WIRE_H
#define CHAT_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "chat/str.h"
#include "transport/connection.h"

/* Make room for sockets up to 'n_sockets'. Once, before the first wire_attach(). */
void wire_init(size_t n_sockets);
void wire_fini(void);

/* From now on libwebsockets reads 'head' from 'connection->socket', whatever the peer has sent;
 * and then what is there, which passes the guard and counts as heard. Borrows 'connection' until
 * detached, and 'head' until wire_read_head() returns. */
void wire_attach(struct connection *connection, struct str head);
void wire_detach(const struct connection *connection);

/* Have libwebsockets read the head. False: it did not. May destroy 'connection'. */
bool wire_read_head(const struct connection *connection);

#endif
