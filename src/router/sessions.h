/* sessions.h - who is here: a session for each open connection, with its identity and the queue
 * of its requests in flight. SPEC 4.
 *
 * It keeps the books and decides nothing: router.c does. A session outlives its connection until
 * the last request that was received before the close has taken effect ([ORDER-4]). */
#ifndef CHAT_ROUTER_SESSIONS_H
#define CHAT_ROUTER_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/conn_id.h"
#include "chat/limits.h"
#include "chat/request.h"
#include "chat/str.h"

struct router;
struct sessions;

enum slot_state {
    SLOT_QUEUED,   /* not examined yet: what stands before it in the queue decides */
    SLOT_ASKED,    /* the store was asked; its answer is the request's effect */
    SLOT_ANSWERED, /* it has answered, or need not be asked: 'reply' is said in its turn */
    SLOT_CLOSING   /* no request: in its turn the connection is closed with 'close_code' */
};

/* A request in flight, and a copy of what it needs to keep. Owned by the queue of its session,
 * which is not freed while the queue has a slot. */
struct slot {
    struct slot *next;
    struct session *session;
    size_t size; /* bytes of memory */
    enum slot_state state;
    struct reply reply; /* its cid is the request's, and it has a token only while it is said */
    uint16_t close_code;
    struct message_id after; /* of a sign with history: where the device begins, */
    bool is_same_uid;        /* and whether it signs again as who it is */
    struct request request;  /* 'uid' is in its own 'decoded', 'cid' and 'body' are in 'text' */
    char text[];
};

/* Owned by sessions; one for each connection, open or with requests in flight. */
struct session {
    conn_id conn;
    struct sessions *all;
    struct router *router; /* borrowed: destroys its sessions before itself */
    struct slot *first;    /* the queue, in the order received */
    struct slot *last;
    struct slot *queued; /* first of the queue's rest that was not examined yet; NULL: none */
    size_t n_slots;
    size_t slots_size; /* bytes of memory in the queue */
    bool is_going_on;  /* router_go_on() is at work */
    bool closed;       /* the connection is gone: it gets nothing any more */
    bool ended;        /* it was illegal or broken: what it sends from now on is not processed */
    bool braked;       /* the sink was asked to receive no more */
    bool given_up;     /* closed, and the store was unavailable: it is not asked any more */
    struct reader *reader; /* history.c: how far it has got its messages; NULL without history */
    size_t uid_len;        /* 0: not signed yet */
    char uid[UID_SIZE_MAX];
};

struct sessions *sessions_create(void);           /* caller owns */
void sessions_destroy(struct sessions *sessions); /* with every session and slot. NULL is allowed */

/* A new session, open and not signed. 'conn' has none yet. */
struct session *sessions_add(struct sessions *sessions, struct router *router, conn_id conn);
struct session *sessions_get(const struct sessions *sessions, conn_id conn); /* NULL: none */

/* Free a session that is closed and whose queue is empty. */
void sessions_remove(struct sessions *sessions, struct session *session);

/* From now on the session is signed as 'uid' and as nobody else. Copies 'uid', of 1 to
 * UID_SIZE_MAX bytes. */
void sessions_sign(struct sessions *sessions, struct session *session, struct str uid);

/* The connection of the session is gone. Not twice. */
void sessions_close(struct sessions *sessions, struct session *session);

/* Bytes of memory in the queues of all. */
size_t sessions_slots_size(const struct sessions *sessions);

/* Sessions that are open and signed. */
size_t sessions_n_signed(const struct sessions *sessions);

bool session_is_signed(const struct session *session);
struct str session_uid(const struct session *session); /* borrows; len 0: not signed */

/* Every session once, in no order: start with *cursor 0; NULL ends. Nothing may be added or removed
 * meanwhile. */
struct session *sessions_next(const struct sessions *sessions, size_t *cursor);

/* Is the session a device of 'uid': open, and signed as it byte for byte ([UID-4])? */
bool session_is_device(const struct session *session, struct str uid);

/* A queued slot that holds a copy of 'request', or of nothing if that is NULL. Caller owns. */
struct slot *slot_create(const struct request *request);

/* Take 'slot' to the end of the queue. */
void session_push(struct session *session, struct slot *slot);

/* Free the first slot, which was examined. */
void session_pop(struct session *session);

/* Are as many requests in flight as limits.h allows? At most half as many? */
bool session_is_full(const struct session *session);
bool session_is_half_empty(const struct session *session);

#endif
