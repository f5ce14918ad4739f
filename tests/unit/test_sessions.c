/* Who is here, and the queue of what each has asked: the books that the router keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "router/sessions.h"

static int setup(void **state)
{
    *state = sessions_create();
    return 0;
}

static int teardown(void **state)
{
    sessions_destroy(*state);
    return 0;
}

static void given_slots(struct session *session, size_t n, const struct request *request)
{
    for (size_t i = 0; i < n; i++) {
        session_push(session, slot_create(request));
    }
}

/* As the router examines it. */
static void when_first_leaves(struct session *session)
{
    session->queued = session->first->next;
    session_pop(session);
}

/* [ID-1] No new connection is born signed. */
static void test_session_when_new_is_nobody(void **state)
{
    struct session *session = sessions_add(*state, NULL, 7);

    assert_ptr_equal(sessions_get(*state, 7), session);
    assert_null(sessions_get(*state, 8));
    assert_false(session_is_signed(session));
    assert_int_equal(session_uid(session).len, 0);
    assert_false(session_is_device(session, STR("")));
}

/* [UID-4] Uids are compared byte for byte, in their whole length. */
static void test_session_is_device_of_its_uid_only(void **state)
{
    struct session *session = sessions_add(*state, NULL, 7);
    char uid[] = "alice";

    sessions_sign(*state, session, str_of(uid));
    memset(uid, '#', sizeof uid);

    assert_true(session_is_device(session, STR("alice")));
    assert_false(session_is_device(session, STR("Alice")));
    assert_false(session_is_device(session, STR("alic")));
    assert_false(session_is_device(session, STR("alice2")));
    sessions_sign(*state, session, STR("bob"));
    assert_true(session_is_device(session, STR("bob")));
    assert_false(session_is_device(session, STR("alice")));
}

static void test_session_when_uid_is_longest_keeps_all_of_it(void **state)
{
    struct session *session = sessions_add(*state, NULL, 7);
    char uid[UID_SIZE_MAX];
    memset(uid, 'u', sizeof uid);

    sessions_sign(*state, session, (struct str){uid, sizeof uid});

    assert_true(session_is_device(session, (struct str){uid, sizeof uid}));
    assert_false(session_is_device(session, (struct str){uid, sizeof uid - 1}));
}

static void test_session_when_closed_is_no_device(void **state)
{
    struct session *session = sessions_add(*state, NULL, 7);
    sessions_sign(*state, session, STR("alice"));

    sessions_close(*state, session);

    assert_false(session_is_device(session, STR("alice")));
    assert_true(session_is_signed(session));
}

static void test_n_signed_counts_open_and_signed_sessions_once(void **state)
{
    struct session *one = sessions_add(*state, NULL, 1);
    struct session *two = sessions_add(*state, NULL, 2);
    struct session *three = sessions_add(*state, NULL, 3);
    assert_int_equal(sessions_n_signed(*state), 0);

    sessions_sign(*state, one, STR("alice"));
    sessions_sign(*state, one, STR("alice"));
    sessions_sign(*state, one, STR("bob"));
    sessions_sign(*state, two, STR("alice"));
    assert_int_equal(sessions_n_signed(*state), 2);

    sessions_close(*state, one);
    sessions_close(*state, three);
    assert_int_equal(sessions_n_signed(*state), 1);

    sessions_sign(*state, three, STR("late"));
    assert_int_equal(sessions_n_signed(*state), 1);
}

static void test_session_when_removed_is_not_found(void **state)
{
    struct session *session = sessions_add(*state, NULL, 7);
    sessions_close(*state, session);

    sessions_remove(*state, session);

    assert_null(sessions_get(*state, 7));
}

/* A slot outlives the text that its request was parsed from. */
static void test_slot_copies_what_its_request_borrows(void **state)
{
    (void)state;
    char uid[] = "bob";
    char cid[] = "\"c1\"";
    char body[] = "{\"a\":1}";
    struct request request = {.type = REQUEST_MSG,
                              .cid_valid = true,
                              .cid = str_of(cid),
                              .uid_valid = true,
                              .uid = str_of(uid),
                              .body = str_of(body)};

    struct slot *slot = slot_create(&request);
    memset(uid, '#', sizeof uid);
    memset(cid, '#', sizeof cid);
    memset(body, '#', sizeof body);

    assert_int_equal(slot->state, SLOT_QUEUED);
    assert_int_equal(slot->request.type, REQUEST_MSG);
    assert_true(slot->request.cid_valid && slot->request.uid_valid);
    assert_true(str_eq(slot->request.uid, STR("bob")));
    assert_true(str_eq(slot->request.cid, STR("\"c1\"")));
    assert_true(str_eq(slot->request.body, STR("{\"a\":1}")));
    free(slot);
}

/* An invalid uid is no uid: whatever stands in its place is not looked at. */
static void test_slot_when_uid_is_invalid_does_not_touch_it(void **state)
{
    (void)state;
    struct request request = {.uid_valid = false, .uid = {(const char *)1, 1000000}};

    struct slot *slot = slot_create(&request);

    assert_false(slot->request.cid_valid);
    assert_false(slot->request.uid_valid);
    assert_int_equal(slot->request.uid.len, 0);
    free(slot);
}

/* [ORDER-1] First in, first out. */
static void test_queue_keeps_the_order(void **state)
{
    struct session *session = sessions_add(*state, NULL, 7);
    struct slot *slots[3];
    for (int i = 0; i < 3; i++) {
        slots[i] = slot_create(NULL);
        session_push(session, slots[i]);
        assert_ptr_equal(slots[i]->session, session);
    }

    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(session->first, slots[i]);
        when_first_leaves(session);
    }

    assert_null(session->first);
    assert_null(session->queued);
    assert_int_equal(session->n_slots, 0);
    assert_int_equal(session->slots_size, 0);
    struct slot *again = slot_create(NULL);
    session_push(session, again);
    assert_ptr_equal(session->first, again);
    assert_ptr_equal(session->queued, again);
}

static void test_queue_is_full_at_its_limit(void **state)
{
    struct session *session = sessions_add(*state, NULL, 7);

    given_slots(session, REQUESTS_IN_FLIGHT_MAX - 1, NULL);
    assert_false(session_is_full(session));
    given_slots(session, 1, NULL);
    assert_true(session_is_full(session));

    while (session->n_slots > REQUESTS_IN_FLIGHT_MAX / 2 + 1) {
        when_first_leaves(session);
    }
    assert_false(session_is_half_empty(session));
    when_first_leaves(session);
    assert_true(session_is_half_empty(session));
}

/* Few large requests are as much as many small ones. */
static void test_queue_is_full_by_size(void **state)
{
    struct session *session = sessions_add(*state, NULL, 7);
    static char body[REQUESTS_IN_FLIGHT_SIZE_MAX / 4];
    struct request request = {.cid_valid = true, .body = {body, sizeof body}};

    given_slots(session, 3, &request);
    assert_false(session_is_full(session));
    given_slots(session, 1, &request);
    assert_true(session_is_full(session));

    when_first_leaves(session);
    when_first_leaves(session);
    assert_false(session_is_half_empty(session)); /* two bodies and what keeps them */
    when_first_leaves(session);
    assert_true(session_is_half_empty(session));
}

/* For AddressSanitizer: nothing leaks. */
static void test_destroy_frees_sessions_and_slots(void **state)
{
    (void)state;
    struct sessions *sessions = sessions_create();
    for (conn_id conn = 1; conn <= 100; conn++) {
        given_slots(sessions_add(sessions, NULL, conn), conn % 3, NULL);
    }

    sessions_destroy(sessions);
    sessions_destroy(NULL);
}

#define SESSIONS_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSIONS_TEST(test_session_when_new_is_nobody),
        SESSIONS_TEST(test_session_is_device_of_its_uid_only),
        SESSIONS_TEST(test_session_when_uid_is_longest_keeps_all_of_it),
        SESSIONS_TEST(test_session_when_closed_is_no_device),
        SESSIONS_TEST(test_n_signed_counts_open_and_signed_sessions_once),
        SESSIONS_TEST(test_session_when_removed_is_not_found),
        SESSIONS_TEST(test_slot_copies_what_its_request_borrows),
        SESSIONS_TEST(test_slot_when_uid_is_invalid_does_not_touch_it),
        SESSIONS_TEST(test_queue_keeps_the_order),
        SESSIONS_TEST(test_queue_is_full_at_its_limit),
        SESSIONS_TEST(test_queue_is_full_by_size),
        SESSIONS_TEST(test_destroy_frees_sessions_and_slots),
    };
    return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
