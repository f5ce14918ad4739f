/* features.h - what a server serves besides the core: SPEC 6 to 8. Each can be switched off. */
#ifndef CHAT_FEATURES_H
#define CHAT_FEATURES_H

#include <stdbool.h>

struct features {
    bool broadcast;
    bool history;
    bool nodes; /* of use with Redis only */
};

#endif
