/* inbox_contract.h - what every store with the feature history has to do, as one suite: inbox.h,
 * and mapping_store.h where it speaks of history. */
#ifndef CHAT_INBOX_CONTRACT_H
#define CHAT_INBOX_CONTRACT_H

#include <stdint.h>

#include "chat/inbox.h"
#include "chat/loop.h"

/* One row of the suite: a store, and how to let its world go on. */
struct inbox_maker {
    const char *name;
    void (*start)(void); /* before each test; may be NULL */
    struct loop *(*make_loop)(void);
    struct mapping_store *(*make_store)(struct loop *loop, const struct inbox_limits *limits);
    /* Let the loop run until '*n' is at least 'wanted'; fail the test if that takes too long. */
    void (*run_until)(struct loop *loop, const int *n, int wanted);
    /* Let this time go by, also for the clock that messages are dated by. */
    void (*let_pass)(struct loop *loop, uint64_t ms);
    void (*stop)(void); /* after each test; may be NULL */
};

/* Returns the number of tests that failed. */
int run_inbox_contract(const struct inbox_maker *maker);

#endif
