/* Where settings come from: flags before environment before file before defaults; and what is
 * said on stdout and stderr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "chat/config.h"
#include "config/config_file.h"
#include "config/settings.h"

enum {
    N_VARIABLES_MAX = 8
};

/* The environment of a test: "NAME=value", then NULL. */
static const char *variables[N_VARIABLES_MAX + 1];
static size_t n_variables;

struct fixture {
    char path[32]; /* of a file, empty at first */
    enum config_result result;
    struct config config;
    char out[16384]; /* what config_read() wrote to stdout */
    char err[4096];  /* and to stderr */
};

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    n_variables = 0;
    strcpy(f.path, "/tmp/test_config-XXXXXX");
    int fd = mkstemp(f.path);
    assert_true(fd >= 0);
    close(fd);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    return 0;
}

static void given_variable(const char *variable)
{
    assert_in_range(n_variables, 0, N_VARIABLES_MAX - 1);
    variables[n_variables++] = variable;
}

/* The file, which CHATD_CONFIG names. */
static void given_bytes(struct fixture *f, const char *bytes, size_t len)
{
    static char variable[64];
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
    snprintf(variable, sizeof variable, "CHATD_CONFIG=%s", f->path);
    given_variable(variable);
}

static void given_file(struct fixture *f, const char *text)
{
    given_bytes(f, text, strlen(text));
}

/* What 'stream' is given goes to a file until it is released into 'text'. */
static FILE *capture(FILE *stream, int *kept)
{
    FILE *captured = tmpfile();
    assert_non_null(captured);
    fflush(stream);
    *kept = dup(fileno(stream));
    dup2(fileno(captured), fileno(stream));
    return captured;
}

static void release(FILE *stream, int kept, FILE *captured, char *text, size_t size)
{
    fflush(stream);
    dup2(kept, fileno(stream));
    close(kept);
    rewind(captured);
    size_t len = fread(text, 1, size - 1, captured);
    text[len] = '\0';
    fclose(captured);
}

/* 'words' are the command line's, separated by one space each. */
static void when_read(struct fixture *f, const char *words)
{
    char line[2048];
    char *argv[64] = {(char[]){"chatd"}};
    int argc = 1;
    snprintf(line, sizeof line, "%s", words);
    for (char *word = strtok(line, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = strcmp(word, "EMPTY") == 0 ? word + strlen(word) : word;
    }
    variables[n_variables] = NULL;
    int kept_out;
    int kept_err;
    FILE *out = capture(stdout, &kept_out);
    FILE *err = capture(stderr, &kept_err);
    f->result = config_read(argc, argv, variables, &f->config);
    release(stderr, kept_err, err, f->err, sizeof f->err);
    release(stdout, kept_out, out, f->out, sizeof f->out);
}

static void then_runs(const struct fixture *f)
{
    if (f->result != CONFIG_RUN) {
        print_error("%s", f->err);
    }
    assert_int_equal(f->result, CONFIG_RUN);
    assert_string_equal(f->err, "");
    assert_string_equal(f->out, "");
}

static void then_refused(const struct fixture *f, enum config_result result, const char *err)
{
    static const struct config untouched;
    assert_string_equal(f->err, err);
    assert_int_equal(f->result, result);
    assert_string_equal(f->out, "");
    assert_memory_equal(&f->config, &untouched, sizeof untouched);
}

static void test_defaults_are_those_of_the_header(void **state)
{
    struct fixture *f = *state;

    when_read(f, "");

    then_runs(f);
    assert_string_equal(f->config.listen_host, "127.0.0.1");
    assert_int_equal(f->config.listen_port, 9502);
    assert_false(f->config.reuse_port);
    assert_false(f->config.has_redis);
    assert_int_equal(f->config.redis_timeout_ms, 2000);
    assert_int_equal(f->config.redis_refresh_ms, 20000);
    assert_true(f->config.features.nodes);
    assert_false(f->config.features.broadcast || f->config.features.history);
    assert_string_equal(f->config.broadcasters, "");
    assert_int_equal(f->config.history_messages_max, 1000);
    assert_int_equal(f->config.history_days, 7);
    assert_int_equal(f->config.history_memory_max, 268435456);
    assert_int_equal(f->config.history_redis_percent_max, 75);
    assert_int_equal(f->config.connections_max, 0);
    assert_int_equal(f->config.message_size_max, 65536);
    assert_int_equal(f->config.message_timeout_ms, 60000);
    assert_int_equal(f->config.requests_size_max, 268435456);
    assert_int_equal(f->config.outbox_size_max, 1048576);
    assert_int_equal(f->config.ping_interval_ms, 25000);
    assert_int_equal(f->config.ping_timeout_ms, 10000);
    assert_int_equal(f->config.handshake_timeout_ms, 10000);
    assert_int_equal(f->config.handshake_size_max, 32768);
    assert_int_equal(f->config.log_level, LOG_INFO);
}

static void test_flags_set_every_setting(void **state)
{
    struct fixture *f = *state;

    when_read(f,
              "--listen [::1]:1 --redis redis://:hush@h:2/3 --redis-timeout-ms=101 "
              "--redis-refresh-ms 1001 --node-name n --features broadcast,history --broadcasters "
              "a,b --history-messages-max 1002 --history-days 8 --history-memory-max 1048577 "
              "--history-redis-percent-max 50 "
              "--connections-max 4 --message-size-max 65537 --message-timeout-ms 1001 "
              "--outbox-size-max 66561 --requests-size-max 1048578 "
              "--ping-interval-ms 102 --ping-timeout-ms 103 "
              "--handshake-timeout-ms 104 --handshake-size-max 16385 --log-level debug");

    then_runs(f);
    assert_string_equal(f->config.listen_host, "::1");
    assert_int_equal(f->config.listen_port, 1);
    assert_true(f->config.has_redis);
    assert_string_equal(f->config.redis.password, "hush");
    assert_int_equal(f->config.redis_timeout_ms, 101);
    assert_int_equal(f->config.redis_refresh_ms, 1001);
    assert_string_equal(f->config.node_name, "n");
    assert_true(f->config.features.broadcast && f->config.features.history);
    assert_false(f->config.features.nodes);
    assert_string_equal(f->config.broadcasters, "a,b");
    assert_int_equal(f->config.history_messages_max, 1002);
    assert_int_equal(f->config.history_days, 8);
    assert_int_equal(f->config.history_memory_max, 1048577);
    assert_int_equal(f->config.history_redis_percent_max, 50);
    assert_int_equal(f->config.connections_max, 4);
    assert_int_equal(f->config.message_size_max, 65537);
    assert_int_equal(f->config.message_timeout_ms, 1001);
    assert_int_equal(f->config.requests_size_max, 1048578);
    assert_int_equal(f->config.outbox_size_max, 66561);
    assert_int_equal(f->config.ping_interval_ms, 102);
    assert_int_equal(f->config.ping_timeout_ms, 103);
    assert_int_equal(f->config.handshake_timeout_ms, 104);
    assert_int_equal(f->config.handshake_size_max, 16385);
    assert_int_equal(f->config.log_level, LOG_DEBUG);
}

static void test_environment_sets_a_setting(void **state)
{
    struct fixture *f = *state;
    given_variable("CHATD_PING_INTERVAL_MS=200");
    given_variable("CHATD_LISTEN=0.0.0.0:80");

    when_read(f, "");

    then_runs(f);
    assert_int_equal(f->config.ping_interval_ms, 200);
    assert_int_equal(f->config.listen_port, 80);
}

static void test_environment_when_empty_counts_as_not_set(void **state)
{
    struct fixture *f = *state;
    given_variable("CHATD_REDIS=");
    given_variable("CHATD_CONFIG=");

    when_read(f, "");

    then_runs(f);
    assert_false(f->config.has_redis);
}

static void test_file_sets_settings_and_has_comments(void **state)
{
    struct fixture *f = *state;
    given_file(f, "# a comment\n"
                  "\n"
                  "  \t\n"
                  "  # another = one\n"
                  "listen=0.0.0.0:80\n"
                  "\tping-interval-ms \t=  200 \r\n"
                  "redis = redis://:a=b#c@h\n"
                  "log-level = warn"); /* the last line may lack its end */

    when_read(f, "");

    then_runs(f);
    assert_int_equal(f->config.listen_port, 80);
    assert_int_equal(f->config.ping_interval_ms, 200);
    assert_string_equal(f->config.redis.password, "a=b#c");
    assert_int_equal(f->config.log_level, LOG_WARN);
}

static void test_flag_counts_more_than_environment_more_than_file(void **state)
{
    struct fixture *f = *state;
    given_file(f, "ping-interval-ms = 201\n"
                  "ping-timeout-ms = 201\n"
                  "redis-timeout-ms = 201\n");
    given_variable("CHATD_PING_INTERVAL_MS=202");
    given_variable("CHATD_PING_TIMEOUT_MS=202");

    when_read(f, "--ping-interval-ms 203");

    then_runs(f);
    assert_int_equal(f->config.ping_interval_ms, 203);
    assert_int_equal(f->config.ping_timeout_ms, 202);
    assert_int_equal(f->config.redis_timeout_ms, 201);
}

static void test_config_flag_counts_more_than_its_variable(void **state)
{
    struct fixture *f = *state;
    given_file(f, "ping-interval-ms = 201\n");
    char words[64];
    snprintf(words, sizeof words, "--config %s", f->path);
    n_variables = 0;
    given_variable("CHATD_CONFIG=/nowhere/chatd.conf");

    when_read(f, words);

    then_runs(f);
    assert_int_equal(f->config.ping_interval_ms, 201);
}

/* Each message names the setting, where it was given, what was given and what is allowed. */
static void test_bad_values_are_all_named_with_their_place(void **state)
{
    struct fixture *f = *state;
    given_file(f, "# one\n"
                  "ping-interval-ms = 99\n"
                  "listen = 9502\n");
    given_variable("CHATD_LOG_LEVEL=loud");
    char want[1024];
    snprintf(
        want, sizeof want,
        "chatd: %s:2: ping-interval-ms \"99\": that is not allowed; allowed: a number of "
        "milliseconds from 100 to 3600000, digits only\n"
        "chatd: %s:3: listen \"9502\": that is not allowed; allowed: HOST:PORT, with a numeric "
        "IPv4 address, an IPv6 address in brackets or localhost, and a port from 0 to 65535, "
        "such as 127.0.0.1:9502 or [::1]:9502\n"
        "chatd: CHATD_LOG_LEVEL \"loud\": that is not allowed; allowed: error, warn, info or "
        "debug\n"
        "chatd: --node-name \"a.b\": that is not allowed; allowed: 1 to 24 letters, digits, '-' "
        "or '_'\n",
        f->path, f->path);

    when_read(f, "--node-name a.b");

    then_refused(f, CONFIG_BAD, want);
}

/* A wrong value is said even where a stronger source has a right one: it is not what its writer
 * thinks. */
static void test_bad_value_is_said_though_a_flag_counts_more(void **state)
{
    struct fixture *f = *state;
    given_variable("CHATD_LOG_LEVEL=loud");

    when_read(f, "--log-level info");

    then_refused(f, CONFIG_BAD,
                 "chatd: CHATD_LOG_LEVEL \"loud\": that is not allowed; allowed: error, warn, info "
                 "or debug\n");
}

static void test_file_with_wrong_lines_is_refused_by_line(void **state)
{
    struct fixture *f = *state;
    given_file(f, "listn = 127.0.0.1:80\n"
                  "log-level info\n"
                  "verbose = 1\n"
                  "log-level = info\n"
                  "log-level = debug\n"
                  "= 5\n"
                  "config = x\n");
    char want[1024];
    snprintf(want, sizeof want,
             "chatd: %s:1: unknown setting listn; did you mean listen?\n"
             "chatd: %s:2: this is not \"name = value\"\n"
             "chatd: %s:3: unknown setting verbose\n"
             "chatd: %s:5: log-level is given in line 4 already\n"
             "chatd: %s:6: unknown setting \n"
             "chatd: %s:7: unknown setting config\n",
             f->path, f->path, f->path, f->path, f->path, f->path);

    when_read(f, "");

    then_refused(f, CONFIG_BAD, want);
}

#define BYTES(text)            \
    {                          \
        text, sizeof(text) - 1 \
    }

/* What is no text of ours is said once, with its line; the rest of it is not read. */
static void test_file_that_is_no_text_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name;
        struct {
            const char *ptr;
            size_t len;
        } bytes;
        const char *want;
    } rows[] = {
        {"NUL", BYTES("log-level = info\0x\n\0\n"), "1: a NUL byte; is this a text file?"},
        {"NUL in a comment", BYTES("\n#\0\n"), "2: a NUL byte; is this a text file?"},
        {"UTF-8 mark", BYTES("\xEF\xBB\xBFlisten = 127.0.0.1:1\nx\n"),
         "1: a byte order mark; save the file as UTF-8 without one"},
        {"UTF-8 mark alone", BYTES("\xEF\xBB\xBF"),
         "1: a byte order mark; save the file as UTF-8 without one"},
        {"UTF-16, little end", BYTES("\xFF\xFEl\0i\0"),
         "1: this is UTF-16; save the file as UTF-8 without a byte order mark"},
        {"UTF-16, big end", BYTES("\xFE\xFF\0l\0i"),
         "1: this is UTF-16; save the file as UTF-8 without a byte order mark"},
        {"lone CR", BYTES("# settings\rlisten = 127.0.0.1:1\r"),
         "1: a carriage return inside the line; lines end with LF or CR LF"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char want[200];
        n_variables = 0;
        given_bytes(f, rows[i].bytes.ptr, rows[i].bytes.len);
        snprintf(want, sizeof want, "chatd: %s:%s\n", f->path, rows[i].want);

        when_read(f, "");

        print_message("%s\n", rows[i].name);
        then_refused(f, CONFIG_BAD, want);
    }
}

/* Either kind of line end, the last one may lack it, nothing at all is fine. */
static void test_file_of_every_line_end_is_read(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {
        "log-level = warn\nping-interval-ms = 200\n",
        "log-level = warn\nping-interval-ms = 200",
        "log-level = warn\r\nping-interval-ms = 200\r\n",
        "log-level=warn\r\nping-interval-ms=200",
        "\n\r\nlog-level=warn\n\nping-interval-ms=200\r",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        n_variables = 0;
        given_file(f, texts[i]);

        when_read(f, "");

        then_runs(f);
        assert_int_equal(f->config.log_level, LOG_WARN);
        assert_int_equal(f->config.ping_interval_ms, 200);
    }
    n_variables = 0;
    given_file(f, "");
    when_read(f, "");
    then_runs(f);
}

/* A line of the greatest length is read, one more byte is too many; so is a file. */
static void test_file_and_its_lines_have_a_greatest_length(void **state)
{
    struct fixture *f = *state;
    static char text[CONFIG_FILE_SIZE_MAX + 2];
    char want[200];
    memset(text, ' ', CONFIG_LINE_SIZE_MAX);
    memcpy(text, "log-level = warn", 16);
    strcpy(text + CONFIG_LINE_SIZE_MAX, "\n");
    given_file(f, text);
    when_read(f, "");
    then_runs(f);

    n_variables = 0;
    memset(&f->config, 0, sizeof f->config);
    strcpy(text + CONFIG_LINE_SIZE_MAX, " \n");
    given_file(f, text);
    snprintf(want, sizeof want, "chatd: %s:1: longer than %d bytes\n", f->path,
             CONFIG_LINE_SIZE_MAX);
    when_read(f, "");
    then_refused(f, CONFIG_BAD, want);

    n_variables = 0;
    memset(text, '\n', CONFIG_FILE_SIZE_MAX);
    text[CONFIG_FILE_SIZE_MAX] = '\0';
    given_file(f, text);
    when_read(f, "");
    then_runs(f);

    n_variables = 0;
    strcpy(text + CONFIG_FILE_SIZE_MAX, "\n");
    given_file(f, text);
    snprintf(want, sizeof want,
             "chatd: the configuration file %s: larger than %d bytes; is it the right one?\n",
             f->path, CONFIG_FILE_SIZE_MAX);
    memset(&f->config, 0, sizeof f->config);
    when_read(f, "");
    then_refused(f, CONFIG_BAD, want);
}

/* A file that is quite another one does not fill the screen. */
static void test_file_of_many_wrong_lines_is_given_up(void **state)
{
    struct fixture *f = *state;
    given_file(f, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\nq\nr\ns\nt\nu\nv\n");

    when_read(f, "");

    assert_int_equal(f->result, CONFIG_BAD);
    assert_non_null(strstr(f->err, ":20: this is not"));
    assert_null(strstr(f->err, ":21: this is not"));
    assert_non_null(strstr(f->err, ": the rest is not read, for too much is wrong\n"));
}

/* Nothing that could wait, never end, or do something when it is opened. */
static void test_file_that_cannot_be_read_is_refused(void **state)
{
    struct fixture *f = *state;
    char fifo[64];
    char link[64];
    snprintf(fifo, sizeof fifo, "%s.fifo", f->path);
    snprintf(link, sizeof link, "%s.link", f->path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink(link, link), 0);
    const struct {
        const char *path;
        const char *want;
    } rows[] = {
        {"/nowhere/chatd.conf", "No such file or directory"},
        {"/tmp", "a directory, and it has to be a regular file"},
        {"/tmp/", "a directory, and it has to be a regular file"},
        {fifo, "a pipe, and it has to be a regular file"},
        {"/dev/zero", "a device, and it has to be a regular file"},
        {"/dev/null", "a device, and it has to be a regular file"},
        {link, "Too many levels of symbolic links"},
        {"/dev/null/x", "Not a directory"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char words[100];
        char want[200];
        snprintf(words, sizeof words, "--config %s", rows[i].path);
        snprintf(want, sizeof want, "chatd: the configuration file %s: %s\n", rows[i].path,
                 rows[i].want);

        when_read(f, words);

        then_refused(f, CONFIG_BAD, want);
    }
    unlink(fifo);
    unlink(link);
}

/* A misspelt variable would be as good as none, and nobody would notice. */
static void test_unknown_variables_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *variable;
        const char *want;
    } rows[] = {
        {"CHATD_LISTN=127.0.0.1:1", "unknown variable CHATD_LISTN; did you mean CHATD_LISTEN?"},
        {"CHATD_listen=127.0.0.1:1", "unknown variable CHATD_listen; did you mean CHATD_LISTEN?"},
        {"CHATD_REDIS_URL=redis://:hush@h",
         "unknown variable CHATD_REDIS_URL; did you mean CHATD_REDIS?"},
        {"CHATD_VERBOSE=1", "unknown variable CHATD_VERBOSE"},
        {"CHATD_PORT=9502", "unknown variable CHATD_PORT"},
        {"CHATD_=1", "unknown variable CHATD_"},
        {"CHATD_CHECK_CONFIG=1", "unknown variable CHATD_CHECK_CONFIG"},
        {"CHATD_\x1b[2J=1", "unknown variable"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char want[200];
        snprintf(want, sizeof want, "chatd: %s\n", rows[i].want);
        n_variables = 0;
        given_variable("PATH=/bin");
        given_variable(rows[i].variable);
        given_variable("CHATD_LOG_LEVEL=info");

        when_read(f, "");

        then_refused(f, CONFIG_BAD, want);
    }
}

/* Kubernetes and Docker describe a service whose name begins with "chatd" by such variables. */
static void test_variables_of_an_orchestrator_are_passed_over(void **state)
{
    struct fixture *f = *state;
    given_variable("CHATD_SERVICE_HOST=10.0.0.1");
    given_variable("CHATD_SERVICE_PORT=9502");
    given_variable("CHATD_SERVICE_PORT_WS=9502");
    given_variable("CHATD_PORT=tcp://10.0.0.1:9502");
    given_variable("CHATD_PORT_9502_TCP_ADDR=10.0.0.1");
    given_variable("CHATD_REDIS_PORT=tcp://10.0.0.2:6379");
    given_variable("CHATD_REDIS_PORT_6379_TCP=tcp://10.0.0.2:6379");
    given_variable("NOT_CHATD_LISTN=1");

    when_read(f, "");
    then_runs(f);

    n_variables = 0;
    given_variable("CHATD_NOTHING="); /* empty counts as not set */
    given_variable("CHATD_REDIS_SERVICE_HOST=10.0.0.2");
    given_variable("CHATD_LOG_LEVEL=warn");
    given_variable("CHATD_LOG_LEVEL=loud"); /* the first one counts, as for getenv() */
    when_read(f, "");
    then_runs(f);
    assert_int_equal(f->config.log_level, LOG_WARN);
    assert_false(f->config.has_redis);
}

/* An empty value is no value, wherever it stands. */
static void test_empty_values_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"listen",    "redis",           "broadcasters",
                                        "features",  "ping-timeout-ms", "node-name",
                                        "log-level", "reuse-port"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char words[100];
        char line[100];
        char want[100];
        snprintf(words, sizeof words, "--%s EMPTY", names[i]);
        n_variables = 0;
        when_read(f, words);
        snprintf(want, sizeof want, "chatd: --%s \"\": a value is missing; allowed: ", names[i]);
        assert_int_equal(f->result, CONFIG_BAD);
        assert_int_equal(strncmp(f->err, want, strlen(want)), 0);

        snprintf(words, sizeof words, "--%s=", names[i]);
        when_read(f, words);
        assert_int_equal(f->result, CONFIG_BAD);
        assert_int_equal(strncmp(f->err, want, strlen(want)), 0);

        snprintf(line, sizeof line, "\n%s =\n", names[i]);
        given_file(f, line);
        when_read(f, "");
        snprintf(want, sizeof want, "chatd: %s:2: %s \"\": a value is missing; allowed: ", f->path,
                 names[i]);
        assert_int_equal(f->result, CONFIG_BAD);
        assert_int_equal(strncmp(f->err, want, strlen(want)), 0);
    }
}

/* As getopt has it everywhere: so a script's defaults can be overridden behind them. */
static void test_last_of_a_flag_counts(void **state)
{
    struct fixture *f = *state;

    when_read(f, "--ping-interval-ms 200 --ping-interval-ms=300");

    then_runs(f);
    assert_int_equal(f->config.ping_interval_ms, 300);
}

static void test_wrong_words_are_usage_errors(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *words;
        const char *want;
    } rows[] = {
        {"--listn 127.0.0.1:80", "chatd: unknown flag --listn; did you mean --listen?\n"},
        {"--verbose", "chatd: unknown flag --verbose\n"},
        {"-v", "chatd: unknown flag -v\n"},
        {"--listen", "chatd: --listen needs a value\n"},
        {"--listen --redis", "chatd: --listen needs a value; a flag stands in its place\n"},
        {"--listen --redis redis://:hush@h",
         "chatd: --listen needs a value; a flag stands in its place\n"},
        {"--node-name --reuse-port yes",
         "chatd: --node-name needs a value; a flag stands in its place\n"},
        {"--broadcasters --features=none",
         "chatd: --broadcasters needs a value; a flag stands in its place\n"},
        {"--config --check-config", "chatd: --config needs a value; a flag stands in its place\n"},
        {"--redis --", "chatd: --redis needs a value; a flag stands in its place\n"},
        {"--config EMPTY", "chatd: --config needs a value\n"},
        {"--config=", "chatd: --config needs a value\n"},
        {"--config", "chatd: --config needs a value\n"},
        {"EMPTY", "chatd: word 1 of the command line is not a flag\n"},
        {"-", "chatd: word 1 of the command line is not a flag\n"},
        {"-- --listen", "chatd: word 2 of the command line is not a flag\n"},
        {"--help=yes", "chatd: --help takes no value\n"},
        {"--log-level info 127.0.0.1:80", "chatd: word 3 of the command line is not a flag\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char want[200];
        snprintf(want, sizeof want, "%schatd: --help says what there is\n", rows[i].want);

        when_read(f, rows[i].words);

        then_refused(f, CONFIG_USAGE, want);
    }
}

/* Whoever means it can say so. */
static void test_value_that_looks_like_a_flag_stands_behind_an_equals_sign(void **state)
{
    struct fixture *f = *state;

    when_read(f, "--node-name=--reuse-port --broadcasters -a");

    then_runs(f);
    assert_string_equal(f->config.node_name, "--reuse-port");
    assert_string_equal(f->config.broadcasters, "-a");
}

/* config.h: never a password, wherever a URL with one has gone astray. */
static void test_password_is_never_printed(void **state)
{
    struct fixture *f = *state;
    static const char *const words[] = {
        "--redis redis://:hush@h:99999",
        "--redis=redis://:hush@h:x",
        "--rediss=redis://:hush@h",
        "--rediss redis://:hush@h",
        "--redis://:hush@h",
        "redis://:hush@h",
        "--listen 127.0.0.1:80 redis://:hush@h",
        "--redis redis://:hush@h --check-config",
        "--redis redis+unix://me:hush@/s --check-config",
        "--listen redis://:hush@h",
        "--node-name redis://:hush@h",
        "--log-level=:hush@h",
        "--features redis://h/hush",
        "--config redis://:hush@h",
        "--config=redis://:hush@h",
        "--listen --redis=redis://:hush@h",
        "--listen --redis://:hush@h",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        when_read(f, words[i]);
        assert_int_not_equal(f->result, CONFIG_RUN);
        assert_true(strlen(f->out) + strlen(f->err) > 0);
        assert_null(strstr(f->out, "hush"));
        assert_null(strstr(f->err, "hush"));
    }
    static const char *const lines[] = {
        "redis = :hush@h\n",          "redis redis://:hush@h\n",
        "redis://:hush@h\n",          "redis+unix://:hush@/s?db=1\n",
        "rediss = redis://:hush@h\n", "listen = redis://:hush@h\n",
        "redis = redis://:hush\r@h\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        n_variables = 0;
        given_file(f, lines[i]);
        when_read(f, "");
        assert_int_equal(f->result, CONFIG_BAD);
        assert_true(strlen(f->err) > 0);
        assert_null(strstr(f->err, "hush"));
    }
    static const char *const in_environment[] = {"CHATD_LISTEN=redis://:hush@h",
                                                 "CHATD_CONFIG=redis://:hush@h",
                                                 "CHATD_RDIS=redis://:hush@h"};
    for (size_t i = 0; i < sizeof in_environment / sizeof in_environment[0]; i++) {
        n_variables = 0;
        given_variable(in_environment[i]);
        when_read(f, "");
        assert_int_equal(f->result, CONFIG_BAD);
        assert_true(strlen(f->err) > 0);
        assert_null(strstr(f->err, "hush"));
    }
    n_variables = 0;
    given_variable("CHATD_REDIS=redis://:hush@h/x");
    when_read(f, "");
    assert_int_equal(f->result, CONFIG_BAD);
    assert_int_equal(strncmp(f->err, "chatd: CHATD_REDIS (not shown", 29), 0);
    assert_null(strstr(f->err, "hush"));
}

static void test_node_name_is_made_unless_the_port_is_to_be_chosen(void **state)
{
    struct fixture *f = *state;

    when_read(f, "--listen 127.0.0.1:4711");
    then_runs(f);
    size_t len = strlen(f->config.node_name);
    assert_in_range(len, 5, NODE_NAME_SIZE_MAX);
    assert_string_equal(f->config.node_name + len - 5, "-4711");

    when_read(f, "--listen 127.0.0.1:0");
    then_runs(f);
    assert_string_equal(f->config.node_name, "");
    f->config.listen_port = 815;
    config_default_node_name(&f->config);
    assert_non_null(strstr(f->config.node_name, "-815"));

    strcpy(f->config.node_name, "given");
    config_default_node_name(&f->config);
    assert_string_equal(f->config.node_name, "given");
}

static void test_check_config_prints_a_file_of_what_counts(void **state)
{
    struct fixture *f = *state;
    given_variable("CHATD_LOG_LEVEL=warn");

    when_read(f, "--check-config --node-name n1 --redis redis://:hush@h/4 --listen [::1]:7");

    assert_int_equal(f->result, CONFIG_DONE);
    assert_string_equal(f->err, "");
    assert_string_equal(f->out, "listen = [::1]:7\n"
                                "reuse-port = no\n"
                                "connections-max = 0\n"
                                "connections-per-address-max = 0\n"
                                "redis = redis://h:6379/4\n"
                                "# and its user and password, which are not shown\n"
                                "redis-timeout-ms = 2000\n"
                                "redis-lease-ms = 10000\n"
                                "redis-refresh-ms = 20000\n"
                                "node-name = n1\n"
                                "features = nodes\n"
                                "# broadcasters is not given: everybody may\n"
                                "history-messages-max = 1000\n"
                                "history-days = 7\n"
                                "history-memory-max = 268435456\n"
                                "history-redis-percent-max = 75\n"
                                "message-size-max = 65536\n"
                                "message-timeout-ms = 60000\n"
                                "outbox-size-max = 1048576\n"
                                "outboxes-size-max = 536870912\n"
                                "requests-size-max = 268435456\n"
                                "request-rate-max = 0\n"
                                "request-burst-max = 1000\n"
                                "ping-interval-ms = 25000\n"
                                "ping-timeout-ms = 10000\n"
                                "handshake-timeout-ms = 10000\n"
                                "handshake-size-max = 32768\n"
                                "log-level = warn\n");
}

/* Users of processes that share a port have to find each other, and the processes to differ. */
static void test_reuse_port_needs_nodes_with_names(void **state)
{
    struct fixture *f = *state;
    const char *const bad[] = {
        "--reuse-port yes",
        "--reuse-port yes --node-name a1",
        "--reuse-port yes --redis redis://h",
        "--reuse-port yes --redis redis://h --node-name a1 --features none",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        when_read(f, bad[i]);
        then_refused(
            f, CONFIG_BAD,
            "chatd: reuse-port needs redis, the feature nodes, and a node-name of its own for each "
            "process\n");
    }

    when_read(f, "--reuse-port yes --redis redis://h --node-name a1");

    then_runs(f);
    assert_true(f->config.reuse_port);
}

/* Each limit that another one depends on: the least that fits, and one less. What a pair is about
 * has to be in use. */
static const struct {
    const char *others;
    const char *small; /* the name of the setting that may be too small */
    const char *other; /* of the one that it has to fit, as it is said */
    unsigned least;
} pairs[] = {
    {"", "outbox-size-max", "message-size-max 65536", 66560},
    {"--message-size-max 65537", "outbox-size-max", "message-size-max 65537", 66561},
    {"--message-size-max 4194304", "outbox-size-max", "message-size-max 4194304", 4195328},
    {"--message-size-max 16777216", "outbox-size-max", "message-size-max 16777216", 16778240},
    {"--outbox-size-max 1048577", "outboxes-size-max", "outbox-size-max 1048577", 1048577},
    {"--outbox-size-max 1073741824", "outboxes-size-max", "outbox-size-max 1073741824", 1073741824},
    {"--features history --outbox-size-max 16778240 --message-size-max 16777216",
     "history-memory-max", "message-size-max 16777216", 16793600},
    {"--features history --outbox-size-max 2097152 --message-size-max 1032193",
     "history-memory-max", "message-size-max 1032193", 1048577},
    {"--outbox-size-max 2097152 --message-size-max 1048577 --outboxes-size-max 2097152",
     "requests-size-max", "message-size-max 1048577", 1048577},
    {"--request-rate-max 11", "request-burst-max", "request-rate-max 11", 2},
    {"--request-rate-max 1000000", "request-burst-max", "request-rate-max 1000000", 100000},
    {"--redis redis://h", "redis-lease-ms", "redis-timeout-ms 2000", 4000},
    {"--redis redis://h --redis-timeout-ms 501", "redis-lease-ms", "redis-timeout-ms 501", 1002},
};

static void test_limits_that_depend_on_each_other_fit(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char words[256];
        char want[256];
        snprintf(words, sizeof words, "%s --%s %u", pairs[i].others, pairs[i].small,
                 pairs[i].least);
        when_read(f, words);
        then_runs(f);
        memset(&f->config, 0, sizeof f->config);

        snprintf(words, sizeof words, "%s --%s %u", pairs[i].others, pairs[i].small,
                 pairs[i].least - 1);
        when_read(f, words);
        bool is_below_min = pairs[i].least == 66560; /* of the setting itself, which fits */
        if (!is_below_min) {
            snprintf(want, sizeof want, "chatd: %s %u is too small for %s; allowed: at least %u\n",
                     pairs[i].small, pairs[i].least - 1, pairs[i].other, pairs[i].least);
            then_refused(f, CONFIG_BAD, want);
        }
        assert_int_equal(f->result, CONFIG_BAD);
    }
}

/* At the least that each may be, and at the most. */
static void test_least_and_most_of_all_limits_fit(void **state)
{
    struct fixture *f = *state;
    static const bool is_most[] = {false, true};
    for (size_t k = 0; k < 2; k++) {
        char words[2048] = "--features broadcast,history,nodes";
        for (size_t i = 0; i < N_SETTINGS; i++) {
            if (settings[i].unit != NULL) {
                snprintf(words + strlen(words), sizeof words - strlen(words), " --%s %u",
                         settings[i].name, is_most[k] ? settings[i].max : settings[i].min);
            }
        }

        when_read(f, words);

        then_runs(f);
    }
}

/* What is not used has to fit nothing. */
static void test_limits_of_what_is_not_used_need_not_fit(void **state)
{
    struct fixture *f = *state;

    when_read(f, "--redis-lease-ms 1000 --history-memory-max 1048576 --message-size-max 4194304 "
                 "--outbox-size-max 8388608 --request-burst-max 1");
    then_runs(f);
    when_read(f, "--redis redis://h --features history --history-memory-max 1048576 "
                 "--message-size-max 4194304 --outbox-size-max 8388608");
    then_runs(f);
}

/* Whoever changes several hears of all. */
static void test_all_pairs_that_do_not_fit_are_said(void **state)
{
    struct fixture *f = *state;

    when_read(f, "--message-size-max 16777216 --features history --history-memory-max 1048576 "
                 "--outboxes-size-max 1048576 --request-rate-max 100 --request-burst-max 1");

    then_refused(f, CONFIG_BAD,
                 "chatd: outbox-size-max 1048576 is too small for message-size-max 16777216; "
                 "allowed: at least 16778240\n"
                 "chatd: history-memory-max 1048576 is too small for message-size-max 16777216; "
                 "allowed: at least 16793600\n"
                 "chatd: request-burst-max 1 is too small for request-rate-max 100; allowed: at "
                 "least 10\n");
}

/* What it prints, it reads. */
static void test_check_config_output_is_a_valid_file(void **state)
{
    struct fixture *f = *state;
    when_read(f, "--check-config --listen 127.0.0.1:0 --redis redis://h --features none "
                 "--broadcasters 1001,é");
    assert_int_equal(f->result, CONFIG_DONE);
    char first[sizeof f->out];
    strcpy(first, f->out);
    given_file(f, first);

    when_read(f, "--check-config");

    assert_int_equal(f->result, CONFIG_DONE);
    assert_string_equal(f->out, first);
}

static void test_check_config_when_bad_says_so(void **state)
{
    struct fixture *f = *state;

    when_read(f, "--check-config --log-level loud");

    then_refused(f, CONFIG_BAD,
                 "chatd: --log-level \"loud\": that is not allowed; allowed: error, warn, info or "
                 "debug\n");
}

static void test_version_names_program_and_version(void **state)
{
    struct fixture *f = *state;

    when_read(f, "--version");

    assert_int_equal(f->result, CONFIG_DONE);
    assert_string_equal(f->out, "chatd " PROJECT_VERSION "\n");
}

/* --help is no place to be told that the environment is wrong. */
static void test_help_names_every_setting_with_default_and_range(void **state)
{
    struct fixture *f = *state;
    given_variable("CHATD_LOG_LEVEL=loud");

    when_read(f, "--help");

    assert_int_equal(f->result, CONFIG_DONE);
    assert_string_equal(f->err, "");
    for (size_t i = 0; i < N_SETTINGS; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "\n  --%s %s\n", settings[i].name, settings[i].metavar);
        assert_non_null(strstr(f->out, flag));
    }
    assert_non_null(strstr(f->out, "Default 2000; 100 to 2000 milliseconds.\n"));
    assert_non_null(strstr(f->out, "Default 127.0.0.1:9502.\n"));
    assert_non_null(strstr(f->out, "Not given: the mapping is in memory"));
    for (const char *line = f->out; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        assert_in_range(strcspn(line, "\n"), 0, 90);
    }
}

static void read_whole(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    fclose(file);
}

/* The example in docs has every setting with its default, and is a valid file. */
static void test_example_file_shows_every_default(void **state)
{
    struct fixture *f = *state;
    char text[8192];
    read_whole(DOCS_DIR "/chatd.conf.example", text, sizeof text);
    for (size_t i = 0; i < N_SETTINGS; i++) {
        char line[100];
        if (settings[i].default_value != NULL) {
            snprintf(line, sizeof line, "\n#%s = %s\n", settings[i].name,
                     settings[i].default_value);
        } else {
            snprintf(line, sizeof line, "\n#   %s = ", settings[i].name);
        }
        assert_non_null(strstr(text, line));
    }
    given_file(f, text);

    when_read(f, "");

    then_runs(f);
}

/* The manual page has every setting with its default and range. */
static void test_manual_page_has_every_setting(void **state)
{
    (void)state;
    char text[16384];
    read_whole(DOCS_DIR "/chatd.1", text, sizeof text);
    for (size_t i = 0; i < N_SETTINGS; i++) {
        char name[2 * SETTING_NAME_SIZE_MAX] = "\n.BI \\-\\-";
        for (const char *c = settings[i].name; *c != '\0'; c++) {
            snprintf(name + strlen(name), sizeof name - strlen(name), *c == '-' ? "\\-" : "%c", *c);
        }
        const char *entry = strstr(text, name);
        assert_non_null(entry);
        char value[100] = "Not given: ";
        if (settings[i].unit != NULL) {
            snprintf(value, sizeof value, "Default %s; %u to %u", settings[i].default_value,
                     settings[i].min, settings[i].max);
        } else if (settings[i].default_value != NULL) {
            snprintf(value, sizeof value, "Default %s.", settings[i].default_value);
        }
        const char *said = strstr(entry, value);
        assert_non_null(said);
        const char *next_entry = strstr(entry + 1, "\n.BI ");
        assert_true(next_entry == NULL || said < next_entry);
    }
}

#define CONFIG_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFIG_TEST(test_defaults_are_those_of_the_header),
        CONFIG_TEST(test_flags_set_every_setting),
        CONFIG_TEST(test_environment_sets_a_setting),
        CONFIG_TEST(test_environment_when_empty_counts_as_not_set),
        CONFIG_TEST(test_file_sets_settings_and_has_comments),
        CONFIG_TEST(test_flag_counts_more_than_environment_more_than_file),
        CONFIG_TEST(test_config_flag_counts_more_than_its_variable),
        CONFIG_TEST(test_bad_values_are_all_named_with_their_place),
        CONFIG_TEST(test_bad_value_is_said_though_a_flag_counts_more),
        CONFIG_TEST(test_file_with_wrong_lines_is_refused_by_line),
        CONFIG_TEST(test_file_that_is_no_text_is_refused),
        CONFIG_TEST(test_file_of_every_line_end_is_read),
        CONFIG_TEST(test_file_and_its_lines_have_a_greatest_length),
        CONFIG_TEST(test_file_of_many_wrong_lines_is_given_up),
        CONFIG_TEST(test_file_that_cannot_be_read_is_refused),
        CONFIG_TEST(test_unknown_variables_are_refused),
        CONFIG_TEST(test_variables_of_an_orchestrator_are_passed_over),
        CONFIG_TEST(test_empty_values_are_refused),
        CONFIG_TEST(test_last_of_a_flag_counts),
        CONFIG_TEST(test_wrong_words_are_usage_errors),
        CONFIG_TEST(test_value_that_looks_like_a_flag_stands_behind_an_equals_sign),
        CONFIG_TEST(test_password_is_never_printed),
        CONFIG_TEST(test_node_name_is_made_unless_the_port_is_to_be_chosen),
        CONFIG_TEST(test_check_config_prints_a_file_of_what_counts),
        CONFIG_TEST(test_reuse_port_needs_nodes_with_names),
        CONFIG_TEST(test_limits_that_depend_on_each_other_fit),
        CONFIG_TEST(test_least_and_most_of_all_limits_fit),
        CONFIG_TEST(test_limits_of_what_is_not_used_need_not_fit),
        CONFIG_TEST(test_all_pairs_that_do_not_fit_are_said),
        CONFIG_TEST(test_check_config_output_is_a_valid_file),
        CONFIG_TEST(test_check_config_when_bad_says_so),
        CONFIG_TEST(test_version_names_program_and_version),
        CONFIG_TEST(test_help_names_every_setting_with_default_and_range),
        CONFIG_TEST(test_example_file_shows_every_default),
        CONFIG_TEST(test_manual_page_has_every_setting),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
