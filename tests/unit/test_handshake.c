/* From TCP's accept to the upgrade: heads wherever TCP splits them, large ones, answers that no
 * reset overtakes, and probes that no limit keeps out. [WS-1], [WS-4], [WS-18] */
#include "transport_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "log_capture.h"
#include "transport/state.h"

#define HEALTH "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"

enum {
    HEAD_SIZE_MAX = 32768, /* the fixture's */
    ADDRESS_PROBES = 8,    /* transport.c */
    PROBES = 64            /* transport.c */
};

static void then_told(struct client *client, const char *status)
{
    free(then_http(client, status));
    while (!client->ended) {
        run_for(client->fixture, 1);
        client_read(client);
    }
}

static void test_head_split_anywhere_is_upgraded(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct str head = STR(UPGRADE);
    for (size_t cut = 1; cut < head.len; cut++) {
        struct client *client = given_tcp(f);
        when_sends_bytes(client, (struct str){head.ptr, cut});
        run_for(f, 1);
        when_sends_bytes(client, (struct str){head.ptr + cut, head.len - cut});
        free(then_http(client, "HTTP/1.1 101 "));
        when_leaves(client);
    }
}

/* A handshake of exactly 'size' bytes, most of them a cookie. Caller frees. */
static struct str upgrade_of_size(size_t size)
{
    static const char start[] =
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: ";
    char *text = mem_alloc(size);
    memset(text, 'c', size);
    memcpy(text, start, sizeof start - 1);
    memcpy(text + size - 4, "\r\n\r\n", 4);
    return (struct str){text, size};
}

static void test_head_of_the_greatest_size_is_upgraded_and_a_larger_one_is_not(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    const struct {
        size_t size;
        const char *status;
    } sizes[] = {
        {4097, "HTTP/1.1 101 "},
        {8192, "HTTP/1.1 101 "},
        {HEAD_SIZE_MAX, "HTTP/1.1 101 "},
        {HEAD_SIZE_MAX + 1, "HTTP/1.1 431 "},
        {8 * HEAD_SIZE_MAX, "HTTP/1.1 431 "},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct client *client = given_tcp(f);
        struct str head = upgrade_of_size(sizes[i].size);
        when_sends_bytes(client, head);
        free(then_http(client, sizes[i].status));
        char *owned = (char *)(uintptr_t)head.ptr;
        free(owned);
    }
}

/* More than is looked at of it is on its way: the answer is read all the same, and then the end
 * rather than a reset. */
static void test_answer_is_not_overtaken_by_a_reset(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    static const struct {
        const char *head;
        const char *status;
    } answered[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", "HTTP/1.1 405 "},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nHost: a\r\n\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 "},
        {HEALTH, "HTTP/1.1 200 "},
    };
    char *body = mem_alloc(60000);
    for (size_t i = 0; i < sizeof answered / sizeof answered[0]; i++) {
        struct client *client = given_tcp(f);
        struct bytes bytes = {0};
        add_bytes(&bytes, str_of(answered[i].head));
        add_bytes(&bytes, (struct str){body, 60000});
        when_sends_all(client, &bytes);
        run_for(f, 5);
        when_sends_bytes(client, (struct str){body, 60000});
        run_for(f, 5);
        then_told(client, answered[i].status);
    }
    free(body);
}

/* The peer that does not end is not waited for without end, nor read without end. */
static void test_peer_that_sends_on_behind_its_answer_is_cut(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_tcp(f);
    char *much = mem_alloc(65536);

    when_sends_bytes(client, STR("GET / HTTP/1.1\r\n\r\n"));
    for (int i = 0; handshakes_count(f->transport->handshakes) > 0 || i == 0; i++) {
        (void)send(client->fd, much, 65536, MSG_NOSIGNAL | MSG_DONTWAIT);
        run_for(f, 1);
        assert_true(i < 5000);
    }

    free(much);
}

/* Half-closed behind its request, as netcat does. */
static void test_half_closed_peer_has_its_answer(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *asks = given_tcp(f);
    struct client *breaks_off = given_tcp(f);
    struct client *silent = given_tcp(f);

    when_sends_bytes(asks, STR(HEALTH));
    shutdown(asks->fd, SHUT_WR);
    when_sends_bytes(breaks_off, STR("GET / HTTP/1.1\r\nHost"));
    shutdown(breaks_off->fd, SHUT_WR);
    shutdown(silent->fd, SHUT_WR);

    then_told(asks, "HTTP/1.1 200 ");
    then_told(breaks_off, "HTTP/1.1 400 ");
    then_ended(silent);
    run_for(f, 5);
    assert_int_equal(handshakes_count(f->transport->handshakes), 0);
}

/* Urgent bytes are none of the stream's: whatever becomes of the head, nobody is served what was
 * not judged, and the server goes on. */
static void test_urgent_bytes_in_a_head_do_no_harm(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_tcp(f);
    struct str head = STR(UPGRADE);

    for (size_t i = 0; i < head.len; i++) {
        (void)send(client->fd, head.ptr + i, 1, MSG_NOSIGNAL | (i % 7 == 3 ? MSG_OOB : 0));
        run_for(f, 1);
    }

    when_leaves(client);
    then_nothing(given_client(f));
}

/* [WS-18] Whoever balances load is no client: full is not ill. */
static void test_probes_are_answered_at_the_limits(void **state)
{
    struct fixture *f = *state;
    f->options.connections_max = 3;
    f->options.connections_per_address_max = 2;
    given_server(f);
    given_client(f);
    given_client(f);
    struct client *third = given_tcp(f);
    when_sends_bytes(third, STR(UPGRADE));
    then_told(third, "HTTP/1.1 429 ");
    for (int i = 0; i < 2 * ADDRESS_PROBES; i++) {
        struct client *probe = given_tcp(f);
        when_sends_bytes(probe, i % 2 == 0 ? STR(HEALTH)
                                           : STR("HEAD /readyz HTTP/1.1\r\nHost: a\r\n\r\n"));
        free(then_http(probe, "HTTP/1.1 200 "));
    }
}

/* What waits at the limit has a limit of its own, at which the oldest end. */
static void test_unfinished_probes_end_for_others(void **state)
{
    struct fixture *f = *state;
    f->options.connections_max = 2;
    given_server(f);
    given_client(f);
    given_client(f);
    struct client *oldest = given_tcp(f);
    run_for(f, 5);
    for (int i = 0; i < PROBES + 10; i++) {
        given_tcp(f);
        run_for(f, 0);
    }
    then_ended(oldest);
    run_for(f, 20);
    assert_int_equal(handshakes_count(f->transport->handshakes), PROBES);

    struct client *probe = given_tcp(f);
    when_sends_bytes(probe, STR(HEALTH));

    then_told(probe, "HTTP/1.1 200 ");
}

/* One address cannot hold more handshakes than it may have connections, and a few. */
static void test_unfinished_handshakes_of_one_address_end_for_its_others(void **state)
{
    struct fixture *f = *state;
    f->options.connections_per_address_max = 2;
    given_server(f);
    struct client *oldest = given_tcp(f);
    run_for(f, 5);
    for (int i = 0; i < 50; i++) {
        given_tcp(f);
        run_for(f, 0);
    }
    then_ended(oldest);
    run_for(f, 20);
    assert_int_equal(handshakes_count(f->transport->handshakes), 2 + ADDRESS_PROBES);

    then_nothing(given_client(f));
}

/* Each refusal is a line, with its status and a reason; many are counted. */
static void test_refusals_are_logged(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct log_capture log;
    log_set_level(LOG_INFO);
    log_capture_begin(&log);
    for (int i = 0; i < 2; i++) {
        struct client *client = given_tcp(f);
        when_sends_bytes(client, i == 0 ? STR("GET / HTTP/1.1\r\n\r\n")
                                        : STR("PUT /\" HTTP/1.1\r\nHost: a\r\n\r\n"));
        free(then_http(client, "HTTP/1.1 4"));
    }
    log_capture_end(&log);

    assert_non_null(
        strstr(log.text, " info handshake_refused status=400 reason=\"Host is missing.\"\n"));
    assert_non_null(strstr(log.text, " info handshake_refused status=405 reason="));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSPORT_TEST(test_head_split_anywhere_is_upgraded),
        TRANSPORT_TEST(test_head_of_the_greatest_size_is_upgraded_and_a_larger_one_is_not),
        TRANSPORT_TEST(test_answer_is_not_overtaken_by_a_reset),
        TRANSPORT_TEST(test_peer_that_sends_on_behind_its_answer_is_cut),
        TRANSPORT_TEST(test_half_closed_peer_has_its_answer),
        TRANSPORT_TEST(test_urgent_bytes_in_a_head_do_no_harm),
        TRANSPORT_TEST(test_probes_are_answered_at_the_limits),
        TRANSPORT_TEST(test_unfinished_probes_end_for_others),
        TRANSPORT_TEST(test_unfinished_handshakes_of_one_address_end_for_its_others),
        TRANSPORT_TEST(test_refusals_are_logged),
    };
    return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}
