/* The Redis store against a real redis-server on a real loop: the contract, then SPEC 5, key by
 * key and failure by failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_fixture.h"
#include "store_contract.h"

/* ---- keys ---- */

/* [STORE-1] [STORE-3] [STORE-4] The keys, exactly. */
static void test_bind_writes_the_keys_of_the_specification(void **state)
{
    struct fixture *f = *state;
    char fd[128];
    char text[128];
    char node[128];

    given_bound(f, 42, "1001");

    only_fd(f, "1001", fd, sizeof fd);
    assert_in_range(strlen(fd), 1, 64);
    assert_memory_equal(fd, "node-", 5);
    assert_string_equal(fd + 5 + 16, ".42");
    assert_in_range(number(ask(f, "TTL chat_map_uid_fd:1001")), 89990, 90000);
    copy_text(ask(f, "GET chat_map_fd_uid:%s", fd), text, sizeof text);
    assert_string_equal(text, "1001");
    assert_in_range(number(ask(f, "TTL chat_map_fd_uid:%s", fd)), 86390, 86400);
    snprintf(node, sizeof node, "%.21s", fd);
    copy_text(ask(f, "HGET %s %s", journal_of(fd), fd), text, sizeof text);
    assert_string_equal(text, "1001");
    redisReply *time = ask(f, "TIME");
    long long now_ms = atoll(time->element[0]->str) * 1000;
    freeReplyObject(time);
    copy_text(ask(f, "ZSCORE chat_nodes %s", node), text, sizeof text);
    assert_in_range(atoll(text) - now_ms, LEASE_MS / 2, LEASE_MS + 1000);
    assert_int_equal(number(ask(f, "DBSIZE")), 4);
}

/* [STORE-2] Nothing is left of who has gone. */
static void test_unbind_leaves_only_the_lease(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 1, "1001");
    given_bound(f, 2, "1001");

    mapping_store_unbind(f->store, 1);
    then_found(f, "1001", 1);
    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:1001")), 1);
    mapping_store_unbind(f->store, 2);
    then_found(f, "1001", 0);

    assert_int_equal(number(ask(f, "DBSIZE")), 1);
}

/* [SIGN-6] The old uid's set loses the fd, and its key names the new one. */
static void test_move_removes_the_old_trace(void **state)
{
    struct fixture *f = *state;
    char fd[128];
    char text[128];
    given_bound(f, 1, "alice");

    given_bound(f, 1, "bob");

    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:alice")), 0);
    only_fd(f, "bob", fd, sizeof fd);
    copy_text(ask(f, "GET chat_map_fd_uid:%s", fd), text, sizeof text);
    assert_string_equal(text, "bob");
    assert_int_equal(number(ask(f, "DBSIZE")), 4);
}

/* A uid's bytes are the key's bytes. */
static void test_uid_is_binary_safe_in_keys(void **state)
{
    struct fixture *f = *state;
    const struct str uid = STR("a\0 \r\n*{%用");
    int n = f->n_answers;

    mapping_store_bind(f->store, 1, uid, on_bound, f);
    run_until_count(f->loop, &f->n_answers, n + 1);

    assert_int_equal(f->err, ERR_OK);
    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:%b", uid.ptr, uid.len)), 1);
}

/* ---- stale fds ---- */

static const char live_node[] = "other-0123456789abcdef";
static const char dead_node[] = "other-fedcba9876543210";
static const char other_dead_node[] = "other-fedcba9876543211";

/* [STORE-6] [STORE-7] "A sign removes from its uid's set every fd whose connection no longer
 * exists, with that fd's own key, and no fd of a live device, its own or another node's." */
static void test_bind_removes_stale_fds_and_no_others(void **state)
{
    struct fixture *f = *state;
    static char huge[10001];
    char own[128];
    memset(huge, 'h', sizeof huge - 1);
    given_bound(f, 1, "alice");
    given_bound(f, 2, "bob");
    given_bound(f, 3, "alice");
    plant_node(f, live_node, 60000);
    plant_node(f, dead_node, -1000);
    only_fd(f, "bob", own, sizeof own);

    const char *stale[] = {"1",
                           "x.y",
                           huge,
                           "other-fedcba9876543210.7",
                           "gone-0000000000000000.1",
                           "other-0123456789abcdef.07",
                           "other-0123456789abcdeX.7"};
    enum {
        N_STALE = sizeof stale / sizeof stale[0]
    };
    for (size_t i = 0; i < N_STALE; i++) {
        number(ask(f, "SADD chat_map_uid_fd:alice %s", stale[i]));
        freeReplyObject(ask(f, "SET chat_map_fd_uid:%s alice", stale[i]));
    }
    number(ask(f, "SADD chat_map_uid_fd:alice %b", "\0\xff", (size_t)2));
    number(ask(f, "SADD chat_map_uid_fd:alice %s999", own)); /* ours, never bound */
    number(ask(f, "SADD chat_map_uid_fd:alice %s", own));    /* ours, somebody else's */
    number(ask(f, "SADD chat_map_uid_fd:alice %s.7", live_node));
    freeReplyObject(ask(f, "SET chat_map_fd_uid:%s.7 alice", live_node));

    given_bound(f, 4, "alice");

    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:alice")), 4);
    assert_int_equal(number(ask(f, "SISMEMBER chat_map_uid_fd:alice %s.7", live_node)), 1);
    assert_int_equal(number(ask(f, "EXISTS chat_map_fd_uid:%s.7", live_node)), 1);
    assert_int_equal(number(ask(f, "EXISTS chat_map_fd_uid:%s", own)), 1);
    for (size_t i = 0; i < N_STALE; i++) {
        assert_int_equal(number(ask(f, "EXISTS chat_map_fd_uid:%s", stale[i])), 0);
    }
    then_found(f, "alice", 3);
    then_found(f, "bob", 1);
}

/* Two devices that sign as one uid in the same moment do not take each other for stale. */
static void test_binds_in_flight_are_not_stale(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 100, "warm-up");
    int n = f->n_answers;

    for (conn_id device = 1; device <= 20; device++) {
        mapping_store_bind(f->store, device, STR("alice"), on_bound, f);
    }
    run_until_count(f->loop, &f->n_answers, n + 20);

    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:alice")), 20);
}

/* The refresh does not write a device as its old uid while it moves. */
static void test_refresh_leaves_a_moving_device_alone(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 1, "alice");
    int n = f->n_answers;

    redis_server_pause(server);
    mapping_store_bind(f->store, 1, STR("bob"), on_bound, f);
    run_for(f, REFRESH_MS + 100); /* the refresh passes by, within the time limit of the bind */
    redis_server_resume(server);
    run_until_count(f->loop, &f->n_answers, n + 1);

    assert_int_equal(f->err, ERR_OK);
    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:alice")), 0);
    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:bob")), 1);
}

/* [STORE-13] Fds in a set make nobody a device, and none is missing if the set is gone. */
static void test_send_does_not_believe_redis(void **state)
{
    struct fixture *f = *state;
    char fd[128];
    given_bound(f, 1, "alice");
    only_fd(f, "alice", fd, sizeof fd);

    number(ask(f, "SADD chat_map_uid_fd:mallory %s", fd));
    number(ask(f, "DEL chat_map_uid_fd:alice"));

    then_found(f, "mallory", 0);
    then_found(f, "alice", 1);
}

/* ---- keys of another type ---- */

/* A refresh that does not come as long as a test takes. */
static void given_no_refresh(struct fixture *f)
{
    f->store->ops->destroy(f->store);
    run(f, "FLUSHALL");
    f->store = make_refreshing_store(f->loop, 25000);
    run_until_open(f->loop, f->store);
}

/* [STORE-13] Redis is there and has answered: that is all that a send has to know. */
static void test_send_of_another_type_finds_the_devices(void **state)
{
    struct fixture *f = *state;
    given_no_refresh(f);
    given_bound(f, 1, "alice");

    for (size_t i = 0; plant_other_type(f, &i, "chat_map_uid_fd:alice", "set");) {
        then_found(f, "alice", 1);
    }
    run(f, "SET chat_map_uid_fd:bob x");
    then_found(f, "bob", 0);
}

/* [STORE-13] "A value of another type is healed like a deletion": the sign that meets it does
 * so. */
static void test_bind_replaces_a_set_of_another_type(void **state)
{
    struct fixture *f = *state;
    char fd[128];
    conn_id device = 1;
    given_no_refresh(f);

    for (size_t i = 0; plant_other_type(f, &i, "chat_map_uid_fd:alice", "set");) {
        given_bound(f, ++device, "alice");

        assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:alice")), 1);
        assert_in_range(number(ask(f, "TTL chat_map_uid_fd:alice")), 89990, 90000);
        only_fd(f, "alice", fd, sizeof fd);
        assert_true(device_of(fd) == device);
        mapping_store_unbind(f->store, device);
        then_found(f, "alice", 0);
    }
}

static void test_bind_replaces_a_journal_and_an_fd_key_of_another_type(void **state)
{
    struct fixture *f = *state;
    char fd[128];
    char key[256];
    char text[128];
    given_no_refresh(f);
    given_bound(f, 1, "alice");
    only_fd(f, "alice", fd, sizeof fd);
    snprintf(key, sizeof key, "chat_map_fd_uid:%s", fd);

    for (size_t i = 0; plant_other_type(f, &i, key, "string");) {
        given_bound(f, 1, "alice");
        copy_text(ask(f, "GET %s", key), text, sizeof text);
        assert_string_equal(text, "alice");
    }
    for (size_t i = 0; plant_other_type(f, &i, journal_of(fd), "hash");) {
        given_bound(f, 1, "alice");
        copy_text(ask(f, "HGET %s %s", journal_of(fd), fd), text, sizeof text);
        assert_string_equal(text, "alice");
    }
}

/* Who moves away leaves no garbage in the place of the old set: [STORE-2]. */
static void test_move_from_a_set_of_another_type_removes_it(void **state)
{
    struct fixture *f = *state;
    given_no_refresh(f);
    given_bound(f, 1, "alice");

    for (size_t i = 0; plant_other_type(f, &i, "chat_map_uid_fd:alice", "set");) {
        given_bound(f, 1, "bob");

        assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:alice")), 0);
        assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:bob")), 1);
        given_bound(f, 1, "alice");
    }
}

static void test_unbind_from_a_set_of_another_type_removes_it(void **state)
{
    struct fixture *f = *state;
    given_no_refresh(f);
    given_bound(f, 1, "alice");
    run(f, "SET chat_map_uid_fd:alice x");

    mapping_store_unbind(f->store, 1);
    then_found(f, "alice", 0);
    then_found(f, "alice", 0); /* the removal was asked before this */

    assert_int_equal(number(ask(f, "DBSIZE")), 1);
}

/* What a sign has just put right is not taken away by another sign that was on its way as well. */
static void test_binds_in_flight_replace_a_set_of_another_type_together(void **state)
{
    struct fixture *f = *state;
    enum {
        N = 20
    };
    given_no_refresh(f);
    given_bound(f, 100, "warm-up");
    run(f, "SET chat_map_uid_fd:alice x");
    int n = f->n_answers;

    for (conn_id device = 1; device <= N; device++) {
        mapping_store_bind(f->store, device, STR("alice"), on_bound, f);
    }
    run_until_count(f->loop, &f->n_answers, n + N);

    assert_int_equal(f->err, ERR_OK);
    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:alice")), N);
}

/* [NODE-4] Nobody can be told dead by a list of nodes that is none, so nobody counts as dead. */
static void test_bind_spares_other_nodes_while_the_list_of_nodes_is_no_list(void **state)
{
    struct fixture *f = *state;
    given_no_refresh(f);
    given_bound(f, 1, "warm-up");
    number(ask(f, "SADD chat_map_uid_fd:alice %s.7 stale", dead_node));
    run(f, "SET chat_nodes x");

    given_bound(f, 2, "alice");

    assert_int_equal(number(ask(f, "SISMEMBER chat_map_uid_fd:alice %s.7", dead_node)), 1);
    assert_int_equal(number(ask(f, "SISMEMBER chat_map_uid_fd:alice stale")), 0);
    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:alice")), 2);
}

/* ---- errors of Redis ---- */

/* Out of memory, for Redis: a sign is refused and leaves nothing, sends go on. */
static void test_oom_is_unavailable_and_passes(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 1, "alice");
    long long n_keys = number(ask(f, "DBSIZE"));

    run(f, "CONFIG SET maxmemory 1");
    enum err err = bind_to(f, 2, "bob");
    enum err sent = send_to(f, "alice");
    run(f, "CONFIG SET maxmemory 0");

    assert_int_equal(err, ERR_UNAVAILABLE);
    assert_int_equal(sent, ERR_OK);
    assert_int_equal(number(ask(f, "DBSIZE")), n_keys);
    given_bound(f, 2, "bob");
}

/* Redis is slow: a sign that has to clean up is not answered later than one and a half time
 * limits. */
static void test_slow_redis_does_not_add_up(void **state)
{
    struct fixture *f = *state;
    given_bound(f, 1, "warm-up");
    number(ask(f, "SADD chat_map_uid_fd:alice stale"));

    freeReplyObject(ask(f, "CLIENT PAUSE %d", TIMEOUT_MS * 3 / 4));
    enum err err = bind_to(f, 2, "alice");

    assert_int_equal(err, ERR_UNAVAILABLE);
    then_found(f, "alice", 0);
    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:alice")), 1);
    given_bound(f, 2, "alice");
    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:alice")), 1);
    then_found(f, "alice", 1);
}

/* ---- what others delete comes back ---- */

static bool is_whole(void *ctx)
{
    struct fixture *f = ctx;
    return number(ask(f, "DBSIZE")) == 2 + 2 * 3 && is_type(f, "chat_map_uid_fd:u1", "set") &&
           number(ask(f, "SCARD chat_map_uid_fd:u1")) == 1;
}

static void given_three_devices(struct fixture *f)
{
    given_bound(f, 1, "u1");
    given_bound(f, 2, "u2");
    given_bound(f, 3, "u3");
    assert_true(is_whole(f));
}

static char whose_ttl[256];

static bool is_ttl_renewed(void *ctx)
{
    return number(ask(ctx, "TTL %s", whose_ttl)) > 86000;
}

/* [STORE-8] A deleted key, and a TTL that ran down, are back within refresh_ms. */
static void test_deleted_keys_come_back_within_the_refresh(void **state)
{
    struct fixture *f = *state;
    char fd[128];
    given_three_devices(f);
    only_fd(f, "u2", fd, sizeof fd);

    number(ask(f, "DEL chat_map_uid_fd:u1 %s", journal_of(fd)));
    number(ask(f, "EXPIRE chat_map_fd_uid:%s 100", fd));
    run_until(f->loop, is_whole, f, REFRESH_MS + SLACK_MS);

    snprintf(whose_ttl, sizeof whose_ttl, "chat_map_fd_uid:%s", fd);
    run_until(f->loop, is_ttl_renewed, f, REFRESH_MS + SLACK_MS);
    assert_in_range(number(ask(f, "TTL %s", whose_ttl)), 86000, 86400);
}

/* [STORE-8] A flush is noticed when the lease is renewed: long before the refresh, which takes
 * 25 s here. */
static void test_flush_heals_with_the_next_lease(void **state)
{
    struct fixture *f = *state;
    given_no_refresh(f);
    given_three_devices(f);

    run(f, "FLUSHALL");

    run_until(f->loop, is_whole, f, LEASE_MS + SLACK_MS);
    then_found(f, "u3", 1);
}

/* ---- Redis away and back ---- */

static bool works(void *ctx)
{
    struct fixture *f = ctx;
    return send_to(f, "u1") == ERR_OK;
}

/* [STORE-9] [STORE-10] Killed and empty when it is back: unavailable at once, then all is there
 * again; who left and came meanwhile is respected. */
static void test_killed_and_restarted_redis_is_filled_again(void **state)
{
    struct fixture *f = *state;
    given_three_devices(f);
    given_bound(f, 4, "u4");

    redis_server_kill(server);
    uint64_t before_ms = loop_now_ms(f->loop);
    assert_int_equal(send_to(f, "u1"), ERR_UNAVAILABLE);
    assert_int_equal(bind_to(f, 9, "u9"), ERR_UNAVAILABLE);
    mapping_store_unbind(f->store, 4);
    assert_true(loop_now_ms(f->loop) - before_ms < TIMEOUT_MS / 2);
    run_for(f, 200);
    redis_server_restart(server);
    run_until(f->loop, works, f, PATIENCE_MS);

    connect_other(f);
    assert_true(is_whole(f));
    then_found(f, "u1", 1);
    then_found(f, "u4", 0);
}

/* The connection is cut while Redis keeps its data: what was unbound meanwhile is removed by the
 * journal. */
static void test_lost_link_is_reconciled(void **state)
{
    struct fixture *f = *state;
    given_three_devices(f);
    given_bound(f, 4, "u4");

    /* SKIPME yes is the default: every connection but this one. */
    run(f, "CLIENT KILL TYPE normal");
    f->n_answers = 0;
    start_send(f, "u1");
    mapping_store_bind(f->store, 5, STR("u5"), on_bound, f);
    run_until_count(f->loop, &f->n_answers, 2);
    assert_int_equal(f->err, ERR_UNAVAILABLE);
    mapping_store_unbind(f->store, 4);
    run_until(f->loop, works, f, PATIENCE_MS);

    assert_true(is_whole(f));
}

/* [STORE-9] [STORE-10] Redis hangs: answered when the time is over; when it goes on, so do we. */
static void test_stopped_redis_is_unavailable_in_time_and_comes_back(void **state)
{
    struct fixture *f = *state;
    given_three_devices(f);

    redis_server_pause(server);
    uint64_t before_ms = loop_now_ms(f->loop);
    assert_int_equal(send_to(f, "u1"), ERR_UNAVAILABLE);
    uint64_t took_ms = loop_now_ms(f->loop) - before_ms;
    assert_in_range(took_ms, TIMEOUT_MS - 100, TIMEOUT_MS + SLACK_MS);
    assert_int_equal(bind_to(f, 2, "u7"), ERR_UNAVAILABLE);
    redis_server_resume(server);
    run_until(f->loop, works, f, PATIENCE_MS);

    then_found(f, "u2", 1);
    assert_true(is_whole(f));
}

/* Who asks before the first connection is there waits a little, but not for long. */
static void test_redis_away_at_start_is_unavailable_then_works(void **state)
{
    struct fixture *f = *state;
    f->store->ops->destroy(f->store);
    redis_server_kill(server);
    f->store = make_store(f->loop);

    uint64_t before_ms = loop_now_ms(f->loop);
    assert_int_equal(bind_to(f, 1, "u1"), ERR_UNAVAILABLE);
    assert_true(loop_now_ms(f->loop) - before_ms < TIMEOUT_MS);
    redis_server_restart(server);
    run_until(f->loop, works, f, PATIENCE_MS);
    given_bound(f, 1, "u1");
    connect_other(f);
}

/* Who asks while the store starts is answered when it has. */
static void test_bind_waits_for_a_store_that_starts(void **state)
{
    struct fixture *f = *state;
    f->store->ops->destroy(f->store);
    f->store = make_patient_store(f->loop);

    given_bound(f, 1, "u1");
}

static void test_hung_redis_at_start_is_unavailable_in_time(void **state)
{
    struct fixture *f = *state;
    f->store->ops->destroy(f->store);
    redis_server_pause(server);
    f->store = make_store(f->loop);

    uint64_t before_ms = loop_now_ms(f->loop);
    enum err err = bind_to(f, 1, "u1");
    uint64_t took_ms = loop_now_ms(f->loop) - before_ms;
    redis_server_resume(server);

    assert_int_equal(err, ERR_UNAVAILABLE);
    assert_true(took_ms < TIMEOUT_MS);
    run_until(f->loop, works, f, PATIENCE_MS);
}

/* ---- another type, and nobody signs ---- */

static const char *whose_journal;

static bool is_journal_whole(void *ctx)
{
    return is_type(ctx, whose_journal, "hash") && number(ask(ctx, "HLEN %s", whose_journal)) == 3;
}

/* [STORE-8] [STORE-13] A value of another type is as good as a deleted one, and costs the others
 * nothing. */
static void test_keys_of_another_type_come_back_within_the_refresh(void **state)
{
    struct fixture *f = *state;
    char fd[128];
    char journal[64];
    given_three_devices(f);
    only_fd(f, "u1", fd, sizeof fd);
    snprintf(journal, sizeof journal, "%s", journal_of(fd));

    for (size_t i = 0; plant_other_type(f, &i, "chat_map_uid_fd:u1", "set");) {
        number(ask(f, "DEL chat_map_uid_fd:u2 %s", journal));
        run_until(f->loop, is_whole, f, REFRESH_MS + SLACK_MS);
        assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:u2")), 1);
    }
    for (size_t i = 0; plant_other_type(f, &i, journal, "hash");) {
        whose_journal = journal;
        run_until(f->loop, is_journal_whole, f, REFRESH_MS + SLACK_MS);
    }
    assert_true(is_whole(f));
}

/* The store that comes back replaces what it finds, without a sign or the refresh. */
static void test_keys_of_another_type_come_back_with_the_link(void **state)
{
    struct fixture *f = *state;
    char fd[128];
    given_no_refresh(f);
    given_three_devices(f);
    only_fd(f, "u1", fd, sizeof fd);

    run(f, "SET chat_map_uid_fd:u1 x");
    freeReplyObject(ask(f, "SET %s x", journal_of(fd)));
    run(f, "SET chat_nodes x");
    run(f, "CLIENT KILL TYPE normal");
    assert_int_equal(send_to(f, "u1"), ERR_UNAVAILABLE);
    run_until(f->loop, works, f, PATIENCE_MS);

    assert_true(is_whole(f));
    assert_int_equal(number(ask(f, "HLEN %s", journal_of(fd))), 3);
    assert_int_equal(number(ask(f, "ZCARD chat_nodes")), 1);
}

/* A list of nodes that is none is a list again with the next lease, and as after a flush all
 * traces are written again. */
static void test_list_of_nodes_of_another_type_heals_with_the_next_lease(void **state)
{
    struct fixture *f = *state;
    given_no_refresh(f);
    given_three_devices(f);

    run(f, "SET chat_nodes x");
    number(ask(f, "DEL chat_map_uid_fd:u1"));
    run_until(f->loop, is_whole, f, LEASE_MS + SLACK_MS);

    assert_int_equal(number(ask(f, "ZCARD chat_nodes")), 1);
    then_found(f, "u1", 1);
}

/* ---- predecessors, and the end ---- */

static void plant_device(struct fixture *f, const char *node, const char *uid)
{
    number(ask(f, "SADD chat_map_uid_fd:%s %s.1", uid, node));
    freeReplyObject(ask(f, "SET chat_map_fd_uid:%s.1 %s", node, uid));
    number(ask(f, "HSET chat_node_fds:{%s} %s.1 %s", node, node, uid));
}

/* A server that comes back after kill -9 removes its predecessor's traces before anybody signs;
 * those of nodes whose lease is over as well; those of others not. */
static void test_start_takes_over_from_dead_nodes(void **state)
{
    struct fixture *f = *state;
    const char *namesake = "node-0123456789abcdef";
    const char *longer = "node-x-0123456789abcdef";
    f->store->ops->destroy(f->store);
    run(f, "FLUSHALL");
    plant_node(f, namesake, 60000);
    plant_node(f, dead_node, -1000);
    plant_node(f, longer, 60000);
    plant_device(f, namesake, "u1");
    plant_device(f, dead_node, "u2");
    plant_device(f, longer, "u3");
    number(ask(f, "HSET chat_node_fds:{%s} %s.1 u3", namesake, longer)); /* not its own to remove */

    f->store = make_open_store(f->loop);
    then_found(f, "u1", 0);

    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:u1 chat_map_uid_fd:u2")), 0);
    assert_int_equal(number(ask(f, "EXISTS chat_map_fd_uid:%s.1", namesake)), 0);
    assert_int_equal(number(ask(f, "EXISTS chat_node_fds:{%s}", namesake)), 0);
    assert_int_equal(number(ask(f, "EXISTS chat_node_fds:{%s}", dead_node)), 0);
    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:u3")), 1);
    assert_int_equal(number(ask(f, "ZCARD chat_nodes")), 2); /* 'longer' and ourselves */
}

/* [STORE-13] Whatever stands in the place of predecessors' keys does not keep a server from
 * starting. */
static void test_start_among_keys_of_another_type_opens(void **state)
{
    struct fixture *f = *state;
    f->store->ops->destroy(f->store);
    run(f, "FLUSHALL");
    plant_node(f, dead_node, -1000);
    freeReplyObject(ask(f, "SET chat_node_fds:{%s} x", dead_node));
    plant_node(f, other_dead_node, -1000);
    plant_device(f, other_dead_node, "u1");
    plant_device(f, other_dead_node, "u2");
    run(f, "SET chat_map_uid_fd:u1 x");

    f->store = make_open_store(f->loop);
    given_bound(f, 1, "u1");

    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:u1")), 1);
    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:u2")), 0);
    assert_int_equal(number(ask(f, "EXISTS chat_node_fds:{%s}", dead_node)), 0);
    assert_int_equal(number(ask(f, "EXISTS chat_node_fds:{%s}", other_dead_node)), 0);
    assert_int_equal(number(ask(f, "ZCARD chat_nodes")), 1);

    f->store->ops->destroy(f->store);
    run(f, "SET chat_nodes x");
    f->store = make_open_store(f->loop);
    given_bound(f, 1, "u1");
    assert_int_equal(number(ask(f, "ZCARD chat_nodes")), 1);
}

/* A clean stop leaves nothing, not even of a bind that was still in flight. */
static void test_close_removes_all_traces(void **state)
{
    struct fixture *f = *state;
    given_three_devices(f);

    mapping_store_bind(f->store, 9, STR("u9"), on_bound, f);
    mapping_store_close(f->store, on_closed, f);
    run_until_count(f->loop, &f->n_closed, 1);

    assert_int_equal(number(ask(f, "DBSIZE")), 0);
    run_for(f, TIMEOUT_MS + 50);
    assert_int_equal(f->n_closed, 1);
}

/* [STORE-13] Nor does it keep a server from leaving: what is ours in right keys goes, once. */
static void test_close_among_keys_of_another_type_is_soon_over(void **state)
{
    struct fixture *f = *state;
    given_three_devices(f);
    run(f, "SET chat_map_uid_fd:u1 x");
    run(f, "SET chat_nodes x");

    mapping_store_bind(f->store, 9, STR("u1"), on_bound, f);
    uint64_t before_ms = loop_now_ms(f->loop);
    mapping_store_close(f->store, on_closed, f);
    run_until_count(f->loop, &f->n_closed, 1);
    assert_true(loop_now_ms(f->loop) - before_ms < TIMEOUT_MS);
    run_for(f, TIMEOUT_MS + 50);

    assert_int_equal(f->n_closed, 1);
    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:u2 chat_map_uid_fd:u3")), 0);
    redisReply *keys = ask(f, "KEYS chat_*_*:*[.{]*");
    assert_int_equal(keys->elements, 0); /* no fd's key, no journal */
    freeReplyObject(keys);
    assert_false(is_type(f, "chat_map_uid_fd:u1", "set"));
}

/* Without its journal a store cannot know what to remove. It leaves all the same, and writes
 * nothing any more: neither a bind nor a refresh that was in flight is repaired. */
static void test_close_with_a_journal_of_another_type_writes_nothing(void **state)
{
    struct fixture *f = *state;
    char fd[128];
    given_three_devices(f);
    only_fd(f, "u1", fd, sizeof fd);
    freeReplyObject(ask(f, "SET %s x", journal_of(fd)));
    run(f, "SET chat_map_uid_fd:u1 x");

    redis_server_pause(server);
    run_for(f, REFRESH_MS + 50); /* every device has had its turn and waits for its replies */
    mapping_store_bind(f->store, 9, STR("u9"), on_bound, f);
    uint64_t before_ms = loop_now_ms(f->loop);
    mapping_store_close(f->store, on_closed, f);
    redis_server_resume(server);
    run_until_count(f->loop, &f->n_closed, 1);
    run_for(f, 100);

    assert_true(loop_now_ms(f->loop) - before_ms < TIMEOUT_MS);
    assert_int_equal(number(ask(f, "EXISTS %s chat_nodes", journal_of(fd))), 0);
    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:u9")), 0);
    assert_true(is_type(f, "chat_map_uid_fd:u1", "string"));
}

/* "Never takes longer than the store's time limit", whether Redis is away or hangs. */
static void test_close_without_redis_is_soon_over(void **state)
{
    struct fixture *f = *state;
    given_three_devices(f);

    redis_server_pause(server);
    uint64_t before_ms = loop_now_ms(f->loop);
    mapping_store_close(f->store, on_closed, f);
    run_until_count(f->loop, &f->n_closed, 1);
    uint64_t took_ms = loop_now_ms(f->loop) - before_ms;
    redis_server_resume(server);
    run_for(f, 300);

    assert_true(took_ms <= TIMEOUT_MS + SLACK_MS);
    assert_int_equal(f->n_closed, 1);
}

/* ---- many ---- */

/* More than one batch and more than one page of the journal. */
static void test_many_devices_survive_a_flush_and_leave(void **state)
{
    struct fixture *f = *state;
    enum {
        N = 2345
    };
    char uid[32];
    f->store->ops->destroy(f->store);
    run(f, "FLUSHALL");
    f->store = make_patient_store(f->loop);
    run_until_open(f->loop, f->store);
    given_bound(f, 1, "u1");
    int n = f->n_answers;
    for (conn_id device = 2; device <= N; device++) {
        snprintf(uid, sizeof uid, "u%u", (unsigned)device);
        mapping_store_bind(f->store, device, str_of(uid), on_bound, f);
    }
    run_until_count(f->loop, &f->n_answers, n + N - 1);
    run(f, "FLUSHALL");
    run(f, "CLIENT KILL TYPE normal");
    assert_int_equal(send_to(f, "u1"), ERR_UNAVAILABLE);
    run_until(f->loop, works, f, PATIENCE_MS);

    assert_int_equal(number(ask(f, "DBSIZE")), 2 + 2 * N);
    mapping_store_close(f->store, on_closed, f);
    run_until_count(f->loop, &f->n_closed, 1);
    assert_int_equal(number(ask(f, "DBSIZE")), 0);
}

static int run_redis_tests(void)
{
    const struct CMUnitTest tests[] = {
        REDIS_TEST(test_bind_writes_the_keys_of_the_specification),
        REDIS_TEST(test_unbind_leaves_only_the_lease),
        REDIS_TEST(test_move_removes_the_old_trace),
        REDIS_TEST(test_uid_is_binary_safe_in_keys),
        REDIS_TEST(test_bind_removes_stale_fds_and_no_others),
        REDIS_TEST(test_binds_in_flight_are_not_stale),
        REDIS_TEST(test_refresh_leaves_a_moving_device_alone),
        REDIS_TEST(test_send_does_not_believe_redis),
        REDIS_TEST(test_send_of_another_type_finds_the_devices),
        REDIS_TEST(test_bind_replaces_a_set_of_another_type),
        REDIS_TEST(test_bind_replaces_a_journal_and_an_fd_key_of_another_type),
        REDIS_TEST(test_move_from_a_set_of_another_type_removes_it),
        REDIS_TEST(test_unbind_from_a_set_of_another_type_removes_it),
        REDIS_TEST(test_binds_in_flight_replace_a_set_of_another_type_together),
        REDIS_TEST(test_bind_spares_other_nodes_while_the_list_of_nodes_is_no_list),
        REDIS_TEST(test_oom_is_unavailable_and_passes),
        REDIS_TEST(test_slow_redis_does_not_add_up),
        REDIS_TEST(test_deleted_keys_come_back_within_the_refresh),
        REDIS_TEST(test_flush_heals_with_the_next_lease),
        REDIS_TEST(test_killed_and_restarted_redis_is_filled_again),
        REDIS_TEST(test_lost_link_is_reconciled),
        REDIS_TEST(test_stopped_redis_is_unavailable_in_time_and_comes_back),
        REDIS_TEST(test_redis_away_at_start_is_unavailable_then_works),
        REDIS_TEST(test_bind_waits_for_a_store_that_starts),
        REDIS_TEST(test_hung_redis_at_start_is_unavailable_in_time),
        REDIS_TEST(test_keys_of_another_type_come_back_within_the_refresh),
        REDIS_TEST(test_keys_of_another_type_come_back_with_the_link),
        REDIS_TEST(test_list_of_nodes_of_another_type_heals_with_the_next_lease),
        REDIS_TEST(test_start_takes_over_from_dead_nodes),
        REDIS_TEST(test_start_among_keys_of_another_type_opens),
        REDIS_TEST(test_close_removes_all_traces),
        REDIS_TEST(test_close_among_keys_of_another_type_is_soon_over),
        REDIS_TEST(test_close_with_a_journal_of_another_type_writes_nothing),
        REDIS_TEST(test_close_without_redis_is_soon_over),
        REDIS_TEST(test_many_devices_survive_a_flush_and_leave),
    };
    return cmocka_run_group_tests_name("redis_store: SPEC 5", tests, NULL, NULL);
}

int main(void)
{
    const struct store_maker maker = {
        .name = "redis_store: contract",
        .start = flush,
        .make_loop = loop_create,
        .make_store = make_open_store,
        .run_until = run_until_count,
    };
    signal(SIGPIPE, SIG_IGN);
    server = redis_server_start(NULL);
    int n_failed = run_store_contract(&maker) + run_redis_tests();
    redis_server_stop(server);
    return n_failed;
}
