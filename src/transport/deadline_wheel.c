#include "transport/deadline_wheel.h"

#include <stddef.h>
#include <string.h>

static void push(struct deadline **list, struct deadline *deadline)
{
    deadline->next = *list;
    deadline->link = list;
    if (*list != NULL) {
        (*list)->link = &deadline->next;
    }
    *list = deadline;
}

void deadline_wheel_init(struct deadline_wheel *wheel, uint64_t now_ms)
{
    memset(wheel, 0, sizeof(*wheel));
    wheel->n_ticks = now_ms / WHEEL_TICK_MS;
}

void deadline_clear(struct deadline *deadline)
{
    if (deadline->link == NULL) {
        return;
    }
    *deadline->link = deadline->next;
    if (deadline->next != NULL) {
        deadline->next->link = deadline->link;
    }
    deadline->next = NULL;
    deadline->link = NULL;
}

void deadline_set(struct deadline_wheel *wheel, struct deadline *deadline, uint64_t due_ms)
{
    deadline_clear(deadline);
    deadline->due_ms = due_ms;
    uint64_t tick = due_ms / WHEEL_TICK_MS + 1; /* rounded up: never early */
    if (tick <= wheel->n_ticks) {
        tick = wheel->n_ticks + 1; /* overdue: at the next tick */
    }
    push(&wheel->slots[tick % WHEEL_N_SLOTS], deadline);
}

/* The slot is emptied into a list of its own first, so that 'expired' may change the wheel as it
 * likes. */
static void turn_slot(struct deadline **slot, uint64_t now_ms, deadline_expired_fn *expired,
                      void *ctx)
{
    struct deadline *looked_at = NULL;
    while (*slot != NULL) {
        struct deadline *deadline = *slot;
        deadline_clear(deadline);
        push(&looked_at, deadline);
    }
    while (looked_at != NULL) {
        struct deadline *deadline = looked_at;
        deadline_clear(deadline);
        if (deadline->due_ms <= now_ms) {
            expired(ctx, deadline);
        } else {
            push(slot, deadline);
        }
    }
}

void deadline_wheel_turn(struct deadline_wheel *wheel, uint64_t now_ms,
                         deadline_expired_fn *expired, void *ctx)
{
    uint64_t last = now_ms / WHEEL_TICK_MS;
    if (last - wheel->n_ticks > WHEEL_N_SLOTS) {
        wheel->n_ticks = last - WHEEL_N_SLOTS; /* after a long pause each slot is looked at once */
    }
    while (wheel->n_ticks < last) {
        wheel->n_ticks++;
        turn_slot(&wheel->slots[wheel->n_ticks % WHEEL_N_SLOTS], now_ms, expired, ctx);
    }
}
