#include "fake_loop.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "chat/mem.h"

struct deferred {
    struct deferred *next;
    loop_fn *fn;
    void *ctx;
};

struct loop_timer {
    struct loop *loop;
    struct loop_timer *next;
    loop_fn *fn;
    void *ctx;
    bool running;
    uint64_t due_ms;
    uint64_t started; /* of two timers due at one moment, the one started first fires first */
    uint64_t repeat_ms;
};

struct loop_hook {
    struct loop *loop;
    struct loop_hook *next;
    loop_fn *fn;
    void *ctx;
};

struct loop {
    uint64_t now_ms;
    uint64_t epoch_ms; /* what has to be added to it for the time since 1970 */
    uint64_t n_started;
    bool stopped;
    struct deferred *first; /* freed as they are called */
    struct deferred *last;
    struct loop_timer *timers;
    struct loop_hook *hooks;
    struct loop_hook *next_hook; /* so that a hook may destroy any hook */
};

struct loop *loop_create(void)
{
    struct loop *loop = mem_alloc(sizeof *loop);
    loop->now_ms = 1000000; /* a monotonic clock does not begin at 0 */
    loop->epoch_ms = 1700000000000;
    return loop;
}

static void drain(struct loop *loop)
{
    while (loop->first != NULL) {
        struct deferred *deferred = loop->first;
        loop->first = deferred->next;
        deferred->fn(deferred->ctx);
        free(deferred);
    }
}

void loop_destroy(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    drain(loop);
    assert(loop->timers == NULL && loop->hooks == NULL);
    free(loop);
}

/* The running timer that is due first, if it is due until 'until_ms'. */
static struct loop_timer *first_due(struct loop *loop, uint64_t until_ms)
{
    struct loop_timer *first = NULL;
    for (struct loop_timer *timer = loop->timers; timer != NULL; timer = timer->next) {
        if (!timer->running || timer->due_ms > until_ms) {
            continue;
        }
        if (first == NULL || timer->due_ms < first->due_ms ||
            (timer->due_ms == first->due_ms && timer->started < first->started)) {
            first = timer;
        }
    }
    return first;
}

static void fire(struct loop_timer *timer)
{
    if (timer->repeat_ms > 0) {
        loop_timer_start(timer, timer->repeat_ms, timer->repeat_ms);
    } else {
        timer->running = false;
    }
    timer->fn(timer->ctx);
}

static void fire_due(struct loop *loop)
{
    uint64_t n_started = loop->n_started; /* a timer started meanwhile waits for the next turn */
    struct loop_timer *timer = first_due(loop, loop->now_ms);
    while (timer != NULL && timer->started < n_started) {
        fire(timer);
        timer = first_due(loop, loop->now_ms);
    }
}

void fake_loop_turn(struct loop *loop)
{
    do {
        fire_due(loop);
        drain(loop);
        for (struct loop_hook *hook = loop->hooks; hook != NULL; hook = loop->next_hook) {
            loop->next_hook = hook->next;
            hook->fn(hook->ctx);
        }
        loop->next_hook = NULL;
    } while (loop->first != NULL);
}

void fake_loop_advance(struct loop *loop, uint64_t ms)
{
    uint64_t until_ms = loop->now_ms + ms;
    struct loop_timer *timer = first_due(loop, until_ms);
    while (timer != NULL) {
        if (timer->due_ms > loop->now_ms) {
            loop->now_ms = timer->due_ms;
        }
        fake_loop_turn(loop);
        timer = first_due(loop, until_ms);
    }
    loop->now_ms = until_ms;
    fake_loop_turn(loop);
}

size_t fake_loop_n_queued(const struct loop *loop)
{
    size_t n = 0;
    for (const struct deferred *deferred = loop->first; deferred != NULL;
         deferred = deferred->next) {
        n++;
    }
    return n;
}

void loop_run(struct loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped) {
        fake_loop_turn(loop);
        struct loop_timer *timer = first_due(loop, UINT64_MAX);
        assert(loop->stopped || timer != NULL); /* or it would sleep for ever */
        if (!loop->stopped && timer->due_ms > loop->now_ms) {
            loop->now_ms = timer->due_ms;
        }
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

uint64_t loop_now_ms(struct loop *loop)
{
    return loop->now_ms;
}

uint64_t loop_wall_ms(struct loop *loop)
{
    return loop->epoch_ms + loop->now_ms;
}

void fake_loop_set_wall_ms(struct loop *loop, uint64_t wall_ms)
{
    loop->epoch_ms = wall_ms - loop->now_ms;
}

void loop_later(struct loop *loop, loop_fn *fn, void *ctx)
{
    struct deferred *deferred = mem_alloc(sizeof *deferred);
    *deferred = (struct deferred){NULL, fn, ctx};
    if (loop->first == NULL) {
        loop->first = deferred;
    } else {
        loop->last->next = deferred;
    }
    loop->last = deferred;
}

struct loop_timer *loop_timer_create(struct loop *loop, loop_fn *fn, void *ctx)
{
    struct loop_timer *timer = mem_alloc(sizeof *timer);
    *timer = (struct loop_timer){.loop = loop, .next = loop->timers, .fn = fn, .ctx = ctx};
    loop->timers = timer;
    return timer;
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms, uint64_t repeat_ms)
{
    timer->running = true;
    timer->due_ms = timer->loop->now_ms + delay_ms;
    timer->repeat_ms = repeat_ms;
    timer->started = timer->loop->n_started++;
}

void loop_timer_stop(struct loop_timer *timer)
{
    timer->running = false;
}

void loop_timer_destroy(struct loop_timer *timer)
{
    if (timer == NULL) {
        return;
    }
    struct loop_timer **at = &timer->loop->timers;
    while (*at != timer) {
        at = &(*at)->next;
    }
    *at = timer->next;
    free(timer);
}

struct loop_hook *loop_before_sleep(struct loop *loop, loop_fn *fn, void *ctx)
{
    struct loop_hook *hook = mem_alloc(sizeof *hook);
    *hook = (struct loop_hook){.loop = loop, .fn = fn, .ctx = ctx};
    struct loop_hook **at = &loop->hooks;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = hook;
    return hook;
}

void loop_hook_destroy(struct loop_hook *hook)
{
    if (hook == NULL) {
        return;
    }
    struct loop *loop = hook->loop;
    if (loop->next_hook == hook) {
        loop->next_hook = hook->next;
    }
    struct loop_hook **at = &loop->hooks;
    while (*at != hook) {
        at = &(*at)->next;
    }
    *at = hook->next;
    free(hook);
}

void *loop_uv(struct loop *loop)
{
    (void)loop;
    return NULL;
}
