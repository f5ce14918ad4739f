/* The store fails at once or later, at each of its calls: every request has its one answer, every
 * session its end. [REPLY-8] [ORDER-4] */
#include "router_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "dies.h"

enum {
    N_CALLS_MAX = 12 /* more than one connection asks for here */
};

static bool has_history(const struct fixture *f)
{
    return f->store.base.inbox != NULL;
}

static conn_id given_alice(struct fixture *f)
{
    return has_history(f) ? given_device(f, "alice", 10) : given_user(f, "alice");
}

/* Answer the oldest call, as a working store does. False: there is none. */
static bool when_store_works(struct fixture *f)
{
    if (f->store.first != NULL) {
        fake_store_answer(&f->store);
    } else if (f->store.first_read != NULL) {
        when_page(f, 1, 0, 10);
    } else {
        return false;
    }
    return true;
}

static void when_store_fails(struct fixture *f)
{
    f->store.fails_at_once = true;
    fake_store_turn(&f->store);
    f->store.fails_at_once = false;
}

static bool is_idle(const struct fixture *f)
{
    return f->store.first == NULL && f->store.first_read == NULL;
}

static size_t count(const struct transcript *transcript, const char *word)
{
    size_t n = 0;
    for (const char *at = transcript->text; at != NULL && (at = strstr(at, word)) != NULL; at++) {
        n++;
    }
    return n;
}

static const struct request *requests(size_t *n)
{
    static struct request all[4];
    all[0] = sign_as("bob");
    all[1] = msg_to("bob", "1");
    all[2] = msg_to("alice", "2");
    all[3] = broadcast_of("3");
    *n = sizeof all / sizeof all[0];
    return all;
}

/* [SIGN-7] And the connection stays who it was. */
static void test_request_when_store_fails_at_once_is_unavailable(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_alice(f);
    size_t n;
    const struct request *all = requests(&n);
    for (size_t i = 0; i < n; i++) {
        f->store.fails_at_once = true;
        when_receives(f, alice, all[i]);
        f->store.fails_at_once = false;
        then_said(f, "1: unavailable\n");

        when_receives(f, alice, broadcast_of("\"after\""));
        fake_store_answer(&f->store);
        then_said(f, "1: broadcast from alice: \"after\"\n"
                     "1: sended\n");
        transcript_clear(&f->store.asked);
    }
}

/* [ORDER-1] */
static void test_request_when_store_fails_later_is_unavailable_in_its_turn(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_alice(f);
    size_t n;
    const struct request *all = requests(&n);
    for (size_t i = 0; i < n; i++) {
        when_receives(f, alice, all[i]);
        when_receives(f, alice, broadcast_of(""));
        then_said(f, "");

        when_store_fails(f);

        then_said(f, "1: unavailable\n"
                     "1: missing_body\n");
        transcript_clear(&f->store.asked);
    }
}

/* A connection that asks for all there is without waiting. */
static conn_id given_busy(struct fixture *f)
{
    conn_id conn = given_alice(f);
    when_receives(f, conn, msg_to("bob", "1"));
    when_receives(f, conn, broadcast_of("2"));
    when_receives(f, conn, sign_as("bob"));
    when_receives(f, conn, msg_to("bob", "3"));
    when_receives(f, conn, sign_as("carol"));
    when_receives(f, conn, broadcast_of("4"));
    return conn;
}

/* Whichever call is the first that fails. */
static void test_requests_when_store_fails_have_one_answer_each(void **state)
{
    struct fixture *f = *state;
    for (int n_works = 0; n_works <= N_CALLS_MAX; n_works++) {
        conn_id conn = given_busy(f);
        for (int i = 0; i < n_works; i++) {
            (void)when_store_works(f);
        }
        when_store_fails(f);
        while (when_store_works(f)) {
        }

        size_t n_answers = count(&f->sink.said, ": unavailable") +
                           count(&f->sink.said, ": sended") + count(&f->sink.said, ": signed");
        assert_int_equal(n_answers, 6);
        router_closed(f->router, conn);
        transcript_clear(&f->sink.said);
        transcript_clear(&f->store.asked);
    }
}

/* [ORDER-4] The session ends once, whenever the connection closed. */
static void test_session_when_store_fails_behind_its_close_ends(void **state)
{
    struct fixture *f = *state;
    for (int n_works = 0; n_works <= N_CALLS_MAX; n_works++) {
        for (int n_before = 0; n_before <= n_works; n_before++) {
            conn_id conn = given_busy(f);
            for (int i = 0; i < n_works; i++) {
                if (i == n_before) {
                    router_closed(f->router, conn);
                }
                (void)when_store_works(f);
            }
            if (n_before == n_works) {
                router_closed(f->router, conn);
            }
            when_store_fails(f);

            assert_true(is_idle(f));
            assert_int_equal(count(&f->store.asked, "unbind"), 1);
            assert_int_equal(router_n_signed(f->router), 0);
            transcript_clear(&f->sink.said);
            transcript_clear(&f->store.asked);
        }
    }
}

/* The same when the store is destroyed, which answers all in one go and is asked for no more. */
static void test_session_when_store_is_destroyed_behind_its_close_ends(void **state)
{
    struct fixture *f = *state;
    for (int n_works = 0; n_works <= N_CALLS_MAX; n_works++) {
        conn_id conn = given_busy(f);
        for (int i = 0; i < n_works; i++) {
            (void)when_store_works(f);
        }
        router_closed(f->router, conn);
        fake_store_answer_as_destroyed(&f->store);

        assert_true(is_idle(f));
        assert_int_equal(count(&f->store.asked, "unbind"), 1);
        transcript_clear(&f->sink.said);
        transcript_clear(&f->store.asked);
    }
}

/* A page of the inbox that fails is nobody's request: the device goes on with what comes next. */
static void test_page_when_store_fails_at_once_leaves_the_device_live(void **state)
{
    struct fixture *f = *state;
    conn_id alice = given_device(f, "alice", 10);

    f->store.events->newest_known(f->store.events_ctx, STR("alice"), ID(11), &alice, 1);
    when_store_fails(f);
    when_sends(f, alice, "alice", 12, 10);

    then_said(f, "1: from alice: 12 id=12-0\n"
                 "1: sended id=12-0\n");
}

/* ---- against the rules: a store that answers inside the call ---- */

static void die_at(int (*setup)(void **state), struct request request)
{
    void *state;
    setup(&state);
    struct fixture *f = state;
    conn_id alice = given_alice(f);
    f->store.fails_inside = true;
    when_receives(f, alice, request);
}

static void bind_inside(void)
{
    die_at(broadcast_setup, sign_as("bob"));
}

static void send_inside(void)
{
    die_at(broadcast_setup, msg_to("bob", "1"));
}

static void broadcast_inside(void)
{
    die_at(broadcast_setup, broadcast_of("1"));
}

static void look_inside(void)
{
    die_at(history_setup, sign_as("bob"));
}

static void page_inside(void)
{
    void *state;
    history_setup(&state);
    struct fixture *f = state;
    conn_id alice = given_alice(f);
    f->store.fails_inside = true;
    f->store.events->newest_known(f->store.events_ctx, STR("alice"), ID(11), &alice, 1);
}

static void test_answer_inside_the_call_is_a_bug(void **state)
{
    (void)state;
    assert_true(dies_saying(bind_inside, "is_asked"));
    assert_true(dies_saying(send_inside, "is_asked"));
    assert_true(dies_saying(broadcast_inside, "is_asked"));
    assert_true(dies_saying(look_inside, "is_asked"));
    assert_true(dies_saying(page_inside, "is_asked"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BROADCAST_TEST(test_request_when_store_fails_at_once_is_unavailable),
        BROADCAST_TEST(test_request_when_store_fails_later_is_unavailable_in_its_turn),
        BROADCAST_TEST(test_requests_when_store_fails_have_one_answer_each),
        BROADCAST_TEST(test_session_when_store_fails_behind_its_close_ends),
        BROADCAST_TEST(test_session_when_store_is_destroyed_behind_its_close_ends),
        HISTORY_TEST(test_request_when_store_fails_at_once_is_unavailable),
        HISTORY_TEST(test_request_when_store_fails_later_is_unavailable_in_its_turn),
        HISTORY_TEST(test_requests_when_store_fails_have_one_answer_each),
        HISTORY_TEST(test_session_when_store_fails_behind_its_close_ends),
        HISTORY_TEST(test_session_when_store_is_destroyed_behind_its_close_ends),
        HISTORY_TEST(test_page_when_store_fails_at_once_leaves_the_device_live),
        cmocka_unit_test(test_answer_inside_the_call_is_a_bug),
    };
    return cmocka_run_group_tests_name("router: the store fails", tests, NULL, NULL);
}
