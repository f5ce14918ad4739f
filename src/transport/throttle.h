/* throttle.h - how many requests a connection may make: a bucket of tokens, one for each
 * request, that fills at a rate. Pure: time comes in. */
#ifndef CHAT_THROTTLE_H
#define CHAT_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

/* All zero is a full bucket. */
struct throttle {
    uint32_t n_used;    /* tokens that are missing */
    uint64_t filled_ms; /* up to when the bucket was filled */
};

/* Take a token for a request that has come; it is there even if there was none left. True: no
 * more are to come until throttle_is_open(). 'rate' a second, 'burst' in the full bucket. */
bool throttle_take(struct throttle *throttle, uint32_t rate, uint32_t burst, uint64_t now_ms);

/* Is there a token again? */
bool throttle_is_open(struct throttle *throttle, uint32_t rate, uint32_t burst, uint64_t now_ms);

#endif
