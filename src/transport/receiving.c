/* Who is received from. Whoever asks too much is read more slowly: TCP holds it back, nothing is
 * lost, and nobody else notices. */
#include "transport/state.h"

void connection_receive_more(struct connection *connection)
{
    bool stop = connection->braked || connection->throttled;
    lws_rx_flow_control(connection->wsi, stop ? 0 : 1);
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
