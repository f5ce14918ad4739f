#include "transport/frame_guard.h"

#include <string.h>

#include "chat/utf8.h"

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
    /* These two values of the length say that it stands in the next 2 or 8 bytes. */
    LENGTH_16_BITS = 126,
    LENGTH_64_BITS = 127,
    LENGTH_16_SIZE = 2,
    LENGTH_64_SIZE = 8,
    HEADER_SIZE = 2,
    MASK_SIZE = 4,
    CODE_SIZE = 2,
    CLOSE_BROKEN = 1002,
    CLOSE_NOT_UTF8 = 1007
};

static void end_with(struct frame_guard *guard, uint16_t code)
{
    if (guard->close_code == 0) {
        guard->close_code = code;
    }
}

/* What follows is dropped without a look. */
static void give_up(struct frame_guard *guard)
{
    guard->state = GUARD_OVER;
    guard->peer_is_done = true;
    guard->passing = false;
}

/* RFC 6455 sections 5.1, 5.2, 5.4 and 5.5. */
static bool header_is_legal(const struct frame_guard *guard, uint8_t byte0, uint8_t byte1)
{
    bool final = (byte0 & BYTE0_FIN) != 0;
    bool short_length = (byte1 & BYTE1_LENGTH) < LENGTH_16_BITS;
    if ((byte0 & BYTE0_RESERVED) != 0 || (byte1 & BYTE1_MASKED) == 0) {
        return false;
    }
    switch (byte0 & BYTE0_OPCODE) {
    case OPCODE_CONTINUATION:
        return guard->in_message;
    case OPCODE_TEXT:
    case OPCODE_BINARY:
        return !guard->in_message;
    case OPCODE_CLOSE:
    case OPCODE_PING:
    case OPCODE_PONG:
        return final && short_length;
    default:
        return false;
    }
}

static size_t length_size(uint8_t byte1)
{
    uint8_t length = byte1 & BYTE1_LENGTH;
    return length < LENGTH_16_BITS ? 0 : length == LENGTH_16_BITS ? LENGTH_16_SIZE : LENGTH_64_SIZE;
}

/* Section 5.2: "the minimal number of bytes MUST be used", and the first bit of 64 is 0. False:
 * it is not so. */
static bool read_length(const uint8_t *bytes, uint64_t *out)
{
    size_t size = length_size(bytes[1]);
    *out = size == 0 ? bytes[1] & BYTE1_LENGTH : 0;
    for (size_t i = 0; i < size; i++) {
        *out = *out << 8 | bytes[HEADER_SIZE + i];
    }
    return size == 0 || (size == LENGTH_16_SIZE && *out >= LENGTH_16_BITS) ||
           (size == LENGTH_64_SIZE && *out > UINT16_MAX && *out <= INT64_MAX);
}

/* Section 7.4; 1012 to 1014 were registered later. */
static bool is_close_code(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

/* [WS-14], and [WS-15]'s note. */
static uint16_t answer_to_close(struct str payload)
{
    if (payload.len == 0) {
        return FRAME_GUARD_NO_CODE;
    }
    if (payload.len < CODE_SIZE) {
        return CLOSE_BROKEN;
    }
    const uint8_t *bytes = (const uint8_t *)payload.ptr;
    uint16_t code = (uint16_t)(bytes[0] << 8 | bytes[1]);
    if (!is_close_code(code)) {
        return CLOSE_BROKEN;
    }
    struct str reason = {payload.ptr + CODE_SIZE, payload.len - CODE_SIZE};
    return utf8_valid(reason) ? code : CLOSE_NOT_UTF8;
}

/* A whole ping or close frame. */
static void take_control(struct frame_guard *guard, uint8_t *frame, size_t len,
                         frame_guard_ping_fn *ping, void *ctx)
{
    const uint8_t *mask = frame + HEADER_SIZE;
    uint8_t *payload = frame + HEADER_SIZE + MASK_SIZE;
    for (size_t i = 0; i < len; i++) {
        payload[i] ^= mask[i % MASK_SIZE];
    }
    struct str text = {(const char *)payload, len};
    if ((frame[0] & BYTE0_OPCODE) == OPCODE_CLOSE) {
        end_with(guard, answer_to_close(text));
        give_up(guard);
    } else if (guard->close_code == 0) {
        ping(ctx, text);
    }
}

/* Of the frames that are not forbidden, those that libwebsockets gets. */
static bool passes(const struct frame_guard *guard, uint8_t byte0, uint64_t length)
{
    bool looks_like_mark =
        (byte0 & BYTE0_OPCODE) == OPCODE_PONG && length <= FRAME_GUARD_MARK_PAYLOAD_SIZE;
    return guard->close_code == 0 && !looks_like_mark;
}

static void begin_payload(struct frame_guard *guard, const uint8_t *bytes, uint64_t length)
{
    uint8_t opcode = bytes[0] & BYTE0_OPCODE;
    if (opcode < OPCODE_CLOSE) {
        guard->in_message = (bytes[0] & BYTE0_FIN) == 0;
    }
    guard->passing = passes(guard, bytes[0], length);
    guard->n_left = length + ((bytes[1] & BYTE1_MASKED) != 0 ? MASK_SIZE : 0);
    guard->state = guard->n_left > 0 ? GUARD_PAYLOAD : GUARD_FRAME;
}

/* Take the beginning of a frame; a ping or a close frame whole. Returns its size; 0 if more has to
 * come. It is judged as soon as anything is wrong with it. */
static size_t take_frame(struct frame_guard *guard, uint8_t *bytes, size_t n,
                         frame_guard_ping_fn *ping, void *ctx)
{
    guard->passing = false;
    if (n < HEADER_SIZE) {
        return 0;
    }
    uint8_t opcode = bytes[0] & BYTE0_OPCODE;
    bool legal = header_is_legal(guard, bytes[0], bytes[1]);
    if (!legal) {
        end_with(guard, CLOSE_BROKEN);
        if (opcode == OPCODE_CLOSE) {
            give_up(guard);
            return n;
        }
    }
    size_t size = HEADER_SIZE + length_size(bytes[1]);
    if (n < size) {
        return 0;
    }
    uint64_t length;
    if (!read_length(bytes, &length)) {
        end_with(guard, CLOSE_BROKEN);
        if (length > INT64_MAX) {
            give_up(guard);
            return n;
        }
    }
    if (legal && (opcode == OPCODE_CLOSE || opcode == OPCODE_PING)) {
        size += MASK_SIZE + (size_t)length;
        if (n < size) {
            return 0;
        }
        take_control(guard, bytes, (size_t)length, ping, ctx);
        return size;
    }
    begin_payload(guard, bytes, length);
    return size;
}

/* How many of the 'n' bytes belong to this frame's mask and payload. */
static size_t take_payload(struct frame_guard *guard, size_t n)
{
    size_t n_taken = guard->n_left < n ? (size_t)guard->n_left : n;
    guard->n_left -= n_taken;
    if (guard->n_left == 0) {
        guard->state = GUARD_FRAME;
    }
    return n_taken;
}

static size_t write_mark(struct frame_guard *guard, uint8_t *out)
{
    static const uint8_t mark[FRAME_GUARD_MARK_SIZE] = {
        BYTE0_FIN | OPCODE_PONG, BYTE1_MASKED | FRAME_GUARD_MARK_PAYLOAD_SIZE};
    if (guard->close_code == 0 || guard->marked) {
        return 0;
    }
    guard->marked = true;
    memcpy(out, mark, sizeof mark);
    return sizeof mark;
}

size_t frame_guard_pass(struct frame_guard *guard, uint8_t *bytes, size_t n,
                        frame_guard_ping_fn *ping, void *ctx)
{
    size_t n_passed = 0;
    size_t i = 0;
    guard->ended_one = false;
    while (i < n && guard->state != GUARD_OVER) {
        size_t piece = guard->state == GUARD_PAYLOAD
                           ? take_payload(guard, n - i)
                           : take_frame(guard, bytes + i, n - i, ping, ctx);
        if (piece == 0) {
            guard->n_held = (uint8_t)(n - i);
            memcpy(guard->held, bytes + i, guard->n_held);
            break;
        }
        if (guard->passing) {
            memmove(bytes + n_passed, bytes + i, piece);
            n_passed += piece;
        }
        i += piece;
        guard->ended_one |= guard->state == GUARD_FRAME && !guard->in_message;
    }
    return n_passed + write_mark(guard, bytes + n_passed);
}

size_t frame_guard_take_held(struct frame_guard *guard, uint8_t *out)
{
    size_t n = guard->n_held;
    memcpy(out, guard->held, n);
    guard->n_held = 0;
    return n;
}

bool frame_guard_is_inside(const struct frame_guard *guard)
{
    return guard->close_code == 0 &&
           (guard->state == GUARD_PAYLOAD || guard->in_message || guard->n_held > 0);
}

void frame_guard_end(struct frame_guard *guard)
{
    end_with(guard, FRAME_GUARD_NO_CODE);
    give_up(guard);
}
