/* A deadline expires once, at its time or up to a tick later, never earlier, however far it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "transport/deadline_wheel.h"

struct expiry {
    size_t n;
    struct deadline *last;
};

static void count(void *ctx, struct deadline *deadline)
{
    struct expiry *expiry = ctx;
    expiry->n++;
    expiry->last = deadline;
}

static void test_deadline_expires_once_and_on_time(void **state)
{
    (void)state;
    static const uint64_t delays[] = {0, 1, 99, 100, 101, 5000, 51200, 51300, 200000};
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        struct deadline_wheel wheel;
        struct deadline deadline = {0};
        struct expiry expiry = {0};
        const uint64_t start = 123456;
        deadline_wheel_init(&wheel, start);
        deadline_set(&wheel, &deadline, start + delays[i]);

        uint64_t now = start;
        while (expiry.n == 0) {
            now += 50;
            deadline_wheel_turn(&wheel, now, count, &expiry);
        }

        assert_true(now >= start + delays[i]);
        assert_true(now <= start + delays[i] + 2 * WHEEL_TICK_MS);
        deadline_wheel_turn(&wheel, now + 200000, count, &expiry);
        assert_int_equal(expiry.n, 1);
    }
}

static void test_cleared_deadline_does_not_expire(void **state)
{
    (void)state;
    struct deadline_wheel wheel;
    struct deadline first = {0};
    struct deadline second = {0};
    struct deadline third = {0};
    struct expiry expiry = {0};
    deadline_wheel_init(&wheel, 0);
    deadline_set(&wheel, &first, 500);
    deadline_set(&wheel, &second, 500);
    deadline_set(&wheel, &third, 500);

    deadline_clear(&second);
    deadline_clear(&second);
    deadline_wheel_turn(&wheel, 1000, count, &expiry);

    assert_int_equal(expiry.n, 2);
    assert_ptr_not_equal(expiry.last, &second);
}

static void test_set_again_moves_it(void **state)
{
    (void)state;
    struct deadline_wheel wheel;
    struct deadline deadline = {0};
    struct expiry expiry = {0};
    deadline_wheel_init(&wheel, 0);
    deadline_set(&wheel, &deadline, 500);

    deadline_set(&wheel, &deadline, 3000);
    deadline_wheel_turn(&wheel, 1000, count, &expiry);
    assert_int_equal(expiry.n, 0);
    deadline_wheel_turn(&wheel, 3100, count, &expiry);

    assert_int_equal(expiry.n, 1);
}

static void test_long_pause_misses_nothing(void **state)
{
    (void)state;
    struct deadline_wheel wheel;
    struct deadline deadlines[100] = {0};
    struct expiry expiry = {0};
    deadline_wheel_init(&wheel, 0);
    for (size_t i = 0; i < 100; i++) {
        deadline_set(&wheel, &deadlines[i], i * 997);
    }

    deadline_wheel_turn(&wheel, 100000000, count, &expiry);

    assert_int_equal(expiry.n, 100);
}

struct other {
    struct deadline_wheel *wheel;
    struct deadline *to_clear;
    size_t n;
};

static void clear_other_and_set_again(void *ctx, struct deadline *deadline)
{
    struct other *other = ctx;
    other->n++;
    deadline_clear(other->to_clear);
    deadline_set(other->wheel, deadline, 100000);
}

/* Inside its callback a deadline may clear one that is due as well, and set itself again. */
static void test_expired_may_change_the_wheel(void **state)
{
    (void)state;
    struct deadline_wheel wheel;
    struct deadline pair[2] = {0};
    deadline_wheel_init(&wheel, 0);
    deadline_set(&wheel, &pair[0], 500);
    deadline_set(&wheel, &pair[1], 500);
    struct other other = {&wheel, &pair[0], 0};

    deadline_wheel_turn(&wheel, 1000, clear_other_and_set_again, &other);

    assert_in_range(other.n, 1, 2);
    struct expiry expiry = {0};
    deadline_wheel_turn(&wheel, 100100, count, &expiry);
    assert_int_equal(expiry.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadline_expires_once_and_on_time),
        cmocka_unit_test(test_cleared_deadline_does_not_expire),
        cmocka_unit_test(test_set_again_moves_it),
        cmocka_unit_test(test_long_pause_misses_nothing),
        cmocka_unit_test(test_expired_may_change_the_wheel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
