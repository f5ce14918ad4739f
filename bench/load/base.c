#include "load/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void die(enum exit_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("chatload: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit((int)code);
}

void *memory(void *old, size_t size)
{
    void *new = realloc(old, size);
    if (new == NULL && size > 0) {
        die(EXIT_UNMEASURED, "out of memory");
    }
    return new;
}

void *zeroed(size_t count, size_t size)
{
    void *new = calloc(count, size);
    if (new == NULL && count > 0) {
        die(EXIT_UNMEASURED, "out of memory");
    }
    return new;
}

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint8_t *bytes_extend(struct bytes *bytes, size_t len)
{
    size_t needed = bytes->len + len;
    if (needed > bytes->capacity) {
        bytes->capacity = needed > 2 * bytes->capacity ? needed : 2 * bytes->capacity;
        bytes->data = memory(bytes->data, bytes->capacity);
    }
    uint8_t *behind = bytes->data + bytes->len;
    bytes->len = needed;
    return behind;
}

void bytes_append(struct bytes *bytes, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(bytes_extend(bytes, len), data, len);
    }
}

void bytes_clear(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}
