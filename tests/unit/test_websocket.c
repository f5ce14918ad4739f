/* What libwebsockets reports and what it means: the upgrade, messages from their pieces,
 * verdicts, closes. SPEC 2. */
#include "transport_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "chat/mem.h"

enum {
    MESSAGE_SIZE_MAX = 65536
};

/* [WS-1], [WS-3] Nothing is selected that the server does not have. */
static void test_upgrade_answers_the_key_and_selects_nothing(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_tcp(f);

    when_sends_bytes(client, STR(UPGRADE_TO("/any/path?x=1",
                                            "Sec-WebSocket-Version: 13\r\n"
                                            "Sec-WebSocket-Extensions: permessage-deflate\r\n")));

    char *head = then_http(client, "HTTP/1.1 101 ");
    assert_non_null(strcasestr(head, "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_null(strcasestr(head, "sec-websocket-extensions"));
    assert_null(strcasestr(head, "sec-websocket-protocol"));
    free(head);
    then_nothing(client);
}

/* [WS-17] */
static void test_unknown_subprotocol_is_accepted_and_not_selected(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_tcp(f);

    when_sends_bytes(client, STR(UPGRADE_TO("/", "Sec-WebSocket-Version: 13\r\n"
                                                 "Sec-WebSocket-Protocol: chat, superchat\r\n")));

    char *head = then_http(client, "HTTP/1.1 101 ");
    assert_null(strcasestr(head, "sec-websocket-protocol"));
    free(head);
    when_says(client, SIGN("alice"));
    then_text(client, SIGNED("1"));
}

#define NO_KEY_UPGRADE "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

static const struct {
    const char *name;
    struct str request;
    const char *status;
} refusals[] = {
    {"version 12", STR_INIT(UPGRADE_TO("/", "Sec-WebSocket-Version: 12\r\n")), "HTTP/1.1 426 "},
    {"version 8", STR_INIT(UPGRADE_TO("/", "Sec-WebSocket-Version: 8\r\n")), "HTTP/1.1 426 "},
    {"version 130", STR_INIT(UPGRADE_TO("/", "Sec-WebSocket-Version: 130\r\n")), "HTTP/1.1 426 "},
    {"version 13 and more", STR_INIT(UPGRADE_TO("/", "Sec-WebSocket-Version: 13x\r\n")),
     "HTTP/1.1 426 "},
    {"no version", STR_INIT(UPGRADE_TO("/", "")), "HTTP/1.1 426 "},
    {"no key", STR_INIT(NO_KEY_UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n"), "HTTP/1.1 400 "},
    {"an empty key",
     STR_INIT(NO_KEY_UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \r\n\r\n"),
     "HTTP/1.1 400 "},
    {"a plain GET", STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 426 "},
    {"a plain GET of a path", STR_INIT("GET /health HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 426 "},
};

/* [WS-4] Each says what would be right, and the connection ends. */
static void test_what_is_no_upgrade_is_refused_in_http(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct client *client = given_tcp(f);

        when_sends_bytes(client, refusals[i].request);

        print_message("%s\n", refusals[i].name);
        char *head = then_http(client, refusals[i].status);
        assert_non_null(strcasestr(head, "\r\nsec-websocket-version: 13\r\n"));
        assert_non_null(strcasestr(head, "\r\nupgrade: websocket\r\n"));
        assert_non_null(strcasestr(head, "\r\nconnection: upgrade, close\r\n"));
        size_t announced = (size_t)atoi(strcasestr(head, "content-length:") + 15);
        free(head);
        while (!client->ended) {
            run_for(f, 1);
            client_read(client);
        }
        assert_int_equal(client->n_in, announced);
    }
    assert_int_equal(router_n_signed(f->router), 0);
}

/* [WS-5] Wherever TCP splits it. */
static void test_message_byte_by_byte_is_one_message(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_client(f);
    struct bytes bytes = {0};
    add_frame(&bytes, TEXT, STR(SIGN("alice")));

    for (size_t i = 0; i < bytes.len; i++) {
        when_sends_bytes(client, (struct str){(char *)bytes.memory + i, 1});
        run_for(f, 1);
    }
    free(bytes.memory);

    then_text(client, SIGNED("1"));
    then_nothing(client);
}

/* [WS-5], [WS-13] Also when a code point is split, and a ping stands between. */
static void test_fragments_are_one_message_and_a_ping_between_is_answered(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");

    when_sends(alice, TEXT_MORE, STR(""));
    when_sends(alice, MORE, STR("{\"type\":\"msg\",\"to\":\"alice\",\"body\":\"\xe4\xbd"));
    when_sends(alice, PING, STR("between"));
    when_sends(alice, MORE, STR("\xa0\""));
    then_frame(alice, PONG, STR("between"));
    when_sends(alice, LAST, STR("}"));

    then_text(alice, DELIVERY("alice", "\"你\""));
    then_text(alice, SENT);
}

static void test_messages_in_one_segment_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_client(f);
    struct bytes bytes = {0};
    add_frame(&bytes, TEXT, STR(MSG("bob", "1")));
    add_frame(&bytes, TEXT, STR(SIGN("alice")));
    add_frame(&bytes, PONG, STR("nobody asked"));
    add_frame(&bytes, TEXT, STR(MSG("alice", "2")));

    when_sends_all(client, &bytes);

    then_text(client, NOT_SIGNED);
    then_text(client, SIGNED("1"));
    then_text(client, DELIVERY("alice", "2"));
    then_text(client, SENT);
}

/* [WS-13] */
static void test_ping_is_answered_with_its_payload(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_client(f);
    char payload[125];
    memset(payload, 'p', sizeof payload);

    when_sends(client, PING, (struct str){payload, sizeof payload});
    then_frame(client, PONG, ((struct str){payload, sizeof payload}));
    when_sends(client, PING, STR(""));
    then_frame(client, PONG, STR(""));
}

/* [WS-13] Each of several in one segment, in order; and whatever else is read from. */
static void test_pings_in_one_segment_are_all_answered(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_client(f);
    struct bytes bytes = {0};
    char payload[] = "p00";
    for (int i = 0; i < 100; i++) {
        payload[1] = (char)('0' + i / 10);
        payload[2] = (char)('0' + i % 10);
        add_frame(&bytes, PING, str_of(payload));
    }

    when_sends_all(client, &bytes);

    for (int i = 0; i < 100; i++) {
        payload[1] = (char)('0' + i / 10);
        payload[2] = (char)('0' + i % 10);
        then_frame(client, PONG, str_of(payload));
    }
}

/* A msg of exactly 'size' bytes, from alice to herself; its body is a string of 'x'. Caller
 * frees. */
static char *msg_of_size(size_t size)
{
    static const char head[] = "{\"type\":\"msg\",\"to\":\"alice\",\"body\":\"";
    char *text = mem_alloc(size + 1);
    memset(text, 'x', size);
    memcpy(text, head, sizeof head - 1);
    memcpy(text + size - 2, "\"}", 2);
    return text;
}

/* [WS-7] */
static void test_message_of_the_greatest_size_is_accepted(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    char *text = msg_of_size(MESSAGE_SIZE_MAX);

    when_sends(alice, TEXT, (struct str){text, MESSAGE_SIZE_MAX});

    const char *body = strchr(text, 'x') - 1;
    size_t body_size = MESSAGE_SIZE_MAX - (size_t)(body - text) - 1;
    char *want = mem_alloc(MESSAGE_SIZE_MAX);
    snprintf(want, MESSAGE_SIZE_MAX, "{\"body\":%.*s,\"from\":\"alice\"}", (int)body_size, body);
    then_text(alice, want);
    then_text(alice, SENT);
    free(want);
    free(text);
}

/* [WS-8] */
static void test_message_one_byte_too_long_is_closed_with_1009(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    char *text = msg_of_size(MESSAGE_SIZE_MAX + 1);

    when_sends(alice, TEXT, (struct str){text, MESSAGE_SIZE_MAX + 1});

    then_closed(alice, 1009);
    free(text);
}

/* [WS-8] The fragments count together. */
static void test_fragments_too_long_together_are_closed_with_1009(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    char *text = msg_of_size(MESSAGE_SIZE_MAX + 1);

    when_sends(alice, TEXT_MORE, (struct str){text, MESSAGE_SIZE_MAX});
    then_nothing(alice);
    when_sends(alice, LAST, (struct str){text + MESSAGE_SIZE_MAX, 1});

    then_closed(alice, 1009);
    free(text);
}

/* [WS-8] What is announced is enough to know: nothing of it is waited for. */
static void test_announced_length_is_refused_at_the_first_bytes(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_client(f);

    when_sends_bytes(client, STR("\x81\xff\x3f\xff\xff\xff\xff\xff\xff\xff"
                                 "mask{"));

    then_frame(client, CLOSE, STR("\x03\xf1"));
}

/* [WS-6] What came before is answered first, what comes behind is not received. */
static void test_text_that_is_not_utf8_is_closed_with_1007(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    struct client *alice = given_user(f, "alice");
    struct bytes bytes = {0};
    add_frame(&bytes, TEXT, STR(MSG("bob", "1")));
    add_frame(&bytes, TEXT, STR(MSG("bob", "\"\xff\"")));
    add_frame(&bytes, TEXT, STR(MSG("bob", "3")));

    when_sends_all(alice, &bytes);

    then_text(alice, SENT);
    then_closed(alice, 1007);
    then_text(bob, DELIVERY("alice", "1"));
    then_nothing(bob);
}

static const struct {
    uint8_t first;
    struct str payload;
} illegal[] = {
    {TEXT, STR_INIT("")},
    {TEXT, STR_INIT("{")},
    {TEXT, STR_INIT("{\"type\":\"dance\"}")},
    {BINARY, STR_INIT(MSG("bob", "2"))},
    {BINARY, STR_INIT("\xff")},
};

/* [ILLEGAL-1] to [ILLEGAL-4] */
static void test_illegal_request_is_answered_then_closed_with_1008(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    for (size_t i = 0; i < sizeof illegal / sizeof illegal[0]; i++) {
        struct client *alice = given_user(f, "alice");
        struct bytes bytes = {0};
        add_frame(&bytes, TEXT, STR(MSG("bob", "1")));
        add_frame(&bytes, illegal[i].first, illegal[i].payload);
        add_frame(&bytes, TEXT, STR(MSG("bob", "3")));

        when_sends_all(alice, &bytes);

        then_text(alice, SENT);
        then_text(alice, ILLEGAL);
        then_closed(alice, 1008);
        then_text(bob, DELIVERY("alice", "1"));
        then_nothing(bob);
    }
}

/* [WS-14] */
static void test_close_is_answered_with_its_code(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    static const uint16_t codes[] = {1000, 1001, 1011, 3000, 4999};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct client *client = given_user(f, "alice");
        char payload[] = {(char)(codes[i] >> 8), (char)(codes[i] & 0xff)};

        when_sends(client, CLOSE, (struct str){payload, sizeof payload});

        then_frame(client, CLOSE, ((struct str){payload, sizeof payload}));
        then_ended(client);
        then_n_signed(f, 0);
    }
}

static void test_close_without_a_code_is_answered(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_user(f, "alice");

    when_sends(client, CLOSE, STR(""));

    then_frame(client, CLOSE, STR(""));
    then_ended(client);
    then_n_signed(f, 0);
}

/* [ORDER-4] */
static void test_what_came_before_a_close_is_answered_before_it(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    struct client *alice = given_user(f, "alice");
    struct bytes bytes = {0};
    add_frame(&bytes, TEXT, STR(MSG("alice", "1")));
    add_frame(&bytes, TEXT, STR(MSG("bob", "2")));
    add_frame(&bytes, CLOSE, STR("\x03\xe8"));

    when_sends_all(alice, &bytes);

    then_text(alice, DELIVERY("alice", "1"));
    then_text(alice, SENT);
    then_text(alice, SENT);
    then_frame(alice, CLOSE, STR("\x03\xe8"));
    then_ended(alice);
    then_text(bob, DELIVERY("alice", "2"));
    then_n_signed(f, 1);
}

enum {
    MANY = 500 /* more than may be in flight */
};

/* [ORDER-6] However many, and whatever way the stream ends: by a close frame with a code or
 * without, by a broken one or another frame that is forbidden, or by the end of TCP. */
static void test_replies_to_what_came_before_the_end_come_before_the_close(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    static const struct {
        struct str end;
        struct str close;
    } ends[] = {
        {STR_INIT("\x88\x82\0\0\0\0\x03\xe8"), STR_INIT("\x03\xe8")},
        {STR_INIT("\x88\x80\0\0\0\0"), STR_INIT("")},
        {STR_INIT("\x88\x82\0\0\0\0\x13\x88"), STR_INIT("\x03\xea")},
        {STR_INIT("\x81\x02{}"), STR_INIT("\x03\xea")},
        {STR_INIT(""), STR_INIT("")},
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct client *alice = given_user(f, "alice");
        struct bytes bytes = {0};
        for (int n = 0; n < MANY; n++) {
            add_frame(&bytes, TEXT, STR(MSG("nobody", "1")));
        }
        add_bytes(&bytes, ends[i].end);
        when_sends_all(alice, &bytes);
        if (ends[i].end.len == 0) {
            shutdown(alice->fd, SHUT_WR);
        }

        for (int n = 0; n < MANY; n++) {
            then_text(alice, SENT);
        }
        then_frame(alice, CLOSE, ends[i].close);
    }
    then_n_signed(f, 0);
}

/* Also if the store takes its time, and the peer has ended its half of TCP behind its close. */
static void test_close_waits_for_replies_that_are_late(void **state)
{
    struct fixture *f = *state;
    static struct fake_store store; /* outlives the teardown */
    fake_store_init(&store);
    given_server_on(f, &store.base);
    struct client *client = given_client(f);

    when_says(client, SIGN("alice"));
    when_sends(client, CLOSE, STR("\x03\xe8"));
    shutdown(client->fd, SHUT_WR);
    run_for(f, 50);
    client_read(client);
    assert_int_equal(client->n_in, 0);
    fake_store_answer(&store);

    then_text(client, SIGNED("1"));
    then_frame(client, CLOSE, STR("\x03\xe8"));
    then_ended(client);
    run_for(f, 5);
    fake_store_fini(&store);
}

/* What stands behind a close frame is not processed. */
static void test_requests_behind_a_close_are_not_received(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    struct client *alice = given_user(f, "alice");
    struct bytes bytes = {0};
    add_frame(&bytes, CLOSE, STR("\x03\xe8"));
    add_frame(&bytes, TEXT, STR(MSG("bob", "1")));
    add_frame(&bytes, PING, STR("p"));
    add_frame(&bytes, CLOSE, STR("\x03\xe9"));

    when_sends_all(alice, &bytes);

    then_frame(alice, CLOSE, STR("\x03\xe8"));
    then_ended(alice);
    then_nothing(bob);
}

/* [REPLY-1] Its reply comes, and the close is the illegal request's. */
static void test_illegal_request_before_a_forbidden_frame_is_answered(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    static const struct str broken[] = {
        STR_INIT("\x81\x02{}"),
        STR_INIT("\x82\xff\x80\0\0\0\0\0\0\0"),
        STR_INIT("\x88\x81\0\0\0\0\x03"),
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct client *alice = given_user(f, "alice");
        struct bytes bytes = {0};
        add_frame(&bytes, TEXT, STR("{}"));
        add_bytes(&bytes, broken[i]);

        when_sends_all(alice, &bytes);

        then_text(alice, ILLEGAL);
        then_frame(alice, CLOSE, STR("\x03\xf0"));
    }
}

/* [WS-14], [WS-15] Neither echoed nor waited for. */
static void test_close_that_is_broken_ends_the_connection_at_once(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    static const struct {
        struct str payload;
        struct str close;
    } closes[] = {
        {STR_INIT("\x03"), STR_INIT("\x03\xea")},
        {STR_INIT("\xff\xff"), STR_INIT("\x03\xea")},
        {STR_INIT("\x03\xed"), STR_INIT("\x03\xea")},
        {STR_INIT("\x03\xe8\xff"), STR_INIT("\x03\xef")},
    };
    for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
        struct client *client = given_client(f);
        uint64_t before_ms = f->turned_ms;

        when_sends(client, CLOSE, closes[i].payload);

        then_frame(client, CLOSE, closes[i].close);
        then_ended(client);
        assert_true(f->turned_ms - before_ms < 1000);
    }
}

/* [ID-3] */
static void test_connection_that_breaks_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    when_sends(alice, TEXT_MORE, STR("{\"type\":")); /* half a message is in memory */
    then_nothing(alice);

    when_leaves(alice);

    then_n_signed(f, 0);
}

static bool was_asked(void *ctx)
{
    const struct fake_store *store = ctx;
    return store->asked.len > 0;
}

/* [HIST-12] [HIST-13] [HIST-22] The router's ticks ask for a pong, and pongs reach it with their
 * payload, of which it knows which one counts. */
static void test_pong_reaches_the_router(void **state)
{
    struct fixture *f = *state;
    static struct fake_store store; /* outlives the teardown */
    given_server_with_history(f, &store);
    struct client *bob = given_client(f);
    when_is_device(bob, &store);
    const struct delivery message = {.from = STR("alice"), .body = STR("1"), .id = {11, 0}};
    const conn_id device = 1;
    store.events->arrived(store.events_ctx, STR("bob"), &message, (struct message_id){10, 0},
                          &device, 1);
    then_text(bob, "{\"body\":1,\"from\":\"alice\",\"id\":\"11-0\",\"time\":11}");
    then_frame(bob, PING, STR("11-0"));

    when_sends(bob, PONG, STR(""));
    when_sends(bob, PONG, STR("10-0"));
    then_nothing(bob);
    assert_int_equal(store.asked.len, 0);
    when_sends(bob, PONG, STR("11-0"));
    assert_true(run_until(f, was_asked, &store));

    transcript_expect(&store.asked, "confirm bob 11-0\n", __FILE__, __LINE__);
    forget_history(f, &store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSPORT_TEST(test_upgrade_answers_the_key_and_selects_nothing),
        TRANSPORT_TEST(test_unknown_subprotocol_is_accepted_and_not_selected),
        TRANSPORT_TEST(test_what_is_no_upgrade_is_refused_in_http),
        TRANSPORT_TEST(test_message_byte_by_byte_is_one_message),
        TRANSPORT_TEST(test_fragments_are_one_message_and_a_ping_between_is_answered),
        TRANSPORT_TEST(test_messages_in_one_segment_are_answered_in_order),
        TRANSPORT_TEST(test_ping_is_answered_with_its_payload),
        TRANSPORT_TEST(test_pings_in_one_segment_are_all_answered),
        TRANSPORT_TEST(test_pong_reaches_the_router),
        TRANSPORT_TEST(test_message_of_the_greatest_size_is_accepted),
        TRANSPORT_TEST(test_message_one_byte_too_long_is_closed_with_1009),
        TRANSPORT_TEST(test_fragments_too_long_together_are_closed_with_1009),
        TRANSPORT_TEST(test_announced_length_is_refused_at_the_first_bytes),
        TRANSPORT_TEST(test_text_that_is_not_utf8_is_closed_with_1007),
        TRANSPORT_TEST(test_illegal_request_is_answered_then_closed_with_1008),
        TRANSPORT_TEST(test_close_is_answered_with_its_code),
        TRANSPORT_TEST(test_close_without_a_code_is_answered),
        TRANSPORT_TEST(test_what_came_before_a_close_is_answered_before_it),
        TRANSPORT_TEST(test_replies_to_what_came_before_the_end_come_before_the_close),
        TRANSPORT_TEST(test_close_waits_for_replies_that_are_late),
        TRANSPORT_TEST(test_requests_behind_a_close_are_not_received),
        TRANSPORT_TEST(test_illegal_request_before_a_forbidden_frame_is_answered),
        TRANSPORT_TEST(test_close_that_is_broken_ends_the_connection_at_once),
        TRANSPORT_TEST(test_connection_that_breaks_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
