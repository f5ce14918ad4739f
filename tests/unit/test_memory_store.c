/* The memory store: the contracts, on a loop whose clock is moved by hand, and what it says of
 * time. */
#include "chat/memory_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fakes/fake_loop.h"
#include "inbox_contract.h"
#include "store_contract.h"

enum {
    MINUTE_MS = 60000
};

static void run_until(struct loop *loop, const int *n, int wanted)
{
    (void)n;
    (void)wanted;
    fake_loop_turn(loop); /* one turn has to be enough */
}

static struct mapping_store *make_store(struct loop *loop)
{
    return memory_store_create(loop, NULL);
}

struct fixture {
    struct loop *loop;
    struct mapping_store *store;
    struct sent sent;
    size_t n_read; /* messages of the last page */
    int n_pages;
};

static int setup(void **state)
{
    static struct fixture f;
    static const struct inbox_limits limits = {
        .messages_max = 1000, .retention_ms = MINUTE_MS, .memory_max = 1048576};
    f = (struct fixture){.loop = loop_create()};
    f.store = memory_store_create(f.loop, &limits);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->store->ops->destroy(f->store);
    loop_destroy(f->loop);
    return 0;
}

static void on_sent(void *ctx, const struct sent *sent)
{
    struct fixture *f = ctx;
    f->sent = *sent;
}

static enum err send_to(struct fixture *f, const char *uid, struct str body)
{
    const struct message message = {.to = str_of(uid), .from = STR("bob"), .body = body};
    mapping_store_send(f->store, &message, on_sent, f);
    fake_loop_turn(f->loop);
    return f->sent.err;
}

static struct message_id given_sent(struct fixture *f, const char *uid)
{
    assert_int_equal(send_to(f, uid, STR("1")), ERR_OK);
    return f->sent.id;
}

/* [HIST-3] An id's time is that since 1970. */
static void test_time_of_a_message_is_since_1970(void **state)
{
    struct fixture *f = *state;

    struct message_id first = given_sent(f, "alice");
    assert_int_equal(first.ms, loop_wall_ms(f->loop));
    fake_loop_advance(f->loop, MINUTE_MS);

    assert_int_equal(given_sent(f, "alice").ms, first.ms + MINUTE_MS);
}

/* [HIST-3] Who sets the machine's clock sets that of messages, too. */
static void test_time_of_a_message_follows_the_clock(void **state)
{
    struct fixture *f = *state;
    given_sent(f, "alice");

    fake_loop_set_wall_ms(f->loop, loop_wall_ms(f->loop) + 3600000);

    assert_int_equal(given_sent(f, "alice").ms, loop_wall_ms(f->loop));
}

/* [HIST-4] Ids rise all the same when it is put back; of other uids they are right at once. */
static void test_ids_rise_although_the_clock_was_put_back(void **state)
{
    struct fixture *f = *state;
    uint64_t far_ms = loop_wall_ms(f->loop) + 3600000;
    fake_loop_set_wall_ms(f->loop, far_ms);
    struct message_id first = given_sent(f, "alice");

    fake_loop_set_wall_ms(f->loop, far_ms - 3600000);
    struct message_id second = given_sent(f, "alice");

    assert_true(message_id_compare(first, second) < 0);
    assert_int_equal(given_sent(f, "bob").ms, far_ms - 3600000);
    fake_loop_set_wall_ms(f->loop, far_ms + 1);
    assert_int_equal(given_sent(f, "alice").ms, far_ms + 1);
}

/* What is too old gives its memory back though nobody looks at it. */
static void test_old_messages_of_nobody_give_their_memory_back(void **state)
{
    struct fixture *f = *state;
    static char body[600000];
    assert_int_equal(send_to(f, "alice", (struct str){body, sizeof body}), ERR_OK);
    assert_int_equal(send_to(f, "bob", (struct str){body, sizeof body}), ERR_UNAVAILABLE);

    fake_loop_advance(f->loop, MINUTE_MS - 1000);
    assert_int_equal(send_to(f, "bob", (struct str){body, sizeof body}), ERR_UNAVAILABLE);
    fake_loop_advance(f->loop, 3000);

    assert_int_equal(send_to(f, "bob", (struct str){body, sizeof body}), ERR_OK);
}

static void on_page(void *ctx, const struct inbox_page *page)
{
    struct fixture *f = ctx;
    f->n_read = page->n;
    f->n_pages++;
}

static void on_page_read_again(void *ctx, const struct inbox_page *page)
{
    struct fixture *f = ctx;
    on_page(f, page);
    mapping_store_read(f->store, STR("alice"), NULL, 64, on_page, f);
}

/* inbox.h: "from a later turn", also when the callback of another read asks. */
static void test_read_inside_a_callback_is_answered_in_a_later_turn(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send_to(f, "alice", STR("1")), ERR_OK);
    mapping_store_read(f->store, STR("alice"), NULL, 0, on_page_read_again, f);
    mapping_store_read(f->store, STR("nobody"), NULL, 64, on_page, f);

    assert_int_equal(f->n_pages, 0);
    fake_loop_turn(f->loop);
    assert_int_equal(f->n_pages, 2);
    assert_int_equal(f->n_read, 0);
    fake_loop_turn(f->loop);

    assert_int_equal(f->n_pages, 3);
    assert_int_equal(f->n_read, 1);
}

#define MEMORY_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct store_maker maker = {
        .name = "memory_store",
        .make_loop = loop_create,
        .make_store = make_store,
        .run_until = run_until,
    };
    const struct inbox_maker inbox_maker = {
        .name = "memory_store's inboxes",
        .make_loop = loop_create,
        .make_store = memory_store_create,
        .run_until = run_until,
        .let_pass = fake_loop_advance,
    };
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(test_time_of_a_message_is_since_1970),
        MEMORY_TEST(test_time_of_a_message_follows_the_clock),
        MEMORY_TEST(test_ids_rise_although_the_clock_was_put_back),
        MEMORY_TEST(test_old_messages_of_nobody_give_their_memory_back),
        MEMORY_TEST(test_read_inside_a_callback_is_answered_in_a_later_turn),
    };
    return run_store_contract(&maker) + run_inbox_contract(&inbox_maker) +
           cmocka_run_group_tests_name("memory_store, what is its own", tests, NULL, NULL);
}
