#include <stdio.h>
#include <stdlib.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "mapping_store/redis.h"
#include "mapping_store/redis_refusal.h"

enum {
    ERROR_SIZE_MAX = 160, /* bytes, with its terminator */
    ERROR_LOG_INTERVAL_MS = 1000,
    PARTIAL_REFUSAL_MS = 3000 /* for which it is said that something is not permitted */
};

struct batch {
    struct redis_store *store;
    batch_reply_fn *replied;
    batch_done_fn *done;
    void *ctx;
    size_t n_asked;
    size_t n_replied;
    bool sent;
    enum batch_result result;
    char error[ERROR_SIZE_MAX];
};

struct batch *batch_create(struct redis_store *store, batch_reply_fn *replied, batch_done_fn *done,
                           void *ctx)
{
    struct batch *batch = mem_alloc(sizeof *batch);
    *batch = (struct batch){.store = store, .replied = replied, .done = done, .ctx = ctx};
    return batch;
}

static void note_result(struct batch *batch, enum batch_result result, const char *error)
{
    if (batch->error[0] == '\0') {
        snprintf(batch->error, sizeof batch->error, "%s", error);
    }
    if (result > batch->result) {
        batch->result = result;
    }
}

static void finish_if_complete(struct batch *batch)
{
    if (!batch->sent || batch->n_replied < batch->n_asked) {
        return;
    }
    batch->done(batch->ctx, batch->result, batch->error);
    free(batch);
}

static void on_reply(void *ctx, const redisReply *reply)
{
    struct batch *batch = ctx;
    size_t i = batch->n_replied++;
    if (reply == NULL) {
        note_result(batch, BATCH_LOST, "the link is away");
    } else if (reply->type == REDIS_REPLY_ERROR) {
        note_result(batch, redis_is_wrong_type(reply) ? BATCH_WRONG_TYPE : BATCH_REFUSED,
                    reply->str);
    } else if (batch->replied != NULL) {
        batch->replied(batch->ctx, i, reply);
    }
    finish_if_complete(batch);
}

void batch_ask(struct batch *batch, const struct str *args, size_t n)
{
    if (redis_link_command(batch->store->link, args, n, on_reply, batch)) {
        batch->n_asked++;
    } else {
        note_result(batch, BATCH_LOST, "the link is away");
    }
}

void batch_send(struct batch *batch)
{
    batch->sent = true;
    finish_if_complete(batch);
}

struct str redis_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? (struct str){reply->str, reply->len} : STR("");
}

uint64_t redis_time_ms(const redisReply *reply)
{
    return strtoull(redis_text(reply->element[0]).ptr, NULL, 10) * 1000 +
           strtoull(redis_text(reply->element[1]).ptr, NULL, 10) / 1000;
}

bool redis_is_wrong_type(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR &&
           strncmp(reply->str, "WRONGTYPE", strlen("WRONGTYPE")) == 0;
}

static void note_refusal(struct redis_store *store, const char *error)
{
    const char *refusal = redis_refusal(error);
    if (refusal == NULL) {
        return;
    }
    if (refusal != store->refusal) {
        log_line(LOG_WARN, "redis_refuses", "why=%s error=%s", log_value(refusal),
                 log_value(error));
    }
    store->refusal = refusal;
    store->refused_ms = loop_now_ms(store->loop);
}

void redis_refusal_is_over(struct redis_store *store, uint64_t asked_ms)
{
    uint64_t kept_ms = redis_refusal_is_partial(store->refusal) ? PARTIAL_REFUSAL_MS : 0;
    if (store->refusal != NULL && asked_ms > store->refused_ms + kept_ms) {
        log_line(LOG_INFO, "redis_refuses_no_more", "what=%s", log_value(store->refusal));
        store->refusal = NULL;
    }
}

void redis_log_error(struct redis_store *store, const char *what, const char *error)
{
    note_refusal(store, error);
    uint64_t now_ms = loop_now_ms(store->loop);
    if (now_ms < store->next_error_log_ms) {
        store->n_errors_unlogged++;
        return;
    }
    log_line(LOG_WARN, "redis_error", "doing=%s error=%s more=%u", what, log_value(error),
             store->n_errors_unlogged);
    store->next_error_log_ms = now_ms + ERROR_LOG_INTERVAL_MS;
    store->n_errors_unlogged = 0;
}
