/* json_scan.h - is this text one JSON object, and where are its members? SPEC 3.
 *
 * A strict scanner for RFC 8259, no more and no less: it builds no values but finds where they
 * stand in the text, so that a body can be passed on as it was written. One pass, without
 * recursion, in time linear in the length of the text, reading no byte outside of it, whatever
 * the bytes. Whether the text is UTF-8 was checked before (utf8.h). What the members mean is
 * request.c's business. */
#ifndef CHAT_JSON_SCAN_H
#define CHAT_JSON_SCAN_H

#include <stdbool.h>

#include "chat/err.h"
#include "chat/str.h"

enum json_kind {
    JSON_ABSENT, /* no value at all: what a zeroed struct says */
    JSON_STRING,
    JSON_INTEGER, /* a number written without fraction and exponent */
    JSON_OTHER    /* any other value */
};

struct json_value {
    enum json_kind kind;
    struct str text; /* as it was written, quotes included; a view into the scanned text */

    /* Of a JSON_STRING only: */
    size_t decoded_len; /* bytes of UTF-8 between the quotes once the escapes are decoded */
    bool has_escapes;   /* false: what is between the quotes is the decoded string */
};

/* A member of the object, not of one within. Borrows both; 'name' is a JSON_STRING. */
typedef void json_member_fn(void *ctx, const struct json_value *name,
                            const struct json_value *value);

/* Scan 'text', calling 'member' for each member in the order of the text, repeated names
 * included. False if 'text' is not one JSON object, alone but for white space, with at most
 * NESTING_MAX levels; then forget the members that 'member' was called for. */
MUST_CHECK bool json_scan_object(struct str text, json_member_fn *member, void *ctx);

/* Is 'text' one JSON value, of at most NESTING_MAX levels, alone but for white space? */
MUST_CHECK bool json_scan_text(struct str text);

#endif
