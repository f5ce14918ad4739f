/* handlers.h - inside the router: what router.c and the request types (sign.c, msg.c) know of
 * each other.
 *
 * A request is handled in two steps, and each type brings a function for either. router.c
 * examines it: the session has to be signed, perhaps, and no parameter may be missing or
 * invalid. Then it asks the store, and when the store has answered, the type's callback does the
 * effect and ends with router_answer(). */
#ifndef CHAT_ROUTER_HANDLERS_H
#define CHAT_ROUTER_HANDLERS_H

#include <stdbool.h>
#include <stddef.h>

#include "chat/router.h"
#include "router/sessions.h"

struct router {
    struct sink *sink;           /* borrowed */
    struct mapping_store *store; /* borrowed */
    router_random_fn *random;
    struct sessions *sessions;
    conn_id *recipients; /* of the message being delivered; kept, so that none allocates */
    size_t recipients_max;
};

/* Is a parameter missing or invalid? Then '*refusal' is what to say of the first that is. */
bool sign_is_flawed(const struct request *request, enum reply_kind *refusal);
bool msg_is_flawed(const struct request *request, enum reply_kind *refusal);

/* Ask the store for what slot->request needs. */
void sign_ask(struct router *router, struct slot *slot);
void msg_ask(struct router *router, struct slot *slot);

/* The store has answered and the effect is done: say so ('token' has a length for REPLY_SIGNED
 * only), and go on with what waits behind. 'slot', the first of its queue, and perhaps its
 * session are freed. */
void router_answer(struct slot *slot, enum reply_kind kind, struct str token);

#endif
