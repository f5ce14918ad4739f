/* msg: every device of a uid gets a body. SPEC 4.3. */
#include "chat/mem.h"
#include "router/handlers.h"

bool msg_is_flawed(const struct request *request, enum reply_kind *refusal)
{
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

/* Those of 'devices' that are devices of 'uid' go to router->recipients; returns how many. The
 * store only proposes: who a connection is, the session knows ([ID-1], [MSG-3]). */
static size_t choose_recipients(struct router *router, const conn_id *devices, size_t n,
                                struct str uid)
{
    if (n > router->recipients_max) {
        router->recipients = mem_realloc(router->recipients, n * sizeof *router->recipients);
        router->recipients_max = n;
    }
    size_t n_recipients = 0;
    for (size_t i = 0; i < n; i++) {
        const struct session *session = sessions_get(router->sessions, devices[i]);
        if (session != NULL && session_is_device(session, uid)) {
            router->recipients[n_recipients++] = devices[i];
        }
    }
    return n_recipients;
}

/* 'ctx' is the slot: it and its session live until router_answer(), also if the connection
 * closes. */
static void msg_sent(void *ctx, const struct sent *sent)
{
    struct slot *slot = ctx;
    struct router *router = slot->session->router;
    if (sent->err != ERR_OK) {
        router_answer(slot, REPLY_UNAVAILABLE, STR(""));
        return;
    }
    size_t n_recipients = choose_recipients(router, sent->devices, sent->n, slot->request.uid);
    if (n_recipients > 0) {
        struct delivery delivery = {.from = session_uid(slot->session), .body = slot->request.body};
        router->sink->ops->deliver(router->sink, router->recipients, n_recipients, &delivery);
    }
    /* Behind the delivery, so that a sender that is a device of 'to' gets that first
     * ([ORDER-3]). */
    router_answer(slot, REPLY_SENT, STR(""));
}

void msg_ask(struct router *router, struct slot *slot)
{
    struct message message = {
        .to = slot->request.uid, .from = session_uid(slot->session), .body = slot->request.body};
    router->store->ops->send(router->store, &message, msg_sent, slot);
}
