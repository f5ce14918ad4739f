/* message_clock.h - the time that a message has to end in ([WS-20]).
 *
 * It stands still while the connection is not read. What has come when the time is over counts,
 * whenever it is read. */
#ifndef CHAT_MESSAGE_CLOCK_H
#define CHAT_MESSAGE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/deadline_wheel.h"

/* Embedded in what has the clock. All zero: no message has begun. */
struct message_clock {
    struct deadline deadline;
    bool has_begun;
    bool is_overdue;
    uint64_t since_ms; /* when the message began */
    uint64_t left_ms;  /* of its time, while the clock stands still; 0: it runs */
    size_t n_overdue;  /* bytes that had come in time and are still to be read */
};

/* A message has begun. The clock stands still until message_clock_run(). */
void message_clock_begin(struct message_clock *clock, uint64_t now_ms, uint64_t time_ms);

/* The message has ended. There may be none. */
void message_clock_end(struct message_clock *clock);

/* Run, or stand still, if a message has begun. */
void message_clock_run(struct message_clock *clock, struct deadline_wheel *wheel, uint64_t now_ms,
                       bool runs);

/* 'n_bytes' were read. */
void message_clock_read(struct message_clock *clock, size_t n_bytes);

/* The deadline has expired, and 'n_unread' bytes have come that were not read. True: the time is
 * over. False: the deadline expires again in the next tick. */
bool message_clock_is_over(struct message_clock *clock, struct deadline_wheel *wheel,
                           uint64_t now_ms, size_t n_unread);

#endif
