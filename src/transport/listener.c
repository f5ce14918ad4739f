#include "transport/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "chat/log.h"
#include "chat/mem.h"

enum {
    BACKLOG = 4096,         /* the kernel cuts it to its own limit, net.core.somaxconn */
    ACCEPTS_PER_TURN = 128, /* so that a storm of new connections leaves time for the old ones */
    /* What the kernel keeps of a connection, which else grows to megabytes: a peer that does not
     * read, or whom we do not read, costs that and its outbox. The kernel doubles it for its own
     * use. */
    SOCKET_BUFFER_SIZE = 128 * 1024,
    PAUSE_MS = 100 /* when descriptors have run out: new connections wait in the kernel's queue */
};

struct listener {
    uv_poll_t poll; /* its data is the listener */
    int socket;
    uint16_t port;
    struct loop_timer *pause;
    listener_accepted_fn *accepted;
    void *ctx;
};

static void watch(struct listener *listener);

static void pause_over(void *ctx)
{
    watch(ctx);
}

/* EMFILE and the like do not go away by trying again at once. */
static void pause_accepting(struct listener *listener)
{
    log_line(LOG_WARN, "accept_failed", "reason=%s pause_ms=%d", log_value(strerror(errno)),
             PAUSE_MS);
    uv_poll_stop(&listener->poll);
    loop_timer_start(listener->pause, PAUSE_MS, 0);
}

static bool no_more_for_now(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

/* The connection was gone again before it was accepted. */
static bool only_this_one_failed(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO;
}

static void accept_some(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct listener *listener = poll->data;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int socket = accept4(listener->socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket >= 0) {
            int on = 1;
            (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            listener->accepted(listener->ctx, socket);
        } else if (no_more_for_now(errno)) {
            return;
        } else if (!only_this_one_failed(errno)) {
            pause_accepting(listener);
            return;
        }
    }
}

static void watch(struct listener *listener)
{
    uv_poll_start(&listener->poll, UV_READABLE, accept_some);
}

static uint16_t port_of(int socket)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    if (getsockname(socket, (struct sockaddr *)&address, &size) != 0) {
        return 0;
    }
    if (address.ss_family == AF_INET6) {
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    }
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static int listen_on(const struct addrinfo *address, bool reuse_port)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    int size = SOCKET_BUFFER_SIZE;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* restart at once */
    if (reuse_port) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    }
    /* Sockets that are accepted inherit these. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int open_socket(const char *host, uint16_t port, bool reuse_port, const char **why)
{
    char service[6];
    snprintf(service, sizeof(service), "%u", port);
    struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *address = NULL;
    int failed = getaddrinfo(host, service, &hints, &address);
    if (failed != 0) {
        *why = gai_strerror(failed);
        return -1;
    }
    int fd = listen_on(address, reuse_port);
    if (fd < 0) {
        *why = strerror(errno);
    }
    freeaddrinfo(address);
    return fd;
}

enum err listener_create(struct loop *loop, const char *host, uint16_t port, bool reuse_port,
                         struct listener **out)
{
    const char *why = "";
    int fd = open_socket(host, port, reuse_port, &why);
    if (fd < 0) {
        log_line(LOG_ERROR, "cannot_listen", "host=%s port=%u reason=%s", log_value(host), port,
                 log_value(why));
        return ERR_IO;
    }
    struct listener *listener = mem_alloc(sizeof(*listener));
    listener->socket = fd;
    listener->port = port_of(fd);
    listener->pause = loop_timer_create(loop, pause_over, listener);
    listener->poll.data = listener;
    uv_poll_init(loop_uv(loop), &listener->poll, fd);
    *out = listener;
    return ERR_OK;
}

void listener_start(struct listener *listener, listener_accepted_fn *accepted, void *ctx)
{
    listener->accepted = accepted;
    listener->ctx = ctx;
    watch(listener);
}

static void poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void listener_destroy(struct listener *listener)
{
    if (listener == NULL) {
        return;
    }
    loop_timer_destroy(listener->pause);
    uv_poll_stop(&listener->poll);
    close(listener->socket);
    uv_close((uv_handle_t *)&listener->poll, poll_closed);
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}
