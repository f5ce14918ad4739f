/* str.h - a borrowed run of bytes: not terminated, never freed, never stored. To keep it, copy
 * it. */
#ifndef CHAT_STR_H
#define CHAT_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;      /* bytes */
};

/* A struct str of a string literal, its terminator left out. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

/* The same as an initializer of a static table, where C wants constants. */
#define STR_INIT(literal)              \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }

/* Byte for byte, as [UID-4] compares uids. */
static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The view of a terminated string. */
static inline struct str str_of(const char *terminated)
{
    return (struct str){terminated, strlen(terminated)};
}

#endif
