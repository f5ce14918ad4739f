/* sign: the connection becomes a device of a uid. SPEC 4.2. */
#include "router/handlers.h"
#include "router/history.h"

bool sign_is_flawed(const struct session *session, const struct request *request,
                    enum reply_kind *refusal)
{
    if (!request->uid_valid) {
        *refusal = REPLY_INVALID_UID; /* [SIGN-8] */
        return true;
    }
    if (session->router->history != NULL && !request->since_valid) {
        *refusal = REPLY_INVALID_SINCE; /* [HIST-9] */
        return true;
    }
    return false;
}

/* 'ctx' is the slot: it and its session live until router_answer(), also if the connection
 * closes. */
static void sign_bound(void *ctx, conn_id device, enum err err)
{
    (void)device;
    struct slot *slot = ctx;
    struct router *router = slot->session->router;
    if (err != ERR_OK) {
        router_answer_kind(slot, REPLY_UNAVAILABLE); /* [SIGN-7] it is who it was */
        return;
    }
    sessions_sign(router->sessions, slot->session, slot->request.uid);
    if (router->history != NULL) {
        history_begin(slot);
    }
    char token[TOKEN_SIZE];
    router->random(token, sizeof token); /* [SIGN-3] */
    struct reply reply = {
        .kind = REPLY_SIGNED, .token = {token, sizeof token}, .has_gap = slot->reply.has_gap};
    router_answer(slot, &reply);
}

void sign_bind(struct router *router, struct slot *slot)
{
    mapping_store_bind(router->store, slot->session->conn, slot->request.uid, sign_bound, slot);
}

void sign_ask(struct router *router, struct slot *slot)
{
    if (router->history != NULL) {
        history_sign_ask(router, slot);
    } else {
        sign_bind(router, slot);
    }
}
