/* [WS-15] Between the socket and libwebsockets: forbidden frames end in a close with 1002, in
 * their turn; everything else is read as if nobody looked. */
#include "transport_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/state.h"
#include "transport/wire.h"

#define MASK "\x01\x02\x03\x04"

static const struct {
    const char *name;
    struct str bytes;
} forbidden[] = {
    {"no mask", STR_INIT("\x81\x02{}")},
    {"no mask and empty", STR_INIT("\x81\x00")},
    {"a reserved bit", STR_INIT("\xc1\x80" MASK)},
    {"a reserved opcode", STR_INIT("\x83\x80" MASK)},
    {"a ping of 126 bytes", STR_INIT("\x89\xfe\x00\x7e" MASK)},
    {"a fragmented ping", STR_INIT("\x09\x80" MASK)},
    {"a continuation of nothing", STR_INIT("\x80\x80" MASK)},
    {"a text within a text", STR_INIT("\x01\x80" MASK "\x81\x80" MASK)},
    {"a length that is not minimal", STR_INIT("\x81\xfe\x00\x02" MASK "{}")},
    {"a length beyond 63 bits", STR_INIT("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" MASK)},
};

/* What stood before it is answered, what stands behind it is not received, and others do not
 * notice. */
static void test_forbidden_frame_is_closed_with_1002_in_its_turn(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        struct client *alice = given_user(f, "alice");
        struct bytes bytes = {0};
        add_frame(&bytes, TEXT, STR(MSG("bob", "1")));
        add_bytes(&bytes, forbidden[i].bytes);
        add_frame(&bytes, TEXT, STR(MSG("bob", "3")));
        print_message("%s\n", forbidden[i].name);

        when_sends_all(alice, &bytes);

        then_text(alice, SENT);
        then_frame(alice, CLOSE, STR("\x03\xea"));
        then_text(bob, DELIVERY("alice", "1"));
        then_nothing(bob);
        then_n_signed(f, 1);
    }
}

/* The peer has said all: its answer, if the stream can still be followed, ends TCP at once,
 * without a time limit. */
static void test_answer_to_1002_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_client(f);

    when_sends_bytes(client, STR("\x81\x02{}"));

    uint64_t before_ms = f->turned_ms;
    then_closed(client, 1002);
    assert_true(f->turned_ms - before_ms < 1000);
}

/* A peer whose close frame came behind the fault sends no other: it is not waited for. */
static void test_close_behind_a_fault_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_client(f);

    when_sends_bytes(client, STR("\x81\x02{}\x88\x82" MASK "\x02\xea"));

    uint64_t before_ms = f->turned_ms;
    then_frame(client, CLOSE, STR("\x03\xea"));
    then_ended(client);
    assert_true(f->turned_ms - before_ms < 1000);
}

/* Behind a length that no frame can have, nobody knows where the peer's close frame begins. */
static void test_close_of_a_lost_stream_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_client(f);

    when_sends_bytes(client, STR("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00" MASK));

    uint64_t before_ms = f->turned_ms;
    then_closed(client, 1002);
    assert_true(f->turned_ms - before_ms < 1000);
}

/* Each byte by itself: half of a header is held back, and stands in front of the next byte. */
static void test_conversation_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_tcp(f);
    struct bytes bytes = {0};
    add_bytes(&bytes, STR(UPGRADE));
    add_frame(&bytes, TEXT, STR(SIGN("alice")));
    add_frame(&bytes, PING, STR("p"));
    add_frame(&bytes, TEXT_MORE, STR(""));
    add_frame(&bytes, LAST, STR(MSG("alice", "[]")));

    for (size_t i = 0; i < bytes.len; i++) {
        when_sends_bytes(client, (struct str){(char *)bytes.memory + i, 1});
        run_for(f, 1);
    }
    free(bytes.memory);

    free(then_http(client, "HTTP/1.1 101 "));
    then_text(client, SIGNED("1"));
    then_frame(client, PONG, STR("p"));
    then_text(client, DELIVERY("alice", "[]"));
    then_text(client, SENT);
}

/* A read that finds nothing does not lose the half that is held back. */
static void test_held_byte_outlives_a_read_of_nothing(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_client(f);
    const struct connection *connection = id_table_get(f->transport->connections, 1);
    struct bytes bytes = {0};
    add_frame(&bytes, TEXT, STR(SIGN("alice")));
    when_sends_bytes(client, (struct str){(char *)bytes.memory, 1});
    run_for(f, 10);
    assert_int_equal(connection->guard.n_held, 1);

    char buffer[16];
    assert_int_equal(recv(connection->socket, buffer, sizeof buffer, 0), -1);
    when_sends_bytes(client, (struct str){(char *)bytes.memory + 1, bytes.len - 1});

    then_text(client, SIGNED("1"));
    free(bytes.memory);
}

/* Into however little room: what has passed and finds none is kept. */
static void test_reads_of_any_size_pass_the_same_bytes(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    (void)given_client(f);
    struct connection *connection = id_table_get(f->transport->connections, 1);
    int kept = connection->socket;
    struct bytes bytes = {0};
    char large[200];
    memset(large, 'x', sizeof large);
    add_frame(&bytes, TEXT, ((struct str){large, sizeof large}));
    add_frame(&bytes, PING, STR("p"));
    add_frame(&bytes, TEXT_MORE, STR("ab"));
    size_t n_data = bytes.len - 7;
    add_bytes(&bytes, STR("\x81\x80")); /* a text within a text */
    for (size_t size = 1; size < 20; size++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        assert_int_equal(send(pair[0], bytes.memory, bytes.len, 0), bytes.len);
        struct connection reader = *connection;
        uint8_t got[300];
        size_t n_got = 0;
        reader.socket = pair[1];
        reader.state = CONNECTION_CLOSING; /* so that it does nothing but read */
        reader.guard = (struct frame_guard){0};
        wire_attach(&reader, STR(""));
        for (size_t i = 0; i < 2 * bytes.len; i++) {
            ssize_t n = recv(pair[1], got + n_got, size, 0);
            n_got += n > 0 ? (size_t)n : 0;
        }
        wire_detach(&reader);
        assert_int_equal(n_got, n_data + FRAME_GUARD_MARK_SIZE);
        close(pair[0]);
        close(pair[1]);
    }
    assert_int_equal(connection->socket, kept);
    free(bytes.memory);
}

/* A client may speak before it has read the server's half of the handshake. */
static void test_frames_in_the_segment_of_the_upgrade_are_received(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_tcp(f);
    struct bytes bytes = {0};
    add_bytes(&bytes, STR(UPGRADE));
    add_frame(&bytes, TEXT, STR(SIGN("alice")));
    add_frame(&bytes, TEXT, STR(MSG("alice", "1")));

    when_sends_all(client, &bytes);

    free(then_http(client, "HTTP/1.1 101 "));
    then_text(client, SIGNED("1"));
    then_text(client, DELIVERY("alice", "1"));
    then_text(client, SENT);
}

static void test_forbidden_frame_in_the_segment_of_the_upgrade_is_closed_with_1002(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_tcp(f);

    when_sends_bytes(client, STR(UPGRADE "\x81\x02{}"));

    free(then_http(client, "HTTP/1.1 101 "));
    then_closed(client, 1002);
}

static const struct {
    struct str bytes;
    const char *status;
} no_websockets[] = {
    {STR_INIT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na=b&"), "HTTP/1.1 405 "},
    {STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n\n\x81\x02{}"), "HTTP/1.1 400 "},
    {STR_INIT("GET / HTTP/1.1\r\n\n\n\x81\x02{}"), "HTTP/1.1 400 "},
    {STR_INIT("\x81\x02{}"), "HTTP/1.1 400 "},
    {STR_INIT("\r\n\r\n\x81\x02{}"), "HTTP/1.1 400 "},
    {STR_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"), "HTTP/1.1 505 "},
    {STR_INIT("GET / HTTP/1.1\r\n\r\r\n\x81\xff\x10\1\1\1\1\1\1\1: v\r\nHost: x\r\n"
              "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x02{}"),
     "HTTP/1.1 400 "},
};

/* What is no WebSocket has no frames, so what stands behind its head is dropped with it. */
static void test_bytes_behind_a_head_that_is_no_upgrade_end_the_connection(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    for (size_t i = 0; i < sizeof no_websockets / sizeof no_websockets[0]; i++) {
        struct client *client = given_tcp(f);

        when_sends_bytes(client, no_websockets[i].bytes);

        free(then_http(client, no_websockets[i].status));
        while (!client->ended) {
            run_for(f, 1);
            client_read(client);
        }
    }
    then_nothing(given_client(f));
}

/* Whatever the end of TCP cuts off, what was complete before it is answered. */
static void test_end_inside_of_a_frame_comes_after_the_replies(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    static const struct str cut_off[] = {
        STR_INIT("\x81"),
        STR_INIT("\x81\xfe\x10"),
        STR_INIT("\x81\x85" MASK "{"),
        STR_INIT("\x01\x81" MASK "z\x80\x85" MASK "{"),
        STR_INIT("\x88\x82" MASK "\x02"),
    };
    for (size_t i = 0; i < sizeof cut_off / sizeof cut_off[0]; i++) {
        struct client *client = given_user(f, "alice");
        struct bytes bytes = {0};
        add_frame(&bytes, TEXT, STR(MSG("bob", "1")));
        add_bytes(&bytes, cut_off[i]);

        when_sends_all(client, &bytes);
        shutdown(client->fd, SHUT_WR);

        then_text(client, SENT);
        then_frame(client, CLOSE, STR(""));
        then_ended(client);
        then_n_signed(f, 0);
    }
}

enum {
    N_LONG = 12,
    LONG_SIZE = 60000
};

static bool is_blocked(void *ctx)
{
    const struct connection *connection = ctx;
    return connection->blocked;
}

/* Who has said all and reads gets what waits; who does not is let go. */
static void test_end_while_much_waits_comes_after_the_replies(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_small_tcp(f);
    when_upgrades(alice);
    when_signs(alice, "alice");
    struct connection *connection = id_table_get(f->transport->connections, 1);
    static char text[LONG_SIZE];
    static char body[LONG_SIZE - 100];
    memset(body, 'x', sizeof body - 1);
    snprintf(text, sizeof text, MSG("alice", "\"%s\""), body);
    for (int i = 0; i < N_LONG; i++) {
        when_says(alice, text);
    }
    assert_true(run_until(f, is_blocked, connection));
    run_for(f, 20);

    shutdown(alice->fd, SHUT_WR);
    run_for(f, 50);
    then_n_signed(f, 0);

    snprintf(text, sizeof text, DELIVERY("alice", "\"%s\""), body);
    for (int i = 0; i < N_LONG; i++) {
        then_text(alice, text);
        then_text(alice, SENT);
    }
    then_frame(alice, CLOSE, STR(""));
    then_ended(alice);
}

static void test_other_sockets_are_read_as_ever(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(send(pair[0], "\x81\x02{}", 4, 0), 4);
    char buffer[8] = "";

    assert_int_equal(recv(pair[1], buffer, 2, MSG_PEEK), 2);
    assert_int_equal(recv(pair[1], buffer, sizeof buffer, 0), 4);
    assert_memory_equal(buffer, "\x81\x02{}", 4);
    close(pair[0]);
    assert_int_equal(recv(pair[1], buffer, sizeof buffer, 0), 0);
    close(pair[1]);
    assert_int_equal(recv(-1, buffer, sizeof buffer, 0), -1);
}

/* The kernel gives the numbers of sockets out again: the next one has another reader. */
static void test_socket_with_the_number_of_one_that_closed_is_read_as_ever(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_user(f, "alice");
    const struct connection *connection = id_table_get(f->transport->connections, 1);
    int number = connection->socket;
    when_leaves(client);
    then_n_signed(f, 0);
    run_for(f, 10);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int other = pair[0] == number ? pair[1] : pair[0];
    assert_int_equal(dup2(pair[0] == number ? pair[0] : pair[1], number), number);
    char buffer[8] = "";

    assert_int_equal(send(other, "\x81\x02{}", 4, 0), 4);
    assert_int_equal(recv(number, buffer, sizeof buffer, 0), 4);

    assert_memory_equal(buffer, "\x81\x02{}", 4);
    close(pair[0]);
    close(pair[1]);
    if (number != pair[0] && number != pair[1]) {
        close(number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSPORT_TEST(test_forbidden_frame_is_closed_with_1002_in_its_turn),
        TRANSPORT_TEST(test_answer_to_1002_ends_the_connection),
        TRANSPORT_TEST(test_close_behind_a_fault_is_not_waited_for),
        TRANSPORT_TEST(test_close_of_a_lost_stream_is_not_waited_for),
        TRANSPORT_TEST(test_conversation_byte_by_byte),
        TRANSPORT_TEST(test_held_byte_outlives_a_read_of_nothing),
        TRANSPORT_TEST(test_reads_of_any_size_pass_the_same_bytes),
        TRANSPORT_TEST(test_frames_in_the_segment_of_the_upgrade_are_received),
        TRANSPORT_TEST(test_forbidden_frame_in_the_segment_of_the_upgrade_is_closed_with_1002),
        TRANSPORT_TEST(test_bytes_behind_a_head_that_is_no_upgrade_end_the_connection),
        TRANSPORT_TEST(test_end_inside_of_a_frame_comes_after_the_replies),
        TRANSPORT_TEST(test_end_while_much_waits_comes_after_the_replies),
        TRANSPORT_TEST(test_other_sockets_are_read_as_ever),
        TRANSPORT_TEST(test_socket_with_the_number_of_one_that_closed_is_read_as_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
