/* msg: every device of a uid gets a body. SPEC 4.3. */
#include "router/handlers.h"
#include "router/history.h"

bool msg_is_flawed(const struct session *session, const struct request *request,
                   enum reply_kind *refusal)
{
    (void)session;
    if (!request->uid_valid) {
        *refusal = REPLY_INVALID_TO; /* [MSG-6] */
        return true;
    }
    if (request->body.len == 0) {
        *refusal = REPLY_MISSING_BODY; /* [MSG-7] */
        return true;
    }
    return false;
}

/* The store only proposes: who a connection is, the session knows ([ID-1], [MSG-3]). */
static void deliver_now(struct router *router, struct str to, const struct delivery *delivery,
                        const conn_id *devices, size_t n)
{
    recipients_clear(router);
    for (size_t i = 0; i < n; i++) {
        const struct session *session = sessions_get(router->sessions, devices[i]);
        if (session != NULL && session_is_device(session, to)) {
            recipients_add(router, devices[i]);
        }
    }
    recipients_deliver(router, delivery);
}

void msg_deliver(struct router *router, struct str to, const struct delivery *delivery,
                 struct message_id previous, const conn_id *devices, size_t n)
{
    if (router->history != NULL) {
        history_deliver(router, to, delivery, previous, devices, n);
    } else {
        deliver_now(router, to, delivery, devices, n);
    }
}

static void take_to_devices(struct slot *slot, const struct sent *sent)
{
    struct router *router = slot->session->router;
    struct str to = slot->request.uid;
    if (sent->is_dup) {
        history_newest_known(router, to, sent->id, sent->devices, sent->n);
        return;
    }
    struct delivery delivery = {
        .from = session_uid(slot->session), .body = slot->request.body, .id = sent->id};
    msg_deliver(router, to, &delivery, sent->previous, sent->devices, sent->n);
}

/* 'ctx' is the slot: it and its session live until router_answer(), also if the connection
 * closes. */
static void msg_sent(void *ctx, const struct sent *sent)
{
    struct slot *slot = ctx;
    if (sent->err != ERR_OK) {
        router_answer_kind(slot, sent->err == ERR_FULL ? REPLY_FULL : REPLY_UNAVAILABLE);
        return;
    }
    take_to_devices(slot, sent);
    /* Behind the delivery, so that a sender that is a device of 'to' gets that first
     * ([ORDER-3]). */
    struct reply reply = {.kind = REPLY_SENT, .id = sent->id, .is_dup = sent->is_dup};
    router_answer(slot, &reply);
}

void msg_ask(struct router *router, struct slot *slot)
{
    struct message message = {.to = slot->request.uid,
                              .from = session_uid(slot->session),
                              .body = slot->request.body,
                              .cid = slot->request.cid_value};
    mapping_store_send(router->store, &message, msg_sent, slot);
}
