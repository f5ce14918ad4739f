/* histogram.h - counts of values in buckets that are linear within each power of two, as
 * HdrHistogram has them: any value of 64 bits, a fixed size, and no quantile wrong by more than
 * 1/128. */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_STEPS = 128,                                               /* in each power of two */
    HISTOGRAM_BUCKETS = (63 - 7) * HISTOGRAM_STEPS + 2 * HISTOGRAM_STEPS /* up to 2^64 - 1 */
};

/* {0} is empty. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t max;
    double sum;
};

void histogram_record(struct histogram *histogram, uint64_t value);

/* The value that 'share' of the values (0.5 is the median) do not exceed, rounded up to the end of
 * its bucket, but never above the largest value. 0 if there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

/* 0 if there are no values. */
double histogram_mean(const struct histogram *histogram);

#endif
