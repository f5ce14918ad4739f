/* The storm of connects: each of the clients connects, shakes hands, closes, and begins anew. */
#include <stdlib.h>
#include <unistd.h>

#include "load/process.h"
#include "load/scenario.h"

struct storm {
    struct engine *engine;
    struct histogram latency; /* from connect() to the server's answer to the handshake */
    uint64_t measured_from_ns;
    uint64_t heard_ns;
    uint64_t n_opened;
    uint32_t number; /* of the next connection; the source addresses go round with it */
    uint32_t n_open;
    bool over;
};

static void begin(struct storm *storm, uint32_t index)
{
    storm->n_open++;
    storm->number += SOURCE_SIZE + 1;
    engine_connect(storm->engine, index, storm->number);
}

static void on_opened(void *ctx, struct client *client, uint64_t now)
{
    struct storm *storm = ctx;
    storm->heard_ns = now;
    storm->n_opened++;
    if (client->began_ns >= storm->measured_from_ns) {
        histogram_record(&storm->latency, now - client->began_ns);
    }
    engine_close(storm->engine, client);
}

static void on_text(void *ctx, struct client *client, struct slice text, uint64_t now)
{
    (void)ctx, (void)now;
    die(EXIT_WRONG, "connection %u: a message before it asked for anything: %.*s", client->index,
        (int)text.len, text.data);
}

static void on_pong(void *ctx, struct client *client)
{
    (void)ctx, (void)client;
}

static void on_closed(void *ctx, struct client *client, uint16_t code)
{
    struct storm *storm = ctx;
    if (code != 1000) {
        die(EXIT_WRONG, "connection %u: closed with %u instead of 1000", client->index, code);
    }
    storm->n_open--;
    if (!storm->over) {
        begin(storm, client->index);
    }
}

static const struct handlers handlers = {on_opened, on_text, on_pong, on_closed};

static void turn(const struct settings *settings, struct storm *storm, uint64_t until_ns)
{
    engine_turn(storm->engine, until_ns);
    if (now_ns() - storm->heard_ns > settings->traffic.patience_s * NS_PER_S) {
        die(EXIT_WRONG, "no connection could be made for %u s", settings->traffic.patience_s);
    }
}

static void storm_for(const struct settings *settings, struct storm *storm, double seconds)
{
    uint64_t end_ns = now_ns() + (uint64_t)(seconds * (double)NS_PER_S);
    storm->heard_ns = now_ns();
    while (now_ns() < end_ns) {
        turn(settings, storm, end_ns);
    }
}

void storm_run(const struct settings *settings, struct report *report)
{
    struct storm *storm = zeroed(1, sizeof(*storm));
    int pid = settings->traffic.server_pid;
    storm->engine = engine_create(&settings->target, settings->connections, &handlers, storm);
    storm->measured_from_ns = UINT64_MAX;
    for (uint32_t i = 0; i < settings->connections; i++) {
        begin(storm, i);
    }
    storm_for(settings, storm, settings->warm_s);
    uint64_t cpu_ns = process_cpu_ns(pid), n_opened = storm->n_opened;
    uint64_t began_ns = storm->measured_from_ns = now_ns();
    storm_for(settings, storm, settings->seconds);
    double seconds = (double)(now_ns() - began_ns) / (double)NS_PER_S;
    cpu_ns = process_cpu_ns(pid) - cpu_ns;
    n_opened = storm->n_opened - n_opened;
    storm->over = true;
    while (storm->n_open > 0) {
        turn(settings, storm, now_ns() + NS_PER_S);
    }
    report_real(report, "connects_per_s", (double)n_opened / seconds);
    report_latency(report, "connect", &storm->latency);
    if (cpu_ns > 0) {
        report_real(report, "server_cpu_us_per_connect", (double)cpu_ns / 1e3 / (double)n_opened);
    }
    engine_destroy(storm->engine);
    free(storm);
}
