#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "chat/log.h"

/* While captured, stderr is one end of a socket that keeps the boundaries of writes: each read
 * gives what one write(2) wrote. */
static int saved_stderr;
static int reading_end;

static void capture(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    reading_end = fds[0];
    saved_stderr = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
}

/* Ends the capture. 'out' has the first write, terminated; returns how many there were. */
static int captured(char *out, size_t size)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    int n_writes = 0;
    char more[16];
    out[0] = '\0';
    ssize_t n;
    while ((n = n_writes == 0 ? read(reading_end, out, size - 1)
                              : read(reading_end, more, sizeof more)) > 0) {
        if (n_writes++ == 0) {
            out[n] = '\0';
        }
    }
    close(reading_end);
    return n_writes;
}

/* Takes the place of the C library's: the wall clock is the machine's until it is moved by hand. */
static struct timespec wall_clock;

int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (clock == CLOCK_REALTIME && wall_clock.tv_sec != 0) {
        *out = wall_clock;
        return 0;
    }
    return (int)syscall(SYS_clock_gettime, clock, out);
}

static void then_matches(const char *line, const char *pattern)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&regex, line, 0, NULL, 0) != 0) {
        fail_msg("\"%s\" does not match %s", line, pattern);
    }
    regfree(&regex);
}

#define TIME "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "

static int reset_clock(void **state)
{
    (void)state;
    wall_clock.tv_sec = 0;
    return 0;
}

static int reset_level(void **state)
{
    (void)state;
    log_set_level(LOG_INFO);
    return 0;
}

static void test_line_is_one_write_of_time_level_event_pairs(void **state)
{
    (void)state;
    char line[8192];
    capture();
    log_line(LOG_WARN, "redis_lost", "address=%s:%d reason=%s", "127.0.0.1", 6379,
             log_value("connection refused"));
    int n_writes = captured(line, sizeof line);

    assert_int_equal(n_writes, 1);
    then_matches(line, TIME "warn redis_lost address=127\\.0\\.0\\.1:6379 "
                            "reason=\"connection refused\"\n$");
}

static void test_line_without_pairs_ends_behind_the_event(void **state)
{
    (void)state;
    char line[8192];
    capture();
    log_line(LOG_INFO, "stopped", NULL);
    assert_int_equal(captured(line, sizeof line), 1);
    then_matches(line, TIME "info stopped\n$");
}

/* Whatever the time zone, the line says UTC, and now. */
static void test_time_is_now_in_utc(void **state)
{
    (void)state;
    setenv("TZ", "JST-9", 1);
    tzset();
    char line[8192];
    time_t before = time(NULL);
    capture();
    log_line(LOG_ERROR, "event", NULL);
    captured(line, sizeof line);
    time_t after = time(NULL);
    unsetenv("TZ");

    then_matches(line, TIME "error event\n$");
    struct tm tm = {0};
    assert_non_null(strptime(line, "%Y-%m-%dT%H:%M:%S", &tm));
    assert_in_range(timegm(&tm), before, after);
}

/* Only what is as grave as the level, or graver, is written. */
static void test_level_decides(void **state)
{
    (void)state;
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        log_set_level((enum log_level)level);
        for (int of_line = LOG_ERROR; of_line <= LOG_DEBUG; of_line++) {
            char line[8192];
            capture();
            log_line((enum log_level)of_line, "event", "level=%d", of_line);
            int n_writes = captured(line, sizeof line);
            assert_int_equal(n_writes, of_line <= level);
            assert_int_equal(log_enabled((enum log_level)of_line), of_line <= level);
        }
    }
}

static void test_level_is_info_at_first(void **state)
{
    (void)state;
    assert_true(log_enabled(LOG_INFO));
    assert_false(log_enabled(LOG_DEBUG));
}

/* A line that is too long is cut, says so, and is still one line. */
static void test_long_line_is_cut(void **state)
{
    (void)state;
    static char text[6000];
    memset(text, 'x', sizeof text - 1);
    char line[8192];
    wall_clock.tv_sec = 1000000000;
    for (size_t len = 4000; len < sizeof text; len++) {
        wall_clock.tv_sec++; /* lest there be too many lines in one second */
        text[len] = '\0';
        capture();
        log_line(LOG_INFO, "event", "text=%s", text);
        assert_int_equal(captured(line, sizeof line), 1);
        text[len] = 'x';
        size_t written = strlen(line);
        assert_in_range(written, 4000, 4100);
        assert_ptr_equal(strchr(line, '\n'), line + written - 1);
        if (strstr(line, "...\n") != NULL) {
            break; /* from here on all are cut in the same place */
        }
        assert_non_null(strstr(line, "x\n"));
        assert_int_equal(strspn(strchr(line, '=') + 1, "x"), len);
    }
    capture();
    log_line(LOG_INFO, "event", "text=%s", text);
    captured(line, sizeof line);
    then_matches(line, TIME "info event text=x+\\.\\.\\.\n$");
}

/* Nothing from outside can begin a new line, end the quotes, or hide. */
static void test_value_is_escaped(void **state)
{
    (void)state;
    static const struct {
        int line;
        const char *name, *input, *want;
    } rows[] = {
        {__LINE__, "empty", "", "\"\""},
        {__LINE__, "plain", "a b=c ~", "\"a b=c ~\""},
        {__LINE__, "quote", "a\"b", "\"a\\\"b\""},
        {__LINE__, "backslash", "a\\b", "\"a\\\\b\""},
        {__LINE__, "line feed", "a\nb", "\"a\\x0ab\""},
        {__LINE__, "escape, DEL", "\x1b\x7f", "\"\\x1b\\x7f\""},
        {__LINE__, "not ASCII", "\xE4\xB8\xAD", "\"\\xe4\\xb8\\xad\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *got = log_value(rows[i].input);
        if (strcmp(got, rows[i].want) != 0) {
            fail_msg("line %d (%s): %s", rows[i].line, rows[i].name, got);
        }
    }
}

/* 200 bytes are shown, of 201 it is said that some are missing; also if each takes the most
 * room. */
static void test_value_is_cut_after_200_bytes(void **state)
{
    (void)state;
    char text[300];
    memset(text, '\x01', sizeof text);
    text[200] = '\0';
    assert_int_equal(strlen(log_value(text)), 2 + 200 * 4);
    text[200] = '\x01';
    text[201] = '\0';
    const char *cut = log_value(text);
    assert_int_equal(strlen(cut), 2 + 200 * 4 + 3);
    assert_string_equal(cut + 1 + 200 * 4, "...\"");
}

static void test_four_values_live_at_once(void **state)
{
    (void)state;
    const char *a = log_value("a");
    const char *b = log_value("b");
    const char *c = log_value("c");
    const char *d = log_value("d");
    assert_string_equal(a, "\"a\"");
    assert_string_equal(b, "\"b\"");
    assert_string_equal(c, "\"c\"");
    assert_string_equal(d, "\"d\"");
}

static int count_written(unsigned n_lines, const char *event, char *first, size_t size)
{
    capture();
    for (unsigned i = 0; i < n_lines; i++) {
        log_line(LOG_WARN, event, "number=%u", i);
    }
    return captured(first, size);
}

/* A peer that can make us write a line cannot make us write a million; others are not affected. */
static void test_lines_of_one_event_are_limited_and_counted(void **state)
{
    (void)state;
    char line[8192];
    wall_clock.tv_sec = 1000000000;

    assert_int_equal(count_written(LOG_LINES_PER_S_MAX + 7, "much", line, sizeof line),
                     LOG_LINES_PER_S_MAX);
    assert_int_equal(count_written(1, "rare", line, sizeof line), 1);

    wall_clock.tv_sec++;
    assert_int_equal(count_written(1, "much", line, sizeof line), 2);
    then_matches(line, "warn log_lines_left_out event=much count=7\n$");
}

/* The count is told also if the event does not come again, and not before the second is over. */
static void test_what_was_left_out_is_told_later(void **state)
{
    (void)state;
    char line[8192];
    wall_clock.tv_sec = 1000000100;
    count_written(LOG_LINES_PER_S_MAX + 1, "much", line, sizeof line);
    capture();
    log_tell_left_out();
    assert_int_equal(captured(line, sizeof line), 0);

    wall_clock.tv_sec++;
    capture();
    log_tell_left_out();
    log_tell_left_out();

    assert_int_equal(captured(line, sizeof line), 1);
    then_matches(line, "warn log_lines_left_out event=much count=1\n$");
}

/* Whoever asks for details gets all of them. */
static void test_debug_is_not_limited(void **state)
{
    (void)state;
    char line[8192];
    wall_clock.tv_sec = 1000000200;
    log_set_level(LOG_DEBUG);
    capture();
    for (int i = 0; i < 2 * LOG_LINES_PER_S_MAX; i++) {
        log_line(LOG_DEBUG, "detail", NULL);
    }
    log_set_level(LOG_INFO);
    assert_int_equal(captured(line, sizeof line), 2 * LOG_LINES_PER_S_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level_is_info_at_first), /* first: before any level is set */
        cmocka_unit_test(test_line_is_one_write_of_time_level_event_pairs),
        cmocka_unit_test(test_line_without_pairs_ends_behind_the_event),
        cmocka_unit_test(test_time_is_now_in_utc),
        cmocka_unit_test_teardown(test_level_decides, reset_level),
        cmocka_unit_test_teardown(test_long_line_is_cut, reset_clock),
        cmocka_unit_test(test_value_is_escaped),
        cmocka_unit_test(test_value_is_cut_after_200_bytes),
        cmocka_unit_test(test_four_values_live_at_once),
        cmocka_unit_test_teardown(test_lines_of_one_event_are_limited_and_counted, reset_clock),
        cmocka_unit_test_teardown(test_what_was_left_out_is_told_later, reset_clock),
        cmocka_unit_test_teardown(test_debug_is_not_limited, reset_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
