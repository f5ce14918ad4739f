/* log.h - structured lines on stderr: time, level, event, then name=value pairs. Never a message's
 * body, a token, or a password.
 *
 *   2026-01-31T12:00:00.000Z warn redis_lost address=127.0.0.1:6379 reason="connection refused" */
#ifndef CHAT_LOG_H
#define CHAT_LOG_H

#include <stdbool.h>

enum log_level {
    LOG_ERROR,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG
};

enum {
    LOG_LINES_PER_S_MAX = 20 /* of one event */
};

/* Lines above 'level' are dropped. Before the first call: LOG_INFO. */
void log_set_level(enum log_level level);

bool log_enabled(enum log_level level);

/* 'event' is a snake_case word, a literal. Then pairs: a name and a printf format with its
 * arguments are one string, such as log_line(LOG_INFO, "listening", "url=%s connections_max=%u",
 * url, n). Values that may hold spaces or come from outside go through log_value(). 'format'
 * NULL: no pairs.
 *
 * So that no peer can fill the disk, an event is written LOG_LINES_PER_S_MAX times in a second and
 * then counted: "warn log_lines_left_out event=slow_reader_closed count=980". LOG_DEBUG is not
 * limited.
 *
 * A line for which stderr has no room is dropped and counted (line_out.h says how nothing waits);
 * once there is room, and before any other line: "warn log_lines_dropped count=12". */
void log_line(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Write how many lines were dropped, and how many were left out in a second that is over. Call it
 * now and then. */
void log_tell_left_out(void);

/* 'text' as a quoted value on one line: control characters, quotes and non-ASCII bytes escaped,
 * cut after 200 bytes. Static storage, valid until the fourth next call. */
const char *log_value(const char *text);

#endif
