/* message_id.h - the name of a message among those of one uid: "<ms>-<n>". SPEC 7. */
#ifndef CHAT_MESSAGE_ID_H
#define CHAT_MESSAGE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/str.h"

struct message_id {
    uint64_t ms; /* since 1970, when the message was stored */
    uint64_t n;  /* tells messages of the same millisecond apart */
};

/* "0-0", before every message; in a struct that may have no id: none. */
#define MESSAGE_ID_NONE ((struct message_id){0, 0})

enum {
    MESSAGE_ID_SIZE_MAX = 33 /* bytes of text: two integers up to 2^53 - 1, and the dash */
};

/* Below 0, 0 or above 0, as 'a' is before, the same as, or after 'b'. */
int message_id_compare(struct message_id a, struct message_id b);

bool message_id_is_none(struct message_id id);

/* False, 'out' untouched, if 'text' is not an id to the letter: [HIST-9]. */
bool message_id_parse(struct str text, struct message_id *out);

/* Writes MESSAGE_ID_SIZE_MAX bytes at most, without a terminator. Returns how many. */
size_t message_id_write(struct message_id id, char *out);

#endif
