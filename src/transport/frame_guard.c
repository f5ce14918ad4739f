#include "transport/frame_guard.h"

#include <string.h>

enum {
    BYTE0_FIN = 0x80,
    BYTE0_RESERVED = 0x70,
    BYTE0_OPCODE = 0x0f,
    BYTE1_MASKED = 0x80,
    BYTE1_LENGTH = 0x7f,
    OPCODE_CONTINUATION = 0x0,
    OPCODE_TEXT = 0x1,
    OPCODE_BINARY = 0x2,
    OPCODE_CLOSE = 0x8,
    OPCODE_PING = 0x9,
    OPCODE_PONG = 0xa,
    LENGTH_16_BITS =
        126, /* these two values of the length say that it stands in the next 2 or 8 bytes */
    LENGTH_64_BITS = 127,
    LENGTH_16_SIZE = 2,
    LENGTH_64_SIZE = 8,
    LENGTH_64_RESERVED = 0x80, /* the first of the 64 bits is 0 */
    MASK_SIZE = 4
};

/* RFC 6455 sections 5.1, 5.2, 5.4 and 5.5. */
static bool header_is_legal(struct frame_guard *guard, uint8_t byte0, uint8_t byte1)
{
    bool final = (byte0 & BYTE0_FIN) != 0;
    bool short_length = (byte1 & BYTE1_LENGTH) < LENGTH_16_BITS;
    if ((byte0 & BYTE0_RESERVED) != 0 || (byte1 & BYTE1_MASKED) == 0) {
        return false;
    }
    switch (byte0 & BYTE0_OPCODE) {
    case OPCODE_CONTINUATION:
        if (!guard->in_message) {
            return false;
        }
        guard->in_message = !final;
        return true;
    case OPCODE_TEXT:
    case OPCODE_BINARY:
        if (guard->in_message) {
            return false;
        }
        guard->in_message = !final;
        return true;
    case OPCODE_CLOSE:
        return final && short_length && (byte1 & BYTE1_LENGTH) != 1; /* half a status code */
    case OPCODE_PING:
    case OPCODE_PONG:
        return final && short_length;
    default:
        return false;
    }
}

/* After a forbidden frame: may this one pass? */
static bool passes_when_broken(struct frame_guard *guard, bool legal, uint8_t byte0)
{
    if (!legal || (byte0 & BYTE0_OPCODE) != OPCODE_CLOSE) {
        return false;
    }
    guard->close_dropped = !guard->close_passes;
    return guard->close_passes;
}

/* Called when the length is known. */
static void begin_payload(struct frame_guard *guard, uint64_t length)
{
    guard->state = GUARD_PAYLOAD;
    guard->n_left = length + (guard->masked ? MASK_SIZE : 0);
    if (guard->n_left == 0) {
        guard->state = GUARD_FIRST;
    }
}

/* The first two bytes of a frame, which are judged together. */
static void judge_header(struct frame_guard *guard, uint8_t byte0, uint8_t byte1)
{
    bool legal = header_is_legal(guard, byte0, byte1);
    if (!legal) {
        guard->broken = true;
    }
    guard->dropping = guard->broken && !passes_when_broken(guard, legal, byte0);
    guard->masked = (byte1 & BYTE1_MASKED) != 0;
    uint8_t length = byte1 & BYTE1_LENGTH;
    if (length < LENGTH_16_BITS) {
        begin_payload(guard, length);
        return;
    }
    guard->state = GUARD_LENGTH;
    guard->n_left = 0;
    guard->n_length_left = length == LENGTH_16_BITS ? LENGTH_16_SIZE : LENGTH_64_SIZE;
}

static void take_length_byte(struct frame_guard *guard, uint8_t byte)
{
    if (guard->n_length_left == LENGTH_64_SIZE && (byte & LENGTH_64_RESERVED) != 0) {
        guard->state = GUARD_LOST;
        guard->broken = true;
        guard->dropping = true; /* libwebsockets would end TCP without a close frame */
        return;
    }
    guard->n_left = guard->n_left << 8 | byte;
    guard->n_length_left--;
    if (guard->n_length_left == 0) {
        begin_payload(guard, guard->n_left);
    }
}

/* How many of the 'n' bytes belong to this frame's mask and payload. */
static size_t take_payload(struct frame_guard *guard, size_t n)
{
    size_t n_taken = guard->n_left < n ? (size_t)guard->n_left : n;
    guard->n_left -= n_taken;
    if (guard->n_left == 0) {
        guard->state = GUARD_FIRST;
    }
    return n_taken;
}

/* Take the next piece of the stream that belongs together, at most 'n' bytes. Returns its size;
 * 0 if a single byte cannot be judged. */
static size_t take_piece(struct frame_guard *guard, uint8_t *bytes, size_t n)
{
    switch (guard->state) {
    case GUARD_FIRST:
        if (n == 1) {
            return 0;
        }
        judge_header(guard, bytes[0], bytes[1]);
        return 2;
    case GUARD_LENGTH:
        take_length_byte(guard, bytes[0]);
        return 1;
    case GUARD_PAYLOAD:
        return take_payload(guard, n);
    case GUARD_LOST:
        break;
    }
    guard->dropping = true;
    return n;
}

size_t frame_guard_pass(struct frame_guard *guard, uint8_t *bytes, size_t n)
{
    size_t n_passed = 0;
    size_t i = 0;
    while (i < n) {
        size_t piece = take_piece(guard, bytes + i, n - i);
        if (piece == 0) {
            guard->held = true;
            guard->held_byte = bytes[i];
            break;
        }
        if (!guard->dropping) {
            if (n_passed != i) {
                memmove(bytes + n_passed, bytes + i, piece);
            }
            n_passed += piece;
        }
        i += piece;
    }
    return n_passed;
}

bool frame_guard_take_held(struct frame_guard *guard, uint8_t *out)
{
    if (!guard->held) {
        return false;
    }
    *out = guard->held_byte;
    guard->held = false;
    return true;
}
