/* The Redis store with the feature history: the contract, then what stands in Redis, and what
 * becomes of it when somebody else deletes, flushes or writes there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "id_texts.h"
#include "inbox_contract.h"
#include "log_capture.h"
#include "mapping_store/redis_lua.h"
#include "redis_fixture.h"

enum {
    MESSAGES_MAX = 4
};

static const struct inbox_limits limits = {.messages_max = MESSAGES_MAX, .retention_ms = 604800000};

#define U "chat_map_uid_fd:alice"

/* What a read said. */
static int n_pages;
static struct inbox_page page;
static struct message_id first_id;
static struct message_id last_id;

static struct mapping_store *make_history_store(struct loop *loop,
                                                const struct inbox_limits *history)
{
    struct redis_store_options options = store_options();
    options.history = history;
    return redis_store_create(loop, &options);
}

static int setup_history(void **state)
{
    setup(state);
    struct fixture *f = *state;
    f->store->ops->destroy(f->store);
    run(f, "FLUSHALL");
    f->store = make_history_store(f->loop, &limits);
    run_until_open(f->loop, f->store);
    return 0;
}

static void on_read(void *ctx, const struct inbox_page *read)
{
    (void)ctx;
    page = *read;
    first_id = read->n > 0 ? read->messages[0].id : MESSAGE_ID_NONE;
    last_id = read->n > 0 ? read->messages[read->n - 1].id : MESSAGE_ID_NONE;
    n_pages++;
}

static enum err read_after(struct fixture *f, const struct message_id *after)
{
    int n = n_pages;
    mapping_store_read(f->store, STR("alice"), after, INBOX_PAGE_MESSAGES_MAX, on_read, NULL);
    run_until_count(f->loop, &n_pages, n + 1);
    return page.err;
}

static struct message_id given_sent(struct fixture *f)
{
    assert_int_equal(send_to(f, "alice"), ERR_OK);
    return f->sent.id;
}

static void then_page(struct fixture *f, const struct message_id *after, size_t n, bool gap)
{
    assert_int_equal(read_after(f, after), ERR_OK);
    assert_int_equal(page.n, n);
    assert_int_equal(page.gap, gap);
}

static const char *text_of(struct message_id id)
{
    static char text[MESSAGE_ID_SIZE_MAX + 1];
    text[message_id_write(id, text)] = '\0';
    return text;
}

static long long pttl(struct fixture *f, const char *key)
{
    return number(ask(f, "PTTL %s", key));
}

static bool is_open(void *ctx)
{
    return send_to(ctx, "nobody") == ERR_OK;
}

/* ---- keys ---- */

static void test_send_writes_the_inbox_and_its_state(void **state)
{
    struct fixture *f = *state;
    char text[128];
    struct message message = {
        .to = STR("alice"), .from = STR("bob"), .body = STR("1"), .cid = STR("m1")};

    mapping_store_send(f->store, &message, on_sent, f);
    run_until_count(f->loop, &f->n_answers, 1);

    const char *id = text_of(f->sent.id);
    redisReply *entries = ask(f, "XRANGE chat_inbox:{" U "} - +");
    assert_int_equal(entries->elements, 1);
    assert_string_equal(entries->element[0]->element[0]->str, id);
    assert_string_equal(entries->element[0]->element[1]->element[1]->str, "bob");
    freeReplyObject(entries);
    copy_text(ask(f, "HGET chat_inbox_state:{" U "} last"), text, sizeof text);
    assert_string_equal(text, id);
    copy_text(ask(f, "GET chat_dup:{" U "}:3:bobm1"), text, sizeof text);
    assert_string_equal(text, id);
    const long long day_ms = 86400000;
    assert_in_range(pttl(f, "chat_inbox:{" U "}"), 8 * day_ms - 5000, 8 * day_ms);
    assert_in_range(pttl(f, "chat_inbox_state:{" U "}"), 28 * day_ms - 5000, 28 * day_ms);
    assert_in_range(pttl(f, "chat_dup:{" U "}:3:bobm1"), 295000, 300000);
}

/* So that the key's hash tag is the whole of it, as Redis Cluster reads it. */
static void test_braces_in_a_uid_are_encoded(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(send_to(f, "a{b}%c"), ERR_OK);

    assert_int_equal(number(ask(f, "XLEN %s", "chat_inbox:{chat_map_uid_fd:a%7Bb%7D%25c}")), 1);
}

/* Ids are dated by Redis' clock. */
static void test_ids_are_redis_time(void **state)
{
    struct fixture *f = *state;
    struct message_id id = given_sent(f);

    redisReply *time = ask(f, "TIME");
    uint64_t now_ms = strtoull(time->element[0]->str, NULL, 10) * 1000;
    freeReplyObject(time);

    assert_in_range(id.ms, now_ms - 2000, now_ms + 1000);
    assert_int_equal(id.n, 0);
}

/* [HIST-4] The clock was put back, or another Redis has another: ids rise all the same. */
static void test_ids_rise_although_the_clock_is_behind(void **state)
{
    struct fixture *f = *state;
    given_sent(f);

    run(f, "HSET chat_inbox_state:{" U "} last 9000000000000-7");
    struct message_id next = given_sent(f);

    assert_string_equal(text_of(next), "9000000000000-8");
    assert_string_equal(text_of(f->sent.previous), "9000000000000-7");
    assert_string_equal(text_of(given_sent(f)), "9000000000000-9");
}

/* ---- what somebody deletes ---- */

/* [HIST-10] The stream is gone: whoever has not got all of it is told so. */
static void test_lost_inbox_is_a_gap(void **state)
{
    struct fixture *f = *state;
    struct message_id first = given_sent(f);
    struct message_id second = given_sent(f);

    run(f, "DEL chat_inbox:{" U "}");

    then_page(f, NULL, 0, true);
    assert_int_equal(message_id_compare(page.newest, second), 0);
    then_page(f, &first, 0, true);
    then_page(f, &second, 0, false);
    struct message_id third = given_sent(f);
    assert_int_equal(message_id_compare(f->sent.previous, second), 0);
    then_page(f, &first, 1, true);
    assert_int_equal(message_id_compare(first_id, third), 0);
    then_page(f, &second, 1, false);
}

/* The state is gone: what the stream has is what there is. */
static void test_lost_state_is_taken_from_the_inbox(void **state)
{
    struct fixture *f = *state;
    struct message_id before = {5, 0};
    struct message_id first = given_sent(f);
    struct message_id second = given_sent(f);
    mapping_store_confirm(f->store, STR("alice"), first);
    then_page(f, NULL, 1, false);

    run(f, "DEL chat_inbox_state:{" U "}");

    then_page(f, NULL, 2, false);
    then_page(f, &first, 1, false);
    then_page(f, &before, 2, true);
    given_sent(f);
    assert_int_equal(message_id_compare(f->sent.previous, second), 0);
    then_page(f, &before, 3, true);
}

/* The stream is ahead of what is known: from there it goes on. */
static void test_state_that_is_behind_catches_up(void **state)
{
    struct fixture *f = *state;
    given_sent(f);
    run(f, "XADD chat_inbox:{" U "} 9000000000000-1 from bob body 2");

    struct message_id id = given_sent(f);

    assert_string_equal(text_of(id), "9000000000000-2");
    assert_string_equal(text_of(f->sent.previous), "9000000000000-1");
    then_page(f, NULL, 3, false);
}

/* [HIST-10] Nothing is known any more. */
static void test_flush_is_a_gap_for_who_has_an_id(void **state)
{
    struct fixture *f = *state;
    struct message_id id = given_sent(f);

    run(f, "FLUSHALL");

    then_page(f, &id, 0, true);
    then_page(f, NULL, 0, false);
    run_for(f, 5); /* so that the new one begins later */
    given_sent(f);
    then_page(f, &id, 1, true);
}

/* Redis has forgotten the scripts: one answer is "unavailable", the next is right. */
static void test_script_flush_costs_one_answer(void **state)
{
    struct fixture *f = *state;
    given_sent(f);

    run(f, "SCRIPT FLUSH");
    assert_int_equal(send_to(f, "alice"), ERR_UNAVAILABLE);
    given_sent(f);
    run(f, "SCRIPT FLUSH");
    assert_int_equal(read_after(f, NULL), ERR_UNAVAILABLE);

    then_page(f, NULL, 2, false);
}

/* ---- what somebody writes ---- */

/* A value of another type is as good as a deleted one. */
static void test_keys_of_another_type_are_replaced(void **state)
{
    struct fixture *f = *state;
    given_sent(f);

    for (size_t i = 0; plant_other_type(f, &i, "chat_inbox:{" U "}", "stream");) {
        given_sent(f);
        then_page(f, NULL, 1, true);
    }
    for (size_t i = 0; plant_other_type(f, &i, "chat_inbox_state:{" U "}", "hash");) {
        assert_int_equal(read_after(f, NULL), ERR_OK);
        number(ask(f, "DEL chat_inbox:{" U "}"));
        given_sent(f);
        assert_true(is_type(f, "chat_inbox_state:{" U "}", "hash"));
    }
    struct message message = {
        .to = STR("alice"), .from = STR("bob"), .body = STR("1"), .cid = STR("m1")};
    run(f, "DEL chat_inbox:{" U "}");
    for (size_t i = 0; plant_other_type(f, &i, "chat_dup:{" U "}:3:bobm1", "string");) {
        int n = f->n_answers;
        number(ask(f, "DEL chat_inbox:{" U "}"));
        mapping_store_send(f->store, &message, on_sent, f);
        run_until_count(f->loop, &f->n_answers, n + 1);
        assert_int_equal(f->err, ERR_OK);
        assert_false(f->sent.is_dup);
    }
}

/* Fields that are no ids are as good as none. */
static void test_garbage_in_the_state_is_passed_over(void **state)
{
    struct fixture *f = *state;
    static const char *const garbage[] = {
        "", "x", "1", "-1", "1-", "99999999999999999999-0", "9007199254740992-0"};
    struct message_id first = given_sent(f);

    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        number(ask(f, "HSET chat_inbox_state:{" U "} confirmed %s trimmed %s created %s last %s",
                   garbage[i], garbage[i], garbage[i], garbage[i]));
        then_page(f, &first, 0, false);
        number(ask(f, "DEL chat_inbox:{" U "}"));
        first = given_sent(f);
    }
}

/* message_id.c and the scripts have one notion of an id. */
static void test_scripts_take_for_an_id_what_is_one(void **state)
{
    struct fixture *f = *state;
    char script[2048];
    snprintf(script, sizeof script, "%s return parts(ARGV[1]) and id_of(parts(ARGV[1])) or 'none'",
             lua_ids);

    for (size_t i = 0; i < N_ID_TEXTS; i++) {
        struct str text = id_texts[i].text;
        char said[64];
        copy_text(ask(f, "EVAL %s 0 %b", script, text.ptr, text.len), said, sizeof said);
        assert_string_equal(said, id_texts[i].is_id ? text.ptr : "none");
    }
}

/* Whatever stands there, a message is stored if and only if that is answered, and comes. */
static void test_any_text_in_the_state_costs_no_message(void **state)
{
    struct fixture *f = *state;
    static const char *const fields[] = {"last", "confirmed", "trimmed", "created"};

    for (size_t i = 0; i < N_ID_TEXTS; i++) {
        for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
            struct str text = id_texts[i].text;
            run(f, "DEL chat_inbox:{" U "} chat_inbox_state:{" U "}");
            given_sent(f);
            number(ask(f, "HSET chat_inbox_state:{" U "} %s %b", fields[k], text.ptr, text.len));
            assert_int_equal(read_after(f, NULL), ERR_OK);
            struct message_id before = page.newest;

            struct message_id id = given_sent(f);

            assert_int_equal(read_after(f, &before), ERR_OK);
            assert_int_equal(message_id_compare(last_id, id), 0);
            assert_int_equal(read_after(f, NULL), ERR_OK);
            assert_int_equal(message_id_compare(last_id, id), 0);
        }
    }
}

/* Nobody can have confirmed what has not been sent yet. */
static void test_what_is_ahead_of_the_last_message_confirms_none(void **state)
{
    struct fixture *f = *state;
    given_sent(f);
    run(f, "HSET chat_inbox_state:{" U "} confirmed 3000000000000-0 trimmed 3000000000000-0");

    then_page(f, NULL, 1, false);
    given_sent(f);
    then_page(f, NULL, 2, false);
}

/* [HIST-18] A cid's key that names no message of this sender makes none a retry. */
static void test_cid_of_no_message_is_no_retry(void **state)
{
    struct fixture *f = *state;
    struct message message = {
        .to = STR("alice"), .from = STR("bob"), .body = STR("1"), .cid = STR("m1")};
    struct message_id others = given_sent(f);
    const char *const garbage[] = {"9007199254740991-0", "01-0",          "x",
                                   "3000000000000-0",    text_of(others), "1-0"};

    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        freeReplyObject(ask(f, "SET chat_dup:{" U "}:3:bobm1 %s", garbage[i]));
        int n = f->n_answers;
        mapping_store_send(f->store, &message, on_sent, f);
        run_until_count(f->loop, &f->n_answers, n + 1);
        assert_int_equal(f->err, ERR_OK);
        assert_false(f->sent.is_dup);
        struct message_id first = f->sent.id;
        mapping_store_send(f->store, &message, on_sent, f);
        run_until_count(f->loop, &f->n_answers, n + 2);
        assert_true(f->sent.is_dup);
        assert_int_equal(message_id_compare(f->sent.id, first), 0);
        run(f, "HSET chat_inbox_state:{" U "} confirmed 9000000000-0"); /* room for the next */
        number(ask(f, "XTRIM chat_inbox:{" U "} MAXLEN 1"));
        if (i == 3) {
            others = given_sent(f); /* once more, for the row that names it */
        }
    }
}

/* [HIST-17] Nor do they confirm anything: the oldest stays, and its successor is refused. */
static void test_garbage_in_the_state_makes_no_room(void **state)
{
    struct fixture *f = *state;
    static const char *const garbage[] = {
        "", "x", "1", "-1", "1-", "99999999999999999999-0", "9007199254740992-0"};
    for (int i = 0; i < MESSAGES_MAX; i++) {
        given_sent(f);
    }

    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        number(ask(f, "HSET chat_inbox_state:{" U "} confirmed %s", garbage[i]));
        assert_int_equal(send_to(f, "alice"), ERR_FULL);
    }

    then_page(f, NULL, MESSAGES_MAX, false);
}

/* What is no message does not reach a client, and does not hide what is behind it. */
static void test_garbage_in_the_inbox_is_passed_over(void **state)
{
    struct fixture *f = *state;
    run(f, "XADD chat_inbox:{" U "} 1-1 x y");
    run(f, "XADD chat_inbox:{" U "} 1-2 from bob body 1 x y");
    run(f, "XADD chat_inbox:{" U "} 1-3 body 1 from bob");
    freeReplyObject(ask(f, "XADD chat_inbox:{" U "} 1-18446744073709551615 from bob body 1"));
    struct message_id far = {9007199254740991, 0};

    f->store->ops->destroy(f->store);
    struct inbox_limits roomy = {.messages_max = 1000, .retention_ms = 9000000000000};
    f->store = make_history_store(f->loop, &roomy);
    run_until_open(f->loop, f->store);
    struct message_id id = given_sent(f);
    for (int i = 0; i < 2 * INBOX_PAGE_MESSAGES_MAX; i++) {
        freeReplyObject(ask(f, "XADD chat_inbox:{" U "} 9000000000000-%d from %b body 1", i, "\xff",
                            (size_t)1));
    }
    run(f, "XADD chat_inbox:{" U "} 9000000000001-0 from bob body 1");

    then_page(f, NULL, 1, false);
    assert_int_equal(message_id_compare(first_id, id), 0);
    then_page(f, &id, 1, false);
    assert_string_equal(text_of(first_id), "9000000000001-0");
    then_page(f, &far, 0, false);
}

/* An id that the protocol does not have, after which Redis takes no other, is removed. */
static void test_impossible_ids_are_removed(void **state)
{
    struct fixture *f = *state;
    given_sent(f);
    run(f, "XADD chat_inbox:{" U "} 18446744073709551615-18446744073709551614 from bob body 2");

    given_sent(f);
    then_page(f, NULL, 2, false);

    run(f, "DEL chat_inbox:{" U "} chat_inbox_state:{" U "}");
    run(f, "XADD chat_inbox:{" U "} 18446744073709551615-18446744073709551614 from bob body 2");
    given_sent(f);
    then_page(f, NULL, 1, false);
}

enum {
    AS_ENTRY,
    AS_LAST_OF_STREAM,
    AS_LAST_OF_STATE,
    N_PLACES
};

static void put_id(struct fixture *f, const char *id, int place)
{
    static const char *const commands[N_PLACES] = {
        [AS_ENTRY] = "XADD chat_inbox:{" U "} %s from bob body 2",
        [AS_LAST_OF_STREAM] = "XSETID chat_inbox:{" U "} %s",
        [AS_LAST_OF_STATE] = "HSET chat_inbox_state:{" U "} last %s",
    };
    freeReplyObject(ask(f, commands[place], id));
}

/* Ids near every end of what Redis or the protocol can count, as entries, as the stream's last and
 * as the state's: each costs at most itself. */
static void test_no_id_in_the_inbox_locks_a_uid_out(void **state)
{
    struct fixture *f = *state;
    static const char *const ids[] = {
        "18446744073709551615-18446744073709551615",
        "18446744073709551615-18446744073709551614",
        "18446744073709551615-0",
        "9223372036854775808-0",
        "9223372036854775807-9223372036854775807",
        "9007199254740992-0",
        "9007199254740991-9007199254740991",
        "9007199254740991-9007199254740990",
        "9007199254740991-0",
        "9007199254740990-9007199254740991",
        "4000000000000001-0",
        "4000000000000000-9007199254740992",
        "4000000000000000-9007199254740991",
        "4000000000000000-9007199254740990",
        "4000000000000000-0",
        "3999999999999999-9007199254740991",
        "3000000000000-18446744073709551615",
        "3000000000000-9007199254740992",
        "3000000000000-9007199254740991",
        "3000000000000-9007199254740990",
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        for (int place = 0; place < N_PLACES; place++) {
            run(f, "DEL chat_inbox:{" U "} chat_inbox_state:{" U "}");
            given_sent(f);
            put_id(f, ids[i], place);
            struct message_id before = MESSAGE_ID_NONE;
            for (int k = 0; k < 2; k++) {
                struct message_id id = given_sent(f);
                assert_true(message_id_compare(before, id) < 0);
                assert_int_equal(read_after(f, NULL), ERR_OK);
                assert_int_equal(message_id_compare(last_id, id), 0);
                before = id;
            }
        }
    }
}

/* ---- errors of Redis ---- */

static void test_oom_is_unavailable_and_stores_nothing(void **state)
{
    struct fixture *f = *state;
    given_sent(f);

    run(f, "CONFIG SET maxmemory 1");
    enum err err = send_to(f, "alice");
    run(f, "CONFIG SET maxmemory 0");

    assert_int_equal(err, ERR_UNAVAILABLE);
    then_page(f, NULL, 1, false);
    given_sent(f);
}

static long long used_memory(struct fixture *f)
{
    redisReply *info = ask(f, "INFO memory");
    long long used = atoll(strstr(info->str, "\nused_memory:") + strlen("\nused_memory:"));
    freeReplyObject(info);
    return used;
}

/* Messages to ever new uids fill a part of what Redis may use: devices still come and go. */
static void test_history_leaves_room_in_redis(void **state)
{
    struct fixture *f = *state;
    static char body[65536];
    static const struct inbox_limits bounded = {
        .messages_max = 1000, .retention_ms = 604800000, .redis_percent_max = 75};
    memset(body, '1', sizeof body);
    f->store->ops->destroy(f->store);
    f->store = make_history_store(f->loop, &bounded);
    run_until(f->loop, is_open, f, PATIENCE_MS);
    long long max = used_memory(f) * 2 + 4000000;
    freeReplyObject(ask(f, "CONFIG SET maxmemory %lld", max));
    run_for(f, LEASE_MS / 5 + 200);

    int n = 0;
    do {
        char uid[16];
        snprintf(uid, sizeof uid, "u%d", n);
        struct message message = {
            .to = str_of(uid), .from = STR("bob"), .body = {body, sizeof body}};
        f->store->ops->send(f->store, &message, on_sent, f);
        int n_answers = f->n_answers;
        run_until_count(f->loop, &f->n_answers, n_answers + 1);
    } while (f->err == ERR_OK && ++n < 1000);
    long long used = used_memory(f);

    assert_int_equal(f->err, ERR_UNAVAILABLE);
    assert_in_range(n, 10, 999);
    assert_in_range(used, 1, max / 100 * 80);
    given_bound(f, 7, "alice");
    run(f, "CONFIG SET maxmemory 0");
    run_for(f, LEASE_MS / 5 + 200);
    given_sent(f);
}

/* A read that Redis does not answer is answered when the time is over. */
static void test_stopped_redis_is_unavailable_in_time(void **state)
{
    struct fixture *f = *state;
    given_sent(f);

    redis_server_pause(server);
    uint64_t before_ms = loop_now_ms(f->loop);
    enum err err = read_after(f, NULL);
    uint64_t took_ms = loop_now_ms(f->loop) - before_ms;
    enum err again = read_after(f, NULL);
    mapping_store_confirm(f->store, STR("alice"), f->sent.id);
    redis_server_resume(server);

    assert_int_equal(err, ERR_UNAVAILABLE);
    assert_int_equal(again, ERR_UNAVAILABLE);
    assert_in_range(took_ms, TIMEOUT_MS - 100, TIMEOUT_MS + SLACK_MS);
    run_until(f->loop, is_open, f, PATIENCE_MS);
    then_page(f, NULL, 1, false);
}

/* [REPLY-8] A Redis that hung reads what was asked when it goes on: by then it is too late. */
static void test_what_was_unavailable_is_not_stored_later(void **state)
{
    struct fixture *f = *state;
    given_sent(f);

    redis_server_pause(server);
    assert_int_equal(send_to(f, "alice"), ERR_UNAVAILABLE);
    redis_server_resume(server);
    run_until(f->loop, is_open, f, PATIENCE_MS);

    then_page(f, NULL, 1, false);
    assert_int_equal(number(ask(f, "XLEN chat_inbox:{" U "}")), 1);
}

/* The scripts are loaded again with each link. */
static void test_restarted_redis_knows_the_scripts(void **state)
{
    struct fixture *f = *state;
    given_sent(f);

    redis_server_kill(server);
    assert_int_equal(read_after(f, NULL), ERR_UNAVAILABLE);
    redis_server_restart(server);
    run_until(f->loop, is_open, f, PATIENCE_MS);

    given_sent(f);
    then_page(f, NULL, 1, false);
    connect_other(f);
}

/* ---- settings of Redis ---- */

static void log_of_a_start(struct fixture *f, struct log_capture *capture)
{
    f->store->ops->destroy(f->store);
    log_capture_begin(capture);
    f->store = make_history_store(f->loop, &limits);
    run_until_open(f->loop, f->store);
    bool is_there = read_after(f, NULL) == ERR_OK && read_after(f, NULL) == ERR_OK;
    log_capture_end(capture);
    assert_true(is_there);
}

/* Who starts a server that may lose messages reads so in its log. */
static void test_settings_that_lose_messages_are_logged(void **state)
{
    struct fixture *f = *state;
    struct log_capture capture;

    run(f, "CONFIG SET maxmemory-policy allkeys-lru");
    log_of_a_start(f, &capture);
    assert_non_null(strstr(capture.text, "warn redis_setting maxmemory-policy=\"allkeys-lru\""));
    assert_non_null(strstr(capture.text, "warn redis_setting appendonly=\"no\""));
    run(f, "CONFIG SET maxmemory-policy noeviction");
    log_of_a_start(f, &capture);
    assert_null(strstr(capture.text, "maxmemory-policy"));
    run(f, "ACL SETUSER default -config");
    log_of_a_start(f, &capture);
    run(f, "ACL SETUSER default +config");
    assert_non_null(strstr(capture.text, "warn redis_settings_unseen"));
}

#define HISTORY_TEST(name) cmocka_unit_test_setup_teardown(name, setup_history, teardown)

static int run_history_tests(void)
{
    const struct CMUnitTest tests[] = {
        HISTORY_TEST(test_send_writes_the_inbox_and_its_state),
        HISTORY_TEST(test_braces_in_a_uid_are_encoded),
        HISTORY_TEST(test_ids_are_redis_time),
        HISTORY_TEST(test_ids_rise_although_the_clock_is_behind),
        HISTORY_TEST(test_lost_inbox_is_a_gap),
        HISTORY_TEST(test_lost_state_is_taken_from_the_inbox),
        HISTORY_TEST(test_state_that_is_behind_catches_up),
        HISTORY_TEST(test_flush_is_a_gap_for_who_has_an_id),
        HISTORY_TEST(test_script_flush_costs_one_answer),
        HISTORY_TEST(test_keys_of_another_type_are_replaced),
        HISTORY_TEST(test_garbage_in_the_state_is_passed_over),
        HISTORY_TEST(test_garbage_in_the_state_makes_no_room),
        HISTORY_TEST(test_scripts_take_for_an_id_what_is_one),
        HISTORY_TEST(test_any_text_in_the_state_costs_no_message),
        HISTORY_TEST(test_what_is_ahead_of_the_last_message_confirms_none),
        HISTORY_TEST(test_cid_of_no_message_is_no_retry),
        HISTORY_TEST(test_garbage_in_the_inbox_is_passed_over),
        HISTORY_TEST(test_impossible_ids_are_removed),
        HISTORY_TEST(test_no_id_in_the_inbox_locks_a_uid_out),
        HISTORY_TEST(test_oom_is_unavailable_and_stores_nothing),
        HISTORY_TEST(test_history_leaves_room_in_redis),
        HISTORY_TEST(test_stopped_redis_is_unavailable_in_time),
        HISTORY_TEST(test_what_was_unavailable_is_not_stored_later),
        HISTORY_TEST(test_settings_that_lose_messages_are_logged),
        HISTORY_TEST(test_restarted_redis_knows_the_scripts),
    };
    return cmocka_run_group_tests_name("redis_store: SPEC 7", tests, NULL, NULL);
}

static struct mapping_store *make_contract_store(struct loop *loop,
                                                 const struct inbox_limits *history)
{
    struct mapping_store *store = make_history_store(loop, history);
    run_until_open(loop, store);
    return store;
}

static bool is_over(void *ctx)
{
    uint64_t *until_ms = ctx;
    return loop_now_ms(fixture.loop) >= *until_ms;
}

static void let_pass(struct loop *loop, uint64_t ms)
{
    fixture.loop = loop;
    uint64_t until_ms = loop_now_ms(loop) + ms;
    run_until(loop, is_over, &until_ms, ms + PATIENCE_MS);
}

int main(void)
{
    const struct inbox_maker maker = {
        .name = "redis_store: contract of history",
        .start = flush,
        .make_loop = loop_create,
        .make_store = make_contract_store,
        .run_until = run_until_count,
        .let_pass = let_pass,
    };
    signal(SIGPIPE, SIG_IGN);
    server = redis_server_start(NULL);
    int n_failed = run_inbox_contract(&maker) + run_history_tests();
    redis_server_stop(server);
    return n_failed;
}
