#include "load/histogram.h"

#include <math.h>
#include <stddef.h>

/* Below 256 each value has its own bucket; above, the 8 leading bits name it. */
static size_t bucket_of(uint64_t value)
{
    if (value < 2 * HISTOGRAM_STEPS) {
        return (size_t)value;
    }
    unsigned shift = 56u - (unsigned)__builtin_clzll(value);
    return shift * HISTOGRAM_STEPS + (size_t)(value >> shift);
}

static uint64_t last_value_in(size_t bucket)
{
    if (bucket < 2 * HISTOGRAM_STEPS) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket / HISTOGRAM_STEPS) - 1;
    uint64_t leading = HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS;
    return (leading << shift) + ((UINT64_C(1) << shift) - 1);
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    histogram->counts[bucket_of(value)]++;
    histogram->count++;
    histogram->sum += (double)value;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    double wanted = ceil(share * (double)histogram->count);
    uint64_t rank = wanted < 1 ? 1 : (uint64_t)wanted;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen >= rank) {
            uint64_t value = last_value_in(i);
            return value < histogram->max ? value : histogram->max;
        }
    }
    return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count == 0 ? 0 : histogram->sum / (double)histogram->count;
}
