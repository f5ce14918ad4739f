/* message.h - the protocol's messages, as much of them as the load tool writes and reads. A body
 * says which message it is and when it was to be sent, so that whoever gets it can check it:
 *
 *     "0000002a-0000018bcfe568aa-xxxxxxx"    the sender's 42nd, nanoseconds, filled up to its
 * size */
#ifndef LOAD_MESSAGE_H
#define LOAD_MESSAGE_H

#include <stdbool.h>

#include "load/base.h"

enum {
    BODY_SIZE_MIN = 26,
    BODY_SIZE_MAX = 60000, /* with the rest it has to stay below [WS-7] */
    UID_TEXT_SIZE_MAX = 48 /* "<prefix>-<number>" */
};

/* What a server sent. Views into the text that was read, with the quotes taken off. */
struct message {
    int status; /* -1 if it is absent: a delivery */
    struct slice from;
    struct slice body;
    struct slice code;
    struct slice token;
};

struct stamp {
    uint32_t number;
    uint64_t time_ns;
};

/* False if the text is not one JSON object whose members of these names have the right types.
 * Bodies and uids of other programs may have escapes; ours have none, and are compared as they
 * stand. */
bool message_read(struct slice text, struct message *message);

/* Writes 'size' bytes, BODY_SIZE_MIN at least. */
void stamp_write(char *body, size_t size, const struct stamp *stamp);

/* False if the body is not what stamp_write() wrote for this size. */
bool stamp_read(struct slice body, size_t size, struct stamp *stamp);

#endif
