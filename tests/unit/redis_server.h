/* redis_server.h - a private redis-server as a test fixture: on a Unix socket and a free TCP
 * port of 127.0.0.1, with its files in a directory of its own under /tmp, gone without a trace
 * afterwards. */
#ifndef CHAT_REDIS_SERVER_H
#define CHAT_REDIS_SERVER_H

#include <stdint.h>

struct redis_server;

/* Starts it and waits until it answers. 'password' NULL: none. Fails the test if it cannot. */
struct redis_server *redis_server_start(const char *password);

uint16_t redis_server_port(const struct redis_server *server);
const char *redis_server_socket(const struct redis_server *server);

/* SIGKILL, without any data saved; redis_server_restart() is on the same port again, and empty. */
void redis_server_kill(struct redis_server *server);
void redis_server_restart(struct redis_server *server);

void redis_server_pause(
    struct redis_server *server); /* SIGSTOP: connections stay, nothing answers */
void redis_server_resume(struct redis_server *server); /* SIGCONT */

void redis_server_stop(struct redis_server *server); /* NULL is allowed */

#endif
