/* signals.h - what this process does at each signal. Those that mean the end are handed to the
 * loop; of those that mean something to other daemons the log says that nothing happens; the rest
 * whose default is to end the process are ignored. */
#ifndef CHAT_SIGNALS_H
#define CHAT_SIGNALS_H

#include "chat/loop.h"

struct signals;

/* Ignore what must not end this process, and let through what whoever started it had blocked.
 * First thing in main(); a handler that is there already, such as a profiler's, stays. */
void signals_prepare(void);

typedef void signals_end_fn(void *ctx, int number);

/* Call end(ctx, number) from the loop at each SIGTERM, SIGINT, SIGQUIT, SIGXCPU and SIGPWR. Caller
 * owns. NULL: the system refuses, which the log says. */
struct signals *signals_watch(struct loop *loop, signals_end_fn *end, void *ctx);
void signals_destroy(struct signals *signals); /* NULL is allowed */

#endif
