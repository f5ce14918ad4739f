/* fake_loop.h - loop.h with a clock that is moved by hand and nothing that ever sleeps.
 *
 * Link fake_loop.c instead of chat_loop. There are no descriptors: loop_uv() is NULL. */
#ifndef CHAT_FAKE_LOOP_H
#define CHAT_FAKE_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "chat/loop.h"

/* One turn: the timers that are due, what was put off, the hooks; again if a hook put something
 * off. */
void fake_loop_turn(struct loop *loop);

/* Let 'ms' go by: a turn at each moment at which a timer is due, and one at the end. */
void fake_loop_advance(struct loop *loop, uint64_t ms);

/* Somebody sets the machine's clock; what loop_wall_ms() says goes on from there. */
void fake_loop_set_wall_ms(struct loop *loop, uint64_t wall_ms);

/* Calls that wait for the next turn. */
size_t fake_loop_n_queued(const struct loop *loop);

#endif
