/* From the words given to a struct config: file, then environment, then flags, each over the one
 * before. What is wrong is said wherever it stands, also if a stronger source would hide it. */
#include "chat/config.h"

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config_file.h"
#include "config/pairs.h"
#include "config/settings.h"

/* What every variable of ours begins with. */
#define VARIABLE_PREFIX "CHATD_"
#define CONFIG_VARIABLE VARIABLE_PREFIX "CONFIG"

/* What getopt_long() returns: the index of a setting, or one of these. */
enum flag {
    FLAG_CONFIG = N_SETTINGS,
    FLAG_CHECK_CONFIG,
    FLAG_HELP,
    FLAG_VERSION,
    N_FLAGS,
    FLAG_FIRST_VALUE = 256 /* above every character, with which getopt_long() says what is wrong */
};

/* The command line. */
struct flags {
    const char *values[N_SETTINGS]; /* NULL: not given */
    const char *config_path;
    bool check_config;
    bool help;
    bool version;
};

static void make_options(struct option *options)
{
    for (int i = 0; i < N_SETTINGS; i++) {
        options[i] =
            (struct option){settings[i].name, required_argument, NULL, FLAG_FIRST_VALUE + i};
    }
    options[FLAG_CONFIG] =
        (struct option){"config", required_argument, NULL, FLAG_FIRST_VALUE + FLAG_CONFIG};
    options[FLAG_CHECK_CONFIG] =
        (struct option){"check-config", no_argument, NULL, FLAG_FIRST_VALUE + FLAG_CHECK_CONFIG};
    options[FLAG_HELP] = (struct option){"help", no_argument, NULL, FLAG_FIRST_VALUE + FLAG_HELP};
    options[FLAG_VERSION] =
        (struct option){"version", no_argument, NULL, FLAG_FIRST_VALUE + FLAG_VERSION};
    options[N_FLAGS] = (struct option){0};
}

/* Say that 'name', of a 'what' that is written with 'start' before it, is unknown, and which one
 * was probably meant. A name that is none is not quoted: a part of a URL may have come here. */
static void say_unknown(const char *where, const char *what, const char *start, const char *name)
{
    const char *name_characters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    if (name[strspn(name, name_characters)] != '\0' || strlen(name) >= SETTING_NAME_SIZE_MAX) {
        fprintf(stderr, "chatd: %sunknown %s\n", where, what);
        return;
    }
    fprintf(stderr, "chatd: %sunknown %s %s%s", where, what, start, name);
    const struct setting *nearest = setting_nearest(name);
    if (nearest != NULL) {
        char variable[SETTING_NAME_SIZE_MAX];
        setting_environment_name(nearest, variable);
        bool is_variable = strcmp(start, VARIABLE_PREFIX) == 0;
        fprintf(stderr, "; did you mean %s%s?", is_variable ? "" : start,
                is_variable ? variable : nearest->name);
    }
    fputc('\n', stderr);
}

/* Say what is wrong with the flag that getopt_long() calls 'flag'. */
static void say_of_flag(int flag, const char *what)
{
    struct option options[N_FLAGS + 1];
    make_options(options);
    fprintf(stderr, "chatd: --%s %s\n", options[flag - FLAG_FIRST_VALUE].name, what);
}

/* Say what getopt_long() stumbled over. */
static void say_bad_flag(int result, char **argv)
{
    if (optopt >= FLAG_FIRST_VALUE) {
        say_of_flag(optopt, result == ':' ? "needs a value" : "takes no value");
    } else if (optopt != 0) {
        char name[] = {(char)optopt, '\0'};
        say_unknown("", "flag", "-", name);
    } else {
        char name[SETTING_NAME_SIZE_MAX + 1];
        const char *given = argv[optind - 1] + strlen("--");
        snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
        say_unknown("", "flag", "--", name);
    }
}

static void take_flag(int flag, const char *value, struct flags *flags)
{
    switch (flag) {
    case FLAG_CONFIG:
        flags->config_path = value;
        break;
    case FLAG_CHECK_CONFIG:
        flags->check_config = true;
        break;
    case FLAG_HELP:
        flags->help = true;
        break;
    case FLAG_VERSION:
        flags->version = true;
        break;
    default:
        flags->values[flag] = value;
    }
}

/* getopt_long() takes the next word for the value, whatever it is. */
static bool has_value(int flag, char **argv)
{
    if (optarg == NULL) {
        return true;
    }
    if (optarg == argv[optind - 1] && strncmp(optarg, "--", 2) == 0) {
        say_of_flag(flag, "needs a value; a flag stands in its place");
        return false;
    }
    if (flag == FLAG_FIRST_VALUE + FLAG_CONFIG && *optarg == '\0') {
        say_of_flag(flag, "needs a value");
        return false;
    }
    return true;
}

/* False: wrong words, said on stderr. */
static bool read_flags(int argc, char **argv, struct flags *flags)
{
    struct option options[N_FLAGS + 1];
    make_options(options);
    opterr = 0;
    optind = 0; /* GNU: forget an earlier command line */
    int result;
    while ((result = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (result < FLAG_FIRST_VALUE) {
            say_bad_flag(result, argv);
            return false;
        }
        if (!has_value(result, argv)) {
            return false;
        }
        take_flag(result - FLAG_FIRST_VALUE, optarg, flags);
    }
    if (optind < argc) {
        fprintf(stderr, "chatd: word %d of the command line is not a flag\n", optind);
        return false;
    }
    return true;
}

/* 'where' is what the value stands behind, such as "--listen" or "chatd.conf:3: listen". */
static bool apply(const struct setting *setting, const char *where, const char *value,
                  struct config *config)
{
    char problem[SETTING_PROBLEM_SIZE_MAX];
    if (setting_parse(setting, value, config, problem) != ERR_OK) {
        fprintf(stderr, "chatd: %s %s\n", where, problem);
        return false;
    }
    return true;
}

static bool apply_defaults(struct config *config)
{
    bool ok = true;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (settings[i].default_value != NULL) {
            ok &= apply(&settings[i], "default", settings[i].default_value, config);
        }
    }
    return ok;
}

static char *trim(char *text)
{
    static const char blanks[] = " \t\r\n";
    text += strspn(text, blanks);
    size_t len = strlen(text);
    while (len > 0 && strchr(blanks, text[len - 1]) != NULL) {
        len--;
    }
    text[len] = '\0';
    return text;
}

/* A file being read, and what it has said so far. */
struct file {
    const char *path;
    struct config *config;
    unsigned given_at[N_SETTINGS]; /* number of the line, or 0 */
};

/* "name = value". */
static bool apply_setting(struct file *file, unsigned number, char *line)
{
    char where[4096];
    snprintf(where, sizeof where, "%s:%u: ", file->path, number);
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        fprintf(stderr, "chatd: %sthis is not \"name = value\"\n", where);
        return false;
    }
    *equals = '\0';
    const char *name = trim(line);
    const struct setting *setting = setting_find(name);
    if (setting == NULL) {
        say_unknown(where, "setting", "", name);
        return false;
    }
    unsigned *given_at = &file->given_at[setting - settings];
    if (*given_at != 0) {
        fprintf(stderr, "chatd: %s%s is given in line %u already\n", where, name, *given_at);
        return false;
    }
    *given_at = number;
    strncat(where, name, sizeof where - strlen(where) - 1);
    return apply(setting, where, trim(equals + 1), file->config);
}

static bool apply_line(void *ctx, unsigned number, char *line)
{
    struct file *file = ctx;
    char *text = trim(line);
    return *text == '\0' || *text == '#' || apply_setting(file, number, text);
}

/* 'path' NULL: there is no file. */
static bool apply_file(const char *path, struct config *config)
{
    struct file file = {.path = path, .config = config};
    return path == NULL || config_file_read(path, apply_line, &file);
}

/* The value of variable 'name', or NULL. An empty one counts as not set: that is how scripts and
 * containers say "none". */
static const char *variable_value(const char *const *variables, const char *name)
{
    size_t len = strlen(name);
    for (; *variables != NULL; variables++) {
        if (strncmp(*variables, name, len) == 0 && (*variables)[len] == '=') {
            const char *value = *variables + len + 1;
            return *value != '\0' ? value : NULL;
        }
    }
    return NULL;
}

static bool apply_environment(const char *const *variables, struct config *config)
{
    bool ok = true;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        char name[SETTING_NAME_SIZE_MAX];
        setting_environment_name(&settings[i], name);
        const char *value = variable_value(variables, name);
        if (value != NULL) {
            ok &= apply(&settings[i], name, value, config);
        }
    }
    return ok;
}

static bool is_variable_of_ours(const char *name)
{
    bool is_ours = strcmp(name, CONFIG_VARIABLE) == 0;
    for (size_t i = 0; !is_ours && i < N_SETTINGS; i++) {
        char ours[SETTING_NAME_SIZE_MAX];
        setting_environment_name(&settings[i], ours);
        is_ours = strcmp(name, ours) == 0;
    }
    return is_ours;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* Kubernetes and Docker tell every process of services near it: for one that is called "chatd", or
 * "chatd-redis", in variables that begin like ours. */
static bool is_of_orchestrator(const char *name, const char *value)
{
    const char *port = strstr(name, "_PORT_");
    return ends_with(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT") != NULL ||
           (ends_with(name, "_PORT") && strstr(value, "://") != NULL) ||
           (port != NULL && port[6] >= '0' && port[6] <= '9');
}

/* A misspelt variable would be as good as none, and nobody would notice. */
static bool check_variable(const char *variable)
{
    char name[2 * SETTING_NAME_SIZE_MAX];
    size_t len = strcspn(variable, "=");
    const char *value = variable + len + (variable[len] == '=');
    if (strncmp(variable, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0 || *value == '\0') {
        return true;
    }
    snprintf(name, sizeof name, "%.*s", (int)len, variable);
    if (is_variable_of_ours(name) || is_of_orchestrator(name, value)) {
        return true;
    }
    say_unknown("", "variable", VARIABLE_PREFIX, name + strlen(VARIABLE_PREFIX));
    return false;
}

static bool check_variables(const char *const *variables)
{
    bool ok = true;
    for (; *variables != NULL; variables++) {
        ok &= check_variable(*variables);
    }
    return ok;
}

static bool apply_flags(const struct flags *flags, struct config *config)
{
    bool ok = true;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (flags->values[i] != NULL) {
            char where[SETTING_NAME_SIZE_MAX];
            snprintf(where, sizeof where, "--%s", settings[i].name);
            ok &= apply(&settings[i], where, flags->values[i], config);
        }
    }
    return ok;
}

static void print_help(void)
{
    fputs("Usage: chatd [--SETTING VALUE]...\n"
          "\n"
          "The reference server of a chat protocol: JSON over WebSocket. A user signs on any\n"
          "number of devices, and every message to the user reaches all of them.\n"
          "\n"
          "Each setting can be given as a flag, in the environment, or in a file, and a flag\n"
          "counts more than the environment, which counts more than the file:\n"
          "  --ping-interval-ms 25000, CHATD_PING_INTERVAL_MS=25000, ping-interval-ms = 25000\n",
          stdout);
    for (size_t i = 0; i < N_SETTINGS; i++) {
        setting_help(&settings[i], stdout);
    }
    fputs(
        "\n"
        "And\n"
        "  --config FILE   Read settings from FILE, a line \"name = value\" for each; a line that\n"
        "                  begins with # is a comment. Also CHATD_CONFIG.\n"
        "  --check-config  Check the settings, print them as such a file, and exit.\n"
        "  --help, --version\n"
        "\n"
        "A password belongs in the environment or in the file, not on the command line, which\n"
        "other users of the machine can read.\n"
        "\n"
        "Examples\n"
        "  chatd\n"
        "      Serves ws://127.0.0.1:9502/ from memory.\n"
        "  CHATD_REDIS=redis://:secret@10.0.0.5 chatd --listen 0.0.0.0:80 --node-name a1\n"
        "      Serves every network of this machine; the mapping is in Redis.\n"
        "\n"
        "Exit codes\n"
        "  0   a signal such as SIGTERM stopped it, or it has answered --help and the like\n"
        "  64  the command line is wrong\n"
        "  69  it could not listen\n"
        "  71  the system refuses what it needs, such as 80 open files\n"
        "  74  stdout did not take the answer to --help and the like\n"
        "  78  a setting's value or the file is wrong\n",
        stdout);
}

static void print_settings(const struct config *config)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        setting_print(&settings[i], config, stdout);
    }
}

void config_default_node_name(struct config *config)
{
    char host_name[256] = "";
    if (config->node_name[0] != '\0') {
        return;
    }
    if (gethostname(host_name, sizeof host_name - 1) != 0) {
        strcpy(host_name, "node");
    }
    node_name_make(host_name, config->listen_port, config->node_name);
}

/* The kernel deals connections out to the processes on a port, so any user may be on any of them:
 * they have to be nodes. A name that is the same after a restart lets a process clean up after
 * itself; one that two share would let each clean up after the other. */
static bool may_share_port(const struct config *config)
{
    if (!config->reuse_port ||
        (config->has_redis && config->features.nodes && config->node_name[0] != '\0')) {
        return true;
    }
    fputs("chatd: reuse-port needs redis, the feature nodes, and a node-name of its own for each "
          "process\n",
          stderr);
    return false;
}

enum config_result config_read(int argc, char **argv, const char *const *variables,
                               struct config *out)
{
    struct flags flags = {0};
    if (!read_flags(argc, argv, &flags)) {
        fputs("chatd: --help says what there is\n", stderr);
        return CONFIG_USAGE;
    }
    if (flags.help) {
        print_help();
        return CONFIG_DONE;
    }
    if (flags.version) {
        puts("chatd " CHATD_VERSION);
        return CONFIG_DONE;
    }
    const char *path = flags.config_path;
    if (path == NULL) {
        path = variable_value(variables, CONFIG_VARIABLE);
    }
    struct config config = {0};
    bool ok = apply_defaults(&config);
    ok &= apply_file(path, &config);
    ok &= check_variables(variables);
    ok &= apply_environment(variables, &config);
    ok &= apply_flags(&flags, &config);
    if (!ok || !pairs_fit(&config) || !may_share_port(&config)) {
        return CONFIG_BAD;
    }
    if (config.listen_port != 0) {
        config_default_node_name(&config);
    }
    if (flags.check_config) {
        print_settings(&config);
        return CONFIG_DONE;
    }
    *out = config;
    return CONFIG_RUN;
}
