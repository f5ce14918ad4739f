/* sign: the connection becomes a device of a uid. SPEC 4.2. */
#include "router_fixture.h"

/* [SIGN-1] [SIGN-3] Answered with a token, a new one for each sign. */
static void test_sign_is_answered_with_a_new_token_each_time(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);

    when_receives(f, alice, sign_as("alice"));
    then_asked(f, "bind 1 alice\n");
    then_said(f, "");
    fake_store_answer(&f->store);
    then_said(f, "1: signed token=" ZEROS "1\n");

    when_receives(f, alice, sign_as("alice"));
    fake_store_answer(&f->store);
    then_said(f, "1: signed token=" ZEROS "2\n");
}

/* [SIGN-8] */
static void test_sign_when_uid_is_invalid_is_refused(void **state)
{
    struct fixture *f = *state;
    conn_id conn = given_connection(f);

    when_receives(f, conn, without_uid(sign_as("")));

    then_said(f, "1: invalid_uid\n");
    then_asked(f, "");
    assert_int_equal(router_n_signed(f->router), 0);
}

/* [REPLY-6] */
static void test_sign_when_cid_and_uid_are_invalid_says_cid_first(void **state)
{
    struct fixture *f = *state;
    conn_id conn = given_connection(f);

    when_receives(f, conn, with_invalid_cid(without_uid(sign_as(""))));

    then_said(f, "1: invalid_cid\n");
}

/* [CID-1] [CID-3] */
static void test_sign_reply_carries_its_cid_unless_that_is_invalid(void **state)
{
    struct fixture *f = *state;
    conn_id conn = given_connection(f);

    when_receives(f, conn, with_cid(sign_as("alice"), "\"c1\""));
    fake_store_answer(&f->store);
    when_receives(f, conn, with_cid(without_uid(sign_as("")), "\"c2\""));
    when_receives(f, conn, with_invalid_cid(sign_as("bob")));

    then_said(f, "1: signed token=" ZEROS "1 cid=\"c1\"\n"
                 "1: invalid_uid cid=\"c2\"\n"
                 "1: invalid_cid\n");
}

/* [SIGN-7] A failed sign leaves the connection not signed … */
static void test_sign_when_store_is_unavailable_leaves_unsigned(void **state)
{
    struct fixture *f = *state;
    conn_id conn = given_connection(f);

    when_receives(f, conn, sign_as("alice"));
    fake_store_answer_unavailable(&f->store);
    when_receives(f, conn, msg_to("bob", "1"));

    then_said(f, "1: unavailable\n"
                 "1: not_signed\n");
    assert_int_equal(router_n_signed(f->router), 0);
}

/* [SIGN-7] … or signed as before. */
static void test_sign_when_move_fails_stays_signed_as_before(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id bob = given_user(f, "bob");

    when_receives(f, alice, sign_as("carol"));
    fake_store_answer_unavailable(&f->store);
    then_said(f, "1: unavailable\n");

    when_receives(f, alice, msg_to("bob", "1"));
    when_receives(f, bob, msg_to("alice", "2"));
    when_receives(f, bob, msg_to("carol", "3"));
    fake_store_answer_all(&f->store);
    then_said(f, "2: from alice: 1\n"
                 "1: sended\n"
                 "1: from bob: 2\n"
                 "2: sended\n"
                 "2: sended\n");
}

/* [SIGN-6] The device is one of the new uid only, whatever a store still says. */
static void test_sign_with_another_uid_moves_the_device(void **state)
{
    struct fixture *f = *state;
    conn_id mover = given_user(f, "alice");
    conn_id bob = given_user(f, "bob");

    when_receives(f, mover, sign_as("carol"));
    fake_store_answer(&f->store);
    then_said(f, "1: signed token=" ZEROS "1\n");

    when_receives(f, bob, msg_to("alice", "1"));
    fake_store_answer_send(&f->store, &mover, 1);
    then_said(f, "2: sended\n");
    when_receives(f, bob, msg_to("carol", "2"));
    when_receives(f, mover, msg_to("bob", "3"));
    fake_store_answer_all(&f->store);
    then_said(f, "1: from bob: 2\n"
                 "2: sended\n"
                 "2: from carol: 3\n"
                 "1: sended\n");
    assert_int_equal(router_n_signed(f->router), 2);
}

/* [SIGN-5] */
static void test_sign_again_with_same_uid_still_gets_one_copy(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id bob = given_user(f, "bob");

    when_receives(f, alice, sign_as("alice"));
    when_receives(f, bob, msg_to("alice", "1"));
    fake_store_answer_all(&f->store);

    then_said(f, "1: signed token=" ZEROS "1\n"
                 "1: from bob: 1\n"
                 "2: sended\n");
    assert_int_equal(router_n_signed(f->router), 2);
}

/* [ID-2] Until the sign is answered the connection is who it was. */
static void test_sign_when_not_answered_yet_is_still_the_old_uid(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    conn_id bob = given_user(f, "bob");

    when_receives(f, alice, sign_as("carol"));
    when_receives(f, bob, msg_to("alice", "1"));
    fake_store_answer_send(&f->store, &alice, 1);
    when_receives(f, bob, msg_to("carol", "2"));
    fake_store_answer_send(&f->store, &alice, 1);

    then_said(f, "1: from bob: 1\n"
                 "2: sended\n"
                 "2: sended\n");
}

/* [ORDER-1] What follows a sign takes effect after it: it is not even asked for before. */
static void test_requests_behind_a_sign_wait_for_it(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);

    when_receives(f, alice, sign_as("alice"));
    when_receives(f, alice, msg_to("bob", "1"));
    when_receives(f, alice, msg_to("bob", "2"));
    when_receives(f, alice, without_uid(msg_to("", "3")));
    then_asked(f, "bind 1 alice\n");
    then_said(f, "");

    fake_store_answer(&f->store);
    then_asked(f, "send bob\nsend bob\n");
    then_said(f, "1: signed token=" ZEROS "1\n");

    fake_store_answer_all(&f->store);
    then_said(f, "1: sended\n1: sended\n1: invalid_to\n");
}

/* [ORDER-1] The sign decides what the requests behind it are worth. */
static void test_requests_behind_a_sign_that_fails_are_not_signed(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_connection(f);

    when_receives(f, alice, sign_as("alice"));
    when_receives(f, alice, msg_to("bob", "1"));
    when_receives(f, alice, without_uid(msg_to("", "2")));
    when_receives(f, alice, sign_as("alice"));
    when_receives(f, alice, msg_to("bob", "3"));
    fake_store_answer_unavailable(&f->store);

    then_said(f, "1: unavailable\n1: not_signed\n1: not_signed\n");
    fake_store_answer_all(&f->store);
    then_said(f, "1: signed token=" ZEROS "1\n1: sended\n");
}

/* [ORDER-1] [MSG-9] A sign waits for what was asked before it, which has the old uid as its
 * sender. */
static void test_sign_behind_requests_waits_for_them(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_user(f, "alice");
    given_user(f, "bob");

    when_receives(f, alice, msg_to("bob", "1"));
    when_receives(f, alice, msg_to("bob", "2"));
    when_receives(f, alice, sign_as("carol"));
    when_receives(f, alice, msg_to("bob", "3"));
    then_asked(f, "send bob\nsend bob\n");

    fake_store_answer(&f->store);
    then_asked(f, "");
    fake_store_answer(&f->store);
    then_asked(f, "bind 1 carol\n");
    fake_store_answer(&f->store);
    then_asked(f, "send bob\n");
    fake_store_answer(&f->store);
    then_said(f, "2: from alice: 1\n1: sended\n"
                 "2: from alice: 2\n1: sended\n"
                 "1: signed token=" ZEROS "1\n"
                 "2: from carol: 3\n1: sended\n");
}

/* Signs of one connection are asked for one at a time; of several connections, at once. */
static void test_signs_of_one_connection_do_not_overlap(void **state)
{
    struct fixture *f = *state;
    conn_id one = given_connection(f);
    conn_id two = given_connection(f);

    when_receives(f, one, sign_as("a"));
    when_receives(f, one, sign_as("b"));
    when_receives(f, two, sign_as("c"));
    then_asked(f, "bind 1 a\nbind 2 c\n");

    fake_store_answer_bind(&f->store, two);
    fake_store_answer_bind(&f->store, one);
    then_asked(f, "bind 1 b\n");
    fake_store_answer_all(&f->store);
    then_said(f, "2: signed token=" ZEROS "1\n"
                 "1: signed token=" ZEROS "2\n"
                 "1: signed token=" ZEROS "3\n");
}

/* [SIGN-9] [MSG-2] */
static void test_sign_of_many_connections_as_one_uid(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 8; i++) {
        given_user(f, "alice");
    }
    conn_id bob = given_user(f, "bob");

    when_receives(f, bob, msg_to("alice", "1"));
    fake_store_answer_all(&f->store);

    then_said(f, "1 2 3 4 5 6 7 8: from bob: 1\n9: sended\n");
    assert_int_equal(router_n_signed(f->router), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(test_sign_is_answered_with_a_new_token_each_time),
        ROUTER_TEST(test_sign_when_uid_is_invalid_is_refused),
        ROUTER_TEST(test_sign_when_cid_and_uid_are_invalid_says_cid_first),
        ROUTER_TEST(test_sign_reply_carries_its_cid_unless_that_is_invalid),
        ROUTER_TEST(test_sign_when_store_is_unavailable_leaves_unsigned),
        ROUTER_TEST(test_sign_when_move_fails_stays_signed_as_before),
        ROUTER_TEST(test_sign_with_another_uid_moves_the_device),
        ROUTER_TEST(test_sign_again_with_same_uid_still_gets_one_copy),
        ROUTER_TEST(test_sign_when_not_answered_yet_is_still_the_old_uid),
        ROUTER_TEST(test_requests_behind_a_sign_wait_for_it),
        ROUTER_TEST(test_requests_behind_a_sign_that_fails_are_not_signed),
        ROUTER_TEST(test_sign_behind_requests_waits_for_them),
        ROUTER_TEST(test_signs_of_one_connection_do_not_overlap),
        ROUTER_TEST(test_sign_of_many_connections_as_one_uid),
    };
    return cmocka_run_group_tests_name("sign", tests, NULL, NULL);
}
