/* broadcast: every device there is gets a body. SPEC 6. */
#include "router/handlers.h"

/* [CAST-9] */
static bool may_broadcast(const struct router_options *options, struct str uid)
{
    for (size_t i = 0; i < options->n_broadcasters; i++) {
        if (str_eq(options->broadcasters[i], uid)) {
            return true;
        }
    }
    return options->n_broadcasters == 0;
}

bool broadcast_is_flawed(const struct session *session, const struct request *request,
                         enum reply_kind *refusal)
{
    if (request->body.len == 0) {
        *refusal = REPLY_MISSING_BODY; /* [CAST-5] */
        return true;
    }
    if (!may_broadcast(&session->router->options, session_uid(session))) {
        *refusal = REPLY_DENIED;
        return true;
    }
    return false;
}

/* [CAST-3] */
static void add_if_device(struct router *router, const struct session *session)
{
    if (!session->closed && session_is_signed(session)) {
        recipients_add(router, session->conn);
    }
}

void broadcast_arrived(struct router *router, const struct delivery *delivery,
                       const conn_id *devices, size_t n)
{
    recipients_clear(router);
    for (size_t i = 0; i < n; i++) {
        const struct session *session = sessions_get(router->sessions, devices[i]);
        if (session != NULL) {
            add_if_device(router, session);
        }
    }
    recipients_deliver(router, delivery);
}

/* To every device of this process. */
static void deliver_to_all(struct router *router, const struct delivery *delivery)
{
    recipients_clear(router);
    size_t cursor = 0;
    const struct session *session;
    while ((session = sessions_next(router->sessions, &cursor)) != NULL) {
        add_if_device(router, session);
    }
    recipients_deliver(router, delivery);
}

/* 'ctx' is the slot: it and its session live until router_answer(), also if the connection
 * closes. */
static void broadcast_done(void *ctx, enum err err)
{
    struct slot *slot = ctx;
    struct session *session = slot->session;
    if (err != ERR_OK) {
        router_answer_kind(slot, REPLY_UNAVAILABLE);
        return;
    }
    struct delivery delivery = {
        .from = session_uid(session), .body = slot->request.body, .is_broadcast = true};
    deliver_to_all(session->router, &delivery);
    router_answer_kind(slot, REPLY_SENT); /* [CAST-8] behind the delivery */
}

void broadcast_ask(struct router *router, struct slot *slot)
{
    struct message message = {.from = session_uid(slot->session), .body = slot->request.body};
    mapping_store_broadcast(router->store, &message, broadcast_done, slot);
}
