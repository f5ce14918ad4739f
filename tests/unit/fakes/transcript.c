#include "fakes/transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chat/mem.h"

void transcript_add(struct transcript *transcript, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    assert_in_range(len, 0, sizeof line - 1);
    size_t new_len = transcript->len + (size_t)len + 1;
    transcript->text = mem_realloc(transcript->text, new_len + 1);
    memcpy(transcript->text + transcript->len, line, (size_t)len);
    memcpy(transcript->text + new_len - 1, "\n", 2);
    transcript->len = new_len;
}

void transcript_expect(struct transcript *transcript, const char *want, const char *file, int line)
{
    const char *have = transcript->text == NULL ? "" : transcript->text;
    if (strcmp(have, want) != 0) {
        print_error("%s:%d: happened:\n%s-- wanted:\n%s--\n", file, line, have, want);
        _fail(file, line);
    }
    transcript_clear(transcript);
}

void transcript_clear(struct transcript *transcript)
{
    free(transcript->text);
    *transcript = (struct transcript){NULL, 0};
}
