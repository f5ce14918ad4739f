/* utf8.h - is this UTF-8? RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef CHAT_UTF8_H
#define CHAT_UTF8_H

#include <stdbool.h>

#include "chat/str.h"

bool utf8_valid(struct str s);

#endif
