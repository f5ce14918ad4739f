#include "redis_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redis_server *server;
struct fixture fixture;

/* ---- running the loop ---- */

static void on_patience(void *ctx)
{
    bool *is_over = ctx;
    *is_over = true;
}

static void on_look(void *ctx)
{
    loop_stop(ctx);
}

void run_until(struct loop *loop, bool (*is_so)(void *ctx), void *ctx, uint64_t limit_ms)
{
    bool is_over = false;
    struct loop_timer *patience = loop_timer_create(loop, on_patience, &is_over);
    struct loop_timer *look = loop_timer_create(loop, on_look, loop);
    loop_timer_start(patience, limit_ms, 0);
    loop_timer_start(look, 1, 1);
    while (!is_so(ctx) && !is_over) {
        loop_run(loop);
    }
    loop_timer_destroy(patience);
    loop_timer_destroy(look);
    assert_true(is_so(ctx));
}

static bool never(void *ctx)
{
    uint64_t *until_ms = ctx;
    return loop_now_ms(fixture.loop) >= *until_ms;
}

void run_for(struct fixture *f, uint64_t ms)
{
    uint64_t until_ms = loop_now_ms(f->loop) + ms;
    run_until(f->loop, never, &until_ms, ms + PATIENCE_MS);
}

static bool is_open(void *ctx)
{
    struct mapping_store *store = ctx;
    return store->ops->trouble(store) == NULL;
}

void run_until_open(struct loop *loop, struct mapping_store *store)
{
    run_until(loop, is_open, store, PATIENCE_MS);
}

struct counter {
    const int *n;
    int wanted;
};

static bool is_counted(void *ctx)
{
    const struct counter *counter = ctx;
    return *counter->n >= counter->wanted;
}

void run_until_count(struct loop *loop, const int *n, int wanted)
{
    struct counter counter = {n, wanted};
    run_until(loop, is_counted, &counter, PATIENCE_MS);
}

/* ---- the store ---- */

struct redis_store_options store_options(void)
{
    char url[64];
    const char *why = "";
    struct redis_store_options options = {.node_name = "node",
                                          .timeout_ms = TIMEOUT_MS,
                                          .lease_ms = LEASE_MS,
                                          .refresh_ms = REFRESH_MS};
    snprintf(url, sizeof url, "redis://127.0.0.1:%u/2", (unsigned)redis_server_port(server));
    assert_int_equal(redis_url_parse(str_of(url), &options.url, &why), ERR_OK);
    return options;
}

struct mapping_store *make_refreshing_store(struct loop *loop, uint64_t refresh_ms)
{
    struct redis_store_options options = store_options();
    options.refresh_ms = refresh_ms;
    return redis_store_create(loop, &options);
}

struct mapping_store *make_store(struct loop *loop)
{
    return make_refreshing_store(loop, REFRESH_MS);
}

struct mapping_store *make_patient_store(struct loop *loop)
{
    struct redis_store_options options = store_options();
    options.timeout_ms = 10 * TIMEOUT_MS;
    return redis_store_create(loop, &options);
}

struct mapping_store *make_open_store(struct loop *loop)
{
    struct mapping_store *store = make_store(loop);
    run_until_open(loop, store);
    return store;
}

void on_bound(void *ctx, conn_id device, enum err err)
{
    struct fixture *f = ctx;
    (void)device;
    f->err = err;
    f->n_answers++;
}

void on_sent(void *ctx, const struct sent *sent)
{
    struct fixture *f = ctx;
    f->err = sent->err;
    f->n_found = sent->n;
    f->sent = *sent;
    f->n_answers++;
}

enum err bind_to(struct fixture *f, conn_id device, const char *uid)
{
    int n = f->n_answers;
    mapping_store_bind(f->store, device, str_of(uid), on_bound, f);
    assert_int_equal(f->n_answers, n);
    run_until_count(f->loop, &f->n_answers, n + 1);
    return f->err;
}

void start_send(struct fixture *f, const char *uid)
{
    struct message message = {.to = str_of(uid), .from = STR("sender"), .body = STR("1")};
    mapping_store_send(f->store, &message, on_sent, f);
}

enum err send_to(struct fixture *f, const char *uid)
{
    int n = f->n_answers;
    start_send(f, uid);
    assert_int_equal(f->n_answers, n);
    run_until_count(f->loop, &f->n_answers, n + 1);
    return f->err;
}

void given_bound(struct fixture *f, conn_id device, const char *uid)
{
    assert_int_equal(bind_to(f, device, uid), ERR_OK);
}

void then_found(struct fixture *f, const char *uid, size_t n)
{
    assert_int_equal(send_to(f, uid), ERR_OK);
    assert_int_equal(f->n_found, n);
}

/* ---- the other program ---- */

redisReply *ask(struct fixture *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(f->redis, format, args);
    va_end(args);
    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    return reply;
}

long long number(redisReply *reply)
{
    long long n = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    freeReplyObject(reply);
    return n;
}

void run(struct fixture *f, const char *command)
{
    freeReplyObject(ask(f, command, NULL));
}

void copy_text(redisReply *reply, char *out, size_t size)
{
    snprintf(out, size, "%s", reply->type == REDIS_REPLY_STRING ? reply->str : "");
    freeReplyObject(reply);
}

const char *journal_of(const char *fd)
{
    static char key[64];
    snprintf(key, sizeof key, "chat_node_fds:{%.*s}", (int)(strrchr(fd, '.') - fd), fd);
    return key;
}

void only_fd(struct fixture *f, const char *uid, char *out, size_t size)
{
    out[0] = '\0';
    redisReply *reply = ask(f, "SMEMBERS chat_map_uid_fd:%s", uid);
    if (reply->elements == 1) {
        snprintf(out, size, "%s", reply->element[0]->str);
    }
    freeReplyObject(reply);
}

conn_id device_of(const char *fd)
{
    const char *dot = strrchr(fd, '.');
    return dot == NULL ? CONN_NONE : strtoull(dot + 1, NULL, 10);
}

bool is_type(struct fixture *f, const char *key, const char *type)
{
    redisReply *reply = ask(f, "TYPE %s", key);
    bool is = strcmp(reply->str, type) == 0;
    freeReplyObject(reply);
    return is;
}

void connect_other(struct fixture *f)
{
    redisFree(f->redis);
    f->redis = redisConnect("127.0.0.1", redis_server_port(server));
    assert_int_equal(f->redis->err, 0);
    run(f, "SELECT 2");
}

void plant_node(struct fixture *f, const char *node, long long lease_from_now_ms)
{
    redisReply *time = ask(f, "TIME");
    long long now_ms = atoll(time->element[0]->str) * 1000;
    freeReplyObject(time);
    number(ask(f, "ZADD chat_nodes %lld %s", now_ms + lease_from_now_ms, node));
}

int setup(void **state)
{
    memset(&fixture, 0, sizeof fixture);
    connect_other(&fixture);
    run(&fixture, "FLUSHALL");
    fixture.loop = loop_create();
    fixture.store = make_open_store(fixture.loop);
    *state = &fixture;
    return 0;
}

int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->store != NULL) {
        f->store->ops->destroy(f->store);
    }
    loop_destroy(f->loop);
    redisFree(f->redis);
    return 0;
}

bool plant_other_type(struct fixture *f, size_t *i, const char *key, const char *type)
{
    static const struct {
        const char *type;
        const char *command;
    } rows[] = {{"string", "SET %s x"},
                {"list", "RPUSH %s a"},
                {"hash", "HSET %s a b"},
                {"zset", "ZADD %s 1 a"},
                {"set", "SADD %s a"}};
    while (*i < sizeof rows / sizeof rows[0]) {
        size_t row = (*i)++;
        if (strcmp(rows[row].type, type) != 0) {
            number(ask(f, "DEL %s", key));
            freeReplyObject(ask(f, rows[row].command, key));
            return true;
        }
    }
    return false;
}

void flush(void)
{
    connect_other(&fixture);
    run(&fixture, "FLUSHALL");
    redisFree(fixture.redis);
    fixture.redis = NULL;
}

void on_closed(void *ctx)
{
    struct fixture *f = ctx;
    f->n_closed++;
}
