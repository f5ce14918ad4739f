/* store_contract.h - what every mapping store has to do, as one suite: mapping_store.h, tested. */
#ifndef CHAT_STORE_CONTRACT_H
#define CHAT_STORE_CONTRACT_H

#include "chat/loop.h"
#include "chat/mapping_store.h"

/* One row of the suite: a store, and how to let its world go on. */
struct store_maker {
    const char *name;
    void (*start)(void); /* before each test; may be NULL */
    struct loop *(*make_loop)(void);
    struct mapping_store *(*make_store)(struct loop *loop);
    /* Let the loop run until '*n' is at least 'wanted'; fail the test if that takes too long. */
    void (*run_until)(struct loop *loop, const int *n, int wanted);
    void (*stop)(void); /* after each test; may be NULL */
};

/* Returns the number of tests that failed. */
int run_store_contract(const struct store_maker *maker);

#endif
