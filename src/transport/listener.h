/* listener.h - the listening socket. Ours rather than libwebsockets', which spins at full speed
 * when descriptors run out, and does not say why it cannot listen. */
#ifndef CHAT_LISTENER_H
#define CHAT_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/err.h"
#include "chat/loop.h"

struct listener;

/* A new TCP connection: non-blocking, close-on-exec, without Nagle's delay. The callee takes
 * 'socket'. */
typedef void listener_accepted_fn(void *ctx, int socket);

/* Listen on the numeric address 'host'. With 'reuse_port' other processes of the same user that say
 * so may, too, and the kernel deals connections out. ERR_IO, already logged, if that is not
 * possible. */
MUST_CHECK enum err listener_create(struct loop *loop, const char *host, uint16_t port,
                                    bool reuse_port, struct listener **out);

void listener_start(struct listener *listener, listener_accepted_fn *accepted, void *ctx);

/* Close the socket and free. NULL is allowed. */
void listener_destroy(struct listener *listener);

uint16_t listener_port(const struct listener *listener);

#endif
