/* How far a device has got the messages of its uid: nothing missing, nothing twice, in order, as
 * fast as its peer reads. SPEC 7. */
#include "router_fixture.h"

#include <stdio.h>

/* A connection that has just signed, and whose first page behind 10-0 is asked for. */
static conn_id given_reader(struct fixture *f, const char *uid, uint64_t newest_ms)
{
    conn_id conn = given_connection(f);
    when_receives(f, conn, with_since(sign_as(uid), 10));
    when_page(f, 11, 10, newest_ms);
    fake_store_answer_bind(&f->store, conn);
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);
    return conn;
}

static void when_newest_known(struct fixture *f, const char *uid, uint64_t ms, conn_id device)
{
    f->store.events->newest_known(f->store.events_ctx, str_of(uid), ID(ms), &device, 1);
}

/* ---- reading ---- */

/* [HIST-7] [HIST-8] Page by page, until it has the newest. */
static void test_reader_reads_page_by_page(void **state)
{
    struct fixture *f = *state;
    given_reader(f, "alice", 15);

    when_page(f, 11, 12, 15);
    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n");
    then_asked(f, "read 64 of alice after 12-0\n");
    when_page(f, 13, 14, 15);
    then_asked(f, "read 64 of alice after 14-0\n");
    when_page(f, 15, 15, 15);

    then_said(f, "1: from bob: 13 id=13-0\n"
                 "1: from bob: 14 id=14-0\n"
                 "1: from bob: 15 id=15-0\n");
    then_asked(f, "");
}

/* Nothing retained behind it: it goes on behind the newest. */
static void test_reader_when_page_is_empty_goes_on_behind_the_newest(void **state)
{
    struct fixture *f = *state;
    conn_id bob = given_device(f, "bob", 10);
    given_reader(f, "alice", 15);

    when_page(f, 11, 10, 15);
    when_sends(f, bob, "alice", 16, 15);

    then_said(f, "2: from bob: 16 id=16-0\n"
                 "1: sended id=16-0\n");
    then_asked(f, "send alice\n");
}

/* While it reads a message comes: the page may not have it, so another is read. */
static void test_reader_when_it_rang_meanwhile_reads_again(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);
    when_sends(f, bob, "alice", 12, 11);
    then_asked(f, "send alice\n"
                  "read 64 of alice after 10-0\n");
    when_sends(f, bob, "alice", 13, 12);
    then_asked(f, "send alice\n");
    transcript_clear(&f->sink.said);

    when_page(f, 11, 12, 12); /* was read before 13 was stored */
    then_asked(f, "read 64 of alice after 12-0\n");
    when_page(f, 13, 13, 13);
    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n"
                 "1: from bob: 13 id=13-0\n");
    when_newest_known(f, "alice", 20, alice);
    then_asked(f, "read 64 of alice after 13-0\n");
    when_newest_known(f, "alice", 21, alice);
    when_page(f, 14, 20, 20);

    then_asked(f, "read 64 of alice after 20-0\n");
}

/* What rang and is in the page already does not come again. */
static void test_reader_when_page_has_what_rang_gives_it_once(void **state)
{
    struct fixture *f = *state;
    given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);
    when_sends(f, bob, "alice", 12, 11);
    when_sends(f, bob, "alice", 13, 12);
    transcript_clear(&f->sink.said);

    when_page(f, 11, 13, 13);
    when_page(f, 14, 13, 13);
    when_sends(f, bob, "alice", 14, 13);

    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n"
                 "1: from bob: 13 id=13-0\n"
                 "1: from bob: 14 id=14-0\n"
                 "2: sended id=14-0\n");
}

/* ---- live ---- */

/* A message that follows the last one is pushed without a read. */
static void test_live_message_when_the_one_before_fits_is_pushed(void **state)
{
    struct fixture *f = *state;
    given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);

    when_sends(f, bob, "alice", 15, 10);
    when_sends(f, bob, "alice", 16, 15);

    then_asked(f, "send alice\n"
                  "send alice\n");
    then_said(f, "1: from bob: 15 id=15-0\n"
                 "2: sended id=15-0\n"
                 "1: from bob: 16 id=16-0\n"
                 "2: sended id=16-0\n");
}

/* One that does not, whose ring was lost or came through another node, is read. */
static void test_live_message_when_one_is_missing_before_is_read(void **state)
{
    struct fixture *f = *state;
    given_device(f, "alice", 10);
    given_device(f, "alice", 11);
    conn_id bob = given_device(f, "bob", 10);

    when_sends(f, bob, "alice", 12, 11);

    then_said(f, "2: from bob: 12 id=12-0\n"
                 "3: sended id=12-0\n");
    then_asked(f, "send alice\n"
                  "read 64 of alice after 10-0\n");
}

/* Which one was before is not always known. */
static void test_live_message_when_the_one_before_is_not_known_is_read(void **state)
{
    struct fixture *f = *state;
    given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);

    when_sends(f, bob, "alice", 12, 0);

    then_asked(f, "send alice\n"
                  "read 64 of alice after 10-0\n");
    then_said(f, "2: sended id=12-0\n");
}

/* One that it has got already, for it was read before it rang, does not come again. */
static void test_live_message_when_it_was_read_already_is_passed_over(void **state)
{
    struct fixture *f = *state;
    given_device(f, "alice", 12);
    conn_id bob = given_device(f, "bob", 10);

    when_sends(f, bob, "alice", 11, 10);
    when_sends(f, bob, "alice", 12, 11);
    when_sends(f, bob, "alice", 13, 12);

    then_said(f, "2: sended id=11-0\n"
                 "2: sended id=12-0\n"
                 "1: from bob: 13 id=13-0\n"
                 "2: sended id=13-0\n");
    then_asked(f, "send alice\n"
                  "send alice\n"
                  "send alice\n");
}

/* [MSG-3] A store that names strangers moves nobody's reader. */
static void test_live_message_reaches_devices_of_its_uid_only(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);
    conn_id unsigned_one = given_connection(f);
    conn_id gone = given_device(f, "alice", 10);
    router_closed(f->router, gone);
    transcript_clear(&f->store.asked);
    const conn_id named[] = {gone, bob, unsigned_one, alice, 4711};
    const struct delivery message = {.from = STR("x"), .body = STR("1"), .id = ID(11)};

    f->store.events->arrived(f->store.events_ctx, STR("alice"), &message, ID(10), named, 5);
    then_said(f, "1: from x: 1 id=11-0\n");
    f->store.events->newest_known(f->store.events_ctx, STR("alice"), ID(12), named, 5);

    then_asked(f, "read 64 of alice after 11-0\n");
}

/* [NODE-8] What the newest is: those who have it do nothing, the others read. */
static void test_newest_that_is_known_is_read_by_who_has_it_not(void **state)
{
    struct fixture *f = *state;
    conn_id first = given_device(f, "alice", 12);
    conn_id second = given_device(f, "alice", 11);

    when_newest_known(f, "alice", 12, first);
    then_asked(f, "");
    when_newest_known(f, "alice", 12, second);
    then_asked(f, "read 64 of alice after 11-0\n");
    when_page(f, 12, 12, 12);

    then_said(f, "2: from bob: 12 id=12-0\n");
}

/* An inbox that was lost begins again with lower ids: its messages come all the same. */
static void test_reader_when_the_inbox_was_lost_follows_it(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 50);
    conn_id bob = given_device(f, "bob", 10);

    when_newest_known(f, "alice", 3, alice);
    then_asked(f, "read 64 of alice after 50-0\n");
    when_page(f, 51, 50, 3);
    when_sends(f, bob, "alice", 4, 3);

    then_said(f, "1: from bob: 4 id=4-0\n"
                 "2: sended id=4-0\n");
}

/* ---- peers that do not read ---- */

/* [WS-12] It is given as much as its peer takes, and the rest when that has read. */
static void test_reader_when_peer_does_not_read_stops_until_it_has(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_reader(f, "alice", 14);
    f->sink.slow_conn = alice;
    f->sink.slow_room = 2;

    when_page(f, 11, 14, 14);
    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n");
    then_asked(f, "");
    f->sink.slow_room = 9;
    router_drained(f->router, alice);
    then_asked(f, "read 64 of alice after 12-0\n");
    when_page(f, 13, 14, 14);

    then_said(f, "1: from bob: 13 id=13-0\n"
                 "1: from bob: 14 id=14-0\n");
    then_asked(f, "");
}

/* [WS-12] A live message does not pile up either, and holds up neither its sender nor others. */
static void test_live_message_when_peer_does_not_read_waits_in_the_inbox(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);
    f->sink.slow_conn = alice;

    when_sends(f, bob, "alice", 11, 10);
    when_sends(f, bob, "alice", 12, 11);
    when_newest_known(f, "alice", 13, alice);
    then_said(f, "2: from bob: 11 id=11-0\n"
                 "3: sended id=11-0\n"
                 "2: from bob: 12 id=12-0\n"
                 "3: sended id=12-0\n");
    then_asked(f, "send alice\n"
                  "send alice\n");
    f->sink.slow_room = 9;
    router_drained(f->router, alice);
    then_asked(f, "read 64 of alice after 10-0\n");
    when_page(f, 11, 13, 13);

    then_said(f, "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n"
                 "1: from bob: 13 id=13-0\n");
}

/* Room to write means nothing to who does not wait for it. */
static void test_drained_when_nothing_waits_does_nothing(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id reading = given_reader(f, "alice", 11);
    conn_id unsigned_one = given_connection(f);

    router_drained(f->router, alice);
    router_drained(f->router, reading);
    router_drained(f->router, unsigned_one);
    router_drained(f->router, 4711);

    then_asked(f, "");
    then_said(f, "");
}

/* The same of a connection that has closed with requests in flight. */
static void test_drained_when_connection_is_closed_does_nothing(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);
    f->sink.slow_conn = alice;
    when_sends(f, bob, "alice", 11, 10);
    when_receives(f, alice, msg_to("bob", "1"));
    router_closed(f->router, alice);
    transcript_clear(&f->store.asked);

    router_drained(f->router, alice);

    then_asked(f, "");
}

/* ---- what goes wrong ---- */

/* A read that fails closes nobody: the device stays where it is, and reads at the next ring. */
static void test_reader_when_read_fails_reads_at_the_next_ring(void **state)
{
    struct fixture *f = *state;
    given_reader(f, "alice", 12);
    conn_id bob = given_connection(f);
    fake_store_answer_reads_unavailable(&f->store);
    then_said(f, "");
    then_asked(f, "");
    when_receives(f, bob, sign_as("bob"));
    when_page(f, 1, 0, 0);
    fake_store_answer_bind(&f->store, bob);
    when_page(f, 1, 0, 0);
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);

    when_sends(f, bob, "alice", 13, 12);
    then_asked(f, "send alice\n"
                  "read 64 of alice after 10-0\n");
    when_page(f, 11, 13, 13);

    then_said(f, "2: sended id=13-0\n"
                 "1: from bob: 11 id=11-0\n"
                 "1: from bob: 12 id=12-0\n"
                 "1: from bob: 13 id=13-0\n");
}

/* [HIST-10] What a device waits for was dropped: it is closed, for only a sign can say so. */
static void test_reader_when_messages_were_dropped_meanwhile_is_closed(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    const struct delivery message = {.from = STR("bob"), .body = STR("1"), .id = ID(13)};
    when_newest_known(f, "alice", 13, alice);

    fake_store_answer_read(&f->store, &(struct inbox_page){.after = ID(10),
                                                           .newest = ID(13),
                                                           .dropped = true,
                                                           .gap = true,
                                                           .messages = &message,
                                                           .n = 1});

    then_said(f, "1: close 1008\n");
}

/* [HIST-10] [REPLY-7] A device that was told of the gap by the reply to its sign gets what is
 * left, and stays … */
static void test_reader_when_its_sign_told_of_the_gap_goes_on(void **state)
{
    struct fixture *f = *state;
    const struct delivery messages[] = {{.from = STR("bob"), .body = STR("12"), .id = ID(12)},
                                        {.from = STR("bob"), .body = STR("13"), .id = ID(13)}};
    struct inbox_page page = {
        .after = ID(10), .newest = ID(13), .dropped = true, .gap = true, .messages = messages};
    conn_id alice = given_connection(f);

    when_receives(f, alice, with_since(sign_as("alice"), 10));
    fake_store_answer_read(&f->store, &page);
    fake_store_answer_bind(&f->store, alice);
    page.n = 2;
    fake_store_answer_read(&f->store, &page);

    then_said(f, "1: signed token=" ZEROS "1 gap\n"
                 "1: from bob: 12 id=12-0\n"
                 "1: from bob: 13 id=13-0\n");
    when_newest_known(f, "alice", 15, alice);
    page = (struct inbox_page){.after = ID(13), .newest = ID(15), .dropped = true, .gap = true};
    fake_store_answer_read(&f->store, &page);
    then_said(f, "1: close 1008\n"); /* of this one it was not told */
}

/* … also if nothing is left. Of what is dropped later it was not told. */
static void test_reader_when_its_sign_told_of_the_gap_and_all_is_dropped_goes_on(void **state)
{
    struct fixture *f = *state;
    struct inbox_page page = {.after = ID(10), .newest = ID(13), .dropped = true, .gap = true};
    conn_id bob = given_device(f, "bob", 10);
    conn_id alice = given_connection(f);
    when_receives(f, alice, with_since(sign_as("alice"), 10));
    fake_store_answer_read(&f->store, &page);
    fake_store_answer_bind(&f->store, alice);
    then_said(f, "2: signed token=" ZEROS "1 gap\n");

    fake_store_answer_read(&f->store, &page);
    when_sends(f, bob, "alice", 14, 13);
    then_said(f, "2: from bob: 14 id=14-0\n"
                 "1: sended id=14-0\n");
    when_newest_known(f, "alice", 16, alice);
    page = (struct inbox_page){.after = ID(14), .newest = ID(16), .dropped = true, .gap = true};
    fake_store_answer_read(&f->store, &page);

    then_said(f, "2: close 1008\n");
}

/* … also if its peer takes some time to read. */

static void test_reader_when_its_sign_told_of_the_gap_waits_for_its_peer(void **state)
{
    struct fixture *f = *state;
    const struct delivery message = {.from = STR("bob"), .body = STR("13"), .id = ID(13)};
    struct inbox_page page = {
        .after = ID(10), .newest = ID(13), .dropped = true, .gap = true, .messages = &message};
    conn_id alice = given_connection(f);
    when_receives(f, alice, with_since(sign_as("alice"), 10));
    fake_store_answer_read(&f->store, &page);
    fake_store_answer_bind(&f->store, alice);
    transcript_clear(&f->sink.said);
    f->sink.slow_conn = alice;

    page.n = 1;
    fake_store_answer_read(&f->store, &page);
    then_said(f, "");
    f->sink.slow_room = 9;
    router_drained(f->router, alice);
    fake_store_answer_read(&f->store, &page);

    then_said(f, "1: from bob: 13 id=13-0\n");
}

/* A page for a connection that has closed meanwhile goes nowhere. */
static void test_reader_when_connection_closes_meanwhile_ends(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_reader(f, "alice", 12);

    router_closed(f->router, alice);
    when_page(f, 11, 12, 12);

    then_said(f, "");
    then_asked(f, "unbind 1\n");
}

/* The same if requests of it are in flight, so that its session is still there. */
static void test_reader_when_connection_closes_with_requests_in_flight_ends(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_reader(f, "alice", 12);
    when_receives(f, alice, msg_to("bob", "1"));

    router_closed(f->router, alice);
    when_page(f, 11, 12, 12);

    then_said(f, "");
    then_asked(f, "send bob\n");
}

/* [SIGN-6] A page that was asked for as another uid goes nowhere. */
static void test_reader_when_signed_as_another_ignores_the_page_of_before(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);
    conn_id bob = given_device(f, "bob", 10);
    when_receives(f, alice, sign_as("carol"));
    when_sends(f, bob, "alice", 12, 11); /* for which it reads */
    when_page(f, 1, 0, 20);              /* of carol, for the sign */
    fake_store_answer_bind(&f->store, alice);
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);

    when_page(f, 11, 12, 12); /* of alice */
    then_said(f, "");
    then_asked(f, "");
    when_page(f, 20, 20, 20); /* of carol */

    then_said(f, "1: from bob: 20 id=20-0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HISTORY_TEST(test_reader_reads_page_by_page),
        HISTORY_TEST(test_reader_when_page_is_empty_goes_on_behind_the_newest),
        HISTORY_TEST(test_reader_when_it_rang_meanwhile_reads_again),
        HISTORY_TEST(test_reader_when_page_has_what_rang_gives_it_once),
        HISTORY_TEST(test_live_message_when_the_one_before_fits_is_pushed),
        HISTORY_TEST(test_live_message_when_one_is_missing_before_is_read),
        HISTORY_TEST(test_live_message_when_the_one_before_is_not_known_is_read),
        HISTORY_TEST(test_live_message_when_it_was_read_already_is_passed_over),
        HISTORY_TEST(test_live_message_reaches_devices_of_its_uid_only),
        HISTORY_TEST(test_newest_that_is_known_is_read_by_who_has_it_not),
        HISTORY_TEST(test_reader_when_the_inbox_was_lost_follows_it),
        HISTORY_TEST(test_reader_when_peer_does_not_read_stops_until_it_has),
        HISTORY_TEST(test_live_message_when_peer_does_not_read_waits_in_the_inbox),
        HISTORY_TEST(test_drained_when_nothing_waits_does_nothing),
        HISTORY_TEST(test_drained_when_connection_is_closed_does_nothing),
        HISTORY_TEST(test_reader_when_read_fails_reads_at_the_next_ring),
        HISTORY_TEST(test_reader_when_messages_were_dropped_meanwhile_is_closed),
        HISTORY_TEST(test_reader_when_its_sign_told_of_the_gap_goes_on),
        HISTORY_TEST(test_reader_when_its_sign_told_of_the_gap_and_all_is_dropped_goes_on),
        HISTORY_TEST(test_reader_when_its_sign_told_of_the_gap_waits_for_its_peer),
        HISTORY_TEST(test_reader_when_connection_closes_meanwhile_ends),
        HISTORY_TEST(test_reader_when_connection_closes_with_requests_in_flight_ends),
        HISTORY_TEST(test_reader_when_signed_as_another_ignores_the_page_of_before),
    };
    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
