#include "chat/mem.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "chat/line_out.h"

_Noreturn static void out_of_memory(size_t size)
{
    line_out_die("out of memory: %zu bytes refused", size);
}

void *mem_alloc(size_t size)
{
    /* For 0 bytes calloc() may return NULL. */
    void *mem = calloc(1, size == 0 ? 1 : size);
    if (mem == NULL) {
        out_of_memory(size);
    }
    return mem;
}

void *mem_realloc(void *old, size_t size)
{
    assert(size > 0);
    void *mem = realloc(old, size);
    if (mem == NULL) {
        out_of_memory(size);
    }
    return mem;
}

char *mem_copy(struct str s)
{
    assert(s.len < SIZE_MAX);
    char *copy = mem_realloc(NULL, s.len + 1);
    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    copy[s.len] = '\0';
    return copy;
}
