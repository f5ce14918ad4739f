/* redis_link.h - one connection to Redis that comes back by itself.
 *
 * Resolves, connects, logs in and selects the database, with a time limit; after a loss tries
 * again, at first soon, then about once a second. Commands that are asked in one turn of the
 * loop leave in one write, and replies come in the order of the commands. What the commands mean
 * is none of its business.
 *
 * The server is trusted to be a Redis: hiredis 0.14 aborts the process if it gets more replies
 * than it sent commands, and believes whatever length an array announces. */
#ifndef CHAT_REDIS_LINK_H
#define CHAT_REDIS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "chat/loop.h"
#include "chat/redis_url.h"
#include "chat/str.h"

struct redis_link;

/* 'reply' is lent until the callback returns; NULL: the link was lost, and what became of the
 * command is not known. An error reply is a reply. */
typedef void redis_reply_fn(void *ctx, const redisReply *reply);

struct redis_link_events {
    /* Commands may be asked from now on. */
    void (*connected)(void *ctx);
    /* Or not any more: after every command was answered with NULL. May also come without
     * 'connected', each time that an attempt fails. Must not destroy the link. */
    void (*lost)(void *ctx);
};

/* Copies 'url' and 'events', borrows 'loop' until destroyed. Begins to connect in the next turn.
 * 'timeout_ms' limits each attempt to connect and each command. Caller owns. */
struct redis_link *redis_link_create(struct loop *loop, const struct redis_url *url,
                                     uint64_t timeout_ms, const struct redis_link_events *events,
                                     void *ctx);

/* Answer every command with NULL, then free. Not inside a callback of this link. NULL is
 * allowed. */
void redis_link_destroy(struct redis_link *link);

/* Send the command of 'n' arguments, its name first. Copies them. True: 'replied' is called
 * exactly once, from a later turn, except by redis_link_destroy(). False: the link is away,
 * 'replied' is never called. */
bool redis_link_command(struct redis_link *link, const struct str *args, size_t n,
                        redis_reply_fn *replied, void *ctx);

bool redis_link_is_connected(const struct redis_link *link); /* NULL: no */

/* Why it was given up last, or could not be made, in words; lent for ever. NULL: since it was
 * accepted, or ever, it has not been. */
const char *redis_link_why(const struct redis_link *link);

/* Commands that wait for their replies. */
size_t redis_link_n_in_flight(const struct redis_link *link);

/* The owner has what it wanted from this connection: log that Redis is back, be quick at the
 * next loss. */
void redis_link_accept(struct redis_link *link);

/* The owner cannot use this connection: log 'reason' (copied), give it up in this turn, and try
 * again later. */
void redis_link_reject(struct redis_link *link, const char *reason);

#endif
