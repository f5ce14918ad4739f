/* broadcast: every device there is gets a body, once, in order, and nobody else. SPEC 6. */
#include "router_fixture.h"

#include <stdio.h>

enum {
    HELD_SIZE_MAX = 1048576, /* bytes of senders and bodies that wait for one device */
    N_BROADCASTS = 16        /* that are so long */
};

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

static void when_broadcast_arrives(struct fixture *f, const char *body)
{
    const struct delivery broadcast = {
        .from = STR("far"), .body = str_of(body), .is_broadcast = true, .is_from_node = true};
    f->store.events->broadcast_arrived(f->store.events_ctx, &broadcast);
}

/* [CAST-6] Nor one that was sent on another node before the sign, and has been on its way since. */
static void test_sign_waits_for_broadcasts_on_their_way(void **state)
{
    struct fixture *f = *state;
    given_user(f, "alice");
    conn_id later = given_connection(f);
    f->store.settles_later = true;

    when_receives(f, later, sign_as("bob"));
    then_asked(f, "settle\n");
    when_broadcast_arrives(f, "1");
    fake_store_answer_settle(&f->store, ERR_OK);
    then_asked(f, "bind 2 bob\n");
    fake_store_answer(&f->store);
    when_broadcast_arrives(f, "2");

    then_said(f, "1: broadcast from far: 1\n"
                 "2: signed token=" ZEROS "1\n"
                 "1 2: broadcast from far: 2\n");
}

/* [SIGN-7] */
static void test_sign_when_it_cannot_wait_for_broadcasts_is_unavailable(void **state)
{
    struct fixture *f = *state;
    conn_id conn = given_connection(f);
    f->store.settles_later = true;

    when_receives(f, conn, sign_as("bob"));
    fake_store_answer_settle(&f->store, ERR_UNAVAILABLE);

    then_asked(f, "settle\n");
    then_said(f, "1: unavailable\n");
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

/* [CAST-7] [ORDER-1] Broadcasts and msgs of one connection, sent without waiting. */
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

/* [CAST-7] It waits until a device has read what was stored before; the others do not wait. */
static void test_broadcast_waits_for_what_a_device_reads(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    given_reading_device(f, "bob", 12);

    when_receives(f, alice, broadcast_of("\"x\""));
    when_receives(f, alice, broadcast_of("\"y\""));
    fake_store_answer_all(&f->store);
    then_said(f, "1: broadcast from alice: \"x\"\n"
                 "1: sended\n"
                 "1: broadcast from alice: \"y\"\n"
                 "1: sended\n");
    when_page(f, 11, 11, 12);
    then_said(f, "2: from bob: 11 id=11-0\n");
    when_page(f, 12, 12, 12);

    then_said(f, "2: from bob: 12 id=12-0\n"
                 "2: broadcast from alice: \"x\"\n"
                 "2: broadcast from alice: \"y\"\n");
}

/* [CAST-8] Also for its sender, whose reply waits with it … */
static void test_broadcast_of_a_device_that_reads_is_answered_behind_it(void **state)
{
    struct fixture *f = *state;
    given_device(f, "bob", 10);
    conn_id alice = given_reading_device(f, "alice", 12);
    when_receives(f, alice, broadcast_of("\"x\""));
    when_receives(f, alice, broadcast_of(""));
    fake_store_answer_all(&f->store);
    then_said(f, "1: broadcast from alice: \"x\"\n");

    when_page(f, 11, 11, 12);
    then_said(f, "2: from bob: 11 id=11-0\n");
    when_page(f, 12, 12, 12);

    then_said(f, "2: from bob: 12 id=12-0\n"
                 "2: broadcast from alice: \"x\"\n"
                 "2: sended\n"
                 "2: missing_body\n");
}

/* … but not if the sender closes meanwhile, or the broadcast has reached nobody. */
static void test_broadcast_of_a_device_that_reads_waits_for_its_delivery_only(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id carol = given_device(f, "carol", 10);
    f->store.events->newest_known(f->store.events_ctx, STR("alice"), ID(11), &alice, 1);
    f->store.events->newest_known(f->store.events_ctx, STR("carol"), ID(11), &carol, 1);
    when_receives(f, alice, broadcast_of("1"));
    when_receives(f, carol, broadcast_of("2"));
    fake_store_answer(&f->store);
    fake_store_answer_unavailable(&f->store);
    then_said(f, "2: unavailable\n");
    transcript_clear(&f->store.asked);

    router_closed(f->router, alice);

    then_asked(f, "unbind 1\n");
}

/* What waited is given once. */
static void test_broadcast_that_waited_does_not_come_again(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    given_reading_device(f, "bob", 10);
    when_receives(f, alice, broadcast_of("\"x\""));
    fake_store_answer(&f->store);
    when_page(f, 1, 0, 10);
    then_said(f, "1: broadcast from alice: \"x\"\n"
                 "1: sended\n"
                 "2: broadcast from alice: \"x\"\n");

    when_sends(f, alice, "bob", 12, 11); /* for which it reads */
    when_sends(f, alice, "bob", 13, 12);
    when_page(f, 11, 13, 13);

    then_said(f, "1: sended id=12-0\n"
                 "1: sended id=13-0\n"
                 "2: from bob: 11 id=11-0\n"
                 "2: from bob: 12 id=12-0\n"
                 "2: from bob: 13 id=13-0\n");
}

/* [CAST-7] While a device reads, a msg comes, a broadcast, another msg, by one connection: the
 * page has both msgs, and the broadcast goes between. */
static void test_broadcast_that_waits_goes_before_later_msgs(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    given_reading_device(f, "bob", 11);
    when_sends(f, alice, "bob", 12, 11);
    when_receives(f, alice, broadcast_of("\"x\""));
    when_receives(f, alice, broadcast_of("\"y\""));
    fake_store_answer_all(&f->store);
    when_sends(f, alice, "bob", 13, 12);
    when_receives(f, alice, broadcast_of("\"z\""));
    fake_store_answer(&f->store);
    when_sends(f, alice, "bob", 14, 13);
    transcript_clear(&f->sink.said);

    when_page(f, 11, 12, 14);
    then_said(f, "2: from bob: 11 id=11-0\n"
                 "2: from bob: 12 id=12-0\n");
    when_page(f, 13, 14, 14);

    then_said(f, "2: broadcast from alice: \"x\"\n"
                 "2: broadcast from alice: \"y\"\n"
                 "2: from bob: 13 id=13-0\n"
                 "2: broadcast from alice: \"z\"\n"
                 "2: from bob: 14 id=14-0\n");
}

static void when_message_arrives(struct fixture *f, const char *to, uint64_t ms, const char *body,
                                 const conn_id *devices, size_t n)
{
    const struct delivery message = {
        .from = STR("far"), .body = str_of(body), .id = ID(ms), .is_from_node = true};
    f->store.events->arrived(f->store.events_ctx, str_of(to), &message, ID(ms - 1), devices, n);
}

/* [CAST-7] A message that is read before it comes, from another node, is behind the broadcast. */
static void test_broadcast_from_a_node_goes_before_msgs_that_have_not_come(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);

    when_message_arrives(f, "bob", 12, "12", &bob, 1);
    when_broadcast_arrives(f, "\"x\"");
    when_page(f, 11, 13, 13);

    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n"
                 "1: broadcast from far: \"x\"\n"
                 "1: from bob: 13 id=13-0\n");
}

/* [CAST-7] What comes without its body has its place as well. */
static void test_broadcast_keeps_its_place_among_msgs_without_bodies(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);

    when_message_arrives(f, "bob", 11, "", &bob, 1);
    then_asked(f, "read 64 of bob after 10-0\n");
    when_broadcast_arrives(f, "\"x\"");
    when_message_arrives(f, "bob", 12, "", &bob, 1);
    when_page(f, 11, 12, 12);

    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: broadcast from far: \"x\"\n"
                 "1: from bob: 12 id=12-0\n");
}

/* [CAST-7] What is sent here says nothing of when the messages of another node were sent. */
static void test_broadcasts_go_by_the_msgs_that_come_the_same_way(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);
    when_sends(f, alice, "bob", 13, 12);
    when_receives(f, alice, broadcast_of("\"near\""));
    when_broadcast_arrives(f, "\"far\"");
    fake_store_answer(&f->store);
    when_message_arrives(f, "bob", 12, "12", &bob, 1);
    transcript_clear(&f->sink.said);

    when_page(f, 11, 14, 14);

    then_said(f, "2: broadcast from far: \"far\"\n"
                 "2: from bob: 11 id=11-0\n"
                 "2: from bob: 12 id=12-0\n"
                 "2: from bob: 13 id=13-0\n"
                 "2: broadcast from alice: \"near\"\n"
                 "2: from bob: 14 id=14-0\n");
}

/* [CAST-7] What stood in the inbox before a sign is before every broadcast that comes after it … */
static void test_broadcast_goes_behind_msgs_from_before_the_sign(void **state)
{
    struct fixture *f = *state;
    given_reading_device(f, "bob", 12);

    when_broadcast_arrives(f, "\"x\"");
    when_page(f, 11, 13, 13);

    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n"
                 "1: broadcast from far: \"x\"\n"
                 "1: from bob: 13 id=13-0\n");
}

/* … and so is what has come while the device was being signed, and is still to be read. */
static void test_broadcast_goes_behind_msgs_that_came_during_the_sign(void **state)
{
    struct fixture *f = *state;
    conn_id first = given_connection(f);
    conn_id second = given_connection(f);
    when_receives(f, first, with_since(sign_as("bob"), 10));
    when_receives(f, second, with_since(sign_as("bob"), 10));
    when_page(f, 11, 10, 11);
    when_page(f, 11, 10, 11);
    fake_store_answer_bind(&f->store, first);
    when_message_arrives(f, "bob", 12, "12", &first, 1);
    fake_store_answer_bind(&f->store, second);
    transcript_clear(&f->sink.said);

    when_broadcast_arrives(f, "\"x\"");
    when_page(f, 11, 13, 13);
    when_page(f, 11, 13, 13);

    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n"
                 "1: broadcast from far: \"x\"\n"
                 "1: from bob: 13 id=13-0\n"
                 "2: from bob: 11 id=11-0\n"
                 "2: from bob: 12 id=12-0\n"
                 "2: broadcast from far: \"x\"\n"
                 "2: from bob: 13 id=13-0\n");
}

/* [CAST-7] With history a message can be read as soon as it is stored, so a broadcast before it
 * has to be on its way by then. */
static void test_msg_with_history_waits_for_broadcasts_before_it(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);

    when_receives(f, alice, msg_to("bob", "1"));
    when_receives(f, alice, broadcast_of("2"));
    when_receives(f, alice, broadcast_of("3"));
    when_receives(f, alice, msg_to("bob", "4"));
    when_receives(f, alice, broadcast_of("5"));
    then_asked(f, "send bob\n"
                  "broadcast alice\n"
                  "broadcast alice\n");
    fake_store_answer(&f->store);
    fake_store_answer(&f->store);
    then_asked(f, "");
    fake_store_answer(&f->store);

    then_asked(f, "send bob\n"
                  "broadcast alice\n");
}

/* [WS-12] As long as its peer does not read, a device is not given broadcasts either. */
static void test_broadcast_waits_for_a_peer_that_does_not_read(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);
    f->sink.slow_conn = bob;
    when_sends(f, alice, "bob", 11, 10);
    when_receives(f, alice, broadcast_of("\"x\""));
    fake_store_answer(&f->store);
    then_said(f, "1: sended id=11-0\n"
                 "1: broadcast from alice: \"x\"\n"
                 "1: sended\n");

    f->sink.slow_room = 9;
    router_drained(f->router, bob);
    when_page(f, 11, 11, 11);

    then_said(f, "2: from bob: 11 id=11-0\n"
                 "2: broadcast from alice: \"x\"\n");
}

/* [WS-12] What waited is given no faster than the peer reads. */
static void test_broadcasts_that_waited_come_as_fast_as_the_peer_reads(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_reading_device(f, "bob", 10);
    when_receives(f, alice, broadcast_of("\"x\""));
    when_receives(f, alice, broadcast_of("\"y\""));
    fake_store_answer_all(&f->store);
    transcript_clear(&f->sink.said);

    f->sink.slow_conn = bob;
    f->sink.slow_room = 1;
    when_page(f, 1, 0, 10);
    then_said(f, "2: broadcast from alice: \"x\"\n");
    f->sink.slow_room = 1;
    router_drained(f->router, bob);
    when_page(f, 1, 0, 10);

    then_said(f, "2: broadcast from alice: \"y\"\n");
}

/* [MSG-9] It is from who its sender was, whoever that is by then. */
static void test_broadcast_that_waits_when_sender_signs_as_another_stays_as_it_was(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    given_reading_device(f, "bob", 12);
    when_receives(f, alice, broadcast_of("\"x\""));
    fake_store_answer(&f->store);
    when_receives(f, alice, sign_as("mallory"));
    when_page(f, 11, 11, 12); /* of bob, who reads on */
    when_page(f, 1, 0, 0);
    fake_store_answer_bind(&f->store, alice);
    transcript_clear(&f->sink.said);

    when_page(f, 12, 12, 12); /* of bob */

    then_said(f, "2: from bob: 12 id=12-0\n"
                 "2: broadcast from alice: \"x\"\n");
}

/* [CAST-2] A device that signs again while a broadcast waits for it gets it all the same, as who
 * it was, which is before the reply. */
static void test_broadcast_that_waits_when_device_signs_again_is_not_lost(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_reading_device(f, "bob", 12);
    when_receives(f, alice, broadcast_of("\"x\""));
    fake_store_answer(&f->store);
    transcript_clear(&f->sink.said);

    when_receives(f, bob, sign_as("carol"));
    when_page(f, 11, 12, 12); /* of bob */
    then_said(f, "2: from bob: 11 id=11-0\n"
                 "2: from bob: 12 id=12-0\n"
                 "2: broadcast from alice: \"x\"\n");
    when_sends(f, alice, "bob", 14, 13); /* for which bob has to read */
    when_receives(f, alice, broadcast_of("\"y\""));
    fake_store_answer(&f->store);
    transcript_clear(&f->sink.said);
    when_page(f, 1, 0, 0); /* of carol, for the sign */
    fake_store_answer_bind(&f->store, bob);

    then_said(f, "2: broadcast from alice: \"y\"\n"
                 "2: signed token=" ZEROS "2\n");
}

/* Nothing that waits outlives its device. */
static void test_broadcast_that_waits_when_device_closes_is_dropped(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_reading_device(f, "bob", 12);
    when_receives(f, alice, broadcast_of("\"x\""));
    fake_store_answer(&f->store);
    transcript_clear(&f->sink.said);

    router_closed(f->router, bob);
    when_page(f, 11, 12, 12);

    then_said(f, "");
}

/* When the inbox cannot be read, broadcasts do not wait for it. */
static void test_broadcast_that_waits_when_read_fails_is_given(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    given_reading_device(f, "bob", 12);
    when_receives(f, alice, broadcast_of("\"x\""));
    fake_store_answer(&f->store);
    transcript_clear(&f->sink.said);

    fake_store_answer_reads_unavailable(&f->store);

    then_said(f, "2: broadcast from alice: \"x\"\n");
}

/* Broadcasts of connection 1, "admin", that are together as long as may wait for one device. */
static void when_broadcasts_all_that_may_wait(struct fixture *f)
{
    char body[HELD_SIZE_MAX / N_BROADCASTS - sizeof "admin" + 2];
    memset(body, '1', sizeof body);
    body[sizeof body - 1] = '\0';
    f->sink.is_brief = true;

    for (int i = 0; i < N_BROADCASTS; i++) {
        when_receives(f, 1, broadcast_of(body));
        fake_store_answer(&f->store);
        then_said(f, "1: broadcast from admin: …\n"
                     "1: sended\n");
    }
}

/* [WS-12] So much may wait for one device; above it the device is closed. */
static void test_broadcasts_when_too_much_waits_close_the_device(void **state)
{
    struct fixture *f = *state;
    conn_id admin = given_device(f, "admin", 10);
    given_reading_device(f, "bob", 12);
    when_broadcasts_all_that_may_wait(f);

    when_receives(f, admin, broadcast_of("1"));
    fake_store_answer(&f->store);

    then_said(f, "2: close 1008\n"
                 "1: broadcast from admin: …\n"
                 "1: sended\n");
}

static size_t count_closed(const char *said)
{
    size_t n = 0;
    while (said != NULL && (said = strstr(said, "close 1008")) != NULL) {
        said++;
        n++;
    }
    return n;
}

/* As given_reading_device(), many times. Returns the first; the others are the next. */
static conn_id given_reading_devices(struct fixture *f, int n)
{
    conn_id first = f->last_conn + 1;
    for (int i = 0; i < n; i++) {
        when_receives(f, given_connection(f), with_since(sign_as("bob"), 10));
    }
    for (int i = 0; i < n; i++) {
        when_page(f, 1, 0, 10);
    }
    for (int i = 0; i < n; i++) {
        fake_store_answer_bind(&f->store, first + (conn_id)i);
    }
    return first;
}

/* Broadcasts that wait for all devices, of which 64 may have as much as one may. Returns how many
 * were closed. */
static size_t when_broadcasts_to_many(struct fixture *f)
{
    char body[HELD_SIZE_MAX / N_BROADCASTS - sizeof "admin" + 2];
    memset(body, '1', sizeof body);
    body[sizeof body - 1] = '\0';
    f->sink.is_brief = true;
    transcript_clear(&f->sink.said);
    for (int i = 0; i < N_BROADCASTS; i++) {
        when_receives(f, 1, broadcast_of(body));
        fake_store_answer(&f->store);
    }
    size_t n = count_closed(f->sink.said.text);
    transcript_clear(&f->sink.said);
    return n;
}

/* [WS-12] All devices together have a limit, too, and what was given or has closed makes room. */
static void test_broadcasts_when_too_much_waits_for_all_close_some(void **state)
{
    struct fixture *f = *state;
    given_device(f, "admin", 10);
    conn_id first = given_reading_devices(f, 65);

    assert_int_equal(when_broadcasts_to_many(f), N_BROADCASTS);

    for (conn_id conn = first; conn < first + 65; conn++) {
        router_closed(f->router, conn);
    }
    fake_store_answer_reads_unavailable(&f->store);
    given_reading_devices(f, 64);
    assert_int_equal(when_broadcasts_to_many(f), 0);
}

/* What waited and was given makes room again. */
static void test_broadcasts_that_were_given_do_not_count(void **state)
{
    struct fixture *f = *state;
    conn_id admin = given_device(f, "admin", 10);
    given_reading_device(f, "bob", 10);
    when_broadcasts_all_that_may_wait(f);
    when_page(f, 1, 0, 10);
    transcript_clear(&f->sink.said);
    when_sends(f, admin, "bob", 12, 11); /* for which it reads */
    transcript_clear(&f->sink.said);

    when_broadcasts_all_that_may_wait(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BROADCAST_TEST(test_broadcast_reaches_every_device_before_the_reply),
        BROADCAST_TEST(test_broadcast_does_not_reach_who_signs_later),
        BROADCAST_TEST(test_sign_waits_for_broadcasts_on_their_way),
        BROADCAST_TEST(test_sign_when_it_cannot_wait_for_broadcasts_is_unavailable),
        BROADCAST_TEST(test_broadcast_does_not_reach_a_closed_connection),
        BROADCAST_TEST(test_broadcast_of_a_connection_that_closes_reaches_the_others),
        ADMINS_TEST(test_broadcast_when_wrong_is_refused_for_the_first_reason),
        ADMINS_TEST(test_broadcast_is_for_those_who_are_named),
        BROADCAST_TEST(test_broadcast_when_store_is_unavailable_reaches_nobody),
        BROADCAST_TEST(test_broadcasts_and_msgs_arrive_in_order),
        HISTORY_TEST(test_broadcast_with_history_is_no_message_of_a_uid),
        HISTORY_TEST(test_broadcast_waits_for_what_a_device_reads),
        HISTORY_TEST(test_broadcast_of_a_device_that_reads_is_answered_behind_it),
        HISTORY_TEST(test_broadcast_of_a_device_that_reads_waits_for_its_delivery_only),
        HISTORY_TEST(test_broadcast_that_waited_does_not_come_again),
        HISTORY_TEST(test_broadcast_that_waits_goes_before_later_msgs),
        HISTORY_TEST(test_broadcast_from_a_node_goes_before_msgs_that_have_not_come),
        HISTORY_TEST(test_broadcast_keeps_its_place_among_msgs_without_bodies),
        HISTORY_TEST(test_broadcasts_go_by_the_msgs_that_come_the_same_way),
        HISTORY_TEST(test_broadcast_goes_behind_msgs_from_before_the_sign),
        HISTORY_TEST(test_broadcast_goes_behind_msgs_that_came_during_the_sign),
        HISTORY_TEST(test_msg_with_history_waits_for_broadcasts_before_it),
        HISTORY_TEST(test_broadcast_waits_for_a_peer_that_does_not_read),
        HISTORY_TEST(test_broadcasts_that_waited_come_as_fast_as_the_peer_reads),
        HISTORY_TEST(test_broadcast_that_waits_when_sender_signs_as_another_stays_as_it_was),
        HISTORY_TEST(test_broadcast_that_waits_when_device_signs_again_is_not_lost),
        HISTORY_TEST(test_broadcast_that_waits_when_device_closes_is_dropped),
        HISTORY_TEST(test_broadcast_that_waits_when_read_fails_is_given),
        HISTORY_TEST(test_broadcasts_when_too_much_waits_close_the_device),
        HISTORY_TEST(test_broadcasts_when_too_much_waits_for_all_close_some),
        HISTORY_TEST(test_broadcasts_that_were_given_do_not_count),
    };
    return cmocka_run_group_tests_name("broadcast", tests, NULL, NULL);
}
