/* addresses.h - how many sockets each peer address has, and how many of them are connections that
 * were upgraded. */
#ifndef CHAT_ADDRESSES_H
#define CHAT_ADDRESSES_H

#include <stddef.h>
#include <stdint.h>

struct addresses;
struct address;

struct addresses *addresses_create(void); /* caller owns */
void addresses_destroy(
    struct addresses *addresses); /* after every address was left. NULL is allowed */

/* One socket more of the peer of 'socket': an IPv4 address, or the first 64 bits of an IPv6 one,
 * all of whose rest one host has. */
struct address *addresses_enter(struct addresses *addresses, int socket);

/* One less. */
void addresses_leave(struct addresses *addresses, struct address *address);

size_t address_n_sockets(const struct address *address);

/* One of its sockets becomes a connection; or was one, before it is left. */
void address_connect(struct address *address);
void address_disconnect(struct address *address);

size_t address_n_connections(const struct address *address);

/* Addresses that have a socket. */
size_t addresses_count(const struct addresses *addresses);

#endif
