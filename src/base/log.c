#include "chat/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chat/line_out.h"

enum {
    VALUE_SIZE_MAX = 200, /* of a value, before it is escaped */
    N_VALUES = 4,         /* log_value() results that live at once */
    ESCAPE_SIZE_MAX = 4,  /* \xNN */
    EVENTS_MAX = 64       /* whose lines are counted; there are fewer */
};

/* The lines of one event in one second. */
struct event_count {
    const char *event;
    time_t second;
    unsigned n;
};

/* What stands in place of what was cut off. */
static const char cut_mark[] = "...";

enum {
    /* A longer line is cut, and says so: that and the line's end have to find room, too. */
    LINE_SIZE_MAX = LINE_OUT_SIZE_MAX - (int)sizeof cut_mark
};

static enum log_level level_max = LOG_INFO;
static unsigned n_dropped; /* lines that found no room, and of which the log says nothing yet */
static struct event_count counts[EVENTS_MAX];
static size_t n_counts;

void log_set_level(enum log_level level)
{
    level_max = level;
}

bool log_enabled(enum log_level level)
{
    return level <= level_max;
}

/* Time, level and event. Returns the bytes written, all of which fit if 'event' is a word. */
static size_t write_start(char *line, size_t size, struct timespec now, enum log_level level,
                          const char *event)
{
    static const char *const names[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
    int n = snprintf(line + len, size - len, ".%03dZ %s %s", (int)(now.tv_nsec / 1000000),
                     names[level], event);
    return len + (size_t)n;
}

/* False: it found no room. */
__attribute__((format(printf, 4, 0))) static bool write_line(struct timespec now,
                                                             enum log_level level,
                                                             const char *event, const char *format,
                                                             va_list args)
{
    char line[LINE_SIZE_MAX + sizeof cut_mark];
    size_t len = write_start(line, LINE_SIZE_MAX, now, level, event);
    if (format != NULL) {
        line[len++] = ' ';
        len += (size_t)vsnprintf(line + len, LINE_SIZE_MAX - len, format, args);
    }
    if (len >= LINE_SIZE_MAX) {
        len = LINE_SIZE_MAX - 1;
        memcpy(line + len, cut_mark, sizeof cut_mark - 1);
        len += sizeof cut_mark - 1;
    }
    line[len++] = '\n';
    /* One call, so that lines of several processes don't mix. */
    return line_out_write(STDERR_FILENO, line, len);
}

__attribute__((format(printf, 4, 5))) static bool
write_now(struct timespec now, enum log_level level, const char *event, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool written = write_line(now, level, event, format, args);
    va_end(args);
    return written;
}

/* Lines come in order, so none is written before it is said how many are missing. */
static void tell_dropped(struct timespec now)
{
    if (n_dropped > 0 && write_now(now, LOG_WARN, "log_lines_dropped", "count=%u", n_dropped)) {
        n_dropped = 0;
    }
}

/* Begin to count anew in another second, and say how many were left out in the last one. */
static void count_from(struct event_count *count, struct timespec now)
{
    if (count->second == now.tv_sec) {
        return;
    }
    if (count->n > LOG_LINES_PER_S_MAX &&
        !write_now(now, LOG_WARN, "log_lines_left_out", "event=%s count=%u", count->event,
                   count->n - LOG_LINES_PER_S_MAX)) {
        n_dropped++;
    }
    count->second = now.tv_sec;
    count->n = 0;
}

/* NULL: there are too many events. */
static struct event_count *count_of(const char *event)
{
    for (size_t i = 0; i < n_counts; i++) {
        if (strcmp(counts[i].event, event) == 0) {
            return &counts[i];
        }
    }
    if (n_counts == EVENTS_MAX) {
        return NULL;
    }
    counts[n_counts] = (struct event_count){.event = event};
    return &counts[n_counts++];
}

static bool is_too_many(const char *event, struct timespec now)
{
    struct event_count *count = count_of(event);
    if (count == NULL) {
        return false;
    }
    count_from(count, now);
    return ++count->n > LOG_LINES_PER_S_MAX;
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    struct timespec now;
    if (!log_enabled(level)) {
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    if (level != LOG_DEBUG && is_too_many(event, now)) {
        return;
    }
    tell_dropped(now);
    va_list args;
    va_start(args, format);
    if (n_dropped > 0 || !write_line(now, level, event, format, args)) {
        n_dropped++;
    }
    va_end(args);
}

void log_tell_left_out(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    tell_dropped(now);
    for (size_t i = 0; i < n_counts; i++) {
        count_from(&counts[i], now);
    }
}

/* Writes what stands for 'byte' in a quoted value; returns the bytes written. */
static size_t escape(char *out, unsigned char byte)
{
    if (byte == '"' || byte == '\\') {
        out[0] = '\\';
        out[1] = (char)byte;
        return 2;
    }
    if (byte >= ' ' && byte <= '~') {
        out[0] = (char)byte;
        return 1;
    }
    static const char digits[] = "0123456789abcdef";
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[byte >> 4];
    out[3] = digits[byte & 0xF];
    return ESCAPE_SIZE_MAX;
}

const char *log_value(const char *text)
{
    static char values[N_VALUES][VALUE_SIZE_MAX * ESCAPE_SIZE_MAX + sizeof cut_mark + 2];
    static unsigned next;
    char *value = values[next++ % N_VALUES];
    size_t len = 0;
    value[len++] = '"';
    size_t i = 0;
    for (; i < VALUE_SIZE_MAX && text[i] != '\0'; i++) {
        len += escape(value + len, (unsigned char)text[i]);
    }
    if (text[i] != '\0') {
        memcpy(value + len, cut_mark, sizeof cut_mark - 1);
        len += sizeof cut_mark - 1;
    }
    value[len++] = '"';
    value[len] = '\0';
    return value;
}
