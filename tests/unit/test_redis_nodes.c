/* Two Redis stores on one Redis are two nodes: SPEC 8, and what becomes of it when somebody else
 * deletes, flushes or writes there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chat/limits.h"
#include "chat/nodes.h"
#include "redis_fixture.h"

enum {
    EVENTS_MAX = 512,
    LARGE = 5000 /* bytes of a body that is not rung */
};

/* What a node was told. */
struct event {
    enum {
        ARRIVED,
        BROADCAST,
        NEWEST
    } kind;
    char to[16];
    char from[16];
    char body[16];
    struct message_id id;
    struct message_id previous;
    size_t n_devices;
    conn_id device; /* the first */
};

struct node {
    struct mapping_store *store;
    int n_events;
    struct event events[EVENTS_MAX];
};

static uint64_t timeout_ms = TIMEOUT_MS; /* of the nodes that are started */
static struct node a;
static struct node third; /* of a test that needs one */
static struct node b;
static const struct inbox_limits limits = {.messages_max = 1000, .retention_ms = 604800000};

static void copy(char out[16], struct str s)
{
    snprintf(out, 16, "%.*s", s.len < 15 ? (int)s.len : 15, s.ptr);
}

static struct event *next_event(struct node *node)
{
    assert_in_range(node->n_events, 0, EVENTS_MAX - 1);
    return &node->events[node->n_events++];
}

static void on_arrived(void *ctx, struct str to, const struct delivery *delivery,
                       struct message_id previous, const conn_id *devices, size_t n)
{
    struct event *event = next_event(ctx);
    *event = (struct event){.kind = ARRIVED,
                            .id = delivery->id,
                            .previous = previous,
                            .n_devices = n,
                            .device = n > 0 ? devices[0] : CONN_NONE};
    copy(event->to, to);
    copy(event->from, delivery->from);
    copy(event->body, delivery->body);
    assert_false(delivery->is_broadcast);
}

static void on_broadcast_arrived(void *ctx, const struct delivery *delivery, const conn_id *devices,
                                 size_t n)
{
    struct event *event = next_event(ctx);
    *event = (struct event){.kind = BROADCAST,
                            .id = delivery->id,
                            .n_devices = n,
                            .device = n > 0 ? devices[0] : CONN_NONE};
    copy(event->from, delivery->from);
    copy(event->body, delivery->body);
    assert_true(delivery->is_broadcast);
}

static void on_newest_known(void *ctx, struct str uid, struct message_id newest,
                            const conn_id *devices, size_t n)
{
    struct event *event = next_event(ctx);
    *event = (struct event){.kind = NEWEST, .id = newest, .n_devices = n, .device = devices[0]};
    copy(event->to, uid);
}

static const struct node_events events = {.arrived = on_arrived,
                                          .broadcast_arrived = on_broadcast_arrived,
                                          .newest_known = on_newest_known};

static void start_node(struct fixture *f, struct node *node, const char *name,
                       const struct inbox_limits *history, uint64_t refresh_ms)
{
    struct redis_store_options options = store_options();
    options.node_name = name;
    options.nodes = true;
    options.history = history;
    options.refresh_ms = refresh_ms;
    options.timeout_ms = timeout_ms;
    memset(node, 0, sizeof *node);
    node->store = redis_store_create(f->loop, &options);
    node->store->ops->listen(node->store, &events, node);
    run_until_open(f->loop, node->store);
}

static void stop_nodes(struct fixture *f)
{
    a.store->ops->destroy(a.store);
    b.store->ops->destroy(b.store);
    f->store = NULL;
}

static void start_nodes(struct fixture *f, const struct inbox_limits *history, uint64_t refresh_ms)
{
    start_node(f, &a, "node-a", history, refresh_ms);
    start_node(f, &b, "node-b", history, refresh_ms);
}

/* What another program deletes does not come back by the refresh as long as a test takes. */
static int setup_nodes(void **state)
{
    setup(state);
    struct fixture *f = *state;
    f->store->ops->destroy(f->store);
    run(f, "FLUSHALL");
    start_nodes(f, NULL, 25000);
    return 0;
}

/* Nodes with so much time that no machine uses it up, for what is much work. */
static int setup_patient_nodes(void **state)
{
    timeout_ms = 10 * TIMEOUT_MS;
    int failed = setup_nodes(state);
    timeout_ms = TIMEOUT_MS;
    return failed;
}

static int setup_nodes_with_history(void **state)
{
    setup_nodes(state);
    stop_nodes(*state);
    run(*state, "FLUSHALL");
    start_nodes(*state, &limits, 25000);
    return 0;
}

static int teardown_nodes(void **state)
{
    struct fixture *f = *state;
    stop_nodes(f);
    return teardown(state);
}

/* ---- what nodes do ---- */

static void given_bound_on(struct fixture *f, struct node *node, conn_id device, const char *uid)
{
    f->store = node->store;
    given_bound(f, device, uid);
}

static void start_send_from(struct fixture *f, struct node *node, const char *to, const char *body)
{
    struct message message = {.to = str_of(to), .from = STR("sender"), .body = str_of(body)};
    mapping_store_send(node->store, &message, on_sent, f);
}

static enum err send_from(struct fixture *f, struct node *node, const char *to, const char *body)
{
    int n = f->n_answers;
    start_send_from(f, node, to, body);
    run_until_count(f->loop, &f->n_answers, n + 1);
    return f->err;
}

static void on_broadcast(void *ctx, enum err err)
{
    struct fixture *f = ctx;
    f->err = err;
    f->n_answers++;
}

static void start_broadcast_from(struct fixture *f, struct node *node, const char *body)
{
    struct message message = {.from = STR("sender"), .body = str_of(body)};
    mapping_store_broadcast(node->store, &message, on_broadcast, f);
}

static enum err broadcast_from(struct fixture *f, struct node *node, const char *body)
{
    int n = f->n_answers;
    start_broadcast_from(f, node, body);
    run_until_count(f->loop, &f->n_answers, n + 1);
    return f->err;
}

static const struct event *then_event(struct fixture *f, struct node *node, int i, int kind,
                                      const char *body)
{
    run_until_count(f->loop, &node->n_events, i + 1);
    assert_int_equal(node->events[i].kind, kind);
    assert_string_equal(node->events[i].body, body);
    return &node->events[i];
}

/* The node's full name. */
static const char *name_of(struct fixture *f, const char *name)
{
    static char full[64];
    full[0] = '\0';
    redisReply *nodes = ask(f, "ZRANGE chat_nodes 0 -1");
    for (size_t i = 0; i < nodes->elements; i++) {
        if (strncmp(nodes->element[i]->str, name, strlen(name)) == 0) {
            snprintf(full, sizeof full, "%s", nodes->element[i]->str);
        }
    }
    freeReplyObject(nodes);
    return full;
}

static const char *queue_of(struct fixture *f, const char *name)
{
    static char key[128];
    snprintf(key, sizeof key, "chat_node_queue:{%s}", name_of(f, name));
    return key;
}

static bool is_list_of_two(void *ctx)
{
    return number(ask(ctx, "ZCARD chat_nodes")) == 2;
}

/* ---- leases ---- */

/* When a node's lease ends, as Redis writes it, or "" if it has none. */
struct lease {
    char end[64];
};

static struct lease lease_of(struct fixture *f, const char *name)
{
    struct lease lease = {0};
    redisReply *nodes = redisCommand(f->redis, "ZRANGE chat_nodes 0 -1 WITHSCORES");
    assert_non_null(nodes);
    for (size_t i = 0; nodes->type == REDIS_REPLY_ARRAY && i + 1 < nodes->elements; i += 2) {
        if (strncmp(nodes->element[i]->str, name, strlen(name)) == 0) {
            snprintf(lease.end, sizeof lease.end, "%s", nodes->element[i + 1]->str);
        }
    }
    freeReplyObject(nodes);
    return lease;
}

struct renewal {
    struct fixture *f;
    struct lease a;
    struct lease b;
};

static bool are_renewed(void *ctx)
{
    const struct renewal *renewal = ctx;
    struct lease of_a = lease_of(renewal->f, "node-a");
    struct lease of_b = lease_of(renewal->f, "node-b");
    return strcmp(of_a.end, renewal->a.end) != 0 && of_a.end[0] != '\0' &&
           strcmp(of_b.end, renewal->b.end) != 0 && of_b.end[0] != '\0';
}

/* Both nodes renew their leases, and read what Redis answers. */
static void run_until_renewed(struct fixture *f)
{
    struct renewal renewal = {f, lease_of(f, "node-a"), lease_of(f, "node-b")};
    run_until(f->loop, are_renewed, &renewal, LEASE_MS + SLACK_MS);
    run_for(f, 100);
}

/* ---- messages ---- */

/* [NODE-1] [NODE-2] */
static void test_message_arrives_on_the_other_node(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");
    given_bound_on(f, &b, 8, "alice");
    given_bound_on(f, &b, 9, "bob");

    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);
    assert_int_equal(f->n_found, 0);
    assert_int_equal(send_from(f, &a, "nobody", "2"), ERR_OK);
    assert_int_equal(send_from(f, &a, "bob", "3"), ERR_OK);

    const struct event *event = then_event(f, &b, 0, ARRIVED, "1");
    assert_string_equal(event->to, "alice");
    assert_string_equal(event->from, "sender");
    assert_int_equal(event->n_devices, 2);
    assert_int_equal(event->device, 7);
    assert_true(message_id_is_none(event->id));
    assert_int_equal(then_event(f, &b, 1, ARRIVED, "2")->n_devices, 0);
    then_event(f, &b, 2, ARRIVED, "3");
    assert_int_equal(b.n_events, 3);
    assert_int_equal(a.n_events, 0);
}

static void test_message_reaches_the_devices_of_both_nodes(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &a, 7, "alice");
    given_bound_on(f, &b, 7, "alice");

    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);
    assert_int_equal(f->n_found, 1);
    assert_int_equal(send_from(f, &b, "alice", "2"), ERR_OK);
    assert_int_equal(f->n_found, 1);

    then_event(f, &b, 0, ARRIVED, "1");
    then_event(f, &a, 0, ARRIVED, "2");
    assert_int_equal(a.n_events + b.n_events, 2);
}

/* [NODE-3] [CAST-7] Messages and broadcasts, all on their way at once. */
static void test_what_is_sent_arrives_in_order(void **state)
{
    struct fixture *f = *state;
    enum {
        N = 300
    };
    static char bodies[N][8];
    given_bound_on(f, &b, 7, "alice");
    int n = f->n_answers;

    for (int i = 0; i < N; i++) {
        snprintf(bodies[i], sizeof bodies[i], "%d", i);
        if (i % 3 == 0) {
            start_broadcast_from(f, &a, bodies[i]);
        } else {
            start_send_from(f, &a, "alice", bodies[i]);
        }
    }
    run_until_count(f->loop, &f->n_answers, n + N);

    for (int i = 0; i < N; i++) {
        then_event(f, &b, i, i % 3 == 0 ? BROADCAST : ARRIVED, bodies[i]);
    }
}

/* [NODE-13] Once on each other node, also on one that was not there a moment ago. */
static void test_broadcast_arrives_on_every_other_node(void **state)
{
    struct fixture *f = *state;
    static struct node c;
    start_node(f, &c, "node-c", NULL, 25000);

    assert_int_equal(broadcast_from(f, &a, "1"), ERR_OK);
    assert_int_equal(broadcast_from(f, &b, "2"), ERR_OK);

    const struct event *event = then_event(f, &c, 0, BROADCAST, "1");
    assert_string_equal(event->from, "sender");
    then_event(f, &c, 1, BROADCAST, "2");
    then_event(f, &b, 0, BROADCAST, "1");
    then_event(f, &a, 0, BROADCAST, "2");
    assert_int_equal(a.n_events + b.n_events + c.n_events, 4);
    c.store->ops->destroy(c.store);
}

/* ---- what somebody deletes ---- */

static void given_known_to_each_other(struct fixture *f)
{
    run_until_renewed(f);
    a.n_events = 0;
    b.n_events = 0;
}

/* [STORE-8] "Meanwhile, too, messages reach every device." */
static void test_deleted_set_costs_nobody_a_message(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &a, 7, "alice");
    given_bound_on(f, &b, 7, "alice");
    given_known_to_each_other(f);

    run(f, "DEL chat_map_uid_fd:alice");
    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);
    run(f, "SET chat_map_uid_fd:alice x");
    assert_int_equal(send_from(f, &a, "alice", "2"), ERR_OK);

    then_event(f, &b, 0, ARRIVED, "1");
    then_event(f, &b, 1, ARRIVED, "2");
}

/* [STORE-8] Everything is deleted, the queues, too; who sends makes them again. */
static void test_flush_costs_nobody_a_message(void **state)
{
    struct fixture *f = *state;
    static char bodies[400][8];
    given_bound_on(f, &b, 7, "alice");
    given_known_to_each_other(f);

    run(f, "FLUSHALL");
    for (int i = 0; i < 400; i++) {
        snprintf(bodies[i], sizeof bodies[i], "%d", i);
        assert_int_equal(send_from(f, &a, "alice", bodies[i]), ERR_OK);
        run_for(f, 10); /* past the renewal of both leases */
    }

    for (int i = 0; i < 400; i++) {
        then_event(f, &b, i, ARRIVED, bodies[i]);
    }
    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:alice")), 1);
    assert_true(is_list_of_two(f));
}

/* [NODE-8] What comes while the queue is not read waits in it. */
static void test_lost_reader_goes_on_where_it_was(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");
    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);
    then_event(f, &b, 0, ARRIVED, "1");

    redisReply *list = ask(f, "CLIENT LIST");
    for (const char *at = list->str; at != NULL; at = strchr(at + 1, '\n')) {
        const char *line = *at == '\n' ? at + 1 : at;
        const char *end = strchr(line, '\n');
        const char *cmd = strstr(line, "cmd=xread");
        if (cmd != NULL && cmd < end) {
            number(ask(f, "CLIENT KILL ID %d", atoi(line + strlen("id="))));
        }
    }
    freeReplyObject(list);
    for (int i = 2; i <= 9; i++) {
        char body[2] = {(char)('0' + i), '\0'};
        assert_int_equal(send_from(f, &a, "alice", body), ERR_OK);
    }

    for (int i = 2; i <= 9; i++) {
        char body[2] = {(char)('0' + i), '\0'};
        then_event(f, &b, i - 1, ARRIVED, body);
    }
    assert_int_equal(b.n_events, 9);
}

/* [STORE-9] [STORE-10] */
static void test_killed_redis_comes_back(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");

    redis_server_kill(server);
    assert_int_equal(send_from(f, &a, "alice", "lost"), ERR_UNAVAILABLE);
    assert_int_equal(broadcast_from(f, &a, "lost"), ERR_UNAVAILABLE);
    redis_server_restart(server);
    run_until_open(f->loop, a.store);
    run_until_open(f->loop, b.store);
    connect_other(f);
    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);

    then_event(f, &b, 0, ARRIVED, "1");
}

/* ---- what somebody writes ---- */

static void test_garbage_in_the_queue_is_passed_over(void **state)
{
    struct fixture *f = *state;
    static const char *const garbage[] = {
        "x y",
        "uid alice",
        "uid alice from bob",
        "uid alice body 1",
        "uid alice from bob body 1 id 1",
        "uid alice from bob body 1 previous -",
        "uid alice from bob body 1 extra field",
        "from bob",
        "body 1",
        "uid alice from bob body \xff",
        "uid alice from \x01 body 1",
        "marker x",
    };
    given_bound_on(f, &b, 7, "alice");
    const char *queue = queue_of(f, "node-b");

    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        char command[256];
        snprintf(command, sizeof command, "XADD %s * %s", queue, garbage[i]);
        run(f, command);
    }
    freeReplyObject(ask(f, "XADD %s * uid %b from bob body 1", queue, "", (size_t)0));
    assert_int_equal(send_from(f, &a, "alice", "\"after\""), ERR_OK);

    then_event(f, &b, 0, ARRIVED, "\"after\"");
}

/* A queue of another type, or whose last id is the last possible, is made anew with the next
 * lease. */
/* [STORE-13] A node that somebody made up, for ever alive and with a queue that is none, keeps no
 * message from the others, and does not stay. */
static void test_made_up_node_is_in_nobodys_way(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");
    run(f, "ZADD chat_nodes inf ghost-0123456789abcdef");
    run(f, "SADD chat_map_uid_fd:alice ghost-0123456789abcdef.7 other-0123456789abcdef.8");
    run(f, "SET chat_node_queue:{ghost-0123456789abcdef} x");
    run(f, "SET chat_node_queue:{other-0123456789abcdef} x");

    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);
    assert_int_equal(broadcast_from(f, &a, "2"), ERR_OK);
    then_event(f, &b, 0, ARRIVED, "1");
    then_event(f, &b, 1, BROADCAST, "2");
    run_until_renewed(f);

    assert_string_equal(name_of(f, "ghost"), "");
}

/* What is told to a node that does not read is bounded in bytes, the oldest goes, and what comes
 * later is there. */
static void test_queue_that_nobody_reads_is_bounded_in_bytes(void **state)
{
    struct fixture *f = *state;
    static char body[1048576 + 1];
    memset(body, '1', sizeof body - 1);
    plant_node(f, "ghost-0123456789abcdef", 60000);
    run(f, "SADD chat_map_uid_fd:alice ghost-0123456789abcdef.7");
    run_until_renewed(f);

    for (int i = 0; i < 100; i++) {
        assert_int_equal(send_from(f, &a, "alice", body), ERR_OK);
    }
    assert_int_equal(send_from(f, &a, "alice", "\"last\""), ERR_OK);

    const char *const queue = "chat_node_queue:{ghost-0123456789abcdef}";
    assert_in_range(number(ask(f, "MEMORY USAGE %s SAMPLES 0", queue)), 16 << 20, 72 << 20);
    redisReply *last = ask(f, "XREVRANGE %s + - COUNT 1", queue);
    assert_string_equal(last->element[0]->element[1]->element[5]->str, "\"last\"");
    freeReplyObject(last);
}

/* Whatever id somebody gives an entry, or the queue's last one: the node hears what comes behind
 * it, and does not ask for the same again and again. */
static void test_no_id_in_the_queue_makes_a_node_deaf(void **state)
{
    struct fixture *f = *state;
    static const char *const ids[] = {
        "9007199254740991-0",
        "9007199254740991-9007199254740991",
        "9007199254740992-0",
        "9007199254740992-18446744073709551615",
        "9223372036854775807-1",
        "9223372036854775808-9223372036854775808",
        "18446744073709551614-18446744073709551615",
        "18446744073709551615-0",
        "18446744073709551615-18446744073709551614",
    };
    given_bound_on(f, &b, 7, "alice");
    char queue[128];
    int n = 0;
    snprintf(queue, sizeof queue, "%s", queue_of(f, "node-b"));
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        freeReplyObject(ask(f, "XADD %s %s x y", queue, ids[i]));
        assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);
        then_event(f, &b, n++, ARRIVED, "1");
        run_until_renewed(f);
        assert_int_equal(send_from(f, &a, "alice", "2"), ERR_OK);
        then_event(f, &b, n++, ARRIVED, "2");
    }
    freeReplyObject(ask(f, "XSETID %s 18446744073709551615-18446744073709551615", queue));
    run_until_renewed(f);
    assert_int_equal(send_from(f, &a, "alice", "3"), ERR_OK);
    then_event(f, &b, n, ARRIVED, "3");
    assert_in_range(number(ask(f, "XLEN %s", queue)), 0, 4);
}

static void test_unusable_queue_is_made_anew(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");
    char queue[128];
    int n = 0;
    snprintf(queue, sizeof queue, "%s", queue_of(f, "node-b"));

    for (size_t i = 0; plant_other_type(f, &i, queue, "stream");) {
        assert_int_equal(send_from(f, &a, "alice", "0"), ERR_OK);
        then_event(f, &b, n++, ARRIVED, "0");
        run_until_renewed(f);
        assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);
        then_event(f, &b, n++, ARRIVED, "1");
        if (i > 1) {
            break; /* one more is enough: each takes its time */
        }
    }
    freeReplyObject(ask(f, "XADD %s 18446744073709551615-18446744073709551615 x y", queue));
    run_until_renewed(f);
    assert_int_equal(send_from(f, &a, "alice", "2"), ERR_OK);
    then_event(f, &b, n, ARRIVED, "2");
}

static bool is_read_queue_trimmed(void *ctx)
{
    return number(ask(ctx, "XLEN %s", queue_of(ctx, "node-b"))) <= 150;
}

/* What has been read does not stay in Redis. */
static void test_queue_keeps_nothing_that_has_been_read(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");
    int n = f->n_answers;
    for (int i = 0; i < 400; i++) {
        start_send_from(f, &a, "alice", "1");
    }
    run_until_count(f->loop, &f->n_answers, n + 400);
    run_until_count(f->loop, &b.n_events, 400);

    run_until(f->loop, is_read_queue_trimmed, f, PATIENCE_MS);

    assert_in_range(number(ask(f, "XLEN %s", queue_of(f, "node-b"))), 1, 150);
    assert_in_range(number(ask(f, "PTTL %s", queue_of(f, "node-b"))), 110000, 120000);
}

/* ---- the dead ---- */

static const char dead_node[] = "other-fedcba9876543210";
static const char long_dead_node[] = "other-fedcba9876543211";
static const char live_node[] = "other-fedcba9876543212";

static void plant_devices(struct fixture *f, const char *node, int n)
{
    for (int i = 1; i <= n; i++) {
        number(ask(f, "SADD chat_map_uid_fd:u%d %s.%d", i, node, i));
        freeReplyObject(ask(f, "SET chat_map_fd_uid:%s.%d u%d", node, i, i));
        number(ask(f, "HSET chat_node_fds:{%s} %s.%d u%d", node, node, i, i));
    }
}

static long long n_keys_of(struct fixture *f, const char *node)
{
    redisReply *keys = ask(f, "KEYS chat_*%s*", node);
    long long n = (long long)keys->elements;
    freeReplyObject(keys);
    return n;
}

static bool are_the_dead_gone(void *ctx)
{
    return n_keys_of(ctx, dead_node) == 0 && n_keys_of(ctx, long_dead_node) == 0;
}

static bool is_forgotten(void *ctx)
{
    redisReply *score = ask(ctx, "ZSCORE chat_nodes %s", long_dead_node);
    bool is_gone = score->type == REDIS_REPLY_NIL;
    freeReplyObject(score);
    return is_gone;
}

/* [NODE-6] "The traces of its devices MUST be gone within 30 s, without any sign." Others' traces
 * stay ([NODE-4]), and so does a dead node's name, for as long as it may come back. */
static void test_traces_of_dead_nodes_are_removed(void **state)
{
    struct fixture *f = *state;
    enum {
        N = 9000 /* so many that Redis does not find them all where a journal begins */
    };
    plant_devices(f, live_node, 2);
    plant_node(f, live_node, 60000);
    plant_devices(f, dead_node, N);
    run(f, "SET chat_map_uid_fd:u3 x");
    number(ask(f, "HSET chat_node_fds:{%s} %s.1 u1", dead_node, live_node)); /* not its own */
    plant_devices(f, long_dead_node, 2);
    plant_node(f, dead_node, -1000);
    plant_node(f, long_dead_node, -121000);

    run_until(f->loop, are_the_dead_gone, f, PATIENCE_MS);
    run_until(f->loop, is_forgotten, f, PATIENCE_MS);

    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:u1")), 1);
    assert_int_equal(n_keys_of(f, live_node), 3);
    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:u5")), 0);
    assert_true(strlen(name_of(f, dead_node)) > 0);
}

static bool is_dead_node_gone(void *ctx)
{
    return n_keys_of(ctx, dead_node) == 0;
}

/* Somebody has deleted the list of nodes: who knew that one remembers it, and looks after what it
 * leaves when it does not come back. */
static void test_traces_of_a_forgotten_node_are_removed(void **state)
{
    struct fixture *f = *state;
    plant_devices(f, dead_node, 3);
    plant_node(f, dead_node, LEASE_MS);
    run_until_renewed(f);

    run(f, "DEL chat_nodes");

    run_until(f->loop, is_dead_node_gone, f, PATIENCE_MS);
    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:u1 chat_map_uid_fd:u3")), 0);
}

/* The same of one that was dead before, was cleaned up after, and came back. */
static void test_traces_of_a_forgotten_node_that_was_dead_before_are_removed(void **state)
{
    struct fixture *f = *state;
    plant_devices(f, dead_node, 3);
    plant_node(f, dead_node, -1000);
    run_until_renewed(f); /* both nodes have seen it dead */
    run_until(f->loop, is_dead_node_gone, f, PATIENCE_MS);
    plant_devices(f, dead_node, 3);
    plant_node(f, dead_node, LEASE_MS); /* to the second before */
    run_until_renewed(f);

    run(f, "DEL chat_nodes");

    run_until(f->loop, is_dead_node_gone, f, PATIENCE_MS);
}

/* Nobody who lives has ever heard of it: it died, and the list of nodes was deleted. Whoever meets
 * an fd of its looks after all that it has left. */
static void test_traces_of_a_node_that_nobody_knows_are_removed_when_one_is_met(void **state)
{
    struct fixture *f = *state;
    plant_devices(f, dead_node, 3);
    run_until_renewed(f);
    assert_false(is_dead_node_gone(f));

    given_bound_on(f, &a, 7, "u2");

    run_until(f->loop, is_dead_node_gone, f, PATIENCE_MS);
    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:u1 chat_map_uid_fd:u3")), 0);
}

/* But it may live, and only not be in the list yet. */
static void test_traces_of_a_node_that_is_not_listed_yet_stay(void **state)
{
    struct fixture *f = *state;
    plant_devices(f, dead_node, 3);
    given_bound_on(f, &a, 7, "u2");
    run_until_renewed(f);

    plant_node(f, dead_node, 60000);
    run_for(f, LEASE_MS);

    assert_int_equal(number(ask(f, "HLEN chat_node_fds:{%s}", dead_node)), 3);
    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:u1 chat_map_uid_fd:u3")), 2);
}

static bool has_queue_an_end(void *ctx)
{
    return number(ask(ctx, "PTTL chat_node_queue:{%s}", dead_node)) > 0;
}

/* Somebody has deleted its queue, and it died before it could say how long the next one lives. */
static void test_queue_of_a_dead_node_does_not_stay(void **state)
{
    struct fixture *f = *state;
    plant_node(f, dead_node, -1000);
    freeReplyObject(ask(f, "XADD chat_node_queue:{%s} * marker x", dead_node));

    run_until(f->loop, has_queue_an_end, f, PATIENCE_MS);
}

static bool is_whole_again(void *ctx)
{
    struct fixture *f = ctx;
    return number(ask(f, "SCARD chat_map_uid_fd:alice")) == 1 &&
           number(ask(f, "SCARD chat_map_uid_fd:bob")) == 1;
}

/* Who was taken for dead and is not writes its traces again with its next lease. */
static void test_node_that_was_taken_for_dead_comes_back(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &a, 7, "alice");
    given_bound_on(f, &b, 7, "bob");

    number(ask(f, "ZADD chat_nodes 1 %s", name_of(f, "node-a")));
    run(f, "DEL chat_map_uid_fd:alice");

    run_until(f->loop, is_whole_again, f, LEASE_MS + SLACK_MS);
}

/* [NODE-5] */
static void test_fds_of_a_dead_node_are_stale(void **state)
{
    struct fixture *f = *state;
    plant_node(f, dead_node, -1);
    number(ask(f, "SADD chat_map_uid_fd:alice %s.1", dead_node));

    given_bound_on(f, &a, 7, "alice");

    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:alice")), 1);
}

/* [NODE-4] Somebody has deleted the list of nodes: who was alive a moment ago still is. */
static void test_fds_of_a_node_that_is_not_listed_any_more_are_live(void **state)
{
    struct fixture *f = *state;
    run_until_renewed(f);
    given_bound_on(f, &a, 7, "alice");

    run(f, "DEL chat_nodes");
    given_bound_on(f, &b, 7, "alice");

    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:alice")), 2);
}

static bool is_a_listed(void *ctx)
{
    return strlen(name_of(ctx, "node-a")) > 0;
}

/* Nor is who is not listed yet when this node is again. */
static void test_fds_of_a_node_that_is_not_listed_yet_are_live(void **state)
{
    struct fixture *f = *state;
    run_until_renewed(f);
    run(f, "DEL chat_nodes");
    run_until(f->loop, is_a_listed, f, PATIENCE_MS);

    number(ask(f, "SADD chat_map_uid_fd:alice %s.1", dead_node));
    given_bound_on(f, &a, 7, "alice");
    assert_int_equal(number(ask(f, "SCARD chat_map_uid_fd:alice")), 2);
    run_for(f, LEASE_MS * 3 / 5); /* the list has been whole again for two renewals */
    given_bound_on(f, &a, 8, "alice");

    assert_int_equal(number(ask(f, "SISMEMBER chat_map_uid_fd:alice %s.1", dead_node)), 0);
}

/* A dead node is told what happens as long as its queue is there, and nobody makes it anew. */
static void test_queue_of_a_dead_node_is_written_but_not_made(void **state)
{
    struct fixture *f = *state;
    plant_node(f, dead_node, -1000);
    plant_node(f, long_dead_node, -1000);
    freeReplyObject(ask(f, "XADD chat_node_queue:{%s} * marker x", dead_node));

    assert_int_equal(broadcast_from(f, &a, "1"), ERR_OK);

    assert_int_equal(number(ask(f, "XLEN chat_node_queue:{%s}", dead_node)), 2);
    assert_int_equal(number(ask(f, "EXISTS chat_node_queue:{%s}", long_dead_node)), 0);
}

/* [NODE-8] Nor does it matter that somebody has removed its traces: it may come back. */
static void test_dead_node_is_told_although_it_has_no_traces(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &a, 7, "alice");
    plant_node(f, dead_node, -1000);
    freeReplyObject(ask(f, "XADD chat_node_queue:{%s} * marker x", dead_node));
    run_until_renewed(f);

    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);

    assert_int_equal(number(ask(f, "XLEN chat_node_queue:{%s}", dead_node)), 2);
}

/* A clean stop: not there any more, and soon without a trace. */
static void test_close_leaves_the_others_first(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");
    char queue[128];
    snprintf(queue, sizeof queue, "%s", queue_of(f, "node-b"));

    mapping_store_close(b.store, on_closed, f);
    run_until_count(f->loop, &f->n_closed, 1);

    assert_string_equal(name_of(f, "node-b"), "");
    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:alice")), 0);
    assert_in_range(number(ask(f, "PTTL %s", queue)), 1, 2 * LEASE_MS);
    assert_string_equal(b.store->ops->trouble(b.store), "the server stops");
}

/* ---- trouble ---- */

static const char *trouble; /* that is expected of node a */

static bool is_in_trouble(void *ctx)
{
    const struct node *node = ctx;
    const char *said = node->store->ops->trouble(node->store);
    return said != NULL && strcmp(said, trouble) == 0;
}

/* "Right within 5 s of a cut", although nobody asks anything. */
static void test_trouble_says_what_is_wrong(void **state)
{
    struct fixture *f = *state;

    trouble = "Redis does not answer";
    redis_server_pause(server);
    run_until(f->loop, is_in_trouble, &a, PATIENCE_MS);
    redis_server_resume(server);
    run_until_open(f->loop, a.store);

    trouble = "Redis cannot be reached";
    redis_server_kill(server);
    run_until(f->loop, is_in_trouble, &a, PATIENCE_MS);
    redis_server_restart(server);
    run_until_open(f->loop, a.store);
    connect_other(f);
}

/* Redis answers, but takes no lease: others will take the node for dead, so it does not send. */
static void test_lease_that_is_refused_is_trouble_at_once(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");

    run(f, "CONFIG SET maxmemory 1");
    trouble = "Redis is out of memory";
    run_until(f->loop, is_in_trouble, &a, LEASE_MS + SLACK_MS);
    run_for(f, LEASE_MS);
    enum err err = send_from(f, &a, "alice", "1");
    run(f, "CONFIG SET maxmemory 0");

    assert_int_equal(err, ERR_UNAVAILABLE);
    run_until_open(f->loop, a.store);
    assert_int_equal(send_from(f, &a, "alice", "2"), ERR_OK);
}

static void given_node_with_a_short_lease(struct fixture *f)
{
    struct redis_store_options options = store_options();
    options.node_name = "node-c";
    options.nodes = true;
    options.timeout_ms = 10000; /* longer than a lease, which is allowed */
    options.lease_ms = 1000;
    f->store = redis_store_create(f->loop, &options);
    f->store->ops->listen(f->store, &events, &third);
    memset(&third, 0, sizeof third);
    third.store = f->store;
    run_until_open(f->loop, third.store);
}

static void test_lease_that_is_not_renewed_is_trouble(void **state)
{
    struct fixture *f = *state;
    given_node_with_a_short_lease(f);

    redis_server_pause(server);
    trouble = "the lease could not be renewed for 0.8 s";
    run_until(f->loop, is_in_trouble, &third, PATIENCE_MS);
    redis_server_resume(server);

    run_until_open(f->loop, third.store);
    third.store->ops->destroy(third.store);
}

static void wait_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* [NODE-5] The lease ends so long after it was asked for, whenever its answer is read. */
static void test_lease_whose_answer_comes_late_is_over(void **state)
{
    struct fixture *f = *state;
    given_node_with_a_short_lease(f);

    redis_server_pause(server);
    run_for(f, 300); /* so that the lease has been asked for */
    redis_server_resume(server);
    wait_ms(200); /* Redis answers, and nobody reads it until the lease is over: */
    redis_server_pause(server);
    wait_ms(1000);
    run_for(f, 20);
    trouble = "the lease could not be renewed for 0.8 s";
    bool is_over = is_in_trouble(&third);
    redis_server_resume(server);

    assert_true(is_over);
    run_until_open(f->loop, third.store);
    third.store->ops->destroy(third.store);
}

/* What a request was refused with is known at once, before the lease is renewed. */
static void test_what_a_request_is_refused_with_is_trouble_at_once(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *given;
        const char *trouble;
        const char *ended;
        bool is_soon_over;
    } rows[] = {
        {"CONFIG SET maxmemory 1", "Redis is out of memory", "CONFIG SET maxmemory 0", true},
        {"CONFIG SET min-replicas-to-write 1", "Redis has too few replicas to take writes",
         "CONFIG SET min-replicas-to-write 0", true},
        {"ACL SETUSER default -hset", "Redis does not permit this user what is asked",
         "ACL SETUSER default +hset", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run(f, rows[i].given);
        f->store = a.store;
        assert_int_equal(bind_to(f, 7 + i, "alice"), ERR_UNAVAILABLE);
        const char *said = a.store->ops->trouble(a.store);
        run(f, rows[i].ended);
        assert_non_null(said);
        assert_string_equal(said, rows[i].trouble);
        if (rows[i].is_soon_over) {
            run_until_open(f->loop, a.store);
        }
    }
}

/* Another Redis has taken over: this one can still be read, so only the lease finds it out. */
static void test_redis_that_becomes_a_replica_is_given_up(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");

    run(f, "REPLICAOF 127.0.0.1 1");
    trouble = "this Redis is a read-only replica";
    run_until(f->loop, is_in_trouble, &a, LEASE_MS + SLACK_MS);
    enum err err = send_from(f, &a, "alice", "1");
    run(f, "REPLICAOF NO ONE");

    assert_int_equal(err, ERR_UNAVAILABLE);
    run_until_open(f->loop, a.store);
    assert_int_equal(send_from(f, &a, "alice", "2"), ERR_OK);
}

static void test_queue_that_is_not_read_is_trouble(void **state)
{
    struct fixture *f = *state;

    run(f, "ACL SETUSER default -xread");
    trouble = "Redis does not permit this user what is asked";
    run_until(f->loop, is_in_trouble, &a, PATIENCE_MS);
    run(f, "ACL SETUSER default +xread");

    run_until_open(f->loop, a.store);
}

/* ---- with history ---- */

/* [NODE-10] */
static void test_message_arrives_with_its_ids(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");

    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);
    struct message_id first = f->sent.id;
    assert_int_equal(send_from(f, &a, "alice", "2"), ERR_OK);

    const struct event *event = then_event(f, &b, 0, ARRIVED, "1");
    assert_int_equal(message_id_compare(event->id, first), 0);
    assert_true(message_id_is_none(event->previous));
    event = then_event(f, &b, 1, ARRIVED, "2");
    assert_int_equal(message_id_compare(event->id, f->sent.id), 0);
    assert_int_equal(message_id_compare(event->previous, first), 0);
    assert_int_equal(event->n_devices, 1);
}

/* A large body stands once in Redis: the other node reads it there. */
static void test_large_message_arrives_without_its_body(void **state)
{
    struct fixture *f = *state;
    static char body[LARGE + 1];
    memset(body, '7', LARGE);
    given_bound_on(f, &b, 7, "alice");

    assert_int_equal(send_from(f, &a, "alice", body), ERR_OK);

    const struct event *event = then_event(f, &b, 0, ARRIVED, "");
    assert_string_equal(event->to, "alice");
    assert_int_equal(message_id_compare(event->id, f->sent.id), 0);
    assert_int_equal(event->device, 7);
}

/* [NODE-12] The first one may not have been rung, so a retry is. */
static void test_retry_on_another_node_is_known_and_rung(void **state)
{
    struct fixture *f = *state;
    struct message message = {
        .to = STR("alice"), .from = STR("bob"), .body = STR("1"), .cid = STR("m")};
    given_bound_on(f, &b, 7, "alice");
    int n = f->n_answers;
    mapping_store_send(a.store, &message, on_sent, f);
    run_until_count(f->loop, &f->n_answers, n + 1);
    struct message_id first = f->sent.id;
    mapping_store_send(b.store, &message, on_sent, f);
    run_until_count(f->loop, &f->n_answers, n + 2);
    assert_true(f->sent.is_dup);
    assert_int_equal(f->n_found, 1);

    mapping_store_send(a.store, &message, on_sent, f);
    run_until_count(f->loop, &f->n_answers, n + 3);

    assert_true(f->sent.is_dup);
    assert_int_equal(message_id_compare(f->sent.id, first), 0);
    then_event(f, &b, 0, ARRIVED, "1");
    assert_int_equal(message_id_compare(then_event(f, &b, 1, NEWEST, "")->id, first), 0);
}

/* Of entries without an id, or without a body, with history only the id counts. */
static void test_garbage_in_the_queue_with_history(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");
    const char *queue = queue_of(f, "node-b");

    freeReplyObject(ask(f, "XADD %s * uid alice from bob body 1", queue));
    freeReplyObject(ask(f, "XADD %s * uid alice from %b body 1 id 5-0", queue, "\xff", (size_t)1));

    assert_int_equal(then_event(f, &b, 0, ARRIVED, "")->id.ms, 5);
}

/* [HIST-1] A ring got lost: it is found when the traces are written again. */
static void test_lost_ring_is_found_by_the_refresh(void **state)
{
    struct fixture *f = *state;
    stop_nodes(f);
    run(f, "FLUSHALL");
    start_nodes(f, &limits, REFRESH_MS);
    given_bound_on(f, &a, 6, "alice");
    given_bound_on(f, &b, 7, "alice");
    given_bound_on(f, &b, 8, "alice");

    redisReply *fds = ask(f, "SMEMBERS chat_map_uid_fd:alice");
    for (size_t i = 0; i < fds->elements; i++) {
        if (strncmp(fds->element[i]->str, "node-b", 6) == 0) {
            number(ask(f, "SREM chat_map_uid_fd:alice %s", fds->element[i]->str));
        }
    }
    freeReplyObject(fds);
    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);

    const struct event *event = then_event(f, &b, 0, NEWEST, "");
    assert_int_equal(message_id_compare(event->id, f->sent.id), 0);
    assert_int_equal(event->n_devices, 2);
    event = then_event(f, &a, 0, NEWEST, "");
    assert_int_equal(event->device, 6);
}

static int n_pages;
static enum err page_err;

static void on_read(void *ctx, const struct inbox_page *page)
{
    (void)ctx;
    page_err = page->err;
    n_pages++;
}

static void read_newest(void *ctx, struct str uid, struct message_id newest, const conn_id *devices,
                        size_t n)
{
    on_newest_known(ctx, uid, newest, devices, n);
    mapping_store_read(b.store, uid, NULL, 1, on_read, NULL);
}

/* [NODE-8] Who comes back is told before it is open, and can read what it missed. */
static void test_who_comes_back_can_read_at_once(void **state)
{
    struct fixture *f = *state;
    static const struct node_events reading = {.arrived = on_arrived,
                                               .broadcast_arrived = on_broadcast_arrived,
                                               .newest_known = read_newest};
    b.store->ops->listen(b.store, &reading, &b);
    given_bound_on(f, &b, 7, "alice");
    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);
    then_event(f, &b, 0, ARRIVED, "1");

    run(f, "CLIENT KILL TYPE normal");
    then_event(f, &b, 1, NEWEST, "");
    run_until_count(f->loop, &n_pages, 1);

    assert_int_equal(page_err, ERR_OK);
}

/* The queue is lost, or older than what was read: all is compared at once. */
static void test_lost_queue_is_compared(void **state)
{
    struct fixture *f = *state;
    static const char *const ids[] = {"*", "1-1"};
    given_bound_on(f, &b, 7, "alice");
    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);
    then_event(f, &b, 0, ARRIVED, "1");
    char queue[128];
    snprintf(queue, sizeof queue, "%s", queue_of(f, "node-b"));

    number(ask(f, "DEL %s", queue));
    then_event(f, &b, 1, NEWEST, "");
    number(ask(f, "DEL %s", queue));
    freeReplyObject(ask(f, "XADD %s %s x y", queue, ids[1]));
    then_event(f, &b, 2, NEWEST, "");
    assert_int_equal(send_from(f, &a, "alice", "2"), ERR_OK);
    then_event(f, &b, 3, ARRIVED, "2");
}

/* In another millisecond than what was told last: a queue that is made in the same one has ids that
 * have been read. */
static void flush_later(struct fixture *f)
{
    run_for(f, 5);
    run(f, "FLUSHALL");
}

/* [STORE-8] The others know a node from its first moment, not from the next time that they look. */
static void test_flush_costs_a_new_node_no_message(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &a, 6, "amy");
    given_bound_on(f, &b, 7, "bob");
    assert_int_equal(send_from(f, &b, "amy", "0"), ERR_OK);
    then_event(f, &a, 0, ARRIVED, "0"); /* and so what it said when it joined has been read */

    flush_later(f);

    assert_int_equal(send_from(f, &a, "bob", "1"), ERR_OK);
    then_event(f, &b, 0, ARRIVED, "1");
    flush_later(f);
    assert_int_equal(broadcast_from(f, &a, "2"), ERR_OK);
    then_event(f, &b, 1, BROADCAST, "2");
}

/* ---- many nodes ---- */

enum {
    MANY = 400,
    TOO_MANY = NODES_MAX + 10
};

/* What the script 'each' returns, added up for 'n' nodes that are called "many" and 'i'. */
static long long for_each_of(struct fixture *f, int n, const char *each)
{
    char script[1000];
    snprintf(script, sizeof script,
             "local n = 0 "
             "for i = 1, tonumber(ARGV[1]) do "
             "  local node = string.format('many-%%016x', i) "
             "  n = n + (%s) "
             "end return n",
             each);
    return number(ask(f, "EVAL %s 0 %d", script, n));
}

/* With leases that nobody takes for made up, and that are not over before the test is. */
static void given_nodes(struct fixture *f, int n)
{
    for_each_of(f, n,
                "redis.call('ZADD', 'chat_nodes', redis.call('TIME')[1] * 1000 + 50000, node)");
}

static const char told[] = "redis.call('XLEN', 'chat_node_queue:{' .. node .. '}')";

/* [NODE-13] [NODE-1] Nobody is left out, however many there are. */
static void test_what_is_sent_reaches_each_of_many_nodes(void **state)
{
    struct fixture *f = *state;
    given_nodes(f, MANY);
    for_each_of(f, MANY, "redis.call('SADD', 'chat_map_uid_fd:alice', node .. '.1')");

    assert_int_equal(broadcast_from(f, &a, "1"), ERR_OK);
    assert_int_equal(for_each_of(f, MANY, told), MANY);
    assert_int_equal(send_from(f, &a, "alice", "2"), ERR_OK);
    assert_int_equal(for_each_of(f, MANY, told), 2 * MANY);
    run(f, "DEL chat_map_uid_fd:alice");
    assert_int_equal(send_from(f, &a, "alice", "3"), ERR_OK);

    assert_int_equal(for_each_of(f, MANY, told), 3 * MANY);
    then_event(f, &b, 0, BROADCAST, "1");
}

/* [REPLY-8] Where some would have to be left out, nothing is said to be sent, nor is it. */
static void test_broadcast_when_there_are_too_many_nodes_is_unavailable(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");
    given_nodes(f, TOO_MANY);

    assert_int_equal(broadcast_from(f, &a, "1"), ERR_UNAVAILABLE);
    assert_int_equal(send_from(f, &a, "nobody", "2"), ERR_UNAVAILABLE);
    assert_int_equal(send_from(f, &a, "alice", "3"), ERR_OK);
    assert_int_equal(for_each_of(f, TOO_MANY, told), 0);
    for_each_of(f, TOO_MANY, "redis.call('ZREM', 'chat_nodes', node)");
    assert_int_equal(broadcast_from(f, &a, "4"), ERR_OK);

    then_event(f, &b, 0, ARRIVED, "3");
    then_event(f, &b, 1, BROADCAST, "4");
}

/* [STORE-12] A set with fds of more nodes than there may be is as good as a deleted one. */
static void test_set_with_fds_of_too_many_nodes_costs_nobody_a_message(void **state)
{
    struct fixture *f = *state;
    for_each_of(f, TOO_MANY, "redis.call('SADD', 'chat_map_uid_fd:alice', node .. '.1')");
    given_bound_on(f, &b, 7, "alice");
    for_each_of(f, TOO_MANY, "redis.call('SADD', 'chat_map_uid_fd:alice', node .. '.1')");

    assert_int_equal(send_from(f, &a, "alice", "1"), ERR_OK);

    then_event(f, &b, 0, ARRIVED, "1");
}

/* [NODE-6] All that earlier processes of a node have left goes, a part at a time. */
static void test_traces_of_many_predecessors_are_removed(void **state)
{
    struct fixture *f = *state;
    static struct node c;
    given_nodes(f, MANY);
    for_each_of(f, MANY,
                "redis.call('HSET', 'chat_node_fds:{' .. node .. '}', node .. '.1', 'alice') + "
                "redis.call('SADD', 'chat_map_uid_fd:alice', node .. '.1')");

    start_node(f, &c, "many", NULL, 25000);

    assert_int_equal(number(ask(f, "ZCARD chat_nodes")), 3);
    assert_int_equal(number(ask(f, "EXISTS chat_map_uid_fd:alice")), 0);
    c.store->ops->destroy(c.store);
}

/* ---- while queues are not read ---- */

/* From now on until the queues are read again. Everything else goes on. */
static void given_queues_unread(struct fixture *f)
{
    run(f, "ACL SETUSER default -xread");
    run_for(f, TIMEOUT_MS / 2 + 100); /* by then a question to the queue has been answered */
}

static void when_queues_are_read_again(struct fixture *f)
{
    run(f, "ACL SETUSER default +xread");
}

/* What is stored can be read, whatever is in the queue still. */
static void test_page_does_not_wait_for_the_queue(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");
    given_queues_unread(f);
    n_pages = 0;
    assert_int_equal(broadcast_from(f, &a, "1"), ERR_OK);
    assert_int_equal(send_from(f, &a, "alice", "2"), ERR_OK);

    mapping_store_read(b.store, STR("alice"), NULL, 64, on_read, NULL);
    run_until_count(f->loop, &n_pages, 1);

    assert_int_equal(page_err, ERR_OK);
    assert_int_equal(b.n_events, 0);
    when_queues_are_read_again(f);
    then_event(f, &b, 0, BROADCAST, "1");
    then_event(f, &b, 1, ARRIVED, "2");
}

/* [CAST-6] A broadcast is for those who were bound when it was sent, however late it is read. */
static void test_broadcast_is_not_for_who_was_bound_after_it(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &b, 7, "alice");
    given_queues_unread(f);

    assert_int_equal(broadcast_from(f, &a, "1"), ERR_OK);
    given_bound_on(f, &b, 8, "bob");
    assert_int_equal(broadcast_from(f, &a, "2"), ERR_OK);
    given_bound_on(f, &b, 7, "carol"); /* it stays the device that it is */
    when_queues_are_read_again(f);

    const struct event *first = then_event(f, &b, 0, BROADCAST, "1");
    assert_int_equal(first->n_devices, 1);
    assert_int_equal(first->device, 7);
    assert_int_equal(then_event(f, &b, 1, BROADCAST, "2")->n_devices, 2);
}

/* [CAST-2] Nor does who was bound behind entries of a queue that is gone miss those of the next,
 * which may have lower ids. */
static void test_broadcast_in_another_queue_is_for_all(void **state)
{
    struct fixture *f = *state;
    given_bound_on(f, &a, 6, "amy");
    assert_int_equal(send_from(f, &b, "amy", "0"), ERR_OK);
    then_event(f, &a, 0, ARRIVED, "0");
    given_queues_unread(f);
    assert_int_equal(broadcast_from(f, &b, "lost"), ERR_OK);
    given_bound_on(f, &a, 8, "bob");
    char queue[128];
    snprintf(queue, sizeof queue, "%s", queue_of(f, "node-a"));

    number(ask(f, "DEL %s", queue));
    freeReplyObject(ask(f, "XADD %s 5-1 marker %s", queue, name_of(f, "node-b")));
    run_until_renewed(f);
    freeReplyObject(ask(f, "XADD %s 6-1 from x body 1", queue));
    when_queues_are_read_again(f);

    assert_int_equal(then_event(f, &a, 1, BROADCAST, "1")->n_devices, 2);
}

#define NODES_TEST(name) cmocka_unit_test_setup_teardown(name, setup_nodes, teardown_nodes)
#define PATIENT_TEST(name) \
    cmocka_unit_test_setup_teardown(name, setup_patient_nodes, teardown_nodes)
#define HISTORY_TEST(name) \
    cmocka_unit_test_setup_teardown(name, setup_nodes_with_history, teardown_nodes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODES_TEST(test_message_arrives_on_the_other_node),
        NODES_TEST(test_message_reaches_the_devices_of_both_nodes),
        PATIENT_TEST(test_what_is_sent_arrives_in_order),
        NODES_TEST(test_broadcast_arrives_on_every_other_node),
        NODES_TEST(test_deleted_set_costs_nobody_a_message),
        NODES_TEST(test_flush_costs_nobody_a_message),
        NODES_TEST(test_flush_costs_a_new_node_no_message),
        NODES_TEST(test_lost_reader_goes_on_where_it_was),
        NODES_TEST(test_killed_redis_comes_back),
        NODES_TEST(test_garbage_in_the_queue_is_passed_over),
        NODES_TEST(test_unusable_queue_is_made_anew),
        NODES_TEST(test_no_id_in_the_queue_makes_a_node_deaf),
        PATIENT_TEST(test_queue_that_nobody_reads_is_bounded_in_bytes),
        NODES_TEST(test_made_up_node_is_in_nobodys_way),
        PATIENT_TEST(test_queue_keeps_nothing_that_has_been_read),
        PATIENT_TEST(test_traces_of_dead_nodes_are_removed),
        NODES_TEST(test_traces_of_a_forgotten_node_are_removed),
        NODES_TEST(test_traces_of_a_forgotten_node_that_was_dead_before_are_removed),
        NODES_TEST(test_traces_of_a_node_that_nobody_knows_are_removed_when_one_is_met),
        NODES_TEST(test_traces_of_a_node_that_is_not_listed_yet_stay),
        NODES_TEST(test_queue_of_a_dead_node_does_not_stay),
        NODES_TEST(test_node_that_was_taken_for_dead_comes_back),
        NODES_TEST(test_fds_of_a_dead_node_are_stale),
        NODES_TEST(test_fds_of_a_node_that_is_not_listed_any_more_are_live),
        NODES_TEST(test_fds_of_a_node_that_is_not_listed_yet_are_live),
        NODES_TEST(test_queue_of_a_dead_node_is_written_but_not_made),
        NODES_TEST(test_dead_node_is_told_although_it_has_no_traces),
        NODES_TEST(test_close_leaves_the_others_first),
        NODES_TEST(test_trouble_says_what_is_wrong),
        NODES_TEST(test_lease_that_is_refused_is_trouble_at_once),
        NODES_TEST(test_lease_that_is_not_renewed_is_trouble),
        NODES_TEST(test_lease_whose_answer_comes_late_is_over),
        NODES_TEST(test_what_a_request_is_refused_with_is_trouble_at_once),
        NODES_TEST(test_redis_that_becomes_a_replica_is_given_up),
        NODES_TEST(test_queue_that_is_not_read_is_trouble),
        HISTORY_TEST(test_message_arrives_with_its_ids),
        HISTORY_TEST(test_large_message_arrives_without_its_body),
        HISTORY_TEST(test_retry_on_another_node_is_known_and_rung),
        HISTORY_TEST(test_garbage_in_the_queue_with_history),
        HISTORY_TEST(test_lost_ring_is_found_by_the_refresh),
        HISTORY_TEST(test_who_comes_back_can_read_at_once),
        HISTORY_TEST(test_lost_queue_is_compared),
        HISTORY_TEST(test_page_does_not_wait_for_the_queue),
        PATIENT_TEST(test_what_is_sent_reaches_each_of_many_nodes),
        PATIENT_TEST(test_broadcast_when_there_are_too_many_nodes_is_unavailable),
        PATIENT_TEST(test_set_with_fds_of_too_many_nodes_costs_nobody_a_message),
        PATIENT_TEST(test_traces_of_many_predecessors_are_removed),
        NODES_TEST(test_broadcast_is_not_for_who_was_bound_after_it),
        NODES_TEST(test_broadcast_in_another_queue_is_for_all),
    };
    signal(SIGPIPE, SIG_IGN);
    server = redis_server_start(NULL);
    int n_failed = cmocka_run_group_tests_name("redis_store: SPEC 8", tests, NULL, NULL);
    redis_server_stop(server);
    return n_failed;
}
