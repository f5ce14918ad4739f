/* The load tool's histogram: no quantile is wrong by more than 1/128, whatever the values are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "load/histogram.h"

static struct histogram histogram;

static int begin_empty(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    return 0;
}

static void test_empty_has_zeros(void **state)
{
    (void)state;

    assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
    assert_true(histogram_mean(&histogram) < 1e-9);
}

static void test_small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t value = 1; value <= 200; value++) {
        histogram_record(&histogram, value);
    }

    assert_int_equal(histogram_quantile(&histogram, 0), 1);
    assert_int_equal(histogram_quantile(&histogram, 0.5), 100);
    assert_int_equal(histogram_quantile(&histogram, 0.99), 198);
    assert_int_equal(histogram_quantile(&histogram, 0.999), 200);
    assert_int_equal(histogram_quantile(&histogram, 1), 200);
    assert_int_equal((int)(histogram_mean(&histogram) * 10), 1005);
}

/* Each value, between a 0 and the largest there is: the median is the end of its bucket. */
static void test_each_power_of_two_and_its_neighbours_when_alone_then_within_the_bound(void **state)
{
    (void)state;
    for (unsigned bit = 1; bit < 64; bit++) {
        for (int beside = -1; beside <= 1; beside++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)beside;
            begin_empty(NULL);
            histogram_record(&histogram, 0);
            histogram_record(&histogram, value);
            histogram_record(&histogram, UINT64_MAX);

            uint64_t median = histogram_quantile(&histogram, 0.5);

            assert_true(median >= value);
            assert_true(median - value <= value / HISTOGRAM_STEPS);
            assert_true(histogram_quantile(&histogram, 1) == UINT64_MAX);
        }
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Beside what sorting says. */
static void test_many_values_when_sorted_then_quantiles_agree(void **state)
{
    (void)state;
    enum {
        N = 10000
    };
    static uint64_t values[N];
    uint64_t random = 88172645463325252u;
    for (size_t i = 0; i < N; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        values[i] = random >> (20 + random % 40);
        histogram_record(&histogram, values[i]);
    }
    qsort(values, N, sizeof(values[0]), compare);

    for (size_t rank = 1; rank <= N; rank += 7) {
        uint64_t quantile = histogram_quantile(&histogram, (double)rank / N - 1e-9);
        uint64_t exact = values[rank - 1];
        assert_true(quantile >= exact);
        assert_true(quantile - exact <= exact / HISTOGRAM_STEPS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty_has_zeros, begin_empty),
        cmocka_unit_test_setup(test_small_values_are_exact, begin_empty),
        cmocka_unit_test(
            test_each_power_of_two_and_its_neighbours_when_alone_then_within_the_bound),
        cmocka_unit_test_setup(test_many_values_when_sorted_then_quantiles_agree, begin_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
