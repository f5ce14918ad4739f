#include "transport/addresses.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "chat/mem.h"
#include "chat/str_table.h"

enum {
    IPV4_SIZE = 4, /* bytes */
    IPV6_SIZE = 16,
    IPV6_PREFIX_SIZE = 8
};

struct address {
    struct str_entry entry; /* its key points to 'bytes' */
    size_t n_sockets;
    size_t n_connections;
    char bytes[IPV6_PREFIX_SIZE];
};

struct addresses {
    struct str_table *table;
};

struct addresses *addresses_create(void)
{
    struct addresses *addresses = mem_alloc(sizeof *addresses);
    addresses->table = str_table_create();
    return addresses;
}

void addresses_destroy(struct addresses *addresses)
{
    if (addresses != NULL) {
        assert(str_table_count(addresses->table) == 0);
        str_table_destroy(addresses->table);
        free(addresses);
    }
}

/* Of a peer that is gone already, and of a local socket, the empty one. */
static struct str address_of(int socket, struct sockaddr_storage *room)
{
    socklen_t size = sizeof *room;
    room->ss_family = AF_UNSPEC;
    (void)getpeername(socket, (struct sockaddr *)room, &size);
    if (room->ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)room;
        return (struct str){(const char *)&ipv4->sin_addr, IPV4_SIZE};
    }
    if (room->ss_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)room;
        const char *bytes = (const char *)&ipv6->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&ipv6->sin6_addr)) { /* whoever listens on [::] hears IPv4, too */
            return (struct str){bytes + IPV6_SIZE - IPV4_SIZE, IPV4_SIZE};
        }
        return (struct str){bytes, IPV6_PREFIX_SIZE};
    }
    return STR("");
}

static struct address *add(struct addresses *addresses, struct str key)
{
    struct address *address = mem_alloc(sizeof *address);
    memcpy(address->bytes, key.ptr, key.len);
    address->entry.key = (struct str){address->bytes, key.len};
    str_table_add(addresses->table, &address->entry);
    return address;
}

struct address *addresses_enter(struct addresses *addresses, int socket)
{
    struct sockaddr_storage room;
    struct str key = address_of(socket, &room);
    struct address *address = (struct address *)str_table_get(addresses->table, key);
    if (address == NULL) {
        address = add(addresses, key);
    }
    address->n_sockets++;
    return address;
}

void addresses_leave(struct addresses *addresses, struct address *address)
{
    address->n_sockets--;
    if (address->n_sockets == 0) {
        str_table_remove(addresses->table, &address->entry);
        free(address);
    }
}

size_t address_n_sockets(const struct address *address)
{
    return address->n_sockets;
}

void address_connect(struct address *address)
{
    address->n_connections++;
}

void address_disconnect(struct address *address)
{
    address->n_connections--;
}

size_t address_n_connections(const struct address *address)
{
    return address->n_connections;
}

size_t addresses_count(const struct addresses *addresses)
{
    return str_table_count(addresses->table);
}
