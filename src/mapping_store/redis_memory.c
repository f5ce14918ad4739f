/* With history: how much memory Redis uses, of how much it may. Messages for uids that nobody has
 * ever signed as take as much as any others, and each uid has a limit of its own only; so nothing
 * is stored any more while Redis still has room for all else. */
#include <stdlib.h>

#include "chat/log.h"
#include "mapping_store/redis.h"

enum {
    ENTRY_SIZE = 256,  /* bytes of Redis' memory that a message takes besides its texts */
    ALLOCATOR_PART = 4 /* of them, which the allocator adds to what is large */
};

/* The number in the line "<name>:<number>" of INFO's reply, 0 if there is none. */
static uint64_t line_of(const redisReply *reply, const char *name)
{
    const char *found = strstr(reply->str, name);
    return found != NULL ? strtoull(found + strlen(name), NULL, 10) : 0;
}

static void on_info(void *ctx, const redisReply *reply)
{
    struct redis_store *store = ctx;
    struct redis_memory *memory = &store->memory;
    if (reply == NULL) {
        return;
    }
    if (reply->type != REDIS_REPLY_STRING) {
        if (!memory->is_unseen) {
            log_line(LOG_WARN, "redis_memory_unseen", "note=%s",
                     log_value("INFO is refused, so all history together has no limit"));
        }
        memory->is_unseen = true;
        memory->limit = 0;
        return;
    }
    uint64_t max = line_of(reply, "\nmaxmemory:");
    if (max == 0) {
        max = line_of(reply, "\ntotal_system_memory:");
    }
    memory->is_unseen = false;
    memory->used = line_of(reply, "\nused_memory:");
    memory->limit = max / 100 * memory->percent_max;
}

void redis_memory_look(struct redis_store *store)
{
    if (store->base.inbox != NULL && store->memory.percent_max > 0) {
        struct str args[] = {STR("INFO"), STR("memory")};
        /* False: the link is away, and nothing is stored. */
        (void)redis_link_command(store->link, args, 2, on_info, store);
    }
}

bool redis_memory_takes(struct redis_store *store, const struct message *message)
{
    struct redis_memory *memory = &store->memory;
    uint64_t size = message->from.len + message->body.len;
    size += size / ALLOCATOR_PART + ENTRY_SIZE;
    if (memory->limit == 0) {
        return true;
    }
    if (memory->used + size > memory->limit) {
        log_line(LOG_WARN, "redis_history_full", "used=%llu limit=%llu",
                 (unsigned long long)memory->used, (unsigned long long)memory->limit);
        return false;
    }
    memory->used += size; /* until Redis is asked again */
    return true;
}
