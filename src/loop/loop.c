/* The loop on libuv. One turn of ours is its "prepare" phase, which runs just before it polls:
 * what was put off is done there, then the hooks run. */
#include "chat/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include <uv.h>

#include "chat/log.h"
#include "chat/mem.h"

enum {
    QUEUE_CAPACITY_MIN = 64
}; /* a power of two, as every capacity */

struct deferred {
    loop_fn *fn;
    void *ctx;
};

struct loop_hook {
    struct loop *loop;
    struct loop_hook *prev;
    struct loop_hook *next;
    loop_fn *fn;
    void *ctx;
};

struct loop_timer {
    uv_timer_t uv; /* first, so that a closed handle is one of us */
    loop_fn *fn;
    void *ctx;
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_idle_t idle; /* active while something is put off: libuv does not block then */

    /* What loop_later() put off: a ring, so that once a message costs no allocation. */
    struct deferred *queue;
    size_t queue_capacity;
    size_t queue_head;
    size_t n_queued;

    struct loop_hook *first_hook;
    struct loop_hook *last_hook;
    struct loop_hook *next_hook; /* the one that runs next, so that a hook may destroy any hook */
};

static void queue_grow(struct loop *loop)
{
    size_t capacity = loop->queue_capacity == 0 ? QUEUE_CAPACITY_MIN : loop->queue_capacity * 2;
    struct deferred *queue = mem_alloc(capacity * sizeof *queue);
    for (size_t i = 0; i < loop->n_queued; i++) {
        queue[i] = loop->queue[(loop->queue_head + i) & (loop->queue_capacity - 1)];
    }
    free(loop->queue);
    loop->queue = queue;
    loop->queue_capacity = capacity;
    loop->queue_head = 0;
}

void loop_later(struct loop *loop, loop_fn *fn, void *ctx)
{
    if (loop->n_queued == loop->queue_capacity) {
        queue_grow(loop);
    }
    size_t tail = (loop->queue_head + loop->n_queued) & (loop->queue_capacity - 1);
    loop->queue[tail] = (struct deferred){fn, ctx};
    loop->n_queued++;
}

static void queue_drain(struct loop *loop)
{
    while (loop->n_queued > 0) {
        struct deferred deferred = loop->queue[loop->queue_head];
        loop->queue_head = (loop->queue_head + 1) & (loop->queue_capacity - 1);
        loop->n_queued--;
        deferred.fn(deferred.ctx);
    }
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* being active is all it has to do */
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    queue_drain(loop);
    for (struct loop_hook *hook = loop->first_hook; hook != NULL; hook = loop->next_hook) {
        loop->next_hook = hook->next;
        hook->fn(hook->ctx);
    }
    loop->next_hook = NULL;
    /* libuv decides after this phase how long it may block, so an idle handle started here
     * counts. */
    if (loop->n_queued > 0) {
        uv_idle_start(&loop->idle, on_idle);
    } else {
        uv_idle_stop(&loop->idle);
    }
}

struct loop *loop_create(void)
{
    struct loop *loop = mem_alloc(sizeof *loop);
    int status = uv_loop_init(&loop->uv);
    if (status != 0) {
        log_line(LOG_ERROR, "loop_failed", "reason=%s", log_value(uv_strerror(status)));
        free(loop);
        return NULL;
    }
    uv_prepare_init(&loop->uv, &loop->prepare);
    loop->prepare.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_idle_init(&loop->uv, &loop->idle);
    return loop;
}

void loop_destroy(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    queue_drain(loop); /* what frees itself "later" has no other chance */
    assert(loop->first_hook == NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
        /* Until the last handle's close callback has freed it; a loop_stop() of before ends one
         * run only. */
    }
    int status = uv_loop_close(&loop->uv);
    assert(status == 0);
    free(loop->queue);
    free(loop);
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

uint64_t loop_now_ms(struct loop *loop)
{
    return uv_now(&loop->uv);
}

uint64_t loop_wall_ms(struct loop *loop)
{
    (void)loop;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_timer(uv_timer_t *uv)
{
    struct loop_timer *timer = uv->data;
    timer->fn(timer->ctx);
}

struct loop_timer *loop_timer_create(struct loop *loop, loop_fn *fn, void *ctx)
{
    struct loop_timer *timer = mem_alloc(sizeof *timer);
    uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = timer;
    timer->fn = fn;
    timer->ctx = ctx;
    return timer;
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms, uint64_t repeat_ms)
{
    uv_timer_start(&timer->uv, on_timer, delay_ms, repeat_ms);
}

void loop_timer_stop(struct loop_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

static void on_timer_closed(uv_handle_t *uv)
{
    struct loop_timer *timer = uv->data;
    free(timer);
}

void loop_timer_destroy(struct loop_timer *timer)
{
    if (timer != NULL) {
        uv_close((uv_handle_t *)&timer->uv, on_timer_closed);
    }
}

struct loop_hook *loop_before_sleep(struct loop *loop, loop_fn *fn, void *ctx)
{
    struct loop_hook *hook = mem_alloc(sizeof *hook);
    *hook = (struct loop_hook){.loop = loop, .prev = loop->last_hook, .fn = fn, .ctx = ctx};
    if (loop->last_hook != NULL) {
        loop->last_hook->next = hook;
    } else {
        loop->first_hook = hook;
    }
    loop->last_hook = hook;
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
    if (hook->prev != NULL) {
        hook->prev->next = hook->next;
    } else {
        loop->first_hook = hook->next;
    }
    if (hook->next != NULL) {
        hook->next->prev = hook->prev;
    } else {
        loop->last_hook = hook->prev;
    }
    free(hook);
}

void *loop_uv(struct loop *loop)
{
    return &loop->uv;
}
