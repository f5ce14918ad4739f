/* memory_store.h - the mapping store inside the process: one node, gone when the process ends. */
#ifndef CHAT_MEMORY_STORE_H
#define CHAT_MEMORY_STORE_H

#include "chat/loop.h"
#include "chat/mapping_store.h"

/* Never answers ERR_UNAVAILABLE before close. Borrows 'loop' until destroyed. Caller owns. */
struct mapping_store *memory_store_create(struct loop *loop);

#endif
