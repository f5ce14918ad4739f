/* deadline_wheel.h - one deadline for each connection, at a cost that does not grow with their
 * number.
 *
 * libwebsockets has timers of its own; with thousands of connections they take half of a core. A
 * wheel is a ring of lists: a deadline waits in the list of its tick, so setting one is O(1),
 * and a tick looks at one list. Deadlines are met late by up to one tick, never early. */
#ifndef CHAT_DEADLINE_WHEEL_H
#define CHAT_DEADLINE_WHEEL_H

#include <stdint.h>

enum {
    WHEEL_N_SLOTS = 512,
    WHEEL_TICK_MS = 100 /* once round is 51 s: longer deadlines wait for another round */
};

/* Embedded in what has the deadline. All zero: not set. */
struct deadline {
    struct deadline *next;
    struct deadline **link; /* what points to this; NULL: not set */
    uint64_t due_ms;
};

typedef void deadline_expired_fn(void *ctx, struct deadline *deadline);

struct deadline_wheel {
    struct deadline *slots[WHEEL_N_SLOTS];
    uint64_t n_ticks; /* up to here all that was due has expired */
};

/* Caller owns the memory. 'now_ms' is monotonic. */
void deadline_wheel_init(struct deadline_wheel *wheel, uint64_t now_ms);

/* Set 'deadline', in place of an earlier time. */
void deadline_set(struct deadline_wheel *wheel, struct deadline *deadline, uint64_t due_ms);

/* Nothing happens if it is not set. Every deadline has to be cleared before its memory goes. */
void deadline_clear(struct deadline *deadline);

/* Call 'expired' for each deadline that is due at 'now_ms', each cleared before. It may set,
 * clear and free that deadline and any other. */
void deadline_wheel_turn(struct deadline_wheel *wheel, uint64_t now_ms,
                         deadline_expired_fn *expired, void *ctx);

#endif
