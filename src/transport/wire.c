/* The recv() in this file takes the place of the C library's in this program: the linker
 * resolves libwebsockets' call to it, as it would to a memory allocator of ours. It is the only
 * way to the bytes, since libwebsockets reads its sockets itself and hands out nothing but
 * payload (docs/decisions/0002-strict-frames.md). Sockets that were not attached are read as
 * ever. transport.c refuses to serve if libwebsockets turns out to read in another way. */
#include "transport/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "chat/mem.h"
#include "transport/state.h"

enum {
    READ_SIZE_MIN = FRAME_GUARD_HELD_MAX + 1 + FRAME_GUARD_MARK_SIZE
};

/* Indexed by the kernel's number of the socket, which is right here: it is looked up only while
 * it is open. */
static struct connection **attached;
static size_t n_attached_max;

/* The head that one of them reads first. It is read before the next one is attached. */
static struct {
    int socket;
    struct str rest;
} head;

void wire_init(size_t n_sockets)
{
    assert(attached == NULL);
    attached = mem_alloc(n_sockets * sizeof(struct connection *));
    n_attached_max = n_sockets;
}

void wire_fini(void)
{
    free(attached);
    attached = NULL;
    n_attached_max = 0;
}

void wire_attach(struct connection *connection, struct str text)
{
    assert((size_t)connection->socket < n_attached_max);
    attached[connection->socket] = connection;
    head.socket = connection->socket;
    head.rest = text;
}

void wire_detach(const struct connection *connection)
{
    attached[connection->socket] = NULL;
    if (head.socket == connection->socket) {
        head.rest.len = 0;
    }
}

/* As if the loop had said that there is something to read, until nothing more is read. */
bool wire_read_head(const struct connection *connection)
{
    struct lws_context *context = connection->transport->context;
    size_t before = 0;
    while (head.rest.len > 0 && head.rest.len != before) {
        struct lws_pollfd ready = {.fd = head.socket, .events = LWS_POLLIN, .revents = LWS_POLLIN};
        before = head.rest.len;
        lws_service_fd(context, &ready);
    }
    bool was_read = head.rest.len == 0;
    head.rest.len = 0;
    return was_read;
}

static ssize_t read_head(void *buffer, size_t size)
{
    size_t n = head.rest.len < size ? head.rest.len : size;
    memcpy(buffer, head.rest.ptr, n);
    head.rest.ptr += n;
    head.rest.len -= n;
    return (ssize_t)n;
}

static void answer_ping(void *connection, struct str payload)
{
    connection_pong(connection, payload);
}

static ssize_t nothing_yet(void)
{
    errno = EAGAIN;
    return -1;
}

/* libwebsockets drops the connection as soon as it hears of the end, with all that waits to
 * leave. So it does not hear of it, and the connection is ended from a later turn. */
static ssize_t read_end(struct connection *connection)
{
    frame_guard_end(&connection->guard);
    connection->tcp_ended = true;
    transport_attend(connection);
    return nothing_yet();
}

/* 'size' has room for what is held, one byte more, and the mark. */
static ssize_t read_guarded(struct connection *connection, uint8_t *buffer, size_t size, int flags)
{
    struct frame_guard *guard = &connection->guard;
    uint8_t held[FRAME_GUARD_HELD_MAX];
    size_t n_held = guard->n_held;
    size_t room = size - n_held - FRAME_GUARD_MARK_SIZE;
    ssize_t n = recvfrom(connection->socket, buffer + n_held, room, flags, NULL, NULL);
    if (n == 0) {
        return read_end(connection);
    }
    if (n < 0) {
        return n;
    }
    connection_heard(connection);
    if ((size_t)n == room) {
        connection_read_full(connection);
    }
    bool was_done = guard->peer_is_done;
    frame_guard_take_held(guard, held);
    memcpy(buffer, held, n_held);
    size_t n_passed = frame_guard_pass(guard, buffer, (size_t)n + n_held, answer_ping, connection);
    if (guard->peer_is_done && !was_done) {
        transport_attend(connection);
    }
    message_watch(connection, (size_t)n);
    return n_passed > 0 ? (ssize_t)n_passed : nothing_yet();
}

/* Give what was judged and did not fit before. */
static ssize_t read_rest(struct wire_rest *rest, uint8_t *buffer, size_t size)
{
    size_t n = rest->n < size ? rest->n : size;
    memcpy(buffer, rest->bytes, n);
    rest->n -= (uint8_t)n;
    memmove(rest->bytes, rest->bytes + n, rest->n);
    return (ssize_t)n;
}

/* Into however little room: one byte is read, and what it lets through is kept. */
static ssize_t read_little(struct connection *connection, uint8_t *buffer, size_t size, int flags)
{
    uint8_t bytes[READ_SIZE_MIN];
    size_t one = connection->guard.n_held + 1 + FRAME_GUARD_MARK_SIZE;
    ssize_t n = read_guarded(connection, bytes, one, flags);
    if (n <= 0) {
        return n;
    }
    assert((size_t)n <= WIRE_REST_SIZE);
    connection->rest.n = (uint8_t)n;
    memcpy(connection->rest.bytes, bytes, (size_t)n);
    return read_rest(&connection->rest, buffer, size);
}

ssize_t recv(int socket, void *buffer, size_t size, int flags)
{
    struct connection *connection = (size_t)socket < n_attached_max ? attached[socket] : NULL;
    if (connection == NULL) {
        return recvfrom(socket, buffer, size, flags, NULL, NULL);
    }
    if (head.rest.len > 0 && head.socket == socket) {
        return read_head(buffer, size);
    }
    if ((flags & MSG_PEEK) != 0) {
        return recvfrom(socket, buffer, size, flags, NULL, NULL);
    }
    if (connection->rest.n > 0) {
        return read_rest(&connection->rest, buffer, size);
    }
    if (size < READ_SIZE_MIN) {
        return size == 0 ? 0 : read_little(connection, buffer, size, flags);
    }
    return read_guarded(connection, buffer, size, flags);
}
