/* base.h - what every part of the load tool needs: ending with a reason, memory, the clock, and a
 * buffer that grows. */
#ifndef LOAD_BASE_H
#define LOAD_BASE_H

#include <stddef.h>
#include <stdint.h>

/* What the tool exits with; --help says so, too. */
enum exit_code {
    EXIT_FINE = 0,
    EXIT_WRONG = 1,     /* the server lost, doubled, reordered or garbled a message */
    EXIT_USAGE = 2,     /* the command line */
    EXIT_UNMEASURED = 3 /* no server, no descriptors, no ports */
};

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull

/* Borrowed bytes: never freed, never stored. */
struct slice {
    const char *data;
    size_t len;
};

/* Bytes of one's own; {0} is empty. */
struct bytes {
    uint8_t *data;
    size_t len;
    size_t capacity;
};

/* Says why on standard error, and exits. */
_Noreturn void die(enum exit_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* realloc() that never returns NULL: without memory nothing can be measured. */
void *memory(void *old, size_t size);

/* The same, filled with zeros, for something new. */
void *zeroed(size_t count, size_t size);

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* Makes room for 'len' bytes more behind the others, counts them in, and returns where they are:
 * caller writes all of them. */
uint8_t *bytes_extend(struct bytes *bytes, size_t len);

void bytes_append(struct bytes *bytes, const void *data, size_t len);

/* Gives the memory back. */
void bytes_clear(struct bytes *bytes);

#endif
