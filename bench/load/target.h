/* target.h - the servers: where they listen, and, if the tool starts the only one, its process. */
#ifndef LOAD_TARGET_H
#define LOAD_TARGET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "load/base.h"

enum {
    HOST_SIZE_MAX = 256,
    PATH_SIZE_MAX = 1024,
    SOURCE_SIZE = 8192,
    SERVERS_MAX = 16
};

struct server {
    struct sockaddr_storage address;
    socklen_t address_size;
    char host[HOST_SIZE_MAX + 8]; /* with the port, as the header Host wants it */
    char path[PATH_SIZE_MAX];
};

struct target {
    uint32_t n_servers;
    struct server servers[SERVERS_MAX];
};

/* Adds the server at "ws://host[:port][/path]". Dies if it is no such thing, the host is unknown,
 * or there are too many. */
void target_add(struct target *target, const char *url);

/* Where the client of this index connects: they take turns. */
const struct server *target_server(const struct target *target, uint32_t index);

/* The only server: starts a shell command in which {port} stands for a free port, waits until it
 * accepts connections there, and returns its pid. It is asked to end, and waited for, when the tool
 * exits, however that happens. Only one. */
int target_start(struct target *target, const char *command);

/* A socket that is connecting to the server, not blocking, without Nagle's delay. Each
 * SOURCE_SIZE-th 'number' comes from another address of 127.0.0.0/8: one has 28,232 ports at most,
 * and the kernel is slow to find a free one when half of them are taken. If the server is
 * elsewhere, all come from the same address. Dies if there are no descriptors or ports left. */
int target_connect(const struct server *server, uint32_t number);

#endif
