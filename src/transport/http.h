/* http.h - what is answered to an HTTP request that is not upgraded, as bytes. Pure. */
#ifndef CHAT_HTTP_H
#define CHAT_HTTP_H

#include <stdbool.h>
#include <stddef.h>

enum {
    HTTP_ANSWER_SIZE_MAX = 512
};

/* Every answer ends the connection. */
struct http_answer {
    const char *status;  /* "400 Bad Request" */
    const char *headers; /* more lines, each with its end; "": none */
    const char *text;
};

/* These tell whoever does not speak WebSocket, or another version, what to do. */
#define HTTP_UPGRADE_HEADERS \
    "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
#define HTTP_PLAIN_HEADERS "Connection: close\r\nCache-Control: no-store\r\n"

/* Returns the length. An answer to HEAD has no body. */
size_t http_answer_write(const struct http_answer *answer, bool without_body,
                         char out[HTTP_ANSWER_SIZE_MAX]);

#endif
