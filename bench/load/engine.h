/* engine.h - WebSocket connections on one epoll, in one thread. It does the handshake, the frames,
 * pings and close frames, and hands over whole messages; it knows nothing of what is in them.
 *
 * Everything is written at the beginning of a turn, in one system call for each connection. A
 * connection that has nothing under way costs the size of its struct. */
#ifndef LOAD_ENGINE_H
#define LOAD_ENGINE_H

#include <stdbool.h>

#include "load/base.h"
#include "load/target.h"

enum client_state {
    CLIENT_NONE,
    CLIENT_CONNECTING,
    CLIENT_UPGRADING,
    CLIENT_OPEN,
    CLIENT_CLOSED
};

enum {
    CLOSED_WITHOUT_CODE = 1005,
    CLOSED_WITHOUT_FRAME = 1006
};

struct client {
    struct bytes in;    /* the beginning of what has not come whole */
    struct bytes out;   /* what waits to be written */
    struct bytes parts; /* fragments of a message */
    uint64_t began_ns;  /* to connect */
    uint32_t index;
    uint32_t mask;
    int fd;
    enum client_state state;
    uint16_t close_code;
    bool dirty;   /* is in the list of those that have something to write */
    bool blocked; /* the kernel took only a part */
    bool muted;   /* does not read */
    bool closing; /* we began to close it */
};

/* What the engine tells, only from inside engine_turn(). 'now_ns' is when the bytes
 * were read. 'closed' is told once for each connection; the code is 1006 without a close frame. */
struct handlers {
    void (*opened)(void *ctx, struct client *client, uint64_t now_ns);
    void (*text)(void *ctx, struct client *client, struct slice text, uint64_t now_ns);
    void (*pong)(void *ctx, struct client *client);
    void (*closed)(void *ctx, struct client *client, uint16_t code);
};

struct engine;

/* Room for 'n_clients', which have the indices from 0. Borrows the target and the handlers for its
 * life. */
struct engine *engine_create(const struct target *target, uint32_t n_clients,
                             const struct handlers *handlers, void *ctx);

/* Closes whatever is open, without a word. */
void engine_destroy(struct engine *engine);

struct client *engine_client(struct engine *engine, uint32_t index);

/* Begins to connect a client that is not connected, from the source address of 'number'. */
void engine_connect(struct engine *engine, uint32_t index, uint32_t number);

/* Where to append frames for this client; they leave at the beginning of the next turn. */
struct bytes *engine_out(struct engine *engine, struct client *client);

/* A mask for the next frame. */
uint32_t client_mask(struct client *client);

/* Sends a close frame; 'closed' follows when the server has ended the connection. */
void engine_close(struct engine *engine, struct client *client);

/* Stops reading from this client, as a peer that hangs; what the server does then is up to it. */
void engine_mute(struct engine *engine, struct client *client);

/* Writes, waits until something comes or 'until_ns', and handles what came. */
void engine_turn(struct engine *engine, uint64_t until_ns);

#endif
