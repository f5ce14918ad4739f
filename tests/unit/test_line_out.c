/* Lines to readers that are slow, away, or share the descriptor: nothing waits, no line is torn.
 *
 * Each test runs in a child whose stderr is what is under test; a call that waits is ended by
 * SIGALRM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "chat/line_out.h"
#include "chat/log.h"

enum {
    PATIENCE_S = 20,
    TEXT_SIZE = 1024 * 1024
};

static bool nothing_opens; /* as without /proc, or without permission */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
    if (nothing_opens) {
        errno = EACCES;
        return -1;
    }
    return __real_open(path, flags, 0);
}

struct ends {
    int reader;
    int writer;
};

static struct ends pipe_ends(void)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    return (struct ends){fds[0], fds[1]};
}

static struct ends stream_ends(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    return (struct ends){fds[0], fds[1]};
}

static struct ends terminal_ends(void)
{
    struct ends ends = {.reader = posix_openpt(O_RDWR | O_NOCTTY)};
    assert_true(ends.reader >= 0);
    assert_int_equal(grantpt(ends.reader), 0);
    assert_int_equal(unlockpt(ends.reader), 0);
    ends.writer = open(ptsname(ends.reader), O_RDWR | O_NOCTTY);
    assert_true(ends.writer >= 0);
    struct termios raw;
    assert_int_equal(tcgetattr(ends.writer, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(ends.writer, TCSANOW, &raw), 0);
    return ends;
}

/* Runs call() with 'fd' as its stderr. Returns what it returns, or 128 and the signal that ended
 * it. */
static int in_child(int fd, int (*call)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGPIPE, SIG_IGN);
        alarm(PATIENCE_S);
        dup2(fd, STDERR_FILENO);
        line_out_never_wait();
        _exit(call());
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The reader's end, made non-blocking, until it is empty. */
static size_t read_all(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t n;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0) {
        len += (size_t)n;
    }
    text[len] = '\0';
    return len;
}

static size_t n_x(int number)
{
    return (size_t)number * 37 % 900;
}

static bool write_numbered(int number)
{
    char line[LINE_OUT_SIZE_MAX];
    int n = snprintf(line, sizeof line, "%d ", number);
    memset(line + n, 'x', n_x(number));
    memcpy(line + n + n_x(number), "|\n", 2);
    return line_out_write(STDERR_FILENO, line, (size_t)n + n_x(number) + 2);
}

/* Lines of different lengths, from 'number' on. Returns the number that found no room. */
static int write_until_full(int number)
{
    while (write_numbered(number)) {
        number++;
    }
    return number;
}

/* Every line is whole, and the numbers follow each other. Returns how many there are. */
static int then_lines_are_whole(char *text)
{
    int number = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        size_t start = strspn(line, "0123456789 ");
        assert_int_equal(atoi(line), number);
        assert_int_equal(strspn(line + start, "x"), n_x(number));
        assert_string_equal(line + start + n_x(number), "|");
        number++;
    }
    return number;
}

static struct ends ends; /* of the test that runs */
static char text[TEXT_SIZE];

/* Fills it twice, with a reader in between: 0 if all that was taken has arrived whole. */
static int fill_and_read(void)
{
    int n = write_until_full(0);
    if (n == 0) {
        return 1;
    }
    size_t len = read_all(ends.reader, text, sizeof text);
    n = write_until_full(n);
    len += read_all(ends.reader, text + len, sizeof text - len);
    /* The rest of a line that was taken in part comes before the next. */
    if (!write_numbered(n)) {
        return 2;
    }
    read_all(ends.reader, text + len, sizeof text - len);
    return then_lines_are_whole(text) == n + 1 ? 0 : 3;
}

static void then_never_waits_nor_tears(struct ends these)
{
    ends = these;
    int flags = fcntl(ends.writer, F_GETFL);

    assert_int_equal(in_child(ends.writer, fill_and_read), 0);

    assert_int_equal(fcntl(ends.writer, F_GETFL), flags); /* it is not ours alone */
    close(ends.reader);
    close(ends.writer);
}

static void test_full_pipe(void **state)
{
    (void)state;
    then_never_waits_nor_tears(pipe_ends());
}

static void test_full_pipe_that_cannot_be_opened_anew(void **state)
{
    (void)state;
    struct ends these = pipe_ends();
    nothing_opens = true;
    then_never_waits_nor_tears(these);
    nothing_opens = false;
}

static void test_full_socket(void **state)
{
    (void)state;
    then_never_waits_nor_tears(stream_ends());
}

static void test_terminal_that_nobody_reads(void **state)
{
    (void)state;
    then_never_waits_nor_tears(terminal_ends());
}

static int write_one(void)
{
    return line_out_write(STDERR_FILENO, "line\n", 5);
}

/* Somebody else has filled it, as the processes do that write to one pipe. */
static void test_pipe_that_others_have_filled(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct ends these = pipe_ends();
        fcntl(these.writer, F_SETFL, O_NONBLOCK);
        while (write(these.writer, "xxxxxxxx", 8) > 0) {
        }
        fcntl(these.writer, F_SETFL, 0);
        nothing_opens = i == 1;
        assert_int_equal(in_child(these.writer, write_one), 0);
        nothing_opens = false;
        close(these.reader);
        close(these.writer);
    }
}

static void test_pipe_without_a_reader(void **state)
{
    (void)state;
    struct ends these = pipe_ends();
    close(these.reader);
    assert_int_equal(in_child(these.writer, write_one), 0);
    close(these.writer);
}

static void test_socket_without_a_peer(void **state)
{
    (void)state;
    struct ends these = stream_ends();
    close(these.reader);
    assert_int_equal(in_child(these.writer, write_one), 0);
    close(these.writer);
}

static void test_full_disk(void **state)
{
    (void)state;
    int fd = open("/dev/full", O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(in_child(fd, write_one), 0);
    close(fd);
}

static int fill_file_and_go_on(void)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {.rlim_cur = 1000, .rlim_max = RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
    int n = write_until_full(0);
    limit.rlim_cur = 3000;
    setrlimit(RLIMIT_FSIZE, &limit);
    n = write_until_full(n);
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    return line_out_write(STDERR_FILENO, "end\n", 4) ? n : 0;
}

/* A file that takes a part of a line gets the rest of it when there is space again. */
static void test_file_that_has_no_space_for_a_while(void **state)
{
    (void)state;
    char path[] = "/tmp/test_line_out-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);

    int n = in_child(fd, fill_file_and_go_on);

    assert_in_range(n, 2, 100);
    ssize_t len = pread(fd, text, sizeof text - 1, 0);
    assert_true(len > 3000);
    text[len] = '\0';
    char *end = strstr(text, "\nend\n");
    assert_non_null(end);
    *end = '\0';
    assert_int_equal(then_lines_are_whole(text), n);
    close(fd);
}

/* Not a byte more. */
static void fill(void)
{
    write_until_full(0);
    while (line_out_write(STDERR_FILENO, "\n", 1)) {
    }
}

static int log_into_full(void)
{
    fill();
    log_line(LOG_WARN, "first", NULL);
    log_line(LOG_DEBUG, "not_wanted", NULL);
    log_line(LOG_WARN, "second", NULL);
    log_tell_left_out();
    read_all(ends.reader, text, sizeof text);
    log_tell_left_out();
    log_tell_left_out();
    log_line(LOG_WARN, "third", NULL);
    return 0;
}

/* The log says how many lines it has not, as soon as it can, once, and before any other. */
static void test_log_counts_what_it_dropped(void **state)
{
    (void)state;
    ends = pipe_ends();

    assert_int_equal(in_child(ends.writer, log_into_full), 0);

    read_all(ends.reader, text, sizeof text);
    const char *dropped = strstr(text, " warn log_lines_dropped count=2\n");
    assert_non_null(dropped);
    const char *third = strstr(text, " warn third\n");
    assert_true(third > dropped);
    assert_null(strstr(dropped + strlen(" warn log_lines_dropped"), "log_lines_dropped"));
    assert_null(strstr(text, " first"));
    assert_null(strstr(text, " second"));
    close(ends.reader);
    close(ends.writer);
}

static int die_when_full(void)
{
    fill();
    line_out_die("out of %s", "luck");
}

/* What cannot go on must not wait for a reader, either. */
static void test_death_does_not_wait(void **state)
{
    (void)state;
    struct ends these = pipe_ends();
    assert_int_equal(in_child(these.writer, die_when_full), 128 + SIGABRT);
    close(these.reader);
    close(these.writer);
}

static int fail_when_full(void)
{
    fill();
    return line_out_write(STDERR_FILENO, "", 0); /* asserts that there is something */
}

static void test_failed_assert_does_not_wait(void **state)
{
    (void)state;
    struct ends these = pipe_ends();
    assert_int_equal(in_child(these.writer, fail_when_full), 128 + SIGABRT);
    close(these.reader);
    close(these.writer);
}

static int die_long(void)
{
    line_out_die("%s%4093s", "long ", "x");
}

static void test_death_says_why_in_one_line(void **state)
{
    (void)state;
    struct ends these = pipe_ends();
    assert_int_equal(in_child(these.writer, die_long), 128 + SIGABRT);
    assert_int_equal(read_all(these.reader, text, sizeof text), LINE_OUT_SIZE_MAX);
    assert_memory_equal(text, "chatd: long ", 12);
    assert_int_equal(text[LINE_OUT_SIZE_MAX - 1], '\n');
    close(these.reader);
    close(these.writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_pipe),
        cmocka_unit_test(test_full_pipe_that_cannot_be_opened_anew),
        cmocka_unit_test(test_full_socket),
        cmocka_unit_test(test_terminal_that_nobody_reads),
        cmocka_unit_test(test_pipe_that_others_have_filled),
        cmocka_unit_test(test_pipe_without_a_reader),
        cmocka_unit_test(test_socket_without_a_peer),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_file_that_has_no_space_for_a_while),
        cmocka_unit_test(test_log_counts_what_it_dropped),
        cmocka_unit_test(test_death_does_not_wait),
        cmocka_unit_test(test_failed_assert_does_not_wait),
        cmocka_unit_test(test_death_says_why_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
