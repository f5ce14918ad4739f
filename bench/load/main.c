/* chatload: loads a server of the chat protocol, checks every message, and says how fast it was.
 * The command line, and what all scenarios report. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "load/message.h"
#include "load/scenario.h"

enum {
    FILES_RESERVED = 32,
    PREFIX_DIGITS = 8,
    CONNECTIONS_MAX = 1000000,
    TIME_MAX_S = 86400
};

static const char URL_DEFAULT[] = "ws://127.0.0.1:9502/";

struct command_line {
    struct settings settings;
    const struct scenario *scenario;
    const char *url; /* the first one */
    const char *start;
    const char *json;
};

enum option_id {
    OPTION_HELP = 'h',
    OPTION_URL = 256,
    OPTION_START,
    OPTION_CONNECTIONS,
    OPTION_WINDOW,
    OPTION_BATCHES,
    OPTION_MESSAGES,
    OPTION_RATE,
    OPTION_BODY,
    OPTION_DEVICES,
    OPTION_SENDERS,
    OPTION_SECONDS,
    OPTION_WARM,
    OPTION_AT_ONCE,
    OPTION_PATIENCE,
    OPTION_PREFIX,
    OPTION_SERVER_PID,
    OPTION_REDIS_PID,
    OPTION_JSON
};

static const struct option long_options[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"url", required_argument, NULL, OPTION_URL},
    {"start", required_argument, NULL, OPTION_START},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"window", required_argument, NULL, OPTION_WINDOW},
    {"batches", no_argument, NULL, OPTION_BATCHES},
    {"messages", required_argument, NULL, OPTION_MESSAGES},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"body", required_argument, NULL, OPTION_BODY},
    {"devices", required_argument, NULL, OPTION_DEVICES},
    {"senders", required_argument, NULL, OPTION_SENDERS},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"warm-up", required_argument, NULL, OPTION_WARM},
    {"at-once", required_argument, NULL, OPTION_AT_ONCE},
    {"patience", required_argument, NULL, OPTION_PATIENCE},
    {"prefix", required_argument, NULL, OPTION_PREFIX},
    {"server-pid", required_argument, NULL, OPTION_SERVER_PID},
    {"redis-pid", required_argument, NULL, OPTION_REDIS_PID},
    {"json", required_argument, NULL, OPTION_JSON},
    {NULL, 0, NULL, 0},
};

static const char HELP_HEAD[] =
    "chatload [options] SCENARIO - loads a server of the chat protocol, and checks every message:\n"
    "once, in order, unchanged, from the right sender, each request answered once.\n"
    "\n"
    "Scenarios, with the number of connections they have by default:\n";

static const char HELP_OPTIONS[] =
    "\n"
    "The server:\n"
    "  --url URL           where it listens (ws://127.0.0.1:9502/); may be repeated, for nodes of "
    "one\n"
    "                      service: the clients take turns\n"
    "  --start COMMAND     start it for the run instead; {port} stands for a free port\n"
    "  --server-pid PID    whose CPU time and memory to read; with --start it is known\n"
    "  --redis-pid PID     the same for its Redis\n"
    "\n"
    "The load:\n"
    "  --connections N     above 8,192 they come from several addresses of 127.0.0.0/8\n"
    "  --window N          requests of each that are under way, 1 to 1024 (1)\n"
    "  --rate N            instead: so many requests a second in all, whatever is under way; "
    "latency\n"
    "                      is counted from when each was to be sent\n"
    "  --batches           fill a window again only when all of it has arrived\n"
    "  --messages N        end when each has sent so many; in pairs, fanout, broadcast and sign\n"
    "  --body BYTES        26 to 60000 (32)\n"
    "  --devices N         of each user in fanout (8)\n"
    "  --senders N         in broadcast (1) and slow (1)\n"
    "  --warm-up SECONDS   (0.5)\n"
    "  --seconds SECONDS   that are measured (5)\n"
    "  --at-once N         connections that are being made at the same time (200)\n"
    "  --patience SECONDS  what takes longer is lost (10)\n"
    "  --prefix TEXT       of the uids (random)\n"
    "\n"
    "The results are a table on standard output, names and values. CPU times are of the process, "
    "all\n"
    "its threads; a share of 1 is a whole core.\n"
    "  --json FILE         also as one JSON object; - instead of the table\n"
    "\n"
    "Exit codes: 0 all was right, 1 a message was lost, doubled, out of order or wrong, 2 wrong "
    "use,\n"
    "3 it could not be measured.\n";

static void print_help(void)
{
    fputs(HELP_HEAD, stdout);
    for (const struct scenario *scenario = scenario_all(); scenario->name != NULL; scenario++) {
        printf("  %-10s %s (%u)\n", scenario->name, scenario->what, scenario->connections);
    }
    fputs(HELP_OPTIONS, stdout);
}

static double number_of(const char *name, const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= min && value <= max)) {
        die(EXIT_USAGE, "--%s %s: it takes a number from %.0f to %.0f", name, text, min, max);
    }
    return value;
}

static uint32_t count_of(const char *name, const char *text, uint32_t min, uint32_t max)
{
    double value = number_of(name, text, min, max);
    if ((double)(uint32_t)value < value) {
        die(EXIT_USAGE, "--%s %s: it takes a whole number", name, text);
    }
    return (uint32_t)value;
}

static const char *prefix_of(const char *text)
{
    if (strlen(text) == 0 || strlen(text) > PREFIX_SIZE_MAX || strpbrk(text, "\"\\") != NULL) {
        die(EXIT_USAGE, "--prefix %s: 1 to %d characters, no quotes", text, PREFIX_SIZE_MAX);
    }
    return text;
}

static void take_load_option(struct settings *settings, int option, const char *name,
                             const char *text)
{
    switch (option) {
    case OPTION_CONNECTIONS:
        settings->connections = count_of(name, text, 2, CONNECTIONS_MAX);
        break;
    case OPTION_DEVICES:
        settings->devices = count_of(name, text, 1, CONNECTIONS_MAX);
        break;
    case OPTION_SENDERS:
        settings->senders = count_of(name, text, 1, CONNECTIONS_MAX);
        break;
    case OPTION_SECONDS:
        settings->seconds = number_of(name, text, 0.1, TIME_MAX_S);
        break;
    case OPTION_WARM:
        settings->warm_s = number_of(name, text, 0, 3600);
        break;
    default:
        die(EXIT_USAGE, "see --help");
    }
}

static void take_traffic_option(struct settings *settings, int option, const char *name,
                                const char *text)
{
    struct traffic_options *traffic = &settings->traffic;
    switch (option) {
    case OPTION_WINDOW:
        traffic->window = count_of(name, text, 1, WINDOW_MAX);
        break;
    case OPTION_BATCHES:
        traffic->in_batches = true;
        break;
    case OPTION_MESSAGES:
        traffic->n_messages = count_of(name, text, 1, 1000000000);
        break;
    case OPTION_RATE:
        traffic->rate = number_of(name, text, 1, 1e7);
        break;
    case OPTION_BODY:
        traffic->body_size = count_of(name, text, BODY_SIZE_MIN, BODY_SIZE_MAX);
        break;
    case OPTION_AT_ONCE:
        traffic->at_once = count_of(name, text, 1, CONNECTIONS_MAX);
        break;
    case OPTION_PATIENCE:
        traffic->patience_s = count_of(name, text, 1, 3600);
        break;
    case OPTION_PREFIX:
        traffic->prefix = prefix_of(text);
        break;
    case OPTION_SERVER_PID:
        traffic->server_pid = (int)count_of(name, text, 1, INT32_MAX);
        break;
    case OPTION_REDIS_PID:
        traffic->redis_pid = (int)count_of(name, text, 1, INT32_MAX);
        break;
    default:
        take_load_option(settings, option, name, text);
    }
}

static void take_option(struct command_line *line, int option, const char *name, const char *text)
{
    switch (option) {
    case OPTION_URL:
        target_add(&line->settings.target, text);
        line->url = line->url != NULL ? line->url : text;
        break;
    case OPTION_START:
        line->start = text;
        break;
    case OPTION_JSON:
        line->json = text;
        break;
    default:
        take_traffic_option(&line->settings, option, name, text);
    }
}

static void read_command_line(struct command_line *line, int argc, char **argv)
{
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "h", long_options, &index)) != -1) {
        if (option == OPTION_HELP) {
            print_help();
            exit(EXIT_FINE);
        }
        take_option(line, option, long_options[index].name, optarg);
    }
    if (optind + 1 != argc || (line->scenario = scenario_find(argv[optind])) == NULL) {
        die(EXIT_USAGE, "which one scenario? see --help");
    }
    if (line->settings.connections == 0) {
        line->settings.connections = line->scenario->connections;
    }
}

/* With a number of messages there is no time. */
static void settle_the_end(struct command_line *line)
{
    struct settings *settings = &line->settings;
    if (settings->traffic.n_messages == 0) {
        return;
    }
    if (!line->scenario->talks_once || settings->traffic.rate > 0) {
        die(EXIT_USAGE, "--messages: not in %s, and not with --rate", line->scenario->name);
    }
    settings->warm_s = 0;
    settings->seconds = TIME_MAX_S;
}

/* So that two runs on one Redis do not meet. */
static const char *random_prefix(void)
{
    static char prefix[PREFIX_DIGITS + 1];
    uint32_t number;
    if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
        number = (uint32_t)now_ns();
    }
    snprintf(prefix, sizeof(prefix), "%08x", number);
    return prefix;
}

static void raise_open_files(uint32_t connections)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (connections + FILES_RESERVED > limit.rlim_cur) {
        die(EXIT_UNMEASURED, "%u connections, but only %llu files may be open", connections,
            (unsigned long long)limit.rlim_cur);
    }
}

static void settle_the_target(struct command_line *line)
{
    struct settings *settings = &line->settings;
    if (line->start != NULL && line->url != NULL) {
        die(EXIT_USAGE, "--start or --url, not both");
    }
    if (line->start != NULL) {
        settings->traffic.server_pid = target_start(&settings->target, line->start);
    } else if (line->url == NULL) {
        line->url = URL_DEFAULT;
        target_add(&settings->target, line->url);
    }
}

static void report_settings(struct report *report, const struct command_line *line)
{
    const struct settings *settings = &line->settings;
    report_text(report, "scenario", line->scenario->name);
    report_text(report, "server", line->start != NULL ? line->start : line->url);
    report_count(report, "connections", settings->connections);
    if (settings->traffic.rate > 0) {
        report_real(report, "rate", settings->traffic.rate);
    } else {
        report_count(report, "window", settings->traffic.window);
    }
    report_count(report, "body_bytes", settings->traffic.body_size);
}

static void write_report(const struct report *report, const char *json)
{
    if (json == NULL || strcmp(json, "-") != 0) {
        report_write_table(report, stdout);
    }
    if (json == NULL) {
        return;
    }
    FILE *file = strcmp(json, "-") == 0 ? stdout : fopen(json, "we");
    if (file == NULL) {
        die(EXIT_UNMEASURED, "%s: %s", json, strerror(errno));
    }
    report_write_json(report, file);
    if (fflush(file) != 0 || (file != stdout && fclose(file) != 0)) {
        die(EXIT_UNMEASURED, "%s: %s", json, strerror(errno));
    }
}

int main(int argc, char **argv)
{
    static struct report report;
    struct command_line line = {
        .settings = {.devices = 8,
                     .senders = 1,
                     .warm_s = 0.5,
                     .seconds = 5,
                     .traffic = {.window = 1, .body_size = 32, .patience_s = 10, .at_once = 200}},
    };
    struct settings *settings = &line.settings;
    read_command_line(&line, argc, argv);
    if (settings->traffic.prefix == NULL) {
        settings->traffic.prefix = random_prefix();
    }
    settle_the_end(&line);
    raise_open_files(settings->connections);
    settle_the_target(&line);
    report_settings(&report, &line);
    line.scenario->run(settings, &report);
    write_report(&report, line.json);
    return EXIT_FINE;
}
