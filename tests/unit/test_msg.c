/* msg: every device of a uid gets a body, and nobody else gets anything. SPEC 4.3. */
#include "router_fixture.h"

#include <stdio.h>

/* [MSG-1] [MSG-2] */
static void test_msg_is_delivered_and_answered(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");

    when_receives(f, alice, msg_to("bob", "{\"a\":[]}"));
    then_asked(f, "send bob\n");
    then_said(f, "");
    fake_store_answer(&f->store);

    then_said(f, "2: from alice: {\"a\":[]}\n"
                 "1: sended\n");
}

/* [MSG-2] [MSG-3] Each device of 'to' once, and neither the sender's other devices nor other
 * users. */
static void test_msg_reaches_every_device_of_to_and_nobody_else(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");
    given_user(f, "alice");
    given_user(f, "bob");
    given_user(f, "carol");
    given_connection(f);
    given_user(f, "bob");

    when_receives(f, alice, msg_to("bob", "1"));
    fake_store_answer(&f->store);

    then_said(f, "2 4 7: from alice: 1\n"
                 "1: sended\n");
}

/* [MSG-5] Who is online is not told. */
static void test_msg_to_nobody_is_answered_like_any_other(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives(f, alice, msg_to("nobody", "1"));
    fake_store_answer(&f->store);

    then_said(f, "1: sended\n");
}

/* [MSG-8] [ORDER-3] */
static void test_msg_to_oneself_arrives_before_its_reply(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "alice");

    when_receives(f, alice, msg_to("alice", "1"));
    fake_store_answer(&f->store);

    then_said(f, "1 2: from alice: 1\n"
                 "1: sended\n");
}

/* [CID-1] [CID-2] */
static void test_msg_reply_carries_its_cid(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives(f, alice, with_cid(msg_to("alice", "1"), "\"\\u0041\""));
    when_receives(f, alice, msg_to("bob", "2"));
    fake_store_answer_all(&f->store);

    then_said(f, "1: from alice: 1\n"
                 "1: sended cid=\"\\u0041\"\n"
                 "1: sended\n");
}

/* [REPLY-6] What is said first when several things are wrong; nothing of it reaches the store. */
static void test_msg_when_wrong_is_refused_for_the_first_reason(void **state)
{
    struct fixture *f = *state;
    const struct {
        int line;
        bool is_signed;
        struct request request;
        const char *want;
    } rows[] = {
        {__LINE__, false, msg_to("bob", "1"), "not_signed"},
        {__LINE__, false, without_uid(msg_to("", "")), "not_signed"},
        {__LINE__, false, with_invalid_cid(msg_to("bob", "1")), "invalid_cid"},
        {__LINE__, false, with_invalid_cid(without_uid(msg_to("", ""))), "invalid_cid"},
        {__LINE__, false, with_cid(msg_to("bob", "1"), "\"c\""), "not_signed cid=\"c\""},
        {__LINE__, true, with_invalid_cid(msg_to("bob", "1")), "invalid_cid"},
        {__LINE__, true, with_invalid_cid(without_uid(msg_to("", ""))), "invalid_cid"},
        {__LINE__, true, without_uid(msg_to("", "1")), "invalid_to"},
        {__LINE__, true, without_uid(msg_to("", "")), "invalid_to"},
        {__LINE__, true, msg_to("bob", ""), "missing_body"},
        {__LINE__, true, with_cid(msg_to("bob", ""), "\"c\""), "missing_body cid=\"c\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        conn_id conn = rows[i].is_signed ? given_user(f, "alice") : given_connection(f);
        char want[100];
        snprintf(want, sizeof want, "%zu: %s\n", i + 1, rows[i].want);

        when_receives(f, conn, rows[i].request);

        transcript_expect(&f->sink.said, want, __FILE__, rows[i].line);
        transcript_expect(&f->store.asked, "", __FILE__, rows[i].line);
    }
}

/* [REPLY-7] */
static void test_msg_after_a_refusal_is_served(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");

    when_receives(f, alice, msg_to("bob", ""));
    when_receives(f, alice, msg_to("alice", "1"));
    fake_store_answer_all(&f->store);

    then_said(f, "1: missing_body\n"
                 "1: from alice: 1\n"
                 "1: sended\n");
}

/* [REPLY-8] */
static void test_msg_when_store_is_unavailable_reaches_nobody(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");

    when_receives(f, alice, with_cid(msg_to("bob", "1"), "\"c\""));
    fake_store_answer_unavailable(&f->store);

    then_said(f, "1: unavailable cid=\"c\"\n");
    then_asked(f, "send bob\n");
}

/* [REPLY-8] [ORDER-1] Whichever of four answers fails, its request alone was not done. */
static void test_msgs_when_one_answer_fails_the_others_are_done(void **state)
{
    static const char *const done[] = {"2: from alice: 1\n1: sended\n",
                                       "2: from alice: 2\n1: sended\n",
                                       "2: from alice: 3\n1: sended\n"};
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");
    for (unsigned n = 1; n <= 3; n++) {
        char want[200];
        snprintf(want, sizeof want, "%s%s%s", n == 1 ? "1: unavailable\n" : done[0],
                 n == 2 ? "1: unavailable\n" : done[1], n == 3 ? "1: unavailable\n" : done[2]);
        fake_store_fail_on(&f->store, n);

        when_receives(f, alice, msg_to("bob", "1"));
        when_receives(f, alice, msg_to("bob", "2"));
        when_receives(f, alice, msg_to("bob", "3"));
        fake_store_answer_all(&f->store);

        then_said(f, want);
    }
}

/* [ID-1] [MSG-3] A store that names connections that are no devices of 'to' moves nobody's
 * message. */
static void test_msg_when_store_names_strangers_reaches_devices_only(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id gone = given_user(f, "bob");
    conn_id bob = given_user(f, "bob");
    conn_id carol = given_user(f, "carol");
    conn_id unsigned_one = given_connection(f);
    router_closed(f->router, gone);
    const conn_id named[] = {gone, carol, bob, unsigned_one, 4711, alice};

    when_receives(f, alice, msg_to("bob", "1"));
    fake_store_answer_send(&f->store, named, sizeof named / sizeof named[0]);

    then_said(f, "3: from alice: 1\n"
                 "1: sended\n");
}

/* [ID-1] When nobody of those named is a device, nobody gets anything. */
static void test_msg_when_store_names_only_strangers_is_not_delivered(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id unsigned_one = given_connection(f);

    when_receives(f, alice, msg_to("bob", "1"));
    fake_store_answer_send(&f->store, &unsigned_one, 1);

    then_said(f, "1: sended\n");
}

/* Between the question and the answer one device closes and another one moves. */
static void test_msg_when_devices_leave_meanwhile_reaches_those_that_stay(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    const conn_id named[] = {given_user(f, "bob"), given_user(f, "bob"), given_user(f, "bob")};

    when_receives(f, alice, msg_to("bob", "1"));
    router_closed(f->router, named[0]);
    when_receives(f, named[1], sign_as("carol"));
    fake_store_answer_bind(&f->store, named[1]);
    fake_store_answer_send(&f->store, named, 3);

    then_said(f, "3: signed token=" ZEROS "1\n"
                 "4: from alice: 1\n"
                 "1: sended\n");
}

/* A device whose connection is closed gets nothing while its last requests wait for the store. */
static void test_msg_to_a_closed_connection_with_requests_in_flight(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id bob = given_user(f, "bob");

    when_receives(f, alice, msg_to("bob", "1"));
    when_receives(f, bob, msg_to("alice", "2"));
    router_closed(f->router, bob);
    fake_store_answer_send(&f->store, &bob, 1);

    then_said(f, "1: sended\n");
    fake_store_answer_all(&f->store);
    then_said(f, "1: from bob: 2\n");
}

/* [ORDER-2] */
static void test_msgs_of_one_connection_to_one_uid_arrive_in_order(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");
    char want[2000] = "";
    for (int i = 0; i < 20; i++) {
        char body[12];
        snprintf(body, sizeof body, "%d", i);
        when_receives(f, alice, msg_to("bob", body));
        snprintf(want + strlen(want), sizeof want - strlen(want), "2: from alice: %d\n1: sended\n",
                 i);
    }

    fake_store_answer_all(&f->store);

    then_said(f, want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(test_msg_is_delivered_and_answered),
        ROUTER_TEST(test_msg_reaches_every_device_of_to_and_nobody_else),
        ROUTER_TEST(test_msg_to_nobody_is_answered_like_any_other),
        ROUTER_TEST(test_msg_to_oneself_arrives_before_its_reply),
        ROUTER_TEST(test_msg_reply_carries_its_cid),
        ROUTER_TEST(test_msg_when_wrong_is_refused_for_the_first_reason),
        ROUTER_TEST(test_msg_after_a_refusal_is_served),
        ROUTER_TEST(test_msg_when_store_is_unavailable_reaches_nobody),
        ROUTER_TEST(test_msgs_when_one_answer_fails_the_others_are_done),
        ROUTER_TEST(test_msg_when_store_names_strangers_reaches_devices_only),
        ROUTER_TEST(test_msg_when_store_names_only_strangers_is_not_delivered),
        ROUTER_TEST(test_msg_when_devices_leave_meanwhile_reaches_those_that_stay),
        ROUTER_TEST(test_msg_to_a_closed_connection_with_requests_in_flight),
        ROUTER_TEST(test_msgs_of_one_connection_to_one_uid_arrive_in_order),
    };
    return cmocka_run_group_tests_name("msg", tests, NULL, NULL);
}
