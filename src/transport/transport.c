/* The transport's life: what it listens on, the connections it accepts, how it stops. */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <uv.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "transport/state.h"
#include "transport/wire.h"

enum {
    RX_BUFFER_SIZE = 896,         /* for each connection: what libwebsockets reads at a time */
    TX_PACKET_SIZE = 1024 * 1024, /* what it hands to the kernel at a time */
    HEADERS_SIZE_MAX = 1024,      /* of the head that is composed for libwebsockets */
    HEADERS_POOL = 8,             /* each is parsed at once */
    HANDSHAKES_MAX = 1000,        /* under way at once; one more ends the oldest */
    HANDSHAKES_RESERVED = 64,     /* of them, beside connections_max: for probes and refusals */
    HANDSHAKES_OF_ADDRESS = 8,    /* the same, beside connections_per_address_max */
    SOCKETS_MAX = 1024 * 1024,
    SOCKETS_RESERVED = 64, /* of the limit of open files: for Redis, the listener, logs */
    CLOSE_GOING_AWAY = 1001,
    TURNS_TO_CLOSE = 4 /* of the loop, for libwebsockets' handles */
};

/* [WS-18] */
static const struct http_answer too_many_of_address = {"429 Too Many Requests", HTTP_PLAIN_HEADERS,
                                                       "Too many connections from your address\n"};
static const struct http_answer too_many = {"503 Service Unavailable", HTTP_PLAIN_HEADERS,
                                            "Too many connections\n"};

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
    uint32_t reserved = SOCKETS_RESERVED + HANDSHAKES_RESERVED;
    uint32_t possible = sockets > reserved ? sockets - reserved : 1;
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
        .max_http_header_pool = HEADERS_POOL,
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

/* ---- handshakes and connections ---- */

/* What a judged request was, in words of our own. */
static size_t compose_head(struct str key, char out[HEADERS_SIZE_MAX])
{
    int len = snprintf(out, HEADERS_SIZE_MAX,
                       "GET / HTTP/1.1\r\nHost: chatd\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: %.*s\r\n\r\n",
                       (int)key.len, key.ptr);
    assert(len > 0 && len < HEADERS_SIZE_MAX);
    return (size_t)len;
}

/* A peer that has reset the connection, or of which the kernel has given up. */
static bool is_gone(const struct connection *connection)
{
    struct pollfd socket = {.fd = connection->socket};
    return poll(&socket, 1, 0) == 1;
}

/* The head was given to libwebsockets, which did not answer it. A peer that is gone cannot be
 * answered. Any other: a library that reads its sockets in another way accepts forbidden frames,
 * so nobody is served. */
static void end_unanswered(struct connection *connection, bool head_was_read)
{
    if (!head_was_read) {
        log_line(LOG_ERROR, "frames_unguarded", "library=%s", log_value(lws_get_library_version()));
    } else if (!is_gone(connection)) {
        log_line(LOG_ERROR, "libwebsockets_failed", "what=upgrade");
    }
    connection_kill(connection);
}

/* libwebsockets takes the socket, reads 'head' in place of what the peer has sent, and answers
 * it; websocket_event() is told what becomes of the connection. */
static void adopt(struct transport *transport, int socket, struct address *address, struct str head)
{
    struct connection *connection =
        connection_create(transport, transport->loop, ++transport->last_id, socket);
    connection->address = address;
    id_table_put(transport->connections, connection->id, connection);
    wire_attach(connection, head);
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
    bool head_was_read = wire_read_head(connection);
    connection = id_table_get(transport->connections, id);
    if (connection != NULL && connection->state == CONNECTION_HANDSHAKE) {
        end_unanswered(connection, head_was_read);
    }
}

static const struct http_answer *refuses(void *context, struct address *address)
{
    const struct transport *transport = context;
    if (id_table_count(transport->connections) >= transport->connections_max) {
        return &too_many;
    }
    if (address != NULL &&
        address_n_connections(address) >= transport->options.connections_per_address_max) {
        return &too_many_of_address;
    }
    return NULL;
}

static void upgrades(void *context, int socket, struct address *address, struct str key)
{
    char head[HEADERS_SIZE_MAX];
    size_t len = compose_head(key, head);
    if (address != NULL) {
        address_connect(address);
    }
    adopt(context, socket, address, (struct str){head, len});
}

static const char *trouble(void *context)
{
    const struct transport *transport = context;
    return router_trouble(transport->router);
}

static const struct handshake_events handshake_events = {
    .refuses = refuses,
    .upgrades = upgrades,
    .trouble = trouble,
};

/* Peers that begin many handshakes and finish none must not keep others from theirs, nor from an
 * answer that says that there is no room: the oldest end. */
static void make_room(struct transport *transport)
{
    size_t n_sockets = id_table_count(transport->connections);
    size_t sockets_limit = (size_t)transport->connections_max + HANDSHAKES_RESERVED;
    while (handshakes_count(transport->handshakes) >= HANDSHAKES_MAX ||
           n_sockets + handshakes_count(transport->handshakes) >= sockets_limit) {
        if (!handshakes_end_oldest(transport->handshakes, NULL)) {
            return;
        }
    }
}

static struct address *enter_address(struct transport *transport, int socket)
{
    size_t n_max = transport->options.connections_per_address_max;
    if (n_max == 0) {
        return NULL;
    }
    struct address *address = addresses_enter(transport->addresses, socket);
    if (address_n_sockets(address) > n_max + HANDSHAKES_OF_ADDRESS) {
        (void)handshakes_end_oldest(transport->handshakes, address);
    }
    return address;
}

static void accepted(void *context, int socket)
{
    struct transport *transport = context;
    make_room(transport);
    handshakes_begin(transport->handshakes, socket, enter_address(transport, socket));
}

/* ---- life ---- */

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
    transport->handshakes =
        handshakes_create(loop,
                          &(struct handshake_options){.timeout_ms = options->handshake_timeout_ms,
                                                      .head_size_max = options->handshake_size_max},
                          transport->addresses, &handshake_events, transport);
    transport->connections_max = connections_max(options);
    deadline_wheel_init(&transport->wheel, loop_now_ms(loop));
    deadline_wheel_init(&transport->inboxes.wheel, loop_now_ms(loop));
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
    transport->outboxes_size -= connection->counted_size;
    inbox_clear(connection);
    if (connection->address != NULL) {
        address_disconnect(connection->address);
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
    handshakes_destroy(transport->handshakes);
    transport->handshakes = NULL;
    transport->stopped = stopped;
    transport->stopped_ctx = ctx;
    transport->stop_timer = loop_timer_create(transport->loop, kill_all, transport);
    loop_timer_start(transport->stop_timer, timeout_ms, 0);
    struct conn_list list = all_connections(transport);
    for (size_t i = 0; i < list.n; i++) {
        struct connection *connection = id_table_get(transport->connections, list.ids[i]);
        connection_close(connection, CLOSE_GOING_AWAY);
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
    handshakes_destroy(transport->handshakes);
    loop_timer_destroy(transport->wheel_timer);
    loop_hook_destroy(transport->flush_hook);
    destroy_context(transport);
    wire_fini();
    id_table_destroy(transport->connections);
    addresses_destroy(transport->addresses);
    free(transport->throttled.ids);
    free(transport->watched.ids);
    free(transport->waiting.ids);
    free(transport->to_flush.ids);
    free(transport->to_attend.ids);
    free(transport->to_read.ids);
    free(transport->scratch);
    free(transport);
}
