#include "router/history.h"

#include <assert.h>
#include <stdlib.h>

#include "chat/inbox.h"
#include "chat/mem.h"
#include "router/reader.h"

enum {
    PING_INTERVAL_TICKS = 10, /* a device is asked to confirm once a second at most: [HIST-12] */
    PING_AGAIN_TICKS = 100    /* or after 10 s, if the last ping has not been answered */
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
    history->tick = PING_AGAIN_TICKS; /* so that a first ping need not wait */
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

/* [HIST-20] Again as the same uid: what this connection has got does not come again. */
static bool resumes(const struct session *session, const struct request *request)
{
    return session->reader != NULL && !request->has_since &&
           str_eq(session_uid(session), request->uid);
}

/* Looked at before the bind: whatever is stored after it, the reader finds. */
void history_sign_ask(struct router *router, struct slot *slot)
{
    const struct request *request = &slot->request;
    slot->resumes = resumes(slot->session, request);
    if (slot->resumes) {
        sign_bind(router, slot);
        return;
    }
    const struct message_id *after = request->has_since ? &request->since : NULL;
    router->store->inbox->read(router->store, request->uid, after, 0, on_opened, slot);
}

void history_begin(struct router *router, const struct slot *slot)
{
    (void)router;
    struct session *session = slot->session;
    if (slot->resumes || session->closed) {
        return;
    }
    if (session->reader == NULL) {
        session->reader = mem_alloc(sizeof *session->reader);
    }
    reader_begin(session, slot->after);
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
        if (session != NULL && reader_takes(session, delivery->id, previous)) {
            recipients_add(router, devices[i]);
        }
    }
    recipients_deliver(router, delivery);
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

bool history_holds_broadcast(struct session *session, const struct delivery *delivery)
{
    if (session->reader == NULL || session->reader->state == READER_LIVE) {
        return false;
    }
    reader_hold(session, delivery);
    return true;
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

void history_wants_ping(struct session *session)
{
    struct history *history = session->router->history;
    if (session->reader->is_to_ping) {
        return;
    }
    if (history->n_to_ping == history->to_ping_capacity) {
        history->to_ping_capacity = history->to_ping_capacity * 2 + 1;
        history->to_ping =
            mem_realloc(history->to_ping, history->to_ping_capacity * sizeof *history->to_ping);
    }
    session->reader->is_to_ping = true;
    history->to_ping[history->n_to_ping++] = session->conn;
}

/* One ping at a time, so that its pong can be told from others'. */
static bool may_ping(const struct history *history, const struct reader *reader)
{
    bool is_answered = message_id_is_none(reader->pinged);
    uint64_t ticks = is_answered ? PING_INTERVAL_TICKS : PING_AGAIN_TICKS;
    return history->tick - reader->ping_tick >= ticks;
}

static void ping(struct session *session)
{
    struct reader *reader = session->reader;
    struct sink *sink = session->router->sink;
    char payload[MESSAGE_ID_SIZE_MAX];
    reader->is_to_ping = false;
    reader->pinged = reader->cursor;
    reader->ping_tick = session->router->history->tick;
    sink->ops->ping(sink, session->conn,
                    (struct str){payload, message_id_write(reader->pinged, payload)});
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
        if (may_ping(history, session->reader)) {
            ping(session);
        } else {
            history->to_ping[n_kept++] = session->conn;
        }
    }
    history->n_to_ping = n_kept;
}

/* [HIST-13] [HIST-22] */
void history_ponged(struct session *session, struct str payload)
{
    struct reader *reader = session->reader;
    struct mapping_store *store = session->router->store;
    struct message_id id;
    if (reader == NULL || message_id_is_none(reader->pinged) || !message_id_parse(payload, &id) ||
        message_id_compare(id, reader->pinged) != 0) {
        return;
    }
    reader->pinged = MESSAGE_ID_NONE;
    store->inbox->confirm(store, session_uid(session), id);
}
