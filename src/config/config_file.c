#include "config/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chat/mem.h"

/* NULL: a regular file. */
static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return NULL;
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a pipe";
    case S_IFSOCK:
        return "a socket";
    default:
        return "a device";
    }
}

static void say(const char *path, const char *what, const char *more)
{
    /* A URL that has gone astray may hold a password. */
    const char *shown = strstr(path, "://") == NULL ? path : "(not shown)";
    fprintf(stderr, "chatd: the configuration file %s: %s%s\n", shown, what, more);
}

/* Opening must not wait for a writer, and must not make a device do something. -1: it cannot be
 * opened, which has been said. */
static int open_regular(const char *path)
{
    struct stat about;
    int fd = -1;
    if (stat(path, &about) == 0) {
        const char *kind = kind_of(about.st_mode);
        if (kind != NULL) {
            say(path, kind, ", and it has to be a regular file");
            return -1;
        }
        fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    if (fd < 0) {
        say(path, strerror(errno), "");
    }
    return fd;
}

/* At most 'size' bytes. -1: it cannot be read. */
static ssize_t read_some(int fd, char *bytes, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, bytes + len, size - len);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)len;
}

/* The whole file, terminated. NULL: said on stderr. Caller frees. */
static char *read_whole(const char *path, size_t *len)
{
    int fd = open_regular(path);
    if (fd < 0) {
        return NULL;
    }
    char *bytes = mem_alloc(CONFIG_FILE_SIZE_MAX + 2);
    ssize_t n = read_some(fd, bytes, CONFIG_FILE_SIZE_MAX + 1);
    int error = errno;
    close(fd);
    if (n >= 0 && n <= CONFIG_FILE_SIZE_MAX) {
        *len = (size_t)n;
        return bytes;
    }
    if (n < 0) {
        say(path, strerror(error), "");
    } else {
        char what[64];
        snprintf(what, sizeof what, "larger than %d bytes", CONFIG_FILE_SIZE_MAX);
        say(path, what, "; is it the right one?");
    }
    free(bytes);
    return NULL;
}

/* What editors put before the text, and what no text of ours can begin with. */
static const char *encoding_problem(const char *bytes, size_t len)
{
    if (len >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        return "a byte order mark; save the file as UTF-8 without one";
    }
    if (len >= 2 && (memcmp(bytes, "\xFF\xFE", 2) == 0 || memcmp(bytes, "\xFE\xFF", 2) == 0)) {
        return "this is UTF-16; save the file as UTF-8 without a byte order mark";
    }
    return NULL;
}

/* Of a line of 'len' bytes without its LF; a CR before that is taken off. */
static bool check_line(const char *path, unsigned number, char *line, size_t len)
{
    if (len > 0 && line[len - 1] == '\r') {
        line[--len] = '\0';
    }
    if (len > CONFIG_LINE_SIZE_MAX) {
        fprintf(stderr, "chatd: %s:%u: longer than %d bytes\n", path, number, CONFIG_LINE_SIZE_MAX);
        return false;
    }
    if (strchr(line, '\r') != NULL) {
        fprintf(stderr,
                "chatd: %s:%u: a carriage return inside the line; lines end with LF or CR LF\n",
                path, number);
        return false;
    }
    return true;
}

/* False: the rest is not to be read. */
static bool is_text(const char *path, unsigned number, const char *line, size_t len)
{
    const char *problem = number == 1 ? encoding_problem(line, len) : NULL;
    if (problem == NULL && strlen(line) != len) {
        problem = "a NUL byte; is this a text file?";
    }
    if (problem != NULL) {
        fprintf(stderr, "chatd: %s:%u: %s\n", path, number, problem);
    }
    return problem == NULL;
}

bool config_file_read(const char *path, config_line_fn *line_fn, void *ctx)
{
    size_t size = 0;
    unsigned n_wrong = 0;
    char *bytes = read_whole(path, &size);
    if (bytes == NULL) {
        return false;
    }
    size_t at = 0;
    for (unsigned number = 1; at < size; number++) {
        if (n_wrong == CONFIG_FILE_PROBLEMS_MAX) {
            fprintf(stderr, "chatd: %s: the rest is not read, for too much is wrong\n", path);
            break;
        }
        char *line = bytes + at;
        char *end = memchr(line, '\n', size - at);
        size_t len = end != NULL ? (size_t)(end - line) : size - at;
        line[len] = '\0';
        at += len + 1;
        if (!is_text(path, number, line, len)) {
            n_wrong++;
            break;
        }
        n_wrong += !check_line(path, number, line, len) || !line_fn(ctx, number, line);
    }
    free(bytes);
    return n_wrong == 0;
}
