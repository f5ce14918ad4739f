/* Messages of which a part has come. Whoever begins one and does not end it holds memory: for a
 * time, and as long as others have room. Then those pay that have held it the longest, and not who
 * comes. */
#include <stdlib.h>
#include <string.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "transport/state.h"

enum {
    CLOSE_POLICY = 1008,
    INBOX_CAPACITY_MIN = 4096
};

/* ---- the line of those that have begun a message, oldest first ---- */

static void enter_line(struct connection *connection)
{
    struct inboxes *inboxes = &connection->transport->inboxes;
    struct inbox *inbox = &connection->inbox;
    inbox->has_begun = true;
    inbox->since_ms = loop_now_ms(connection->loop);
    inbox->before = inboxes->last;
    *(inboxes->last != NULL ? &inboxes->last->inbox.behind : &inboxes->first) = connection;
    inboxes->last = connection;
}

static void leave_line(struct connection *connection)
{
    struct inboxes *inboxes = &connection->transport->inboxes;
    struct connection *before = connection->inbox.before;
    struct connection *behind = connection->inbox.behind;
    *(before != NULL ? &before->inbox.behind : &inboxes->first) = behind;
    *(behind != NULL ? &behind->inbox.before : &inboxes->last) = before;
}

/* ---- one message ---- */

static void make_room(struct connection *connection, size_t needed)
{
    struct inbox *inbox = &connection->inbox;
    size_t size_max = connection->transport->options.message_size_max;
    size_t capacity = inbox->capacity == 0 ? INBOX_CAPACITY_MIN : inbox->capacity * 2;
    capacity = capacity > size_max ? size_max : capacity;
    capacity = capacity < needed ? needed : capacity;
    connection->transport->inboxes.size += capacity - inbox->capacity;
    inbox->capacity = capacity;
    inbox->memory = mem_realloc(inbox->memory, inbox->capacity);
}

void inbox_append(struct connection *connection, struct str piece)
{
    struct inbox *inbox = &connection->inbox;
    if (!inbox->has_begun) {
        enter_line(connection);
    }
    if (inbox->len + piece.len > inbox->capacity) {
        make_room(connection, inbox->len + piece.len);
    }
    if (piece.len > 0) {
        memcpy(inbox->memory + inbox->len, piece.ptr, piece.len);
    }
    inbox->len += piece.len;
}

void inbox_clear(struct connection *connection)
{
    if (connection->inbox.has_begun) {
        leave_line(connection);
        connection->transport->inboxes.size -= connection->inbox.capacity;
        free(connection->inbox.memory);
        connection->inbox = (struct inbox){0};
    }
}

/* ---- limits ---- */

/* [WS-20] Nothing of the message is processed. */
static void end(struct connection *connection, const char *why)
{
    log_line(LOG_INFO, "unfinished_message_ended",
             "connection=%llu bytes=%zu waiting_ms=%llu why=%s", (unsigned long long)connection->id,
             connection->inbox.len,
             (unsigned long long)(loop_now_ms(connection->loop) - connection->inbox.since_ms), why);
    inbox_clear(connection);
    if (!connection->deaf) {
        connection->deaf = true;
        router_received_broken(connection->transport->router, connection->id, CLOSE_POLICY);
    }
}

void inboxes_limit(struct transport *transport)
{
    struct inboxes *inboxes = &transport->inboxes;
    while (inboxes->size > transport->options.outboxes_size_max) {
        end(inboxes->first, "room");
    }
}

/* Who is not read, or not yet, cannot end its message. But what comes all the time may be nothing
 * but empty fragments. */
static bool has_excuse(const struct connection *connection, uint64_t waiting_ms)
{
    uint64_t time_max_ms = connection->transport->options.message_timeout_ms;
    return connection_is_stopped(connection) ||
           (connection_has_unread(connection) && waiting_ms < 2 * time_max_ms);
}

void inboxes_tick(struct transport *transport)
{
    uint64_t now_ms = loop_now_ms(transport->loop);
    struct connection *connection = transport->inboxes.first;
    while (connection != NULL) {
        struct connection *behind = connection->inbox.behind;
        uint64_t waiting_ms = now_ms - connection->inbox.since_ms;
        if (waiting_ms < transport->options.message_timeout_ms) {
            return;
        }
        if (!has_excuse(connection, waiting_ms)) {
            end(connection, "time");
        }
        connection = behind;
    }
}
