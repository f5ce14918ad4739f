/* What one peer, or all together, may take: others are served all the same. */
#include "transport_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log_capture.h"
#include "transport/state.h"

/* Static, for the fixture's teardown uses it if the test fails. */
static struct fake_store store;

enum {
    HANDSHAKES_MAX = 1000 /* transport.c */
};

/* One address has its limit, and gets room back when a connection ends. */
static void test_connections_of_one_address_are_limited(void **state)
{
    struct fixture *f = *state;
    f->options.connections_per_address_max = 2;
    given_server(f);
    struct client *first = given_user(f, "alice");
    given_user(f, "bob");

    struct client *third = given_tcp(f);
    when_sends_bytes(third, STR(UPGRADE));

    free(then_http(third, "HTTP/1.1 429 "));
    when_leaves(first);
    then_n_signed(f, 1);
    given_user(f, "carol");
    then_n_signed(f, 2);
}

/* Peers that begin handshakes and finish none do not keep others from theirs: the oldest go. */
static void test_unfinished_handshakes_do_not_keep_others_out(void **state)
{
    struct fixture *f = *state;
    f->options.handshake_timeout_ms = 600000; /* not the reason that they end */
    given_server(f);
    struct client *oldest = given_tcp(f);
    when_sends_bytes(oldest, STR("GET / HTTP/1.1\r\n"));
    run_for(f, 1);
    for (int i = 1; i < HANDSHAKES_MAX; i++) {
        when_sends_bytes(given_tcp(f), STR("GET / HTTP/1.1\r\n"));
    }
    run_for(f, 10);

    struct client *late = given_user(f, "late");

    then_ended(oldest);
    then_nothing(late);
    assert_in_range(handshakes_count(f->transport->handshakes), HANDSHAKES_MAX - 2, HANDSHAKES_MAX);
}

struct wanted_handshakes {
    const struct fixture *fixture;
    size_t n;
};

static bool has_handshakes(void *ctx)
{
    const struct wanted_handshakes *wanted = ctx;
    return handshakes_count(wanted->fixture->transport->handshakes) == wanted->n;
}

static void then_handshakes(struct fixture *f, size_t n)
{
    struct wanted_handshakes wanted = {f, n};
    assert_true(run_until(f, has_handshakes, &wanted));
}

/* Also when many begin in one turn, before any that was cut is gone: each cuts another one. */
static void test_a_storm_of_unfinished_handshakes_cuts_as_many_old_ones(void **state)
{
    struct fixture *f = *state;
    f->options.handshake_timeout_ms = 600000; /* not the reason that they end */
    given_server(f);
    for (size_t i = 1; i <= HANDSHAKES_MAX; i++) {
        given_tcp(f);
        then_handshakes(f, i);
    }
    struct log_capture log;
    log_capture_begin(&log);

    for (int i = 0; i < 50; i++) {
        given_tcp(f);
    }
    run_for(f, 20);

    log_capture_end(&log);
    assert_int_equal(handshakes_count(f->transport->handshakes), HANDSHAKES_MAX);
}

/* Too many requests are read more slowly, and none is lost; another connection does not notice. */
static void test_requests_above_the_rate_wait(void **state)
{
    struct fixture *f = *state;
    f->options.request_rate_max = 50;
    f->options.request_burst_max = 5;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    struct client *bob = given_user(f, "bob");
    uint64_t began_ms = loop_now_ms(f->loop);
    uint64_t turned_before_ms = f->turned_ms;

    for (int i = 0; i < 20; i++) {
        when_says(alice, MSG("nobody", "1"));
    }
    when_says(bob, MSG("bob", "1"));

    then_text(bob, DELIVERY("bob", "1"));
    then_text(bob, SENT);
    for (int i = 0; i < 20; i++) {
        then_text(alice, SENT);
    }
    /* 16 or so had to wait for a token each, of which one comes in 20 ms. */
    assert_true(loop_now_ms(f->loop) - began_ms >= 200);
    assert_true(f->turned_ms - turned_before_ms <= 5000);
}

enum {
    BEGUN_SIZE = 40000, /* of a message of 60,000 bytes */
    INBOX_SIZE = 65536  /* the memory that this takes */
};

static void when_begins_message(struct client *client)
{
    const uint8_t header[] = {0x81, 0x80 | 126, 60000 >> 8, 60000 & 0xff, 0, 0, 0, 0};
    static char part[BEGUN_SIZE];
    memset(part, ' ', sizeof part);
    when_sends_bytes(client, (struct str){(const char *)header, sizeof header});
    when_sends_bytes(client, (struct str){part, sizeof part});
}

struct begun {
    const struct transport *transport;
    size_t n;
};

static bool has_begun(void *ctx)
{
    const struct begun *begun = ctx;
    return begun->transport->inboxes.size == begun->n * INBOX_SIZE;
}

/* The server has so many messages that have begun. */
static void then_begun(struct fixture *f, size_t n)
{
    struct begun begun = {f->transport, n};
    assert_true(run_until(f, has_begun, &begun));
}

/* What has come of all messages that do not end has its limit. Those that hold pay, the oldest
 * first, and not who comes. */
static void test_messages_that_never_end_are_limited_together(void **state)
{
    struct fixture *f = *state;
    f->options.outboxes_size_max = 150000;
    given_server(f);
    struct client *first = given_user(f, "first");
    struct client *second = given_user(f, "second");
    struct client *third = given_user(f, "third");
    when_begins_message(first);
    then_begun(f, 1);
    when_begins_message(second);
    then_begun(f, 2);

    when_begins_message(third);

    then_closed(first, 1008);
    then_n_signed(f, 2);
    then_begun(f, 2);
    when_leaves(third);
    then_begun(f, 1);
    when_begins_message(given_user(f, "late"));
    then_begun(f, 2);
    then_n_signed(f, 2);
}

/* Who sends a message at a stretch gets through, however many hold what they may. */
static void test_who_comes_while_others_hold_is_served(void **state)
{
    struct fixture *f = *state;
    f->options.outboxes_size_max = 2 * INBOX_SIZE;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    for (size_t i = 0; i < 4; i++) {
        when_begins_message(given_user(f, "holder"));
        run_for(f, 20);
    }
    char text[3000];
    memset(text, ' ', sizeof text);
    memcpy(text, SIGN("bob"), strlen(SIGN("bob")));

    when_sends(alice, TEXT, (struct str){text, sizeof text});

    then_text(alice, SIGNED("2"));
}

static const struct {
    const char *name;
    struct str begun;
    struct str more; /* which comes again and again, and does not end it */
} unfinished[] = {
    {"half a message", STR_INIT("\x81\x8a\0\0\0\0{\"ty"), STR_INIT("")},
    {"one byte", STR_INIT("\x81"), STR_INIT("")},
    {"half a length", STR_INIT("\x81\xfe\x10"), STR_INIT("")},
    {"a header without its mask", STR_INIT("\x81\x8a"), STR_INIT("")},
    {"a header without payload", STR_INIT("\x81\xfe\x10\0\0\0\0\0"), STR_INIT("")},
    {"an empty fragment", STR_INIT("\x01\x80\0\0\0\0"), STR_INIT("")},
    {"empty fragments", STR_INIT("\x01\x80\0\0\0\0"), STR_INIT("\0\x80\0\0\0\0")},
    {"fragments", STR_INIT("\x01\x81\0\0\0\0{"), STR_INIT("\0\x81\0\0\0\0 ")},
    {"pings between", STR_INIT("\x01\x81\0\0\0\0{"), STR_INIT("\x89\x80\0\0\0\0")},
    {"pongs between", STR_INIT("\x01\x81\0\0\0\0{"), STR_INIT("\x8a\x80\0\0\0\0")},
    {"bytes one by one", STR_INIT("\x81\xfe\x10\0\0\0\0\0{"), STR_INIT(" ")},
    {"half a ping", STR_INIT("\x89\xfd\0\0\0\0pin"), STR_INIT("")},
    {"a ping byte by byte", STR_INIT("\x89\xfd\0\0\0\0"), STR_INIT("p")},
    {"half a close frame", STR_INIT("\x88\x82\0\0\0\0\x03"), STR_INIT("")},
};

enum {
    N_UNFINISHED = sizeof unfinished / sizeof unfinished[0]
};

/* [WS-20] Whatever has begun has its time, and nothing that dribbles in prolongs it. */
static void test_what_does_not_end_in_time_ends_its_connection(void **state)
{
    struct fixture *f = *state;
    f->options.message_timeout_ms = 300;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    struct client *holders[N_UNFINISHED];
    for (size_t i = 0; i < N_UNFINISHED; i++) {
        holders[i] = given_user(f, "holder");
        when_sends_bytes(holders[i], unfinished[i].begun);
    }

    for (int n = 0; n < 25; n++) {
        run_for(f, 20);
        for (size_t i = 0; i < N_UNFINISHED; i++) {
            when_sends_bytes(holders[i], unfinished[i].more);
        }
    }

    for (size_t i = 0; i < N_UNFINISHED; i++) {
        print_message("%s\n", unfinished[i].name);
        assert_true(client_awaits(holders[i], CLOSE, STR("\x03\xf0")));
    }
    then_n_signed(f, 1);
    assert_int_equal(f->transport->inboxes.size, 0);
    assert_null(f->transport->inboxes.first);
    then_nothing(bob);
}

/* Each message has a time of its own, also of one who always is in the middle of the next. */
static void test_messages_that_end_in_time_are_many(void **state)
{
    struct fixture *f = *state;
    f->options.message_timeout_ms = 2000;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    struct bytes bytes = {0};
    add_frame(&bytes, TEXT_MORE, STR("{\"type\":\"msg\","));
    size_t n_begun = bytes.len;
    add_frame(&bytes, PING, STR("p"));
    add_frame(&bytes, LAST, STR("\"to\":\"bob\",\"body\":1}"));
    add_frame(&bytes, TEXT_MORE, STR("{\"type\":\"msg\","));
    when_sends_bytes(alice, (struct str){(char *)bytes.memory, n_begun});

    for (int i = 0; i < 8; i++) {
        run_for(f, 300);
        when_sends_bytes(alice, (struct str){(char *)bytes.memory + n_begun, bytes.len - n_begun});
        then_frame(alice, PONG, STR("p"));
        then_text(alice, SENT);
    }
    free(bytes.memory);
}

/* What has come in time counts, also if the server was busy and reads it late. */
static void test_message_that_came_in_time_is_received(void **state)
{
    struct fixture *f = *state;
    f->options.message_timeout_ms = 300;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    struct bytes bytes = {0};
    char text[60000];
    memset(text, ' ', sizeof text);
    memcpy(text, SIGN("bob"), strlen(SIGN("bob")));
    add_frame(&bytes, TEXT, (struct str){text, sizeof text});
    when_sends_bytes(alice, (struct str){(char *)bytes.memory, 10});
    run_for(f, 20);

    when_sends_bytes(alice, (struct str){(char *)bytes.memory + 10, bytes.len - 10});
    usleep(500000);

    then_text(alice, SIGNED("2"));
    free(bytes.memory);
}

/* Time in which it is not read is not its own. */
static void test_message_that_is_not_read_has_its_time(void **state)
{
    struct fixture *f = *state;
    f->options.message_timeout_ms = 1000;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    struct sink *sink = transport_sink(f->transport);
    struct bytes bytes = {0};
    add_frame(&bytes, TEXT, STR(SIGN("bob")));
    when_sends_bytes(alice, (struct str){(char *)bytes.memory, 10});
    run_for(f, 10);

    sink->ops->receive_more(sink, 1, false);
    run_for(f, 2500);
    when_sends_bytes(alice, (struct str){(char *)bytes.memory + 10, bytes.len - 10});
    sink->ops->receive_more(sink, 1, true);

    then_text(alice, SIGNED("2"));
    free(bytes.memory);
}

static bool is_asked(void *ctx)
{
    return fake_store_n_pending(&store) == *(size_t *)ctx;
}

static void then_asked(struct fixture *f, size_t n)
{
    assert_true(run_until(f, is_asked, &n));
}

enum {
    N_SENDERS = 4,
    LONG_SIZE = 60000
};

/* Requests in flight of all connections have a limit: at it a long message waits in its socket, and
 * goes on when there is room. */
static void test_requests_in_flight_are_limited_together(void **state)
{
    struct fixture *f = *state;
    fake_store_init(&store);
    given_server_with(f, &store.base, &(struct router_options){.requests_size_max = 70000});
    struct client *clients[N_SENDERS];
    static const char *const signed_as[] = {SIGNED("1"), SIGNED("2"), SIGNED("3"), SIGNED("4")};
    for (size_t i = 0; i < N_SENDERS; i++) {
        clients[i] = given_client(f);
        when_says(clients[i], SIGN("alice"));
        then_asked(f, 1);
        fake_store_answer(&store);
        then_text(clients[i], signed_as[i]);
    }
    static char text[LONG_SIZE];
    memset(text, ' ', sizeof text);
    memcpy(text, MSG("bob", "1"), strlen(MSG("bob", "1")) - 1);
    text[LONG_SIZE - 1] = '}';
    memset(text + strlen(MSG("bob", "\"")) - 1, 'x', 50000);
    memcpy(text + strlen(MSG("bob", "")) - 1, "\"", 1);
    text[strlen(MSG("bob", "")) + 50000] = '"';

    for (size_t i = 0; i < N_SENDERS; i++) {
        when_sends(clients[i], TEXT, (struct str){text, sizeof text});
        then_asked(f, i == 0 ? 1 : 2);
        run_for(f, 50);
    }
    assert_int_equal(fake_store_n_pending(&store), 2); /* the second began when there was room */
    assert_in_range(f->transport->inboxes.size, 1, (N_SENDERS - 2) * 4096);

    for (size_t i = 0; i < N_SENDERS; i += 2) {
        then_asked(f, 2);
        fake_store_answer(&store);
        fake_store_answer(&store);
    }

    for (size_t i = 0; i < N_SENDERS; i++) {
        then_text(clients[i], SENT);
    }
    assert_int_equal(f->transport->inboxes.size, 0);
    when_stops(f, 0);
    then_stopped(f);
    fake_store_fini(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSPORT_TEST(test_connections_of_one_address_are_limited),
        TRANSPORT_TEST(test_unfinished_handshakes_do_not_keep_others_out),
        TRANSPORT_TEST(test_a_storm_of_unfinished_handshakes_cuts_as_many_old_ones),
        TRANSPORT_TEST(test_messages_that_never_end_are_limited_together),
        TRANSPORT_TEST(test_who_comes_while_others_hold_is_served),
        TRANSPORT_TEST(test_what_does_not_end_in_time_ends_its_connection),
        TRANSPORT_TEST(test_messages_that_end_in_time_are_many),
        TRANSPORT_TEST(test_message_that_came_in_time_is_received),
        TRANSPORT_TEST(test_message_that_is_not_read_has_its_time),
        TRANSPORT_TEST(test_requests_above_the_rate_wait),
        TRANSPORT_TEST(test_requests_in_flight_are_limited_together),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
