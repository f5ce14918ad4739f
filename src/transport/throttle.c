#include "transport/throttle.h"

enum {
    MS_PER_S = 1000
};

static void fill(struct throttle *throttle, uint32_t rate, uint64_t now_ms)
{
    uint64_t n_filled = (now_ms - throttle->filled_ms) * rate / MS_PER_S;
    if (n_filled >= throttle->n_used) {
        throttle->n_used = 0;
        throttle->filled_ms = now_ms;
        return;
    }
    throttle->n_used -= (uint32_t)n_filled;
    /* Only as far as whole tokens came, lest the fractions get lost. */
    throttle->filled_ms += n_filled * MS_PER_S / rate;
}

bool throttle_take(struct throttle *throttle, uint32_t rate, uint32_t burst, uint64_t now_ms)
{
    fill(throttle, rate, now_ms);
    throttle->n_used++;
    return throttle->n_used >= burst;
}

bool throttle_is_open(struct throttle *throttle, uint32_t rate, uint32_t burst, uint64_t now_ms)
{
    fill(throttle, rate, now_ms);
    return throttle->n_used < burst;
}
