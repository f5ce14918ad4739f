#include "config/pairs.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

enum {
    LEASE_TIMEOUTS = 2,  /* a renewal that has failed is made again before the lease ends */
    TICKS_A_SECOND = 10, /* how often a connection that was slowed down is read again */
};

/* 'name' has to be 'value_min' at least because of 'other'. */
struct pair {
    const char *name;
    uint64_t value;
    uint64_t value_min;
    const char *other;
    uint64_t other_value;
};

static bool fits(const struct pair *pair)
{
    if (pair->value >= pair->value_min) {
        return true;
    }
    fprintf(stderr,
            "chatd: %s %" PRIu64 " is too small for %s %" PRIu64 "; allowed: at least %" PRIu64
            "\n",
            pair->name, pair->value, pair->other, pair->other_value, pair->value_min);
    return false;
}

/* A message that is received can be delivered, with all that a delivery adds to it. */
static bool sizes_fit(const struct config *config)
{
    const struct pair outbox = {"outbox-size-max", config->outbox_size_max,
                                (uint64_t)config->message_size_max + DELIVERY_ROOM,
                                "message-size-max", config->message_size_max};
    const struct pair outboxes = {"outboxes-size-max", config->outboxes_size_max,
                                  config->outbox_size_max, "outbox-size-max",
                                  config->outbox_size_max};
    const bool outbox_fits = fits(&outbox);
    return fits(&outboxes) && outbox_fits;
}

/* Of a message that is received there is room for one more. */
static bool requests_fit(const struct config *config)
{
    const struct pair requests = {"requests-size-max", config->requests_size_max,
                                  config->message_size_max, "message-size-max",
                                  config->message_size_max};
    return fits(&requests);
}

/* A message that is received can be kept: in Redis, its own settings say how much it takes. */
static bool history_fits(const struct config *config)
{
    const struct pair memory = {"history-memory-max", config->history_memory_max,
                                (uint64_t)config->message_size_max + STORED_ROOM,
                                "message-size-max", config->message_size_max};
    return config->has_redis || !config->features.history || fits(&memory);
}

/* What one tick lets through is the burst. */
static bool rate_fits(const struct config *config)
{
    const struct pair burst = {"request-burst-max", config->request_burst_max,
                               ((uint64_t)config->request_rate_max + TICKS_A_SECOND - 1) /
                                   TICKS_A_SECOND,
                               "request-rate-max", config->request_rate_max};
    return fits(&burst);
}

static bool lease_fits(const struct config *config)
{
    const struct pair lease = {"redis-lease-ms", config->redis_lease_ms,
                               (uint64_t)config->redis_timeout_ms * LEASE_TIMEOUTS,
                               "redis-timeout-ms", config->redis_timeout_ms};
    return !config->has_redis || fits(&lease);
}

bool pairs_fit(const struct config *config)
{
    bool ok = sizes_fit(config);
    ok &= requests_fit(config);
    ok &= history_fits(config);
    ok &= rate_fits(config);
    ok &= lease_fits(config);
    return ok;
}
