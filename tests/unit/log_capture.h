/* log_capture.h - what is said on stderr while a test looks. */
#ifndef CHAT_LOG_CAPTURE_H
#define CHAT_LOG_CAPTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LOG_CAPTURE_SIZE = 16384
};

struct log_capture {
    FILE *file;
    int kept;
    char text[LOG_CAPTURE_SIZE]; /* terminated, after log_capture_end() */
};

static inline void log_capture_begin(struct log_capture *capture)
{
    capture->file = tmpfile();
    if (capture->file == NULL) {
        abort();
    }
    fflush(stderr);
    capture->kept = dup(STDERR_FILENO);
    dup2(fileno(capture->file), STDERR_FILENO);
}

static inline void log_capture_end(struct log_capture *capture)
{
    fflush(stderr);
    dup2(capture->kept, STDERR_FILENO);
    close(capture->kept);
    rewind(capture->file);
    size_t len = fread(capture->text, 1, sizeof capture->text - 1, capture->file);
    capture->text[len] = '\0';
    fclose(capture->file);
}

#endif
