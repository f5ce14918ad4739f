/* fake_store.h - a mapping store that answers when it is told, writes down what it is asked, and
 * fails the test when its caller breaks the rules of mapping_store.h.
 *
 *   bind 1 alice     unbind 1
 *   send bob, send bob cid=m1, broadcast alice
 *   read 64 of alice after 17-0, read 0 of alice unconfirmed
 *   confirm alice 17-0 */
#ifndef CHAT_TEST_FAKE_STORE_H
#define CHAT_TEST_FAKE_STORE_H

#include <stdbool.h>

#include "chat/inbox.h"
#include "chat/limits.h"
#include "chat/mapping_store.h"
#include "chat/nodes.h"
#include "fakes/transcript.h"

enum {
    FAKE_DEVICES_MAX = 128
};

struct fake_device {
    conn_id conn;
    char uid[UID_SIZE_MAX + 1];
};

struct fake_store {
    struct mapping_store base; /* first, so that a struct mapping_store * is one of us */
    struct transcript asked;
    struct fake_call *first;                      /* calls not answered yet, oldest first */
    struct fake_read *first_read;                 /* the same of the inbox */
    struct fake_device devices[FAKE_DEVICES_MAX]; /* in the order in which they were bound */
    size_t n_devices;
    unsigned fail_on; /* the n-th answer from now is ERR_UNAVAILABLE; 0: none */
    bool is_destroying;
    bool fails_at_once; /* fake_store_turn() */
    bool fails_inside;  /* against the rules, inside the call */
    const char *trouble;
    const struct node_events *events; /* listen() */
    void *events_ctx;
};

void fake_store_init(struct fake_store *store);
void fake_store_fini(struct fake_store *store); /* frees calls without an answer */

/* Switch the feature history on. */
void fake_store_open_inbox(struct fake_store *store);

size_t fake_store_n_pending(const struct fake_store *store); /* reads are not counted */

/* Answer the oldest call, or all there are and will be, as a working store does. */
void fake_store_answer(struct fake_store *store);
void fake_store_answer_all(struct fake_store *store);

/* Answer the oldest call with ERR_UNAVAILABLE. */
void fake_store_answer_unavailable(struct fake_store *store);

/* Answer the oldest send, though a bind may be older, with these devices. */
void fake_store_answer_send(struct fake_store *store, const conn_id *devices, size_t n);

/* Answer the oldest send with 'sent', and if that is ERR_OK with the devices of a working store. */
void fake_store_answer_sent(struct fake_store *store, struct sent sent);

/* Answer the oldest read. */
void fake_store_answer_read(struct fake_store *store, const struct inbox_page *page);

/* Answer all reads that there are and will be with ERR_UNAVAILABLE. */
void fake_store_answer_reads_unavailable(struct fake_store *store);

/* Answer the bind of 'device', though other calls may be older. */
void fake_store_answer_bind(struct fake_store *store, conn_id device);

/* The n-th answer from now says ERR_UNAVAILABLE; 0: none does. */
void fake_store_fail_on(struct fake_store *store, unsigned n);

/* The call that the router was in has returned. If 'fails_at_once', what was asked is answered
 * ERR_UNAVAILABLE now, and what is asked meanwhile as well. */
void fake_store_turn(struct fake_store *store);

/* Do what destroy() does with calls that are pending: answer them inside the call. */
void fake_store_answer_as_destroyed(struct fake_store *store);

#endif
