/* head.h - the head of an HTTP request: where it ends, and what it asks for. RFC 9112, RFC 6455
 * section 4.2.1, SPEC [WS-1], [WS-4].
 *
 * The only reading of a head that there is: libwebsockets gets one that is composed from what was
 * judged here. Strict where RFC 9112 leaves a choice, for each leniency is a place where two
 * readers differ. Pure: bytes in, a verdict out. */
#ifndef CHAT_HEAD_H
#define CHAT_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "chat/str.h"
#include "transport/http.h"

enum head_progress {
    HEAD_MORE,  /* no end yet */
    HEAD_END,   /* the empty line has come */
    HEAD_BROKEN /* a byte that no head has: there is no end to wait for */
};

/* Where in a line the head is. All zero is the start. */
struct head_lines {
    bool begun;     /* the request line has a byte */
    bool in_fields; /* the request line is over */
    bool in_line;   /* this line has a byte */
    bool after_cr;
    bool skipped_empty; /* the one empty line that may come before the request line */
};

/* Follow 'n' bytes more. '*n_taken': how many of them are the head's, with the byte that ends or
 * breaks it; all for HEAD_MORE. */
enum head_progress head_follow(struct head_lines *lines, struct str bytes, size_t *n_taken);

enum {
    HEAD_KEY_SIZE = 24 /* 16 bytes in base64 */
};

enum head_asks {
    HEAD_ASKS_UPGRADE, /* to a WebSocket, and nothing is wrong with that */
    HEAD_ASKS_HEALTH,  /* GET or HEAD of /healthz */
    HEAD_ASKS_READY,   /* of /readyz */
    HEAD_IS_REFUSED
};

struct head {
    enum head_asks asks;
    bool without_body; /* the method is HEAD */
    char key[HEAD_KEY_SIZE];
    const struct http_answer *refusal; /* only for HEAD_IS_REFUSED */
};

/* Judge a head that head_follow() saw the end of. */
void head_judge(struct str bytes, struct head *out);

#endif
