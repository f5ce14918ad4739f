#include "mapping_store/redis_socket.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "chat/mem.h"

struct redis_socket {
    uv_poll_t poll; /* first, so that a closed handle is one of us */
    redisAsyncContext *redis;
    bool has_output; /* hiredis has bytes to write, or waits for the connection */
    int watched;     /* what libuv watches now */
};

static void on_ready(uv_poll_t *poll, int status, int events);

/* The socket is watched for writing only while it connects and after a write that was not taken
 * whole. */
static void watch(struct redis_socket *socket, bool for_writing)
{
    int events = UV_READABLE | (for_writing ? UV_WRITABLE : 0);
    if (events != socket->watched) {
        socket->watched = events;
        uv_poll_start(&socket->poll, events, on_ready);
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct redis_socket *socket = poll->data;
    redisAsyncContext *redis = socket->redis;
    if (status < 0) {
        socket->watched = 0; /* libuv has stopped looking */
    }
    if (status == 0 && (events & UV_WRITABLE) != 0) {
        /* It may end the connection, but 'socket' lives until libuv has closed the handle. */
        redisAsyncHandleWrite(redis);
    }
    if (socket->redis != NULL && (status < 0 || (events & UV_READABLE) != 0)) {
        redisAsyncHandleRead(redis); /* on an error, too: reading is how hiredis notices it */
    }
    if (socket->redis != NULL) {
        watch(socket, socket->has_output);
    }
}

static void on_has_output(void *data)
{
    struct redis_socket *socket = data;
    socket->has_output = true;
}

static void on_has_no_output(void *data)
{
    struct redis_socket *socket = data;
    socket->has_output = false;
}

static void on_reading_changes(void *data)
{
    (void)data; /* always watched: an end of the connection has to be noticed at once */
}

static void on_closed(uv_handle_t *handle)
{
    struct redis_socket *socket = handle->data;
    free(socket);
}

static void on_cleanup(void *data)
{
    struct redis_socket *socket = data;
    memset(&socket->redis->ev, 0,
           sizeof socket->redis->ev); /* hiredis asks nothing of us any more */
    socket->redis = NULL;
    uv_close((uv_handle_t *)&socket->poll, on_closed);
}

enum err redis_socket_watch(struct loop *loop, redisAsyncContext *redis)
{
    struct redis_socket *socket = mem_alloc(sizeof *socket);
    if (uv_poll_init(loop_uv(loop), &socket->poll, redis->c.fd) != 0) {
        free(socket);
        return ERR_IO;
    }
    socket->poll.data = socket;
    socket->redis = redis;
    redis->ev.data = socket;
    redis->ev.addRead = on_reading_changes;
    redis->ev.delRead = on_reading_changes;
    redis->ev.addWrite = on_has_output;
    redis->ev.delWrite = on_has_no_output;
    redis->ev.cleanup = on_cleanup;
    watch(socket, true);
    return ERR_OK;
}

void redis_socket_flush(redisAsyncContext *redis)
{
    struct redis_socket *socket = redis->ev.data;
    /* While the socket is watched for writing it is connecting or full: libuv says when it is
     * not. */
    if (!socket->has_output || (socket->watched & UV_WRITABLE) != 0) {
        return;
    }
    redisAsyncHandleWrite(redis);
    if (socket->redis != NULL) {
        watch(socket, socket->has_output);
    }
}
