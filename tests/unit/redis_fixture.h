/* redis_fixture.h - a Redis store on a real loop against a real redis-server, and another program
 * beside it: a plain blocking connection that looks at what is there and puts things there. */
#ifndef CHAT_REDIS_FIXTURE_H
#define CHAT_REDIS_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "chat/loop.h"
#include "chat/redis_store.h"
#include "redis_server.h"

enum {
    TIMEOUT_MS = 3000, /* of the store under test: a busy machine must not use it up */
    LEASE_MS = 4000,
    REFRESH_MS = 300,
    SLACK_MS = 3000,    /* a busy machine may be so much later than is right */
    PATIENCE_MS = 20000 /* until a test has failed */
};

struct fixture {
    struct loop *loop;
    struct mapping_store *store;
    redisContext *redis; /* the other program */
    int n_answers;
    enum err err;
    size_t n_found;
    struct sent sent; /* the last one, but for its devices */
    int n_closed;
};

extern struct redis_server *server; /* one for all tests, which main() starts */
extern struct fixture fixture;

/* ---- running the loop ---- */

/* Run the loop until 'is_so' says so; fails the test if that takes longer than 'limit_ms'. */
void run_until(struct loop *loop, bool (*is_so)(void *ctx), void *ctx, uint64_t limit_ms);
void run_until_count(struct loop *loop, const int *n, int wanted);
void run_for(struct fixture *f, uint64_t ms);
void run_until_open(struct loop *loop, struct mapping_store *store);

/* ---- the store ---- */

/* For database 2 of the server, a node "node", without features. */
struct redis_store_options store_options(void);

/* One that opens later; one that is open; one with another time between refreshs. */
struct mapping_store *make_store(struct loop *loop);
struct mapping_store *make_open_store(struct loop *loop);
struct mapping_store *make_refreshing_store(struct loop *loop, uint64_t refresh_ms);
/* One with so much time that no machine uses it up. */
struct mapping_store *make_patient_store(struct loop *loop);

/* Callbacks that count in 'ctx', a fixture. */
void on_bound(void *ctx, conn_id device, enum err err);
void on_sent(void *ctx, const struct sent *sent);
void on_closed(void *ctx);

enum err bind_to(struct fixture *f, conn_id device, const char *uid);
void start_send(struct fixture *f, const char *uid); /* which has to live until the answer */
enum err send_to(struct fixture *f, const char *uid);
void given_bound(struct fixture *f, conn_id device, const char *uid);
void then_found(struct fixture *f, const char *uid, size_t n);

/* ---- the other program ---- */

void connect_other(struct fixture *f);

/* Formats as hiredis does, %b included, so the compiler cannot check it. */
redisReply *ask(struct fixture *f, const char *format, ...);
long long number(redisReply *reply); /* an integer reply, -1 for anything else; frees it */
void run(struct fixture *f, const char *command);
void copy_text(redisReply *reply, char *out, size_t size); /* frees it */
bool is_type(struct fixture *f, const char *key, const char *type);

/* The journal that 'fd' stands in. Static storage. */
const char *journal_of(const char *fd);
/* The only member of the uid's set, or "". */
void only_fd(struct fixture *f, const char *uid, char *out, size_t size);
/* The number at the end of 'fd': its device. */
conn_id device_of(const char *fd);

void plant_node(struct fixture *f, const char *node, long long lease_from_now_ms);
/* In the key's place, whatever it was: the next value of another type than 'type'. Counts up 'i'.
 * False: there is no further type. */
bool plant_other_type(struct fixture *f, size_t *i, const char *key, const char *type);

/* ---- around each test ---- */

void flush(void);
int setup(void **state);
int teardown(void **state);

#define REDIS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
