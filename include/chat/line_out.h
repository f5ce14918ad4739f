/* line_out.h - whole lines to stdout and stderr, without ever waiting for whoever reads them.
 *
 * Both belong to whoever started this process, often together with others, so their flags stay
 * as they are: O_NONBLOCK on a terminal would be on the shell's terminal, too. Instead
 *
 * - a pipe or a character device is opened anew through /proc/self/fd, without blocking;
 * - a socket is written with MSG_DONTWAIT;
 * - a regular file is written as it is: the kernel takes what the disk has room for;
 * - what cannot be opened anew (no /proc, no permission) is polled before each line. A pipe that
 *   is ready has room for PIPE_BUF bytes, so only another writer or a slow terminal could still
 *   make such a line wait. */
#ifndef CHAT_LINE_OUT_H
#define CHAT_LINE_OUT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    LINE_OUT_SIZE_MAX = PIPE_BUF /* of a line: a pipe takes it whole or not at all */
};

/* From now on no line waits. Call it once, before the loop runs; until then lines may wait, as
 * those of a command do. */
void line_out_never_wait(void);

/* Write a line of at most LINE_OUT_SIZE_MAX bytes, its end included, to STDOUT_FILENO or
 * STDERR_FILENO. False: nothing of it was or will be written, for there is no room, no reader or
 * no space. If there was room for a part, the rest follows before any other line. */
bool line_out_write(int fd, const char *line, size_t len);

/* Say on stderr, without waiting, why this process cannot go on, and abort. One line, "chatd: "
 * and its end excluded. */
_Noreturn void line_out_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
