#include "chat/line_out.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum way {
    WAY_AS_IT_IS, /* it may wait: at first, and for regular files */
    WAY_OWN,      /* through a description of our own, which does not block */
    WAY_SOCKET,
    WAY_POLLED
};

struct out {
    enum way way;
    int fd; /* what is written to */
    char rest[LINE_OUT_SIZE_MAX];
    size_t rest_len; /* of a line that was written in part */
};

static struct out outs[] = {{.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}};

static struct out *out_of(int fd)
{
    assert(fd == STDOUT_FILENO || fd == STDERR_FILENO);
    return &outs[fd == STDERR_FILENO];
}

static void open_anew(struct out *out)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", out->fd);
    int fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    out->way = fd >= 0 ? WAY_OWN : WAY_POLLED;
    out->fd = fd >= 0 ? fd : out->fd;
}

void line_out_never_wait(void)
{
    for (size_t i = 0; i < sizeof outs / sizeof outs[0]; i++) {
        struct out *out = &outs[i];
        struct stat about;
        if (out->way != WAY_AS_IT_IS || fstat(out->fd, &about) != 0 || S_ISREG(about.st_mode)) {
            continue;
        }
        if (S_ISSOCK(about.st_mode)) {
            out->way = WAY_SOCKET;
        } else {
            open_anew(out);
        }
    }
}

/* Returns the bytes that were taken, or -1. */
static ssize_t write_once(const struct out *out, const char *bytes, size_t len)
{
    if (out->way == WAY_SOCKET) {
        return send(out->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    struct pollfd ready = {.fd = out->fd, .events = POLLOUT};
    if (out->way == WAY_POLLED && poll(&ready, 1, 0) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(out->fd, bytes, len);
}

static size_t write_some(const struct out *out, const char *bytes, size_t len)
{
    ssize_t n;
    do {
        n = write_once(out, bytes, len);
    } while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

/* False: some of it is still to be written. */
static bool write_rest(struct out *out)
{
    size_t n = out->rest_len > 0 ? write_some(out, out->rest, out->rest_len) : 0;
    out->rest_len -= n;
    memmove(out->rest, out->rest + n, out->rest_len);
    return out->rest_len == 0;
}

bool line_out_write(int fd, const char *line, size_t len)
{
    struct out *out = out_of(fd);
    assert(len > 0 && len <= LINE_OUT_SIZE_MAX);
    if (!write_rest(out)) {
        return false;
    }
    size_t n = write_some(out, line, len);
    if (n == 0) {
        return false;
    }
    out->rest_len = len - n;
    memcpy(out->rest, line + n, out->rest_len);
    return true;
}

void line_out_die(const char *format, ...)
{
    char line[LINE_OUT_SIZE_MAX] = "chatd: ";
    size_t len = strlen(line);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + len, sizeof line - len, format, args);
    va_end(args);
    len += n < 0 ? 0 : (size_t)n;
    len = len < sizeof line - 1 ? len : sizeof line - 1;
    line[len++] = '\n';
    (void)line_out_write(STDERR_FILENO, line, len);
    abort();
}
