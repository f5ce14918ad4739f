#include "scripted_link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "chat/mem.h"

enum {
    NAME_SIZE_MAX = 16
};

struct command {
    struct command *next;
    redis_reply_fn *replied;
    void *ctx;
    size_t name_len;
    char name[NAME_SIZE_MAX];
};

struct redis_link {
    struct redis_link_events events;
    void *ctx;
    bool is_connected;
    bool is_rejected;
    struct command *first;
    struct command *last;
    size_t n;
};

static struct redis_link *links[SCRIPTED_LINKS_MAX];

struct redis_link *scripted_link(size_t i)
{
    return i < SCRIPTED_LINKS_MAX ? links[i] : NULL;
}

struct redis_link *redis_link_create(struct loop *loop, const struct redis_url *url,
                                     uint64_t timeout_ms, const struct redis_link_events *events,
                                     void *ctx)
{
    (void)loop;
    (void)url;
    (void)timeout_ms;
    struct redis_link *link = mem_alloc(sizeof *link);
    link->events = *events;
    link->ctx = ctx;
    size_t i = 0;
    while (links[i] != NULL) {
        i++;
        assert(i < SCRIPTED_LINKS_MAX);
    }
    links[i] = link;
    return link;
}

static void answer_all_with_null(struct redis_link *link)
{
    while (link->first != NULL) {
        scripted_link_answer(link, NULL);
    }
}

void redis_link_destroy(struct redis_link *link)
{
    if (link == NULL) {
        return;
    }
    link->is_connected = false;
    answer_all_with_null(link);
    for (size_t i = 0; i < SCRIPTED_LINKS_MAX; i++) {
        links[i] = links[i] == link ? NULL : links[i];
    }
    free(link);
}

bool redis_link_command(struct redis_link *link, const struct str *args, size_t n,
                        redis_reply_fn *replied, void *ctx)
{
    assert(n > 0);
    if (!redis_link_is_connected(link)) {
        return false;
    }
    struct command *command = mem_alloc(sizeof *command);
    command->replied = replied;
    command->ctx = ctx;
    command->name_len = args[0].len < NAME_SIZE_MAX ? args[0].len : NAME_SIZE_MAX;
    memcpy(command->name, args[0].ptr, command->name_len);
    *(link->first == NULL ? &link->first : &link->last->next) = command;
    link->last = command;
    link->n++;
    return true;
}

bool redis_link_is_connected(const struct redis_link *link)
{
    return link != NULL && link->is_connected && !link->is_rejected;
}

size_t redis_link_n_in_flight(const struct redis_link *link)
{
    return link->n;
}

const char *redis_link_why(const struct redis_link *link)
{
    (void)link;
    return NULL;
}

void redis_link_accept(struct redis_link *link)
{
    assert(link->is_connected);
}

void redis_link_reject(struct redis_link *link, const char *reason)
{
    assert(reason != NULL);
    link->is_rejected = true;
}

void scripted_link_connect(struct redis_link *link)
{
    if (!link->is_connected) {
        link->is_connected = true;
        link->is_rejected = false;
        link->events.connected(link->ctx);
    }
}

void scripted_link_lose(struct redis_link *link)
{
    link->is_connected = false;
    answer_all_with_null(link);
    link->events.lost(link->ctx);
}

struct str scripted_link_waiting(const struct redis_link *link)
{
    const struct command *command = link->first;
    return command == NULL ? (struct str){NULL, 0} : (struct str){command->name, command->name_len};
}

void scripted_link_answer(struct redis_link *link, const redisReply *reply)
{
    struct command *command = link->first;
    assert(command != NULL);
    link->first = command->next;
    link->n--;
    command->replied(command->ctx, reply);
    free(command);
}
