/* One connection's memory and what it remembers; what happens to it is tested where it happens. */
#include "transport_fixture.h"

#include <stdlib.h>

#include "transport/connection.h"

static void test_new_connection_is_in_its_handshake_and_was_heard_now(void **state)
{
    struct fixture *f = *state;

    struct connection *connection = connection_create(NULL, f->loop, 7, 3);

    assert_int_equal(connection->id, 7);
    assert_int_equal(connection->socket, 3);
    assert_int_equal(connection->state, CONNECTION_HANDSHAKE);
    assert_int_equal(connection->guard.state, GUARD_FRAME);
    assert_int_equal(connection->heard_ms, loop_now_ms(f->loop));
    connection_destroy(connection);
}

/* [WS-10] */
static void test_heard_takes_back_that_a_ping_is_out(void **state)
{
    struct fixture *f = *state;
    struct connection *connection = connection_create(NULL, f->loop, 1, 3);
    connection->asked_ms = 1;
    run_for(f, 10);

    connection_heard(connection);

    assert_int_equal(connection->asked_ms, 0);
    assert_int_equal(connection->heard_ms, loop_now_ms(f->loop));
    connection_destroy(connection);
}

static void count(void *ctx, struct deadline *deadline)
{
    (void)deadline;
    ++*(unsigned *)ctx;
}

/* AddressSanitizer sees what is left behind, and the wheel if it still knows the deadline. */
static void test_destroy_takes_everything_along(void **state)
{
    struct fixture *f = *state;
    struct deadline_wheel wheel;
    deadline_wheel_init(&wheel, 0);
    struct connection *connection = connection_create(NULL, f->loop, 1, 3);
    deadline_set(&wheel, &connection->deadline, 1);
    outbox_append(&connection->outbox, FRAME_TEXT, STR("waits"));

    connection_destroy(connection);

    unsigned n_expired = 0;
    deadline_wheel_turn(&wheel, 1000, count, &n_expired);
    assert_int_equal(n_expired, 0);
}

static void test_destroy_of_none_does_nothing(void **state)
{
    (void)state;
    connection_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSPORT_TEST(test_new_connection_is_in_its_handshake_and_was_heard_now),
        TRANSPORT_TEST(test_heard_takes_back_that_a_ping_is_out),
        TRANSPORT_TEST(test_destroy_takes_everything_along),
        cmocka_unit_test(test_destroy_of_none_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
