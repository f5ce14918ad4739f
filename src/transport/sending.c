/* What leaves a connection, and when it ends.
 *
 * The number of system calls decides how fast the server is. So nothing is written when the
 * router says it: frames gather in the outbox of each connection, and before the loop sleeps
 * each outbox is handed over in one lws_write(LWS_WRITE_RAW)
 * (docs/decisions/0003-one-write-a-turn.md). */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "chat/parser.h"
#include "transport/state.h"

enum {
    CLOSE_POLICY = 1008,
    CLOSE_TIMEOUT_MS = 2000,  /* for the peer to answer our close frame */
    CLOSE_UNANSWERED_MS = 100 /* for our close frame to leave */
};

_Static_assert((int)WHEEL_TICK_MS == (int)ROUTER_TICK_MS, "one tick serves both");
_Static_assert(LWS_PRE <= OUTBOX_HEADROOM,
               "libwebsockets wants more room in front of what it writes");

void conn_list_add(struct conn_list *list, conn_id id)
{
    if (list->n == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        list->ids = mem_realloc(list->ids, list->capacity * sizeof(conn_id));
    }
    list->ids[list->n++] = id;
}

static void mark_to_flush(struct connection *connection)
{
    if (!connection->to_flush) {
        connection->to_flush = true;
        conn_list_add(&connection->transport->to_flush, connection->id);
    }
}

void connection_count_outbox(struct connection *connection)
{
    struct transport *transport = connection->transport;
    transport->outboxes_size -= connection->counted_size;
    connection->counted_size = connection->outbox.len + connection->held_size;
    transport->outboxes_size += connection->counted_size;
}

/* Close without waiting for the peer to take what it has not read. */
static void close_at_once(struct connection *connection)
{
    outbox_clear(&connection->outbox);
    connection_count_outbox(connection);
    connection_close(connection, CLOSE_POLICY);
    transport_attend(connection);
}

/* [WS-12] A peer that does not read is closed before it costs more memory than it may. */
static void close_slow_reader(struct connection *connection)
{
    log_line(LOG_WARN, "slow_reader_closed", "connection=%llu waiting_bytes=%zu",
             (unsigned long long)connection->id, connection->outbox.len);
    close_at_once(connection);
}

static bool sends(const struct connection *connection)
{
    return connection != NULL && connection->state == CONNECTION_OPEN &&
           connection->close_code == 0;
}

static void write_out(struct connection *connection)
{
    size_t len = connection->outbox.len;
    if (len > 0) {
        /* What the kernel does not take, libwebsockets keeps; an error it reports as a close. */
        (void)lws_write(connection->wsi, outbox_bytes(&connection->outbox), len, LWS_WRITE_RAW);
        outbox_clear(&connection->outbox);
    }
    if (lws_partial_buffered(connection->wsi)) {
        connection->blocked = true;
        connection->held_size += len; /* at most */
        lws_callback_on_writable(connection->wsi);
    }
    connection_count_outbox(connection);
}

/* [WS-12] All outboxes together have their limit, too: above it, whoever does not read is
 * closed, and the others are written to at once. */
static void relieve(struct connection *connection)
{
    const struct transport *transport = connection->transport;
    if (transport->outboxes_size <= transport->options.outboxes_size_max) {
        return;
    }
    if (connection->blocked) {
        close_slow_reader(connection);
    } else {
        write_out(connection);
    }
}

static void append(struct connection *connection, struct str text)
{
    if (connection->outbox.len + text.len > connection->transport->options.outbox_size_max) {
        close_slow_reader(connection);
        return;
    }
    outbox_append(&connection->outbox, FRAME_TEXT, text);
    connection_count_outbox(connection);
    mark_to_flush(connection);
    relieve(connection);
}

static struct connection *find(struct sink *sink, conn_id conn)
{
    return id_table_get(((struct transport *)sink)->connections, conn);
}

static void send_reply(struct sink *sink, conn_id conn, const struct reply *reply)
{
    struct connection *connection = find(sink, conn);
    if (sends(connection)) {
        char text[REPLY_SIZE_MAX];
        append(connection, (struct str){text, reply_write(reply, text)});
    }
}

static char *scratch_of(struct transport *transport, size_t size)
{
    if (transport->scratch_size < size) {
        transport->scratch = mem_realloc(transport->scratch, size);
        transport->scratch_size = size;
    }
    return transport->scratch;
}

static void send_delivery(struct sink *sink, const conn_id *conns, size_t n,
                          const struct delivery *delivery)
{
    char *scratch = scratch_of((struct transport *)sink, delivery_size_max(delivery));
    struct str text = {scratch, delivery_write(delivery, scratch)};
    for (size_t i = 0; i < n; i++) {
        struct connection *connection = find(sink, conns[i]);
        if (sends(connection)) {
            append(connection, text);
        }
    }
}

static void send_ping(struct sink *sink, conn_id conn, struct str payload)
{
    struct connection *connection = find(sink, conn);
    if (sends(connection)) {
        outbox_append(&connection->outbox, FRAME_PING, payload);
        mark_to_flush(connection);
    }
}

/* Half of the outbox, so that replies have room whatever history pours in. */
static bool has_room(const struct connection *connection)
{
    size_t size_max = connection->transport->options.outbox_size_max;
    return !connection->blocked && connection->outbox.len < size_max / 2;
}

static bool takes_more(struct sink *sink, conn_id conn)
{
    struct connection *connection = find(sink, conn);
    if (!sends(connection) || has_room(connection)) {
        return true; /* what is sent to one that is gone goes nowhere */
    }
    connection->to_drain = true;
    return false;
}

static void close_from_router(struct sink *sink, conn_id conn, uint16_t code)
{
    struct connection *connection = find(sink, conn);
    if (connection != NULL) {
        connection_close(connection, code);
    }
}

static void receive_more(struct sink *sink, conn_id conn, bool more)
{
    struct connection *connection = find(sink, conn);
    if (connection != NULL && connection->state == CONNECTION_OPEN) {
        connection->braked = !more;
        connection_receive_more(connection);
    }
}

const struct sink_ops transport_sink_ops = {
    .reply = send_reply,
    .deliver = send_delivery,
    .ping = send_ping,
    .takes_more = takes_more,
    .close = close_from_router,
    .receive_more = receive_more,
};

static bool is_to_close(const struct connection *connection)
{
    return connection->close_code != 0 || connection->peer_closed;
}

/* Our close waits until all has left; the peer's does not, for a peer that leaves may not read
 * any more. */
static void flush(struct connection *connection)
{
    if (connection->state != CONNECTION_OPEN) {
        return;
    }
    if (!connection->blocked) {
        write_out(connection);
    }
    if (connection->to_drain && has_room(connection)) {
        connection->to_drain = false;
        router_drained(connection->transport->router, connection->id);
    }
    if (connection->peer_closed || (connection->close_code != 0 && !connection->blocked)) {
        transport_attend(connection);
    }
}

void transport_flush(void *context)
{
    struct transport *transport = context;
    transport_read_on(transport);
    for (size_t i = 0; i < transport->to_flush.n; i++) {
        struct connection *connection =
            id_table_get(transport->connections, transport->to_flush.ids[i]);
        if (connection != NULL) {
            connection->to_flush = false;
            flush(connection);
        }
    }
    transport->to_flush.n = 0;
}

void connection_writeable(struct connection *connection)
{
    if (connection->blocked && !lws_partial_buffered(connection->wsi)) {
        connection->blocked = false;
        connection->held_size = 0;
        flush(connection);
    }
}

/* Neither what waits to leave nor the peer's answer is waited for without end. */
static void limit_close(struct connection *connection)
{
    /* A peer whose close frame was dropped sends no other; of a stream that is lost, none can be
     * told. */
    const struct frame_guard *guard = &connection->guard;
    bool no_answer = guard->close_dropped || guard->state == GUARD_LOST;
    uint64_t timeout_ms = no_answer ? CLOSE_UNANSWERED_MS : CLOSE_TIMEOUT_MS;
    deadline_set(&connection->transport->wheel, &connection->deadline,
                 loop_now_ms(connection->loop) + timeout_ms);
}

void connection_close(struct connection *connection, uint16_t code)
{
    if (connection->close_code == 0) {
        connection->close_code = code;
        connection->deaf = true;
        limit_close(connection);
        mark_to_flush(connection);
    }
}

void connection_peer_closed(struct connection *connection)
{
    connection->peer_closed = true;
    connection->deaf = true;
    mark_to_flush(connection);
}

void connection_kill(struct connection *connection)
{
    /* What the kernel did not take, libwebsockets waits to write, and asks again for as long.
     * Without a peer to write to it does not. */
    (void)shutdown(connection->socket, SHUT_RDWR);
    /* The second time libwebsockets is told so it no longer waits for the peer. */
    lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

/* Hand the close over to libwebsockets, which sends the close frame and waits for the peer's. To
 * the router the connection has ended: its traces must not wait for a peer that does not answer
 * ([ID-3]). */
static void begin_close(struct connection *connection)
{
    struct transport *transport = connection->transport;
    conn_id id = connection->id;
    connection->state = CONNECTION_CLOSING;
    connection->guard.close_passes = true;
    limit_close(connection);
    lws_rx_flow_control(connection->wsi, 1); /* the peer's close frame has to be read */
    if (!connection->peer_closed) {
        lws_close_reason(connection->wsi, (enum lws_close_status)connection->close_code, NULL, 0);
        lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    }
    router_closed(transport->router, id);
}

/* A peer that has left and read nothing before, to which libwebsockets would go on writing. */
static bool is_to_kill(const struct connection *connection)
{
    return connection->tcp_ended && connection->blocked;
}

static void attend(struct connection *connection)
{
    if (is_to_kill(connection)) {
        connection_kill(connection);
    } else if (connection->state == CONNECTION_OPEN && is_to_close(connection)) {
        begin_close(connection);
    } else if (connection->state == CONNECTION_OPEN && connection->guard.broken &&
               !connection->deaf) {
        connection->deaf = true;
        router_received_broken(connection->transport->router, connection->id,
                               LWS_CLOSE_STATUS_PROTOCOL_ERR);
    }
}

static void attend_all(void *context)
{
    struct transport *transport = context;
    for (size_t i = 0; i < transport->to_attend.n; i++) {
        struct connection *connection =
            id_table_get(transport->connections, transport->to_attend.ids[i]);
        if (connection != NULL) {
            attend(connection);
        }
    }
    transport->to_attend.n = 0;
}

void transport_attend(struct connection *connection)
{
    struct transport *transport = connection->transport;
    if (transport->to_attend.n == 0) {
        loop_later(transport->loop, attend_all, transport);
    }
    conn_list_add(&transport->to_attend, connection->id);
}

void connection_watch_life(struct connection *connection)
{
    deadline_set(&connection->transport->wheel, &connection->deadline,
                 connection->heard_ms + connection->transport->options.ping_interval_ms);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What has come and was not read yet is a sign of life, too. */
static bool has_unread(const struct connection *connection)
{
    int n_bytes = 0;
    return ioctl(connection->socket, FIONREAD, &n_bytes) == 0 && n_bytes > 0;
}

/* [WS-10] A ping every interval, so that no proxy cuts a line on which nothing moves. A frame that
 * the kernel has no room for would only cost memory. */
static void ask_for_life(struct connection *connection, uint64_t now_ms)
{
    const struct transport_options *options = &connection->transport->options;
    if (!connection->blocked) {
        outbox_append(&connection->outbox, FRAME_PING, STR(""));
        connection_count_outbox(connection);
        mark_to_flush(connection);
    }
    deadline_set(&connection->transport->wheel, &connection->deadline,
                 earlier(now_ms + options->ping_interval_ms,
                         connection->asked_ms + options->ping_timeout_ms));
}

/* [WS-10] Any byte is a sign of life; after a silence, pings ask for one. */
static void check_life(struct connection *connection)
{
    const struct transport_options *options = &connection->transport->options;
    uint64_t now_ms = loop_now_ms(connection->loop);
    if (connection->asked_ms != 0 && has_unread(connection)) {
        connection_heard(connection);
    }
    if (connection->heard_ms + options->ping_interval_ms > now_ms) {
        connection_watch_life(connection);
        return;
    }
    if (connection->asked_ms == 0) {
        connection->asked_ms = now_ms;
    }
    if (now_ms < connection->asked_ms + options->ping_timeout_ms) {
        ask_for_life(connection, now_ms);
        return;
    }
    log_line(LOG_INFO, "silent_peer_dropped", "connection=%llu silent_ms=%llu",
             (unsigned long long)connection->id,
             (unsigned long long)(now_ms - connection->heard_ms));
    close_at_once(connection);
}

static void deadline_expired(void *context, struct deadline *deadline)
{
    (void)context;
    struct connection *connection =
        (struct connection *)((char *)deadline - offsetof(struct connection, deadline));
    if (connection->state == CONNECTION_OPEN && connection->close_code == 0) {
        check_life(connection);
        return;
    }
    if (connection->state == CONNECTION_OPEN) {
        close_at_once(connection); /* it was to be closed, but what waits for it does not leave */
        return;
    }
    connection_kill(connection);
}

void transport_tick(void *context)
{
    struct transport *transport = context;
    deadline_wheel_turn(&transport->wheel, loop_now_ms(transport->loop), deadline_expired,
                        transport);
    transport_unthrottle(transport);
    if (transport->handshakes != NULL) {
        handshakes_tick(transport->handshakes);
    }
    router_tick(transport->router);
    log_tell_left_out();
}
