/* The transport's life: whom it lets in, for how long a handshake may take, how it stops. */
#include "transport_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "chat/log.h"
#include "log_capture.h"
#include "transport/state.h"

/* libwebsockets' calls, which a test makes fail: the linker puts these in their place (--wrap). */
struct lws_context *__real_lws_create_context(const struct lws_context_creation_info *info);
struct lws_context *__wrap_lws_create_context(const struct lws_context_creation_info *info);
struct lws_vhost *__real_lws_create_vhost(struct lws_context *context,
                                          const struct lws_context_creation_info *info);
struct lws_vhost *__wrap_lws_create_vhost(struct lws_context *context,
                                          const struct lws_context_creation_info *info);
struct lws *__real_lws_adopt_descriptor_vhost_via_info(const lws_adopt_desc_t *info);
struct lws *__wrap_lws_adopt_descriptor_vhost_via_info(const lws_adopt_desc_t *info);

int __real_lws_service_fd(struct lws_context *context, struct lws_pollfd *ready);
int __wrap_lws_service_fd(struct lws_context *context, struct lws_pollfd *ready);

static bool context_fails;
static bool vhost_fails;
static bool adopt_fails;
static bool reads_nothing;

struct lws_context *__wrap_lws_create_context(const struct lws_context_creation_info *info)
{
    return context_fails ? NULL : __real_lws_create_context(info);
}

struct lws_vhost *__wrap_lws_create_vhost(struct lws_context *context,
                                          const struct lws_context_creation_info *info)
{
    return vhost_fails ? NULL : __real_lws_create_vhost(context, info);
}

struct lws *__wrap_lws_adopt_descriptor_vhost_via_info(const lws_adopt_desc_t *info)
{
    if (adopt_fails) {
        close(info->fd.sockfd); /* as libwebsockets does */
        return NULL;
    }
    return __real_lws_adopt_descriptor_vhost_via_info(info);
}

int __wrap_lws_service_fd(struct lws_context *context, struct lws_pollfd *ready)
{
    return reads_nothing ? 0 : __real_lws_service_fd(context, ready);
}

static void then_library_fails(struct fixture *f, const char *what)
{
    struct transport *transport = NULL;
    struct log_capture log;
    log_capture_begin(&log);
    enum err err = transport_create(f->loop, &f->options, &transport);
    log_capture_end(&log);
    assert_int_equal(err, ERR_IO);
    assert_null(transport);
    assert_non_null(strstr(log.text, what));
}

/* Nothing is left of it (AddressSanitizer looks), and the next attempt may succeed. */
static void test_create_when_libwebsockets_fails_is_an_error_that_is_logged(void **state)
{
    struct fixture *f = *state;

    context_fails = true;
    then_library_fails(f, "error libwebsockets_failed what=context");
    context_fails = false;
    vhost_fails = true;
    then_library_fails(f, "error libwebsockets_failed what=vhost");
    vhost_fails = false;

    given_server(f);
    then_nothing(given_client(f));
}

static void test_connection_that_libwebsockets_does_not_take_is_forgotten(void **state)
{
    struct fixture *f = *state;
    given_server(f);

    adopt_fails = true;
    struct client *client = given_tcp(f);
    when_sends_bytes(client, STR(UPGRADE));
    then_ended(client);
    adopt_fails = false;

    assert_int_equal(id_table_count(f->transport->connections), 0);
    then_nothing(given_client(f));
}

/* A libwebsockets that reads its sockets without recv() would accept forbidden frames. */
static void test_library_that_reads_in_another_way_serves_nobody(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct log_capture log;
    log_capture_begin(&log);

    reads_nothing = true;
    struct client *client = given_tcp(f);
    when_sends_bytes(client, STR(UPGRADE));
    bool has_ended = run_until(f, client_has_ended, client);
    reads_nothing = false;

    log_capture_end(&log);
    assert_true(has_ended);
    assert_int_equal(client->n_in, 0);
    assert_non_null(strstr(log.text, "error frames_unguarded library="));
    then_nothing(given_client(f));
}

enum {
    N_GONE = 20 /* more than libwebsockets parses heads at once */
};

/* Whoever resets the connection behind its head is no fault of the library's, and whoever comes in
 * the same turn is served. */
static void test_peers_that_are_gone_before_their_answer_are_no_error(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *gone[N_GONE];
    for (int i = 0; i < N_GONE; i++) {
        gone[i] = given_tcp(f);
    }
    struct client *stays = given_tcp(f);
    run_for(f, 20);
    assert_int_equal(handshakes_count(f->transport->handshakes), N_GONE + 1);
    struct log_capture log;
    log_capture_begin(&log);

    for (int i = 0; i < N_GONE; i++) {
        when_sends_bytes(gone[i], STR(UPGRADE));
        when_resets(gone[i]);
    }
    when_upgrades(stays);
    run_for(f, 20);

    log_capture_end(&log);
    assert_string_equal(log.text, "");
    then_nothing(stays);
    assert_int_equal(id_table_count(f->transport->connections), 1);
}

static void then_cannot_be_created(struct fixture *f, const char *host, uint16_t port)
{
    struct transport *transport = NULL;
    struct log_capture log;
    f->options.listen_host = host;
    f->options.listen_port = port;
    log_capture_begin(&log);
    enum err err = transport_create(f->loop, &f->options, &transport);
    log_capture_end(&log);
    assert_int_equal(err, ERR_IO);
    assert_null(transport);
    assert_non_null(strstr(log.text, "error cannot_listen"));
}

static void test_create_where_it_cannot_listen_is_an_error_that_is_logged(void **state)
{
    struct fixture *f = *state;
    given_server(f);

    then_cannot_be_created(f, "127.0.0.1", transport_port(f->transport));
    then_cannot_be_created(f, "not an address", 0);
}

static void test_destroyed_without_a_start(void **state)
{
    struct fixture *f = *state;
    struct transport *transport = NULL;
    assert_int_equal(transport_create(f->loop, &f->options, &transport), ERR_OK);
    assert_true(transport_port(transport) > 0);

    transport_destroy(transport);

    transport_destroy(NULL);
}

static void test_listens_but_accepts_nothing_before_start(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(transport_create(f->loop, &f->options, &f->transport), ERR_OK);
    struct client *client = given_tcp(f);
    when_sends_bytes(client, STR(UPGRADE));
    run_for(f, 20);
    client_read(client);
    assert_int_equal(client->n_in, 0);
    assert_int_equal(id_table_count(f->transport->connections), 0);

    transport_destroy(f->transport);
    f->transport = NULL;
}

static void test_one_too_many_is_told_so_in_http(void **state)
{
    struct fixture *f = *state;
    f->options.connections_max = 2;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    struct client *bob = given_user(f, "bob");

    struct client *third = given_tcp(f);
    when_sends_bytes(third, STR(UPGRADE));
    free(then_http(third, "HTTP/1.1 503 "));

    when_leaves(alice);
    then_n_signed(f, 1);
    struct client *fourth = given_user(f, "dave");
    then_nothing(fourth);
    then_nothing(bob);
}

/* As many as there are descriptors, less those that others need. */
static void test_more_connections_than_descriptors_are_lowered_with_a_warning(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 320;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    f->options.connections_max = 1000;
    struct log_capture log;
    log_set_level(LOG_WARN);
    log_capture_begin(&log);

    given_server(f);

    log_capture_end(&log);
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_non_null(strstr(log.text, "warn connections_max_lowered from=1000 to=192"));
    assert_int_equal(f->transport->connections_max, 192);
}

static void test_handshake_that_takes_too_long_is_dropped(void **state)
{
    struct fixture *f = *state;
    f->options.handshake_timeout_ms = 1000;
    given_server(f);
    uint64_t before_ms = loop_now_ms(f->loop);
    uint64_t turned_before_ms = f->turned_ms;
    struct client *silent = given_tcp(f);
    struct client *slow = given_tcp(f);
    when_sends_bytes(slow, STR("GET / HTTP/1.1\r\n"));
    struct client *open = given_client(f);
    run_for(f, 500);
    when_sends_bytes(slow, STR("Host: a\r\n")); /* a byte now and then does not help */

    then_ended(silent); /* who has asked for nothing is told nothing */
    free(then_http(slow, "HTTP/1.1 408 "));

    assert_true(loop_now_ms(f->loop) - before_ms >= 980);
    assert_true(f->turned_ms - turned_before_ms <= 2500);
    then_nothing(open);
    assert_int_equal(id_table_count(f->transport->connections), 1);
}

static void test_stop_without_connections(void **state)
{
    struct fixture *f = *state;
    given_server(f);

    when_stops(f, 2000);

    uint64_t before_ms = f->turned_ms;
    assert_int_equal(f->n_stopped, 0); /* never inside the call */
    then_stopped(f);
    assert_true(f->turned_ms - before_ms < 1000);
}

/* Who is not upgraded has no close frame to wait for. */
static void test_stop_does_not_wait_for_handshakes(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *silent = given_tcp(f);
    struct client *half = given_tcp(f);
    when_sends_bytes(half, STR("GET / HTTP/1.1\r\nHost:"));
    run_for(f, 20);
    assert_int_equal(handshakes_count(f->transport->handshakes), 2);

    when_stops(f, 5000);

    uint64_t before_ms = f->turned_ms;
    then_stopped(f);
    assert_true(f->turned_ms - before_ms < 1000);
    then_ended(silent);
    then_ended(half);
}

/* [WS-9] */
static void test_stop_closes_everybody_with_1001(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    struct client *bob = given_user(f, "bob");
    struct client *unsigned_one = given_client(f);

    when_stops(f, 2000);

    uint64_t before_ms = f->turned_ms;
    then_closed(alice, 1001);
    then_closed(bob, 1001);
    then_closed(unsigned_one, 1001);
    then_stopped(f);
    assert_true(f->turned_ms - before_ms < 1000);
}

/* [WS-9] What is answered in the turn of the stop leaves before the close. */
static void test_stop_lets_out_what_waits(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    struct sink *sink = transport_sink(f->transport);
    struct reply reply = {.kind = REPLY_SENT};
    sink->ops->reply(sink, 1, &reply);

    when_stops(f, 2000);

    then_text(alice, SENT);
    then_closed(alice, 1001);
    then_stopped(f);
}

static void test_stop_frees_the_port_at_once(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    given_user(f, "alice");
    f->options.listen_port = transport_port(f->transport);

    when_stops(f, 200);

    struct listener *other = NULL;
    assert_int_equal(listener_create(f->loop, "127.0.0.1", f->options.listen_port, false, &other),
                     ERR_OK);
    listener_destroy(other);
    then_stopped(f);
}

/* Peers that never answer, that are in their handshake, that do not read: none holds it up for
 * longer than it may. */
static void test_stop_ends_in_time_whatever_peers_do(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *mute = given_user(f, "mute");
    struct client *slow = given_small_tcp(f);
    when_upgrades(slow);
    given_tcp(f);
    struct client *half = given_tcp(f);
    when_sends_bytes(half, STR("GET / HTTP/1.1\r\nHost:"));
    struct sink *sink = transport_sink(f->transport);
    static char body[60002];
    memset(body, 'x', sizeof body - 1);
    body[0] = body[sizeof body - 2] = '"';
    const struct delivery delivery = {.from = STR_INIT("alice"), .body = str_of(body)};
    const conn_id slow_id = 2;
    for (int i = 0; i < 500; i++) {
        const struct connection *connection = id_table_get(f->transport->connections, slow_id);
        if (connection->blocked) {
            break;
        }
        sink->ops->deliver(sink, &slow_id, 1, &delivery);
        run_for(f, 3);
    }

    uint64_t before_ms = loop_now_ms(f->loop);
    uint64_t turned_before_ms = f->turned_ms;

    when_stops(f, 300);

    then_stopped(f);
    assert_true(loop_now_ms(f->loop) - before_ms >= 290);
    assert_true(f->turned_ms - turned_before_ms <= 1000);
    then_frame(mute, CLOSE, STR("\x03\xe9"));
    then_ended(mute);
}

/* A connection that is closing already when the stop comes. */
static void test_stop_while_others_close(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    when_says(alice, "{");
    then_text(alice, ILLEGAL);
    then_frame(alice, CLOSE, STR("\x03\xf0"));

    when_stops(f, 200);

    then_stopped(f);
    then_ended(alice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSPORT_TEST(test_create_where_it_cannot_listen_is_an_error_that_is_logged),
        TRANSPORT_TEST(test_create_when_libwebsockets_fails_is_an_error_that_is_logged),
        TRANSPORT_TEST(test_connection_that_libwebsockets_does_not_take_is_forgotten),
        TRANSPORT_TEST(test_library_that_reads_in_another_way_serves_nobody),
        TRANSPORT_TEST(test_peers_that_are_gone_before_their_answer_are_no_error),
        TRANSPORT_TEST(test_destroyed_without_a_start),
        TRANSPORT_TEST(test_listens_but_accepts_nothing_before_start),
        TRANSPORT_TEST(test_one_too_many_is_told_so_in_http),
        TRANSPORT_TEST(test_more_connections_than_descriptors_are_lowered_with_a_warning),
        TRANSPORT_TEST(test_handshake_that_takes_too_long_is_dropped),
        TRANSPORT_TEST(test_stop_without_connections),
        TRANSPORT_TEST(test_stop_does_not_wait_for_handshakes),
        TRANSPORT_TEST(test_stop_closes_everybody_with_1001),
        TRANSPORT_TEST(test_stop_lets_out_what_waits),
        TRANSPORT_TEST(test_stop_frees_the_port_at_once),
        TRANSPORT_TEST(test_stop_ends_in_time_whatever_peers_do),
        TRANSPORT_TEST(test_stop_while_others_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
