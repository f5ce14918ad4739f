/* loop.h - the one thread's event loop: what is due later, what is due at a time, what is due
 * before it sleeps. libuv behind it (src/loop/loop.c); unit tests link a loop whose clock is
 * moved by hand (tests/unit/fakes/fake_loop.c).
 *
 * One turn: timers that are due; descriptors that are ready; what was put off with loop_later(),
 * until nothing is; the hooks of loop_before_sleep(), in the order they were added; then sleep,
 * unless a hook put something off. So all that one turn wants to write is known when the hooks
 * run, and leaves in few system calls. */
#ifndef CHAT_LOOP_H
#define CHAT_LOOP_H

#include <stdint.h>

#include "chat/err.h"

struct loop;
struct loop_timer;
struct loop_hook;

typedef void loop_fn(void *ctx);

struct loop *loop_create(void); /* caller owns. NULL: the system refuses, which the log says */
void loop_destroy(
    struct loop *loop); /* after everything that was created on it is destroyed. NULL is allowed */

/* Run until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Milliseconds of a monotonic clock, as of the start of this turn. */
uint64_t loop_now_ms(struct loop *loop);

/* Milliseconds since 1970 by the machine's clock, which somebody may set at any time. */
uint64_t loop_wall_ms(struct loop *loop);

/* Call fn(ctx) later, in order, before the loop sleeps again: never inside this call. */
void loop_later(struct loop *loop, loop_fn *fn, void *ctx);

/* A timer, not running. Caller owns; may be destroyed inside its own callback. */
struct loop_timer *loop_timer_create(struct loop *loop, loop_fn *fn, void *ctx);
/* (Re)start: after 'delay_ms', then every 'repeat_ms' if that is not 0. */
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms, uint64_t repeat_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_destroy(struct loop_timer *timer); /* NULL is allowed */

/* Call fn(ctx) once in every turn before the loop sleeps. Caller owns the hook. */
struct loop_hook *loop_before_sleep(struct loop *loop, loop_fn *fn, void *ctx);
void loop_hook_destroy(struct loop_hook *hook); /* NULL is allowed */

/* The libuv loop behind, for transport and redis_link, which watch descriptors. NULL in a fake. */
void *loop_uv(struct loop *loop);

#endif
