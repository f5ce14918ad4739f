/* The order of things: which request may start, what is said when.
 *
 * Every request takes a slot at the end of its session's queue and leaves it from the front with
 * its reply, so replies go out in the order of the requests ([ORDER-1]). Requests of one session
 * overlap in the store, which answers in the order of the calls; only a sign stands alone,
 * because those behind it depend on what becomes of it. */
#include "chat/router.h"

#include <assert.h>
#include <stdlib.h>

#include "chat/mem.h"
#include "chat/nodes.h"
#include "router/handlers.h"
#include "router/history.h"

enum {
    CLOSE_POLICY_VIOLATION = 1008
}; /* RFC 6455, 7.4.1 */

struct handler {
    bool (*is_flawed)(const struct session *session, const struct request *request,
                      enum reply_kind *refusal);
    void (*ask)(struct router *router, struct slot *slot);
    bool needs_signed;
    bool
        stands_alone; /* starts when nothing is in flight before it, and nothing starts behind it */
};

/* What the server does with each type of request: SPEC 4.2, 4.3 and 6. */
static const struct handler handlers[N_REQUEST_TYPES] = {
    [REQUEST_SIGN] = {sign_is_flawed, sign_ask, .needs_signed = false, .stands_alone = true},
    [REQUEST_MSG] = {msg_is_flawed, msg_ask, .needs_signed = true, .stands_alone = false},
    [REQUEST_BROADCAST] = {broadcast_is_flawed, broadcast_ask, .needs_signed = true,
                           .stands_alone = false},
};

/* [COMPAT-2] A type of a feature that is switched off is like any unknown one. */
static bool is_served(const struct router *router, enum request_type type)
{
    return type != REQUEST_BROADCAST || router->options.features.broadcast;
}

/* ---- what comes from other nodes ---- */

static void on_arrived(void *ctx, struct str to, const struct delivery *delivery,
                       struct message_id previous, const conn_id *devices, size_t n)
{
    msg_deliver(ctx, to, delivery, previous, devices, n);
}

static void on_broadcast_arrived(void *ctx, const struct delivery *delivery, const conn_id *devices,
                                 size_t n)
{
    struct router *router = ctx;
    if (router->options.features.broadcast) {
        broadcast_arrived(router, delivery, devices, n);
    }
}

static void on_newest_known(void *ctx, struct str uid, struct message_id newest,
                            const conn_id *devices, size_t n)
{
    history_newest_known(ctx, uid, newest, devices, n);
}

static const struct node_events node_events = {
    .arrived = on_arrived,
    .broadcast_arrived = on_broadcast_arrived,
    .newest_known = on_newest_known,
};

/* ---- recipients ---- */

void recipients_clear(struct router *router)
{
    router->n_recipients = 0;
}

void recipients_add(struct router *router, conn_id conn)
{
    if (router->n_recipients == router->recipients_max) {
        router->recipients_max = router->recipients_max * 2 + 1;
        router->recipients =
            mem_realloc(router->recipients, router->recipients_max * sizeof *router->recipients);
    }
    router->recipients[router->n_recipients++] = conn;
}

void recipients_deliver(struct router *router, const struct delivery *delivery)
{
    if (router->n_recipients > 0) {
        router->sink->ops->deliver(router->sink, router->recipients, router->n_recipients,
                                   delivery);
    }
}

/* ---- life ---- */

struct router *router_create(struct sink *sink, struct mapping_store *store,
                             router_random_fn *random, const struct router_options *options)
{
    assert(options->features.history == (store->inbox != NULL));
    struct router *router = mem_alloc(sizeof *router);
    router->sink = sink;
    router->store = store;
    router->random = random;
    router->options = *options;
    router->sessions = sessions_create();
    router->history = options->features.history ? history_create() : NULL;
    store->ops->listen(store, &node_events, router);
    return router;
}

void router_destroy(struct router *router)
{
    if (router == NULL) {
        return;
    }
    sessions_destroy(router->sessions);
    history_destroy(router->history);
    free(router->recipients);
    free(router);
}

/* ---- requests ---- */

/* [REPLY-6] The first thing that is wrong with a request, whose session is who it is now. */
static bool is_refused(const struct session *session, const struct request *request,
                       enum reply_kind *refusal)
{
    const struct handler *handler = &handlers[request->type];
    if (!request->cid_valid) {
        *refusal = REPLY_INVALID_CID;
        return true;
    }
    if (handler->needs_signed && !session_is_signed(session)) {
        *refusal = REPLY_NOT_SIGNED;
        return true;
    }
    return handler->is_flawed(session, request, refusal);
}

static void say(const struct session *session, const struct request *request, struct reply reply)
{
    if (session->closed) {
        return;
    }
    if (reply.kind != REPLY_INVALID_CID && reply.kind != REPLY_ILLEGAL) { /* [CID-3], [CID-4] */
        reply.cid = request->cid;
    }
    struct sink *sink = session->router->sink;
    sink->ops->reply(sink, session->conn, &reply);
}

/* The brake on a peer that asks faster than the store answers. */
static void receive_more(struct session *session, bool more)
{
    session->braked = !more;
    if (!session->closed) {
        struct sink *sink = session->router->sink;
        sink->ops->receive_more(sink, session->conn, more);
    }
}

static void pop(struct session *session)
{
    session_pop(session);
    if (session->braked && session_is_half_empty(session)) {
        receive_more(session, true);
    }
}

static void start(struct slot *slot)
{
    struct session *session = slot->session;
    if (is_refused(session, &slot->request, &slot->reply.kind)) {
        slot->state = SLOT_ANSWERED;
    } else if (session->given_up) {
        slot->reply.kind = REPLY_UNAVAILABLE;
        slot->state = SLOT_ANSWERED;
    } else {
        slot->state = SLOT_ASKED;
        handlers[slot->request.type].ask(session->router, slot);
    }
}

static bool stands_alone(const struct slot *slot)
{
    bool is_alive = slot->state == SLOT_QUEUED || slot->state == SLOT_ASKED;
    return is_alive && handlers[slot->request.type].stands_alone;
}

static bool may_start(const struct session *session, const struct slot *slot)
{
    return slot == session->first || !(stands_alone(slot) || stands_alone(session->first));
}

/* Start what may start, in order. */
static void start_queued(struct session *session)
{
    while (session->queued != NULL && may_start(session, session->queued)) {
        struct slot *slot = session->queued;
        session->queued = slot->next;
        if (slot->state == SLOT_QUEUED) {
            start(slot);
        }
    }
}

/* [ORDER-3] Was it a message to the sender itself, which has not got it yet? */
static bool waits_for_delivery(const struct session *session, const struct slot *slot)
{
    return !message_id_is_none(slot->reply.id) && str_eq(slot->request.uid, session_uid(session)) &&
           !history_may_reply(session, slot->reply.id);
}

static bool may_be_said(const struct session *session, const struct slot *slot)
{
    return slot->state == SLOT_CLOSING ||
           (slot->state == SLOT_ANSWERED && !waits_for_delivery(session, slot));
}

/* Say what is at the front of the queue and does not wait any more. Was there anything? */
static bool say_answers(struct session *session)
{
    bool any = false;
    while (session->first != session->queued && may_be_said(session, session->first)) {
        const struct slot *slot = session->first;
        if (slot->state == SLOT_ANSWERED) {
            say(session, &slot->request, slot->reply);
        } else if (!session->closed) {
            struct sink *sink = session->router->sink;
            sink->ops->close(sink, session->conn, slot->close_code);
        }
        pop(session);
        any = true;
    }
    return any;
}

/* The end of a session whose connection is closed and whose requests have all taken effect. */
static void remove_session(struct session *session)
{
    struct router *router = session->router;
    if (session_is_signed(session)) {
        mapping_store_unbind(router->store, session->conn);
    }
    sessions_remove(router->sessions, session);
}

/* No call of a port calls back, so it is never entered twice: the inner one might free the
 * session. */
void router_go_on(struct session *session)
{
    assert(!session->is_going_on);
    session->is_going_on = true;
    do {
        start_queued(session);
    } while (say_answers(session));
    session->is_going_on = false;
    if (session->closed && session->first == NULL) {
        remove_session(session);
    }
}

void router_answer(struct slot *slot, const struct reply *reply)
{
    struct session *session = slot->session;
    assert(slot->state == SLOT_ASKED);
    slot->state = SLOT_ANSWERED;
    slot->reply = *reply;
    if (session->closed && reply->kind == REPLY_UNAVAILABLE) {
        /* Nobody hears the answers any more. This also ends sessions while a store is being
         * destroyed, when it cannot be asked again. */
        session->given_up = true;
    }
    router_go_on(session);
}

void router_answer_kind(struct slot *slot, enum reply_kind kind)
{
    struct reply reply = {.kind = kind};
    router_answer(slot, &reply);
}

/* The session of an open connection whose requests are processed; NULL if they are not any more. */
static struct session *listening_session(struct router *router, conn_id conn)
{
    struct session *session = sessions_get(router->sessions, conn);
    assert(session != NULL && !session->closed);
    return session->ended ? NULL : session;
}

/* Take 'slot' to the queue of 'session', and go on. */
static void queue(struct session *session, struct slot *slot)
{
    session_push(session, slot);
    if (!session->braked && (session_is_full(session) || router_is_full(session->router))) {
        receive_more(session, false);
    }
    router_go_on(session);
}

bool router_is_full(const struct router *router)
{
    size_t size_max = router->options.requests_size_max;
    return size_max > 0 && sessions_slots_size(router->sessions) >= size_max;
}

void router_opened(struct router *router, conn_id conn)
{
    sessions_add(router->sessions, router, conn);
}

void router_received(struct router *router, conn_id conn, const struct request *request)
{
    struct session *session = listening_session(router, conn);
    if (session == NULL) {
        return;
    }
    if (!is_served(router, request->type)) {
        router_received_illegal(router, conn);
        return;
    }
    struct reply refusal = {0};
    if (session->first == NULL && is_refused(session, request, &refusal.kind)) {
        say(session, request, refusal); /* it is its turn already: no slot is needed */
        return;
    }
    queue(session, slot_create(request));
}

/* [ILLEGAL-4] The last thing that is processed of this connection. */
static void end(struct session *session, uint16_t close_code)
{
    session->ended = true;
    struct slot *slot = slot_create(NULL);
    slot->state = SLOT_CLOSING;
    slot->close_code = close_code;
    queue(session, slot);
}

void router_received_illegal(struct router *router, conn_id conn)
{
    struct session *session = listening_session(router, conn);
    if (session == NULL) {
        return;
    }
    struct slot *slot = slot_create(NULL);
    slot->state = SLOT_ANSWERED;
    slot->reply.kind = REPLY_ILLEGAL;
    queue(session, slot);
    end(session, CLOSE_POLICY_VIOLATION);
}

void router_received_broken(struct router *router, conn_id conn, uint16_t code)
{
    struct session *session = listening_session(router, conn);
    if (session != NULL) {
        end(session, code);
    }
}

void router_closed(struct router *router, conn_id conn)
{
    struct session *session = sessions_get(router->sessions, conn);
    assert(session != NULL);
    sessions_close(router->sessions, session);
    router_go_on(session);
}

void router_ponged(struct router *router, conn_id conn, struct str payload)
{
    struct session *session = sessions_get(router->sessions, conn);
    if (router->history != NULL && session != NULL && !session->closed) {
        history_ponged(session, payload);
    }
}

void router_drained(struct router *router, conn_id conn)
{
    struct session *session = sessions_get(router->sessions, conn);
    if (router->history != NULL && session != NULL && !session->closed) {
        history_drained(session);
    }
}

void router_tick(struct router *router)
{
    if (router->history != NULL) {
        history_tick(router);
    }
}

const char *router_trouble(struct router *router)
{
    return router->store->ops->trouble(router->store);
}

size_t router_n_signed(const struct router *router)
{
    return sessions_n_signed(router->sessions);
}
