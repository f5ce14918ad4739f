/* pairs.h - settings that are right alone and wrong together. */
#ifndef CHAT_CONFIG_PAIRS_H
#define CHAT_CONFIG_PAIRS_H

#include <stdbool.h>

#include "chat/config.h"

/* Do the limits fit each other, so that what one lets in another does not keep from going on? If
 * not, each pair that does not fit is said on stderr, with both names. */
bool pairs_fit(const struct config *config);

#endif
