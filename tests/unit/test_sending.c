/* What leaves a connection, in which order and how often the kernel is asked; and when a
 * connection ends: silence, slow readers, closes that are not answered. */
#include "transport_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chat/mem.h"
#include "fakes/fake_store.h"
#include "transport/state.h"

/* Static, for the fixture's teardown uses it if the test fails. */
static struct fake_store store;

static unsigned n_sends;

/* In the place of the C library's: libwebsockets' calls are counted. The fixture's clients use
 * sendto(). */
ssize_t send(int socket, const void *buffer, size_t size, int flags)
{
    n_sends++;
    return sendto(socket, buffer, size, flags, NULL, 0);
}

/* The connection of the n-th client that a test made. */
static struct connection *connection_of(const struct fixture *f, conn_id id)
{
    return id_table_get(f->transport->connections, id);
}

/* A JSON string of 'size' bytes. Caller frees. */
static char *long_body(size_t size)
{
    char *body = mem_alloc(size + 1);
    memset(body, 'x', size);
    body[0] = '"';
    body[size - 1] = '"';
    return body;
}

static struct delivery delivery_from(const char *from, const char *body)
{
    return (struct delivery){.from = str_of(from), .body = str_of(body)};
}

static void when_delivers(struct fixture *f, conn_id conn, const char *body)
{
    struct sink *sink = transport_sink(f->transport);
    struct delivery delivery = delivery_from("alice", body);
    sink->ops->deliver(sink, &conn, 1, &delivery);
}

/* [WS-16] To the byte, with each form of a frame's length. */
static void test_delivery_is_one_text_frame(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    static const size_t sizes[] = {2, 125 - 24, 126 - 24, 65535 - 24, 65536 - 24};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *body = long_body(sizes[i]);
        char *want = mem_alloc(sizes[i] + 25);
        snprintf(want, sizes[i] + 25, "{\"body\":%s,\"from\":\"alice\"}", body);

        when_delivers(f, 1, body);

        then_text(bob, want);
        free(want);
        free(body);
    }
    then_nothing(bob);
}

/* [ORDER-3] */
static void test_delivery_to_the_sender_comes_before_its_reply(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");

    when_says(alice, MSG("alice", "1"));

    then_text(alice, DELIVERY("alice", "1"));
    then_text(alice, SENT);
}

/* All that one turn says to a connection is one system call, whoever said it. */
static void test_one_turn_is_one_send_for_each_connection(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    struct client *alice = given_user(f, "alice");
    struct bytes bytes = {0};
    for (int i = 0; i < 10; i++) {
        add_frame(&bytes, TEXT, STR(MSG("bob", "1")));
    }
    n_sends = 0;

    when_sends_all(alice, &bytes);

    for (int i = 0; i < 10; i++) {
        then_text(alice, SENT);
        then_text(bob, DELIVERY("alice", "1"));
    }
    assert_int_equal(n_sends, 2);
}

static void test_what_is_said_to_nobody_is_passed_over(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    struct sink *sink = transport_sink(f->transport);
    struct reply reply = {.kind = REPLY_SENT};

    when_delivers(f, 77, "1");
    sink->ops->reply(sink, 77, &reply);
    sink->ops->ping(sink, 77, STR("17-0"));
    sink->ops->close(sink, 77, 1008);
    sink->ops->receive_more(sink, 77, true);
    assert_true(sink->ops->takes_more(sink, 77));

    then_nothing(bob);
}

/* What was said before a close leaves before it, and nothing behind it. */
static void test_close_stands_between_what_is_sent_and_what_is_not(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    struct sink *sink = transport_sink(f->transport);

    when_delivers(f, 1, "1");
    sink->ops->close(sink, 1, 1008);
    sink->ops->close(sink, 1, 1002); /* the first one counts */
    when_delivers(f, 1, "2");
    sink->ops->ping(sink, 1, STR("2"));

    then_text(bob, DELIVERY("alice", "1"));
    then_frame(bob, CLOSE, STR("\x03\xf0"));
    when_delivers(f, 1, "3"); /* while the peer's answer is awaited */
    run_for(f, 20);
    when_sends(bob, CLOSE, STR("\x03\xf0"));
    then_ended(bob);
}

/* [ID-3] Its traces do not wait for a peer that does not answer; nor does TCP, for long. */
static void test_close_that_is_not_answered_is_cut(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    struct sink *sink = transport_sink(f->transport);
    uint64_t before_ms = loop_now_ms(f->loop);
    uint64_t turned_before_ms = f->turned_ms;

    sink->ops->close(sink, 1, 1008);

    then_frame(bob, CLOSE, STR("\x03\xf0"));
    then_n_signed(f, 0);
    assert_true(f->turned_ms - turned_before_ms < 1000);
    then_ended(bob);
    assert_true(loop_now_ms(f->loop) - before_ms >= 2000);
    assert_true(f->turned_ms - turned_before_ms <= 3500);
    run_for(f, 10);
    assert_null(connection_of(f, 1));
}

/* What arrives behind a close is not received, also when the close has not left yet. */
static void test_nothing_is_received_behind_a_close(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    struct client *bob = given_user(f, "bob");
    struct sink *sink = transport_sink(f->transport);
    when_says(alice, MSG("bob", "1"));

    sink->ops->close(sink, 1, 1008);

    then_closed(alice, 1008);
    then_nothing(bob);
}

/* [HIST-12] A ping has its payload and its place among what is said. */
static void test_ping_leaves_with_its_payload_in_its_turn(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    struct sink *sink = transport_sink(f->transport);
    char longest[125];
    memset(longest, 'p', sizeof longest);
    char payload[] = "17-0";

    when_delivers(f, 1, "1");
    sink->ops->ping(sink, 1, str_of(payload));
    memset(payload, '#', sizeof payload - 1); /* it was copied */
    when_delivers(f, 1, "2");
    sink->ops->ping(sink, 1, (struct str){longest, sizeof longest});

    then_text(bob, DELIVERY("alice", "1"));
    then_frame(bob, PING, STR("17-0"));
    then_text(bob, DELIVERY("alice", "2"));
    then_frame(bob, PING, ((struct str){longest, sizeof longest}));
    then_nothing(bob);
    sink->ops->ping(sink, 1, STR("18-0")); /* with nothing else to leave */
    then_frame(bob, PING, STR("18-0"));
}

struct slow_reader {
    struct fixture *fixture;
    struct client *client;
    conn_id id;
    size_t n_said;
};

/* Its kernel and the server's keep little for it. */
static struct slow_reader given_slow_reader(struct fixture *f)
{
    struct client *client = given_small_tcp(f);
    when_upgrades(client);
    when_signs(client, "slow");
    const int size = 16384;
    const conn_id id = f->transport->last_id;
    assert_int_equal(
        setsockopt(connection_of(f, id)->socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    return (struct slow_reader){f, client, id, 0};
}

/* Say so much to it that the kernel does not take all, nor in a while, and one delivery waits
 * behind that. */
static void when_blocked(struct slow_reader *slow)
{
    struct fixture *f = slow->fixture;
    char *body = long_body(60000);
    int n_waits = 0;
    while (n_waits < 20) {
        if (connection_of(f, slow->id)->outbox.len == 0) {
            when_delivers(f, slow->id, body);
            slow->n_said++;
        }
        run_for(f, 5);
        n_waits = connection_of(f, slow->id)->outbox.len > 0 ? n_waits + 1 : 0;
        assert_in_range(slow->n_said, 1, 500);
    }
    assert_true(connection_of(f, slow->id)->blocked);
    free(body);
}

static void then_reads_all(struct slow_reader *slow)
{
    char *body = long_body(60000);
    char *want = mem_alloc(60025);
    snprintf(want, 60025, "{\"body\":%s,\"from\":\"alice\"}", body);
    for (size_t i = 0; i < slow->n_said; i++) {
        then_text(slow->client, want);
    }
    free(want);
    free(body);
}

/* [WS-12] Nothing is lost, nothing changes places. */
static void test_reader_that_is_slow_for_a_while_gets_everything(void **state)
{
    struct fixture *f = *state;
    f->options.outbox_size_max = 65536;
    given_server(f);
    struct slow_reader slow = given_slow_reader(f);
    when_blocked(&slow);
    when_delivers(f, 1, "\"waits\"");
    run_for(f, 10);

    then_reads_all(&slow);

    then_text(slow.client, DELIVERY("alice", "\"waits\""));
    then_nothing(slow.client);
    assert_false(connection_of(f, 1)->blocked);
    assert_null(connection_of(f, 1)->outbox.memory);
}

/* Tell the router of a message to connection 1, a live device, whose turn it is. */
static void when_message_arrives(uint64_t ms)
{
    const struct delivery message = {.from = STR("alice"), .body = STR("1"), .id = {ms, 0}};
    const conn_id device = 1;
    store.events->arrived(store.events_ctx, STR("bob"), &message, (struct message_id){ms - 1, 0},
                          &device, 1);
}

static bool was_asked(void *ctx)
{
    (void)ctx;
    return store.asked.len > 0;
}

/* [WS-12] So that replies have room whatever history pours in, a connection takes more until half
 * its outbox waits; when that has left the router hears of it. */
static void test_takes_more_until_half_of_the_outbox_waits(void **state)
{
    struct fixture *f = *state;
    f->options.outbox_size_max = 100000;
    given_server_with_history(f, &store);
    struct client *bob = given_client(f);
    when_is_device(bob, &store);
    struct sink *sink = transport_sink(f->transport);
    static const size_t half = 50000;
    char *body = long_body(half - 2 - sizeof DELIVERY("alice", "") - 3);

    when_delivers(f, 1, body);
    assert_int_equal(connection_of(f, 1)->outbox.len, half - 2);
    assert_true(sink->ops->takes_more(sink, 1));
    sink->ops->ping(sink, 1, STR(""));
    assert_false(sink->ops->takes_more(sink, 1));
    when_message_arrives(11);
    assert_int_equal(store.asked.len, 0);

    assert_true(run_until(f, was_asked, NULL));
    transcript_expect(&store.asked, "read 64 of bob after 10-0\n", __FILE__, __LINE__);
    assert_true(sink->ops->takes_more(sink, 1));
    assert_false(connection_of(f, 1)->to_drain); /* it hears once */
    free(body);
    forget_history(f, &store);
}

/* Who was not refused is not told. */
static void test_router_is_not_told_of_room_that_it_did_not_miss(void **state)
{
    struct fixture *f = *state;
    f->options.outbox_size_max = 100000;
    given_server_with_history(f, &store);
    struct client *bob = given_client(f);
    when_is_device(bob, &store);

    when_message_arrives(11);

    then_text(bob, "{\"body\":1,\"from\":\"alice\",\"id\":\"11-0\",\"time\":11}");
    assert_false(connection_of(f, 1)->to_drain);
    assert_int_equal(store.asked.len, 0);
    forget_history(f, &store);
}

/* [WS-12] While the kernel does not take what has left the outbox, a connection takes no more; the
 * router hears when the peer has read, once. */
static void test_takes_more_when_the_peer_has_read(void **state)
{
    struct fixture *f = *state;
    given_server_with_history(f, &store);
    struct client *client = given_small_tcp(f);
    when_upgrades(client);
    when_is_device(client, &store);
    const int size = 16384;
    assert_int_equal(
        setsockopt(connection_of(f, 1)->socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    struct slow_reader slow = {f, client, 1, 0};
    struct sink *sink = transport_sink(f->transport);

    when_blocked(&slow);
    assert_false(sink->ops->takes_more(sink, 1));
    when_message_arrives(11);
    run_for(f, 10);
    assert_int_equal(store.asked.len, 0);
    then_reads_all(&slow);
    assert_true(run_until(f, was_asked, NULL));
    run_for(f, 10);

    transcript_expect(&store.asked, "read 64 of bob after 10-0\n", __FILE__, __LINE__);
    assert_true(sink->ops->takes_more(sink, 1));
    forget_history(f, &store);
}

/* The time limit that is set for connection 1 is over; waiting for it would take seconds. */
static void when_its_time_is_up(struct fixture *f)
{
    struct deadline *deadline = &connection_of(f, 1)->deadline;
    assert_non_null(deadline->link);
    assert_in_range(deadline->due_ms - loop_now_ms(f->loop), 1, 2000);
    deadline_set(&f->transport->wheel, deadline, loop_now_ms(f->loop));
}

static bool is_gone(void *ctx)
{
    return connection_of(ctx, 1) == NULL;
}

static void ends_its_half(struct client *client)
{
    shutdown(client->fd, SHUT_WR);
}

/* Say 'n' times 60,000 bytes to it, in one turn. */
static void when_burst(struct slow_reader *slow, size_t n)
{
    char *body = long_body(60000);
    for (size_t i = 0; i < n; i++) {
        when_delivers(slow->fixture, slow->id, body);
    }
    slow->n_said += n;
    free(body);
}

static void when_ticks(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++) {
        slow_readers_tick(f->transport);
    }
}

enum {
    WATCH_TICKS = 50 /* in which a watched reader has to take something */
};

/* [WS-12] [MSG-2] What one turn brings is no fault of the reader. */
static void test_burst_for_a_reader_arrives_whole(void **state)
{
    struct fixture *f = *state;
    f->options.outbox_size_max = 65536;
    given_server(f);
    struct client *bob = given_user(f, "bob");
    struct slow_reader reader = {f, bob, 1, 0};

    when_burst(&reader, 100);

    then_reads_all(&reader);
    then_nothing(bob);
    assert_int_equal(f->transport->outboxes_size, 0);
    when_ticks(f, 1);
    assert_int_equal(f->transport->watched.n, 0);
}

/* What the kernel takes is no longer in memory, while the burst goes on. */
static void test_burst_is_offered_to_the_kernel_before_it_is_too_much(void **state)
{
    struct fixture *f = *state;
    f->options.outbox_size_max = 65536;
    given_server(f);
    (void)given_user(f, "bob");
    struct slow_reader reader = {f, NULL, 1, 0};

    when_burst(&reader, 2);

    assert_in_range(connection_of(f, 1)->outbox.len, 1, 65536);
    assert_false(connection_of(f, 1)->slowness.watched);
}

/* [WS-12] Closed when it takes nothing of too much; what waited is given back; nobody else
 * notices. */
static void test_reader_that_is_too_slow_is_closed(void **state)
{
    struct fixture *f = *state;
    f->options.outbox_size_max = 65536;
    given_server(f);
    struct slow_reader slow = given_slow_reader(f);
    struct client *bob = given_user(f, "bob");
    when_blocked(&slow);

    when_burst(&slow, 1);
    assert_true(connection_of(f, 1)->slowness.watched);
    when_ticks(f, WATCH_TICKS / 2);
    assert_int_equal(connection_of(f, 1)->close_code, 0);
    when_ticks(f, 2 * WATCH_TICKS); /* at first its kernel may have taken some */

    assert_null(connection_of(f, 1)->outbox.memory);
    then_n_signed(f, 1);
    when_says(bob, MSG("bob", "1"));
    then_text(bob, DELIVERY("bob", "1"));
    then_text(bob, SENT);
    when_its_time_is_up(f);
    assert_true(run_until(f, is_gone, f)); /* though it still does not read */
    assert_int_equal(f->transport->outboxes_size, 0);
}

static bool is_being_closed(void *ctx)
{
    return connection_of(ctx, 1)->close_code != 0;
}

/* [WS-12] Who takes nothing at all is closed before all the time has passed that a slow one has:
 * meanwhile whatever comes for it would only take memory. */
static void test_reader_that_takes_nothing_is_closed_soon(void **state)
{
    struct fixture *f = *state;
    f->options.outbox_size_max = 65536;
    given_server(f);
    struct slow_reader slow = given_slow_reader(f);
    when_blocked(&slow);
    when_burst(&slow, 1);

    assert_true(run_until(f, is_being_closed, f));

    assert_in_range(connection_of(f, 1)->slowness.n_ticks, 0, WATCH_TICKS - 1);
}

static bool has_taken_some(void *ctx)
{
    struct slow_reader *slow = ctx;
    client_read(slow->client);
    return slow->client->n_in > 3 * 65536;
}

/* [WS-12] As long as it reads it stays, however much waits. */
static void test_reader_that_takes_some_in_time_stays(void **state)
{
    struct fixture *f = *state;
    f->options.outbox_size_max = 65536;
    given_server(f);
    struct slow_reader slow = given_slow_reader(f);
    when_blocked(&slow);
    when_burst(&slow, 20);

    when_ticks(f, WATCH_TICKS / 2);
    assert_true(run_until(f, has_taken_some, &slow));
    when_ticks(f, WATCH_TICKS);

    assert_int_equal(connection_of(f, 1)->close_code, 0);
    then_reads_all(&slow);
    then_nothing(slow.client);
}

/* [WS-12] Who asks and does not read its replies is not read any more, and nothing is lost. */
static void test_requests_of_a_reader_that_does_not_read_wait(void **state)
{
    struct fixture *f = *state;
    f->options.outbox_size_max = 65536;
    given_server(f);
    struct slow_reader slow = given_slow_reader(f);
    when_blocked(&slow);
    when_burst(&slow, 1);

    for (int i = 0; i < 10; i++) {
        when_says(slow.client, MSG("slow", "1"));
        run_for(f, 5);
    }

    assert_true(connection_of(f, 1)->slowness.unheard);
    assert_in_range(connection_of(f, 1)->outbox.len, 120000, 120000 + 200);
    then_reads_all(&slow);
    for (int i = 0; i < 10; i++) {
        then_text(slow.client, DELIVERY("slow", "1"));
        then_text(slow.client, SENT);
    }
    assert_false(connection_of(f, 1)->slowness.unheard);
}

/* [ID-3] Its end is seen all the same. */
static void test_reader_that_is_not_heard_and_leaves_has_no_traces(void **state)
{
    struct fixture *f = *state;
    f->options.outbox_size_max = 65536;
    given_server(f);
    struct slow_reader slow = given_slow_reader(f);
    when_blocked(&slow);
    when_burst(&slow, 1);
    when_says(slow.client, MSG("slow", "1"));
    run_for(f, 5);
    assert_true(connection_of(f, 1)->slowness.unheard);

    ends_its_half(slow.client);

    then_n_signed(f, 0);
}

/* All outboxes have a limit that always holds. [WS-12] Those that hold pay: first who takes
 * nothing, though a burst for a reader is larger. */
static void test_who_takes_nothing_pays_for_all(void **state)
{
    struct fixture *f = *state;
    f->options.outboxes_size_max = 1000000;
    given_server(f);
    struct slow_reader slow = given_slow_reader(f);
    when_blocked(&slow);
    when_burst(&slow, 5);
    (void)given_user(f, "bob");
    struct slow_reader reader = {f, f->clients, 2, 0};
    connection_of(f, 1)->slowness.moved_ms -= 1000; /* so long ago */

    while (connection_of(f, 1)->close_code == 0) {
        assert_in_range(reader.n_said, 0, 500);
        when_burst(&reader, 1);
    }

    assert_int_equal(connection_of(f, 2)->close_code, 0);
    assert_in_range(f->transport->outboxes_size, 0, 1000000);
    then_reads_all(&reader);
}

/* Then who holds the most. */
static void test_who_holds_the_most_pays_for_all(void **state)
{
    struct fixture *f = *state;
    f->options.outboxes_size_max = 1000000;
    given_server(f);
    struct slow_reader small = given_slow_reader(f);
    when_blocked(&small);
    struct slow_reader large = given_slow_reader(f);
    when_blocked(&large);
    connection_of(f, 1)->slowness.moved_ms = loop_now_ms(f->loop);
    connection_of(f, 2)->slowness.moved_ms = loop_now_ms(f->loop);

    when_burst(&large, 20);

    assert_int_equal(connection_of(f, 1)->close_code, 0);
    assert_int_not_equal(connection_of(f, 2)->close_code, 0);
    assert_in_range(f->transport->outboxes_size, 0, 1000000);
}

/* [ORDER-4], [WS-12] A close waits behind what the kernel does not take, but not without end. */
static void test_close_of_a_reader_that_does_not_read_is_cut(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct slow_reader slow = given_slow_reader(f);
    when_blocked(&slow);
    struct sink *sink = transport_sink(f->transport);

    sink->ops->close(sink, 1, 1008);

    run_for(f, 50);
    assert_int_equal(router_n_signed(f->router),
                     1); /* its close has not begun: it may still read */
    when_its_time_is_up(f);
    then_n_signed(f, 0);
    when_its_time_is_up(f);
    assert_true(run_until(f, is_gone, f));
}

static void sends_a_close(struct client *client)
{
    when_sends(client, CLOSE, STR("\x03\xe8"));
}

/* [ID-3] Whichever way a peer goes that has not read what it was sent, its traces go with it. */
static void test_reader_that_does_not_read_and_leaves_has_no_traces(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    static void (*const ways[])(struct client *) = {when_leaves, ends_its_half, sends_a_close};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct slow_reader slow = given_slow_reader(f);
        when_blocked(&slow);
        uint64_t before_ms = f->turned_ms;

        ways[i](slow.client);

        then_n_signed(f, 0);
        assert_in_range(f->turned_ms - before_ms, 0, 900);
    }
}

static void test_close_leaves_behind_what_the_kernel_did_not_take(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct slow_reader slow = given_slow_reader(f);
    when_blocked(&slow);
    struct sink *sink = transport_sink(f->transport);
    when_delivers(f, 1, "\"last\"");

    sink->ops->close(sink, 1, 1008);
    run_for(f, 10);

    then_reads_all(&slow);
    then_text(slow.client, DELIVERY("alice", "\"last\""));
    then_closed(slow.client, 1008);
}

/* [WS-10] */
static void test_silent_peer_is_pinged_and_stays_if_it_answers(void **state)
{
    struct fixture *f = *state;
    f->options.ping_interval_ms = 600;
    f->options.ping_timeout_ms = 1200;
    given_server(f);
    uint64_t before_ms = loop_now_ms(f->loop);
    uint64_t turned_before_ms = f->turned_ms;
    struct client *client = given_client(f);

    for (uint64_t i = 0; i < 4; i++) {
        then_frame(client, PING, STR(""));
        assert_true(loop_now_ms(f->loop) - before_ms >= 600 * (i + 1) - 5);
        assert_true(f->turned_ms - turned_before_ms <= 1300 * (i + 1));
        when_sends(client, PONG, STR(""));
    }
    then_nothing(client);
}

/* [WS-10] */
static void test_peer_that_does_not_answer_a_ping_is_dropped(void **state)
{
    struct fixture *f = *state;
    f->options.ping_interval_ms = 500;
    f->options.ping_timeout_ms = 500;
    given_server(f);
    uint64_t before_ms = loop_now_ms(f->loop);
    uint64_t turned_before_ms = f->turned_ms;
    struct client *client = given_user(f, "alice");

    then_n_signed(f, 0);

    assert_true(loop_now_ms(f->loop) - before_ms >= 990);
    assert_true(f->turned_ms - turned_before_ms <= 2500);
    then_frame(client, PING, STR(""));
    then_closed(client, 1008);
}

/* [WS-10] However long an answer may take: one that came is waited for no longer. Proxies cut lines
 * on which nothing moves. */
static void test_pings_that_are_answered_come_at_the_pace_of_the_interval(void **state)
{
    struct fixture *f = *state;
    f->options.ping_interval_ms = 100;
    f->options.ping_timeout_ms = 3600000;
    given_server(f);
    struct client *client = given_client(f);

    for (int i = 0; i < 3; i++) {
        then_frame(client, PING, STR(""));
        when_sends(client, PONG, STR(""));
    }
}

/* [WS-10] A peer that answers none is asked again and again, too, and has its whole time. */
static void test_pings_that_are_not_answered_come_at_the_same_pace(void **state)
{
    struct fixture *f = *state;
    f->options.ping_interval_ms = 500;
    f->options.ping_timeout_ms = 3000;
    given_server(f);
    uint64_t before_ms = loop_now_ms(f->loop);
    struct client *client = given_user(f, "alice");

    for (int i = 0; i < 3; i++) {
        then_frame(client, PING, STR(""));
    }
    then_n_signed(f, 0);

    assert_true(loop_now_ms(f->loop) - before_ms >= 3490);
}

/* [WS-10] What has come and was not read yet is a sign of life: a machine that stood still takes
 * nobody for dead. */
static void test_answer_that_was_not_read_yet_is_a_sign_of_life(void **state)
{
    struct fixture *f = *state;
    f->options.ping_interval_ms = 500;
    f->options.ping_timeout_ms = 500;
    given_server(f);
    struct client *client = given_user(f, "alice");
    then_frame(client, PING, STR(""));
    when_sends(client, PONG, STR(""));

    usleep(1500000); /* the loop's clock is late, and its timers come first */

    run_for(f, 50);
    assert_int_equal(router_n_signed(f->router), 1);
}

/* [WS-10] A peer in the middle of a long message is alive: every byte says so. */
static void test_any_byte_is_a_sign_of_life(void **state)
{
    struct fixture *f = *state;
    f->options.ping_interval_ms = 1500;
    f->options.ping_timeout_ms = 100;
    given_server(f);
    struct client *client = given_client(f);
    struct bytes bytes = {0};
    add_frame(&bytes, TEXT, STR(SIGN("alice")));

    for (size_t i = 0; i < 10; i++) {
        when_sends_bytes(client, (struct str){(char *)bytes.memory + i, 1});
        run_for(f, 300);
    }
    when_sends_bytes(client, (struct str){(char *)bytes.memory + 10, bytes.len - 10});

    then_text(client, SIGNED("1")); /* no ping before it */
    free(bytes.memory);
}

/* [WS-11] No greeting, and nothing but a ping. */
static void test_connection_that_asked_for_nothing_gets_nothing(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *client = given_client(f);

    run_for(f, 300);

    then_nothing(client);
}

static void test_receive_more_stops_and_goes_on_without_a_loss(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    struct sink *sink = transport_sink(f->transport);

    sink->ops->receive_more(sink, 1, false);
    when_says(alice, MSG("bob", "1"));
    when_says(alice, SIGN("carol"));
    run_for(f, 50);
    client_read(alice);
    assert_int_equal(alice->n_in, 0);
    sink->ops->receive_more(sink, 1, true);

    then_text(alice, SENT);
    then_text(alice, SIGNED("2"));
}

enum {
    N_MANY = 1000 /* far more than are in flight, and than are read at a time */
};

static bool one_is_pending(void *ctx)
{
    (void)ctx;
    return fake_store_n_pending(&store) > 0;
}

static bool many_are_pending(void *ctx)
{
    (void)ctx;
    return fake_store_n_pending(&store) >= REQUESTS_IN_FLIGHT_MAX;
}

/* The brake stops in the middle of what was already read, and the rest of it is kept. */
static void test_brake_loses_nothing_that_was_already_read(void **state)
{
    struct fixture *f = *state;
    fake_store_init(&store);
    given_server_on(f, &store.base);
    struct client *alice = given_client(f);
    when_says(alice, SIGN("alice"));
    assert_true(run_until(f, one_is_pending, NULL));
    fake_store_answer(&store);
    then_text(alice, SIGNED("1"));
    struct bytes bytes = {0};
    for (int i = 0; i < N_MANY; i++) {
        add_frame(&bytes, TEXT, STR(MSG("b", "1")));
    }

    when_sends_all(alice, &bytes);
    assert_true(run_until(f, many_are_pending, NULL));
    run_for(f, 50);
    assert_in_range(fake_store_n_pending(&store), REQUESTS_IN_FLIGHT_MAX, 200);

    for (int i = 0; i < N_MANY; i++) {
        fake_store_answer_all(&store);
        then_text(alice, SENT);
    }
    then_nothing(alice);
    when_stops(f, 0);
    then_stopped(f);
    fake_store_fini(&store);
}

/* A close frame has to be read also when nothing else is. */
static void test_close_of_a_braked_connection_is_answered(void **state)
{
    struct fixture *f = *state;
    given_server(f);
    struct client *alice = given_user(f, "alice");
    struct sink *sink = transport_sink(f->transport);

    sink->ops->receive_more(sink, 1, false);
    sink->ops->close(sink, 1, 1008);

    uint64_t before_ms = f->turned_ms;
    then_closed(alice, 1008);
    assert_true(f->turned_ms - before_ms < 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSPORT_TEST(test_delivery_is_one_text_frame),
        TRANSPORT_TEST(test_delivery_to_the_sender_comes_before_its_reply),
        TRANSPORT_TEST(test_one_turn_is_one_send_for_each_connection),
        TRANSPORT_TEST(test_what_is_said_to_nobody_is_passed_over),
        TRANSPORT_TEST(test_ping_leaves_with_its_payload_in_its_turn),
        TRANSPORT_TEST(test_takes_more_until_half_of_the_outbox_waits),
        TRANSPORT_TEST(test_router_is_not_told_of_room_that_it_did_not_miss),
        TRANSPORT_TEST(test_takes_more_when_the_peer_has_read),
        TRANSPORT_TEST(test_close_stands_between_what_is_sent_and_what_is_not),
        TRANSPORT_TEST(test_close_that_is_not_answered_is_cut),
        TRANSPORT_TEST(test_nothing_is_received_behind_a_close),
        TRANSPORT_TEST(test_reader_that_is_slow_for_a_while_gets_everything),
        TRANSPORT_TEST(test_burst_for_a_reader_arrives_whole),
        TRANSPORT_TEST(test_burst_is_offered_to_the_kernel_before_it_is_too_much),
        TRANSPORT_TEST(test_reader_that_is_too_slow_is_closed),
        TRANSPORT_TEST(test_reader_that_takes_nothing_is_closed_soon),
        TRANSPORT_TEST(test_reader_that_takes_some_in_time_stays),
        TRANSPORT_TEST(test_requests_of_a_reader_that_does_not_read_wait),
        TRANSPORT_TEST(test_reader_that_is_not_heard_and_leaves_has_no_traces),
        TRANSPORT_TEST(test_who_takes_nothing_pays_for_all),
        TRANSPORT_TEST(test_who_holds_the_most_pays_for_all),
        TRANSPORT_TEST(test_close_of_a_reader_that_does_not_read_is_cut),
        TRANSPORT_TEST(test_reader_that_does_not_read_and_leaves_has_no_traces),
        TRANSPORT_TEST(test_close_leaves_behind_what_the_kernel_did_not_take),
        TRANSPORT_TEST(test_silent_peer_is_pinged_and_stays_if_it_answers),
        TRANSPORT_TEST(test_peer_that_does_not_answer_a_ping_is_dropped),
        TRANSPORT_TEST(test_pings_that_are_answered_come_at_the_pace_of_the_interval),
        TRANSPORT_TEST(test_pings_that_are_not_answered_come_at_the_same_pace),
        TRANSPORT_TEST(test_answer_that_was_not_read_yet_is_a_sign_of_life),
        TRANSPORT_TEST(test_any_byte_is_a_sign_of_life),
        TRANSPORT_TEST(test_connection_that_asked_for_nothing_gets_nothing),
        TRANSPORT_TEST(test_receive_more_stops_and_goes_on_without_a_loss),
        TRANSPORT_TEST(test_brake_loses_nothing_that_was_already_read),
        TRANSPORT_TEST(test_close_of_a_braked_connection_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
