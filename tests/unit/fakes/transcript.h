/* transcript.h - what a fake was asked to do, as lines of text that a test compares. */
#ifndef CHAT_TEST_TRANSCRIPT_H
#define CHAT_TEST_TRANSCRIPT_H

#include <stddef.h>

struct transcript {
    char *text; /* terminated; NULL: nothing yet */
    size_t len;
};

/* Add one line; the newline is added. */
void transcript_add(struct transcript *transcript, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Fail the test unless the lines are 'want'; then forget them. */
void transcript_expect(struct transcript *transcript, const char *want, const char *file, int line);

void transcript_clear(struct transcript *transcript);

#endif
