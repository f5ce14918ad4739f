/* redis_lookup.h - the addresses of a host's name, from a resolver that nobody waits for.
 *
 * getaddrinfo() has no time limit and cannot be cancelled, so each look-up has a thread of its
 * own that the end of the loop, or of the process, leaves alone. libuv's threads would be waited
 * for. */
#ifndef CHAT_REDIS_LOOKUP_H
#define CHAT_REDIS_LOOKUP_H

#include <netdb.h>

#include "chat/loop.h"

struct redis_lookup;

/* 'addresses' are lent until the callback returns; NULL: there are none, for the reason 'why'. */
typedef void redis_lookup_fn(void *ctx, const struct addrinfo *addresses, const char *why);

/* Call done(ctx, ...) once from a later turn; then the look-up is gone. Copies 'host' and 'port'.
 * Caller owns it until then. NULL: there is no thread to be had, for the reason in errno. */
struct redis_lookup *redis_lookup_start(struct loop *loop, const char *host, const char *port,
                                        redis_lookup_fn *done, void *ctx);

/* Nobody is interested any more: 'done' is not called. Does not wait. NULL is allowed. */
void redis_lookup_abandon(struct redis_lookup *lookup);

#endif
