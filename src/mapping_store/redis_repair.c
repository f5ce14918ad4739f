#include <stdlib.h>

#include "chat/mem.h"
#include "mapping_store/redis.h"

/* Deletes the key if it has another type than it should have, and says so. It looks and deletes in
 * one, so that a right value that somebody wrote meanwhile is not lost. */
static const char repair_script[] = "local type = redis.call('TYPE', KEYS[1]).ok\n"
                                    "if type == ARGV[1] or type == 'none' then return false end\n"
                                    "redis.call('DEL', KEYS[1])\n"
                                    "return 'deleted the ' .. type .. ' ' .. KEYS[1]";

static void on_repaired(void *ctx, const redisReply *reply)
{
    if (reply != NULL && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_ERROR)) {
        redis_log_error(ctx, "repair", reply->str);
    }
}

static void repair(struct redis_store *store, struct name key, struct str type)
{
    struct str args[] = {STR("EVAL"), STR(repair_script), STR("1"), name_str(&key), type};
    /* False: the link is away, as the caller will hear from the commands that it asks now. */
    (void)redis_link_command(store->link, args, 5, on_repaired, store);
}

void redis_repair_set(struct redis_store *store, struct str uid)
{
    repair(store, key_of_uid(uid), STR("set"));
}

void redis_repair_journal(struct redis_store *store)
{
    repair(store, key_of_node_fds(str_of(store->node)), STR("hash"));
}

void redis_repair_queue(struct redis_store *store, struct str node)
{
    repair(store, key_of_node_queue(node), STR("stream"));
}

/* ---- traces written again ---- */

struct writing {
    struct redis_store *store;
    redis_written_fn *done;
    bool is_repaired;
    size_t n;
    conn_id devices[]; /* some may have left or moved since */
};

static void write_again(struct writing *writing);

static void repair_all(struct writing *writing)
{
    struct redis_store *store = writing->store;
    writing->is_repaired = true;
    redis_repair_journal(store);
    for (size_t i = 0; i < writing->n; i++) {
        struct str uid = devices_uid(store->devices, writing->devices[i]);
        if (uid.len > 0) {
            redis_repair_set(store, uid);
        }
    }
}

static void on_written(void *ctx, enum batch_result result, const char *error)
{
    struct writing *writing = ctx;
    struct redis_store *store = writing->store;
    /* Not after close, whose walk would not see what is written now. */
    if (result == BATCH_WRONG_TYPE && !writing->is_repaired && store->state != STORE_CLOSED) {
        repair_all(writing);
        write_again(writing);
        return;
    }
    writing->done(store, result, error);
    free(writing);
}

static void write_again(struct writing *writing)
{
    struct batch *batch = batch_create(writing->store, NULL, on_written, writing);
    traces_write_many(batch, writing->store, writing->devices, writing->n);
    batch_send(batch);
}

void redis_write_next(struct redis_store *store, size_t n, redis_written_fn *done)
{
    struct writing *writing = mem_alloc(sizeof *writing + n * sizeof writing->devices[0]);
    writing->store = store;
    writing->done = done;
    struct str uid;
    while (writing->n < n && devices_rotate(store->devices, &writing->devices[writing->n], &uid)) {
        writing->n++;
    }
    redis_compare(store, writing->devices, writing->n);
    write_again(writing);
}
