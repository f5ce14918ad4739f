/* sign: the connection becomes a device of a uid. SPEC 4.2. */
#include "router/handlers.h"

bool sign_is_flawed(const struct request *request, enum reply_kind *refusal)
{
    if (!request->uid_valid) {
        *refusal = REPLY_INVALID_UID; /* [SIGN-8] */
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
        router_answer(slot, REPLY_UNAVAILABLE, STR("")); /* [SIGN-7] it is who it was */
        return;
    }
    sessions_sign(router->sessions, slot->session, slot->request.uid);
    char token[TOKEN_SIZE];
    router->random(token, sizeof token); /* [SIGN-3] */
    router_answer(slot, REPLY_SIGNED, (struct str){token, sizeof token});
}

void sign_ask(struct router *router, struct slot *slot)
{
    router->store->ops->bind(router->store, slot->session->conn, slot->request.uid, sign_bound,
                             slot);
}
