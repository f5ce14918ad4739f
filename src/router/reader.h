/* reader.h - inside the router, for the feature history: how far a device has got the messages of
 * its uid. SPEC 7.
 *
 * A device has a cursor: the last message that it was given, or behind which it began. A message
 * that comes live is pushed if the one before it is the cursor; otherwise the gap is read from the
 * inbox, page by page, as fast as the peer reads. So nothing is missing, twice or out of order,
 * whatever was lost on the way of live messages. */
#ifndef CHAT_ROUTER_READER_H
#define CHAT_ROUTER_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/message_id.h"
#include "chat/request.h"

struct session;

enum {
    READER_PINGS_MAX = 8 /* a pong that answers one before these confirms nothing */
};

enum reader_state {
    READER_LIVE,    /* it has got all that is known of */
    READER_READING, /* a page was asked for */
    READER_BLOCKED  /* the peer has to read first: router_drained() */
};

/* Owned by its session. */
struct reader {
    enum reader_state state;
    bool rang;                /* READING: something came that the page may not have */
    uint64_t generation;      /* a page that was asked for by an earlier one is dropped */
    struct message_id cursor; /* the last message that it was given, or behind which it began */
    bool gap_told;            /* the sign said that something is missing behind the cursor */
    struct message_id pings[READER_PINGS_MAX]; /* their payloads, oldest first: not answered yet */
    size_t n_pings;
    size_t n_unpinged;  /* messages given since the last ping */
    uint64_t ping_tick; /* when that was sent */
    bool is_to_ping;    /* is in history's list of those that have something to confirm */
};

/* Begin anew behind 'after': nothing that was asked before counts. Reads. 'gap_told': the sign's
 * reply says that something behind it is missing. */
void reader_begin(struct session *session, struct message_id after, bool gap_told);

/* A message came live, with its body or without. True: it is this device's turn to be given it,
 * which the caller does (history_given()). False: it has it, or reads it. */
bool reader_takes(struct session *session, const struct delivery *message,
                  struct message_id previous);

/* The uid's last message is 'newest', or was a moment ago: another node said so, or this one. */
void reader_newest_known(struct session *session, struct message_id newest);

/* The peer has read what waited for it. */
void reader_drained(struct session *session);

#endif
