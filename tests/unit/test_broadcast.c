/* broadcast: every device there is gets a body, once, in order, and nobody else. SPEC 6. */
#include "router_fixture.h"

#include <stdio.h>

/* [CAST-1] [CAST-2] [CAST-3] [CAST-8] Devices of every uid, the sending one included, before the
 * reply; in one call, so that it is written as JSON once. */
static void test_broadcast_reaches_every_device_before_the_reply(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");
    given_connection(f);
    given_user(f, "bob");
    conn_id gone = given_user(f, "carol");
    router_closed(f->router, gone);
    then_asked(f, "unbind 5\n");

    when_receives(f, alice, broadcast_of("{\"a\":[]}"));
    then_asked(f, "broadcast alice\n");
    then_said(f, "");
    fake_store_answer(&f->store);

    then_said(f, "1 2 4: broadcast from alice: {\"a\":[]}\n"
                 "1: sended\n");
}

/* [CAST-6] */
static void test_broadcast_does_not_reach_who_signs_later(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id later = given_connection(f);

    when_receives(f, alice, broadcast_of("1"));
    fake_store_answer(&f->store);
    when_receives(f, later, sign_as("bob"));
    fake_store_answer(&f->store);

    then_said(f, "1: broadcast from alice: 1\n"
                 "1: sended\n"
                 "2: signed token=" ZEROS "1\n");
}

static void when_broadcast_arrives(struct fixture *f, const conn_id *devices, size_t n)
{
    const struct delivery broadcast = {.from = STR("far"), .body = STR("1"), .is_broadcast = true};
    f->store.events->broadcast_arrived(f->store.events_ctx, &broadcast, devices, n);
}

/* [NODE-13] [CAST-6] From another node it reaches those whom the store proposes … */
static void test_broadcast_from_another_node_reaches_the_proposed_devices(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "late");
    conn_id bob = given_user(f, "bob");

    when_broadcast_arrives(f, (const conn_id[]){alice, bob}, 2);

    then_said(f, "1 3: broadcast from far: 1\n");
    then_asked(f, "");
}

/* … if they are devices: the store may not know yet that one has closed. [CAST-3] */
static void test_broadcast_from_another_node_reaches_devices_only(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id stranger = given_connection(f);
    conn_id closing = given_user(f, "bob");
    when_receives(f, closing, msg_to("bob", "2"));
    router_closed(f->router, closing);

    when_broadcast_arrives(f, (const conn_id[]){stranger, closing, 4711, alice}, 4);

    then_said(f, "1: broadcast from far: 1\n");
    fake_store_answer_all(&f->store);
}

/* A device whose connection is closed, but whose requests are in flight, is none. */
static void test_broadcast_does_not_reach_a_closed_connection(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id bob = given_user(f, "bob");

    when_receives(f, alice, broadcast_of("1"));
    when_receives(f, bob, msg_to("bob", "2"));
    router_closed(f->router, bob);
    fake_store_answer(&f->store);

    then_said(f, "1: broadcast from alice: 1\n"
                 "1: sended\n");
    fake_store_answer_all(&f->store);
}

/* [ORDER-4] A broadcast takes effect although its sender has closed. */
static void test_broadcast_of_a_connection_that_closes_reaches_the_others(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");

    when_receives(f, alice, broadcast_of("1"));
    router_closed(f->router, alice);
    fake_store_answer(&f->store);

    then_said(f, "2: broadcast from alice: 1\n");
}

/* [REPLY-6] [CAST-4] [CAST-5] What is said first when several things are wrong. */
static void test_broadcast_when_wrong_is_refused_for_the_first_reason(void **state)
{
    struct fixture *f = *state;
    const struct {
        int line;
        const char *uid;
        struct request request;
        const char *want;
    } rows[] = {
        {__LINE__, NULL, broadcast_of("1"), "not_signed"},
        {__LINE__, NULL, broadcast_of(""), "not_signed"},
        {__LINE__, NULL, with_invalid_cid(broadcast_of("")), "invalid_cid"},
        {__LINE__, "admin", with_invalid_cid(broadcast_of("1")), "invalid_cid"},
        {__LINE__, "admin", broadcast_of(""), "missing_body"},
        {__LINE__, "alice", broadcast_of(""), "missing_body"},
        {__LINE__, "alice", broadcast_of("1"), "denied"},
        {__LINE__, "alice", with_cid(broadcast_of("1"), "\"c\""), "denied cid=\"c\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        conn_id conn = rows[i].uid != NULL ? given_user(f, rows[i].uid) : given_connection(f);
        char want[100];
        snprintf(want, sizeof want, "%zu: %s\n", i + 1, rows[i].want);

        when_receives(f, conn, rows[i].request);

        transcript_expect(&f->sink.said, want, __FILE__, rows[i].line);
        transcript_expect(&f->store.asked, "", __FILE__, rows[i].line);
    }
}

/* [CAST-9] Those who are named may, byte for byte, and nobody else. */
static void test_broadcast_is_for_those_who_are_named(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *uid;
        bool may;
    } rows[] = {
        {"admin", true},   {"root", true}, {"Admin", false},
        {"admin ", false}, {"a", false},   {"admin,root", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        conn_id conn = given_user(f, rows[i].uid);
        char want[100];
        snprintf(want, sizeof want, "%s%s%s", rows[i].may ? "broadcast " : "",
                 rows[i].may ? rows[i].uid : "", rows[i].may ? "\n" : "");

        when_receives(f, conn, broadcast_of("1"));

        then_asked(f, want);
        fake_store_answer_all(&f->store);
    }
}

/* [REPLY-8] */
static void test_broadcast_when_store_is_unavailable_reaches_nobody(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");

    when_receives(f, alice, with_cid(broadcast_of("1"), "\"c\""));
    fake_store_answer_unavailable(&f->store);

    then_said(f, "1: unavailable cid=\"c\"\n");
}

/* [CAST-7] [CAST-10] [ORDER-1] Broadcasts and msgs of one connection, sent without waiting. */
static void test_broadcasts_and_msgs_arrive_in_order(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");

    when_receives(f, alice, msg_to("bob", "1"));
    when_receives(f, alice, broadcast_of("2"));
    when_receives(f, alice, broadcast_of("3"));
    when_receives(f, alice, msg_to("bob", "4"));
    then_asked(f, "send bob\n"
                  "broadcast alice\n"
                  "broadcast alice\n"
                  "send bob\n");
    fake_store_answer_all(&f->store);

    then_said(f, "2: from alice: 1\n"
                 "1: sended\n"
                 "1 2: broadcast from alice: 2\n"
                 "1: sended\n"
                 "1 2: broadcast from alice: 3\n"
                 "1: sended\n"
                 "2: from alice: 4\n"
                 "1: sended\n");
}

/* ---- with history ---- */

/* A device as which 'conn' is signed and that has not read its inbox yet. */
static conn_id given_reading_device(struct fixture *f, const char *uid, uint64_t newest_ms)
{
    conn_id conn = given_connection(f);
    when_receives(f, conn, with_since(sign_as(uid), 10));
    when_page(f, 1, 0, newest_ms);
    fake_store_answer_bind(&f->store, conn);
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);
    return conn;
}

/* [CAST-2] A broadcast is no message of a uid: it is not stored, has no id, asks for no ping. */
static void test_broadcast_with_history_is_no_message_of_a_uid(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    given_device(f, "bob", 10);

    when_receives(f, alice, broadcast_of("1"));
    fake_store_answer(&f->store);
    when_ticks(f, 200);

    then_asked(f, "broadcast alice\n");
    then_said(f, "1 2: broadcast from alice: 1\n"
                 "1: sended\n");
}

/* [CAST-7] Nobody waits for what somebody reads: a device that still reads gets it at once … */
static void test_broadcast_reaches_a_device_that_reads_at_once(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    given_reading_device(f, "bob", 12);

    when_receives(f, alice, broadcast_of("\"x\""));
    fake_store_answer(&f->store);
    when_page(f, 11, 12, 12);

    then_said(f, "1 2: broadcast from alice: \"x\"\n"
                 "1: sended\n"
                 "2: from bob: 11 id=11-0\n"
                 "2: from bob: 12 id=12-0\n");
}

/* … also one from another node … */
static void test_broadcast_from_another_node_reaches_a_device_that_reads_at_once(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_reading_device(f, "bob", 11);

    when_broadcast_arrives(f, &bob, 1);
    when_page(f, 11, 11, 11);

    then_said(f, "1: broadcast from far: 1\n"
                 "1: from bob: 11 id=11-0\n");
}

/* … and its sender, before the reply. [CAST-8] */
static void test_broadcast_of_a_device_that_reads_is_answered_at_once(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_reading_device(f, "alice", 12);

    when_receives(f, alice, broadcast_of("\"x\""));
    when_receives(f, alice, broadcast_of(""));
    fake_store_answer(&f->store);

    then_said(f, "1: broadcast from alice: \"x\"\n"
                 "1: sended\n"
                 "1: missing_body\n");
}

/* [WS-12] A peer that does not read what waits in its inbox is given broadcasts all the same: the
 * sink closes it if that becomes too much. */
static void test_broadcast_does_not_wait_for_a_peer_that_does_not_read(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);
    f->sink.slow_conn = bob;
    when_sends(f, alice, "bob", 11, 10);

    when_receives(f, alice, broadcast_of("\"x\""));
    fake_store_answer(&f->store);

    then_said(f, "1: sended id=11-0\n"
                 "1 2: broadcast from alice: \"x\"\n"
                 "1: sended\n");
}

/* With history, too, requests do not wait for each other. */
static void test_msg_with_history_does_not_wait_for_broadcasts(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);

    when_receives(f, alice, broadcast_of("1"));
    when_receives(f, alice, msg_to("bob", "2"));
    when_receives(f, alice, broadcast_of("3"));

    then_asked(f, "broadcast alice\n"
                  "send bob\n"
                  "broadcast alice\n");
    fake_store_answer_all(&f->store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BROADCAST_TEST(test_broadcast_reaches_every_device_before_the_reply),
        BROADCAST_TEST(test_broadcast_does_not_reach_who_signs_later),
        BROADCAST_TEST(test_broadcast_from_another_node_reaches_the_proposed_devices),
        BROADCAST_TEST(test_broadcast_from_another_node_reaches_devices_only),
        BROADCAST_TEST(test_broadcast_does_not_reach_a_closed_connection),
        BROADCAST_TEST(test_broadcast_of_a_connection_that_closes_reaches_the_others),
        ADMINS_TEST(test_broadcast_when_wrong_is_refused_for_the_first_reason),
        ADMINS_TEST(test_broadcast_is_for_those_who_are_named),
        BROADCAST_TEST(test_broadcast_when_store_is_unavailable_reaches_nobody),
        BROADCAST_TEST(test_broadcasts_and_msgs_arrive_in_order),
        HISTORY_TEST(test_broadcast_with_history_is_no_message_of_a_uid),
        HISTORY_TEST(test_broadcast_reaches_a_device_that_reads_at_once),
        HISTORY_TEST(test_broadcast_from_another_node_reaches_a_device_that_reads_at_once),
        HISTORY_TEST(test_broadcast_of_a_device_that_reads_is_answered_at_once),
        HISTORY_TEST(test_broadcast_does_not_wait_for_a_peer_that_does_not_read),
        HISTORY_TEST(test_msg_with_history_does_not_wait_for_broadcasts),
    };
    return cmocka_run_group_tests_name("broadcast", tests, NULL, NULL);
}
