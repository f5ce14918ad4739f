#include "router/reader.h"

#include <stdlib.h>
#include <string.h>

#include "chat/inbox.h"
#include "chat/mem.h"
#include "router/handlers.h"
#include "router/history.h"

enum {
    HELD_SIZE_MAX = 1048576,      /* bytes of broadcasts that wait for one device */
    HELD_ALL_SIZE_MAX = 67108864, /* the same for all devices together */
    CLOSE_POLICY = 1008
};

struct held_broadcast {
    struct held_broadcast *next;
    struct message_id before; /* the first message that came behind it; none: there is none yet */
    struct delivery delivery; /* its texts are in 'text' */
    char text[];
};

/* A page that was asked for. By then its session may be gone, or signed as another uid. */
struct reading {
    struct router *router;
    conn_id conn;
    uint64_t generation;
};

static size_t text_size(const struct delivery *delivery)
{
    return delivery->from.len + delivery->body.len;
}

/* The first one that is held. Caller owns. */
static struct held_broadcast *take_held(struct session *session)
{
    struct reader *reader = session->reader;
    struct held_broadcast *held = reader->held_first;
    reader->held_first = held->next;
    if (reader->held_open == held) {
        reader->held_open = held->next;
    }
    if (held->next == NULL) {
        reader->held_last = NULL;
    }
    reader->held_size -= text_size(&held->delivery);
    session->router->held_size -= text_size(&held->delivery);
    return held;
}

void reader_destroy(struct session *session)
{
    if (session->reader == NULL) {
        return;
    }
    while (session->reader->held_first != NULL) {
        free(take_held(session));
    }
    free(session->reader);
    session->reader = NULL;
}

static void give(struct session *session, const struct delivery *delivery)
{
    struct sink *sink = session->router->sink;
    sink->ops->deliver(sink, &session->conn, 1, delivery);
}

static void give_held(struct session *session)
{
    struct held_broadcast *held = take_held(session);
    give(session, &held->delivery);
    free(held);
}

/* [CAST-7] "What one connection sends, broadcasts and msgs, MUST arrive in the order in which it
 * was sent." A message that comes while the device reads is behind what is held, for it came
 * later. */
static void close_held(struct reader *reader, struct message_id id)
{
    while (reader->held_open != NULL) {
        reader->held_open->before = id;
        reader->held_open = reader->held_open->next;
    }
}

static bool held_goes_before(const struct reader *reader, struct message_id id)
{
    const struct held_broadcast *held = reader->held_first;
    return held != NULL && held != reader->held_open && message_id_compare(held->before, id) <= 0;
}

static bool takes_more(const struct session *session)
{
    struct sink *sink = session->router->sink;
    return sink->ops->takes_more(sink, session->conn);
}

/* The messages are in the inbox, so a peer that does not read costs no memory: it is given more
 * when it has read. */
static bool block(struct reader *reader)
{
    reader->state = READER_BLOCKED;
    return false;
}

static void give_message(struct session *session, const struct delivery *message)
{
    give(session, message);
    session->reader->cursor = message->id;
    session->reader->gap_told = false;
    history_given(session);
}

static void on_page(void *ctx, const struct inbox_page *page);

static void read_on(struct session *session)
{
    struct router *router = session->router;
    struct reader *reader = session->reader;
    struct reading *reading = mem_alloc(sizeof *reading);
    *reading = (struct reading){router, session->conn, reader->generation};
    reader->state = READER_READING;
    reader->rang = false;
    router->store->inbox->read(router->store, session_uid(session), &reader->cursor,
                               INBOX_PAGE_MESSAGES_MAX, on_page, reading);
}

/* All is read: what waited for that goes on. May free the session. */
static void go_live(struct session *session)
{
    struct reader *reader = session->reader;
    while (reader->held_first != NULL) {
        if (!takes_more(session)) {
            block(reader);
            return;
        }
        give_held(session);
    }
    reader->state = READER_LIVE;
    router_go_on(session);
}

/* False: the peer has to read before it can be given the rest of the page. */
static bool give_page(struct session *session, const struct inbox_page *page)
{
    size_t i = 0;
    while (i < page->n) {
        if (!takes_more(session)) {
            return block(session->reader);
        }
        if (held_goes_before(session->reader, page->messages[i].id)) {
            give_held(session);
        } else {
            give_message(session, &page->messages[i++]);
        }
    }
    return true;
}

static void read_page(struct session *session, const struct inbox_page *page)
{
    struct reader *reader = session->reader;
    struct sink *sink = session->router->sink;
    if (page->err != ERR_OK) {
        /* The store tells when it is back; until then there is nothing to wait for. */
        go_live(session);
        return;
    }
    if (page->dropped && !reader->gap_told) {
        /* It was too slow for the retention. The next sign says so: [HIST-10]. */
        sink->ops->close(sink, session->conn, CLOSE_POLICY);
        return;
    }
    if (!give_page(session, page)) {
        return;
    }
    bool has_newest = message_id_compare(reader->cursor, page->newest) >= 0;
    if (page->n == 0) {
        /* Or the inbox was lost with its newest ids, and lower ones are to come. */
        reader->cursor = page->newest;
        reader->gap_told = false;
        has_newest = true;
    }
    if (has_newest && !reader->rang) {
        go_live(session);
    } else {
        read_on(session);
    }
}

static void on_page(void *ctx, const struct inbox_page *page)
{
    struct reading reading = *(struct reading *)ctx;
    free(ctx);
    struct session *session = sessions_get(reading.router->sessions, reading.conn);
    if (session != NULL && !session->closed && session->reader->generation == reading.generation) {
        read_page(session, page);
    }
}

void reader_begin(struct session *session, struct message_id after, bool gap_told)
{
    struct reader *reader = session->reader;
    while (reader->held_first != NULL) {
        give_held(session); /* [CAST-2] it came to the device as who it was */
    }
    reader->generation++;
    reader->cursor = after;
    reader->gap_told = gap_told;
    read_on(session);
}

bool reader_takes(struct session *session, struct message_id id, struct message_id previous)
{
    struct reader *reader = session->reader;
    if (reader->state != READER_LIVE) {
        reader->rang = true;
        close_held(reader, id);
        return false;
    }
    if (message_id_compare(id, reader->cursor) <= 0) {
        return false;
    }
    if (message_id_compare(previous, reader->cursor) != 0) {
        read_on(session);
        return false;
    }
    if (!takes_more(session)) {
        return block(reader);
    }
    reader->cursor = id;
    return true;
}

void reader_newest_known(struct session *session, struct message_id newest)
{
    struct reader *reader = session->reader;
    if (reader->state != READER_LIVE) {
        reader->rang = true;
    } else if (message_id_compare(newest, reader->cursor) != 0) {
        read_on(session);
    }
}

void reader_drained(struct session *session)
{
    if (session->reader->state == READER_BLOCKED) {
        read_on(session);
    }
}

static bool may_hold(const struct session *session, size_t size)
{
    return session->reader->held_size + size <= HELD_SIZE_MAX &&
           session->router->held_size + size <= HELD_ALL_SIZE_MAX;
}

void reader_hold(struct session *session, const struct delivery *delivery)
{
    struct reader *reader = session->reader;
    struct sink *sink = session->router->sink;
    size_t size = text_size(delivery);
    if (!may_hold(session, size)) {
        sink->ops->close(sink, session->conn, CLOSE_POLICY); /* [WS-12] */
        return;
    }
    struct held_broadcast *held = mem_alloc(sizeof *held + size);
    memcpy(held->text, delivery->from.ptr, delivery->from.len);
    memcpy(held->text + delivery->from.len, delivery->body.ptr, delivery->body.len);
    held->delivery = *delivery;
    held->delivery.from.ptr = held->text;
    held->delivery.body.ptr = held->text + delivery->from.len;
    if (reader->held_last == NULL) {
        reader->held_first = held;
    } else {
        reader->held_last->next = held;
    }
    reader->held_last = held;
    reader->held_size += size;
    session->router->held_size += size;
    if (reader->held_open == NULL) {
        reader->held_open = held;
    }
}
