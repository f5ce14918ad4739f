/* target.h - the server: where it listens, and, if the tool starts it, its process. */
#ifndef LOAD_TARGET_H
#define LOAD_TARGET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "load/base.h"

enum {
    HOST_SIZE_MAX = 256,
    PATH_SIZE_MAX = 1024,
    SOURCE_SIZE = 8192
};

struct target {
    struct sockaddr_storage address;
    socklen_t address_size;
    char host[HOST_SIZE_MAX + 8]; /* with the port, as the header Host wants it */
    char path[PATH_SIZE_MAX];
};

/* Reads "ws://host[:port][/path]". Dies if it is no such thing or the host is unknown. */
void target_parse(struct target *target, const char *url);

/* Starts a shell command in which {port} stands for a free port, waits until it accepts connections
 * there, and returns its pid. It is asked to end, and waited for, when the tool exits, however that
 * happens. Only one. */
int target_start(struct target *target, const char *command);

/* A socket that is connecting to it, not blocking, without Nagle's delay. Each SOURCE_SIZE-th
 * 'number' comes from another address of 127.0.0.0/8: one has 28,232 ports at most, and the kernel
 * is slow to find a free one when half of them are taken. If the server is elsewhere, all come from
 * the same address. Dies if there are no descriptors or ports left. */
int target_connect(const struct target *target, uint32_t number);

#endif
