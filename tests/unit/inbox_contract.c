#include "inbox_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGES_MAX = 8,   /* of an inbox, but for the tests that need many */
    MANY = 200,         /* more than three pages */
    RETENTION_MS = 3000 /* of the tests in which it passes: what is new is read long before */
};

static const struct inbox_limits small = {
    .messages_max = MESSAGES_MAX, .retention_ms = 3600000, .memory_max = 16777216};
static const struct inbox_limits large = {
    .messages_max = 1000, .retention_ms = 3600000, .memory_max = 16777216};
static const struct inbox_limits brief = {
    .messages_max = MESSAGES_MAX, .retention_ms = RETENTION_MS, .memory_max = 16777216};

/* What one send said. */
struct answer {
    enum err err;
    struct message_id id;
    struct message_id previous;
    bool is_dup;
    size_t n_devices;
};

/* A page, copied. */
struct page {
    enum err err;
    struct message_id after;
    struct message_id newest;
    bool dropped;
    bool gap;
    size_t n;
    struct message_id ids[INBOX_PAGE_MESSAGES_MAX];
    char from[INBOX_PAGE_MESSAGES_MAX][16];
    char body[INBOX_PAGE_MESSAGES_MAX][16]; /* its beginning */
    size_t body_len[INBOX_PAGE_MESSAGES_MAX];
};

struct fixture {
    struct loop *loop;
    struct mapping_store *store;
    int n_answers;
    struct answer answers[2 * MANY];
    int n_pages;
    struct page page; /* the last one */
    int n_closed;
    int n_bound;
};

static const struct inbox_maker *maker;
static struct fixture fixture;

static void make_store(struct fixture *f, const struct inbox_limits *limits)
{
    if (f->store != NULL) {
        f->store->ops->destroy(f->store);
        if (maker->start != NULL) {
            maker->start();
        }
    }
    f->store = maker->make_store(f->loop, limits);
    assert_non_null(f->store->inbox);
}

static int setup(void **state)
{
    memset(&fixture, 0, sizeof fixture);
    if (maker->start != NULL) {
        maker->start();
    }
    fixture.loop = maker->make_loop();
    make_store(&fixture, &small);
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

static void on_sent(void *ctx, const struct sent *sent)
{
    (void)ctx;
    assert_in_range(fixture.n_answers, 0, 2 * MANY - 1);
    fixture.answers[fixture.n_answers++] =
        (struct answer){sent->err, sent->id, sent->previous, sent->is_dup, sent->n};
}

static void copy(char out[16], struct str s)
{
    snprintf(out, 16, "%.*s", s.len < 15 ? (int)s.len : 15, s.ptr);
}

static void on_read(void *ctx, const struct inbox_page *page)
{
    (void)ctx;
    struct page *to = &fixture.page;
    *to = (struct page){.err = page->err};
    if (page->err == ERR_OK) {
        to->after = page->after;
        to->newest = page->newest;
        to->dropped = page->dropped;
        to->gap = page->gap;
        to->n = page->n;
        assert_in_range(page->n, 0, INBOX_PAGE_MESSAGES_MAX);
    }
    for (size_t i = 0; i < to->n; i++) {
        to->ids[i] = page->messages[i].id;
        to->body_len[i] = page->messages[i].body.len;
        copy(to->from[i], page->messages[i].from);
        copy(to->body[i], page->messages[i].body);
        assert_false(page->messages[i].is_broadcast);
    }
    fixture.n_pages++;
}

static void on_bound(void *ctx, conn_id device, enum err err)
{
    (void)ctx;
    (void)device;
    assert_int_equal(err, ERR_OK);
    fixture.n_bound++;
}

static void ask(struct fixture *f, const struct message *message)
{
    mapping_store_send(f->store, message, on_sent, NULL);
}

static void run_until_answers(struct fixture *f, int n)
{
    maker->run_until(f->loop, &f->n_answers, n);
    assert_int_equal(f->n_answers, n);
}

static struct answer send_message(struct fixture *f, const struct message *message)
{
    int n = f->n_answers;
    ask(f, message);
    assert_int_equal(f->n_answers, n); /* from a later turn */
    run_until_answers(f, n + 1);
    return f->answers[n];
}

static struct answer send(struct fixture *f, const char *to, const char *body)
{
    return send_message(
        f, &(struct message){.to = str_of(to), .from = STR("sender"), .body = str_of(body)});
}

static struct message_id given_sent(struct fixture *f, const char *to, const char *body)
{
    struct answer answer = send(f, to, body);
    assert_int_equal(answer.err, ERR_OK);
    assert_false(answer.is_dup);
    assert_false(message_id_is_none(answer.id));
    return answer.id;
}

static const struct page *read_from(struct fixture *f, struct str uid,
                                    const struct message_id *after)
{
    int n = f->n_pages;
    mapping_store_read(f->store, uid, after, INBOX_PAGE_MESSAGES_MAX, on_read, NULL);
    assert_int_equal(f->n_pages, n);
    maker->run_until(f->loop, &f->n_pages, n + 1);
    assert_int_equal(f->n_pages, n + 1);
    return &f->page;
}

static const struct page *read_after(struct fixture *f, const char *uid, struct message_id after)
{
    return read_from(f, str_of(uid), &after);
}

static const struct page *read_unconfirmed(struct fixture *f, const char *uid)
{
    return read_from(f, str_of(uid), NULL);
}

static void confirm(struct fixture *f, const char *uid, struct message_id id)
{
    mapping_store_confirm(f->store, str_of(uid), id);
}

static void assert_id(struct message_id a, struct message_id b)
{
    assert_int_equal(message_id_compare(a, b), 0);
}

enum missing {
    WHOLE,
    PERHAPS, /* a gap, for all the store knows */
    DROPPED  /* a gap */
};

static void then_page(const struct page *page, size_t n, enum missing missing)
{
    assert_int_equal(page->err, ERR_OK);
    assert_int_equal(page->n, n);
    assert_int_equal(page->gap, missing != WHOLE);
    assert_int_equal(page->dropped, missing == DROPPED);
}

/* [HIST-1] [HIST-3] What was sent is there, also for a uid that nobody is signed as. */
static void test_send_then_read_gives_the_message(void **state)
{
    struct fixture *f = *state;

    struct message_id id = given_sent(f, "alice", "\"hi\"");
    const struct page *page = read_unconfirmed(f, "alice");

    then_page(page, 1, WHOLE);
    assert_id(page->after, MESSAGE_ID_NONE);
    assert_id(page->newest, id);
    assert_id(page->ids[0], id);
    assert_string_equal(page->from[0], "sender");
    assert_string_equal(page->body[0], "\"hi\"");
}

static void test_send_gives_the_devices_as_without_history(void **state)
{
    struct fixture *f = *state;
    mapping_store_bind(f->store, 7, STR("alice"), on_bound, NULL);
    maker->run_until(f->loop, &f->n_bound, 1);

    assert_int_equal(send(f, "alice", "1").n_devices, 1);
    assert_int_equal(send(f, "bob", "1").n_devices, 0);
}

/* [HIST-4] "Unique, and rise": in the order of the calls, whatever is on its way at once; and each
 * names the one before it. */
static void test_ids_rise_in_the_order_of_the_calls(void **state)
{
    struct fixture *f = *state;
    make_store(f, &large);
    char bodies[MANY][8];

    for (int i = 0; i < MANY; i++) {
        snprintf(bodies[i], sizeof bodies[i], "%d", i);
        ask(f, &(struct message){
                   .to = STR("alice"), .from = STR("sender"), .body = str_of(bodies[i])});
    }
    run_until_answers(f, MANY);

    assert_id(f->answers[0].previous, MESSAGE_ID_NONE);
    for (int i = 1; i < MANY; i++) {
        assert_true(message_id_compare(f->answers[i - 1].id, f->answers[i].id) < 0);
        assert_id(f->answers[i].previous, f->answers[i - 1].id);
    }
    then_page(read_unconfirmed(f, "alice"), INBOX_PAGE_MESSAGES_MAX, WHOLE);
    assert_string_equal(f->page.body[10], "10");
    assert_id(f->page.ids[10], f->answers[10].id);
}

/* Page behind page, each message once, in order. */
static void test_pages_follow_each_other(void **state)
{
    struct fixture *f = *state;
    make_store(f, &large);
    for (int i = 0; i < MANY; i++) {
        given_sent(f, "alice", "1");
    }

    struct message_id after = MESSAGE_ID_NONE;
    int n = 0;
    while (read_after(f, "alice", after)->n > 0) {
        assert_id(f->page.after, after);
        for (size_t i = 0; i < f->page.n; i++) {
            assert_id(f->page.ids[i], f->answers[n++].id);
        }
        after = f->page.ids[f->page.n - 1];
        assert_id(f->page.newest, f->answers[MANY - 1].id);
    }

    assert_int_equal(n, MANY);
}

/* As many as are wanted: none, if only the inbox itself is. */
static void test_read_gives_no_more_than_is_wanted(void **state)
{
    struct fixture *f = *state;
    struct message_id first = given_sent(f, "alice", "1");
    struct message_id last = given_sent(f, "alice", "2");

    mapping_store_read(f->store, STR("alice"), NULL, 1, on_read, NULL);
    maker->run_until(f->loop, &f->n_pages, 1);
    then_page(&f->page, 1, WHOLE);
    assert_id(f->page.ids[0], first);
    mapping_store_read(f->store, STR("alice"), NULL, 0, on_read, NULL);
    maker->run_until(f->loop, &f->n_pages, 2);

    then_page(&f->page, 0, WHOLE);
    assert_id(f->page.newest, last);
}

/* A page ends after so many bytes; a body that is longer comes alone. */
static void test_pages_are_limited_in_bytes(void **state)
{
    struct fixture *f = *state;
    enum {
        SIZE = INBOX_PAGE_SIZE_MAX / 2,
        HUGE = INBOX_PAGE_SIZE_MAX + 1
    };
    static char body[HUGE];
    memset(body, '7', sizeof body);
    struct message message = {.to = STR("alice"), .from = STR("sender"), .body = {body, SIZE}};
    struct message_id ids[4];
    for (int i = 0; i < 3; i++) {
        ids[i] = send_message(f, &message).id;
    }
    message.body.len = HUGE;
    ids[3] = send_message(f, &message).id;

    then_page(read_unconfirmed(f, "alice"), 2, WHOLE);
    assert_int_equal(f->page.body_len[1], SIZE);
    then_page(read_after(f, "alice", ids[1]), 1, WHOLE);
    then_page(read_after(f, "alice", ids[2]), 1, WHOLE);
    assert_int_equal(f->page.body_len[0], HUGE);
    assert_id(f->page.newest, ids[3]);
}

/* [HIST-8] [HIST-21] */
static void test_read_begins_behind_the_given_id(void **state)
{
    struct fixture *f = *state;
    struct message_id first = given_sent(f, "alice", "1");
    struct message_id second = given_sent(f, "alice", "2");
    struct message_id beyond = {second.ms + 1000000, 5};

    then_page(read_after(f, "alice", first), 1, WHOLE);
    assert_id(f->page.ids[0], second);
    then_page(read_after(f, "alice", second), 0, WHOLE);
    assert_id(f->page.newest, second);
    then_page(read_after(f, "alice", beyond), 0, WHOLE);
    assert_id(f->page.newest, second);
    assert_id(f->page.after, beyond);
    then_page(read_after(f, "alice", MESSAGE_ID_NONE), 2, WHOLE);
}

/* [HIST-13] Confirmed ones do not come again without an id, and come with one. */
static void test_read_begins_behind_what_is_confirmed(void **state)
{
    struct fixture *f = *state;
    struct message_id first = given_sent(f, "alice", "1");
    struct message_id second = given_sent(f, "alice", "2");

    confirm(f, "alice", first);
    then_page(read_unconfirmed(f, "alice"), 1, WHOLE);
    assert_id(f->page.after, first);
    assert_id(f->page.ids[0], second);
    confirm(f, "alice", second);
    confirm(f, "alice", first);
    then_page(read_unconfirmed(f, "alice"), 0, WHOLE);
    assert_id(f->page.newest, second);
    then_page(read_after(f, "alice", MESSAGE_ID_NONE), 2, WHOLE);
}

/* What has not been sent cannot be confirmed. */
static void test_confirm_beyond_the_last_is_the_last(void **state)
{
    struct fixture *f = *state;
    struct message_id first = given_sent(f, "alice", "1");
    struct message_id beyond = {first.ms + 1000000, 0};

    confirm(f, "alice", beyond);
    confirm(f, "bob", beyond);
    struct message_id second = given_sent(f, "alice", "2");
    given_sent(f, "bob", "1");

    then_page(read_unconfirmed(f, "alice"), 1, WHOLE);
    assert_id(f->page.ids[0], second);
    then_page(read_unconfirmed(f, "bob"), 1, WHOLE);
}

/* [HIST-16] As many as allowed are not confirmed: full, and nothing is stored. */
static void test_send_to_a_full_inbox_is_refused(void **state)
{
    struct fixture *f = *state;
    struct message_id last = MESSAGE_ID_NONE;
    for (int i = 0; i < MESSAGES_MAX; i++) {
        last = given_sent(f, "alice", "1");
    }

    struct answer answer = send(f, "alice", "\"too much\"");

    assert_int_equal(answer.err, ERR_FULL);
    then_page(read_unconfirmed(f, "alice"), MESSAGES_MAX, WHOLE);
    assert_id(f->page.newest, last);
    given_sent(f, "bob", "1");
}

/* [HIST-17] [HIST-10] [HIST-11] Confirmed ones make room, the oldest first. Who asks for what was
 * dropped is told. */
static void test_confirmed_messages_make_room(void **state)
{
    struct fixture *f = *state;
    struct message_id ids[MESSAGES_MAX];
    for (int i = 0; i < MESSAGES_MAX; i++) {
        ids[i] = given_sent(f, "alice", "1");
    }

    confirm(f, "alice", ids[1]);
    given_sent(f, "alice", "2");
    then_page(read_after(f, "alice", MESSAGE_ID_NONE), MESSAGES_MAX, DROPPED);
    assert_id(f->page.ids[0], ids[1]);
    then_page(read_after(f, "alice", ids[0]), MESSAGES_MAX, WHOLE);
    given_sent(f, "alice", "3");
    assert_int_equal(send(f, "alice", "4").err, ERR_FULL);

    then_page(read_after(f, "alice", ids[0]), MESSAGES_MAX, DROPPED);
    then_page(read_after(f, "alice", ids[1]), MESSAGES_MAX, WHOLE);
    then_page(read_unconfirmed(f, "alice"), MESSAGES_MAX, WHOLE);
    assert_id(f->page.ids[0], ids[2]);
}

static struct answer send_with_cid(struct fixture *f, struct str to, struct str from,
                                   struct str cid)
{
    struct message message = {.to = to, .from = from, .body = STR("1"), .cid = cid};
    return send_message(f, &message);
}

/* [HIST-18] A retry is the message that is there. */
static void test_retry_is_not_stored_again(void **state)
{
    struct fixture *f = *state;
    struct answer first = send_with_cid(f, STR("alice"), STR("bob"), STR("m\0001"));
    given_sent(f, "alice", "2");

    struct answer again = send_with_cid(f, STR("alice"), STR("bob"), STR("m\0001"));

    assert_false(first.is_dup);
    assert_int_equal(again.err, ERR_OK);
    assert_true(again.is_dup);
    assert_id(again.id, first.id);
    then_page(read_unconfirmed(f, "alice"), 2, WHOLE);
}

/* Also when there is no room for another. */
static void test_retry_to_a_full_inbox_is_known(void **state)
{
    struct fixture *f = *state;
    struct answer first = send_with_cid(f, STR("alice"), STR("bob"), STR("m"));
    for (int i = 1; i < MESSAGES_MAX; i++) {
        given_sent(f, "alice", "1");
    }

    assert_int_equal(send_with_cid(f, STR("alice"), STR("bob"), STR("n")).err, ERR_FULL);
    struct answer again = send_with_cid(f, STR("alice"), STR("bob"), STR("m"));
    confirm(f, "alice", first.id);
    struct answer refused = send_with_cid(f, STR("alice"), STR("bob"), STR("n"));

    assert_true(again.is_dup);
    assert_int_equal(refused.err, ERR_OK);
    assert_false(refused.is_dup); /* what was refused is no first one */
}

/* [HIST-19] */
static void test_other_messages_are_no_retries(void **state)
{
    struct fixture *f = *state;
    send_with_cid(f, STR("alice"), STR("bob"), STR("m1"));

    assert_false(send_with_cid(f, STR("alice"), STR("bob"), STR("m2")).is_dup);
    assert_false(send_with_cid(f, STR("alice"), STR("bo"), STR("bm1")).is_dup);
    assert_false(send_with_cid(f, STR("alice"), STR("carol"), STR("m1")).is_dup);
    assert_false(send_with_cid(f, STR("dave"), STR("bob"), STR("m1")).is_dup);
    assert_false(send_with_cid(f, STR("alice"), STR("bob"), STR("")).is_dup);
    assert_false(send_with_cid(f, STR("alice"), STR("bob"), STR("")).is_dup);
    then_page(read_unconfirmed(f, "alice"), 6, WHOLE);
}

/* Nothing was ever sent: nothing is missing, unless somebody has an id to show. */
static void test_read_of_an_unknown_uid(void **state)
{
    struct fixture *f = *state;

    then_page(read_unconfirmed(f, "alice"), 0, WHOLE);
    assert_id(f->page.newest, MESSAGE_ID_NONE);
    then_page(read_after(f, "alice", MESSAGE_ID_NONE), 0, WHOLE);
    then_page(read_after(f, "alice", (struct message_id){5, 0}), 0, PERHAPS);
}

/* [HIST-10] An id from before this inbox began: what came behind it may be lost. */
static void test_read_from_before_the_inbox_has_a_gap(void **state)
{
    struct fixture *f = *state;
    struct message_id id = given_sent(f, "alice", "1");

    then_page(read_after(f, "alice", (struct message_id){5, 0}), 1, PERHAPS);
    assert_id(f->page.ids[0], id);
    then_page(read_after(f, "alice", id), 0, WHOLE);
}

/* [UID-4] Each uid has its own inbox, whatever its bytes. */
static void test_uids_are_any_bytes(void **state)
{
    struct fixture *f = *state;
    char longest[128];
    memset(longest, '{', sizeof longest);
    const struct str uids[] = {STR("a}"),        STR("a%7D"),    STR("a%7d"),
                               STR("{a}"),       STR("a\0b"),    STR("a\0c"),
                               STR("用户 \r\n"), {longest, 127}, {longest, 128}};
    enum {
        N = sizeof uids / sizeof uids[0]
    };
    struct message_id ids[N];
    for (size_t i = 0; i < N; i++) {
        struct message message = {
            .to = uids[i], .from = STR("sender"), .body = STR("1"), .cid = uids[0]};
        struct answer answer = send_message(f, &message);
        assert_false(answer.is_dup);
        ids[i] = answer.id;
    }

    for (size_t i = 0; i < N; i++) {
        then_page(read_from(f, uids[i], NULL), 1, WHOLE);
        assert_id(f->page.ids[0], ids[i]);
    }
}

/* "Copies its arguments." */
static void test_read_copies_its_arguments(void **state)
{
    struct fixture *f = *state;
    struct message_id after = given_sent(f, "alice", "1");
    given_sent(f, "alice", "2");
    char uid[] = "alice";

    mapping_store_read(f->store, str_of(uid), &after, INBOX_PAGE_MESSAGES_MAX, on_read, NULL);
    memset(uid, 'z', sizeof uid - 1);
    after = MESSAGE_ID_NONE;
    maker->run_until(f->loop, &f->n_pages, 1);

    then_page(&f->page, 1, WHOLE);
    assert_string_equal(f->page.body[0], "2");
}

/* [HIST-15] What is too old is gone, and missed by who has not confirmed it. */
static void test_old_messages_are_dropped(void **state)
{
    struct fixture *f = *state;
    make_store(f, &brief);
    given_sent(f, "alice", "1");
    struct message_id old = given_sent(f, "alice", "2");
    struct message_id read = given_sent(f, "bob", "1");
    confirm(f, "bob", read);

    maker->let_pass(f->loop, RETENTION_MS + 20);

    then_page(read_unconfirmed(f, "alice"), 0, DROPPED);
    assert_id(f->page.newest, old);
    then_page(read_after(f, "alice", old), 0, WHOLE);
    then_page(read_unconfirmed(f, "bob"), 0, WHOLE);
    struct message_id id = given_sent(f, "alice", "3");
    then_page(read_unconfirmed(f, "alice"), 1, DROPPED);
    assert_id(f->page.ids[0], id);
    then_page(read_after(f, "alice", old), 1, WHOLE);
}

/* [HIST-16] Old ones are not in the way. */
static void test_old_messages_make_room(void **state)
{
    struct fixture *f = *state;
    make_store(f, &brief);
    for (int i = 0; i < MESSAGES_MAX; i++) {
        given_sent(f, "alice", "1");
    }

    maker->let_pass(f->loop, RETENTION_MS + 20);

    struct message_id id = given_sent(f, "alice", "2");
    then_page(read_unconfirmed(f, "alice"), 1, DROPPED);
    assert_id(f->page.ids[0], id);
}

static void on_closed(void *ctx)
{
    (void)ctx;
    fixture.n_closed++;
}

static void test_read_after_close_is_unavailable(void **state)
{
    struct fixture *f = *state;
    given_sent(f, "alice", "1");

    mapping_store_close(f->store, on_closed, NULL);
    confirm(f, "alice", f->answers[0].id);
    read_unconfirmed(f, "alice");
    maker->run_until(f->loop, &f->n_closed, 1);

    assert_int_equal(f->page.err, ERR_UNAVAILABLE);
}

/* "At destroy() inside that." */
static void test_destroy_answers_reads_that_are_pending(void **state)
{
    struct fixture *f = *state;
    given_sent(f, "alice", "1");

    mapping_store_read(f->store, STR("alice"), NULL, 1, on_read, NULL);
    mapping_store_read(f->store, STR("bob"), NULL, 1, on_read, NULL);
    assert_int_equal(f->n_pages, 0);
    f->store->ops->destroy(f->store);
    f->store = NULL;

    assert_int_equal(f->n_pages, 2);
    assert_int_equal(f->page.err, ERR_UNAVAILABLE);
}

#define CONTRACT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int run_inbox_contract(const struct inbox_maker *inbox_maker)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_send_then_read_gives_the_message),
        CONTRACT_TEST(test_send_gives_the_devices_as_without_history),
        CONTRACT_TEST(test_ids_rise_in_the_order_of_the_calls),
        CONTRACT_TEST(test_pages_follow_each_other),
        CONTRACT_TEST(test_read_gives_no_more_than_is_wanted),
        CONTRACT_TEST(test_pages_are_limited_in_bytes),
        CONTRACT_TEST(test_read_begins_behind_the_given_id),
        CONTRACT_TEST(test_read_begins_behind_what_is_confirmed),
        CONTRACT_TEST(test_confirm_beyond_the_last_is_the_last),
        CONTRACT_TEST(test_send_to_a_full_inbox_is_refused),
        CONTRACT_TEST(test_confirmed_messages_make_room),
        CONTRACT_TEST(test_retry_is_not_stored_again),
        CONTRACT_TEST(test_retry_to_a_full_inbox_is_known),
        CONTRACT_TEST(test_other_messages_are_no_retries),
        CONTRACT_TEST(test_read_of_an_unknown_uid),
        CONTRACT_TEST(test_read_from_before_the_inbox_has_a_gap),
        CONTRACT_TEST(test_uids_are_any_bytes),
        CONTRACT_TEST(test_read_copies_its_arguments),
        CONTRACT_TEST(test_old_messages_are_dropped),
        CONTRACT_TEST(test_old_messages_make_room),
        CONTRACT_TEST(test_read_after_close_is_unavailable),
        CONTRACT_TEST(test_destroy_answers_reads_that_are_pending),
    };
    maker = inbox_maker;
    return cmocka_run_group_tests_name(inbox_maker->name, tests, NULL, NULL);
}
