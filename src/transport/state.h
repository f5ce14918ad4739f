/* state.h - the transport's own state, shared by its parts: transport.c (life), websocket.c (what
 * libwebsockets reports), sending.c (what leaves, and when a connection ends). */
#ifndef CHAT_TRANSPORT_STATE_H
#define CHAT_TRANSPORT_STATE_H

#include <libwebsockets.h>

#include "chat/id_table.h"
#include "chat/transport.h"
#include "transport/addresses.h"
#include "transport/connection.h"
#include "transport/deadline_wheel.h"
#include "transport/handshake.h"
#include "transport/listener.h"

/* Connections by id, because one that is listed may be gone when the list is looked at. */
struct conn_list {
    conn_id *ids;
    size_t n;
    size_t capacity;
};

void conn_list_add(struct conn_list *list, conn_id id);

/* Messages of which a part has come (inboxes.c). */
struct inboxes {
    struct connection *first; /* has held memory the longest */
    struct connection *last;
    size_t size;                 /* memory of all */
    struct deadline_wheel wheel; /* of their clocks */
};

struct transport {
    struct sink sink; /* first, so a struct sink * is one of us */
    struct transport_options options;
    struct loop *loop;
    struct router *router; /* borrowed, since transport_start() */
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct listener *listener; /* NULL when stopping */
    struct id_table *connections;
    uint32_t connections_max;
    conn_id last_id;
    struct conn_list to_flush;  /* have something to say */
    struct conn_list to_attend; /* transport_attend() */
    struct conn_list to_read;   /* there may be more to read: transport_read_on() */
    struct conn_list throttled; /* wait for a token */
    struct conn_list waiting;   /* for room: connection_wait_for_room() */
    struct conn_list watched;   /* slow readers: slow_readers.c */
    size_t n_offered; /* of to_flush: what waits for them was offered to the kernel in this turn */
    size_t outboxes_size; /* memory of all outboxes, and of what the library keeps of them */
    struct inboxes inboxes;
    struct addresses *addresses;
    struct handshakes *handshakes; /* NULL when stopping */
    struct loop_hook *flush_hook;
    struct deadline_wheel wheel;
    struct loop_timer *wheel_timer;
    char *scratch; /* where a delivery is written as JSON */
    size_t scratch_size;
    struct loop_timer *stop_timer; /* NULL unless stopping */
    loop_fn *stopped;
    void *stopped_ctx;
};

/* websocket.c: libwebsockets' callback. */
int websocket_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len);

/* receiving.c: who is received from, and how much. */

/* A read filled the buffer, so there may be more: it is read before this turn's answers leave. */
void connection_read_full(struct connection *connection);

/* Reads on where reads were full, a few times at most: whoever sends more waits for its turn. */
void transport_read_on(struct transport *transport);

/* Stop or go on receiving, by all that speaks against it. */
void connection_receive_more(struct connection *connection);

/* A request came: no more for a while, if there were too many. */
void connection_throttle(struct connection *connection);

/* Its message is read on when requests in flight have left room. */
void connection_wait_for_room(struct connection *connection);

/* If there is room, those that wait for it go on. */
void transport_make_use_of_room(struct transport *transport);

/* One tick of the wheel: those that were throttled may go on. */
void transport_unthrottle(struct transport *transport);

/* Is it not read, for whatever reason? */
bool connection_is_stopped(const struct connection *connection);

/* Bytes that have come from it and were not read yet. */
size_t connection_n_unread(const struct connection *connection);

/* Its stream has ended, by a fault of the peer's or not: nothing more of it is processed, and the
 * connection is closed with 'code' after the replies that are due. Only the first time counts. */
void connection_refuse(struct connection *connection, uint16_t code);

/* inboxes.c */

/* A piece of a message that is not complete, or the last one. Copies it. */
void inbox_append(struct connection *connection, struct str piece);

/* Forget the message, and give its memory back. There may be none. */
void inbox_clear(struct connection *connection);

/* Inboxes have grown: if all together are too large, the oldest messages end, and their
 * connections with 1008. */
void inboxes_limit(struct transport *transport);

/* One tick of the wheel: messages that have not ended in time end, with 1008. */
void inboxes_tick(struct transport *transport);

/* The guard has seen 'n_read' more bytes: a message may have begun or ended. */
void message_watch(struct connection *connection, size_t n_read);

/* sending.c */
extern const struct sink_ops transport_sink_ops;

/* The hook before the loop sleeps: write what waits, each connection's in one call. */
void transport_flush(void *transport);

/* What waits to leave has changed: count it with all others'. */
void connection_count_outbox(struct connection *connection);

/* Offer to the kernel what waits, unless it has no room. */
void connection_offer(struct connection *connection);

/* Forget what waits, and close with 1008 without waiting for the peer. */
void connection_close_at_once(struct connection *connection);

/* slow_readers.c: [WS-12] who is closed because too much waits for it. */

/* Bytes that wait for this peer because the kernel has no room for them, or were not offered. */
size_t connection_waiting(const struct connection *connection);

/* Too much waits for it although all was offered: it has to take some, or it is closed. */
void slow_reader_watch(struct connection *connection);

/* A request came. Nothing more is read of a peer that asks and does not read. */
void slow_reader_asks(struct connection *connection);

/* One tick of the wheel. */
void slow_readers_tick(struct transport *transport);

/* Outboxes have grown: if all together are too large, those that do not read are closed. */
void outboxes_limit(struct transport *transport);

/* The kernel has room again for this connection. */
void connection_writeable(struct connection *connection);

/* Look at this connection from a later turn, outside of its callbacks: it has broken the rules,
 * or is to be closed. */
void transport_attend(struct connection *connection);

/* One tick of the wheel. */
void transport_tick(void *transport);

/* The upgrade is done: from now on pings are sent and answers expected. */
void connection_watch_life(struct connection *connection);

/* Close with 'code' once what waits has left. */
void connection_close(struct connection *connection, uint16_t code);

/* [WS-13] A ping came. */
void connection_pong(struct connection *connection, struct str payload);

/* End it now, without a word. Not inside the connection's own callbacks. May destroy it before
 * it returns. */
void connection_kill(struct connection *connection);

/* transport.c: libwebsockets has destroyed the wsi. */
void transport_forget(struct connection *connection);

#endif
