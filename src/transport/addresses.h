/* addresses.h - how many connections each peer address has. */
#ifndef CHAT_ADDRESSES_H
#define CHAT_ADDRESSES_H

#include <stddef.h>
#include <stdint.h>

struct addresses;
struct address;

struct addresses *addresses_create(void); /* caller owns */
void addresses_destroy(
    struct addresses *addresses); /* after every address was left. NULL is allowed */

/* One connection more from the peer of 'socket': an IPv4 address, or the first 64 bits of an
 * IPv6 one, all of whose rest one host has. NULL, and nothing is counted: it has 'n_max'
 * already. */
struct address *addresses_enter(struct addresses *addresses, int socket, uint32_t n_max);

/* One less. */
void addresses_leave(struct addresses *addresses, struct address *address);

/* Addresses that have a connection. */
size_t addresses_count(const struct addresses *addresses);

#endif
