/* redis_refusal.h - why Redis refuses what is asked, in words for a log and for readiness. */
#ifndef CHAT_MAPPING_STORE_REDIS_REFUSAL_H
#define CHAT_MAPPING_STORE_REDIS_REFUSAL_H

#include <stdbool.h>

/* One clause without a full stop, a literal, for the text of an error reply; NULL if that says
 * nothing of the next command: a wrong type, for example. */
const char *redis_refusal(const char *error);

/* Does it concern some commands or keys only, so that another one's success says nothing of it? */
bool redis_refusal_is_partial(const char *refusal);

#endif
