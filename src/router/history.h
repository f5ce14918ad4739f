/* history.h - inside the router: the feature history. SPEC 7.
 *
 * Switched off, struct router has no history and nothing of this is called. */
#ifndef CHAT_ROUTER_HISTORY_H
#define CHAT_ROUTER_HISTORY_H

#include "router/handlers.h"

struct history;

struct history *history_create(void);          /* caller owns */
void history_destroy(struct history *history); /* NULL is allowed */

/* Sign: look where the device begins, then sign_bind(). */
void history_sign_ask(struct router *router, struct slot *slot);

/* The session is signed as slot->request.uid: from a later turn on it gets what it has not got. */
void history_begin(const struct slot *slot);

/* Give a message to those of 'devices' that are devices of 'to' and whose turn it is; the others
 * read it from the inbox. */
void history_deliver(struct router *router, struct str to, const struct delivery *delivery,
                     struct message_id previous, const conn_id *devices, size_t n);

/* 'newest' is or was the last message of 'uid', as another node said or this one: those who have
 * not got it read. */
void history_newest_known(struct router *router, struct str uid, struct message_id newest,
                          const conn_id *devices, size_t n);

/* [ORDER-3] May the reply to a message with this id be said, because the session has got the
 * message, or will not get it now? */
bool history_may_reply(const struct session *session, struct message_id id);

/* The device was given a message: it is to confirm it. */
void history_given(struct session *session);

void history_ponged(struct session *session, struct str payload);
void history_drained(struct session *session);
void history_tick(struct router *router);

#endif
