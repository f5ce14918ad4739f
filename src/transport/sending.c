/* What leaves a connection, and when it ends.
 *
 * The number of system calls decides how fast the server is. So nothing is written when the
 * router says it: frames gather in the outbox of each connection, and before the loop sleeps
 * each outbox is written in one send(), pongs and close frames included. libwebsockets writes the
 * rest of a frame that the kernel took in part (docs/decisions/0003-one-write-a-turn.md). */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "chat/parser.h"
#include "transport/state.h"

enum {
    CLOSE_PROTOCOL_ERROR = 1002,
    CLOSE_NOT_UTF8 = 1007,
    CLOSE_POLICY = 1008,
    HELD_OVERHEAD = 64,     /* bytes that libwebsockets adds to what it keeps */
    CLOSE_TIMEOUT_MS = 2000 /* for what waits, our close frame and the peer's answer */
};

_Static_assert((int)WHEEL_TICK_MS == (int)ROUTER_TICK_MS, "one tick serves both");
_Static_assert(LWS_PRE <= OUTBOX_HEADROOM,
               "libwebsockets wants more room in front of what it writes");

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
    connection->counted_size = outbox_allocated(&connection->outbox) + connection->held_size;
    transport->outboxes_size += connection->counted_size;
}

void connection_close_at_once(struct connection *connection)
{
    outbox_clear(&connection->outbox);
    connection_count_outbox(connection);
    connection_close(connection, CLOSE_POLICY);
    transport_attend(connection);
}

static bool sends(const struct connection *connection)
{
    return connection != NULL && connection->state == CONNECTION_OPEN &&
           connection->close_code == 0;
}

/* The kernel has no room. The rest of a frame of which it took a part is libwebsockets', which
 * may have a pong to send and must not send it into the middle. */
static void block(struct connection *connection, size_t n_taken)
{
    struct outbox *outbox = &connection->outbox;
    size_t end = outbox_frame_end(outbox, n_taken);
    connection->blocked = true;
    connection->slowness.moved_ms = loop_now_ms(connection->loop);
    if (end > n_taken) {
        connection->held_size = end - n_taken + HELD_OVERHEAD;
        (void)lws_write(connection->wsi, outbox_bytes(outbox) + n_taken, end - n_taken,
                        LWS_WRITE_RAW);
    }
    outbox_drop(outbox, end);
    lws_callback_on_writable(connection->wsi);
}

/* Of an error the loop tells libwebsockets, which reports it as a close. */
static void write_out(struct connection *connection)
{
    struct outbox *outbox = &connection->outbox;
    if (lws_partial_buffered(connection->wsi)) {
        block(connection, 0); /* behind a pong */
    } else if (outbox->len > 0) {
        ssize_t n = send(connection->socket, outbox_bytes(outbox), outbox->len, MSG_NOSIGNAL);
        size_t n_taken = n > 0 ? (size_t)n : 0;
        bool has_failed = n < 0 && errno != EAGAIN && errno != EINTR;
        if (!has_failed && n_taken < outbox->len) {
            block(connection, n_taken);
        } else {
            outbox_clear(outbox);
        }
    }
    connection_count_outbox(connection);
}

void connection_offer(struct connection *connection)
{
    if (!connection->blocked) {
        write_out(connection);
    }
}

/* [WS-12] Write, then judge: what was not offered to the kernel yet makes no slow reader. */
static void append(struct connection *connection, enum frame_opcode opcode, struct str payload)
{
    struct transport *transport = connection->transport;
    size_t size_max = transport->options.outbox_size_max;
    if (connection_waiting(connection) + FRAME_HEADER_SIZE_MAX + payload.len > size_max) {
        connection_offer(connection);
    }
    outbox_append(&connection->outbox, opcode, payload);
    connection_count_outbox(connection);
    mark_to_flush(connection);
    if (connection_waiting(connection) > size_max) {
        slow_reader_watch(connection);
    }
    if (transport->outboxes_size > transport->options.outboxes_size_max) {
        connection_offer(connection);
        outboxes_limit(transport);
    }
}

void connection_pong(struct connection *connection, struct str payload)
{
    if (sends(connection)) {
        append(connection, FRAME_PONG, payload);
        slow_reader_asks(connection);
    }
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
        append(connection, FRAME_TEXT, (struct str){text, reply_write(reply, text)});
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
            append(connection, FRAME_TEXT, text);
        }
    }
}

static void send_ping(struct sink *sink, conn_id conn, struct str payload)
{
    struct connection *connection = find(sink, conn);
    if (sends(connection)) {
        outbox_append(&connection->outbox, FRAME_PING, payload);
        connection_count_outbox(connection);
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

/* A close waits until all that was said before has left. */
static void flush(struct connection *connection)
{
    connection_offer(connection);
    if (connection->state == CONNECTION_OPEN && connection->to_drain && has_room(connection)) {
        connection->to_drain = false;
        router_drained(connection->transport->router, connection->id);
    }
    if (connection->close_code != 0) {
        transport_attend(connection);
    }
}

void transport_flush(void *context)
{
    struct transport *transport = context;
    transport_make_use_of_room(transport);
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
    transport->n_offered = 0;
}

void connection_writeable(struct connection *connection)
{
    if (connection->blocked && !lws_partial_buffered(connection->wsi)) {
        connection->blocked = false;
        connection->held_size = 0;
        connection_heard(connection); /* it has read: [WS-10] */
        flush(connection);
    }
}

/* Neither what waits to leave nor the peer's answer is waited for without end. */
static void limit_close(struct connection *connection)
{
    deadline_set(&connection->transport->wheel, &connection->deadline,
                 loop_now_ms(connection->loop) + CLOSE_TIMEOUT_MS);
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

void connection_kill(struct connection *connection)
{
    /* What the kernel did not take, libwebsockets waits to write, and asks again for as long.
     * Without a peer to write to it does not. */
    (void)shutdown(connection->socket, SHUT_RDWR);
    /* The second time libwebsockets is told so it no longer waits for the peer. */
    lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static void append_close(struct connection *connection)
{
    uint16_t code = connection->close_code;
    const char payload[] = {(char)(code >> 8), (char)(code & 0xff)};
    size_t len = code == FRAME_GUARD_NO_CODE ? 0 : sizeof payload;
    outbox_append(&connection->outbox, FRAME_CLOSE, (struct str){payload, len});
    connection_count_outbox(connection);
}

/* Our close frame is the last that is sent. To the router the connection has ended: its traces
 * must not wait for a peer that does not answer ([ID-3]). */
static void begin_close(struct connection *connection)
{
    append_close(connection);
    connection_offer(connection);
    connection->state = CONNECTION_CLOSING;
    limit_close(connection);
    inbox_clear(connection);
    message_clock_end(&connection->clock);
    connection_receive_more(connection);
    router_closed(connection->transport->router, connection->id);
}

/* Has it said more than a close frame that is as it should be? */
static bool may_say_more(const struct connection *connection)
{
    uint16_t code = connection->guard.close_code;
    return code == CLOSE_PROTOCOL_ERROR || code == CLOSE_NOT_UTF8 ||
           connection_n_unread(connection) > 0;
}

/* Once both close frames have gone their ways, or no other is to be expected, the server ends TCP:
 * RFC 6455 section 7.1.1. Of a peer that goes on sending, the socket is closed a little later: with
 * bytes unread, a reset could overtake the close frame. */
static void end_tcp(struct connection *connection)
{
    bool is_done = connection->tcp_ended || connection->guard.peer_is_done;
    if (connection->outbox.len > 0 || connection->blocked || !is_done) {
        return;
    }
    if (connection->tcp_ended || !may_say_more(connection)) {
        connection_kill(connection);
    } else {
        (void)shutdown(connection->socket, SHUT_WR);
    }
}

/* The replies and the deliveries before it have left, or were given up; or the peer has closed, and
 * they leave while it is no device any more. */
static bool is_to_close(const struct connection *connection)
{
    return connection->close_code != 0 &&
           (!connection->blocked || connection->outbox.len == 0 || connection->guard.peer_is_done);
}

static void attend(struct connection *connection)
{
    if (connection->tcp_ended) {
        connection_receive_more(connection);
    }
    if (connection->tcp_ended && connection->state == CONNECTION_OPEN) {
        connection_refuse(connection, connection->guard.close_code);
    }
    if (connection->state == CONNECTION_OPEN && is_to_close(connection)) {
        begin_close(connection);
    }
    if (connection->state == CONNECTION_CLOSING) {
        end_tcp(connection);
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
    if (connection->asked_ms != 0 && connection_n_unread(connection) > 0) {
        connection_heard(connection); /* what was not read yet is a sign of life, too */
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
    connection_close_at_once(connection);
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
        connection_close_at_once(
            connection); /* it was to be closed, but what waits for it does not leave */
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
    slow_readers_tick(transport);
    inboxes_tick(transport);
    router_tick(transport->router);
    log_tell_left_out();
}
