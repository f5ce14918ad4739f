/* memory_inbox.h - the messages of all uids in memory, for the memory store. SPEC 7.
 *
 * Time comes in as 'now_ms', since 1970. Nothing here waits. */
#ifndef CHAT_MEMORY_INBOX_H
#define CHAT_MEMORY_INBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "chat/inbox.h"

struct memory_inbox;

/* Copies 'limits'. Caller owns. */
struct memory_inbox *memory_inbox_create(const struct inbox_limits *limits);
void memory_inbox_destroy(struct memory_inbox *all); /* NULL is allowed */

/* Store a message, or recognise a retry: '*out' is filled but for its devices. ERR_FULL, or
 * ERR_UNAVAILABLE above limits->memory_max; then '*out' is untouched. Copies 'message'. */
MUST_CHECK enum err memory_inbox_append(struct memory_inbox *all, const struct message *message,
                                        uint64_t now_ms, struct sent *out);

/* As inbox_ops.read(), at once. '*out' is lent until the next call. */
void memory_inbox_read(struct memory_inbox *all, struct str uid, const struct message_id *after,
                       size_t n_max, uint64_t now_ms, struct inbox_page *out);

void memory_inbox_confirm(struct memory_inbox *all, struct str uid, struct message_id id);

/* Drop what is too old, of a few uids at a time: to be called again and again. */
void memory_inbox_sweep(struct memory_inbox *all, uint64_t now_ms);

#endif
