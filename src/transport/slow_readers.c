/* Who is closed because too much waits for it ([WS-12]).
 *
 * A burst is no fault of the device that it is for: what one turn brings may be more than a socket
 * takes. So a peer for which more than outbox_size_max waits is watched, and stays as long as it
 * reads. All that waits for all peers has a limit that always holds: at it, those pay that hold. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "chat/log.h"
#include "transport/state.h"

enum {
    TCP_STATE_ESTABLISHED =
        1,                  /* as tcp_info has it; netinet/tcp.h, which says so, has an older one */
    WATCH_TICKS = 50,       /* 5 s, in which a watched peer has to take */
    WATCH_SHARE = 4,        /* the fourth part of outbox_size_max */
    STILL_MS = 2000,        /* in which a watched peer has to take anything at all */
    STUCK_MS = 1000,        /* who took nothing for so long pays first: */
    STUCK_SHIFT = 32,       /* a time counts more than any size */
    LIMIT_REST_QUARTERS = 3 /* of outboxes_size_max, below which closing goes on */
};

size_t connection_waiting(const struct connection *connection)
{
    return connection->outbox.len + connection->held_size;
}

static void close_slow_reader(struct connection *connection)
{
    log_line(LOG_WARN, "slow_reader_closed", "connection=%llu waiting_bytes=%zu",
             (unsigned long long)connection->id, connection_waiting(connection));
    connection_close_at_once(connection);
}

/* ---- one connection ---- */

struct progress {
    bool is_there;     /* its TCP has not ended */
    bool stands_still; /* it has had no room for STILL_MS, and data waits for it */
    uint64_t n_taken;  /* bytes that its TCP has acknowledged since the start: its kernel does so
                          for no more than a buffer full before the peer reads */
};

/* The kernel sends as soon as the peer has room, also while this process stands still. */
static struct progress progress_of(const struct connection *connection)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(connection->socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
        return (struct progress){0};
    }
    struct pollfd socket = {.fd = connection->socket, .events = POLLOUT};
    return (struct progress){
        .is_there = info.tcpi_state == TCP_STATE_ESTABLISHED,
        .stands_still = info.tcpi_last_data_sent >= STILL_MS && poll(&socket, 1, 0) == 0,
        .n_taken = info.tcpi_bytes_acked,
    };
}

void slow_reader_watch(struct connection *connection)
{
    struct slowness *slowness = &connection->slowness;
    if (slowness->watched) {
        return;
    }
    slowness->watched = true;
    slowness->n_ticks = 0;
    slowness->n_taken = progress_of(connection).n_taken;
    conn_list_add(&connection->transport->watched, connection->id);
}

void slow_reader_asks(struct connection *connection)
{
    if (connection->slowness.watched && !connection->slowness.unheard) {
        connection->slowness.unheard = true;
        connection_receive_more(connection);
    }
}

static void hear_again(struct connection *connection)
{
    if (connection->slowness.unheard) {
        connection->slowness.unheard = false;
        connection_receive_more(connection);
    }
}

static bool is_open(const struct connection *connection)
{
    return connection != NULL && connection->state == CONNECTION_OPEN &&
           connection->close_code == 0;
}

/* Ticks are counted, not time: a process that stood still has given nobody the chance to read. */
static void judge(struct connection *connection)
{
    struct slowness *slowness = &connection->slowness;
    size_t size_max = connection->transport->options.outbox_size_max;
    struct progress progress = progress_of(connection);
    if (!progress.is_there) {
        hear_again(connection); /* so that its end is seen ([ID-3]) */
    }
    if (progress.stands_still) {
        close_slow_reader(connection);
        return;
    }
    slowness->n_ticks++;
    if (slowness->n_ticks < WATCH_TICKS) {
        return;
    }
    if (progress.n_taken - slowness->n_taken < size_max / WATCH_SHARE) {
        close_slow_reader(connection);
        return;
    }
    slowness->n_ticks = 0;
    slowness->n_taken = progress.n_taken;
}

static bool is_watched_on(struct connection *connection)
{
    if (!is_open(connection)) {
        return false;
    }
    if (connection_waiting(connection) > connection->transport->options.outbox_size_max) {
        judge(connection);
        return true;
    }
    connection->slowness.watched = false;
    hear_again(connection);
    return false;
}

void slow_readers_tick(struct transport *transport)
{
    struct conn_list *list = &transport->watched;
    size_t n_kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (is_watched_on(id_table_get(transport->connections, list->ids[i]))) {
            list->ids[n_kept++] = list->ids[i];
        }
    }
    list->n = n_kept;
}

/* ---- all together ---- */

static bool is_too_much(const struct transport *transport)
{
    return transport->outboxes_size > transport->options.outboxes_size_max;
}

static void offer_all(struct transport *transport)
{
    struct conn_list *list = &transport->to_flush;
    for (; transport->n_offered < list->n && is_too_much(transport); transport->n_offered++) {
        struct connection *connection =
            id_table_get(transport->connections, list->ids[transport->n_offered]);
        if (connection != NULL && connection->state == CONNECTION_OPEN) {
            connection_offer(connection);
        }
    }
}

/* Who pays first: those that take nothing, the longest first; then those that hold the most. Of
 * one that is closing only what its close waits for can be given up. */
static uint64_t guilt_of(const struct connection *connection, uint64_t now_ms)
{
    bool is_given_up = connection->close_code != 0 && connection->outbox.len == 0;
    if (!connection->blocked || is_given_up) {
        return 0;
    }
    uint64_t stuck_ms = now_ms - connection->slowness.moved_ms;
    return stuck_ms >= STUCK_MS ? stuck_ms << STUCK_SHIFT : connection->counted_size;
}

/* The loop may not have said yet that the kernel has room again. */
static bool has_moved(struct connection *connection, uint64_t now_ms)
{
    struct pollfd socket = {.fd = connection->socket, .events = POLLOUT};
    if (now_ms - connection->slowness.moved_ms < STUCK_MS || poll(&socket, 1, 0) != 1 ||
        socket.revents != POLLOUT) {
        return false;
    }
    connection->slowness.moved_ms = now_ms;
    return true;
}

static uint64_t find_most_guilt(const struct transport *transport, uint64_t now_ms)
{
    uint64_t most = 0;
    size_t cursor = 0;
    const struct connection *connection;
    while ((connection = id_table_next(transport->connections, &cursor)) != NULL) {
        uint64_t guilt = guilt_of(connection, now_ms);
        most = guilt > most ? guilt : most;
    }
    return most;
}

/* Several at a time, so that the connections are not searched for each. */
static void close_guilty(struct transport *transport, uint64_t most, uint64_t now_ms)
{
    size_t rest = transport->options.outboxes_size_max / 4 * LIMIT_REST_QUARTERS;
    size_t cursor = 0;
    struct connection *connection;
    while (transport->outboxes_size > rest &&
           (connection = id_table_next(transport->connections, &cursor)) != NULL) {
        if (guilt_of(connection, now_ms) >= most / 2 + 1 && !has_moved(connection, now_ms)) {
            close_slow_reader(connection);
        }
    }
}

void outboxes_limit(struct transport *transport)
{
    uint64_t now_ms = loop_now_ms(transport->loop);
    offer_all(transport);
    while (is_too_much(transport)) {
        uint64_t most = find_most_guilt(transport, now_ms);
        if (most == 0) {
            return;
        }
        close_guilty(transport, most, now_ms);
    }
}
