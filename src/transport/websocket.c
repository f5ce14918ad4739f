/* What libwebsockets reports of its connections. The callback only translates: each case is one
 * call. */
#include <stdlib.h>
#include <string.h>

#include "chat/parser.h"
#include "chat/utf8.h"
#include "transport/state.h"

enum {
    CLOSE_NOT_UTF8 = 1007,
    CLOSE_TOO_BIG = 1009
};

static void established(struct connection *connection)
{
    connection->state = CONNECTION_OPEN;
    connection_watch_life(connection);
    router_opened(connection->transport->router, connection->id);
}

static void handle_text(struct connection *connection, struct str text)
{
    struct router *router = connection->transport->router;
    if (!utf8_valid(text)) {
        connection_refuse(connection, CLOSE_NOT_UTF8); /* [WS-6] */
        return;
    }
    struct request request;
    if (request_parse(text, &request) != ERR_OK) {
        connection->deaf = true; /* [ILLEGAL-4] */
        router_received_illegal(router, connection->id);
        return;
    }
    router_received(router, connection->id, &request);
}

static void handle_message(struct connection *connection, struct str message)
{
    if (lws_frame_is_binary(connection->wsi)) {
        connection->deaf = true;
        router_received_illegal(connection->transport->router, connection->id); /* [ILLEGAL-2] */
        return;
    }
    handle_text(connection, message);
}

/* A message comes in pieces: its fragments, and these wherever TCP or libwebsockets' buffer
 * splits them. Most come in one, and are looked at where they are. */
static void received(struct connection *connection, struct str piece)
{
    if (connection->state != CONNECTION_OPEN || connection->deaf) {
        return;
    }
    struct inbox *inbox = &connection->inbox;
    size_t announced = lws_remaining_packet_payload(connection->wsi);
    size_t size_max = connection->transport->options.message_size_max;
    if (announced > size_max || inbox->len + piece.len + announced > size_max) {
        inbox_clear(connection);
        connection_refuse(connection, CLOSE_TOO_BIG); /* [WS-8] */
        return;
    }
    bool complete = announced == 0 && lws_is_final_fragment(connection->wsi);
    if (complete) {
        slow_reader_asks(connection);
        connection_throttle(connection);
    }
    if (complete && inbox->len == 0) {
        handle_message(connection, piece);
        return;
    }
    inbox_append(connection, piece);
    if (complete) {
        handle_message(connection, (struct str){inbox->memory, inbox->len});
        inbox_clear(connection);
    } else {
        inboxes_limit(connection->transport);
        if (connection->inbox.memory != NULL && router_is_full(connection->transport->router)) {
            connection_wait_for_room(connection);
        }
    }
}

static void ponged(struct connection *connection, struct str payload)
{
    if (connection->state != CONNECTION_OPEN) {
        return;
    }
    if (payload.len <= FRAME_GUARD_MARK_PAYLOAD_SIZE) {
        /* The guard's mark: whatever came before has been received. The replies to it come before
         * the close, which answers the peer's or says that a frame was forbidden. */
        connection_refuse(connection, connection->guard.close_code);
        return;
    }
    router_ponged(connection->transport->router, connection->id, payload);
}

static void closed(struct connection *connection)
{
    if (connection->state == CONNECTION_OPEN) {
        connection->state = CONNECTION_CLOSING;
        inbox_clear(connection);
        message_clock_end(&connection->clock);
        router_closed(connection->transport->router, connection->id);
    }
}

int websocket_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    (void)user;
    struct connection *connection = lws_get_opaque_user_data(wsi);
    if (connection == NULL) {
        return 0; /* libwebsockets' own business */
    }
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        established(connection);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        received(connection, (struct str){in, len});
        return 0;
    case LWS_CALLBACK_RECEIVE_PONG:
        ponged(connection, (struct str){in, len});
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        connection_writeable(connection);
        return 0;
    case LWS_CALLBACK_CLOSED:
        closed(connection);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        transport_forget(connection);
        return 0;
    default:
        return 0;
    }
}
