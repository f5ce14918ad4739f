/* With history the messages are as safe as Redis keeps them: if its settings may lose some, the
 * log says so, once. */
#include "chat/log.h"
#include "mapping_store/redis.h"

static const struct wanted {
    struct str setting;
    const char *value;
    const char *otherwise;
} wanted[] = {
    {STR_INIT("maxmemory-policy"), "noeviction", "when memory is short it may drop messages"},
    {STR_INIT("appendonly"), "yes", "what is not delivered yet may be lost when it restarts"},
};

static void on_setting(void *ctx, size_t i, const redisReply *reply)
{
    (void)ctx;
    bool is_setting = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                      reply->element[1]->type == REDIS_REPLY_STRING;
    const char *value = is_setting ? reply->element[1]->str : "?";
    if (strcmp(value, wanted[i].value) != 0) {
        log_line(LOG_WARN, "redis_setting", "%s=%s wanted=%s why=%s", wanted[i].setting.ptr,
                 log_value(value), wanted[i].value, log_value(wanted[i].otherwise));
    }
}

static void on_settings(void *ctx, enum batch_result result, const char *error)
{
    (void)ctx;
    if (result == BATCH_REFUSED) {
        log_line(LOG_WARN, "redis_settings_unseen", "error=%s note=%s", log_value(error),
                 log_value("whether Redis keeps messages safe is not known"));
    }
}

void redis_settings_check(struct redis_store *store)
{
    if (store->base.inbox == NULL || store->has_seen_settings) {
        return;
    }
    store->has_seen_settings = true;
    struct batch *batch = batch_create(store, on_setting, on_settings, NULL);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        batch_ask(batch, (struct str[]){STR("CONFIG"), STR("GET"), wanted[i].setting}, 3);
    }
    batch_send(batch);
}
