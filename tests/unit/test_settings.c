/* The table of settings: what is allowed as a value, what is said of one that is not, and names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/settings.h"

static const struct setting *setting(const char *name)
{
    const struct setting *found = setting_find(name);
    assert_non_null(found);
    return found;
}

static bool is_allowed(const char *name, const char *value)
{
    struct config config = {0};
    char problem[SETTING_PROBLEM_SIZE_MAX];
    return setting_parse(setting(name), value, &config, problem) == ERR_OK;
}

static void then_printed(const struct setting *of, const struct config *config, const char *want)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    setting_print(of, config, out);
    fclose(out);
    assert_string_equal(text, want);
    free(text);
}

/* The defaults and ranges that config.h names: the edges are allowed, what is beyond is not. */
static void test_numbers_have_their_default_and_range(void **state)
{
    (void)state;
    const struct {
        const char *name;
        size_t offset;
        const char *default_value;
        unsigned min;
        unsigned max;
    } rows[] = {
        {"connections-max", offsetof(struct config, connections_max), "0", 0, 1000000},
        {"redis-timeout-ms", offsetof(struct config, redis_timeout_ms), "2000", 100, 2000},
        {"redis-refresh-ms", offsetof(struct config, redis_refresh_ms), "20000", 1000, 25000},
        {"history-messages-max", offsetof(struct config, history_messages_max), "1000", 1000,
         1000000},
        {"history-days", offsetof(struct config, history_days), "7", 7, 3650},
        {"history-memory-max", offsetof(struct config, history_memory_max), "268435456", 1048576,
         4294967295},
        {"history-redis-percent-max", offsetof(struct config, history_redis_percent_max), "75", 1,
         100},
        {"message-size-max", offsetof(struct config, message_size_max), "65536", 65536, 16777216},
        {"requests-size-max", offsetof(struct config, requests_size_max), "268435456", 1048576,
         4294967295},
        {"message-timeout-ms", offsetof(struct config, message_timeout_ms), "60000", 1000, 3600000},
        {"outbox-size-max", offsetof(struct config, outbox_size_max), "1048576", 66560, 1073741824},
        {"ping-interval-ms", offsetof(struct config, ping_interval_ms), "25000", 100, 3600000},
        {"ping-timeout-ms", offsetof(struct config, ping_timeout_ms), "10000", 100, 3600000},
        {"handshake-timeout-ms", offsetof(struct config, handshake_timeout_ms), "10000", 100,
         600000},
        {"handshake-size-max", offsetof(struct config, handshake_size_max), "32768", 16384, 262144},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct setting *number = setting(rows[i].name);
        assert_string_equal(number->default_value, rows[i].default_value);
        const unsigned edges[] = {rows[i].min, rows[i].max};
        for (size_t j = 0; j < 2; j++) {
            struct config config = {0};
            struct config want = {0};
            char problem[SETTING_PROBLEM_SIZE_MAX];
            char value[20];
            char line[100];
            snprintf(value, sizeof value, "%u", edges[j]);
            snprintf(line, sizeof line, "%s = %u\n", rows[i].name, edges[j]);
            memcpy((char *)&want + rows[i].offset, &edges[j], sizeof edges[j]);

            assert_int_equal(setting_parse(number, value, &config, problem), ERR_OK);

            assert_memory_equal(&config, &want, sizeof want); /* this member and no other */
            then_printed(number, &config, line);
            snprintf(value, sizeof value, "%lld", (long long)edges[j] + (j == 0 ? -1 : 1));
            assert_false(is_allowed(rows[i].name, value));
        }
    }
}

static void test_numbers_are_decimal_digits_only(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        " 1000",
                                        "1000 ",
                                        "+1000",
                                        "-1000",
                                        "1e3",
                                        "1000ms",
                                        "0x400",
                                        "1000.0",
                                        "1,000",
                                        "1k",
                                        "4294968296",
                                        "18446744073709552616"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(is_allowed("ping-interval-ms", wrong[i]));
    }
    assert_true(is_allowed("ping-interval-ms", "1000"));
}

static void test_listen_reads_host_and_port(void **state)
{
    (void)state;
    const struct {
        const char *value;
        const char *host;
        unsigned port;
        const char *printed;
    } rows[] = {
        {"127.0.0.1:9502", "127.0.0.1", 9502, "listen = 127.0.0.1:9502\n"},
        {"0.0.0.0:0", "0.0.0.0", 0, "listen = 0.0.0.0:0\n"},
        {"localhost:65535", "127.0.0.1", 65535, "listen = 127.0.0.1:65535\n"},
        {"[::1]:80", "::1", 80, "listen = [::1]:80\n"},
        {"[::]:80", "::", 80, "listen = [::]:80\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config config = {0};
        char problem[SETTING_PROBLEM_SIZE_MAX];

        assert_int_equal(setting_parse(setting("listen"), rows[i].value, &config, problem), ERR_OK);

        assert_string_equal(config.listen_host, rows[i].host);
        assert_int_equal(config.listen_port, rows[i].port);
        then_printed(setting("listen"), &config, rows[i].printed);
    }
}

static void test_listen_when_not_an_address_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "9502",
        ":9502",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:80 ",
        "127.0.0.1:http",
        "127.1:80",
        "256.0.0.1:80",
        "example.org:80",
        "::1:80",
        "[::1]",
        "[::1:80",
        "[127.0.0.1]:80",
        "[localhost]:80",
        "[]:80",
        "ws://127.0.0.1:80",
        "127.0.0.1:80/",
        "1111111111111111111111111111111111111111111111111111111111111111111111:80"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(is_allowed("listen", wrong[i]));
    }
}

static void test_node_name_is_a_short_word(void **state)
{
    (void)state;
    assert_true(is_allowed("node-name", "a"));
    assert_true(is_allowed("node-name", "Node_1-b"));
    assert_true(is_allowed("node-name", "123456789012345678901234"));
    assert_false(is_allowed("node-name", "1234567890123456789012345"));
    assert_false(is_allowed("node-name", ""));
    assert_false(is_allowed("node-name", "a b"));
    assert_false(is_allowed("node-name", "a.b"));
    assert_false(is_allowed("node-name", "n\xc3\xb6"
                                         "de"));
}

static void test_features_are_a_list_or_none(void **state)
{
    (void)state;
    const struct {
        const char *value;
        struct features want;
        const char *printed;
    } rows[] = {
        {"none", {0}, "features = none\n"},
        {"broadcast", {.broadcast = true}, "features = broadcast\n"},
        {"history", {.history = true}, "features = history\n"},
        {"nodes", {.nodes = true}, "features = nodes\n"},
        {"nodes,broadcast", {.broadcast = true, .nodes = true}, "features = broadcast,nodes\n"},
        {"broadcast,history,nodes", {true, true, true}, "features = broadcast,history,nodes\n"},
        {"history,history", {.history = true}, "features = history\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config config = {.features = {.nodes = true, .broadcast = true}};
        char problem[SETTING_PROBLEM_SIZE_MAX];

        assert_int_equal(setting_parse(setting("features"), rows[i].value, &config, problem),
                         ERR_OK);

        assert_int_equal(config.features.broadcast, rows[i].want.broadcast);
        assert_int_equal(config.features.history, rows[i].want.history);
        assert_int_equal(config.features.nodes, rows[i].want.nodes);
        then_printed(setting("features"), &config, rows[i].printed);
    }
}

static void test_features_when_unknown_or_misspelt_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        ",",
                                        "all",
                                        "History",
                                        "history,",
                                        ",history",
                                        "history,,nodes",
                                        "history, nodes",
                                        "histor",
                                        "historyx",
                                        "none,history",
                                        "history,none"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(is_allowed("features", wrong[i]));
    }
}

/* Writes 'n' uids of 'len' bytes with commas between. */
static void write_uids(char *out, size_t n, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        memset(out, 'u', len);
        out += len;
        *out++ = ',';
    }
    out[-1] = '\0';
}

static void test_broadcasters_are_uids_with_commas_between(void **state)
{
    (void)state;
    struct config config = {0};
    char problem[SETTING_PROBLEM_SIZE_MAX];

    then_printed(setting("broadcasters"), &config, "# broadcasters is not given: everybody may\n");
    assert_int_equal(setting_parse(setting("broadcasters"), "admin,10 01,é", &config, problem),
                     ERR_OK);
    assert_string_equal(config.broadcasters, "admin,10 01,é");
    then_printed(setting("broadcasters"), &config, "broadcasters = admin,10 01,é\n");
    /* Empty, as of a script's variable that is not set, would let everybody broadcast. */
    assert_false(is_allowed("broadcasters", ""));
    assert_false(is_allowed("broadcasters", "admin,\xE9")); /* not UTF-8, as no uid is */
}

/* limits.h: at most BROADCASTERS_MAX uids, each a uid, BROADCASTERS_SIZE_MAX bytes in all. */
static void test_broadcasters_when_too_many_or_too_long_are_refused(void **state)
{
    (void)state;
    static char text[2 * BROADCASTERS_SIZE_MAX];
    const struct {
        size_t n;
        size_t len;
        bool allowed;
    } rows[] = {
        {1, UID_SIZE_MAX, true},          {1, UID_SIZE_MAX + 1, false},
        {BROADCASTERS_MAX, 15, true}, /* and a comma: 4095 bytes */
        {BROADCASTERS_MAX + 1, 1, false}, {BROADCASTERS_MAX, 16, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        write_uids(text, rows[i].n, rows[i].len);
        assert_int_equal(is_allowed("broadcasters", text), rows[i].allowed);
    }
    write_uids(text, BROADCASTERS_MAX, 15);
    strcat(text, "u"); /* the last one is longer by one: 4096 bytes */
    assert_true(is_allowed("broadcasters", text));
    strcat(text, "u");
    assert_false(is_allowed("broadcasters", text));
    assert_false(is_allowed("broadcasters", ","));
    assert_false(is_allowed("broadcasters", "a,,b"));
    assert_false(is_allowed("broadcasters", ",a"));
}

static void test_log_level_is_one_of_four(void **state)
{
    (void)state;
    const struct {
        const char *value;
        enum log_level want;
    } rows[] = {{"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config config = {0};
        char problem[SETTING_PROBLEM_SIZE_MAX];
        assert_int_equal(setting_parse(setting("log-level"), rows[i].value, &config, problem),
                         ERR_OK);
        assert_int_equal(config.log_level, rows[i].want);
    }
    assert_false(is_allowed("log-level", "INFO"));
    assert_false(is_allowed("log-level", "trace"));
    assert_false(is_allowed("log-level", ""));
}

static void test_yes_or_no(void **state)
{
    (void)state;
    struct config config = {0};
    char problem[SETTING_PROBLEM_SIZE_MAX];
    then_printed(setting("reuse-port"), &config, "reuse-port = no\n");
    assert_int_equal(setting_parse(setting("reuse-port"), "yes", &config, problem), ERR_OK);
    assert_true(config.reuse_port);
    then_printed(setting("reuse-port"), &config, "reuse-port = yes\n");
    assert_int_equal(setting_parse(setting("reuse-port"), "no", &config, problem), ERR_OK);
    assert_false(config.reuse_port);
    assert_false(is_allowed("reuse-port", "Yes"));
    assert_false(is_allowed("reuse-port", ""));
}

/* A value that is not allowed changes nothing. */
static void test_parse_when_not_allowed_leaves_config_untouched(void **state)
{
    (void)state;
    static const char *const wrong[N_SETTINGS] = {"127.0.0.1:65536",
                                                  "maybe",
                                                  "x",
                                                  "x",
                                                  "redis://",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "a b",
                                                  "history,x",
                                                  "1001,",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x",
                                                  "x"};
    for (size_t i = 0; i < N_SETTINGS; i++) {
        struct config config;
        struct config before;
        char problem[SETTING_PROBLEM_SIZE_MAX];
        memset(&config, 0x5a, sizeof config);
        memcpy(&before, &config, sizeof before);

        assert_int_equal(setting_parse(&settings[i], wrong[i], &config, problem), ERR_INVALID);

        assert_memory_equal(&config, &before, sizeof before);
    }
}

static void test_problem_says_what_was_given_and_what_is_allowed(void **state)
{
    (void)state;
    const struct {
        const char *name;
        const char *value;
        const char *want;
    } rows[] = {
        {"redis-timeout-ms", "9000",
         "\"9000\": that is not allowed; allowed: a number of milliseconds from 100 to 2000, "
         "digits "
         "only"},
        {"log-level", "lo\nud",
         "\"lo\\x0aud\": that is not allowed; allowed: error, warn, info or debug"},
        {"node-name", "a b",
         "\"a b\": that is not allowed; allowed: 1 to 24 letters, digits, '-' or '_'"},
        {"features", "history,auth",
         "\"history,auth\": there is no such feature; allowed: none, or any of broadcast, history "
         "and nodes with commas between"},
        {"broadcasters", "a,,b",
         "\"a,,b\": too many uids, or one that is empty or too long; allowed: up to 256 uids with "
         "commas between, 4096 bytes in all"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config config = {0};
        char problem[SETTING_PROBLEM_SIZE_MAX];

        assert_int_equal(setting_parse(setting(rows[i].name), rows[i].value, &config, problem),
                         ERR_INVALID);

        assert_string_equal(problem, rows[i].want);
    }
}

/* config.h: never a password, whatever is wrong with the URL around it. */
static void test_problem_of_redis_quotes_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {"redis://:hush@h:99999", "redis://:hush@",
                                        "http://:hush@h",        ":hush@h",
                                        "redis://a:hush@h/x",    "redis://:hush@h:hush"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct config config = {0};
        char problem[SETTING_PROBLEM_SIZE_MAX];

        assert_int_equal(setting_parse(setting("redis"), wrong[i], &config, problem), ERR_INVALID);

        assert_null(strstr(problem, "hush"));
        assert_non_null(strstr(problem, "; allowed: redis://"));
        assert_false(config.has_redis);
    }
}

static void test_redis_is_printed_without_user_and_password(void **state)
{
    (void)state;
    struct config config = {0};
    char problem[SETTING_PROBLEM_SIZE_MAX];

    then_printed(
        setting("redis"), &config,
        "# redis is not given: the mapping is in memory, for this node only, and gone when "
        "it ends\n");
    assert_int_equal(setting_parse(setting("redis"), "redis://h:1/2", &config, problem), ERR_OK);
    assert_true(config.has_redis);
    then_printed(setting("redis"), &config, "redis = redis://h:1/2\n");
    assert_int_equal(setting_parse(setting("redis"), "redis://me:hush@h:1/2", &config, problem),
                     ERR_OK);
    assert_string_equal(config.redis.password, "hush");
    then_printed(setting("redis"), &config,
                 "redis = redis://h:1/2\n"
                 "# and its user and password, which are not shown\n");
}

static void test_find_knows_whole_names_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        assert_ptr_equal(setting_find(settings[i].name), &settings[i]);
    }
    assert_null(setting_find("redi"));
    assert_null(setting_find("redis-"));
    assert_null(setting_find(""));
}

static void test_nearest_finds_what_was_meant(void **state)
{
    (void)state;
    const struct {
        const char *name;
        const char *want;
    } rows[] = {
        {"listn", "listen"},
        {"lisetn", "listen"},
        {"LISTEN", "listen"},
        {"rediss", "redis"},
        {"ping_interval_ms", "ping-interval-ms"},
        {"ping-interval", "ping-interval-ms"},
        {"loglevel", "log-level"},
        {"message-max-size", NULL},
        {"verbose", NULL},
        {"", NULL},
        {"listenlistenlistenlistenlistenlistenlisten", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct setting *nearest = setting_nearest(rows[i].name);
        if (rows[i].want == NULL) {
            assert_null(nearest);
        } else {
            assert_non_null(nearest);
            assert_string_equal(nearest->name, rows[i].want);
        }
    }
}

static void test_environment_name_is_upper_case(void **state)
{
    (void)state;
    char name[SETTING_NAME_SIZE_MAX];

    setting_environment_name(setting("redis-timeout-ms"), name);

    assert_string_equal(name, "CHATD_REDIS_TIMEOUT_MS");
}

static void test_node_name_is_made_from_host_and_port(void **state)
{
    (void)state;
    const struct {
        const char *host;
        uint16_t port;
        const char *want;
    } rows[] = {
        {"web1", 9502, "web1-9502"},
        {"web1.example.org", 1, "web1-example-org-1"},
        {"a b_c\xc3\xa9", 80, "a-b_c---80"},
        {"0123456789012345678", 9502, "0123456789012345678-9502"},
        {"x0123456789012345678", 9502, "0123456789012345678-9502"},
        {"x012345678901234567", 65535, "012345678901234567-65535"},
        {"", 7, "-7"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *name = malloc(NODE_NAME_SIZE_MAX + 1); /* for AddressSanitizer: not a byte more */
        assert_non_null(name);

        node_name_make(rows[i].host, rows[i].port, name);

        assert_string_equal(name, rows[i].want);
        assert_true(is_allowed("node-name", name));
        free(name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_have_their_default_and_range),
        cmocka_unit_test(test_numbers_are_decimal_digits_only),
        cmocka_unit_test(test_listen_reads_host_and_port),
        cmocka_unit_test(test_listen_when_not_an_address_is_refused),
        cmocka_unit_test(test_node_name_is_a_short_word),
        cmocka_unit_test(test_features_are_a_list_or_none),
        cmocka_unit_test(test_features_when_unknown_or_misspelt_are_refused),
        cmocka_unit_test(test_broadcasters_are_uids_with_commas_between),
        cmocka_unit_test(test_broadcasters_when_too_many_or_too_long_are_refused),
        cmocka_unit_test(test_log_level_is_one_of_four),
        cmocka_unit_test(test_yes_or_no),
        cmocka_unit_test(test_parse_when_not_allowed_leaves_config_untouched),
        cmocka_unit_test(test_problem_says_what_was_given_and_what_is_allowed),
        cmocka_unit_test(test_problem_of_redis_quotes_nothing),
        cmocka_unit_test(test_redis_is_printed_without_user_and_password),
        cmocka_unit_test(test_find_knows_whole_names_only),
        cmocka_unit_test(test_nearest_finds_what_was_meant),
        cmocka_unit_test(test_environment_name_is_upper_case),
        cmocka_unit_test(test_node_name_is_made_from_host_and_port),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
