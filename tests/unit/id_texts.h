/* id_texts.h - texts that are ids and texts that are none: SPEC 7, "two decimal integers from 0 to
 * 2^53-1 without leading zeros". message_id.c and the scripts in Redis have to say the same of
 * each. */
#ifndef CHAT_ID_TEXTS_H
#define CHAT_ID_TEXTS_H

#include <stdbool.h>

#include "chat/str.h"

static const struct id_text {
    struct str text;
    bool is_id;
} id_texts[] = {
    {STR_INIT("0-0"), true},
    {STR_INIT("0-1"), true},
    {STR_INIT("1-0"), true},
    {STR_INIT("10-9"), true},
    {STR_INIT("1700000000000-12"), true},
    {STR_INIT("999999999999999-999999999999999"), true},
    {STR_INIT("1000000000000000-0"), true},
    {STR_INIT("0-1000000000000000"), true},
    {STR_INIT("9007199254740991-0"), true},
    {STR_INIT("9007199254740990-9007199254740990"), true},
    {STR_INIT("9007199254740991-9007199254740991"), true},
    {STR_INIT(""), false},
    {STR_INIT("-"), false},
    {STR_INIT("1"), false},
    {STR_INIT("1-"), false},
    {STR_INIT("-1"), false},
    {STR_INIT("01-0"), false},
    {STR_INIT("00-0"), false},
    {STR_INIT("1-00"), false},
    {STR_INIT("1-01"), false},
    {STR_INIT("0000000000000001-0"), false},
    {STR_INIT("1-0-0"), false},
    {STR_INIT("1--0"), false},
    {STR_INIT("-1-0"), false},
    {STR_INIT("+1-0"), false},
    {STR_INIT("1-+0"), false},
    {STR_INIT(" 1-0"), false},
    {STR_INIT("1-0 "), false},
    {STR_INIT("1 -0"), false},
    {STR_INIT("1- 0"), false},
    {STR_INIT("1-0\n"), false},
    {STR_INIT("\n1-0"), false},
    {STR_INIT("1-0\0"), false},
    {STR_INIT("1\0-0"), false},
    {STR_INIT("\0"), false},
    {STR_INIT("1.0-0"), false},
    {STR_INIT("1-0.0"), false},
    {STR_INIT("1e3-0"), false},
    {STR_INIT("0x1-0"), false},
    {STR_INIT("1-0x1"), false},
    {STR_INIT("inf-0"), false},
    {STR_INIT("nan-0"), false},
    {STR_INIT("a-0"), false},
    {STR_INIT("1-a"), false},
    {STR_INIT("1_0"), false},
    {STR_INIT("1/-0"), false},
    {STR_INIT("1:-0"), false},
    {STR_INIT("1-*"), false},
    {STR_INIT("*"), false},
    {STR_INIT("+"), false},
    {STR_INIT("$"), false},
    {STR_INIT("\xd9\xa1-0"), false}, /* a digit of another script */
    {STR_INIT("\xff-0"), false},
    {STR_INIT("9007199254740992-0"), false},
    {STR_INIT("0-9007199254740992"), false},
    {STR_INIT("9007199254740993-0"), false},
    {STR_INIT("9999999999999999-0"), false},
    {STR_INIT("10000000000000000-0"), false},
    {STR_INIT("9223372036854775807-0"), false},
    {STR_INIT("9223372036854775808-0"), false},
    {STR_INIT("18446744073709551615-18446744073709551615"), false},
    {STR_INIT("18446744073709551616-0"), false}, /* 2^64 */
    {STR_INIT("18446744073709551617-0"), false},
    {STR_INIT("0-18446744073709551617"), false},
    {STR_INIT("99999999999999999999999999999999-0"), false},
};

enum {
    N_ID_TEXTS = sizeof id_texts / sizeof id_texts[0]
};

#endif
