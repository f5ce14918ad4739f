/* scripted_link.h - redis_link.h without a Redis: whoever links it instead decides what is
 * answered, and when. */
#ifndef CHAT_TEST_SCRIPTED_LINK_H
#define CHAT_TEST_SCRIPTED_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "mapping_store/redis_link.h"

enum {
    SCRIPTED_LINKS_MAX = 2 /* the store's for commands, and the one that reads its queue */
};

/* The links that exist, in the order in which they were made; NULL: none. */
struct redis_link *scripted_link(size_t i);

/* Connect, or lose the connection: every command is answered with NULL. Of no effect if it is
 * so. */
void scripted_link_connect(struct redis_link *link);
void scripted_link_lose(struct redis_link *link);

/* The name of the oldest command's first argument; len 0: none waits. */
struct str scripted_link_waiting(const struct redis_link *link);

/* Answer the oldest command. Borrows 'reply'. */
void scripted_link_answer(struct redis_link *link, const redisReply *reply);

#endif
