/* The order of things: who is answered when, what a close does, and the brake. SPEC 4.5 to 4.7. */
#include "router_fixture.h"

/* Nothing is sent to a connection that asked for nothing. */
static void test_open_and_close_ask_and_say_nothing(void **state)
{
    struct fixture *f = *state;

    conn_id conn = given_connection(f);
    router_closed(f->router, conn);

    then_said(f, "");
    then_asked(f, "");
}

/* [ORDER-1] Requests of one connection overlap in the store. */
static void test_msgs_are_asked_for_without_waiting_for_each_other(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives(f, alice, msg_to("a", "1"));
    when_receives(f, alice, msg_to("b", "2"));
    when_receives(f, alice, msg_to("c", "3"));

    then_asked(f, "send a\nsend b\nsend c\n");
}

/* [ORDER-1] A refusal takes its turn behind a msg that waits for the store. */
static void test_refusal_behind_a_waiting_msg_takes_its_turn(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives(f, alice, with_cid(msg_to("alice", "1"), "\"1\""));
    when_receives(f, alice, with_cid(without_uid(msg_to("", "2")), "\"2\""));
    when_receives(f, alice, with_cid(msg_to("b", ""), "\"3\""));
    when_receives(f, alice, with_cid(msg_to("c", "4"), "\"4\""));
    when_receives(f, alice, with_cid(without_uid(sign_as("")), "\"5\""));
    when_receives(f, alice, with_cid(msg_to("d", "6"), "\"6\""));
    then_said(f, "");

    fake_store_answer(&f->store);
    then_said(f, "1: from alice: 1\n"
                 "1: sended cid=\"1\"\n"
                 "1: invalid_to cid=\"2\"\n"
                 "1: missing_body cid=\"3\"\n");
    fake_store_answer(&f->store);
    then_said(f, "1: sended cid=\"4\"\n"
                 "1: invalid_uid cid=\"5\"\n");
    fake_store_answer(&f->store);
    then_said(f, "1: sended cid=\"6\"\n");
    assert_int_equal(fake_store_n_pending(&f->store), 0);
}

/* One connection's wait is not another one's. */
static void test_connections_do_not_wait_for_each_other(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id bob = given_user(f, "bob");
    conn_id carol = given_connection(f);

    when_receives(f, alice, msg_to("nobody", "1"));
    when_receives(f, carol, sign_as("carol"));
    when_receives(f, bob, msg_to("alice", ""));
    fake_store_answer_bind(&f->store, carol);

    then_said(f, "2: missing_body\n"
                 "3: signed token=" ZEROS "1\n");
}

/* [ILLEGAL-1] [ILLEGAL-3] */
static void test_illegal_is_answered_then_closed_with_1008(void **state)
{
    struct fixture *f = *state;
    conn_id conn = given_connection(f);

    router_received_illegal(f->router, conn);

    then_said(f, "1: illegal\n1: close 1008\n");
    then_asked(f, "");
}

/* [ORDER-1] [ILLEGAL-4] In its turn, and nothing behind it. */
static void test_illegal_behind_pending_requests_is_the_last_thing_said(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");

    when_receives(f, alice, msg_to("bob", "1"));
    when_receives(f, alice, msg_to("bob", "2"));
    router_received_illegal(f->router, alice);
    when_receives(f, alice, msg_to("bob", "3"));
    router_received_illegal(f->router, alice);
    router_received_broken(f->router, alice, 1002);
    then_asked(f, "send bob\nsend bob\n");
    then_said(f, "");

    fake_store_answer_all(&f->store);
    then_said(f, "2: from alice: 1\n1: sended\n"
                 "2: from alice: 2\n1: sended\n"
                 "1: illegal\n1: close 1008\n");
    when_receives(f, alice, msg_to("bob", "4"));
    router_received_illegal(f->router, alice);
    then_said(f, "");
    then_asked(f, "");
    router_closed(f->router, alice);
    then_asked(f, "unbind 1\n");
}

/* [ORDER-1] Also behind a sign that decides about a msg in between. */
static void test_illegal_behind_a_sign_waits_for_it(void **state)
{
    struct fixture *f = *state;
    conn_id conn = given_connection(f);

    when_receives(f, conn, sign_as("alice"));
    when_receives(f, conn, msg_to("alice", "1"));
    router_received_illegal(f->router, conn);
    then_said(f, "");

    fake_store_answer_all(&f->store);
    then_said(f, "1: signed token=" ZEROS "1\n"
                 "1: from alice: 1\n1: sended\n"
                 "1: illegal\n1: close 1008\n");
}

/* A peer that broke the transport's rules is closed without a reply … */
static void test_broken_is_closed_without_a_reply(void **state)
{
    struct fixture *f = *state;
    conn_id conn = given_connection(f);

    router_received_broken(f->router, conn, 1009);
    when_receives(f, conn, sign_as("alice"));

    then_said(f, "1: close 1009\n");
    then_asked(f, "");
}

/* … in its turn. */
static void test_broken_behind_pending_requests_is_closed_in_its_turn(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives(f, alice, msg_to("alice", "1"));
    router_received_broken(f->router, alice, 1007);
    then_said(f, "");
    fake_store_answer_all(&f->store);

    then_said(f, "1: from alice: 1\n1: sended\n1: close 1007\n");
}

/* [ORDER-4] */
static void test_msg_then_close_takes_effect_without_a_reply(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");

    when_receives(f, alice, msg_to("bob", "1"));
    when_receives(f, alice, without_uid(msg_to("", "2")));
    when_receives(f, alice, msg_to("bob", "3"));
    router_closed(f->router, alice);
    then_asked(f, "send bob\nsend bob\n");
    fake_store_answer_all(&f->store);

    then_said(f, "2: from alice: 1\n2: from alice: 3\n");
    then_asked(f, "unbind 1\n");
}

/* [ORDER-4] */
static void test_sign_msg_then_close_take_effect(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);
    given_user(f, "bob");

    when_receives(f, alice, sign_as("alice"));
    when_receives(f, alice, msg_to("bob", "1"));
    when_receives(f, alice, msg_to("alice", "2"));
    router_closed(f->router, alice);
    then_asked(f, "bind 1 alice\n");
    fake_store_answer_all(&f->store);

    then_said(f, "2: from alice: 1\n");
    then_asked(f, "send bob\nsend alice\nunbind 1\n");
    assert_int_equal(router_n_signed(f->router), 1);
}

/* [ID-3] A device's traces go when it closes; a connection that is none has no traces. */
static void test_close_unbinds_what_was_signed(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id nobody = given_connection(f);
    conn_id failed = given_connection(f);
    when_receives(f, failed, sign_as("carol"));
    fake_store_answer_unavailable(&f->store);
    transcript_clear(&f->store.asked);
    assert_int_equal(router_n_signed(f->router), 1);

    router_closed(f->router, alice);
    router_closed(f->router, nobody);
    router_closed(f->router, failed);

    then_asked(f, "unbind 1\n");
    assert_int_equal(router_n_signed(f->router), 0);
}

/* mapping_store.h: no unbind while a bind waits. */
static void test_close_while_a_sign_waits_unbinds_after_it(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives(f, alice, sign_as("carol"));
    router_closed(f->router, alice);
    then_asked(f, "bind 1 carol\n");
    fake_store_answer(&f->store);

    then_asked(f, "unbind 1\n");
    then_said(f, "");
}

/* Nothing is said to a connection that is gone: no close either. */
static void test_close_behind_illegal_says_nothing(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives(f, alice, msg_to("alice", "1"));
    router_received_illegal(f->router, alice);
    router_closed(f->router, alice);
    fake_store_answer_all(&f->store);

    then_said(f, "");
    then_asked(f, "send alice\nunbind 1\n");
}

/* A closed connection does not keep asking a store that cannot answer. */
static void test_close_when_store_is_unavailable_asks_no_more(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives(f, alice, msg_to("bob", "1"));
    when_receives(f, alice, sign_as("carol"));
    when_receives(f, alice, msg_to("bob", "2"));
    router_closed(f->router, alice);
    fake_store_answer_unavailable(&f->store);

    then_asked(f, "send bob\nunbind 1\n");
    then_said(f, "");
    assert_int_equal(fake_store_n_pending(&f->store), 0);
}

/* An open one does: each of its requests has its own answer. */
static void test_open_when_store_was_unavailable_asks_again(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives(f, alice, sign_as("carol"));
    when_receives(f, alice, msg_to("alice", "1"));
    fake_store_answer_unavailable(&f->store);
    fake_store_answer(&f->store);

    then_said(f, "1: unavailable\n1: from alice: 1\n1: sended\n");
}

/* mapping_store.h, destroy: what is pending is answered inside the call, and nothing can be
 * asked. */
static void test_store_destroyed_under_closed_connections_ends_them(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id bob = given_connection(f);
    when_receives(f, alice, msg_to("x", "1"));
    when_receives(f, alice, sign_as("carol"));
    when_receives(f, bob, sign_as("bob"));
    when_receives(f, bob, sign_as("bobby"));
    when_receives(f, bob, msg_to("x", "2"));
    router_closed(f->router, alice);
    router_closed(f->router, bob);
    transcript_clear(&f->store.asked);

    fake_store_answer_as_destroyed(&f->store);

    then_said(f, "");
    then_asked(f, "unbind 1\n");
}

/* For AddressSanitizer: whatever is open or waits is freed. */
static void test_destroy_frees_sessions_with_requests_in_flight(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_connection(f);
    conn_id gone = given_user(f, "bob");
    when_receives(f, alice, msg_to("x", "1"));
    when_receives(f, alice, sign_as("carol"));
    when_receives(f, gone, msg_to("x", "2"));
    router_closed(f->router, gone);

    router_destroy(NULL);
    /* and the fixture's router, in teardown */
}

static void when_receives_many(struct fixture *f, conn_id conn, int n)
{
    for (int i = 0; i < n; i++) {
        when_receives(f, conn, msg_to("nobody", "1"));
    }
}

/* Answer 'n' msgs; all that is said is that they were sended, and then, perhaps, 'last'. */
static void then_sended(struct fixture *f, int n, const char *last)
{
    for (int i = 0; i < n - 1; i++) {
        fake_store_answer(&f->store);
        then_said(f, "1: sended\n");
    }
    fake_store_answer(&f->store);
    then_said(f, last);
}

/* limits.h: at the limit no more is received, until half is answered; nothing that was read is
 * lost. */
static void test_brake_stops_at_the_limit_and_lets_go_at_half(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives_many(f, alice, REQUESTS_IN_FLIGHT_MAX - 1);
    then_said(f, "");
    when_receives_many(f, alice, 1);
    then_said(f, "1: stop\n");
    when_receives_many(f, alice, 3);
    then_said(f, "");

    then_sended(f, REQUESTS_IN_FLIGHT_MAX / 2 + 3, "1: sended\n1: go on\n");
    then_sended(f, REQUESTS_IN_FLIGHT_MAX / 2, "1: sended\n");
}

/* The brake works a second time. */
static void test_brake_stops_again(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    when_receives_many(f, alice, REQUESTS_IN_FLIGHT_MAX);
    fake_store_answer_all(&f->store);
    transcript_clear(&f->sink.said);

    when_receives_many(f, alice, REQUESTS_IN_FLIGHT_MAX);

    then_said(f, "1: stop\n");
    then_sended(f, REQUESTS_IN_FLIGHT_MAX / 2, "1: sended\n1: go on\n");
}

/* Requests that only wait behind a sign count as well. */
static void test_brake_counts_requests_behind_a_sign(void **state)
{
    struct fixture *f = *state;
    conn_id conn = given_connection(f);

    when_receives(f, conn, sign_as("alice"));
    when_receives_many(f, conn, REQUESTS_IN_FLIGHT_MAX - 1);
    then_said(f, "1: stop\n");
    then_asked(f, "bind 1 alice\n");

    fake_store_answer(&f->store);
    then_said(f, "1: signed token=" ZEROS "1\n");
    then_sended(f, REQUESTS_IN_FLIGHT_MAX / 2 - 1, "1: sended\n1: go on\n");
}

/* limits.h: few large requests are stopped like many small ones, and go on before a close. */
static void test_brake_counts_bytes(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    static char body[REQUESTS_IN_FLIGHT_SIZE_MAX + 1];
    memset(body, '1', sizeof body - 1);

    when_receives(f, alice, msg_to("nobody", body));
    then_said(f, "1: stop\n");
    router_received_broken(f->router, alice, 1002);
    fake_store_answer_all(&f->store);

    then_said(f, "1: sended\n1: go on\n1: close 1002\n");
}

static void test_brake_is_not_moved_on_a_closed_connection(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives_many(f, alice, REQUESTS_IN_FLIGHT_MAX);
    then_said(f, "1: stop\n");
    router_closed(f->router, alice);
    fake_store_answer_all(&f->store);

    then_said(f, "");
}

/* [COMPAT-2] A type of a feature that is switched off is like any unknown one, whatever else is
 * wrong with the request, and in its turn. */
static void test_broadcast_when_not_served_is_illegal(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id unsigned_one = given_connection(f);

    when_receives(f, alice, msg_to("alice", "1"));
    when_receives(f, alice, with_cid(broadcast_of("2"), "\"c\""));
    when_receives(f, alice, msg_to("alice", "3"));
    when_receives(f, unsigned_one, with_invalid_cid(broadcast_of("")));
    then_said(f, "2: illegal\n"
                 "2: close 1008\n");
    fake_store_answer_all(&f->store);

    then_said(f, "1: from alice: 1\n"
                 "1: sended\n"
                 "1: illegal\n"
                 "1: close 1008\n");
    then_asked(f, "send alice\n");
}

/* [NODE-1] [NODE-2] Without history a message from another node goes to those of the devices that
 * are devices of 'to' here, each time it is told. */
static void test_message_from_another_node_reaches_devices_only(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id bob = given_user(f, "bob");
    conn_id gone = given_user(f, "alice");
    router_closed(f->router, gone);
    transcript_clear(&f->store.asked);
    const conn_id named[] = {gone, bob, alice, 4711};
    const struct delivery message = {.from = STR("x"), .body = STR("1")};

    f->store.events->arrived(f->store.events_ctx, STR("alice"), &message, MESSAGE_ID_NONE, named,
                             4);
    f->store.events->arrived(f->store.events_ctx, STR("carol"), &message, MESSAGE_ID_NONE, named,
                             4);

    then_said(f, "1: from x: 1\n");
    then_asked(f, "");
}

/* [COMPAT-3] Another node may serve what this one does not. */
static void test_broadcast_from_another_node_when_not_served_is_passed_over(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    const struct delivery broadcast = {.from = STR("x"), .body = STR("1"), .is_broadcast = true};

    f->store.events->broadcast_arrived(f->store.events_ctx, &broadcast, &alice, 1);

    then_said(f, "");
}

/* The store says why it cannot. */
static void test_trouble_is_the_store_s(void **state)
{
    struct fixture *f = *state;

    assert_null(router_trouble(f->router));
    f->store.trouble = "Redis is away";
    assert_string_equal(router_trouble(f->router), "Redis is away");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(test_open_and_close_ask_and_say_nothing),
        ROUTER_TEST(test_msgs_are_asked_for_without_waiting_for_each_other),
        ROUTER_TEST(test_refusal_behind_a_waiting_msg_takes_its_turn),
        ROUTER_TEST(test_connections_do_not_wait_for_each_other),
        ROUTER_TEST(test_illegal_is_answered_then_closed_with_1008),
        ROUTER_TEST(test_illegal_behind_pending_requests_is_the_last_thing_said),
        ROUTER_TEST(test_illegal_behind_a_sign_waits_for_it),
        ROUTER_TEST(test_broken_is_closed_without_a_reply),
        ROUTER_TEST(test_broken_behind_pending_requests_is_closed_in_its_turn),
        ROUTER_TEST(test_msg_then_close_takes_effect_without_a_reply),
        ROUTER_TEST(test_sign_msg_then_close_take_effect),
        ROUTER_TEST(test_close_unbinds_what_was_signed),
        ROUTER_TEST(test_close_while_a_sign_waits_unbinds_after_it),
        ROUTER_TEST(test_close_behind_illegal_says_nothing),
        ROUTER_TEST(test_close_when_store_is_unavailable_asks_no_more),
        ROUTER_TEST(test_open_when_store_was_unavailable_asks_again),
        ROUTER_TEST(test_store_destroyed_under_closed_connections_ends_them),
        ROUTER_TEST(test_destroy_frees_sessions_with_requests_in_flight),
        ROUTER_TEST(test_brake_stops_at_the_limit_and_lets_go_at_half),
        ROUTER_TEST(test_brake_stops_again),
        ROUTER_TEST(test_brake_counts_requests_behind_a_sign),
        ROUTER_TEST(test_brake_counts_bytes),
        ROUTER_TEST(test_brake_is_not_moved_on_a_closed_connection),
        ROUTER_TEST(test_broadcast_when_not_served_is_illegal),
        ROUTER_TEST(test_message_from_another_node_reaches_devices_only),
        ROUTER_TEST(test_broadcast_from_another_node_when_not_served_is_passed_over),
        ROUTER_TEST(test_trouble_is_the_store_s),
    };
    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
