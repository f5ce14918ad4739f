#include "redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    START_MS = 20000,
    STEP_MS = 5,
    PORT_MIN = 12000,
    N_PORTS = 20000
};

struct redis_server {
    char directory[64];
    char socket[96];
    char password[64];
    uint16_t port;
    pid_t pid; /* 0: it does not run */
};

/* Below those that the kernel gives to connections: of these another test could have any in the
 * moment in which the server starts, or starts again. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int failed;
    do {
        uint16_t chance = 0;
        assert_int_equal(getrandom(&chance, sizeof chance, 0), sizeof chance);
        address.sin_port = htons(PORT_MIN + chance % N_PORTS);
        failed = bind(fd, (struct sockaddr *)&address, sizeof address);
        assert_true(failed == 0 || errno == EADDRINUSE);
    } while (failed != 0);
    close(fd);
    return ntohs(address.sin_port);
}

static _Noreturn void become_redis(const struct redis_server *server)
{
    char port[16];
    snprintf(port, sizeof port, "%u", (unsigned)server->port);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not survive a test that crashes */
    int quiet = open("/dev/null", O_WRONLY);
    dup2(quiet, STDOUT_FILENO);
    execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--unixsocket",
           server->socket, "--dir", server->directory, "--save", "", "--appendonly", "no",
           "--requirepass", server->password, (char *)NULL);
    _exit(127);
}

static int can_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connected;
}

void redis_server_restart(struct redis_server *server)
{
    assert_int_equal(server->pid, 0);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        become_redis(server);
    }
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    for (int waited_ms = 0; !can_connect(server->port); waited_ms += STEP_MS) {
        assert_true(waited_ms < START_MS);
        assert_int_equal(waitpid(server->pid, NULL, WNOHANG), 0); /* it has not ended by itself */
        nanosleep(&step, NULL);
    }
}

struct redis_server *redis_server_start(const char *password)
{
    struct redis_server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    snprintf(server->directory, sizeof server->directory, "/tmp/chat-test-redis-XXXXXX");
    assert_non_null(mkdtemp(server->directory));
    snprintf(server->socket, sizeof server->socket, "%s/socket", server->directory);
    snprintf(server->password, sizeof server->password, "%s", password != NULL ? password : "");
    server->port = free_port();
    redis_server_restart(server);
    return server;
}

uint16_t redis_server_port(const struct redis_server *server)
{
    return server->port;
}

const char *redis_server_socket(const struct redis_server *server)
{
    return server->socket;
}

void redis_server_kill(struct redis_server *server)
{
    assert_true(server->pid > 0);
    kill(server->pid, SIGKILL);
    while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    server->pid = 0;
}

void redis_server_pause(struct redis_server *server)
{
    kill(server->pid, SIGSTOP);
}

void redis_server_resume(struct redis_server *server)
{
    kill(server->pid, SIGCONT);
}

void redis_server_stop(struct redis_server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->pid > 0) {
        redis_server_kill(server);
    }
    unlink(server->socket);
    rmdir(server->directory);
    free(server);
}
