/* The value of --redis. Each input also as a heap copy of the exact size, so that ASan sees a
 * byte read too far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/redis_url.h"

struct good {
    int line;
    const char *url;
    const char *host;
    const char *port;
    const char *path;
    const char *user;
    const char *password;
    int database;
    const char *printed;
};

static const struct good good[] = {
    {__LINE__, "redis://localhost", "localhost", "6379", "", "", "", 0, "redis://localhost:6379/0"},
    {__LINE__, "redis://h:1/", "h", "1", "", "", "", 0, "redis://h:1/0"},
    {__LINE__, "redis://h:/2", "h", "6379", "", "", "", 2, "redis://h:6379/2"},
    {__LINE__, "redis://h:65535/15", "h", "65535", "", "", "", 15, "redis://h:65535/15"},
    {__LINE__, "redis://:s3cret@h", "h", "6379", "", "", "s3cret", 0, "redis://h:6379/0"},
    {__LINE__, "redis://bob:s%40:%2Fx@h:7/1", "h", "7", "", "bob", "s@:/x", 1, "redis://h:7/1"},
    {__LINE__, "redis://[::1]:7000/3", "::1", "7000", "", "", "", 3, "redis://[::1]:7000/3"},
    {__LINE__, "redis://u:p@[fe80::1%eth0]", "fe80::1%eth0", "6379", "", "u", "p", 0,
     "redis://[fe80::1%eth0]:6379/0"},
    {__LINE__, "unix:///tmp/r.sock", "", "", "/tmp/r.sock", "", "", 0,
     "redis+unix:///tmp/r.sock?db=0"},
    {__LINE__, "redis+unix://:pw@/tmp/a@b?db=9", "", "", "/tmp/a@b", "", "pw", 9,
     "redis+unix:///tmp/a@b?db=9"},
};

static const char *const bad[] = {
    "",
    "localhost",
    "http://h",
    "rediss://h",
    "redis://",
    "redis://:6379",
    "redis://h:0",
    "redis://h:65536",
    "redis://h:99999999999999999999",
    "redis://h:12a",
    "redis://h:-1",
    "redis://h/x",
    "redis://h/-1",
    "redis://h/99999999999",
    "redis://h/0?x=1",
    "redis://h h",
    "redis://::1",
    "redis://[::1",
    "redis://[::1]x",
    "redis://secret@h",
    "redis://u:@h",
    "redis://u:p%4@h",
    "redis://u:p%zz@h",
    "redis://u:p%00@h",
    "redis://u:p@q@h",
    "unix://",
    "unix:///",
    "unix://tmp/r.sock",
    "unix:///tmp/r?db=",
    "unix:///tmp/r?db=x",
    "unix:///tmp/r?timeout=1",
    "unix:///"
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
    "89012345678901234567890",
};

static enum err parse_copy(const char *url, struct redis_url *out, const char **why)
{
    size_t len = str_of(url).len;
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, url, len);
    enum err err = redis_url_parse((struct str){copy, len}, out, why);
    free(copy);
    return err;
}

/* Every form that the header names, and what is printed of it: never the login. */
static void test_good_urls_are_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct redis_url url;
        const char *why = NULL;
        char printed[REDIS_URL_SIZE_MAX];
        print_message("line %d: %s\n", good[i].line, good[i].url);
        assert_int_equal(parse_copy(good[i].url, &url, &why), ERR_OK);
        assert_string_equal(url.host, good[i].host);
        assert_string_equal(url.port, good[i].port);
        assert_string_equal(url.path, good[i].path);
        assert_string_equal(url.user, good[i].user);
        assert_string_equal(url.password, good[i].password);
        assert_int_equal(url.database, good[i].database);
        redis_url_print(&url, printed);
        assert_string_equal(printed, good[i].printed);
    }
}

/* What is wrong is said, and the result untouched. */
static void test_bad_urls_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct redis_url url = {.database = 77};
        const char *why = NULL;
        print_message("%s\n", bad[i]);
        assert_int_equal(parse_copy(bad[i], &url, &why), ERR_INVALID);
        assert_non_null(why);
        assert_null(strstr(why, "secret"));
        assert_int_equal(url.database, 77);
    }
}

static void test_tls_is_refused_by_name(void **state)
{
    (void)state;
    struct redis_url url;
    const char *why = NULL;

    assert_int_equal(parse_copy("rediss://h", &url, &why), ERR_INVALID);

    assert_non_null(strstr(why, "TLS"));
}

static void test_url_that_is_too_long_is_refused(void **state)
{
    (void)state;
    static char text[REDIS_URL_SIZE_MAX + 1] = "redis://u:";
    struct redis_url url;
    const char *why = NULL;
    memset(text + 10, 'p', sizeof text - 11);

    assert_int_equal(parse_copy(text, &url, &why), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_urls_are_taken_apart),
        cmocka_unit_test(test_bad_urls_are_refused),
        cmocka_unit_test(test_tls_is_refused_by_name),
        cmocka_unit_test(test_url_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests_name("redis_url", tests, NULL, NULL);
}
