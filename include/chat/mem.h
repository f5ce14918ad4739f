/* mem.h - memory that is always there. Running out of it aborts the process with a message,
 * which is safe only because every size is bounded (limits.h, config.h) before it is asked for. */
#ifndef CHAT_MEM_H
#define CHAT_MEM_H

#include <stddef.h>

#include "chat/str.h"

/* 'size' zeroed bytes, never NULL. Caller owns: free(). */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));

/* As realloc(), never NULL for size > 0. */
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull));

/* A terminated copy of 's'. Caller owns: free(). */
char *mem_copy(struct str s) __attribute__((malloc, returns_nonnull));

#endif
