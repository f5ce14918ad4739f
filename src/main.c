/* chatd: wiring only. The one file that knows every module.
 *
 * Built from the outside in, because a port of 0 has to be known before the node has its name:
 * transport, store, router. Taken down from the inside: the store answers what is pending to the
 * router, and the router's sink is the transport. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "chat/config.h"
#include "chat/line_out.h"
#include "chat/log.h"
#include "chat/loop.h"
#include "chat/memory_store.h"
#include "chat/parser.h"
#include "chat/random.h"
#include "chat/redis_store.h"
#include "chat/router.h"
#include "chat/signals.h"
#include "chat/transport.h"

enum {
    OPEN_FILES_MAX = 1000000, /* above it libwebsockets' table of connections would waste memory */
    OPEN_FILES_MIN = 80,      /* the transport keeps 64 of them for others than clients */
    OPEN_FILES_FREE_MIN = 32, /* of them at the start: the libraries abort where they get none */
    STOP_TIMEOUT_MS = 2000 /* with the store's time limit, at most 2000, it is stopped within 5 s */
};

struct server {
    struct loop *loop;
    struct transport *transport;
    struct mapping_store *store;
    struct router *router;
    struct str broadcasters[BROADCASTERS_MAX];
    struct signals *signals;
    bool stopping;
};

/* A descriptor 0, 1 or 2 that was closed would become a socket, and what is meant for stderr would
 * go to a client. */
static bool open_closed_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
            fprintf(stderr, "chatd: descriptor %d is closed, and /dev/null cannot be opened: %s\n",
                    fd, strerror(errno));
            return false;
        }
    }
    return true;
}

static rlim_t raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return OPEN_FILES_MAX;
    }
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max < OPEN_FILES_MAX ? limit.rlim_max : OPEN_FILES_MAX;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        log_line(LOG_WARN, "open_files_not_raised", "wanted=%llu",
                 (unsigned long long)limit.rlim_cur);
        return before;
    }
    return limit.rlim_cur;
}

/* Whoever started us may have left many descriptors open. */
static bool are_free(int n)
{
    int fds[OPEN_FILES_FREE_MIN];
    int n_got = 0;
    while (n_got < n && (fds[n_got] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0) {
        n_got++;
    }
    for (int i = 0; i < n_got; i++) {
        close(fds[i]);
    }
    return n_got == n;
}

/* False: said in the log. */
static bool has_open_files(void)
{
    rlim_t limit = raise_open_files();
    bool ok = limit >= OPEN_FILES_MIN && are_free(OPEN_FILES_FREE_MIN);
    if (!ok) {
        log_line(LOG_ERROR, "open_files_too_few", "limit=%llu needed=%d free_needed=%d note=%s",
                 (unsigned long long)limit, OPEN_FILES_MIN, OPEN_FILES_FREE_MIN,
                 log_value("raise the limit: ulimit -n, or LimitNOFILE= of systemd"));
    }
    return ok;
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
        .message_timeout_ms = config->message_timeout_ms,
        .outbox_size_max = config->outbox_size_max,
        .ping_interval_ms = config->ping_interval_ms,
        .ping_timeout_ms = config->ping_timeout_ms,
        .handshake_timeout_ms = config->handshake_timeout_ms,
        .handshake_size_max = config->handshake_size_max,
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
        .redis_percent_max = config->history_redis_percent_max,
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
                                     .requests_size_max = config->requests_size_max,
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
    mapping_store_close(server->store, on_store_closed, server);
}

static void on_end_signal(void *ctx, int number)
{
    struct server *server = ctx;
    if (server->stopping) {
        _exit(128 + number); /* as a shell says of a process that the signal killed */
    }
    server->stopping = true;
    log_line(LOG_INFO, "stopping", "signal=%d connections_signed=%zu", number,
             router_n_signed(server->router));
    transport_stop(server->transport, STOP_TIMEOUT_MS, on_transport_stopped, server);
}

/* For whoever started it and waits until it is ready. */
static void say_listening(const struct config *config)
{
    bool is_ipv6 = strchr(config->listen_host, ':') != NULL;
    char line[128];
    int len = snprintf(line, sizeof line, "listening on ws://%s%s%s:%u/\n", is_ipv6 ? "[" : "",
                       config->listen_host, is_ipv6 ? "]" : "", config->listen_port);
    if (!line_out_write(STDOUT_FILENO, line, (size_t)len)) {
        log_line(LOG_WARN, "ready_line_dropped", "host=%s port=%u note=%s",
                 log_value(config->listen_host), config->listen_port,
                 log_value("stdout takes no line; it serves all the same"));
    }
}

/* What --help and the like have answered. */
static int end_of_answer(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "chatd: stdout: %s\n", strerror(errno));
        return EX_IOERR;
    }
    return EXIT_SUCCESS;
}

static void destroy(struct server *server)
{
    if (server->store != NULL) {
        server->store->ops->destroy(server->store);
    }
    router_destroy(server->router);
    transport_destroy(server->transport);
    log_tell_left_out();
    signals_destroy(server->signals);
    loop_destroy(server->loop);
}

static int serve(struct config *config)
{
    struct server server = {.loop = loop_create()};
    if (server.loop == NULL) {
        return EX_OSERR;
    }
    /* Before anybody can see that it listens, and stop it. */
    server.signals = signals_watch(server.loop, on_end_signal, &server);
    if (server.signals == NULL) {
        destroy(&server);
        return EX_OSERR;
    }
    if (open_transport(&server, config) != ERR_OK) {
        destroy(&server);
        return EX_UNAVAILABLE;
    }
    server.store = open_store(server.loop, config);
    server.router = open_router(&server, config);
    transport_start(server.transport, server.router);
    say_listening(config);

    loop_run(server.loop);

    destroy(&server);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct config config;
    if (!open_closed_descriptors()) {
        return EX_OSERR;
    }
    switch (config_read(argc, argv, (const char *const *)environ, &config)) {
    case CONFIG_RUN:
        break;
    case CONFIG_DONE:
        return end_of_answer();
    case CONFIG_USAGE:
        return EX_USAGE;
    case CONFIG_BAD:
        return EX_CONFIG;
    }
    signals_prepare();
    line_out_never_wait();
    log_set_level(config.log_level);
    if (!has_open_files()) {
        return EX_OSERR;
    }
    return serve(&config);
}
