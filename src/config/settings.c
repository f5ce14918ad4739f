#include "config/settings.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "chat/utf8.h"

/* How the values of a kind of setting are read, described and printed. */
struct setting_type {
    /* ERR_OK; or ERR_INVALID, and 'config' is untouched and '*why' may say what is wrong with
     * the value. */
    enum err (*parse)(const struct setting *setting, const char *value, struct config *config,
                      const char **why);
    void (*print)(const struct setting *setting, const struct config *config, FILE *out);
    const char *allowed; /* NULL: a number, within its range */
    bool is_secret;      /* a value is never quoted */
};

static enum err parse_decimal(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return ERR_INVALID;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return ERR_INVALID;
        }
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > max) {
            return ERR_INVALID;
        }
    }
    if (value < min) {
        return ERR_INVALID;
    }
    *out = (uint32_t)value;
    return ERR_OK;
}

static enum err parse_number(const struct setting *setting, const char *value,
                             struct config *config, const char **why)
{
    (void)why;
    uint32_t number;
    enum err e = parse_decimal(value, setting->min, setting->max, &number);
    if (e == ERR_OK) {
        memcpy((char *)config + setting->offset, &number, sizeof number);
    }
    return e;
}

static void print_number(const struct setting *setting, const struct config *config, FILE *out)
{
    uint32_t number;
    memcpy(&number, (const char *)config + setting->offset, sizeof number);
    fprintf(out, "%s = %u\n", setting->name, number);
}

static enum err parse_yes_no(const struct setting *setting, const char *value,
                             struct config *config, const char **why)
{
    (void)why;
    bool yes = strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "no") != 0) {
        return ERR_INVALID;
    }
    memcpy((char *)config + setting->offset, &yes, sizeof yes);
    return ERR_OK;
}

static void print_yes_no(const struct setting *setting, const struct config *config, FILE *out)
{
    bool yes;
    memcpy(&yes, (const char *)config + setting->offset, sizeof yes);
    fprintf(out, "%s = %s\n", setting->name, yes ? "yes" : "no");
}

/* An IPv6 address in brackets, an IPv4 address, or localhost. 'out' has room for 'size' bytes. */
static enum err parse_host(const char *text, size_t len, char *out, size_t size)
{
    int family = AF_INET;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        family = AF_INET6;
        text++;
        len -= 2;
    }
    if (len >= size) {
        return ERR_INVALID;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    if (family == AF_INET && strcmp(out, "localhost") == 0) {
        strcpy(out, "127.0.0.1");
    }
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(family, out, address) == 1 ? ERR_OK : ERR_INVALID;
}

static enum err parse_listen(const struct setting *setting, const char *value,
                             struct config *config, const char **why)
{
    (void)setting;
    (void)why;
    const char *colon = strrchr(value, ':');
    char host[sizeof config->listen_host];
    uint32_t port;
    if (colon == NULL || parse_decimal(colon + 1, 0, UINT16_MAX, &port) != ERR_OK ||
        parse_host(value, (size_t)(colon - value), host, sizeof host) != ERR_OK) {
        return ERR_INVALID;
    }
    strcpy(config->listen_host, host);
    config->listen_port = (uint16_t)port;
    return ERR_OK;
}

static void print_listen(const struct setting *setting, const struct config *config, FILE *out)
{
    bool is_ipv6 = strchr(config->listen_host, ':') != NULL;
    fprintf(out, "%s = %s%s%s:%u\n", setting->name, is_ipv6 ? "[" : "", config->listen_host,
            is_ipv6 ? "]" : "", config->listen_port);
}

static enum err parse_redis(const struct setting *setting, const char *value, struct config *config,
                            const char **why)
{
    (void)setting;
    enum err e = redis_url_parse(str_of(value), &config->redis, why);
    if (e == ERR_OK) {
        config->has_redis = true;
    }
    return e;
}

static void print_redis(const struct setting *setting, const struct config *config, FILE *out)
{
    if (!config->has_redis) {
        fprintf(out, "# %s is not given: %s\n", setting->name, setting->default_help);
        return;
    }
    char url[REDIS_URL_SIZE_MAX];
    redis_url_print(&config->redis, url);
    fprintf(out, "%s = %s\n", setting->name, url);
    if (config->redis.user[0] != '\0' || config->redis.password[0] != '\0') {
        fprintf(out, "# and its user and password, which are not shown\n");
    }
}

static bool is_name_character(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

static enum err parse_node_name(const struct setting *setting, const char *value,
                                struct config *config, const char **why)
{
    (void)setting;
    (void)why;
    size_t len = strlen(value);
    if (len < 1 || len > NODE_NAME_SIZE_MAX) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_name_character(value[i])) {
            return ERR_INVALID;
        }
    }
    memcpy(config->node_name, value, len + 1);
    return ERR_OK;
}

static void print_node_name(const struct setting *setting, const struct config *config, FILE *out)
{
    if (config->node_name[0] == '\0') {
        fprintf(out, "# %s is not given: %s\n", setting->name, setting->default_help);
    } else {
        fprintf(out, "%s = %s\n", setting->name, config->node_name);
    }
}

/* The features by name, and where each stands in struct features. */
static const struct {
    const char *name;
    size_t offset;
} feature_names[] = {
    {"broadcast", offsetof(struct features, broadcast)},
    {"history", offsetof(struct features, history)},
    {"nodes", offsetof(struct features, nodes)},
};

static bool *feature_flag(struct features *features, size_t i)
{
    return (bool *)((char *)features + feature_names[i].offset);
}

static bool set_feature(struct features *features, const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof feature_names / sizeof feature_names[0]; i++) {
        if (strlen(feature_names[i].name) == len && memcmp(feature_names[i].name, name, len) == 0) {
            *feature_flag(features, i) = true;
            return true;
        }
    }
    return false;
}

static enum err parse_features(const struct setting *setting, const char *value,
                               struct config *config, const char **why)
{
    (void)setting;
    struct features features = {0};
    bool is_none = strcmp(value, "none") == 0;
    for (const char *name = value; !is_none; name++) {
        size_t len = strcspn(name, ",");
        if (!set_feature(&features, name, len)) {
            *why = "there is no such feature";
            return ERR_INVALID;
        }
        name += len;
        if (*name == '\0') {
            break;
        }
    }
    config->features = features;
    return ERR_OK;
}

static void print_features(const struct setting *setting, const struct config *config, FILE *out)
{
    struct features features = config->features;
    const char *before = "";
    fprintf(out, "%s = ", setting->name);
    for (size_t i = 0; i < sizeof feature_names / sizeof feature_names[0]; i++) {
        if (*feature_flag(&features, i)) {
            fprintf(out, "%s%s", before, feature_names[i].name);
            before = ",";
        }
    }
    fputs(*before == '\0' ? "none\n" : "\n", out);
}

/* Uids as SPEC 3.2 has them, but without commas. */
static enum err parse_broadcasters(const struct setting *setting, const char *value,
                                   struct config *config, const char **why)
{
    (void)setting;
    size_t n = 0;
    if (!utf8_valid(str_of(value))) {
        *why = "it is not UTF-8";
        return ERR_INVALID;
    }
    for (const char *uid = value;; uid++) {
        size_t len = strcspn(uid, ",");
        if (len == 0 || len > UID_SIZE_MAX || ++n > BROADCASTERS_MAX) {
            *why = "too many uids, or one that is empty or too long";
            return ERR_INVALID;
        }
        uid += len;
        if (*uid == '\0') {
            break;
        }
    }
    if (strlen(value) > BROADCASTERS_SIZE_MAX) {
        *why = "it is too long";
        return ERR_INVALID;
    }
    strcpy(config->broadcasters, value);
    return ERR_OK;
}

static void print_broadcasters(const struct setting *setting, const struct config *config,
                               FILE *out)
{
    if (config->broadcasters[0] == '\0') {
        fprintf(out, "# %s is not given: %s\n", setting->name, setting->default_help);
    } else {
        fprintf(out, "%s = %s\n", setting->name, config->broadcasters);
    }
}

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

static enum err parse_log_level(const struct setting *setting, const char *value,
                                struct config *config, const char **why)
{
    (void)setting;
    (void)why;
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(value, level_names[i]) == 0) {
            config->log_level = (enum log_level)i;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

static void print_log_level(const struct setting *setting, const struct config *config, FILE *out)
{
    fprintf(out, "%s = %s\n", setting->name, level_names[config->log_level]);
}

static const struct setting_type listen_type = {
    parse_listen, print_listen,
    "HOST:PORT, with a numeric IPv4 address, an IPv6 address in brackets or localhost, and a port "
    "from 0 to 65535, such as 127.0.0.1:9502 or [::1]:9502",
    false};
static const struct setting_type redis_type = {
    parse_redis, print_redis,
    "redis://[[user]:password@]host[:port][/database] or "
    "redis+unix://[[user]:password@]/path[?db=database]",
    true};
static const struct setting_type node_name_type = {parse_node_name, print_node_name,
                                                   "1 to 24 letters, digits, '-' or '_'", false};
static const struct setting_type features_type = {
    parse_features, print_features,
    "none, or any of broadcast, history and nodes with commas between", false};
static const struct setting_type broadcasters_type = {
    parse_broadcasters, print_broadcasters, "up to 256 uids with commas between, 4096 bytes in all",
    false};
static const struct setting_type log_level_type = {parse_log_level, print_log_level,
                                                   "error, warn, info or debug", false};
static const struct setting_type yes_no_type = {parse_yes_no, print_yes_no, "yes or no", false};
static const struct setting_type number_type = {parse_number, print_number, NULL, false};

const struct setting settings[N_SETTINGS] = {
    {.group = "Where it listens",
     .name = "listen",
     .metavar = "HOST:PORT",
     .help = "Where to accept connections. Port 0 is any free one.",
     .type = &listen_type,
     .default_value = "127.0.0.1:9502"},
    {.name = "reuse-port",
     .metavar = "YES",
     .help =
         "Share the port with other processes, for more cores: nodes on one Redis, each with a\n"
         "      node-name of its own.",
     .type = &yes_no_type,
     .default_value = "no",
     .offset = offsetof(struct config, reuse_port)},
    {.name = "connections-max",
     .metavar = "N",
     .help = "Refuse connections above this number; 0: as many as open files allow.",
     .type = &number_type,
     .default_value = "0",
     .offset = offsetof(struct config, connections_max),
     .min = 0,
     .max = 1000000,
     .unit = "connections"},
    {.name = "connections-per-address-max",
     .metavar = "N",
     .help = "Refuse connections of one address above this number, with 429; 0: no such limit.",
     .type = &number_type,
     .default_value = "0",
     .offset = offsetof(struct config, connections_per_address_max),
     .min = 0,
     .max = 1000000,
     .unit = "connections"},

    {.group = "Where it keeps who is signed as whom",
     .name = "redis",
     .metavar = "URL",
     .help = "The Redis to keep the mapping in, where other programs can read it.",
     .type = &redis_type,
     .default_help = "the mapping is in memory, for this node only, and gone when it ends"},
    {.name = "redis-timeout-ms",
     .metavar = "N",
     .help = "What takes Redis longer has failed, and clients are told 'unavailable'.",
     .type = &number_type,
     .default_value = "2000",
     .offset = offsetof(struct config, redis_timeout_ms),
     .min = 100,
     .max = 2000,
     .unit = "milliseconds"},
    {.name = "redis-lease-ms",
     .metavar = "N",
     .help = "A server that Redis has not heard of for this time is dead; the same for all.",
     .type = &number_type,
     .default_value = "10000",
     .offset = offsetof(struct config, redis_lease_ms),
     .min = 1000,
     .max = 10000,
     .unit = "milliseconds"},
    {.name = "redis-refresh-ms",
     .metavar = "N",
     .help = "Write every entry again within this time, in case someone deleted it.",
     .type = &number_type,
     .default_value = "20000",
     .offset = offsetof(struct config, redis_refresh_ms),
     .min = 1000,
     .max = 25000,
     .unit = "milliseconds"},
    {.name = "node-name",
     .metavar = "NAME",
     .help = "Names this server in Redis; no two servers on one Redis share it.",
     .type = &node_name_type,
     .default_help = "it is made from the host name and the port"},

    {.group = "What it serves besides the core",
     .name = "features",
     .metavar = "LIST",
     .help =
         "broadcast: one message to everybody. history: offline messages, nothing lost. nodes:\n"
         "      servers on one Redis serve the same users.",
     .type = &features_type,
     .default_value = "nodes"},
    {.name = "broadcasters",
     .metavar = "UIDS",
     .help = "The users who may broadcast, with commas between.",
     .type = &broadcasters_type,
     .default_help = "everybody may"},
    {.name = "history-messages-max",
     .metavar = "N",
     .help = "Messages that are kept for each user; as many may be unread.",
     .type = &number_type,
     .default_value = "1000",
     .offset = offsetof(struct config, history_messages_max),
     .min = 1000,
     .max = 1000000,
     .unit = "messages"},
    {.name = "history-days",
     .metavar = "N",
     .help = "Drop messages that are older, read or not.",
     .type = &number_type,
     .default_value = "7",
     .offset = offsetof(struct config, history_days),
     .min = 7,
     .max = 3650,
     .unit = "days"},
    {.name = "history-memory-max",
     .metavar = "N",
     .help = "Without Redis: what all messages may take; then clients are told 'unavailable'.",
     .type = &number_type,
     .default_value = "268435456",
     .offset = offsetof(struct config, history_memory_max),
     .min = 1048576,
     .max = 4294967295,
     .unit = "bytes"},
    {.name = "history-redis-percent-max",
     .metavar = "N",
     .help = "With Redis: store no more messages while it uses this share of its maxmemory\n"
             "      (without one, of its machine's memory); then clients are told 'unavailable'.",
     .type = &number_type,
     .default_value = "75",
     .offset = offsetof(struct config, history_redis_percent_max),
     .min = 1,
     .max = 100,
     .unit = "percent"},

    {.group = "What a connection may do",
     .name = "message-size-max",
     .metavar = "N",
     .help = "Close a connection that sends a longer message, with 1009.",
     .type = &number_type,
     .default_value = "65536",
     .offset = offsetof(struct config, message_size_max),
     .min = 65536,
     .max = 16777216,
     .unit = "bytes"},
    {.name = "message-timeout-ms",
     .metavar = "N",
     .help = "Close a connection whose message has not ended for this time, with 1008.",
     .type = &number_type,
     .default_value = "60000",
     .offset = offsetof(struct config, message_timeout_ms),
     .min = 1000,
     .max = 3600000,
     .unit = "milliseconds"},
    {.name = "outbox-size-max",
     .metavar = "N",
     .help =
         "Close a connection for which more than this waits, unless it takes a quarter of that\n"
         "      every 5 s and something every 2 s.",
     .type = &number_type,
     .default_value = "1048576",
     .offset = offsetof(struct config, outbox_size_max),
     .min = 65536 + DELIVERY_ROOM,
     .max = 1073741824,
     .unit = "bytes"},
    {.name = "outboxes-size-max",
     .metavar = "N",
     .help = "Memory for all that waits; at it who reads nothing is closed, then the largest.",
     .type = &number_type,
     .default_value = "536870912",
     .offset = offsetof(struct config, outboxes_size_max),
     .min = 1048576,
     .max = 4294967295,
     .unit = "bytes"},
    {.name = "requests-size-max",
     .metavar = "N",
     .help = "Memory for requests that wait for their answers; at it connections are read later.",
     .type = &number_type,
     .default_value = "268435456",
     .offset = offsetof(struct config, requests_size_max),
     .min = 1048576,
     .max = 4294967295,
     .unit = "bytes"},
    {.name = "request-rate-max",
     .metavar = "N",
     .help = "Read a connection no faster than so many requests a second; 0: no such limit.",
     .type = &number_type,
     .default_value = "0",
     .offset = offsetof(struct config, request_rate_max),
     .min = 0,
     .max = 1000000,
     .unit = "requests"},
    {.name = "request-burst-max",
     .metavar = "N",
     .help = "So many requests at once, before their rate counts.",
     .type = &number_type,
     .default_value = "1000",
     .offset = offsetof(struct config, request_burst_max),
     .min = 1,
     .max = 1000000,
     .unit = "requests"},
    {.name = "ping-interval-ms",
     .metavar = "N",
     .help = "Ping a peer that has sent nothing for this time.",
     .type = &number_type,
     .default_value = "25000",
     .offset = offsetof(struct config, ping_interval_ms),
     .min = 100,
     .max = 3600000,
     .unit = "milliseconds"},
    {.name = "ping-timeout-ms",
     .metavar = "N",
     .help = "Drop a peer that has sent nothing for this time after the ping.",
     .type = &number_type,
     .default_value = "10000",
     .offset = offsetof(struct config, ping_timeout_ms),
     .min = 100,
     .max = 3600000,
     .unit = "milliseconds"},
    {.name = "handshake-timeout-ms",
     .metavar = "N",
     .help = "Drop a connection that is no WebSocket yet after this time.",
     .type = &number_type,
     .default_value = "10000",
     .offset = offsetof(struct config, handshake_timeout_ms),
     .min = 100,
     .max = 600000,
     .unit = "milliseconds"},
    {.name = "handshake-size-max",
     .metavar = "N",
     .help = "Answer an HTTP request with more bytes of headers, cookies included, with 431.",
     .type = &number_type,
     .default_value = "32768",
     .offset = offsetof(struct config, handshake_size_max),
     .min = 16384,
     .max = 262144,
     .unit = "bytes"},

    {.group = "What it writes to stderr",
     .name = "log-level",
     .metavar = "LEVEL",
     .help = "The least important lines to write: error, warn, info or debug.",
     .type = &log_level_type,
     .default_value = "info"},
};

const struct setting *setting_find(const char *name)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (strcmp(settings[i].name, name) == 0) {
            return &settings[i];
        }
    }
    return NULL;
}

/* Case and the two kinds of dash make no difference to what was meant. */
static bool is_same(char a, char b)
{
    return (a == '_' ? '-' : tolower((unsigned char)a)) == b;
}

/* Levenshtein's distance: how many characters have to be put, taken or changed. Both texts are
 * shorter than SETTING_NAME_SIZE_MAX. */
static size_t distance(const char *a, const char *b)
{
    size_t row[SETTING_NAME_SIZE_MAX];
    size_t len = strlen(b);
    assert(len < SETTING_NAME_SIZE_MAX);
    for (size_t j = 0; j <= len; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t change = diagonal + (is_same(a[i], b[j]) ? 0 : 1);
            diagonal = row[j + 1];
            size_t put_or_take = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            row[j + 1] = change < put_or_take ? change : put_or_take;
        }
    }
    return row[len];
}

const struct setting *setting_nearest(const char *name)
{
    size_t len = strlen(name);
    if (len >= SETTING_NAME_SIZE_MAX) {
        return NULL;
    }
    const struct setting *nearest = NULL;
    size_t best = len / 3 + 1; /* farther is another word */
    for (size_t i = 0; i < N_SETTINGS; i++) {
        size_t d = distance(name, settings[i].name);
        if (d <= best && (nearest == NULL || d < best)) {
            best = d;
            nearest = &settings[i];
        }
    }
    return nearest;
}

void setting_environment_name(const struct setting *setting, char *out)
{
    int len = snprintf(out, SETTING_NAME_SIZE_MAX, "CHATD_%s", setting->name);
    assert(len > 0 && len < SETTING_NAME_SIZE_MAX);
    for (; *out != '\0'; out++) {
        *out = *out == '-' ? '_' : (char)toupper((unsigned char)*out);
    }
}

static void describe_allowed(const struct setting *setting, char *out, size_t size)
{
    if (setting->type->allowed != NULL) {
        snprintf(out, size, "%s", setting->type->allowed);
    } else {
        snprintf(out, size, "a number of %s from %u to %u, digits only", setting->unit,
                 setting->min, setting->max);
    }
}

/* A URL that has gone astray may hold a password, too. */
static bool is_secret(const struct setting *setting, const char *value)
{
    return *value != '\0' &&
           (setting->type->is_secret || strchr(value, '@') != NULL || strstr(value, "://") != NULL);
}

enum err setting_parse(const struct setting *setting, const char *value, struct config *config,
                       char *problem)
{
    const char *why = *value == '\0' ? "a value is missing" : "that is not allowed";
    enum err e = *value == '\0' ? ERR_INVALID : setting->type->parse(setting, value, config, &why);
    if (e != ERR_OK) {
        char allowed[256];
        describe_allowed(setting, allowed, sizeof allowed);
        snprintf(problem, SETTING_PROBLEM_SIZE_MAX, "%s: %s; allowed: %s",
                 is_secret(setting, value) ? "(not shown, as it may hold a password)"
                                           : log_value(value),
                 why, allowed);
    }
    return e;
}

void setting_print(const struct setting *setting, const struct config *config, FILE *out)
{
    setting->type->print(setting, config, out);
}

void setting_help(const struct setting *setting, FILE *out)
{
    if (setting->group != NULL) {
        fprintf(out, "\n%s\n", setting->group);
    }
    fprintf(out, "  --%s %s\n      %s\n", setting->name, setting->metavar, setting->help);
    if (setting->default_value == NULL) {
        fprintf(out, "      Not given: %s.\n", setting->default_help);
    } else if (setting->unit != NULL) {
        fprintf(out, "      Default %s; %u to %u %s.\n", setting->default_value, setting->min,
                setting->max, setting->unit);
    } else {
        fprintf(out, "      Default %s.\n", setting->default_value);
    }
}

void node_name_make(const char *host_name, uint16_t port, char *out)
{
    char end[8];
    int end_len = snprintf(end, sizeof end, "-%u", port);
    size_t room = NODE_NAME_SIZE_MAX - (size_t)end_len;
    size_t len = strlen(host_name);
    if (len > room) {
        host_name += len - room;
    }
    for (; *host_name != '\0'; host_name++) {
        *out++ = is_name_character(*host_name) ? *host_name : '-';
    }
    memcpy(out, end, (size_t)end_len + 1);
}
