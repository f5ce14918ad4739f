/* chatd: wiring only. The one file that knows every module.
 *
 * Built from the outside in, because a port of 0 has to be known before the node has its name:
 * transport, store, router. Taken down from the inside: the store answers what is pending to the
 * router, and the router's sink is the transport. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include <uv.h>

#include "chat/config.h"
#include "chat/log.h"
#include "chat/loop.h"
#include "chat/memory_store.h"
#include "chat/parser.h"
#include "chat/random.h"
#include "chat/redis_store.h"
#include "chat/router.h"
#include "chat/transport.h"

enum {
    OPEN_FILES_MAX = 1000000, /* above it libwebsockets' table of connections would waste memory */
    STOP_TIMEOUT_MS =
        2000, /* with the store's time limit, at most 2000, it is stopped within 5 s */
    N_STOP_SIGNALS = 2
};

static const int stop_signals[N_STOP_SIGNALS] = {SIGTERM, SIGINT};

struct server {
    struct loop *loop;
    struct transport *transport;
    struct mapping_store *store;
    struct router *router;
    struct str broadcasters[BROADCASTERS_MAX];
    uv_signal_t signals[N_STOP_SIGNALS];
    bool stopping;
};

static void raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max < OPEN_FILES_MAX ? limit.rlim_max : OPEN_FILES_MAX;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        log_line(LOG_WARN, "open_files_not_raised", "wanted=%llu",
                 (unsigned long long)limit.rlim_cur);
    }
}

static enum err open_transport(struct server *server, struct config *config)
{
    const struct transport_options options = {
        .listen_host = config->listen_host,
        .listen_port = config->listen_port,
        .reuse_port = config->reuse_port,
        .connections_max = config->connections_max,
        .connections_per_address_max = config->connections_per_address_max,
        .outboxes_size_max = config->outboxes_size_max,
        .request_rate_max = config->request_rate_max,
        .request_burst_max = config->request_burst_max,
        .message_size_max = config->message_size_max,
        .outbox_size_max = config->outbox_size_max,
        .ping_interval_ms = config->ping_interval_ms,
        .ping_timeout_ms = config->ping_timeout_ms,
        .handshake_timeout_ms = config->handshake_timeout_ms,
    };
    enum err e = transport_create(server->loop, &options, &server->transport);
    if (e == ERR_OK) {
        config->listen_port = transport_port(server->transport);
        config_default_node_name(config);
    }
    return e;
}

static struct mapping_store *open_store(struct loop *loop, const struct config *config)
{
    const struct inbox_limits history = {
        .messages_max = config->history_messages_max,
        .retention_ms = (uint64_t)config->history_days * 24 * 3600 * 1000,
        .memory_max = config->history_memory_max,
    };
    const struct inbox_limits *limits = config->features.history ? &history : NULL;
    if (!config->has_redis) {
        log_line(LOG_INFO, "mapping_in_memory",
                 "note=\"one node only; who is signed as whom%s is gone when it ends\"",
                 config->features.history ? ", and every message," : "");
        return memory_store_create(loop, limits);
    }
    const struct redis_store_options options = {
        .url = config->redis,
        .node_name = config->node_name,
        .timeout_ms = config->redis_timeout_ms,
        .refresh_ms = config->redis_refresh_ms,
        .lease_ms = config->redis_lease_ms,
        .history = limits,
        .nodes = config->features.nodes,
        .is_body = body_is_valid,
    };
    return redis_store_create(loop, &options);
}

/* The router borrows the uids from 'config'. */
static struct router *open_router(struct server *server, const struct config *config)
{
    struct router_options options = {.features = config->features,
                                     .broadcasters = server->broadcasters};
    const char *uid = config->broadcasters;
    while (*uid != '\0') {
        size_t len = strcspn(uid, ",");
        server->broadcasters[options.n_broadcasters++] = (struct str){uid, len};
        uid += len + (uid[len] == ',');
    }
    return router_create(transport_sink(server->transport), server->store, random_hex, &options);
}

static void on_store_closed(void *ctx)
{
    struct server *server = ctx;
    loop_stop(server->loop);
}

static void on_transport_stopped(void *ctx)
{
    struct server *server = ctx;
    server->store->ops->close(server->store, on_store_closed, server);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;
    if (server->stopping) {
        _exit(128 + number); /* as a shell says of a process that the signal killed */
    }
    server->stopping = true;
    log_line(LOG_INFO, "stopping", "signal=%d connections_signed=%zu", number,
             router_n_signed(server->router));
    transport_stop(server->transport, STOP_TIMEOUT_MS, on_transport_stopped, server);
}

static void watch_signals(struct server *server)
{
    for (int i = 0; i < N_STOP_SIGNALS; i++) {
        uv_signal_init(loop_uv(server->loop), &server->signals[i]);
        server->signals[i].data = server;
        uv_signal_start(&server->signals[i], on_signal, stop_signals[i]);
    }
}

static void unwatch_signals(struct server *server)
{
    for (int i = 0; i < N_STOP_SIGNALS; i++) {
        uv_close((uv_handle_t *)&server->signals[i], NULL);
    }
}

/* For whoever started it and waits until it is ready. */
static void say_listening(const struct config *config)
{
    bool is_ipv6 = strchr(config->listen_host, ':') != NULL;
    printf("listening on ws://%s%s%s:%u/\n", is_ipv6 ? "[" : "", config->listen_host,
           is_ipv6 ? "]" : "", config->listen_port);
    fflush(stdout);
}

static int serve(struct config *config)
{
    struct server server = {.loop = loop_create()};
    watch_signals(&server); /* before anybody can see that it listens, and stop it */
    if (open_transport(&server, config) != ERR_OK) {
        unwatch_signals(&server);
        loop_destroy(server.loop);
        return EX_UNAVAILABLE;
    }
    server.store = open_store(server.loop, config);
    server.router = open_router(&server, config);
    transport_start(server.transport, server.router);
    say_listening(config);

    loop_run(server.loop);

    unwatch_signals(&server);
    server.store->ops->destroy(server.store);
    router_destroy(server.router);
    transport_destroy(server.transport);
    loop_destroy(server.loop);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct config config;
    switch (config_read(argc, argv, getenv, &config)) {
    case CONFIG_RUN:
        break;
    case CONFIG_DONE:
        return EXIT_SUCCESS;
    case CONFIG_USAGE:
        return EX_USAGE;
    case CONFIG_BAD:
        return EX_CONFIG;
    }
    log_set_level(config.log_level);
    raise_open_files();
    signal(SIGPIPE, SIG_IGN);
    return serve(&config);
}
