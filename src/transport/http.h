/* http.h - what the transport answers to plain HTTP: whether the server lives and is ready, and
 * that all else is WebSocket. */
#ifndef CHAT_HTTP_H
#define CHAT_HTTP_H

#include <libwebsockets.h>

#include "transport/connection.h"

/* A request without an upgrade. GET /healthz: 200, the process lives and its loop turns. GET
 * /readyz: 200, requests can be done, or 503 with the reason. Anything else: 426. Returns what
 * libwebsockets' callback has to return. */
int http_answer_request(struct connection *connection, struct lws *wsi);

/* A handshake that is refused, with what its client has to know to do better. */
int http_refuse_upgrade(struct lws *wsi, const char *status, const char *text);

#endif
