/* memory_store.h - the mapping store inside the process: one node, gone when the process ends. */
#ifndef CHAT_MEMORY_STORE_H
#define CHAT_MEMORY_STORE_H

#include "chat/inbox.h"
#include "chat/loop.h"
#include "chat/mapping_store.h"

/* 'history' switches that feature on, NULL off; copied. Never answers ERR_UNAVAILABLE before close,
 * but for history->memory_max. Borrows 'loop' until destroyed. Caller owns. */
struct mapping_store *memory_store_create(struct loop *loop, const struct inbox_limits *history);

#endif
