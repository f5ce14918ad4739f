/* The order of things: which request may start, what is said when.
 *
 * Every request takes a slot at the end of its session's queue and leaves it from the front with
 * its reply, so replies go out in the order of the requests ([ORDER-1]). Requests of one session
 * overlap in the store, whose finds answer in the order of the calls; only a sign stands alone,
 * because those behind it depend on what becomes of it. Hence a slot that the store answers is
 * always the first of its queue. */
#include "chat/router.h"

#include <assert.h>
#include <stdlib.h>

#include "chat/mem.h"
#include "router/handlers.h"

enum {
    CLOSE_POLICY_VIOLATION = 1008
}; /* RFC 6455, 7.4.1 */

struct handler {
    bool (*is_flawed)(const struct request *request, enum reply_kind *refusal);
    void (*ask)(struct router *router, struct slot *slot);
    bool needs_signed;
    bool
        stands_alone; /* starts when nothing is in flight before it, and nothing starts behind it */
};

/* What the server does with each type of request: SPEC 4.2 and 4.3. */
static const struct handler handlers[N_REQUEST_TYPES] = {
    [REQUEST_SIGN] = {sign_is_flawed, sign_ask, .needs_signed = false, .stands_alone = true},
    [REQUEST_MSG] = {msg_is_flawed, msg_ask, .needs_signed = true, .stands_alone = false},
};

struct router *router_create(struct sink *sink, struct mapping_store *store,
                             router_random_fn *random)
{
    struct router *router = mem_alloc(sizeof *router);
    router->sink = sink;
    router->store = store;
    router->random = random;
    router->sessions = sessions_create();
    return router;
}

void router_destroy(struct router *router)
{
    if (router == NULL) {
        return;
    }
    sessions_destroy(router->sessions);
    free(router->recipients);
    free(router);
}

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
    return handler->is_flawed(request, refusal);
}

static void say(const struct session *session, const struct request *request, enum reply_kind kind,
                struct str token)
{
    if (session->closed) {
        return;
    }
    bool has_cid = kind != REPLY_INVALID_CID && kind != REPLY_ILLEGAL; /* [CID-3], [CID-4] */
    struct reply reply = {.kind = kind, .cid = has_cid ? request->cid : STR(""), .token = token};
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
    if (is_refused(session, &slot->request, &slot->refusal)) {
        slot->state = SLOT_REFUSED;
    } else if (session->given_up) {
        slot->refusal = REPLY_UNAVAILABLE;
        slot->state = SLOT_REFUSED;
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

/* Say what is at the front of the queue and needs no answer of the store. Was there anything? */
static bool say_refusals(struct session *session)
{
    bool any = false;
    while (session->first != session->queued && session->first->state != SLOT_ASKED) {
        const struct slot *slot = session->first;
        if (slot->state == SLOT_REFUSED) {
            say(session, &slot->request, slot->refusal, STR(""));
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
        router->store->ops->unbind(router->store, session->conn);
    }
    sessions_remove(router->sessions, session);
}

/* Go as far as the session can without another answer of the store. May free it. */
static void go_on(struct session *session)
{
    do {
        start_queued(session);
    } while (say_refusals(session));
    if (session->closed && session->first == NULL) {
        remove_session(session);
    }
}

void router_answer(struct slot *slot, enum reply_kind kind, struct str token)
{
    struct session *session = slot->session;
    assert(slot == session->first && slot->state == SLOT_ASKED);
    say(session, &slot->request, kind, token);
    if (session->closed && kind == REPLY_UNAVAILABLE) {
        /* Nobody hears the answers any more. This also ends sessions while a store is being
         * destroyed, when it cannot be asked again. */
        session->given_up = true;
    }
    pop(session);
    go_on(session);
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
    if (!session->braked && session_is_full(session)) {
        receive_more(session, false);
    }
    go_on(session);
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
    enum reply_kind refusal;
    if (session->first == NULL && is_refused(session, request, &refusal)) {
        say(session, request, refusal, STR("")); /* it is its turn already: no slot is needed */
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
    slot->state = SLOT_REFUSED;
    slot->refusal = REPLY_ILLEGAL;
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
    go_on(session);
}

size_t router_n_signed(const struct router *router)
{
    return sessions_n_signed(router->sessions);
}
