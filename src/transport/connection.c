#include "transport/connection.h"

#include <stdlib.h>

#include "chat/mem.h"

struct connection *connection_create(struct transport *transport, struct loop *loop, conn_id id,
                                     int socket)
{
    struct connection *connection = mem_alloc(sizeof(*connection));
    connection->transport = transport;
    connection->loop = loop;
    connection->id = id;
    connection->socket = socket;
    connection->heard_ms = loop_now_ms(loop);
    return connection;
}

void connection_destroy(struct connection *connection)
{
    if (connection == NULL) {
        return;
    }
    deadline_clear(&connection->deadline);
    message_clock_end(&connection->clock);
    outbox_clear(&connection->outbox);
    free(connection);
}

void connection_heard(struct connection *connection)
{
    connection->heard_ms = loop_now_ms(connection->loop);
    connection->asked_ms = 0;
}
