/* redis_socket.h - lets libuv watch the socket of a hiredis connection.
 *
 * hiredis brings such an adapter, but that of 0.14 ignores errors: a refused or reset connection
 * is never noticed. And ours does not ask to write for each command: what one turn asks leaves
 * in one write, when redis_link.c says so. */
#ifndef CHAT_REDIS_SOCKET_H
#define CHAT_REDIS_SOCKET_H

#include <hiredis/async.h>

#include "chat/err.h"
#include "chat/loop.h"

/* Watch the socket of 'redis', until hiredis frees it. ERR_IO: it cannot be watched. */
MUST_CHECK enum err redis_socket_watch(struct loop *loop, redisAsyncContext *redis);

/* Write what is waiting, once; the rest when the socket can take it. May end the connection. */
void redis_socket_flush(redisAsyncContext *redis);

#endif
