/* The listening socket: where it listens, what it accepts, and what it does when descriptors run
 * out. */
#include "transport_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chat/log.h"
#include "log_capture.h"
#include "transport/listener.h"

enum {
    ACCEPTED_MAX = 400,
    PAUSE_MS = 100 /* listener.c */
};

struct accepted {
    int sockets[ACCEPTED_MAX];
    size_t n;
    size_t n_wanted;
};

static void on_accepted(void *ctx, int socket)
{
    struct accepted *accepted = ctx;
    assert_true(accepted->n < ACCEPTED_MAX);
    accepted->sockets[accepted->n++] = socket;
}

static bool all_accepted(void *ctx)
{
    const struct accepted *accepted = ctx;
    return accepted->n == accepted->n_wanted;
}

static void then_accepted(struct fixture *f, struct accepted *accepted, size_t n)
{
    accepted->n_wanted = n;
    assert_true(run_until(f, all_accepted, accepted));
    for (size_t i = 0; i < n; i++) {
        close(accepted->sockets[i]);
    }
    accepted->n = 0;
}

/* The one that the test made, so that it is destroyed also when the test fails. */
static struct listener *listener;

static int teardown(void **state)
{
    listener_destroy(listener);
    listener = NULL;
    return transport_teardown(state);
}

static void given_listener(struct fixture *f, const char *host)
{
    assert_int_equal(listener_create(f->loop, host, 0, false, &listener), ERR_OK);
    assert_true(listener_port(listener) > 0);
}

static int new_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static void when_connects(int fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(listener_port(listener)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
}

static void test_nothing_is_accepted_before_start(void **state)
{
    struct fixture *f = *state;
    given_listener(f, "127.0.0.1");
    struct accepted accepted = {.n = 0};
    int fd = new_socket(AF_INET);
    when_connects(fd);
    run_for(f, 20);
    assert_int_equal(accepted.n, 0);

    listener_start(listener, on_accepted, &accepted);

    then_accepted(f, &accepted, 1);
    close(fd);
}

static void test_accepted_socket_does_not_block_nor_delay_nor_leak(void **state)
{
    struct fixture *f = *state;
    given_listener(f, "127.0.0.1");
    struct accepted accepted = {.n_wanted = 1};
    listener_start(listener, on_accepted, &accepted);
    int fd = new_socket(AF_INET);

    when_connects(fd);

    assert_true(run_until(f, all_accepted, &accepted));
    int no_delay = 0;
    socklen_t size = sizeof no_delay;
    assert_int_equal(getsockopt(accepted.sockets[0], IPPROTO_TCP, TCP_NODELAY, &no_delay, &size),
                     0);
    assert_true(no_delay != 0);
    assert_true((fcntl(accepted.sockets[0], F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(accepted.sockets[0], F_GETFD) & FD_CLOEXEC) != 0);
    then_accepted(f, &accepted, 1);
    close(fd);
}

static int buffer_size(int fd, int which)
{
    int size = 0;
    socklen_t len = sizeof size;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, which, &size, &len), 0);
    return size;
}

/* Or the kernel would keep megabytes for each peer that does not read: [WS-12]. */
static void test_accepted_socket_has_buffers_that_do_not_grow(void **state)
{
    struct fixture *f = *state;
    given_listener(f, "127.0.0.1");
    struct accepted accepted = {.n_wanted = 1};
    listener_start(listener, on_accepted, &accepted);
    int fd = new_socket(AF_INET);

    when_connects(fd);

    assert_true(run_until(f, all_accepted, &accepted));
    assert_in_range(buffer_size(accepted.sockets[0], SO_SNDBUF), 65536, 262144);
    assert_in_range(buffer_size(accepted.sockets[0], SO_RCVBUF), 65536, 262144);
    then_accepted(f, &accepted, 1);
    close(fd);
}

/* More than are accepted in one turn. */
static void test_storm_is_accepted_to_the_last(void **state)
{
    struct fixture *f = *state;
    given_listener(f, "127.0.0.1");
    struct accepted accepted = {.n = 0};
    int fds[300];
    for (size_t i = 0; i < 300; i++) {
        fds[i] = new_socket(AF_INET);
        when_connects(fds[i]);
    }

    listener_start(listener, on_accepted, &accepted);

    then_accepted(f, &accepted, 300);
    for (size_t i = 0; i < 300; i++) {
        close(fds[i]);
    }
}

static void test_ipv6(void **state)
{
    struct fixture *f = *state;
    given_listener(f, "::1");
    struct accepted accepted = {.n = 0};
    listener_start(listener, on_accepted, &accepted);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                   .sin6_port = htons(listener_port(listener)),
                                   .sin6_addr = in6addr_loopback};
    int fd = new_socket(AF_INET6);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);

    then_accepted(f, &accepted, 1);
    close(fd);
}

static void then_cannot_listen(struct fixture *f, const char *host, uint16_t port, const char *why)
{
    struct listener *other = NULL;
    struct log_capture log;
    log_capture_begin(&log);
    enum err err = listener_create(f->loop, host, port, false, &other);
    log_capture_end(&log);
    assert_int_equal(err, ERR_IO);
    assert_null(other);
    if (strstr(log.text, "error cannot_listen") == NULL || strstr(log.text, why) == NULL) {
        fail_msg("wanted %s, was logged: %s", why, log.text);
    }
}

static void test_listening_where_it_cannot_is_an_error_that_is_logged(void **state)
{
    struct fixture *f = *state;
    given_listener(f, "127.0.0.1");

    then_cannot_listen(f, "127.0.0.1", listener_port(listener), "Address already in use");
    then_cannot_listen(f, "192.0.2.1", 0, "Cannot assign requested address");
    then_cannot_listen(f, "chat.example.org", 0, "host=\"chat.example.org\"");
}

/* More cores: as many sockets on one port as processes say so, and the kernel deals connections
 * out; whoever does not say so stays out. */
static void test_port_that_is_shared(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(listener_create(f->loop, "127.0.0.1", 0, true, &listener), ERR_OK);
    uint16_t port = listener_port(listener);
    struct listener *second = NULL;
    struct accepted accepted = {.n = 0};
    int fds[50];
    then_cannot_listen(f, "127.0.0.1", port, "Address already in use");

    assert_int_equal(listener_create(f->loop, "127.0.0.1", port, true, &second), ERR_OK);

    struct accepted by_second = {.n = 0};
    listener_start(listener, on_accepted, &accepted);
    listener_start(second, on_accepted, &by_second);
    for (size_t i = 0; i < 50; i++) {
        fds[i] = new_socket(AF_INET);
        when_connects(fds[i]);
    }
    run_for(f, 50);
    listener_destroy(second);
    assert_int_equal(accepted.n + by_second.n, 50);
    assert_true(accepted.n > 0 && by_second.n > 0);
    then_accepted(f, &accepted, accepted.n);
    then_accepted(f, &by_second, by_second.n);
    for (size_t i = 0; i < 50; i++) {
        close(fds[i]);
    }
}

static size_t count_lines(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        n++;
    }
    return n;
}

/* From now on the kernel gives out no more descriptors. Returns the limit of before. */
static rlim_t given_no_descriptors(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    int next = dup(STDERR_FILENO);
    close(next);
    limit.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void given_descriptors(rlim_t n)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = n;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* EMFILE: a pause, not a spin; and whoever waits is accepted when there are descriptors again. */
static void test_out_of_descriptors_pauses_and_recovers(void **state)
{
    struct fixture *f = *state;
    given_listener(f, "127.0.0.1");
    struct accepted accepted = {.n = 0};
    int fd = new_socket(AF_INET);
    when_connects(fd);
    struct log_capture log;
    log_capture_begin(&log);
    log_set_level(LOG_WARN);
    rlim_t before = given_no_descriptors();

    uint64_t before_ms = clock_ms();
    listener_start(listener, on_accepted, &accepted);
    run_for(f, 250);
    uint64_t took_ms = clock_ms() - before_ms;

    given_descriptors(before);
    log_capture_end(&log);
    assert_int_equal(accepted.n, 0);
    assert_in_range(count_lines(log.text, "warn accept_failed"), 2, 1 + took_ms / PAUSE_MS);
    then_accepted(f, &accepted, 1);
    close(fd);
}

static void test_destroyed_while_it_pauses(void **state)
{
    struct fixture *f = *state;
    given_listener(f, "127.0.0.1");
    struct accepted accepted = {.n = 0};
    int fd = new_socket(AF_INET);
    when_connects(fd);
    rlim_t before = given_no_descriptors();
    listener_start(listener, on_accepted, &accepted);
    run_for(f, 20);
    given_descriptors(before);

    listener_destroy(listener);
    listener = NULL;

    run_for(f, 150);
    assert_int_equal(accepted.n, 0);
    close(fd);
}

static void test_destroyed_frees_the_port(void **state)
{
    struct fixture *f = *state;
    given_listener(f, "127.0.0.1");
    uint16_t port = listener_port(listener);

    listener_destroy(listener);

    assert_int_equal(listener_create(f->loop, "127.0.0.1", port, false, &listener), ERR_OK);
    assert_int_equal(listener_port(listener), port);
    listener_destroy(NULL);
}

#define LISTENER_TEST(test) cmocka_unit_test_setup_teardown(test, transport_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LISTENER_TEST(test_nothing_is_accepted_before_start),
        LISTENER_TEST(test_accepted_socket_does_not_block_nor_delay_nor_leak),
        LISTENER_TEST(test_accepted_socket_has_buffers_that_do_not_grow),
        LISTENER_TEST(test_storm_is_accepted_to_the_last),
        LISTENER_TEST(test_ipv6),
        LISTENER_TEST(test_listening_where_it_cannot_is_an_error_that_is_logged),
        LISTENER_TEST(test_port_that_is_shared),
        LISTENER_TEST(test_out_of_descriptors_pauses_and_recovers),
        LISTENER_TEST(test_destroyed_while_it_pauses),
        LISTENER_TEST(test_destroyed_frees_the_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
