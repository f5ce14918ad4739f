/* signing.h - inside the router, for the feature history: uids that somebody is being signed as.
 *
 * A message that comes for such a uid is read later, from the inbox. But that it has come must be
 * known, for a broadcast that comes next may be behind it: held.h. */
#ifndef CHAT_ROUTER_SIGNING_H
#define CHAT_ROUTER_SIGNING_H

#include <stdbool.h>

#include "chat/message_id.h"
#include "chat/str.h"
#include "router/held.h"

struct signing;

struct signing *signing_create(void);          /* caller owns */
void signing_destroy(struct signing *signing); /* every sign has ended */

void signing_begin(struct signing *signing, struct str uid);

/* Once for each begin. What has come for the uid since. */
struct known signing_end(struct signing *signing, struct str uid);

/* A message to 'uid' came, from another node or not. */
void signing_note(struct signing *signing, struct str uid, struct message_id id, bool is_from_node);

#endif
