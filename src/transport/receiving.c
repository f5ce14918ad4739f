/* Who is received from. Whoever asks too much is read more slowly: TCP holds it back, nothing is
 * lost, and nobody else notices ([WS-19]). */
#include <sys/ioctl.h>

#include "transport/state.h"

enum {
    READS_A_TURN = 16
}; /* of one connection, before others have theirs */

/* Of one that closes, the peer's close frame has to be read; behind the end of its half of TCP
 * there is nothing more, which the loop would go on saying. */
bool connection_is_stopped(const struct connection *connection)
{
    if (connection->tcp_ended || connection->state == CONNECTION_CLOSING) {
        return connection->tcp_ended;
    }
    return connection->braked || connection->throttled || connection->waits_for_room ||
           connection->slowness.unheard;
}

size_t connection_n_unread(const struct connection *connection)
{
    int n_bytes = 0;
    return ioctl(connection->socket, FIONREAD, &n_bytes) == 0 && n_bytes > 0 ? (size_t)n_bytes : 0;
}

void connection_receive_more(struct connection *connection)
{
    bool is_read = !connection_is_stopped(connection);
    message_clock_run(&connection->clock, &connection->transport->inboxes.wheel,
                      loop_now_ms(connection->loop), is_read);
    lws_rx_flow_control(connection->wsi, is_read ? 1 : 0);
}

void connection_refuse(struct connection *connection, uint16_t code)
{
    if (!connection->deaf) {
        connection->deaf = true;
        router_received_broken(connection->transport->router, connection->id, code);
    }
}

void connection_throttle(struct connection *connection)
{
    const struct transport_options *options = &connection->transport->options;
    if (options->request_rate_max == 0 ||
        !throttle_take(&connection->throttle, options->request_rate_max, options->request_burst_max,
                       loop_now_ms(connection->loop)) ||
        connection->throttled) {
        return;
    }
    connection->throttled = true;
    conn_list_add(&connection->transport->throttled, connection->id);
    connection_receive_more(connection);
}

static bool is_open_again(struct connection *connection)
{
    const struct transport_options *options = &connection->transport->options;
    return throttle_is_open(&connection->throttle, options->request_rate_max,
                            options->request_burst_max, loop_now_ms(connection->loop));
}

void transport_unthrottle(struct transport *transport)
{
    struct conn_list *list = &transport->throttled;
    size_t n_kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct connection *connection = id_table_get(transport->connections, list->ids[i]);
        if (connection == NULL || connection->state != CONNECTION_OPEN) {
            continue;
        }
        if (!is_open_again(connection)) {
            list->ids[n_kept++] = list->ids[i];
            continue;
        }
        connection->throttled = false;
        connection_receive_more(connection);
    }
    list->n = n_kept;
}

void connection_wait_for_room(struct connection *connection)
{
    if (!connection->waits_for_room) {
        connection->waits_for_room = true;
        conn_list_add(&connection->transport->waiting, connection->id);
        connection_receive_more(connection);
    }
}

void transport_make_use_of_room(struct transport *transport)
{
    struct conn_list *list = &transport->waiting;
    if (list->n == 0 || router_is_full(transport->router)) {
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        struct connection *connection = id_table_get(transport->connections, list->ids[i]);
        if (connection != NULL && connection->state == CONNECTION_OPEN) {
            connection->waits_for_room = false;
            connection_receive_more(connection);
        }
    }
    list->n = 0;
}

void connection_read_full(struct connection *connection)
{
    if (!connection->to_read) {
        connection->to_read = true;
        conn_list_add(&connection->transport->to_read, connection->id);
    }
}

/* As if the loop had said that there is something; if there is not, nothing happens. */
static void read_on(struct connection *connection)
{
    struct lws_pollfd ready = {
        .fd = connection->socket,
        .events = LWS_POLLIN,
        .revents = LWS_POLLIN,
    };
    connection->to_read = false;
    if (connection->state == CONNECTION_OPEN && !connection_is_stopped(connection)) {
        lws_service_fd(connection->transport->context, &ready);
    }
}

void transport_read_on(struct transport *transport)
{
    struct conn_list *list = &transport->to_read;
    size_t from = 0;
    for (int i = 0; i < READS_A_TURN && from < list->n; i++) {
        size_t n = list->n; /* what is read full again comes behind them */
        for (; from < n; from++) {
            struct connection *connection = id_table_get(transport->connections, list->ids[from]);
            if (connection != NULL) {
                read_on(connection);
            }
        }
    }
    for (; from < list->n; from++) {
        struct connection *connection = id_table_get(transport->connections, list->ids[from]);
        if (connection != NULL) {
            connection->to_read = false; /* the loop will say so in the next turn */
        }
    }
    list->n = 0;
}
