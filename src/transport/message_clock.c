#include "transport/message_clock.h"

void message_clock_begin(struct message_clock *clock, uint64_t now_ms, uint64_t time_ms)
{
    message_clock_end(clock);
    clock->has_begun = true;
    clock->since_ms = now_ms;
    clock->left_ms = time_ms;
}

void message_clock_end(struct message_clock *clock)
{
    deadline_clear(&clock->deadline);
    *clock = (struct message_clock){0};
}

void message_clock_run(struct message_clock *clock, struct deadline_wheel *wheel, uint64_t now_ms,
                       bool runs)
{
    bool is_running = clock->left_ms == 0;
    if (!clock->has_begun || runs == is_running) {
        return;
    }
    if (runs) {
        deadline_set(wheel, &clock->deadline, now_ms + clock->left_ms);
        clock->left_ms = 0;
    } else {
        uint64_t due_ms = clock->deadline.due_ms;
        deadline_clear(&clock->deadline);
        clock->left_ms = due_ms > now_ms ? due_ms - now_ms : 1;
    }
}

void message_clock_read(struct message_clock *clock, size_t n_bytes)
{
    clock->n_overdue -= n_bytes < clock->n_overdue ? n_bytes : clock->n_overdue;
}

bool message_clock_is_over(struct message_clock *clock, struct deadline_wheel *wheel,
                           uint64_t now_ms, size_t n_unread)
{
    if (!clock->is_overdue) {
        clock->is_overdue = true;
        clock->n_overdue = n_unread;
    }
    if (clock->n_overdue == 0 || n_unread == 0) {
        return true;
    }
    deadline_set(wheel, &clock->deadline, now_ms + 1);
    return false;
}
