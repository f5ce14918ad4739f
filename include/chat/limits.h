/* limits.h - the maximum of everything that has one and is not a setting (config.h has those).
 * Sizes are in bytes. */
#ifndef CHAT_LIMITS_H
#define CHAT_LIMITS_H

enum {
    UID_SIZE_MAX = 128, /* [UID-1] after escapes are decoded */
    CID_SIZE_MAX = 64,  /* [CID-1] after escapes are decoded */
    NESTING_MAX = 512,  /* [JSON-7] arrays and objects in each other, the request itself included */
    TOKEN_SIZE = 32,    /* [SIGN-2] hexadecimal digits */
    FD_SIZE_MAX = 64,   /* [STORE-4] a connection's name in Redis */
    NODE_NAME_SIZE_MAX =
        24,               /* leaves room in an fd for 64 random bits and the connection's number */
    DELIVERY_ROOM = 1024, /* what a delivery and its frame add to the message that was sent: mostly
                             'from', of which each byte may be an escape */
    STORED_ROOM = 16384,  /* what memory for history needs besides a message's body */
    REDIS_URL_SIZE_MAX = 1024, /* --redis */
    NODES_MAX = 1024, /* on one Redis, with the dead that are still listed; more is no silence: a
                       * broadcast is unavailable */
    BROADCASTERS_SIZE_MAX = 4096, /* --broadcasters */
    BROADCASTERS_MAX = 256,       /* uids in it */
    REQUESTS_IN_FLIGHT_MAX =
        128, /* of one connection: no more of it is read until half are answered */
    REQUESTS_IN_FLIGHT_SIZE_MAX = 262144 /* the same for what they hold in memory */
};

#endif
