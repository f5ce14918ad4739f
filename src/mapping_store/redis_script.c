#include <stdio.h>
#include <stdlib.h>

#include "chat/mem.h"
#include "mapping_store/redis.h"
#include "mapping_store/redis_lua.h"

/* What stands between ids.lua and inbox.lua, and behind that. */
static const struct {
    const char *before;
    const char *behind;
} bodies[N_SCRIPTS] = {
    [SCRIPT_APPEND] = {lua_append_usual, lua_append},
    [SCRIPT_READ] = {"", lua_read},
    [SCRIPT_CONFIRM] = {"", lua_confirm},
};

struct loading {
    struct redis_store *store;
    redis_written_fn *done;
};

static void on_script_reply(void *ctx, size_t i, const redisReply *reply)
{
    struct loading *loading = ctx;
    if (reply->type == REDIS_REPLY_STRING && reply->len == SHA_DIGITS) {
        memcpy(loading->store->shas[i], reply->str, SHA_DIGITS);
    }
}

static void on_loaded(void *ctx, enum batch_result result, const char *error)
{
    struct loading *loading = ctx;
    struct redis_store *store = loading->store;
    redis_written_fn *done = loading->done;
    free(loading);
    store->is_loading_scripts = false;
    done(store, result, error);
}

void redis_scripts_load(struct redis_store *store, redis_written_fn *done)
{
    struct loading *loading = mem_alloc(sizeof *loading);
    loading->store = store;
    loading->done = done;
    store->is_loading_scripts = true;
    struct batch *batch = batch_create(store, on_script_reply, on_loaded, loading);
    for (size_t i = 0; i < N_SCRIPTS && store->base.inbox != NULL; i++) {
        const size_t size = strlen(lua_ids) + strlen(bodies[i].before) + strlen(lua_inbox) +
                            strlen(bodies[i].behind) + 1;
        char *text = mem_alloc(size);
        snprintf(text, size, "%s%s%s%s", lua_ids, bodies[i].before, lua_inbox, bodies[i].behind);
        batch_ask(batch, (struct str[]){STR("SCRIPT"), STR("LOAD"), str_of(text)}, 3);
        free(text);
    }
    batch_send(batch);
}

bool redis_script_call(struct redis_store *store, enum script script, struct str *args, size_t n,
                       redis_reply_fn *replied, void *ctx)
{
    args[0] = STR("EVALSHA");
    args[1] = (struct str){store->shas[script], SHA_DIGITS};
    return redis_link_command(store->link, args, n, replied, ctx);
}

static void on_loaded_again(struct redis_store *store, enum batch_result result, const char *error)
{
    if (result == BATCH_WRONG_TYPE || result == BATCH_REFUSED) {
        redis_log_error(store, "script", error);
    }
}

void redis_script_failed(struct redis_store *store, const char *what, const redisReply *reply)
{
    if (reply == NULL) {
        return; /* the link is away, and says so itself */
    }
    if (reply->type != REDIS_REPLY_ERROR) {
        redis_log_error(store, what, "not the reply of this script");
        return;
    }
    redis_log_error(store, what, reply->str);
    if (strncmp(reply->str, "NOSCRIPT", strlen("NOSCRIPT")) == 0 && !store->is_loading_scripts) {
        redis_scripts_load(store, on_loaded_again);
    }
}
