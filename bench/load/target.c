#include "load/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    READY_TIMEOUT_S = 20,
    STOP_TIMEOUT_S = 10,
    RETRY_MS = 20,
    LOOPBACK_NET = 127
};

/* ---- The URL */

static void resolve(struct server *server, const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int failure = getaddrinfo(host, port, &hints, &found);
    if (failure != 0) {
        die(EXIT_USAGE, "%s port %s: %s", host, port, gai_strerror(failure));
    }
    memcpy(&server->address, found->ai_addr, found->ai_addrlen);
    server->address_size = found->ai_addrlen;
    freeaddrinfo(found);
}

static void parse(struct server *server, const char *url)
{
    char authority[HOST_SIZE_MAX], host[HOST_SIZE_MAX];
    server->path[0] = '\0';
    if (sscanf(url, "ws://%255[^/]%1023s", authority, server->path) < 1) {
        die(EXIT_USAGE, "%s: the form of a URL is ws://host:port/path", url);
    }
    if (server->path[0] == '\0') {
        strcpy(server->path, "/");
    }
    snprintf(server->host, sizeof(server->host), "%s", authority);
    strcpy(host, authority);
    char *port = strrchr(host, ':');
    if (port != NULL && strchr(port, ']') == NULL) {
        *port++ = '\0';
    } else {
        port = NULL;
    }
    char *name = host;
    if (host[0] == '[') {
        name = host + 1;
        name[strcspn(name, "]")] = '\0';
    }
    resolve(server, name, port == NULL ? "80" : port);
}

void target_add(struct target *target, const char *url)
{
    if (target->n_servers == SERVERS_MAX) {
        die(EXIT_USAGE, "--url: at most %d", SERVERS_MAX);
    }
    parse(&target->servers[target->n_servers++], url);
}

const struct server *target_server(const struct target *target, uint32_t index)
{
    return &target->servers[index % target->n_servers];
}

/* ---- Its process */

static pid_t started;

static void stop_started(void)
{
    if (started == 0) {
        return;
    }
    kill(started, SIGTERM);
    for (int i = 0; i < STOP_TIMEOUT_S * 1000 / RETRY_MS; i++) {
        if (waitpid(started, NULL, WNOHANG) == started) {
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * (long)NS_PER_MS}, NULL);
    }
    kill(started, SIGKILL);
    waitpid(started, NULL, 0);
}

static uint16_t free_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(any);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&any, &size) != 0) {
        die(EXIT_UNMEASURED, "no free port: %s", strerror(errno));
    }
    close(fd);
    return ntohs(any.sin_port);
}

/* 'command' behind "exec ", with the port in it. */
static char *shell_words(const char *command, uint16_t port)
{
    static const char place[] = "{port}";
    struct bytes words = {0};
    bytes_append(&words, "exec ", 5);
    const char *found;
    while ((found = strstr(command, place)) != NULL) {
        char digits[8];
        int n_digits = snprintf(digits, sizeof(digits), "%u", port);
        bytes_append(&words, command, (size_t)(found - command));
        bytes_append(&words, digits, (size_t)n_digits);
        command = found + sizeof(place) - 1;
    }
    bytes_append(&words, command, strlen(command) + 1);
    return (char *)words.data;
}

static void wait_until_ready(const struct server *server)
{
    for (int i = 0; i < READY_TIMEOUT_S * 1000 / RETRY_MS; i++) {
        int fd = socket(server->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int failed = connect(fd, (const struct sockaddr *)&server->address, server->address_size);
        close(fd);
        if (failed == 0) {
            return;
        }
        if (waitpid(started, NULL, WNOHANG) == started) {
            started = 0;
            die(EXIT_UNMEASURED, "the server ended before it was ready");
        }
        nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * (long)NS_PER_MS}, NULL);
    }
    die(EXIT_UNMEASURED, "the server was not ready within %d s", READY_TIMEOUT_S);
}

int target_start(struct target *target, const char *command)
{
    if (strstr(command, "{port}") == NULL) {
        die(EXIT_USAGE, "--start: the command has no {port}");
    }
    char url[64];
    uint16_t port = free_port();
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", port);
    target_add(target, url);
    char *words = shell_words(command, port);
    atexit(stop_started);
    pid_t tool = getpid();
    started = fork();
    if (started < 0) {
        started = 0;
        die(EXIT_UNMEASURED, "fork: %s", strerror(errno));
    }
    if (started == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int nowhere = open("/dev/null", O_WRONLY); /* its standard error is ours */
        dup2(nowhere, STDOUT_FILENO);
        if (getppid() == tool) {
            execl("/bin/sh", "sh", "-c", words, (char *)NULL);
        }
        _exit(127);
    }
    free(words);
    wait_until_ready(target_server(target, 0));
    return started;
}

/* ---- Connecting */

static bool is_loopback(const struct server *server)
{
    const struct sockaddr_in *address = (const void *)&server->address;
    return address->sin_family == AF_INET && ntohl(address->sin_addr.s_addr) >> 24 == LOOPBACK_NET;
}

static void bind_source(int fd, uint32_t number)
{
    const int on = 1;
    uint32_t nth = number / SOURCE_SIZE;
    const struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + nth % 0xff),
    };
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&source, sizeof(source)) != 0) {
        die(EXIT_UNMEASURED, "no source address for connection %u: %s", number, strerror(errno));
    }
}

int target_connect(const struct server *server, uint32_t number)
{
    const int on = 1;
    int fd = socket(server->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        die(EXIT_UNMEASURED, "connection %u: %s", number, strerror(errno));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (is_loopback(server)) {
        bind_source(fd, number);
    }
    if (connect(fd, (const struct sockaddr *)&server->address, server->address_size) != 0 &&
        errno != EINPROGRESS) {
        die(EXIT_UNMEASURED, "connection %u: %s", number, strerror(errno));
    }
    return fd;
}
