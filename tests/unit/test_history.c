/* history: a sign brings what its device has not got, a reply says under which id a message is
 * stored, and pongs confirm. SPEC 7. */
#include "router_fixture.h"

#include <stdio.h>

/* ---- sign ---- */

/* [HIST-7] Where the device begins is looked up, it is bound, answered, and reads from there. */
static void test_sign_is_followed_by_what_is_not_confirmed(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);

    when_receives(f, alice, sign_as("alice"));
    then_asked(f, "read 0 of alice unconfirmed\n");
    when_page(f, 11, 10, 12);
    then_asked(f, "bind 1 alice\n");
    then_said(f, "");
    fake_store_answer_bind(&f->store, alice);
    then_said(f, "1: signed token=" ZEROS "1\n");
    then_asked(f, "read 64 of alice after 10-0\n");
    when_page(f, 11, 12, 12);

    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n");
    then_asked(f, "");
}

/* [HIST-8] */
static void test_sign_with_since_is_followed_by_what_is_behind_it(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);

    when_receives(f, alice, with_since(sign_as("alice"), 7));
    then_asked(f, "read 0 of alice after 7-0\n");
    when_page(f, 8, 7, 12);
    fake_store_answer_bind(&f->store, alice);

    then_asked(f, "bind 1 alice\n"
                  "read 64 of alice after 7-0\n");
}

/* [HIST-8] "0-0" asks for all, which is not the same as to say nothing. */
static void test_sign_with_since_zero_asks_for_all(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);

    when_receives(f, alice, with_since(sign_as("alice"), 0));

    then_asked(f, "read 0 of alice after 0-0\n");
}

/* [HIST-21] A since beyond the newest message begins behind that: what comes next is pushed. */
static void test_sign_with_since_beyond_the_newest_begins_behind_it(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_connection(f);

    when_receives(f, alice, with_since(sign_as("alice"), 99));
    when_page(f, 100, 99, 12);
    fake_store_answer_bind(&f->store, alice);
    then_asked(f, "read 0 of alice after 99-0\n"
                  "bind 2 alice\n"
                  "read 64 of alice after 12-0\n");
    when_page(f, 13, 12, 12);
    when_sends(f, bob, "alice", 13, 12);

    then_said(f, "2: signed token=" ZEROS "1\n"
                 "2: from bob: 13 id=13-0\n"
                 "1: sended id=13-0\n");
}

/* [HIST-21] Also when there never was one. */
static void test_sign_with_since_when_there_is_no_message(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_connection(f);

    when_receives(f, alice, with_since(sign_as("alice"), 99));
    when_page(f, 100, 99, 0);
    fake_store_answer_bind(&f->store, alice);
    when_page(f, 1, 0, 0);
    when_sends(f, bob, "alice", 5, 0);

    then_said(f, "2: signed token=" ZEROS "1\n"
                 "2: from bob: 5 id=5-0\n"
                 "1: sended id=5-0\n");
}

/* [HIST-10] [HIST-11] */
static void test_sign_reply_says_what_the_store_says_of_a_gap(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);

    when_receives(f, alice, with_cid(sign_as("alice"), "\"c\""));
    fake_store_answer_read(&f->store, &(struct inbox_page){.gap = true, .newest = ID(12)});
    fake_store_answer_bind(&f->store, alice);
    then_said(f, "1: signed token=" ZEROS "1 gap cid=\"c\"\n");

    when_receives(f, alice, with_since(sign_as("alice"), 12));
    when_page(f, 13, 12, 12);
    when_page(f, 13, 12, 12);
    fake_store_answer_bind(&f->store, alice);
    then_said(f, "1: signed token=" ZEROS "2\n");
}

/* [HIST-10] Without since it is told of what it has not got, and of that it was told. */
static void test_sign_again_as_the_same_uid_tells_of_no_gap(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);
    when_receives(f, alice, with_since(sign_as("alice"), 1));
    fake_store_answer_read(&f->store, &(struct inbox_page){.gap = true, .newest = ID(12)});
    fake_store_answer_bind(&f->store, alice);
    then_said(f, "1: signed token=" ZEROS "1 gap\n");

    when_receives(f, alice, sign_as("alice"));
    fake_store_answer_bind(&f->store, alice);

    then_said(f, "1: signed token=" ZEROS "2\n");
}

/* [HIST-9] [REPLY-6] */
static void test_sign_when_since_is_invalid_is_refused(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);

    when_receives(f, alice, with_invalid_since(sign_as("alice")));
    when_receives(f, alice, with_cid(with_invalid_since(sign_as("alice")), "\"c\""));
    when_receives(f, alice, with_invalid_since(without_uid(sign_as(""))));
    when_receives(f, alice, with_invalid_since(with_invalid_cid(sign_as("alice"))));

    then_said(f, "1: invalid_since\n"
                 "1: invalid_since cid=\"c\"\n"
                 "1: invalid_uid\n"
                 "1: invalid_cid\n");
    then_asked(f, "");
    assert_int_equal(router_n_signed(f->router), 0);
}

/* [JSON-4] Without the feature there is no such member. */
static void test_sign_without_history_ignores_since(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);

    when_receives(f, alice, with_invalid_since(sign_as("alice")));
    fake_store_answer(&f->store);

    then_said(f, "1: signed token=" ZEROS "1\n");
    then_asked(f, "bind 1 alice\n");
}

/* [SIGN-7] Whichever of the two questions fails, the connection is who it was, and reads on. */
static void test_sign_when_store_is_unavailable_leaves_the_device(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);

    when_receives(f, alice, sign_as("carol"));
    fake_store_answer_reads_unavailable(&f->store);
    then_said(f, "2: unavailable\n");
    then_asked(f, "read 0 of carol unconfirmed\n");
    when_receives(f, alice, sign_as("carol"));
    when_page(f, 21, 20, 20);
    fake_store_answer_unavailable(&f->store);
    then_said(f, "2: unavailable\n");
    when_sends(f, bob, "alice", 11, 10);

    then_said(f, "2: from bob: 11 id=11-0\n"
                 "1: sended id=11-0\n");
}

/* [HIST-20] Again as the same uid: it goes on where it is, and reads nothing. */
static void test_sign_again_as_the_same_uid_goes_on(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);

    when_receives(f, alice, sign_as("alice"));
    then_asked(f, "bind 2 alice\n");
    fake_store_answer_bind(&f->store, alice);
    then_said(f, "2: signed token=" ZEROS "1\n");
    then_asked(f, "");
    when_sends(f, bob, "alice", 11, 10);

    then_said(f, "2: from bob: 11 id=11-0\n"
                 "1: sended id=11-0\n");
}

/* [HIST-20] The same while it reads: the page that was asked for counts. */
static void test_sign_again_while_reading_goes_on_reading(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);
    when_receives(f, alice, sign_as("alice"));
    when_page(f, 11, 10, 12);
    fake_store_answer_bind(&f->store, alice);

    when_receives(f, alice, sign_as("alice"));
    fake_store_answer_bind(&f->store, alice);
    when_page(f, 11, 12, 12);

    then_said(f, "1: signed token=" ZEROS "1\n"
                 "1: signed token=" ZEROS "2\n"
                 "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n");
}

/* [HIST-8] With since it asks for what it names, whatever it has got. */
static void test_sign_again_with_since_reads_from_there(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 12);

    when_receives(f, alice, with_since(sign_as("alice"), 10));
    when_page(f, 11, 10, 12);
    fake_store_answer_bind(&f->store, alice);
    when_page(f, 11, 12, 12);

    then_said(f, "1: signed token=" ZEROS "1\n"
                 "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n");
}

/* [SIGN-6] As another uid the device has another inbox. */
static void test_sign_as_another_uid_reads_another_inbox(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 12);

    when_receives(f, alice, sign_as("carol"));
    when_page(f, 4, 3, 4);
    fake_store_answer_bind(&f->store, alice);
    when_page(f, 4, 4, 4);
    then_asked(f, "read 0 of carol unconfirmed\n"
                  "bind 2 carol\n"
                  "read 64 of carol after 3-0\n");
    then_said(f, "2: signed token=" ZEROS "1\n"
                 "2: from bob: 4 id=4-0\n");
    when_receives(f, bob, msg_to("alice", "13"));
    fake_store_answer_send(&f->store, &alice, 1); /* whatever a store still says: [ID-1] */

    then_said(f, "1: sended\n");
}

/* [ORDER-1] What is behind a sign waits for all of it. */
static void test_requests_behind_a_sign_wait_for_it(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);

    when_receives(f, alice, sign_as("alice"));
    when_receives(f, alice, with_cid_value(msg_to("bob", "1"), "m1"));
    then_asked(f, "read 0 of alice unconfirmed\n");
    when_page(f, 1, 0, 0);
    then_asked(f, "bind 1 alice\n");
    fake_store_answer_bind(&f->store, alice);

    then_asked(f, "read 64 of alice after 0-0\n"
                  "send bob cid=m1\n");
}

/* [ORDER-4] [ID-3] A connection that closes meanwhile is bound, unbound, and reads nothing. */
static void test_sign_when_connection_closes_meanwhile_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);

    when_receives(f, alice, sign_as("alice"));
    router_closed(f->router, alice);
    when_page(f, 1, 0, 12);
    fake_store_answer_bind(&f->store, alice);

    then_asked(f, "read 0 of alice unconfirmed\n"
                  "bind 1 alice\n"
                  "unbind 1\n");
    then_said(f, "");
}

/* A store that is being destroyed answers what is pending: nothing is asked again. */
static void test_sign_when_store_is_destroyed_ends(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);
    when_receives(f, alice, sign_as("alice"));
    when_receives(f, alice, sign_as("bob"));
    router_closed(f->router, alice);

    fake_store_answer_as_destroyed(&f->store);

    then_asked(f, "read 0 of alice unconfirmed\n");
    then_said(f, "");
}

/* ---- replies ---- */

/* [HIST-3] [HIST-5] The same id in the reply and in the delivery. */
static void test_msg_has_one_id_in_reply_and_delivery(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    given_device(f, "alice", 10);
    given_device(f, "alice", 10);

    when_sends(f, bob, "alice", 11, 10);

    then_said(f, "2 3: from bob: 11 id=11-0\n"
                 "1: sended id=11-0\n");
    then_asked(f, "send alice\n");
}

/* [HIST-18] The store knows a retry by the value of the cid, and the reply echoes its text. */
static void test_msg_takes_the_value_of_its_cid_to_the_store(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);

    when_receives(f, bob, with_cid_value(with_cid(msg_to("alice", "1"), "\"\\u0063\""), "c"));
    then_asked(f, "send alice cid=c\n");
    fake_store_answer_sent(&f->store, (struct sent){.id = ID(11)});

    then_said(f, "1: sended id=11-0 cid=\"\\u0063\"\n");
}

/* [HIST-18] A retry is not delivered, but a device that has not got the first reads it. */
static void test_retry_is_answered_as_dup_and_not_delivered(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    given_device(f, "alice", 11);
    given_device(f, "alice", 10);

    when_receives(f, bob, with_cid(msg_to("alice", "11"), "\"c\""));
    fake_store_answer_sent(&f->store, (struct sent){.id = ID(11), .is_dup = true});

    then_said(f, "1: sended id=11-0 dup cid=\"c\"\n");
    then_asked(f, "send alice\n"
                  "read 64 of alice after 10-0\n");
    when_page(f, 11, 11, 11);
    then_said(f, "3: from bob: 11 id=11-0\n");
}

/* [HIST-18] A retry may have another body than the first, which is the one that counts. */
static void test_retry_is_not_delivered_to_a_device_that_has_got_nothing(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    given_device(f, "alice", 0);

    when_receives(f, bob, msg_to("alice", "\"another\""));
    fake_store_answer_sent(&f->store, (struct sent){.id = ID(11), .is_dup = true});

    then_said(f, "1: sended id=11-0 dup\n");
    then_asked(f, "send alice\n"
                  "read 64 of alice after 0-0\n");
}

/* [HIST-16] */
static void test_msg_when_inbox_is_full_reaches_nobody(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    given_device(f, "alice", 10);

    when_receives(f, bob, with_cid(msg_to("alice", "11"), "\"c\""));
    fake_store_answer_sent(&f->store, (struct sent){.err = ERR_FULL});

    then_said(f, "1: full cid=\"c\"\n");
}

/* [ORDER-3] A device that sends to itself while it reads gets its message with what it reads, and
 * the reply behind it. */
static void test_msg_to_oneself_while_reading_is_answered_behind_its_delivery(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);

    when_sends(f, alice, "alice", 12, 11);
    when_sends(f, alice, "nobody", 4, 0);
    then_asked(f, "send alice\n"
                  "read 64 of alice after 10-0\n"
                  "send nobody\n");
    then_said(f, ""); /* [ORDER-1] the second waits for the first */
    when_page(f, 11, 12, 12);

    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n"
                 "1: sended id=12-0\n"
                 "1: sended id=4-0\n");
}

/* [ORDER-3] The page that it waited for did not have it yet. */
static void test_msg_to_oneself_waits_for_the_page_that_has_it(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);
    when_receives(f, alice, sign_as("alice"));
    when_page(f, 11, 10, 11);
    fake_store_answer_bind(&f->store, alice);
    transcript_clear(&f->sink.said);

    when_sends(f, alice, "alice", 12, 11);
    when_page(f, 11, 11, 11);
    then_said(f, "1: from bob: 11 id=11-0\n");
    when_page(f, 12, 12, 12);

    then_said(f, "1: from bob: 12 id=12-0\n"
                 "1: sended id=12-0\n");
}

/* Only what it sends to itself waits. */
static void test_msg_to_another_while_reading_is_answered_at_once(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);
    when_sends(f, bob, "alice", 12, 11);
    transcript_clear(&f->sink.said);

    when_sends(f, alice, "bob", 20, 10);

    then_said(f, "2: from alice: 20 id=20-0\n"
                 "1: sended id=20-0\n");
}

/* [ORDER-3] A peer that does not read waits for its own message, too. */
static void test_msg_to_oneself_when_peer_does_not_read_waits(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    f->sink.slow_conn = alice;

    when_sends(f, alice, "alice", 11, 10);
    then_said(f, "");
    f->sink.slow_room = 9;
    router_drained(f->router, alice);
    when_page(f, 11, 11, 11);

    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: sended id=11-0\n");
}

/* A retry to oneself of what it has got does not wait, though it reads. */
static void test_retry_to_oneself_of_what_was_delivered_does_not_wait(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);
    when_sends(f, bob, "alice", 12, 11);
    transcript_clear(&f->sink.said);

    when_receives(f, alice, msg_to("alice", "10"));
    fake_store_answer_sent(&f->store, (struct sent){.id = ID(10), .is_dup = true});

    then_said(f, "1: sended id=10-0 dup\n");
}

/* When the inbox cannot be read the message is stored all the same: the reply does not wait for
 * ever. */
static void test_msg_to_oneself_when_read_fails_is_answered(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    when_sends(f, alice, "alice", 12, 11);

    fake_store_answer_reads_unavailable(&f->store);

    then_said(f, "1: sended id=12-0\n");
}

/* A connection that closes while its reply waits is gone at once. */
static void test_msg_to_oneself_when_connection_closes_does_not_wait(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    when_sends(f, alice, "alice", 12, 11);
    transcript_clear(&f->store.asked);

    router_closed(f->router, alice);

    then_asked(f, "unbind 1\n");
    when_page(f, 11, 12, 12);
    then_said(f, "");
}

/* ---- confirmation ---- */

/* [HIST-12] [HIST-13] */
static void test_delivery_is_followed_by_a_ping_whose_pong_confirms(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);
    when_sends(f, bob, "alice", 11, 10);
    when_sends(f, bob, "alice", 12, 11);
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);

    when_ticks(f, 1);
    then_said(f, "2: ping 12-0\n");
    then_asked(f, "");
    router_ponged(f->router, alice, STR("12-0"));

    then_asked(f, "confirm alice 12-0\n");
}

/* [HIST-12] What was read is confirmed as what was pushed. */
static void test_page_is_followed_by_a_ping_for_its_last_message(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);
    when_receives(f, alice, sign_as("alice"));
    when_page(f, 11, 10, 13);
    fake_store_answer_bind(&f->store, alice);
    when_page(f, 11, 12, 13);
    transcript_clear(&f->sink.said);

    when_ticks(f, 1);

    then_said(f, "1: ping 12-0\n");
}

/* Nothing delivered, nothing to confirm: since itself is not. */
static void test_sign_without_messages_brings_no_ping(void **state)
{
    struct fixture *f = *state;
    given_device(f, "alice", 10);

    when_ticks(f, 200);

    then_said(f, "");
}

/* [HIST-12] A device is asked about once a second: at the ninth tick behind the last ping. */
static void test_pings_come_about_once_a_second(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    given_device(f, "alice", 10);
    when_sends(f, bob, "alice", 11, 10);
    when_ticks(f, 1);
    when_sends(f, bob, "alice", 12, 11);
    when_sends(f, bob, "alice", 13, 12);
    transcript_clear(&f->sink.said);

    when_ticks(f, 8);
    then_said(f, "");
    when_ticks(f, 1);
    then_said(f, "2: ping 13-0\n");
    when_ticks(f, 200);

    then_said(f, "");
}

/* [HIST-16] A busy device is asked after every hundredth message, however fast they come. */
static void test_busy_device_is_pinged_every_hundred_messages(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 1000);
    given_device(f, "alice", 1000);
    for (uint64_t ms = 1001; ms <= 1300; ms++) {
        char want[100];
        char ping[30] = "";
        int n = (int)ms;
        if (n % 100 == 0) {
            snprintf(ping, sizeof ping, "2: ping %d-0\n", n);
        }
        snprintf(want, sizeof want, "2: from bob: %d id=%d-0\n%s1: sended id=%d-0\n", n, n, ping,
                 n);

        when_sends(f, bob, "alice", ms, ms - 1);

        then_said(f, want);
    }
    when_ticks(f, 200); /* the last ping was for all of them */
    then_said(f, "");
}

/* The same of a device that reads. */
static void test_reading_device_is_pinged_every_hundred_messages(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 1000);
    conn_id bob = given_device(f, "bob", 10);
    when_sends(f, bob, "alice", 1128, 1127);

    when_page(f, 1001, 1064, 1128);
    when_page(f, 1065, 1100, 1128);
    transcript_clear(&f->store.asked);
    router_ponged(f->router, alice, STR("1100-0"));

    then_asked(f, "confirm alice 1100-0\n");
}

/* 'n' messages from 11 on for "alice", each with a ping of its own. */
static void given_pings(struct fixture *f, conn_id sender, int n)
{
    for (int i = 0; i < n; i++) {
        when_sends(f, sender, "alice", 11 + (uint64_t)i, 10 + (uint64_t)i);
        when_ticks(f, 9);
    }
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);
}

/* [HIST-13] A peer may answer late, when other pings have been sent. */
static void test_pong_that_comes_late_confirms(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);
    given_pings(f, bob, 3);

    router_ponged(f->router, alice, STR("11-0"));
    then_asked(f, "confirm alice 11-0\n");
    router_ponged(f->router, alice, STR("12-0"));
    router_ponged(f->router, alice, STR("13-0"));

    then_asked(f, "confirm alice 12-0\n"
                  "confirm alice 13-0\n");
}

/* RFC 6455 lets a peer answer the last of several pings only. */
static void test_pong_answers_earlier_pings_too(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);
    given_pings(f, bob, 3);

    router_ponged(f->router, alice, STR("12-0"));
    router_ponged(f->router, alice, STR("11-0"));
    router_ponged(f->router, alice, STR("12-0"));
    then_asked(f, "confirm alice 12-0\n");
    router_ponged(f->router, alice, STR("13-0"));

    then_asked(f, "confirm alice 13-0\n");
}

/* Of a peer that does not answer the last eight pings are remembered. */
static void test_pong_to_a_ping_before_the_last_eight_confirms_nothing(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);
    given_pings(f, bob, 10);

    router_ponged(f->router, alice, STR("12-0"));
    then_asked(f, "");
    router_ponged(f->router, alice, STR("13-0"));
    router_ponged(f->router, alice, STR("20-0"));

    then_asked(f, "confirm alice 13-0\n"
                  "confirm alice 20-0\n");
}

/* [HIST-13] A pong confirms what its ping said, not what was delivered meanwhile. */
static void test_pong_confirms_up_to_its_ping_only(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);
    when_sends(f, bob, "alice", 11, 10);
    when_ticks(f, 1);
    when_sends(f, bob, "alice", 12, 11);
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);

    router_ponged(f->router, alice, STR("11-0"));
    when_ticks(f, 10);

    then_asked(f, "confirm alice 11-0\n");
    then_said(f, "2: ping 12-0\n");
}

/* [HIST-22] "A pong that answers no ping of this kind MUST NOT confirm anything." */
static void test_pong_that_answers_no_ping_confirms_nothing(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);
    conn_id unsigned_one = given_connection(f);
    when_sends(f, bob, "alice", 11, 10);
    transcript_clear(&f->store.asked);
    router_ponged(f->router, alice, STR("11-0")); /* before its ping */
    when_ticks(f, 1);
    static const struct str wrong[] = {STR_INIT(""),     STR_INIT("11"),    STR_INIT("11-1"),
                                       STR_INIT("10-0"), STR_INIT("12-0"),  STR_INIT("0-0"),
                                       STR_INIT("-"),    STR_INIT("011-0"), STR_INIT("11-0 ")};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        router_ponged(f->router, alice, wrong[i]);
    }
    router_ponged(f->router, bob, STR("11-0"));
    router_ponged(f->router, bob, STR("0-0"));
    router_ponged(f->router, unsigned_one, STR("11-0"));
    router_ponged(f->router, 4711, STR("11-0"));

    then_asked(f, "");
    router_ponged(f->router, alice, STR("11-0"));
    then_asked(f, "confirm alice 11-0\n");
    router_ponged(f->router, alice, STR("11-0")); /* once is enough */
    then_asked(f, "");
}

/* The sign of 'conn' with since again, as who it is; the inbox has nothing behind it. */
static void given_sign_again_since(struct fixture *f, conn_id conn, uint64_t since)
{
    when_receives(f, conn, with_since(sign_as("alice"), since));
    when_page(f, since + 1, since, since);
    fake_store_answer_bind(&f->store, conn);
    when_page(f, since + 1, since, since);
}

/* [HIST-13] A ping is not void because its device asks for some messages again. */
static void test_pong_after_a_sign_as_the_same_uid_confirms(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);
    when_sends(f, bob, "alice", 11, 10);
    when_ticks(f, 1);
    given_sign_again_since(f, alice, 11);
    transcript_clear(&f->store.asked);

    router_ponged(f->router, alice, STR("11-0"));

    then_asked(f, "confirm alice 11-0\n");
}

/* [HIST-12] What was given before the sign would not be asked about behind it. */
static void test_sign_as_the_same_uid_is_preceded_by_the_ping_that_is_due(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);
    when_sends(f, bob, "alice", 11, 10);
    transcript_clear(&f->sink.said);

    given_sign_again_since(f, alice, 11);

    then_said(f, "2: ping 11-0\n"
                 "2: signed token=" ZEROS "1\n");
}

/* [HIST-22] A ping as the old uid is void when the device has another. */
static void test_pong_after_a_sign_as_another_uid_confirms_nothing(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);
    when_sends(f, bob, "alice", 11, 10);
    when_ticks(f, 1);
    when_receives(f, alice, sign_as("carol"));
    when_page(f, 1, 0, 20);
    fake_store_answer_bind(&f->store, alice);
    transcript_clear(&f->store.asked);

    router_ponged(f->router, alice, STR("11-0"));

    then_asked(f, "");
}

/* [HIST-12] [HIST-14] What a device was given as the old uid is not asked for as the new one, of
 * which it was given nothing. */
static void test_ping_after_a_sign_as_another_uid_is_not_sent(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);
    when_sends(f, bob, "alice", 11, 10);
    when_receives(f, alice, with_since(sign_as("carol"), 20));
    when_page(f, 21, 20, 20);
    fake_store_answer_bind(&f->store, alice);
    transcript_clear(&f->sink.said);

    when_ticks(f, 200);
    then_said(f, "");
    when_page(f, 21, 20, 20);
    when_sends(f, bob, "carol", 21, 20);
    when_ticks(f, 1);

    then_said(f, "2: from bob: 21 id=21-0\n"
                 "1: sended id=21-0\n"
                 "2: ping 21-0\n");
}

/* Each device has its own ping. */
static void test_pings_are_for_each_device(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id first = given_device(f, "alice", 10);
    conn_id second = given_device(f, "alice", 10);
    given_device(f, "alice", 10);
    conn_id gone = given_device(f, "alice", 10);
    when_sends(f, bob, "alice", 11, 10);
    router_closed(f->router, gone);
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);

    when_ticks(f, 1);
    then_said(f, "2: ping 11-0\n"
                 "3: ping 11-0\n"
                 "4: ping 11-0\n");
    router_ponged(f->router, second, STR("11-0"));
    router_ponged(f->router, first, STR("11-0"));

    then_asked(f, "confirm alice 11-0\n"
                  "confirm alice 11-0\n");
}

/* A connection whose last requests are in flight when it closes is not pinged, and its pong,
 * which is late, confirms nothing. */
static void test_closed_connection_is_not_pinged(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_device(f, "alice", 10);
    when_sends(f, bob, "alice", 11, 10);
    when_ticks(f, 1);
    when_sends(f, bob, "alice", 12, 11);
    when_receives(f, alice, msg_to("bob", "1"));
    router_closed(f->router, alice);
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);

    router_ponged(f->router, alice, STR("11-0"));
    router_drained(f->router, alice);
    when_ticks(f, 200);

    then_said(f, "");
    then_asked(f, "");
}

/* Without the feature a pong, a tick and room to write mean nothing. */
static void test_without_history_pongs_and_ticks_mean_nothing(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    when_receives(f, alice, msg_to("alice", "1"));
    fake_store_answer(&f->store);
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);

    when_ticks(f, 200);
    router_ponged(f->router, alice, STR("11-0"));
    router_drained(f->router, alice);

    then_said(f, "");
    then_asked(f, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HISTORY_TEST(test_sign_is_followed_by_what_is_not_confirmed),
        HISTORY_TEST(test_sign_with_since_is_followed_by_what_is_behind_it),
        HISTORY_TEST(test_sign_with_since_zero_asks_for_all),
        HISTORY_TEST(test_sign_with_since_beyond_the_newest_begins_behind_it),
        HISTORY_TEST(test_sign_with_since_when_there_is_no_message),
        HISTORY_TEST(test_sign_reply_says_what_the_store_says_of_a_gap),
        HISTORY_TEST(test_sign_again_as_the_same_uid_tells_of_no_gap),
        HISTORY_TEST(test_sign_when_since_is_invalid_is_refused),
        ROUTER_TEST(test_sign_without_history_ignores_since),
        HISTORY_TEST(test_sign_when_store_is_unavailable_leaves_the_device),
        HISTORY_TEST(test_sign_again_as_the_same_uid_goes_on),
        HISTORY_TEST(test_sign_again_while_reading_goes_on_reading),
        HISTORY_TEST(test_sign_again_with_since_reads_from_there),
        HISTORY_TEST(test_sign_as_another_uid_reads_another_inbox),
        HISTORY_TEST(test_requests_behind_a_sign_wait_for_it),
        HISTORY_TEST(test_sign_when_connection_closes_meanwhile_leaves_no_trace),
        HISTORY_TEST(test_sign_when_store_is_destroyed_ends),
        HISTORY_TEST(test_msg_has_one_id_in_reply_and_delivery),
        HISTORY_TEST(test_msg_takes_the_value_of_its_cid_to_the_store),
        HISTORY_TEST(test_retry_is_answered_as_dup_and_not_delivered),
        HISTORY_TEST(test_retry_is_not_delivered_to_a_device_that_has_got_nothing),
        HISTORY_TEST(test_msg_when_inbox_is_full_reaches_nobody),
        HISTORY_TEST(test_msg_to_oneself_while_reading_is_answered_behind_its_delivery),
        HISTORY_TEST(test_msg_to_oneself_waits_for_the_page_that_has_it),
        HISTORY_TEST(test_msg_to_another_while_reading_is_answered_at_once),
        HISTORY_TEST(test_msg_to_oneself_when_peer_does_not_read_waits),
        HISTORY_TEST(test_retry_to_oneself_of_what_was_delivered_does_not_wait),
        HISTORY_TEST(test_msg_to_oneself_when_read_fails_is_answered),
        HISTORY_TEST(test_msg_to_oneself_when_connection_closes_does_not_wait),
        HISTORY_TEST(test_delivery_is_followed_by_a_ping_whose_pong_confirms),
        HISTORY_TEST(test_page_is_followed_by_a_ping_for_its_last_message),
        HISTORY_TEST(test_sign_without_messages_brings_no_ping),
        HISTORY_TEST(test_pings_come_about_once_a_second),
        HISTORY_TEST(test_busy_device_is_pinged_every_hundred_messages),
        HISTORY_TEST(test_reading_device_is_pinged_every_hundred_messages),
        HISTORY_TEST(test_pong_that_comes_late_confirms),
        HISTORY_TEST(test_pong_answers_earlier_pings_too),
        HISTORY_TEST(test_pong_to_a_ping_before_the_last_eight_confirms_nothing),
        HISTORY_TEST(test_pong_confirms_up_to_its_ping_only),
        HISTORY_TEST(test_pong_that_answers_no_ping_confirms_nothing),
        HISTORY_TEST(test_pong_after_a_sign_as_the_same_uid_confirms),
        HISTORY_TEST(test_sign_as_the_same_uid_is_preceded_by_the_ping_that_is_due),
        HISTORY_TEST(test_pong_after_a_sign_as_another_uid_confirms_nothing),
        HISTORY_TEST(test_ping_after_a_sign_as_another_uid_is_not_sent),
        HISTORY_TEST(test_pings_are_for_each_device),
        HISTORY_TEST(test_closed_connection_is_not_pinged),
        ROUTER_TEST(test_without_history_pongs_and_ticks_mean_nothing),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
