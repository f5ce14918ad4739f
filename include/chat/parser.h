/* parser.h - bytes to requests, replies and deliveries to bytes. SPEC 3 and 4.
 *
 * Pure: no state, no I/O, no clock. A request is scanned once, strictly by RFC 8259 and in time
 * linear in its length; the text of 'body' is passed on as it was written, so that a value
 * arrives as the same value ([BODY-1], [BODY-2]). What a request means for a connection is
 * router.h's business. */
#ifndef CHAT_PARSER_H
#define CHAT_PARSER_H

#include <stdbool.h>
#include <stddef.h>

#include "chat/err.h"
#include "chat/request.h"

/* Parse one message. Borrows 'text', which has to be valid UTF-8 ([WS-6] is checked before), as
 * long as 'out' is used. Reads no byte outside of 'text'. ERR_OK, or ERR_ILLEGAL if it is not a
 * request ([ILLEGAL-1]); then 'out' is untouched. A parameter that is missing or invalid is not
 * an error here: 'out' says so. */
MUST_CHECK enum err request_parse(struct str text, struct request *out);

/* Is 'text', which is valid UTF-8, a body: one JSON value? For bodies that somebody else may have
 * written, such as into Redis. */
MUST_CHECK bool body_is_valid(struct str text);

/* The most bytes that reply_write() needs, whatever the reply. */
enum {
    REPLY_SIZE_MAX = 576
};

/* Write 'reply' as JSON into 'out', which has room for REPLY_SIZE_MAX bytes. Returns the bytes
 * written. */
size_t reply_write(const struct reply *reply, char *out);

/* The most bytes that delivery_write() needs for 'delivery'. */
size_t delivery_size_max(const struct delivery *delivery);

/* Write 'delivery' as JSON into 'out', which has room for delivery_size_max() bytes. Returns the
 * bytes written. */
size_t delivery_write(const struct delivery *delivery, char *out);

#endif
