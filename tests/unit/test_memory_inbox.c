/* The messages of all uids in memory: what is retained, for how long, and what is said of what is
 * not. SPEC 7, include/chat/inbox.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "chat/mem.h"
#include "exact_copy.h"
#include "mapping_store/memory_inbox.h"

enum {
    MESSAGES_MAX = 8,
    RETENTION_MS = 1000000,
    MEMORY_MAX = 1000000,
    NOW_MS = 50000000
};

#define NONE MESSAGE_ID_NONE
#define ID(ms, n) ((struct message_id){(ms), (n)})

struct fixture {
    struct memory_inbox *inbox;
    uint64_t now_ms;
};

static int setup(void **state)
{
    static const struct inbox_limits limits = {
        .messages_max = MESSAGES_MAX, .retention_ms = RETENTION_MS, .memory_max = MEMORY_MAX};
    struct fixture *f = mem_alloc(sizeof *f);
    f->inbox = memory_inbox_create(&limits);
    f->now_ms = NOW_MS;
    *state = f;
    return 0;
}

/* Destroying it asserts that the accounts of its memory end at 0. */
static int teardown(void **state)
{
    struct fixture *f = *state;
    memory_inbox_destroy(f->inbox);
    free(f);
    return 0;
}

/* ---- words ---- */

/* What it is given is gone when the call returns. */
static enum err append(struct fixture *f, struct message message, struct sent *sent)
{
    struct str *texts[] = {&message.to, &message.from, &message.body, &message.cid};
    char *copies[4];
    for (int i = 0; i < 4; i++) {
        copies[i] = exact_copy(*texts[i]);
        texts[i]->ptr = copies[i];
    }
    enum err err = memory_inbox_append(f->inbox, &message, f->now_ms, sent);
    for (int i = 0; i < 4; i++) {
        free(copies[i]);
    }
    return err;
}

static struct message message_to(const char *to, const char *body)
{
    return (struct message){.to = str_of(to), .from = STR("alice"), .body = str_of(body)};
}

static struct message with_cid(struct message message, struct str cid)
{
    message.cid = cid;
    return message;
}

/* A message is stored. Its id. */
static struct message_id given_message(struct fixture *f, const char *to, const char *body)
{
    struct sent sent = {0};
    assert_int_equal(append(f, message_to(to, body), &sent), ERR_OK);
    assert_false(sent.is_dup);
    return sent.id;
}

static void given_messages(struct fixture *f, const char *to, int n)
{
    for (int i = 0; i < n; i++) {
        char body[12];
        snprintf(body, sizeof body, "%d", i);
        given_message(f, to, body);
    }
}

static struct inbox_page when_read(struct fixture *f, const char *uid, struct message_id after)
{
    struct inbox_page page;
    memory_inbox_read(f->inbox, str_of(uid), &after, INBOX_PAGE_MESSAGES_MAX, f->now_ms, &page);
    return page;
}

static struct inbox_page when_read_unconfirmed(struct fixture *f, const char *uid)
{
    struct inbox_page page;
    memory_inbox_read(f->inbox, str_of(uid), NULL, INBOX_PAGE_MESSAGES_MAX, f->now_ms, &page);
    return page;
}

static void when_confirmed(struct fixture *f, const char *uid, struct message_id id)
{
    memory_inbox_confirm(f->inbox, str_of(uid), id);
}

static void then_id(struct message_id id, struct message_id want)
{
    if (message_id_compare(id, want) != 0) {
        fail_msg("%llu-%llu instead of %llu-%llu", (unsigned long long)id.ms,
                 (unsigned long long)id.n, (unsigned long long)want.ms, (unsigned long long)want.n);
    }
}

/* The bodies of the page, with blanks between. */
static void then_bodies(const struct inbox_page *page, const char *want)
{
    char have[1024] = "";
    assert_int_equal(page->err, ERR_OK);
    for (size_t i = 0; i < page->n; i++) {
        snprintf(have + strlen(have), sizeof have - strlen(have), "%s%.*s", i > 0 ? " " : "",
                 (int)page->messages[i].body.len, page->messages[i].body.ptr);
    }
    assert_string_equal(have, want);
}

static void then_nothing_missing(const struct inbox_page *page)
{
    assert_false(page->dropped);
    assert_false(page->gap);
}

static void then_dropped(const struct inbox_page *page)
{
    assert_true(page->dropped);
    assert_true(page->gap);
}

/* ---- ids ---- */

/* [HIST-4] Each id is the time, and says which one was before. */
static void test_append_gives_the_id_and_the_one_before(void **state)
{
    struct fixture *f = *state;
    struct sent first = {.previous = {4, 4}, .is_dup = true};
    struct sent second = {0};

    assert_int_equal(append(f, message_to("bob", "1"), &first), ERR_OK);
    f->now_ms += 5;
    assert_int_equal(append(f, message_to("bob", "2"), &second), ERR_OK);

    then_id(first.id, ID(NOW_MS, 0));
    then_id(first.previous, NONE);
    assert_false(first.is_dup);
    then_id(second.id, ID(NOW_MS + 5, 0));
    then_id(second.previous, first.id);
}

/* [HIST-4] In the same millisecond … */
static void test_ids_of_one_millisecond_rise(void **state)
{
    struct fixture *f = *state;
    then_id(given_message(f, "bob", "1"), ID(NOW_MS, 0));
    then_id(given_message(f, "bob", "2"), ID(NOW_MS, 1));
    then_id(given_message(f, "bob", "3"), ID(NOW_MS, 2));
    then_id(given_message(f, "carol", "4"), ID(NOW_MS, 0)); /* each uid has ids of its own */
    f->now_ms++;
    then_id(given_message(f, "bob", "5"), ID(NOW_MS + 1, 0));
}

/* … and when the clock steps back. */
static void test_ids_when_the_clock_steps_back_rise(void **state)
{
    struct fixture *f = *state;
    then_id(given_message(f, "bob", "1"), ID(NOW_MS, 0));
    f->now_ms -= 100;
    then_id(given_message(f, "bob", "2"), ID(NOW_MS, 1));
    f->now_ms += 99;
    then_id(given_message(f, "bob", "3"), ID(NOW_MS, 2));
    f->now_ms += 2;
    then_id(given_message(f, "bob", "4"), ID(NOW_MS + 1, 0));
    struct inbox_page page = when_read(f, "bob", NONE);
    then_bodies(&page, "1 2 3 4");
}

/* ---- reading ---- */

/* [HIST-6] [HIST-8] As it was stored, oldest first, of this uid only. */
static void test_read_gives_what_was_stored_in_order(void **state)
{
    struct fixture *f = *state;
    struct sent sent;
    struct message message = {.to = STR("b\0b"), .from = STR("al\0ice"), .body = STR("{\"a\":[]}")};
    assert_int_equal(append(f, message, &sent), ERR_OK);
    message.from = STR("carol");
    message.body = STR("0");
    assert_int_equal(append(f, message, &sent), ERR_OK);
    given_message(f, "b", "2");

    struct inbox_page page;
    memory_inbox_read(f->inbox, STR("b\0b"), &NONE, 64, f->now_ms, &page);

    assert_int_equal(page.n, 2);
    then_id(page.messages[0].id, ID(NOW_MS, 0));
    assert_true(str_eq(page.messages[0].from, STR("al\0ice")));
    assert_true(str_eq(page.messages[0].body, STR("{\"a\":[]}")));
    assert_false(page.messages[0].is_broadcast);
    then_id(page.messages[1].id, ID(NOW_MS, 1));
    assert_true(str_eq(page.messages[1].from, STR("carol")));
    then_id(page.newest, ID(NOW_MS, 1));
    then_nothing_missing(&page);
}

/* [HIST-8] "Every retained message with an id after since": it need not be the id of one. */
static void test_read_begins_behind_after(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        given_messages(f, "bob", 1);
        f->now_ms += 10;
    }
    const struct {
        struct message_id after;
        size_t n;
    } rows[] = {
        {NONE, 5},
        {ID(NOW_MS, 0), 4},
        {ID(NOW_MS, 1), 4},
        {ID(NOW_MS + 10, 0), 3},
        {ID(NOW_MS + 15, 0), 3},
        {ID(NOW_MS + 39, 9), 1},
        {ID(NOW_MS + 40, 0), 0},
        {ID(NOW_MS + 4000, 0), 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct inbox_page page = when_read(f, "bob", rows[i].after);
        assert_int_equal(page.n, rows[i].n);
        then_id(page.after, rows[i].after);
        then_id(page.newest, ID(NOW_MS + 40, 0));
        then_nothing_missing(&page);
    }
}

/* Page by page, as many as were asked for; the ring of the messages has turned meanwhile. */
static void test_read_is_paged_by_number(void **state)
{
    struct fixture *f = *state;
    given_messages(f, "bob", 6);
    when_confirmed(f, "bob", ID(NOW_MS, 3));
    given_messages(f, "bob", 5);
    struct message_id after = ID(NOW_MS, 2);
    static const char *const pages[] = {"3 4 5", "0 1 2", "3 4", ""};
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        struct inbox_page page;
        memory_inbox_read(f->inbox, STR("bob"), &after, 3, f->now_ms, &page);
        then_bodies(&page, pages[i]);
        then_nothing_missing(&page);
        after = page.n > 0 ? page.messages[page.n - 1].id : after;
    }
}

/* INBOX_PAGE_SIZE_MAX: so much a page has, or one message. */
static void test_read_is_paged_by_bytes(void **state)
{
    struct fixture *f = *state;
    static char body[INBOX_PAGE_SIZE_MAX + 1];
    memset(body, '1', sizeof body);
    const size_t sizes[] = {INBOX_PAGE_SIZE_MAX,
                            INBOX_PAGE_SIZE_MAX / 2,
                            INBOX_PAGE_SIZE_MAX / 2 - 1,
                            1,
                            1,
                            INBOX_PAGE_SIZE_MAX,
                            INBOX_PAGE_SIZE_MAX + 1,
                            1};
    struct sent sent;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct message message = message_to("bob", "");
        message.body = (struct str){body, sizes[i]};
        assert_int_equal(append(f, message, &sent), ERR_OK);
    }
    struct message_id after = NONE;
    static const size_t counts[] = {1, 3, 1, 1, 1, 1, 0};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct inbox_page page = when_read(f, "bob", after);
        assert_int_equal(page.n, counts[i]);
        after = page.n > 0 ? page.messages[page.n - 1].id : after;
    }
}

/* inbox.h: with 0 only what the page says of the inbox. */
static void test_read_of_none_tells_of_the_inbox(void **state)
{
    struct fixture *f = *state;
    given_messages(f, "bob", 3);
    when_confirmed(f, "bob", ID(NOW_MS, 1));

    struct inbox_page page;
    memory_inbox_read(f->inbox, STR("bob"), NULL, 0, f->now_ms, &page);

    assert_int_equal(page.err, ERR_OK);
    assert_int_equal(page.n, 0);
    then_id(page.after, ID(NOW_MS, 1));
    then_id(page.newest, ID(NOW_MS, 2));
    then_nothing_missing(&page);
}

/* [HIST-10] [HIST-11] There never was a message: a since that names one is from elsewhere. */
static void test_read_of_an_unknown_uid(void **state)
{
    struct fixture *f = *state;
    struct inbox_page page = when_read_unconfirmed(f, "nobody");
    assert_int_equal(page.n, 0);
    then_id(page.after, NONE);
    then_id(page.newest, NONE);
    then_nothing_missing(&page);

    page = when_read(f, "nobody", NONE);
    then_nothing_missing(&page);

    page = when_read(f, "nobody", ID(7, 0));
    then_id(page.after, ID(7, 0));
    then_id(page.newest, NONE);
    assert_true(page.gap);
    assert_false(page.dropped);
}

/* [HIST-10] [HIST-11] What may have been dropped before the store knew of the uid: told to those
 * who have got older messages, but not to those who ask for all, or begin at the first one. */
static void test_read_from_before_the_inbox_was_created_may_miss_something(void **state)
{
    struct fixture *f = *state;
    given_messages(f, "bob", 2);
    const struct {
        struct message_id after;
        bool gap;
    } rows[] = {
        {NONE, false},
        {ID(0, 1), true},
        {ID(NOW_MS - 1, 0), true},
        {ID(NOW_MS - 1, 9), true},
        {ID(NOW_MS, 0), false},
        {ID(NOW_MS, 1), false},
        {ID(NOW_MS + 9, 0), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct inbox_page page = when_read(f, "bob", rows[i].after);
        assert_int_equal(page.gap, rows[i].gap);
        assert_false(page.dropped);
    }
}

/* ---- confirmation ---- */

/* [HIST-13] "A pong with that payload MUST confirm every message of the uid up to that id." */
static void test_confirmed_messages_do_not_come_unasked(void **state)
{
    struct fixture *f = *state;
    given_messages(f, "bob", 4);
    given_messages(f, "carol", 1);

    when_confirmed(f, "bob", ID(NOW_MS, 1));

    struct inbox_page page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "2 3");
    then_id(page.after, ID(NOW_MS, 1));
    then_nothing_missing(&page);
    page = when_read_unconfirmed(f, "carol");
    then_bodies(&page, "0");
    page = when_read(f, "bob", NONE); /* they are retained all the same */
    then_bodies(&page, "0 1 2 3");
}

static void test_confirm_never_goes_back(void **state)
{
    struct fixture *f = *state;
    given_messages(f, "bob", 4);

    when_confirmed(f, "bob", ID(NOW_MS, 2));
    when_confirmed(f, "bob", ID(NOW_MS, 0));
    when_confirmed(f, "nobody", ID(NOW_MS, 0));
    given_messages(f, "carol", 1);
    when_confirmed(f, "carol", ID(NOW_MS + 9, 0)); /* nor beyond the last message */
    given_messages(f, "carol", 2);

    struct inbox_page page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "3");
    page = when_read_unconfirmed(f, "carol");
    then_bodies(&page, "0 1");
    page = when_read_unconfirmed(f, "nobody");
    then_id(page.after, NONE);
}

/* ---- what is dropped ---- */

/* [HIST-16] "As many messages which are not confirmed as the limit": the next one is not stored. */
static void test_append_when_all_are_unconfirmed_is_full(void **state)
{
    struct fixture *f = *state;
    given_messages(f, "bob", MESSAGES_MAX);
    struct sent sent = {.id = {4, 4}};

    assert_int_equal(append(f, message_to("bob", "8"), &sent), ERR_FULL);

    then_id(sent.id, ID(4, 4)); /* untouched */
    struct inbox_page page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "0 1 2 3 4 5 6 7");
    then_nothing_missing(&page);
    given_messages(f, "carol", 1); /* the others are not full */
}

/* [HIST-17] "Confirmed ones are dropped first, the oldest first." */
static void test_append_when_full_drops_the_oldest_confirmed(void **state)
{
    struct fixture *f = *state;
    struct sent sent;
    given_messages(f, "bob", MESSAGES_MAX);
    when_confirmed(f, "bob", ID(NOW_MS, 1));

    given_message(f, "bob", "8");
    struct inbox_page page = when_read(f, "bob", NONE);
    then_bodies(&page, "1 2 3 4 5 6 7 8");
    given_message(f, "bob", "9");
    assert_int_equal(append(f, message_to("bob", "10"), &sent), ERR_FULL);

    page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "2 3 4 5 6 7 8 9");
    then_nothing_missing(&page); /* those were confirmed */
}

/* [HIST-10] [HIST-11] Who has got what was dropped, or all but it, misses nothing. */
static void test_read_behind_what_was_dropped(void **state)
{
    struct fixture *f = *state;
    given_messages(f, "bob", MESSAGES_MAX);
    when_confirmed(f, "bob", ID(NOW_MS, 7));
    given_messages(f, "bob", 3); /* instead of 0, 1 and 2 */

    struct inbox_page page = when_read(f, "bob", ID(NOW_MS, 1));
    then_bodies(&page, "3 4 5 6 7 0 1 2");
    then_dropped(&page);
    page = when_read(f, "bob", ID(NOW_MS, 2));
    then_bodies(&page, "3 4 5 6 7 0 1 2");
    then_nothing_missing(&page);
    page = when_read(f, "bob", ID(NOW_MS, 3));
    then_bodies(&page, "4 5 6 7 0 1 2");
    then_nothing_missing(&page);
}

/* [HIST-15] A message that is older than the retention is dropped, confirmed or not, at the next
 * look: of a read … */
static void test_read_drops_what_is_too_old(void **state)
{
    struct fixture *f = *state;
    given_message(f, "bob", "1");
    f->now_ms += 1;
    given_message(f, "bob", "2");

    f->now_ms = NOW_MS + RETENTION_MS;
    struct inbox_page page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "1 2");
    f->now_ms++;
    page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "2");
    then_dropped(&page);
    page = when_read(f, "bob", ID(NOW_MS, 0));
    then_bodies(&page, "2");
    then_nothing_missing(&page);
    f->now_ms++;
    page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "");
    then_dropped(&page);
    then_id(page.newest, ID(NOW_MS + 1, 0));
    when_confirmed(f, "bob", page.newest);
    page = when_read_unconfirmed(f, "bob");
    then_nothing_missing(&page);
}

/* … of an append, so that old messages are no reason to be full … */
static void test_append_drops_what_is_too_old(void **state)
{
    struct fixture *f = *state;
    given_messages(f, "bob", MESSAGES_MAX);

    f->now_ms += RETENTION_MS + 1;
    given_message(f, "bob", "8");

    struct inbox_page page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "8");
    then_dropped(&page);
}

/* A ring of which the first places are free again grows without a message lost. */
static void test_inbox_that_has_lost_old_messages_grows(void **state)
{
    struct fixture *f = *state;
    given_messages(f, "bob", 3);
    f->now_ms += RETENTION_MS + 1;

    given_messages(f, "bob", MESSAGES_MAX);

    struct inbox_page page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "0 1 2 3 4 5 6 7");
}

/* A body of 'len' bytes. */
static enum err append_long(struct fixture *f, const char *to, size_t len)
{
    static char body[MEMORY_MAX];
    struct sent sent;
    struct message message = message_to(to, "");
    message.body = (struct str){body, len};
    return append(f, message, &sent);
}

/* … of a sweep, which gives the memory of those back whom nobody looks at. */
static void test_sweep_drops_what_is_too_old(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append_long(f, "bob", MEMORY_MAX / 2), ERR_OK);
    assert_int_equal(append_long(f, "bob", MEMORY_MAX / 2), ERR_UNAVAILABLE);

    f->now_ms += RETENTION_MS;
    memory_inbox_sweep(f->inbox, f->now_ms);
    assert_int_equal(append_long(f, "carol", MEMORY_MAX / 2), ERR_UNAVAILABLE);
    f->now_ms++;
    memory_inbox_sweep(f->inbox, f->now_ms);
    assert_int_equal(append_long(f, "carol", MEMORY_MAX / 2), ERR_OK);
    struct inbox_page page = when_read_unconfirmed(f, "bob");
    then_dropped(&page);
}

/* A few at a time: after a few sweeps all have had their turn, however many there are. */
static void test_sweeps_come_to_every_uid(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 250; i++) {
        char uid[12];
        snprintf(uid, sizeof uid, "%d", i);
        assert_int_equal(append_long(f, uid, 3000), ERR_OK);
    }
    assert_int_equal(append_long(f, "bob", MEMORY_MAX / 2), ERR_UNAVAILABLE);
    f->now_ms += RETENTION_MS + 1;

    memory_inbox_sweep(f->inbox, f->now_ms);
    assert_int_equal(append_long(f, "bob", MEMORY_MAX * 9 / 10), ERR_UNAVAILABLE);
    memory_inbox_sweep(f->inbox, f->now_ms);
    memory_inbox_sweep(f->inbox, f->now_ms);

    assert_int_equal(append_long(f, "bob", MEMORY_MAX * 9 / 10), ERR_OK);
}

/* An inbox that was empty for long is forgotten, with all that it knew; not before. */
static void test_sweep_forgets_an_inbox_that_was_empty_for_long(void **state)
{
    struct fixture *f = *state;
    struct message_id id = given_message(f, "bob", "1");
    given_message(f, "carol", "1");
    given_message(f, "dave", "1");
    when_confirmed(f, "bob", id);

    f->now_ms += 4 * RETENTION_MS;
    memory_inbox_sweep(f->inbox, f->now_ms);
    struct inbox_page page = when_read(f, "bob", NONE);
    then_id(page.newest, id);
    then_dropped(&page);
    given_message(f, "carol", "2"); /* is not empty any more */
    f->now_ms++;
    memory_inbox_sweep(f->inbox, f->now_ms);

    page = when_read(f, "bob", NONE);
    then_id(page.newest, NONE);
    then_nothing_missing(&page);
    page = when_read_unconfirmed(f, "bob");
    then_id(page.after, NONE);
    page = when_read_unconfirmed(f, "carol");
    then_bodies(&page, "2");
    then_id(given_message(f, "bob", "2"), ID(f->now_ms, 0)); /* behind all that it had */
    page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "2");
    page = when_read(f, "bob", id);
    assert_true(page.gap);
}

/* memory_max: above it a message is not stored, and nothing of it stays, also not its cid. */
static void test_append_above_memory_max_is_unavailable(void **state)
{
    struct fixture *f = *state;
    static char body[MEMORY_MAX + 1];
    struct message message = with_cid(message_to("bob", ""), STR("c"));
    struct sent sent = {.id = {4, 4}};
    message.body = (struct str){body, MEMORY_MAX + 1};

    assert_int_equal(append(f, message, &sent), ERR_UNAVAILABLE);

    then_id(sent.id, ID(4, 4));
    struct inbox_page page = when_read(f, "bob", NONE);
    assert_int_equal(page.n, 0);
    then_id(page.newest, NONE);
    message.body = STR("1");
    assert_int_equal(append(f, message, &sent), ERR_OK);
    assert_false(sent.is_dup);
}

/* All of it counts: small messages, cids and uids fill the memory, too. */
static void test_small_messages_are_counted_with_what_they_take(void **state)
{
    struct fixture *f = *state;
    int n = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && n < MEMORY_MAX) {
        char name[12];
        struct sent sent;
        snprintf(name, sizeof name, "%d", n++);
        err = append(f, with_cid(message_to(name, "1"), str_of(name)), &sent);
    }
    assert_int_equal(err, ERR_UNAVAILABLE);
    assert_in_range(n, MEMORY_MAX / 400, MEMORY_MAX / 200);
}

/* ---- retries ---- */

/* [HIST-18] The reply has the id of the first, and nothing is stored. */
static void test_append_with_a_cid_again_is_a_dup(void **state)
{
    struct fixture *f = *state;
    struct sent first;
    struct sent retry;
    assert_int_equal(append(f, with_cid(message_to("bob", "1"), STR("c")), &first), ERR_OK);
    given_message(f, "bob", "2");

    assert_int_equal(append(f, with_cid(message_to("bob", "3"), STR("c")), &retry), ERR_OK);

    assert_false(first.is_dup);
    assert_true(retry.is_dup);
    then_id(retry.id, first.id);
    struct inbox_page page = when_read(f, "bob", NONE);
    then_bodies(&page, "1 2");
}

/* [HIST-19] Another cid, another sender, another recipient, or no cid: a message of its own. The
 * names are such that one behind the other they would be the same text. */
static void test_append_with_anything_else_is_no_dup(void **state)
{
    struct fixture *f = *state;
    const struct message different[] = {
        {.to = STR("bob"), .from = STR("ann"), .body = STR("1"), .cid = STR("c")},
        {.to = STR("bob"), .from = STR("ann"), .body = STR("1"), .cid = STR("cc")},
        {.to = STR("bob"), .from = STR("ann"), .body = STR("1"), .cid = STR("c\0")},
        {.to = STR("bob"), .from = STR("annc"), .body = STR("1"), .cid = STR("c")},
        {.to = STR("bob"), .from = STR("an"), .body = STR("1"), .cid = STR("nc")},
        {.to = STR("bo"), .from = STR("bann"), .body = STR("1"), .cid = STR("c")},
        {.to = STR("boba"), .from = STR("nn"), .body = STR("1"), .cid = STR("c")},
        {.to = STR("ann"), .from = STR("bob"), .body = STR("1"), .cid = STR("c")},
        {.to = STR("bob"), .from = STR("ann"), .body = STR("1")},
        {.to = STR("bob"), .from = STR("ann"), .body = STR("1")},
    };
    for (size_t i = 0; i < sizeof different / sizeof different[0]; i++) {
        struct sent sent;
        assert_int_equal(append(f, different[i], &sent), ERR_OK);
        assert_false(sent.is_dup);
    }
}

/* [HIST-18] The longest names that there are have room. */
static void test_longest_names_are_told_apart(void **state)
{
    struct fixture *f = *state;
    char uid[UID_SIZE_MAX];
    char cid[CID_SIZE_MAX];
    memset(uid, 0xFF, sizeof uid);
    memset(cid, 0xFF, sizeof cid);
    struct message message = {.to = {uid, sizeof uid},
                              .from = {uid, sizeof uid},
                              .body = STR("1"),
                              .cid = {cid, sizeof cid}};
    struct sent sent;

    assert_int_equal(append(f, message, &sent), ERR_OK);
    assert_false(sent.is_dup);
    assert_int_equal(append(f, message, &sent), ERR_OK);
    assert_true(sent.is_dup);
    cid[CID_SIZE_MAX - 1] = 0;
    assert_int_equal(append(f, message, &sent), ERR_OK);
    assert_false(sent.is_dup);
}

/* [HIST-18] "In the last 5 minutes": counted from the first, not from a retry. */
static void test_dup_ends_after_five_minutes(void **state)
{
    struct fixture *f = *state;
    struct message message = with_cid(message_to("bob", "1"), STR("c"));
    struct sent first;
    struct sent sent;
    assert_int_equal(append(f, message, &first), ERR_OK);

    f->now_ms += 299999;
    assert_int_equal(append(f, message, &sent), ERR_OK);
    assert_true(sent.is_dup);
    f->now_ms += 1;
    assert_int_equal(append(f, message, &sent), ERR_OK);
    assert_false(sent.is_dup);
    assert_int_equal(append(f, message, &first), ERR_OK);
    assert_true(first.is_dup);
    then_id(first.id, sent.id);
}

/* A retry of a message that was confirmed, or dropped meanwhile, is one all the same, also when
 * the inbox is full. */
static void test_dup_outlives_its_message(void **state)
{
    struct fixture *f = *state;
    struct message message = with_cid(message_to("bob", "1"), STR("c"));
    struct sent first;
    struct sent sent;
    assert_int_equal(append(f, message, &first), ERR_OK);
    when_confirmed(f, "bob", first.id);
    given_messages(f, "bob", MESSAGES_MAX);

    assert_int_equal(append(f, message, &sent), ERR_OK);

    assert_true(sent.is_dup);
    then_id(sent.id, first.id);
}

/* [HIST-16] What was answered as full was not stored: its cid may come again. */
static void test_full_is_not_remembered_as_sent(void **state)
{
    struct fixture *f = *state;
    struct message message = with_cid(message_to("bob", "8"), STR("c"));
    struct sent sent;
    given_messages(f, "bob", MESSAGES_MAX);
    assert_int_equal(append(f, message, &sent), ERR_FULL);
    when_confirmed(f, "bob", ID(NOW_MS, 7));

    assert_int_equal(append(f, message, &sent), ERR_OK);

    assert_false(sent.is_dup);
}

/* A sweep forgets cids that have ended, and no others. */
static void test_sweep_forgets_old_cids(void **state)
{
    struct fixture *f = *state;
    struct sent sent;
    int n = 0;
    char uid[12];
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        snprintf(uid, sizeof uid, "%d", n++);
        err = append(f, with_cid(message_to("bob", "1"), str_of(uid)), &sent);
        when_confirmed(f, "bob", sent.id);
    }
    assert_int_equal(err, ERR_UNAVAILABLE); /* of cids alone, for the inbox drops its messages */
    assert_in_range(n, 1000, MEMORY_MAX);

    f->now_ms += INBOX_DUP_MS - 1;
    memory_inbox_sweep(f->inbox, f->now_ms);
    assert_int_equal(append_long(f, "bob", MEMORY_MAX / 2), ERR_UNAVAILABLE);
    f->now_ms++;
    memory_inbox_sweep(f->inbox, f->now_ms);
    assert_int_equal(append_long(f, "bob", MEMORY_MAX / 2), ERR_OK);
}

/* What came while the clock was far ahead has its time from when that was put right: messages … */
static void test_messages_from_the_future_are_dropped_in_time(void **state)
{
    struct fixture *f = *state;
    const uint64_t ahead_ms = 100 * (uint64_t)RETENTION_MS;
    f->now_ms += ahead_ms;
    given_messages(f, "bob", MESSAGES_MAX);

    f->now_ms -= ahead_ms;
    memory_inbox_sweep(f->inbox, f->now_ms);
    f->now_ms += RETENTION_MS;
    memory_inbox_sweep(f->inbox, f->now_ms);
    struct inbox_page page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "0 1 2 3 4 5 6 7");
    f->now_ms++;
    memory_inbox_sweep(f->inbox, f->now_ms);

    page = when_read_unconfirmed(f, "bob");
    then_bodies(&page, "");
    then_dropped(&page);
}

/* … and cids. */
static void test_cids_from_the_future_are_forgotten_in_time(void **state)
{
    struct fixture *f = *state;
    struct message message = with_cid(message_to("bob", "1"), STR("c"));
    struct sent sent;
    f->now_ms += 3600000;
    assert_int_equal(append(f, message, &sent), ERR_OK);

    f->now_ms -= 3600000;
    assert_int_equal(append(f, message, &sent), ERR_OK);
    assert_true(sent.is_dup);
    f->now_ms += INBOX_DUP_MS - 1;
    assert_int_equal(append(f, message, &sent), ERR_OK);
    assert_true(sent.is_dup);
    f->now_ms++;

    assert_int_equal(append(f, message, &sent), ERR_OK);
    assert_false(sent.is_dup);
}

static void test_sweep_of_nothing_does_nothing(void **state)
{
    struct fixture *f = *state;
    memory_inbox_sweep(f->inbox, f->now_ms);
    memory_inbox_destroy(NULL);
}

#define INBOX_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INBOX_TEST(test_append_gives_the_id_and_the_one_before),
        INBOX_TEST(test_ids_of_one_millisecond_rise),
        INBOX_TEST(test_ids_when_the_clock_steps_back_rise),
        INBOX_TEST(test_read_gives_what_was_stored_in_order),
        INBOX_TEST(test_read_begins_behind_after),
        INBOX_TEST(test_read_is_paged_by_number),
        INBOX_TEST(test_read_is_paged_by_bytes),
        INBOX_TEST(test_read_of_none_tells_of_the_inbox),
        INBOX_TEST(test_read_of_an_unknown_uid),
        INBOX_TEST(test_read_from_before_the_inbox_was_created_may_miss_something),
        INBOX_TEST(test_confirmed_messages_do_not_come_unasked),
        INBOX_TEST(test_confirm_never_goes_back),
        INBOX_TEST(test_append_when_all_are_unconfirmed_is_full),
        INBOX_TEST(test_append_when_full_drops_the_oldest_confirmed),
        INBOX_TEST(test_read_behind_what_was_dropped),
        INBOX_TEST(test_read_drops_what_is_too_old),
        INBOX_TEST(test_append_drops_what_is_too_old),
        INBOX_TEST(test_inbox_that_has_lost_old_messages_grows),
        INBOX_TEST(test_sweep_drops_what_is_too_old),
        INBOX_TEST(test_sweeps_come_to_every_uid),
        INBOX_TEST(test_sweep_forgets_an_inbox_that_was_empty_for_long),
        INBOX_TEST(test_append_above_memory_max_is_unavailable),
        INBOX_TEST(test_small_messages_are_counted_with_what_they_take),
        INBOX_TEST(test_append_with_a_cid_again_is_a_dup),
        INBOX_TEST(test_append_with_anything_else_is_no_dup),
        INBOX_TEST(test_longest_names_are_told_apart),
        INBOX_TEST(test_dup_ends_after_five_minutes),
        INBOX_TEST(test_dup_outlives_its_message),
        INBOX_TEST(test_full_is_not_remembered_as_sent),
        INBOX_TEST(test_sweep_forgets_old_cids),
        INBOX_TEST(test_messages_from_the_future_are_dropped_in_time),
        INBOX_TEST(test_cids_from_the_future_are_forgotten_in_time),
        INBOX_TEST(test_sweep_of_nothing_does_nothing),
    };
    return cmocka_run_group_tests_name("memory_inbox", tests, NULL, NULL);
}
