/* inbox.h - port: the messages of a uid that the feature history retains. SPEC 7.
 *
 * A part of a mapping store, there only if that was created with history on. A message comes in
 * by mapping_store.h's send(). Reading never waits for a send, nor the other way round: they
 * answer in any order among each other. */
#ifndef CHAT_INBOX_H
#define CHAT_INBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "chat/mapping_store.h"
#include "chat/request.h"

/* [HIST-15] What an inbox retains; config.h has defaults and ranges. */
struct inbox_limits {
    uint32_t messages_max; /* of each uid; as many may be unconfirmed ([HIST-16]) */
    uint64_t retention_ms; /* older ones are dropped */
    size_t memory_max;     /* bytes of all inboxes, memory store only: above it ERR_UNAVAILABLE */
    uint32_t redis_percent_max; /* of what Redis may use: the same, with Redis; 0: no limit */
};

enum {
    INBOX_PAGE_MESSAGES_MAX = 64, /* of one read */
    INBOX_PAGE_SIZE_MAX = 131072, /* bytes of its bodies, unless one alone has more */
    INBOX_DUP_MS = 300000         /* [HIST-18] for so long a cid is remembered */
};

/* What one read found. Lent until the callback returns. */
struct inbox_page {
    enum err err;            /* ERR_OK or ERR_UNAVAILABLE; then the rest is not set */
    struct message_id after; /* where it began: as asked, or what is confirmed */
    struct message_id
        newest;   /* the uid's last message, retained or not; none: there never was one */
    bool dropped; /* a message behind 'after' was, by the limits or by somebody's hand */
    bool gap; /* [HIST-10] it was, or may have been: 'after' is older than all the store knows */
    const struct delivery *messages; /* behind 'after', oldest first, without gaps among them */
    size_t n;                        /* 0: there is none behind 'after' */
};

typedef void inbox_read_fn(void *ctx, const struct inbox_page *page);

struct inbox_ops {
    /* Read at most 'n_max' messages of 'uid' behind 'after', or, if that is NULL, behind what is
     * confirmed; with 0 only what the page says of the inbox. Copies its arguments. 'read' fires
     * exactly once, from a later turn; at destroy() inside that, with ERR_UNAVAILABLE. */
    void (*read)(struct mapping_store *store, struct str uid, const struct message_id *after,
                 size_t n_max, inbox_read_fn *read, void *ctx);

    /* [HIST-13] Every message of 'uid' up to 'id' is confirmed. Of no effect if it is already. A
     * send or read that is called later sees it. May be lost with the link to the store. */
    void (*confirm)(struct mapping_store *store, struct str uid, struct message_id id);
};

/* For callers, as those in mapping_store.h. */

static inline void mapping_store_read(struct mapping_store *store, struct str uid,
                                      const struct message_id *after, size_t n_max,
                                      inbox_read_fn *read, void *ctx)
{
    mapping_store_enter(store);
    store->inbox->read(store, uid, after, n_max, read, ctx);
    mapping_store_leave(store);
}

static inline void mapping_store_confirm(struct mapping_store *store, struct str uid,
                                         struct message_id id)
{
    mapping_store_enter(store);
    store->inbox->confirm(store, uid, id);
    mapping_store_leave(store);
}

#endif
