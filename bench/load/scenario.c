#include "load/scenario.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/process.h"

enum {
    CROWD_SLICES = 10
};

/* ---- Plans */

static void plan_listener(struct traffic *traffic, uint32_t index, uint32_t uid)
{
    struct party *party = traffic_party(traffic, index);
    party->role = ROLE_LISTENER;
    party->uid = uid;
}

static void plan_sender(struct traffic *traffic, uint32_t index, uint32_t to, uint32_t copies)
{
    struct party *party = traffic_party(traffic, index);
    party->role = ROLE_SENDER;
    party->uid = index;
    party->to = to;
    party->copies = copies;
}

static void plan_hearing(struct traffic *traffic, uint32_t index, uint32_t first, uint32_t count)
{
    traffic_party(traffic, index)->hears = first;
    traffic_party(traffic, index)->n_hears = count;
}

/* These two write to each other. */
static void plan_pair(struct traffic *traffic, uint32_t a, uint32_t b)
{
    plan_sender(traffic, a, b, 1);
    plan_hearing(traffic, a, b, 1);
    plan_sender(traffic, b, a, 1);
    plan_hearing(traffic, b, a, 1);
}

/* ---- What is reported of all */

static void report_cpu(struct report *report, const char *who, uint64_t cpu_ns,
                       const struct measurement *measurement, double n_messages)
{
    char name[REPORT_NAME_SIZE];
    if (cpu_ns == 0) {
        return;
    }
    snprintf(name, sizeof(name), "%s_cpu_us_per_message", who);
    report_real(report, name, n_messages > 0 ? (double)cpu_ns / 1e3 / n_messages : 0);
    snprintf(name, sizeof(name), "%s_cpu_share", who);
    report_real(report, name, (double)cpu_ns / 1e9 / measurement->seconds);
}

static void report_talk(struct report *report, const struct measurement *measurement)
{
    double n_messages = (double)measurement->answered;
    report_real(report, "seconds", measurement->seconds);
    report_count(report, "messages", measurement->answered);
    report_count(report, "deliveries", measurement->delivered);
    report_real(report, "messages_per_s", n_messages / measurement->seconds);
    report_real(report, "deliveries_per_s", (double)measurement->delivered / measurement->seconds);
    report_latency(report, "latency", &measurement->latency);
    report_cpu(report, "server", measurement->server_cpu_ns, measurement, n_messages);
    report_cpu(report, "redis", measurement->redis_cpu_ns, measurement, n_messages);
    report_cpu(report, "load", measurement->own_cpu_ns, measurement, n_messages);
}

static void report_memory(struct report *report, const char *name, int pid)
{
    uint64_t memory = process_memory(pid);
    if (memory > 0) {
        report_count(report, name, memory);
    }
}

/* All join, talk and leave. */
static void run_plan(const struct settings *settings, struct traffic *traffic, uint32_t n_parties,
                     struct report *report)
{
    struct measurement *measurement = zeroed(1, sizeof(*measurement));
    traffic_join(traffic, 0, n_parties);
    traffic_talk(traffic, settings->warm_s, settings->seconds, measurement);
    report_talk(report, measurement);
    report_memory(report, "server_memory_bytes", settings->traffic.server_pid);
    traffic_leave(traffic, 0, n_parties);
    traffic_destroy(traffic);
    free(measurement);
}

/* ---- The scenarios */

static void run_pairs(const struct settings *settings, struct report *report)
{
    uint32_t n = settings->connections & ~1u;
    struct traffic *traffic = traffic_create(&settings->target, &settings->traffic, n);
    for (uint32_t i = 0; i < n; i += 2) {
        plan_pair(traffic, i, i + 1);
    }
    run_plan(settings, traffic, n, report);
}

/* Each sender, and behind it the devices of the user that it writes to. */
static void plan_groups(struct traffic *traffic, uint32_t first, uint32_t n_groups,
                        uint32_t n_devices)
{
    for (uint32_t i = 0; i < n_groups; i++) {
        uint32_t sender = first + i * (n_devices + 1);
        plan_sender(traffic, sender, sender + 1, n_devices);
        for (uint32_t k = 1; k <= n_devices; k++) {
            plan_listener(traffic, sender + k, sender + 1);
            plan_hearing(traffic, sender + k, sender, 1);
        }
    }
}

static void run_fanout(const struct settings *settings, struct report *report)
{
    uint32_t n_groups = settings->connections / (settings->devices + 1);
    uint32_t n = (n_groups > 0 ? n_groups : 1) * (settings->devices + 1);
    struct traffic *traffic = traffic_create(&settings->target, &settings->traffic, n);
    plan_groups(traffic, 0, n / (settings->devices + 1), settings->devices);
    run_plan(settings, traffic, n, report);
}

static void run_broadcast(const struct settings *settings, struct report *report)
{
    uint32_t n = settings->connections;
    uint32_t n_senders = settings->senders < n ? settings->senders : n;
    struct traffic *traffic = traffic_create(&settings->target, &settings->traffic, n);
    for (uint32_t i = 0; i < n; i++) {
        plan_sender(traffic, i, i, n);
        traffic_party(traffic, i)->role = i < n_senders ? ROLE_BROADCASTER : ROLE_LISTENER;
        plan_hearing(traffic, i, 0, n_senders);
    }
    run_plan(settings, traffic, n, report);
}

static void run_sign(const struct settings *settings, struct report *report)
{
    uint32_t n = settings->connections;
    struct traffic *traffic = traffic_create(&settings->target, &settings->traffic, n);
    for (uint32_t i = 0; i < n; i++) {
        plan_listener(traffic, i, i);
        traffic_party(traffic, i)->role = ROLE_SIGNER;
    }
    run_plan(settings, traffic, n, report);
}

static void report_round(struct report *report, const char *name,
                         const struct measurement *measurement)
{
    char cpu[REPORT_NAME_SIZE];
    report_latency(report, name, &measurement->latency);
    if (measurement->server_cpu_ns > 0) {
        snprintf(cpu, sizeof(cpu), "%s_server_cpu_us_per_message", name);
        report_real(report, cpu,
                    (double)measurement->server_cpu_ns / 1e3 / (double)measurement->answered);
    }
}

/* The pair, the parties 0 and 1, talks; with 'name' in front of what is found. Returns the
 * median. */
static double talk_as(const struct settings *settings, struct traffic *traffic, const char *name,
                      struct report *report)
{
    struct measurement *measurement = zeroed(1, sizeof(*measurement));
    traffic_talk(traffic, settings->warm_s, settings->seconds, measurement);
    report_round(report, name, measurement);
    double median = (double)histogram_quantile(&measurement->latency, 0.5);
    free(measurement);
    return median;
}

/* The crowd joins in slices, so that one sees whether the last ones wait longer than the first. */
static void join_crowd(struct traffic *traffic, uint32_t first, uint32_t count,
                       struct report *report)
{
    for (uint32_t i = 0; i < CROWD_SLICES; i++) {
        char name[REPORT_NAME_SIZE];
        uint32_t from = count * i / CROWD_SLICES, to = count * (i + 1) / CROWD_SLICES;
        uint64_t began = now_ns();
        traffic_join(traffic, first + from, to - from);
        snprintf(name, sizeof(name), "joined_per_s_up_to_%u", to);
        report_real(report, name, (double)(to - from) * 1e9 / (double)(now_ns() - began));
    }
}

static void run_idle(const struct settings *settings, struct report *report)
{
    uint32_t n = settings->connections;
    int pid = settings->traffic.server_pid;
    struct traffic *traffic = traffic_create(&settings->target, &settings->traffic, n + 2);
    plan_pair(traffic, 0, 1);
    for (uint32_t i = 2; i < n + 2; i++) {
        plan_listener(traffic, i, i);
    }
    traffic_join(traffic, 0, 2);
    double before = talk_as(settings, traffic, "alone_before", report);
    uint64_t memory_before = process_memory(pid);
    join_crowd(traffic, 2, n, report);
    uint64_t memory_beside = process_memory(pid);
    double beside = talk_as(settings, traffic, "beside_crowd", report);
    traffic_leave(traffic, 2, n);
    double after = talk_as(settings, traffic, "alone_after", report);
    report_real(report, "p50_ratio", beside / ((before + after) / 2));
    if (memory_before > 0) {
        report_real(report, "bytes_per_connection",
                    ((double)memory_beside - (double)memory_before) / n);
    }
    traffic_leave(traffic, 0, 2);
    traffic_destroy(traffic);
}

static void set_resting(struct traffic *traffic, uint32_t first, uint32_t count, bool resting)
{
    for (uint32_t i = first; i < first + count; i++) {
        traffic_party(traffic, i)->resting = resting;
    }
}

static void run_slow(const struct settings *settings, struct report *report)
{
    uint32_t n_groups = settings->senders, n_devices = settings->connections / n_groups;
    uint32_t n = n_groups * (n_devices + 1);
    struct traffic_options options = settings->traffic;
    struct traffic *traffic = traffic_create(&settings->target, &options, n + 2);
    plan_pair(traffic, 0, 1);
    plan_groups(traffic, 2, n_groups, n_devices);
    for (uint32_t i = 0; i < n_groups; i++) {
        traffic_party(traffic, 2 + i * (n_devices + 1))->copies = 0;
    }
    traffic_party(traffic, 0)->window = traffic_party(traffic, 1)->window = 1;
    traffic_join(traffic, 0, n + 2);
    set_resting(traffic, 2, n, true);
    double before = talk_as(settings, traffic, "alone", report);
    for (uint32_t i = 0; i < n_groups; i++) {
        traffic_mute(traffic, 2 + i * (n_devices + 1) + 1, n_devices);
    }
    set_resting(traffic, 2, n, false);
    report_memory(report, "server_memory_bytes_before", settings->traffic.server_pid);
    double beside = talk_as(settings, traffic, "beside_slow_readers", report);
    report_memory(report, "server_memory_bytes_beside", settings->traffic.server_pid);
    report_real(report, "p50_ratio", beside / before);
    traffic_destroy(traffic);
}

static const struct scenario scenarios[] = {
    {"pairs", "each of the connections writes to its partner", 100, true, run_pairs},
    {"fanout", "groups of one who writes and a user with --devices", 108, true, run_fanout},
    {"broadcast", "--senders broadcast to all the connections", 100, true, run_broadcast},
    {"idle", "a pair talks alone, beside so many idle connections, and alone again", 10000, false,
     run_idle},
    {"connect", "so many connect, shake hands and close, again and again", 100, false, storm_run},
    {"sign", "so many sign again and again, as one of two users of their own", 100, true, run_sign},
    {"slow", "a pair talks beside so many that do not read, and --senders who write to those", 1000,
     false, run_slow},
    {NULL, NULL, 0, false, NULL},
};

const struct scenario *scenario_all(void)
{
    return scenarios;
}

const struct scenario *scenario_find(const char *name)
{
    const struct scenario *scenario = scenarios;
    while (scenario->name != NULL && strcmp(scenario->name, name) != 0) {
        scenario++;
    }
    return scenario->name == NULL ? NULL : scenario;
}
