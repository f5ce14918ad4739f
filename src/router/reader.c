#include "router/reader.h"

#include <stdlib.h>

#include "chat/inbox.h"
#include "chat/mem.h"
#include "router/handlers.h"
#include "router/history.h"

enum {
    CLOSE_POLICY = 1008
};

/* A page that was asked for. By then its session may be gone, or signed as another uid. */
struct reading {
    struct router *router;
    conn_id conn;
    uint64_t generation;
};

static void give(struct session *session, const struct delivery *delivery)
{
    struct sink *sink = session->router->sink;
    sink->ops->deliver(sink, &session->conn, 1, delivery);
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
    mapping_store_read(router->store, session_uid(session), &reader->cursor,
                       INBOX_PAGE_MESSAGES_MAX, on_page, reading);
}

/* All is read: replies that waited for that go out. May free the session. */
static void go_live(struct session *session)
{
    session->reader->state = READER_LIVE;
    router_go_on(session);
}

/* False: the peer has to read before it can be given the rest of the page. */
static bool give_page(struct session *session, const struct inbox_page *page)
{
    for (size_t i = 0; i < page->n; i++) {
        if (!takes_more(session)) {
            return block(session->reader);
        }
        give_message(session, &page->messages[i]);
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
    reader->generation++;
    reader->cursor = after;
    reader->gap_told = gap_told;
    read_on(session);
}

bool reader_takes(struct session *session, const struct delivery *message,
                  struct message_id previous)
{
    struct reader *reader = session->reader;
    if (reader->state != READER_LIVE) {
        reader->rang = true;
        return false;
    }
    if (message_id_compare(message->id, reader->cursor) <= 0) {
        return false;
    }
    bool is_whole = message->body.len > 0;
    if (!is_whole || message_id_compare(previous, reader->cursor) != 0) {
        read_on(session);
        return false;
    }
    if (!takes_more(session)) {
        return block(reader);
    }
    reader->cursor = message->id;
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
