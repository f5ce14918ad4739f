/* [HIST-1] A device is told of each message when that is sent. Should that get lost, it is found
 * here: whenever a device's traces are written again, its uid's newest message is asked for. */
#include <stdlib.h>

#include "chat/mem.h"
#include "mapping_store/redis.h"

struct asked {
    struct message_id newest; /* none: not known */
    size_t uid_len;
    char uid[UID_SIZE_MAX]; /* a copy: the device may move meanwhile */
};

struct comparing {
    struct redis_store *store;
    size_t n;
    struct asked asked[];
};

static void on_newest(void *ctx, size_t i, const redisReply *reply)
{
    struct comparing *comparing = ctx;
    (void)redis_reply_id(reply, &comparing->asked[i].newest); /* or there is none */
}

static void tell_newest(const struct redis_store *store, const struct asked *asked)
{
    struct str uid = {asked->uid, asked->uid_len};
    const conn_id *devices;
    size_t n = devices_find(store->devices, uid, &devices);
    if (n > 0) {
        mapping_store_tells(&store->base);
        store->events->newest_known(store->events_ctx, uid, asked->newest, devices, n);
    }
}

/* A state of another type is put right by the next send. */
static void on_compared(void *ctx, enum batch_result result, const char *error)
{
    struct comparing *comparing = ctx;
    struct redis_store *store = comparing->store;
    if (result == BATCH_REFUSED) {
        redis_log_error(store, "compare", error);
    }
    for (size_t i = 0; store->state != STORE_CLOSED && i < comparing->n; i++) {
        if (!message_id_is_none(comparing->asked[i].newest)) {
            tell_newest(store, &comparing->asked[i]);
        }
    }
    free(comparing);
}

void redis_compare(struct redis_store *store, const conn_id *devices, size_t n)
{
    if (store->base.inbox == NULL || store->events == NULL || n == 0) {
        return;
    }
    struct comparing *comparing = mem_alloc(sizeof *comparing + n * sizeof comparing->asked[0]);
    struct batch *batch = batch_create(store, on_newest, on_compared, comparing);
    comparing->store = store;
    for (size_t i = 0; i < n; i++) {
        struct str uid = devices_uid(store->devices, devices[i]);
        const conn_id *all;
        /* Once for each uid: with the first of its devices. */
        if (uid.len == 0 || devices_find(store->devices, uid, &all) == 0 || all[0] != devices[i]) {
            continue;
        }
        struct asked *asked = &comparing->asked[comparing->n++];
        asked->uid_len = uid.len;
        memcpy(asked->uid, uid.ptr, uid.len);
        struct inbox_keys keys;
        inbox_keys_of(&keys, uid);
        batch_ask(batch, (struct str[]){STR("HGET"), keys.state, STR("last")}, 3);
    }
    batch_send(batch);
}
