/* A bucket of tokens: a burst at once, then the rate, and what was not used is not lost. */
#include "transport/throttle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    RATE = 10, /* one in 100 ms */
    BURST = 5
};

static unsigned taken_until_closed(struct throttle *throttle, uint64_t now_ms)
{
    unsigned n = 1;
    while (!throttle_take(throttle, RATE, BURST, now_ms)) {
        n++;
    }
    return n;
}

/* The first requests come as fast as they like. */
static void test_full_bucket_lets_a_burst_through(void **state)
{
    (void)state;
    struct throttle throttle = {0};

    assert_int_equal(taken_until_closed(&throttle, 5000), BURST);

    assert_false(throttle_is_open(&throttle, RATE, BURST, 5000));
    assert_false(throttle_is_open(&throttle, RATE, BURST, 5099));
    assert_true(throttle_is_open(&throttle, RATE, BURST, 5100));
}

/* After it, the rate counts, however often somebody looks. */
static void test_empty_bucket_fills_at_the_rate(void **state)
{
    (void)state;
    struct throttle throttle = {0};
    unsigned n = taken_until_closed(&throttle, 5000);

    for (uint64_t now_ms = 5000; now_ms <= 15000; now_ms += 7) {
        while (throttle_is_open(&throttle, RATE, BURST, now_ms)) {
            throttle_take(&throttle, RATE, BURST, now_ms);
            n++;
        }
    }

    assert_in_range(n, BURST + 99, BURST + 100);
}

/* Time that was not used fills the bucket, and never more than that. */
static void test_rest_fills_the_bucket_and_no_more(void **state)
{
    (void)state;
    struct throttle throttle = {0};
    taken_until_closed(&throttle, 5000);

    assert_int_equal(taken_until_closed(&throttle, 5300), 3);
    assert_int_equal(taken_until_closed(&throttle, 1000000), BURST);
}

/* Requests that were read already count, also when the bucket is empty. */
static void test_debt_is_paid_first(void **state)
{
    (void)state;
    struct throttle throttle = {0};
    for (int i = 0; i < BURST + 3; i++) {
        throttle_take(&throttle, RATE, BURST, 5000);
    }

    assert_false(throttle_is_open(&throttle, RATE, BURST, 5300));
    assert_true(throttle_is_open(&throttle, RATE, BURST, 5400));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_bucket_lets_a_burst_through),
        cmocka_unit_test(test_empty_bucket_fills_at_the_rate),
        cmocka_unit_test(test_rest_fills_the_bucket_and_no_more),
        cmocka_unit_test(test_debt_is_paid_first),
    };
    return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
