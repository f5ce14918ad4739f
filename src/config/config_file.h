/* config_file.h - the file of settings as lines of text. What it holds is not its business. */
#ifndef CHAT_CONFIG_FILE_H
#define CHAT_CONFIG_FILE_H

#include <stdbool.h>

enum {
    CONFIG_FILE_SIZE_MAX = 1024 * 1024, /* bytes */
    CONFIG_LINE_SIZE_MAX = 8192,        /* bytes of a line, its end excluded */
    CONFIG_FILE_PROBLEMS_MAX = 20       /* lines that are wrong, before the rest is not read */
};

/* A line, terminated, without its end; it may be changed. False: it is wrong, which the callee has
 * said on stderr. */
typedef bool config_line_fn(void *ctx, unsigned number, char *line);

/* Call line(ctx, ...) for each line of the regular file 'path'. What is wrong with the file or with
 * the form of a line is said on stderr. False: something was wrong. */
bool config_file_read(const char *path, config_line_fn *line, void *ctx);

#endif
