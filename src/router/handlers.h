/* handlers.h - inside the router: what router.c and the request types (sign.c, msg.c,
 * broadcast.c) know of each other.
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
    struct router_options options;
    struct sessions *sessions;
    struct history *history; /* NULL: the feature is off */
    conn_id *recipients;     /* of the message being delivered; kept, so that none allocates */
    size_t n_recipients;
    size_t recipients_max;
};

/* Is a parameter missing or invalid, or the sender not allowed? Then '*refusal' is what to say of
 * the first that is. */
bool sign_is_flawed(const struct session *session, const struct request *request,
                    enum reply_kind *refusal);
bool msg_is_flawed(const struct session *session, const struct request *request,
                   enum reply_kind *refusal);
bool broadcast_is_flawed(const struct session *session, const struct request *request,
                         enum reply_kind *refusal);

/* Ask the store for what slot->request needs. */
void sign_ask(struct router *router, struct slot *slot);
void msg_ask(struct router *router, struct slot *slot);
void broadcast_ask(struct router *router, struct slot *slot);

/* The second half of sign_ask(). */
void sign_bind(struct router *router, struct slot *slot);

/* Deliver a message to those of 'devices', proposed by the store, that are devices of 'to'. */
void msg_deliver(struct router *router, struct str to, const struct delivery *delivery,
                 struct message_id previous, const conn_id *devices, size_t n);

/* Deliver a broadcast of another node to those of 'devices', proposed by the store, that are
 * devices. */
void broadcast_arrived(struct router *router, const struct delivery *delivery,
                       const conn_id *devices, size_t n);

/* Gather router->recipients, then deliver to them, if there are any. */
void recipients_clear(struct router *router);
void recipients_add(struct router *router, conn_id conn);
void recipients_deliver(struct router *router, const struct delivery *delivery);

/* The store has answered and the effect is done: say 'reply' in its turn, and go on with what
 * waits behind. 'slot', and perhaps its session, are freed. */
void router_answer(struct slot *slot, const struct reply *reply);

/* The same with a reply that is only its kind. */
void router_answer_kind(struct slot *slot, enum reply_kind kind);

/* Say what can be said now, and start what can be started. May free the session. */
void router_go_on(struct session *session);

#endif
