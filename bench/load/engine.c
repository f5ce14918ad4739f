#include "load/engine.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load/frame.h"

enum {
    READ_SIZE = 256 * 1024, /* a message has to fit */
    WAITING_MAX = 64 << 20, /* more than this the server does not take: it cannot be measured */
    EVENTS_MAX = 512,
    CLOSE_CODE_SIZE = 2
};

static const char CLOSE_NORMAL[] = "\x03\xe8"; /* 1000 */

/* The example of RFC 6455 section 1.3, so that no digest has to be computed here. */
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

struct engine {
    const struct target *target;
    const struct handlers *handlers;
    void *ctx;
    struct client *clients;
    uint32_t *dirty;
    uint32_t n_clients;
    uint32_t n_dirty;
    int epoll;
    struct epoll_event events[EVENTS_MAX];
    uint8_t read[READ_SIZE];
};

struct engine *engine_create(const struct target *target, uint32_t n_clients,
                             const struct handlers *handlers, void *ctx)
{
    struct engine *engine = zeroed(1, sizeof(*engine));
    engine->target = target;
    engine->handlers = handlers;
    engine->ctx = ctx;
    engine->n_clients = n_clients;
    engine->clients = zeroed(n_clients, sizeof(*engine->clients));
    engine->dirty = zeroed(n_clients, sizeof(*engine->dirty));
    engine->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (engine->epoll < 0) {
        die(EXIT_UNMEASURED, "epoll: %s", strerror(errno));
    }
    for (uint32_t i = 0; i < n_clients; i++) {
        engine->clients[i].index = i;
        engine->clients[i].fd = -1;
        engine->clients[i].mask = i * 2654435761u + 0x9e3779b9u;
    }
    return engine;
}

static void release(struct client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
    }
    client->fd = -1;
    bytes_clear(&client->in);
    bytes_clear(&client->out);
    bytes_clear(&client->parts);
}

void engine_destroy(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->n_clients; i++) {
        release(&engine->clients[i]);
    }
    close(engine->epoll);
    free(engine->clients);
    free(engine->dirty);
    free(engine);
}

struct client *engine_client(struct engine *engine, uint32_t index)
{
    return &engine->clients[index];
}

uint32_t client_mask(struct client *client)
{
    client->mask ^= client->mask << 13;
    client->mask ^= client->mask >> 17;
    client->mask ^= client->mask << 5;
    return client->mask;
}

/* ---- Writing */

static void watch(struct engine *engine, struct client *client, int operation)
{
    bool writes = client->state == CLIENT_CONNECTING || client->blocked;
    struct epoll_event event = {
        .events = (client->muted ? 0u : (uint32_t)EPOLLIN) | (writes ? (uint32_t)EPOLLOUT : 0u),
        .data.u32 = client->index,
    };
    if (epoll_ctl(engine->epoll, operation, client->fd, &event) != 0) {
        die(EXIT_UNMEASURED, "epoll: %s", strerror(errno));
    }
}

void engine_connect(struct engine *engine, uint32_t index, uint32_t number)
{
    struct client *client = engine_client(engine, index);
    release(client);
    client->fd = target_connect(target_server(engine->target, index), number);
    client->state = CLIENT_CONNECTING;
    client->began_ns = now_ns();
    client->close_code = CLOSED_WITHOUT_FRAME;
    client->muted = client->blocked = client->closing = false;
    watch(engine, client, EPOLL_CTL_ADD);
}

struct bytes *engine_out(struct engine *engine, struct client *client)
{
    if (!client->dirty) {
        client->dirty = true;
        engine->dirty[engine->n_dirty++] = client->index;
    }
    return &client->out;
}

void engine_close(struct engine *engine, struct client *client)
{
    if (client->state == CLIENT_OPEN && !client->closing) {
        client->closing = true;
        frame_append(engine_out(engine, client), FRAME_CLOSE, (struct slice){CLOSE_NORMAL, 2},
                     client_mask(client));
    }
}

void engine_mute(struct engine *engine, struct client *client)
{
    const int small = 4096;
    client->muted = true;
    setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    watch(engine, client, EPOLL_CTL_MOD);
}

static void write_out(struct engine *engine, struct client *client)
{
    struct bytes *out = &client->out;
    if (out->len == 0 || client->state < CLIENT_UPGRADING || client->state == CLIENT_CLOSED) {
        return;
    }
    ssize_t n = send(client->fd, out->data, out->len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        out->len = 0; /* reading will tell that it has ended */
        return;
    }
    size_t written = n < 0 ? 0 : (size_t)n;
    out->len -= written;
    if (out->len > WAITING_MAX) {
        die(EXIT_UNMEASURED, "connection %u: the server does not keep up with reading",
            client->index);
    }
    memmove(out->data, out->data + written, out->len);
    if (client->blocked != (out->len > 0)) {
        client->blocked = out->len > 0;
        watch(engine, client, EPOLL_CTL_MOD);
    }
}

static void write_all(struct engine *engine)
{
    uint32_t n = engine->n_dirty;
    engine->n_dirty = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct client *client = engine_client(engine, engine->dirty[i]);
        client->dirty = false;
        if (!client->blocked) {
            write_out(engine, client);
        }
    }
}

/* ---- Reading */

static void ended(struct engine *engine, struct client *client)
{
    client->state = CLIENT_CLOSED;
    release(client);
    engine->handlers->closed(engine->ctx, client, client->close_code);
}

static void upgrade(struct engine *engine, struct client *client)
{
    const struct server *server = target_server(engine->target, client->index);
    char request[HOST_SIZE_MAX + PATH_SIZE_MAX + 256];
    int len = snprintf(request, sizeof(request),
                       "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                       "Sec-WebSocket-Version: 13\r\n\r\n",
                       server->path, server->host, KEY);
    client->state = CLIENT_UPGRADING;
    bytes_append(engine_out(engine, client), request, (size_t)len);
    watch(engine, client, EPOLL_CTL_MOD);
}

/* The size of the server's answer to the handshake; 0 if it has not come whole. */
static size_t read_upgrade(const struct client *client, const uint8_t *data, size_t len)
{
    const uint8_t *end = memmem(data, len, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    size_t size = (size_t)(end - data) + 4;
    if (size < 12 || memcmp(data, "HTTP/1.1 101", 12) != 0 ||
        memmem(data, size, ACCEPT, strlen(ACCEPT)) == NULL) {
        die(EXIT_WRONG, "connection %u: the handshake was answered with %.*s", client->index,
            (int)strcspn((const char *)data, "\r"), (const char *)data);
    }
    return size;
}

static void read_text(struct engine *engine, struct client *client, const struct frame *frame,
                      uint64_t now)
{
    if (frame->last && client->parts.len == 0) {
        engine->handlers->text(engine->ctx, client, frame->payload, now);
        return;
    }
    bytes_append(&client->parts, frame->payload.data, frame->payload.len);
    if (frame->last) {
        struct bytes whole = client->parts;
        client->parts = (struct bytes){0};
        struct slice text = {(const char *)whole.data, whole.len};
        engine->handlers->text(engine->ctx, client, text, now);
        bytes_clear(&whole);
    }
}

static void read_close(struct engine *engine, struct client *client, struct slice payload)
{
    client->close_code = CLOSED_WITHOUT_CODE;
    if (payload.len >= CLOSE_CODE_SIZE) {
        client->close_code = (uint16_t)((uint8_t)payload.data[0] << 8 | (uint8_t)payload.data[1]);
    }
    if (!client->closing) {
        client->closing = true;
        frame_append(engine_out(engine, client), FRAME_CLOSE, payload, client_mask(client));
    }
}

static void read_frame(struct engine *engine, struct client *client, const struct frame *frame,
                       uint64_t now)
{
    switch (frame->opcode) {
    case FRAME_TEXT:
    case FRAME_CONTINUATION:
        read_text(engine, client, frame, now);
        break;
    case FRAME_PING:
        frame_append(engine_out(engine, client), FRAME_PONG, frame->payload, client_mask(client));
        break;
    case FRAME_PONG:
        engine->handlers->pong(engine->ctx, client);
        break;
    case FRAME_CLOSE:
        read_close(engine, client, frame->payload);
        break;
    case FRAME_BINARY:
        die(EXIT_WRONG, "connection %u: a binary message", client->index);
    }
}

/* How much of it was whole. */
static size_t read_frames(struct engine *engine, struct client *client, const uint8_t *data,
                          size_t len, uint64_t now)
{
    size_t done = 0;
    struct frame frame;
    enum frame_state state;
    while ((state = frame_read(data + done, len - done, &frame)) == FRAME_WHOLE) {
        done += frame.size;
        read_frame(engine, client, &frame, now);
    }
    if (state == FRAME_BROKEN) {
        die(EXIT_WRONG, "connection %u: a frame that breaks RFC 6455", client->index);
    }
    return done;
}

static size_t read_bytes(struct engine *engine, struct client *client, const uint8_t *data,
                         size_t len, uint64_t now)
{
    size_t done = 0;
    if (client->state == CLIENT_UPGRADING) {
        done = read_upgrade(client, data, len);
        if (done == 0) {
            return 0;
        }
        client->state = CLIENT_OPEN;
        engine->handlers->opened(engine->ctx, client, now);
    }
    return done + read_frames(engine, client, data + done, len - done, now);
}

/* Reads behind what was left, and keeps what is left now. */
static void read_in(struct engine *engine, struct client *client)
{
    size_t kept = client->in.len;
    if (kept > 0) {
        memcpy(engine->read, client->in.data, kept);
    }
    ssize_t n = recv(client->fd, engine->read + kept, READ_SIZE - kept, 0);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        ended(engine, client);
        return;
    }
    size_t len = kept + (size_t)n;
    size_t done = read_bytes(engine, client, engine->read, len, now_ns());
    if (len - done == READ_SIZE) {
        die(EXIT_WRONG, "connection %u: a frame of more than %d bytes", client->index, READ_SIZE);
    }
    client->in.len = 0;
    bytes_append(&client->in, engine->read + done, len - done);
}

static void handle(struct engine *engine, const struct epoll_event *event)
{
    struct client *client = engine_client(engine, event->data.u32);
    if (client->fd < 0) {
        return;
    }
    if (client->state == CLIENT_CONNECTING) {
        int failure = 0;
        socklen_t size = sizeof(failure);
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
        if (failure != 0) {
            die(EXIT_UNMEASURED, "connection %u: %s", client->index, strerror(failure));
        }
        upgrade(engine, client);
        return;
    }
    if ((event->events & EPOLLOUT) != 0) {
        write_out(engine, client);
    }
    if (client->muted && (event->events & (EPOLLHUP | EPOLLERR)) != 0) {
        ended(engine, client);
    } else if (client->fd >= 0 && !client->muted && (event->events & ~(uint32_t)EPOLLOUT) != 0) {
        read_in(engine, client);
    }
}

void engine_turn(struct engine *engine, uint64_t until_ns)
{
    write_all(engine);
    uint64_t now = now_ns();
    uint64_t wait = until_ns > now ? until_ns - now : 0;
    const struct timespec timeout = {.tv_sec = (time_t)(wait / NS_PER_S),
                                     .tv_nsec = (long)(wait % NS_PER_S)};
    int n = epoll_pwait2(engine->epoll, engine->events, EVENTS_MAX, &timeout, NULL);
    if (n < 0 && errno != EINTR) {
        die(EXIT_UNMEASURED, "epoll: %s", strerror(errno));
    }
    for (int i = 0; i < n; i++) {
        handle(engine, &engine->events[i]);
    }
}
