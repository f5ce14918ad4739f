/* frame.h - WebSocket frames as a client writes and reads them (RFC 6455 section 5). No sockets. */
#ifndef LOAD_FRAME_H
#define LOAD_FRAME_H

#include <stdbool.h>

#include "load/base.h"

enum frame_opcode {
    FRAME_CONTINUATION = 0,
    FRAME_TEXT = 1,
    FRAME_BINARY = 2,
    FRAME_CLOSE = 8,
    FRAME_PING = 9,
    FRAME_PONG = 10
};

enum {
    FRAME_HEADER_SIZE_MAX = 14,
    CONTROL_PAYLOAD_MAX = 125
};

/* A frame of the server's, in place. */
struct frame {
    bool last; /* of its message */
    enum frame_opcode opcode;
    struct slice payload;
    size_t size; /* header and payload */
};

enum frame_state {
    FRAME_WHOLE,
    FRAME_CUT,   /* more bytes have to come */
    FRAME_BROKEN /* no server may send this */
};

/* Appends the header of a masked frame and room for its payload, which is returned: caller writes
 * 'len' bytes there, then frame_mask()s them. */
uint8_t *frame_begin(struct bytes *to, enum frame_opcode opcode, size_t len, uint32_t mask);

/* Masks a payload. Twice is not at all. */
void frame_mask(uint8_t *payload, size_t len, uint32_t mask);

/* A whole masked frame. */
void frame_append(struct bytes *to, enum frame_opcode opcode, struct slice payload, uint32_t mask);

/* The frame at the beginning of 'data'. Writes to 'frame' only if it is whole. */
enum frame_state frame_read(const uint8_t *data, size_t len, struct frame *frame);

#endif
