/* [WS-20] The time that a message has: while it is read, and with what came in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "transport/message_clock.h"

enum {
    NOW_MS = 1000000,
    TIME_MS = 5000
};

struct fixture {
    struct deadline_wheel wheel;
    struct message_clock clock;
    size_t n_unread;
    unsigned n_over;
};

static void expired(void *ctx, struct deadline *deadline)
{
    struct fixture *f = ctx;
    assert_ptr_equal(deadline, &f->clock.deadline);
    f->n_over += message_clock_is_over(&f->clock, &f->wheel, deadline->due_ms, f->n_unread);
}

static void given_message(struct fixture *f)
{
    *f = (struct fixture){0};
    deadline_wheel_init(&f->wheel, NOW_MS);
    message_clock_begin(&f->clock, NOW_MS, TIME_MS);
    message_clock_run(&f->clock, &f->wheel, NOW_MS, true);
}

/* Is its time over at NOW_MS + 'after_ms'? Once. */
static unsigned is_over(struct fixture *f, uint64_t after_ms)
{
    f->n_over = 0;
    deadline_wheel_turn(&f->wheel, NOW_MS + after_ms, expired, f);
    return f->n_over;
}

static void test_time_is_over_once(void **state)
{
    (void)state;
    struct fixture f;
    given_message(&f);

    assert_int_equal(is_over(&f, TIME_MS - 1), 0);
    assert_int_equal(is_over(&f, TIME_MS + WHEEL_TICK_MS), 1);
    assert_int_equal(is_over(&f, 3 * TIME_MS), 0);
}

static void test_message_that_ended_has_no_time(void **state)
{
    (void)state;
    struct fixture f;
    given_message(&f);

    message_clock_end(&f.clock);
    message_clock_run(&f.clock, &f.wheel, NOW_MS, true);

    assert_int_equal(is_over(&f, 3 * TIME_MS), 0);
}

/* Runs and stands still as often as it is told so. */
static void test_time_stands_still_while_nothing_is_read(void **state)
{
    (void)state;
    struct fixture f;
    given_message(&f);

    message_clock_run(&f.clock, &f.wheel, NOW_MS + 2000, false);
    message_clock_run(&f.clock, &f.wheel, NOW_MS + 3000, false);
    assert_int_equal(is_over(&f, 20000), 0);
    message_clock_run(&f.clock, &f.wheel, NOW_MS + 20000, true);
    message_clock_run(&f.clock, &f.wheel, NOW_MS + 21000, true);

    assert_int_equal(is_over(&f, 22999), 0);
    assert_int_equal(is_over(&f, 23000 + WHEEL_TICK_MS), 1);
}

static void test_bytes_that_came_in_time_are_read_first(void **state)
{
    (void)state;
    struct fixture f;
    given_message(&f);

    f.n_unread = 100;
    assert_int_equal(is_over(&f, TIME_MS + WHEEL_TICK_MS), 0);
    message_clock_read(&f.clock, 60);
    f.n_unread = 4000; /* more came, too late */
    assert_int_equal(is_over(&f, TIME_MS + 3 * WHEEL_TICK_MS), 0);
    message_clock_read(&f.clock, 60);

    assert_int_equal(is_over(&f, TIME_MS + 5 * WHEEL_TICK_MS), 1);
}

/* Of bytes that came there may be less to read: those marked as urgent. */
static void test_bytes_that_are_gone_are_not_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    given_message(&f);

    f.n_unread = 100;
    assert_int_equal(is_over(&f, TIME_MS + WHEEL_TICK_MS), 0);
    message_clock_read(&f.clock, 99);
    f.n_unread = 0;

    assert_int_equal(is_over(&f, TIME_MS + 3 * WHEEL_TICK_MS), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_is_over_once),
        cmocka_unit_test(test_message_that_ended_has_no_time),
        cmocka_unit_test(test_time_stands_still_while_nothing_is_read),
        cmocka_unit_test(test_bytes_that_came_in_time_are_read_first),
        cmocka_unit_test(test_bytes_that_are_gone_are_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
