#include "store_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWERS_MAX = 512,
    DEVICES_MAX = 16
};

/* What one callback said. */
struct answer {
    void *ctx;
    conn_id device; /* CONN_NONE: a send */
    enum err err;
    size_t n;
    conn_id devices[DEVICES_MAX];
};

struct fixture {
    struct loop *loop;
    struct mapping_store *store;
    int n_answers;
    struct answer answers[ANSWERS_MAX];
    int n_closed;
};

static const struct store_maker *maker;
static struct fixture fixture;

static int setup(void **state)
{
    memset(&fixture, 0, sizeof fixture);
    if (maker->start != NULL) {
        maker->start();
    }
    fixture.loop = maker->make_loop();
    fixture.store = maker->make_store(fixture.loop);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->store != NULL) {
        f->store->ops->destroy(f->store);
    }
    loop_destroy(f->loop);
    if (maker->stop != NULL) {
        maker->stop();
    }
    return 0;
}

static struct answer *next_answer(void *ctx, enum err err)
{
    assert_true(fixture.n_answers < ANSWERS_MAX);
    struct answer *answer = &fixture.answers[fixture.n_answers];
    *answer = (struct answer){.ctx = ctx, .err = err};
    return answer;
}

static void on_bound(void *ctx, conn_id device, enum err err)
{
    next_answer(ctx, err)->device = device;
    fixture.n_answers++;
}

static void on_sent(void *ctx, const struct sent *sent)
{
    struct answer *answer = next_answer(ctx, sent->err);
    assert_true(sent->n <= DEVICES_MAX);
    answer->n = sent->n;
    for (size_t i = 0; i < sent->n; i++) {
        answer->devices[i] = sent->devices[i];
    }
    fixture.n_answers++;
}

static void bind(struct fixture *f, conn_id device, struct str uid)
{
    mapping_store_bind(f->store, device, uid, on_bound, NULL);
}

static void send(struct fixture *f, struct str to, void *ctx)
{
    struct message message = {.to = to, .from = STR("sender"), .body = STR("1")};
    mapping_store_send(f->store, &message, on_sent, ctx);
}

static void on_broadcast(void *ctx, enum err err)
{
    next_answer(ctx, err);
    fixture.n_answers++;
}

static void broadcast(struct fixture *f)
{
    struct message message = {.from = STR("sender"), .body = STR("1")};
    mapping_store_broadcast(f->store, &message, on_broadcast, NULL);
}

static void unbind(struct fixture *f, conn_id device)
{
    mapping_store_unbind(f->store, device);
}

static void run_until_answers(struct fixture *f, int n)
{
    maker->run_until(f->loop, &f->n_answers, n);
    assert_int_equal(f->n_answers, n);
}

static void given_bound(struct fixture *f, conn_id device, struct str uid)
{
    int n = f->n_answers;
    bind(f, device, uid);
    run_until_answers(f, n + 1);
    assert_int_equal(f->answers[n].err, ERR_OK);
    assert_int_equal(f->answers[n].device, device);
}

static void then_devices(const struct answer *answer, size_t n, const conn_id *devices)
{
    assert_int_equal(answer->device, CONN_NONE);
    assert_int_equal(answer->err, ERR_OK);
    assert_int_equal(answer->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(answer->devices[i], devices[i]);
    }
}

static void then_found(struct fixture *f, struct str uid, size_t n, const conn_id *devices)
{
    int i = f->n_answers;
    send(f, uid, NULL);
    run_until_answers(f, i + 1);
    then_devices(&f->answers[i], n, devices);
}

/* A bound device is found, and nothing is said inside the calls. */
static void test_bind_then_send_finds_the_device(void **state)
{
    struct fixture *f = *state;

    bind(f, 7, STR("alice"));
    assert_int_equal(f->n_answers, 0);
    run_until_answers(f, 1);
    send(f, STR("alice"), f);
    assert_int_equal(f->n_answers, 1);
    run_until_answers(f, 2);

    assert_int_equal(f->answers[0].device, 7);
    assert_int_equal(f->answers[0].err, ERR_OK);
    assert_ptr_equal(f->answers[1].ctx, f);
    then_devices(&f->answers[1], 1, (conn_id[]){7});
}

/* A send sees every bind that was called before it, answered or not. */
static void test_send_sees_a_bind_that_is_not_answered_yet(void **state)
{
    struct fixture *f = *state;

    bind(f, 1, STR("alice"));
    send(f, STR("alice"), NULL);
    run_until_answers(f, 2);

    assert_int_equal(f->answers[0].device, 1);
    then_devices(&f->answers[1], 1, (conn_id[]){1});
}

/* Nobody there is no error. */
static void test_send_of_nobody_gives_nothing(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 1, STR("alice"));

    then_found(f, STR("bob"), 0, NULL);
    then_found(f, STR("alic"), 0, NULL);
    then_found(f, STR("alicea"), 0, NULL);
}

/* All devices of a uid are found, in the order in which they were bound. */
static void test_devices_are_found_in_the_order_of_their_binds(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 30, STR("alice"));
    given_bound(f, 10, STR("alice"));
    given_bound(f, 99, STR("bob"));
    given_bound(f, 20, STR("alice"));

    given_bound(f, 40, STR("alice"));
    then_found(f, STR("alice"), 4, (conn_id[]){30, 10, 20, 40});

    unbind(f, 10);
    then_found(f, STR("alice"), 3, (conn_id[]){30, 20, 40});
    then_found(f, STR("bob"), 1, (conn_id[]){99});
}

/* [SIGN-6] A device of another uid moves. */
static void test_bind_to_another_uid_moves_the_device(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 1, STR("alice"));
    given_bound(f, 2, STR("alice"));

    given_bound(f, 1, STR("bob"));

    then_found(f, STR("alice"), 1, (conn_id[]){2});
    then_found(f, STR("bob"), 1, (conn_id[]){1});
}

/* Again as the same uid: still one device. */
static void test_bind_again_is_one_device(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 1, STR("alice"));
    given_bound(f, 2, STR("alice"));

    given_bound(f, 1, STR("alice"));

    then_found(f, STR("alice"), 2, (conn_id[]){1, 2});
}

/* What is unbound is found no more, at once; unbinding twice, or who never was bound, is
 * nothing. */
static void test_unbind_removes_the_device_at_once(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 1, STR("alice"));

    send(f, STR("alice"), NULL);
    unbind(f, 1);
    unbind(f, 1);
    unbind(f, 2);
    run_until_answers(f, 2);

    then_devices(&f->answers[1], 0, NULL);
    given_bound(f, 1, STR("bob")); /* and can be bound again */
    then_found(f, STR("bob"), 1, (conn_id[]){1});
}

/* Sends are answered in the order of the calls, whatever is bound in between. */
static void test_answers_come_in_the_order_of_the_calls(void **state)
{
    struct fixture *f = *state;
    static int marks[100];

    for (int i = 0; i < 100; i++) {
        bind(f, (conn_id)(1000 + i), STR("alice"));
        send(f, i % 2 == 0 ? STR("nobody") : STR("somebody"), &marks[i]);
    }
    run_until_answers(f, 200);

    for (int i = 0; i < 100; i++) {
        assert_int_equal(f->answers[i * 2].device, 1000 + i);
        assert_ptr_equal(f->answers[i * 2 + 1].ctx, &marks[i]);
    }
}

/* [UID-4] "Compared byte for byte": any bytes, up to the longest uid. */
static void test_uids_are_any_bytes(void **state)
{
    struct fixture *f = *state;
    char longest[UINT8_MAX];
    memset(longest, 'x', sizeof longest);
    const struct str uids[] = {
        STR("用户"),     STR("a\0b"), STR("a\0c"),    STR("a b\r\n$3\r\n"), STR("{x}%s*"),
        STR("\xff\xfe"), STR("0"),    {longest, 127}, {longest, 128},
    };
    enum {
        N = sizeof uids / sizeof uids[0]
    };

    for (size_t i = 0; i < N; i++) {
        given_bound(f, i + 1, uids[i]);
    }

    for (size_t i = 0; i < N; i++) {
        then_found(f, uids[i], 1, (conn_id[]){i + 1});
    }
}

/* The store copies a uid that it needs later. */
static void test_uid_may_change_after_the_call(void **state)
{
    struct fixture *f = *state;
    char uid[] = "alice";

    bind(f, 1, str_of(uid));
    memset(uid, 'z', sizeof uid - 1);
    run_until_answers(f, 1);

    then_found(f, STR("alice"), 1, (conn_id[]){1});
    then_found(f, STR("zzzzz"), 0, NULL);
}

static void on_closed(void *ctx)
{
    struct fixture *f = ctx;
    f->n_closed++;
}

/* After close: "everything is answered ERR_UNAVAILABLE", and 'closed' is called once. */
static void test_close_answers_what_comes_later_with_unavailable(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 1, STR("alice"));

    mapping_store_close(f->store, on_closed, f);
    assert_int_equal(f->n_closed, 0);
    bind(f, 2, STR("alice"));
    send(f, STR("alice"), NULL);
    unbind(f, 1);
    run_until_answers(f, 3);
    maker->run_until(f->loop, &f->n_closed, 1);

    assert_int_equal(f->n_closed, 1);
    assert_int_equal(f->answers[1].err, ERR_UNAVAILABLE);
    assert_int_equal(f->answers[2].err, ERR_UNAVAILABLE);
    assert_int_equal(f->answers[2].n, 0);
}

static void when_asked_nothing_is_said_inside_the_call(struct fixture *f, conn_id device)
{
    int n = f->n_answers;
    bind(f, device, STR("alice"));
    send(f, STR("alice"), NULL);
    broadcast(f);
    assert_int_equal(f->n_answers, n);
    run_until_answers(f, n + 3);
}

/* Neither before the store is open, nor when it is, nor when it is closed. */
static void test_no_answer_comes_inside_the_call(void **state)
{
    struct fixture *f = *state;

    when_asked_nothing_is_said_inside_the_call(f, 1);
    when_asked_nothing_is_said_inside_the_call(f, 2);
    mapping_store_close(f->store, on_closed, f);
    assert_int_equal(f->n_closed, 0);
    when_asked_nothing_is_said_inside_the_call(f, 3);
    maker->run_until(f->loop, &f->n_closed, 1);
    when_asked_nothing_is_said_inside_the_call(f, 4);

    assert_int_equal(f->answers[f->n_answers - 1].err, ERR_UNAVAILABLE);
}

/* Destroying it answers what is pending, inside the call, and nothing afterwards. */
static void test_destroy_answers_what_is_pending(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 1, STR("alice"));

    bind(f, 2, STR("alice"));
    send(f, STR("alice"), NULL);
    f->store->ops->destroy(f->store);
    f->store = NULL;

    assert_int_equal(f->n_answers, 3);
    assert_int_equal(f->answers[1].err, ERR_UNAVAILABLE);
    assert_int_equal(f->answers[2].err, ERR_UNAVAILABLE);
}

static void ask_again(void *ctx, const struct sent *sent)
{
    on_sent(ctx, sent);
    send(&fixture, STR("bob"), NULL);
    bind(&fixture, 9, STR("bob"));
}

/* A callback may ask again, even while the store is being destroyed, as the router does. */
static void test_callbacks_may_ask_again(void **state)
{
    struct fixture *f = *state;
    const struct message to_alice = {.to = STR("alice"), .from = STR("a"), .body = STR("1")};

    mapping_store_send(f->store, &to_alice, ask_again, NULL);
    run_until_answers(f, 3);
    unbind(f, 9);
    mapping_store_send(f->store, &to_alice, ask_again, NULL);
    f->store->ops->destroy(f->store);
    f->store = NULL;

    assert_int_equal(f->n_answers, 6);
    assert_int_equal(f->answers[2].err, ERR_OK);
    assert_int_equal(f->answers[5].err, ERR_UNAVAILABLE);
}

#define CONTRACT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int run_store_contract(const struct store_maker *store_maker)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_bind_then_send_finds_the_device),
        CONTRACT_TEST(test_send_sees_a_bind_that_is_not_answered_yet),
        CONTRACT_TEST(test_send_of_nobody_gives_nothing),
        CONTRACT_TEST(test_devices_are_found_in_the_order_of_their_binds),
        CONTRACT_TEST(test_bind_to_another_uid_moves_the_device),
        CONTRACT_TEST(test_bind_again_is_one_device),
        CONTRACT_TEST(test_unbind_removes_the_device_at_once),
        CONTRACT_TEST(test_answers_come_in_the_order_of_the_calls),
        CONTRACT_TEST(test_uids_are_any_bytes),
        CONTRACT_TEST(test_uid_may_change_after_the_call),
        CONTRACT_TEST(test_close_answers_what_comes_later_with_unavailable),
        CONTRACT_TEST(test_no_answer_comes_inside_the_call),
        CONTRACT_TEST(test_destroy_answers_what_is_pending),
        CONTRACT_TEST(test_callbacks_may_ask_again),
    };
    maker = store_maker;
    return cmocka_run_group_tests_name(store_maker->name, tests, NULL, NULL);
}
