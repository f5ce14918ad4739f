/* request.h - the protocol's vocabulary: what clients ask and what the server says, as C
 * structs.
 *
 * SPEC 4, 6 and 7. No bytes are read or written here (parser.h does that), and nothing is decided
 * (router.h). */
#ifndef CHAT_REQUEST_H
#define CHAT_REQUEST_H

#include <stdbool.h>

#include "chat/limits.h"
#include "chat/message_id.h"
#include "chat/str.h"

enum request_type {
    REQUEST_SIGN,
    REQUEST_MSG,
    REQUEST_BROADCAST, /* feature broadcast */
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

    /* For the feature history: */
    bool has_since;
    bool since_valid; /* false only if there is a since and it is not an id: [HIST-9] */
    struct message_id since;
    struct str cid_value;           /* the cid, escapes decoded: [HIST-18]; len 0: none */
    char cid_decoded[CID_SIZE_MAX]; /* what 'cid_value' points to if it was written with escapes */
};

/* The replies that exist, and no others: SPEC 4.1, 6 and 7 have the same tables. */
enum reply_kind {
    REPLY_SIGNED, /* carries a token */
    REPLY_SENT,
    REPLY_NOT_SIGNED,
    REPLY_INVALID_CID,
    REPLY_INVALID_UID,
    REPLY_INVALID_TO,
    REPLY_INVALID_SINCE,
    REPLY_MISSING_BODY,
    REPLY_DENIED,
    REPLY_FULL,
    REPLY_UNAVAILABLE,
    REPLY_ILLEGAL, /* never carries a cid; the connection is closed behind it */
    N_REPLY_KINDS
};

struct reply {
    enum reply_kind kind;
    struct str cid;       /* JSON text, quotes included; len 0: none */
    struct str token;     /* REPLY_SIGNED only */
    struct message_id id; /* REPLY_SENT of a msg with history: [HIST-5]; else none */
    bool is_dup;          /* the same: [HIST-18] */
    bool has_gap;         /* REPLY_SIGNED with history: [HIST-10] */
};

struct delivery {
    struct str from;      /* a uid, not yet JSON */
    struct str body;      /* JSON text */
    struct message_id id; /* with history: [HIST-3]; else none */
    bool is_broadcast;    /* [CAST-2] */
};

#endif
