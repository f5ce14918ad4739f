/* Messages of which a part has come. Whoever begins one and does not end it holds memory, or at
 * least a connection: for a time, and as long as others have room. Then those pay that have held
 * memory the longest, and not who comes.
 *
 * When a message begins and ends the guard knows; libwebsockets shows nothing of a frame before its
 * payload. */
#include <stdlib.h>
#include <string.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "transport/state.h"

enum {
    CLOSE_POLICY = 1008,
    INBOX_CAPACITY_MIN = 4096
};

/* ---- the line of those that hold memory, oldest first ---- */

static void enter_line(struct connection *connection)
{
    struct inboxes *inboxes = &connection->transport->inboxes;
    struct inbox *inbox = &connection->inbox;
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
    if (inbox->memory == NULL) {
        enter_line(connection);
    }
    connection->transport->inboxes.size += capacity - inbox->capacity;
    inbox->capacity = capacity;
    inbox->memory = mem_realloc(inbox->memory, inbox->capacity);
}

void inbox_append(struct connection *connection, struct str piece)
{
    struct inbox *inbox = &connection->inbox;
    if (piece.len == 0) {
        return;
    }
    if (inbox->len + piece.len > inbox->capacity) {
        make_room(connection, inbox->len + piece.len);
    }
    memcpy(inbox->memory + inbox->len, piece.ptr, piece.len);
    inbox->len += piece.len;
}

void inbox_clear(struct connection *connection)
{
    if (connection->inbox.memory != NULL) {
        leave_line(connection);
        connection->transport->inboxes.size -= connection->inbox.capacity;
        free(connection->inbox.memory);
        connection->inbox = (struct inbox){0};
    }
}

void message_watch(struct connection *connection, size_t n_read)
{
    struct message_clock *clock = &connection->clock;
    const struct transport_options *options = &connection->transport->options;
    bool is_inside = connection->state == CONNECTION_OPEN && !connection->deaf &&
                     frame_guard_is_inside(&connection->guard);
    if (!is_inside || connection->guard.ended_one) {
        message_clock_end(clock);
    }
    if (!is_inside) {
        return;
    }
    uint64_t now_ms = loop_now_ms(connection->loop);
    if (!clock->has_begun) {
        message_clock_begin(clock, now_ms, options->message_timeout_ms);
    }
    message_clock_read(clock, n_read);
    message_clock_run(clock, &connection->transport->inboxes.wheel, now_ms,
                      !connection_is_stopped(connection));
}

/* ---- limits ---- */

/* [WS-20] Nothing of the message is processed. */
static void end(struct connection *connection, const char *why)
{
    uint64_t waiting_ms = loop_now_ms(connection->loop) - connection->clock.since_ms;
    log_line(LOG_INFO, "unfinished_message_ended",
             "connection=%llu bytes=%zu waiting_ms=%llu why=%s", (unsigned long long)connection->id,
             connection->inbox.len, (unsigned long long)waiting_ms, why);
    inbox_clear(connection);
    message_clock_end(&connection->clock);
    connection_refuse(connection, CLOSE_POLICY);
}

void inboxes_limit(struct transport *transport)
{
    struct inboxes *inboxes = &transport->inboxes;
    while (inboxes->size > transport->options.outboxes_size_max) {
        end(inboxes->first, "room");
    }
}

static void expired(void *context, struct deadline *deadline)
{
    struct transport *transport = context;
    struct connection *connection =
        (struct connection *)((char *)deadline - offsetof(struct connection, clock) -
                              offsetof(struct message_clock, deadline));
    if (message_clock_is_over(&connection->clock, &transport->inboxes.wheel,
                              loop_now_ms(transport->loop), connection_n_unread(connection))) {
        end(connection, "time");
    }
}

void inboxes_tick(struct transport *transport)
{
    deadline_wheel_turn(&transport->inboxes.wheel, loop_now_ms(transport->loop), expired,
                        transport);
}
