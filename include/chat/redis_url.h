/* redis_url.h - where a Redis is and how to log in: the value of --redis.
 *
 *   redis://[[user]:password@]host[:port][/database]        port 6379, database 0 if not given
 *   redis+unix://[[user]:password@]/path/to/socket[?db=database]     also unix://
 *
 * User and password may be percent-encoded. An IPv6 host stands in brackets. */
#ifndef CHAT_REDIS_URL_H
#define CHAT_REDIS_URL_H

#include "chat/err.h"
#include "chat/limits.h"
#include "chat/str.h"

struct redis_url {
    char host[256];     /* empty for a Unix socket */
    char port[6];       /* decimal */
    char path[108];     /* of the Unix socket, else empty */
    char user[128];     /* empty: none */
    char password[512]; /* empty: none. Never printed */
    int database;
};

/* ERR_OK or ERR_INVALID; then 'out' is untouched and '*why' says what is wrong with it in static
 * English that quotes nothing of the URL, for it may hold a password. */
MUST_CHECK enum err redis_url_parse(struct str url, struct redis_url *out, const char **why);

/* The URL without user and password, for logs. 'out' has room for REDIS_URL_SIZE_MAX bytes;
 * terminated. */
void redis_url_print(const struct redis_url *url, char *out);

#endif
