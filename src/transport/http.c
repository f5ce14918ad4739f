/* Written here, for libwebsockets calls its answers HTTP/1.0, in which Upgrade means nothing. */
#include "transport/http.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "transport/state.h"

enum {
    ANSWER_SIZE_MAX = 512,
    PATH_SIZE_MAX = 16, /* longer than any that is known */
    TEXT_SIZE_MAX = 128
};

#define UPGRADE_HEADERS \
    "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
#define PLAIN_HEADERS "Connection: close\r\nCache-Control: no-store\r\n"

/* Returns what tells libwebsockets to end the connection. */
static int answer(struct lws *wsi, const char *status, const char *headers, const char *text)
{
    char buffer[LWS_PRE + ANSWER_SIZE_MAX];
    int len = snprintf(buffer + LWS_PRE, ANSWER_SIZE_MAX,
                       "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s",
                       status, strlen(text), headers, text);
    assert(len > 0 && len < ANSWER_SIZE_MAX);
    (void)lws_write(wsi, (uint8_t *)buffer + LWS_PRE, (size_t)len, LWS_WRITE_HTTP_FINAL);
    return -1;
}

int http_refuse_upgrade(struct lws *wsi, const char *status, const char *text)
{
    return answer(wsi, status, UPGRADE_HEADERS, text);
}

static int answer_ready(struct connection *connection, struct lws *wsi)
{
    const char *trouble = router_trouble(connection->transport->router);
    char text[TEXT_SIZE_MAX];
    if (trouble == NULL) {
        return answer(wsi, "200 OK", PLAIN_HEADERS, "ready\n");
    }
    snprintf(text, sizeof text, "not ready: %s\n", trouble);
    return answer(wsi, "503 Service Unavailable", PLAIN_HEADERS, text);
}

static bool asks_for(struct lws *wsi, const char *path)
{
    char asked[PATH_SIZE_MAX];
    return lws_hdr_copy(wsi, asked, sizeof asked, WSI_TOKEN_GET_URI) > 0 &&
           strcmp(asked, path) == 0;
}

int http_answer_request(struct connection *connection, struct lws *wsi)
{
    if (asks_for(wsi, "/healthz")) {
        return answer(wsi, "200 OK", PLAIN_HEADERS, "alive\n");
    }
    if (asks_for(wsi, "/readyz")) {
        return answer_ready(connection, wsi);
    }
    return answer(wsi, "426 Upgrade Required", UPGRADE_HEADERS,
                  "This is a WebSocket server: connect with ws://.\n");
}
