/* The transport's life: what it listens on, the connections it accepts, how it stops. */
#include <assert.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "transport/state.h"
#include "transport/wire.h"

enum {
    RX_BUFFER_SIZE = 896,         /* for each connection: what libwebsockets reads at a time */
    TX_PACKET_SIZE = 1024 * 1024, /* what it hands to the kernel at a time */
    HEADERS_SIZE_MAX = 4096,      /* of a handshake */
    HANDSHAKES_MAX = 1000,        /* under way at once; one more ends the oldest */
    HANDSHAKES_SPARE = 256,       /* places for those that are just ending */
    SOCKETS_MAX = 1024 * 1024,
    SOCKETS_RESERVED = 64, /* of the limit of open files: for Redis, the listener, logs */
    CLOSE_GOING_AWAY = 1001,
    TURNS_TO_CLOSE = 4 /* of the loop, for libwebsockets' handles */
};

/* [WS-18] */
static const char too_many_of_address[] =
    "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\n"
    "Content-Length: 39\r\n\r\nToo many connections from your address\n";
static const char too_many[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                               "Content-Length: 21\r\n\r\nToo many connections\n";

static const struct lws_protocols protocols[] = {
    {.name = "",
     .callback = websocket_event,
     .rx_buffer_size = RX_BUFFER_SIZE,
     .tx_packet_size = TX_PACKET_SIZE},
    {0},
};

/* Zeros switch off libwebsockets' own keepalive: the wheel does it ([WS-10]). */
static const lws_retry_bo_t no_keepalive = {0};

static void log_of_libwebsockets(int level, const char *line)
{
    (void)level; /* whatever a peer does wrong is an error to it */
    log_line(LOG_DEBUG, "libwebsockets", "line=%s", log_value(line));
}

static uint32_t sockets_max(void)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > SOCKETS_MAX) {
        return SOCKETS_MAX;
    }
    return (uint32_t)limit.rlim_cur;
}

static uint32_t connections_max(const struct transport_options *options)
{
    uint32_t sockets = sockets_max();
    uint32_t possible = sockets > SOCKETS_RESERVED ? sockets - SOCKETS_RESERVED : 1;
    if (options->connections_max == 0) {
        return possible;
    }
    if (options->connections_max > possible) {
        log_line(LOG_WARN, "connections_max_lowered", "from=%u to=%u open_files_limit=%u",
                 options->connections_max, possible, sockets);
        return possible;
    }
    return options->connections_max;
}

static enum err create_context(struct transport *transport)
{
    void *foreign_loops[] = {loop_uv(transport->loop)};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = foreign_loops,
        .max_http_header_data = HEADERS_SIZE_MAX,
        .max_http_header_pool = HANDSHAKES_MAX + HANDSHAKES_SPARE,
        .retry_and_idle_policy = &no_keepalive,
        .vhost_name = "chatd",
        .pcontext = &transport->context,
    };
    lws_set_log_level(LLL_ERR | LLL_WARN, log_of_libwebsockets);
    transport->context = lws_create_context(&info);
    if (transport->context == NULL) {
        log_line(LOG_ERROR, "libwebsockets_failed", "what=context");
        return ERR_IO;
    }
    transport->vhost = lws_create_vhost(transport->context, &info);
    if (transport->vhost == NULL) {
        log_line(LOG_ERROR, "libwebsockets_failed", "what=vhost");
        return ERR_IO;
    }
    return ERR_OK;
}

enum err transport_create(struct loop *loop, const struct transport_options *options,
                          struct transport **out)
{
    struct listener *listener = NULL;
    enum err err = listener_create(loop, options->listen_host, options->listen_port,
                                   options->reuse_port, &listener);
    if (err != ERR_OK) {
        return err;
    }
    struct transport *transport = mem_alloc(sizeof(*transport));
    transport->sink.ops = &transport_sink_ops;
    transport->options = *options;
    transport->options.listen_host = NULL; /* borrowed only for listening */
    transport->loop = loop;
    transport->listener = listener;
    transport->connections = id_table_create();
    transport->addresses = addresses_create();
    transport->connections_max = connections_max(options);
    deadline_wheel_init(&transport->wheel, loop_now_ms(loop));
    transport->wheel_timer = loop_timer_create(loop, transport_tick, transport);
    transport->flush_hook = loop_before_sleep(loop, transport_flush, transport);
    wire_init(sockets_max());
    err = create_context(transport);
    if (err != ERR_OK) {
        transport_destroy(transport);
        return err;
    }
    *out = transport;
    return ERR_OK;
}

struct sink *transport_sink(struct transport *transport)
{
    return &transport->sink;
}

uint16_t transport_port(const struct transport *transport)
{
    return listener_port(transport->listener);
}

static void refuse(int socket, struct str answer)
{
    (void)send(socket, answer.ptr, answer.len, MSG_NOSIGNAL);
    close(socket);
}

/* ---- handshakes ---- */

static void handshake_begins(struct transport *transport, struct connection *connection)
{
    connection->handshake_before = transport->last_handshake;
    if (transport->last_handshake != NULL) {
        transport->last_handshake->handshake_behind = connection;
    } else {
        transport->first_handshake = connection;
    }
    transport->last_handshake = connection;
    transport->n_handshakes++;
}

void transport_handshake_over(struct connection *connection)
{
    struct transport *transport = connection->transport;
    struct connection *before = connection->handshake_before;
    struct connection *behind = connection->handshake_behind;
    if (before == NULL && transport->first_handshake != connection) {
        return; /* it was over already */
    }
    *(before != NULL ? &before->handshake_behind : &transport->first_handshake) = behind;
    *(behind != NULL ? &behind->handshake_before : &transport->last_handshake) = before;
    connection->handshake_before = NULL;
    connection->handshake_behind = NULL;
    transport->n_handshakes--;
}

/* Peers that begin many handshakes and finish none must not keep others from theirs. */
static void end_oldest_handshake(struct transport *transport)
{
    struct connection *oldest = transport->first_handshake;
    log_line(LOG_WARN, "handshake_cut", "connection=%llu waiting_ms=%llu",
             (unsigned long long)oldest->id,
             (unsigned long long)(loop_now_ms(transport->loop) - oldest->heard_ms));
    transport_handshake_over(oldest); /* it is gone in a later turn: the next one cuts another */
    connection_kill(oldest);
}

/* ---- connections ---- */

/* libwebsockets takes the socket; it reports what becomes of it to websocket_event(). */
static void adopt(struct transport *transport, int socket, struct address *address)
{
    struct connection *connection =
        connection_create(transport, transport->loop, ++transport->last_id, socket);
    connection->address = address;
    id_table_put(transport->connections, connection->id, connection);
    handshake_begins(transport, connection);
    deadline_set(&transport->wheel, &connection->deadline,
                 connection->heard_ms + transport->options.handshake_timeout_ms);
    wire_attach(connection);
    lws_adopt_desc_t description = {
        .vh = transport->vhost,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP,
        .fd.sockfd = socket,
        .opaque = connection,
    };
    conn_id id = connection->id;
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&description);
    connection = id_table_get(transport->connections, id); /* it may be gone already */
    if (connection == NULL) {
        return;
    }
    if (wsi == NULL) {
        transport_forget(connection);
        return;
    }
    connection->wsi = wsi;
}

static void accepted(void *context, int socket)
{
    struct transport *transport = context;
    if (id_table_count(transport->connections) >= transport->connections_max) {
        refuse(socket, STR(too_many));
        return;
    }
    struct address *address = NULL;
    uint32_t per_address_max = transport->options.connections_per_address_max;
    if (per_address_max > 0) {
        address = addresses_enter(transport->addresses, socket, per_address_max);
        if (address == NULL) {
            refuse(socket, STR(too_many_of_address));
            return;
        }
    }
    if (transport->n_handshakes >= HANDSHAKES_MAX) {
        end_oldest_handshake(transport);
    }
    adopt(transport, socket, address);
}

void transport_start(struct transport *transport, struct router *router)
{
    transport->router = router;
    loop_timer_start(transport->wheel_timer, WHEEL_TICK_MS, WHEEL_TICK_MS);
    listener_start(transport->listener, accepted, transport);
}

static void stop_if_empty(struct transport *transport)
{
    if (transport->stop_timer == NULL || id_table_count(transport->connections) > 0) {
        return;
    }
    loop_timer_destroy(transport->stop_timer);
    transport->stop_timer = NULL;
    loop_later(transport->loop, transport->stopped, transport->stopped_ctx);
}

void transport_forget(struct connection *connection)
{
    struct transport *transport = connection->transport;
    wire_detach(connection);
    id_table_take(transport->connections, connection->id);
    transport_handshake_over(connection);
    transport->outboxes_size -= connection->counted_size;
    transport->inboxes_size -= connection->inbox.capacity;
    if (connection->address != NULL) {
        addresses_leave(transport->addresses, connection->address);
    }
    connection_destroy(connection);
    stop_if_empty(transport);
}

/* Every connection's id, for what is done to them may take them out of the table. Caller frees. */
static struct conn_list all_connections(const struct transport *transport)
{
    struct conn_list list = {0};
    size_t cursor = 0;
    struct connection *connection;
    while ((connection = id_table_next(transport->connections, &cursor)) != NULL) {
        conn_list_add(&list, connection->id);
    }
    return list;
}

static void kill_all(void *context)
{
    struct transport *transport = context;
    struct conn_list list = all_connections(transport);
    log_line(LOG_WARN, "connections_cut", "count=%zu", list.n);
    for (size_t i = 0; i < list.n; i++) {
        /* Once to close, once more not to wait for the peer. */
        for (int n = 0; n < 2; n++) {
            struct connection *connection = id_table_get(transport->connections, list.ids[i]);
            if (connection != NULL) {
                connection_kill(connection);
            }
        }
    }
    free(list.ids);
}

void transport_stop(struct transport *transport, uint64_t timeout_ms, loop_fn *stopped, void *ctx)
{
    listener_destroy(transport->listener);
    transport->listener = NULL;
    transport->stopped = stopped;
    transport->stopped_ctx = ctx;
    transport->stop_timer = loop_timer_create(transport->loop, kill_all, transport);
    loop_timer_start(transport->stop_timer, timeout_ms, 0);
    struct conn_list list = all_connections(transport);
    for (size_t i = 0; i < list.n; i++) {
        struct connection *connection = id_table_get(transport->connections, list.ids[i]);
        if (connection->state == CONNECTION_HANDSHAKE) {
            connection_kill(connection);
        } else {
            connection_close(connection, CLOSE_GOING_AWAY);
        }
    }
    free(list.ids);
    stop_if_empty(transport);
}

/* On a loop that is not its own, libwebsockets destroys itself in two steps: it closes its
 * handles, and when the loop has told it that they are closed it has to be asked again. Newer
 * versions do the second by themselves, and clear what 'pcontext' points to. */
static void destroy_context(struct transport *transport)
{
    if (transport->context == NULL) {
        return;
    }
    lws_context_destroy(transport->context);
    for (int i = 0; i < TURNS_TO_CLOSE; i++) {
        uv_run(loop_uv(transport->loop), UV_RUN_NOWAIT);
    }
    if (transport->context != NULL) {
        lws_context_destroy(transport->context);
    }
}

void transport_destroy(struct transport *transport)
{
    if (transport == NULL) {
        return;
    }
    assert(id_table_count(transport->connections) == 0);
    listener_destroy(transport->listener);
    loop_timer_destroy(transport->wheel_timer);
    loop_hook_destroy(transport->flush_hook);
    destroy_context(transport);
    wire_fini();
    id_table_destroy(transport->connections);
    addresses_destroy(transport->addresses);
    free(transport->throttled.ids);
    free(transport->to_flush.ids);
    free(transport->to_attend.ids);
    free(transport->to_read.ids);
    free(transport->scratch);
    free(transport);
}
