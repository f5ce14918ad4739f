#include "router/history.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "chat/inbox.h"
#include "chat/mem.h"
#include "router/reader.h"

enum {
    PING_INTERVAL_TICKS = 9, /* a device is asked to confirm within a second: [HIST-12] */
    PING_MESSAGES = 100      /* or after so many, lest a busy uid's inbox is full ([HIST-16]) */
};

struct history {
    uint64_t tick;
    conn_id *to_ping; /* devices that have something to confirm */
    size_t n_to_ping;
    size_t to_ping_capacity;
};

struct history *history_create(void)
{
    struct history *history = mem_alloc(sizeof *history);
    history->tick = PING_INTERVAL_TICKS; /* so that a first ping need not wait */
    return history;
}

void history_destroy(struct history *history)
{
    if (history != NULL) {
        free(history->to_ping);
        free(history);
    }
}

/* ---- sign ---- */

/* [HIST-21] What comes after the newest message counts, wherever 'since' points. */
static struct message_id start_of(const struct inbox_page *page)
{
    return message_id_compare(page->after, page->newest) < 0 ? page->after : page->newest;
}

/* 'ctx' is the slot: it and its session live until router_answer(). */
static void on_opened(void *ctx, const struct inbox_page *page)
{
    struct slot *slot = ctx;
    if (page->err != ERR_OK) {
        router_answer_kind(slot, REPLY_UNAVAILABLE);
        return;
    }
    slot->after = start_of(page);
    slot->reply.has_gap = page->gap;
    sign_bind(slot->session->router, slot);
}

/* Does it sign again as the uid that it is signed as? */
static bool is_same(const struct session *session, const struct request *request)
{
    return session->reader != NULL && str_eq(session_uid(session), request->uid);
}

/* [HIST-20] What this connection has got does not come again: it goes on where it is. */
static bool resumes(const struct slot *slot)
{
    return slot->is_same_uid && !slot->request.has_since;
}

/* Looked at before the bind: whatever is stored after it, the reader finds. */
void history_sign_ask(struct router *router, struct slot *slot)
{
    const struct request *request = &slot->request;
    slot->is_same_uid = is_same(slot->session, request);
    if (resumes(slot)) {
        sign_bind(router, slot);
        return;
    }
    const struct message_id *after = request->has_since ? &request->since : NULL;
    mapping_store_read(router->store, request->uid, after, 0, on_opened, slot);
}

/* ---- messages ---- */

static struct session *device_of(const struct router *router, conn_id conn, struct str uid)
{
    struct session *session = sessions_get(router->sessions, conn);
    bool is_device = session != NULL && session_is_device(session, uid);
    assert(!is_device || session->reader != NULL);
    return is_device ? session : NULL;
}

void history_deliver(struct router *router, struct str to, const struct delivery *delivery,
                     struct message_id previous, const conn_id *devices, size_t n)
{
    recipients_clear(router);
    for (size_t i = 0; i < n; i++) {
        struct session *session = device_of(router, devices[i], to);
        if (session != NULL && reader_takes(session, delivery, previous)) {
            recipients_add(router, devices[i]);
        }
    }
    recipients_deliver(router, delivery);
    for (size_t i = 0; i < router->n_recipients; i++) {
        history_given(sessions_get(router->sessions, router->recipients[i]));
    }
}

void history_newest_known(struct router *router, struct str uid, struct message_id newest,
                          const conn_id *devices, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct session *session = device_of(router, devices[i], uid);
        if (session != NULL) {
            reader_newest_known(session, newest);
        }
    }
}

bool history_may_reply(const struct session *session, struct message_id id)
{
    const struct reader *reader = session->reader;
    return session->closed || reader == NULL || reader->state == READER_LIVE ||
           message_id_compare(id, reader->cursor) <= 0;
}

void history_drained(struct session *session)
{
    if (session->reader != NULL) {
        reader_drained(session);
    }
}

/* ---- confirmation ---- */

static void ping(struct session *session)
{
    struct reader *reader = session->reader;
    struct sink *sink = session->router->sink;
    char payload[MESSAGE_ID_SIZE_MAX];
    if (reader->n_pings == READER_PINGS_MAX) {
        reader->n_pings--;
        memmove(reader->pings, reader->pings + 1, reader->n_pings * sizeof reader->pings[0]);
    }
    reader->pings[reader->n_pings++] = reader->cursor;
    reader->n_unpinged = 0;
    reader->ping_tick = session->router->history->tick;
    sink->ops->ping(sink, session->conn,
                    (struct str){payload, message_id_write(reader->cursor, payload)});
}

static void list_to_ping(struct session *session)
{
    struct history *history = session->router->history;
    if (history->n_to_ping == history->to_ping_capacity) {
        history->to_ping_capacity = history->to_ping_capacity * 2 + 1;
        history->to_ping =
            mem_realloc(history->to_ping, history->to_ping_capacity * sizeof *history->to_ping);
    }
    session->reader->is_to_ping = true;
    history->to_ping[history->n_to_ping++] = session->conn;
}

void history_given(struct session *session)
{
    struct reader *reader = session->reader;
    reader->n_unpinged++;
    if (reader->n_unpinged >= PING_MESSAGES) {
        ping(session);
    } else if (!reader->is_to_ping) {
        list_to_ping(session);
    }
}

/* [HIST-12] "After deliveries of msgs a server MUST send the device a ping whose payload is the id
 * of the last of them." */
void history_tick(struct router *router)
{
    struct history *history = router->history;
    size_t n_kept = 0;
    history->tick++;
    for (size_t i = 0; i < history->n_to_ping; i++) {
        struct session *session = sessions_get(router->sessions, history->to_ping[i]);
        if (session == NULL || session->closed) {
            continue;
        }
        struct reader *reader = session->reader;
        if (history->tick - reader->ping_tick < PING_INTERVAL_TICKS) {
            history->to_ping[n_kept++] = session->conn;
            continue;
        }
        reader->is_to_ping = false;
        if (reader->n_unpinged > 0) {
            ping(session);
        }
    }
    history->n_to_ping = n_kept;
}

/* [HIST-12] [HIST-13] What it has got as the same uid is still asked about, and now, for the cursor
 * moves. As another uid it says nothing of what it got before. */
static void end_pings(struct session *session, bool is_same_uid)
{
    if (!is_same_uid) {
        session->reader->n_pings = 0;
        session->reader->n_unpinged = 0;
    } else if (session->reader->n_unpinged > 0) {
        ping(session);
    }
}

void history_begin(const struct slot *slot)
{
    struct session *session = slot->session;
    if (resumes(slot) || session->closed) {
        return;
    }
    if (session->reader == NULL) {
        session->reader = mem_alloc(sizeof *session->reader);
    }
    end_pings(session, slot->is_same_uid);
    reader_begin(session, slot->after, slot->reply.has_gap);
}

/* [HIST-13] Whoever answers a ping has read what came before it, and so what came before earlier
 * ones. [HIST-22] Any other pong says nothing. */
void history_ponged(struct session *session, struct str payload)
{
    struct reader *reader = session->reader;
    struct mapping_store *store = session->router->store;
    struct message_id id;
    if (reader == NULL || !message_id_parse(payload, &id)) {
        return;
    }
    for (size_t i = 0; i < reader->n_pings; i++) {
        if (message_id_compare(id, reader->pings[i]) == 0) {
            reader->n_pings -= i + 1;
            memmove(reader->pings, reader->pings + i + 1,
                    reader->n_pings * sizeof reader->pings[0]);
            mapping_store_confirm(store, session_uid(session), id);
            return;
        }
    }
}
