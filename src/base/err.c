#include "chat/err.h"

#include <assert.h>
#include <stddef.h>

static const char *const texts[] = {
#define CHAT_ERR_TEXT(name, text) [name] = text,
    CHAT_ERR_MAP(CHAT_ERR_TEXT)
#undef CHAT_ERR_TEXT
};

const char *err_text(enum err err)
{
    assert((size_t)err < sizeof texts / sizeof texts[0]);
    return texts[err];
}
