/* conn_id.h - the name of a connection inside this process.
 *
 * Counts from 1 and is never used again, so a late answer for a connection that is gone finds
 * nothing. It is never the kernel's number of the socket: that one is recycled, and with it the
 * original service delivered private messages to strangers ([ID-1]). */
#ifndef CHAT_CONN_ID_H
#define CHAT_CONN_ID_H

#include <stdint.h>

typedef uint64_t conn_id;

enum {
    CONN_NONE = 0
};

#endif
