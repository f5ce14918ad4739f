/* request.h - the protocol's vocabulary: what clients ask and what the server says, as C
 * structs.
 *
 * SPEC 4. No bytes are read or written here (parser.h does that), and nothing is decided
 * (router.h). */
#ifndef CHAT_REQUEST_H
#define CHAT_REQUEST_H

#include <stdbool.h>

#include "chat/limits.h"
#include "chat/str.h"

enum request_type {
    REQUEST_SIGN,
    REQUEST_MSG,
    N_REQUEST_TYPES
};

/* A legal request. Every 'struct str' in it borrows from the text it was parsed from or from the
 * request itself: do not copy the struct, and drop it before the text. */
struct request {
    enum request_type type;
    bool cid_valid; /* false only if there is a cid and it is not one: [CID-3] */
    struct str
        cid; /* the JSON text of the cid, quotes included, as the client wrote it; len 0: none */
    bool uid_valid;             /* sign: uid, msg: to. Present and a uid: [UID-1], [UID-2] */
    struct str uid;             /* decoded, 1 to UID_SIZE_MAX bytes; only if uid_valid */
    struct str body;            /* the JSON text of the body as the client wrote it; len 0: none */
    char decoded[UID_SIZE_MAX]; /* what 'uid' points to if it was written with escapes */
};

/* The replies that exist, and no others: SPEC 4.1 has the same table. */
enum reply_kind {
    REPLY_SIGNED, /* carries a token */
    REPLY_SENT,
    REPLY_NOT_SIGNED,
    REPLY_INVALID_CID,
    REPLY_INVALID_UID,
    REPLY_INVALID_TO,
    REPLY_MISSING_BODY,
    REPLY_UNAVAILABLE,
    REPLY_ILLEGAL, /* never carries a cid; the connection is closed behind it */
    N_REPLY_KINDS
};

struct reply {
    enum reply_kind kind;
    struct str cid;   /* JSON text, quotes included; len 0: none */
    struct str token; /* REPLY_SIGNED only */
};

struct delivery {
    struct str from; /* a uid, not yet JSON */
    struct str body; /* JSON text */
};

#endif
