/* exact_copy.h - a heap copy of exactly the size of the text, so that AddressSanitizer sees the
 * first byte that is read past its end. */
#ifndef CHAT_EXACT_COPY_H
#define CHAT_EXACT_COPY_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "chat/str.h"

/* Caller owns: free(). */
static inline char *exact_copy(struct str s)
{
    char *copy = malloc(s.len);
    assert(copy != NULL || s.len == 0);
    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    return copy;
}

#endif
