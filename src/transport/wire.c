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
void wire_read_head(const struct connection *connection)
{
    struct lws_context *context = connection->transport->context;
    size_t before = 0;
    while (head.rest.len > 0 && head.rest.len != before) {
        struct lws_pollfd ready = {.fd = head.socket, .events = LWS_POLLIN, .revents = LWS_POLLIN};
        before = head.rest.len;
        lws_service_fd(context, &ready);
    }
    head.rest.len = 0;
}

static ssize_t read_head(void *buffer, size_t size)
{
    size_t n = head.rest.len < size ? head.rest.len : size;
    memcpy(buffer, head.rest.ptr, n);
    head.rest.ptr += n;
    head.rest.len -= n;
    return (ssize_t)n;
}

static ssize_t read_guarded(struct connection *connection, uint8_t *buffer, size_t size, int flags)
{
    size_t n_held = 0;
    assert(size >= 2);
    if (frame_guard_take_held(&connection->guard, buffer)) {
        n_held = 1;
    }
    ssize_t n = recvfrom(connection->socket, buffer + n_held, size - n_held, flags, NULL, NULL);
    if (n == 0) {
        connection->tcp_ended = true;
        transport_attend(connection); /* later, when libwebsockets has had its chance */
    }
    if (n <= 0) {
        if (n_held == 1) {
            connection->guard.held = true; /* its byte still stands there */
        }
        return n;
    }
    connection_heard(connection);
    if ((size_t)n + n_held == size) {
        connection_read_full(connection);
    }
    bool was_broken = connection->guard.broken;
    size_t n_passed = frame_guard_pass(&connection->guard, buffer, (size_t)n + n_held);
    if (connection->guard.broken && !was_broken) {
        transport_attend(connection); /* later, for what was sent before comes first */
    }
    if (n_passed == 0) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)n_passed;
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
    return read_guarded(connection, buffer, size, flags);
}
