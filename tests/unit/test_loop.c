/* The loop on libuv: what a turn is, and in which order it does things. Real descriptors and a
 * few milliseconds of real time, because that is what is under test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "chat/loop.h"

struct fixture {
    struct loop *loop;
    char log[256]; /* one letter for each thing that happened */
    int n_turns;
    struct loop_timer *timer;
    struct loop_hook *first;
    struct loop_hook *second;
};

static struct fixture fixture;

static int setup(void **state)
{
    memset(&fixture, 0, sizeof fixture);
    fixture.loop = loop_create();
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    loop_destroy(f->loop);
    return 0;
}

static void note(char letter)
{
    size_t len = strlen(fixture.log);
    assert_true(len + 1 < sizeof fixture.log);
    fixture.log[len] = letter;
}

static void note_ctx(void *ctx)
{
    note(*(const char *)ctx);
}

static void stop(void *ctx)
{
    (void)ctx;
    loop_stop(fixture.loop);
}

static void note_and_nest(void *ctx)
{
    (void)ctx;
    note('a');
    loop_later(fixture.loop, note_ctx, "c");
    note('b');
}

/* What is put off is called in order, never inside the call, nested calls in the same turn. */
static void test_later_is_called_in_order_before_the_hooks(void **state)
{
    struct fixture *f = *state;
    struct loop_hook *hook = loop_before_sleep(f->loop, note_ctx, "h");
    struct loop_hook *stopper = loop_before_sleep(f->loop, stop, NULL);

    loop_later(f->loop, note_and_nest, NULL);
    loop_later(f->loop, note_ctx, "d");
    assert_string_equal(f->log, "");
    loop_run(f->loop);

    assert_string_equal(f->log, "abdch");
    loop_hook_destroy(hook);
    loop_hook_destroy(stopper);
}

static int n_called;

static void count_in_order(void *ctx)
{
    const int *number = ctx;
    assert_int_equal(*number, n_called);
    n_called++;
}

/* The queue grows in the middle of being used, and keeps its order. */
static void test_later_many_times_keeps_order(void **state)
{
    struct fixture *f = *state;
    static int numbers[1000];
    n_called = 0;
    for (int i = 0; i < 1000; i++) {
        numbers[i] = i;
    }

    loop_later(f->loop, count_in_order, &numbers[0]);
    loop_later(f->loop, stop, NULL);
    loop_run(f->loop);
    for (int i = 1; i < 1000; i++) { /* the ring's head is not at 0 any more */
        loop_later(f->loop, count_in_order, &numbers[i]);
    }
    loop_later(f->loop, stop, NULL);
    loop_run(f->loop);

    assert_int_equal(n_called, 1000);
}

static void hook_puts_off(void *ctx)
{
    (void)ctx;
    fixture.n_turns++;
    if (fixture.n_turns == 1) {
        loop_later(fixture.loop, note_ctx, "l");
    } else {
        loop_stop(fixture.loop);
    }
}

/* A hook that puts something off keeps the loop from sleeping: without that, the 10 s timer
 * would end the test. */
static void test_hook_that_puts_off_keeps_the_loop_awake(void **state)
{
    struct fixture *f = *state;
    struct loop_timer *late = loop_timer_create(f->loop, note_ctx, "t");
    loop_timer_start(late, 10000, 0);
    struct loop_hook *hook = loop_before_sleep(f->loop, hook_puts_off, NULL);

    loop_run(f->loop);

    assert_string_equal(f->log, "l");
    loop_hook_destroy(hook);
    loop_timer_destroy(late);
}

static void count_turn(void *ctx)
{
    (void)ctx;
    fixture.n_turns++;
    if (fixture.n_turns == 1) {
        loop_later(fixture.loop, note_ctx, "l");
    }
}

/* Once nothing is put off any more the loop sleeps, instead of spinning. */
static void test_loop_sleeps_when_nothing_is_put_off(void **state)
{
    struct fixture *f = *state;
    struct loop_hook *hook = loop_before_sleep(f->loop, count_turn, NULL);
    struct loop_timer *timer = loop_timer_create(f->loop, stop, NULL);
    loop_timer_start(timer, 30, 0);

    uint64_t before_ms = loop_now_ms(f->loop);
    loop_run(f->loop);

    assert_true(loop_now_ms(f->loop) - before_ms >= 29);
    assert_true(f->n_turns <= 5);
    loop_timer_destroy(timer);
    loop_hook_destroy(hook);
}

static void destroy_second(void *ctx)
{
    (void)ctx;
    note('1');
    loop_hook_destroy(fixture.second);
    fixture.second = NULL;
}

static void destroy_itself(void *ctx)
{
    (void)ctx;
    note('3');
    loop_hook_destroy(fixture.first);
    fixture.first = NULL;
}

/* A hook may destroy itself, and the one that would come next. */
static void test_hooks_may_be_destroyed_by_hooks(void **state)
{
    struct fixture *f = *state;
    f->first = loop_before_sleep(f->loop, destroy_itself, NULL);
    struct loop_hook *remover = loop_before_sleep(f->loop, destroy_second, NULL);
    f->second = loop_before_sleep(f->loop, note_ctx, "2");
    struct loop_hook *last = loop_before_sleep(f->loop, note_ctx, "4");
    struct loop_hook *stopper = loop_before_sleep(f->loop, stop, NULL);

    loop_run(f->loop);

    assert_string_equal(f->log, "314");
    loop_hook_destroy(remover);
    loop_hook_destroy(last);
    loop_hook_destroy(stopper);
}

static void destroy_timer(void *ctx)
{
    (void)ctx;
    note('t');
    loop_timer_destroy(fixture.timer);
    loop_stop(fixture.loop);
}

/* A timer may be destroyed inside its own callback. */
static void test_timer_destroyed_in_its_callback_does_not_return(void **state)
{
    struct fixture *f = *state;
    f->timer = loop_timer_create(f->loop, destroy_timer, NULL);

    loop_timer_start(f->timer, 1, 1);
    loop_run(f->loop);

    assert_string_equal(f->log, "t");
}

static void note_thrice(void *ctx)
{
    note_ctx(ctx);
    if (strlen(fixture.log) == 3) {
        loop_stop(fixture.loop);
    }
}

/* A repeating timer repeats, a stopped one does not fire. */
static void test_timer_repeats_until_it_is_stopped(void **state)
{
    struct fixture *f = *state;
    struct loop_timer *timer = loop_timer_create(f->loop, note_thrice, "r");
    struct loop_timer *stopped = loop_timer_create(f->loop, note_ctx, "x");

    loop_timer_start(stopped, 1, 1);
    loop_timer_stop(stopped);
    loop_timer_start(timer, 1, 2);
    loop_run(f->loop);

    assert_string_equal(f->log, "rrr");
    loop_timer_destroy(timer);
    loop_timer_destroy(stopped);
}

/* What was put off when the loop ends is still done: it may be what frees something. */
static void test_destroy_does_what_was_put_off(void **state)
{
    (void)state;
    struct loop *loop = loop_create();

    loop_later(loop, note_ctx, "z");
    loop_destroy(loop);
    loop_destroy(NULL);

    assert_string_equal(fixture.log, "z");
}

/* A loop_stop() that ended no run does not keep it from taking everything down. */
static void test_destroy_after_stop_frees_everything(void **state)
{
    struct fixture *f = *state;
    struct loop_timer *timer = loop_timer_create(f->loop, note_ctx, "x");

    loop_timer_destroy(timer);
    loop_stop(f->loop);

    loop_destroy(f->loop);
    f->loop = NULL;
    assert_string_equal(f->log, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_later_is_called_in_order_before_the_hooks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_later_many_times_keeps_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hook_that_puts_off_keeps_the_loop_awake, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_loop_sleeps_when_nothing_is_put_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hooks_may_be_destroyed_by_hooks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_destroyed_in_its_callback_does_not_return, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_timer_repeats_until_it_is_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_destroy_does_what_was_put_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_destroy_after_stop_frees_everything, setup, teardown),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
