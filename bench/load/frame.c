#include "load/frame.h"

#include <string.h>

enum {
    FIN = 0x80,
    RESERVED = 0x70,
    OPCODE = 0x0f,
    CONTROL = 0x08,
    MASKED = 0x80,
    LEN = 0x7f
};
enum {
    LEN_16 = 126,
    LEN_64 = 127,
    MASK_SIZE = 4
};

static size_t write_len(uint8_t *header, size_t len)
{
    if (len < LEN_16) {
        header[1] = (uint8_t)(MASKED | len);
        return 2;
    }
    size_t n_bytes = len <= UINT16_MAX ? 2 : 8;
    header[1] = (uint8_t)(MASKED | (n_bytes == 2 ? LEN_16 : LEN_64));
    for (size_t i = 0; i < n_bytes; i++) {
        header[2 + i] = (uint8_t)((uint64_t)len >> (8 * (n_bytes - 1 - i)));
    }
    return 2 + n_bytes;
}

uint8_t *frame_begin(struct bytes *to, enum frame_opcode opcode, size_t len, uint32_t mask)
{
    uint8_t header[FRAME_HEADER_SIZE_MAX] = {(uint8_t)(FIN | opcode)};
    size_t size = write_len(header, len);
    memcpy(header + size, &mask, MASK_SIZE);
    size += MASK_SIZE;
    uint8_t *frame = bytes_extend(to, size + len);
    memcpy(frame, header, size);
    return frame + size;
}

void frame_mask(uint8_t *payload, size_t len, uint32_t mask)
{
    uint64_t wide = (uint64_t)mask << 32 | mask;
    size_t i = 0;
    for (; i + sizeof(wide) <= len; i += sizeof(wide)) {
        uint64_t word;
        memcpy(&word, payload + i, sizeof(word));
        word ^= wide;
        memcpy(payload + i, &word, sizeof(word));
    }
    uint8_t narrow[MASK_SIZE];
    memcpy(narrow, &mask, MASK_SIZE);
    for (; i < len; i++) {
        payload[i] ^= narrow[i % MASK_SIZE];
    }
}

void frame_append(struct bytes *to, enum frame_opcode opcode, struct slice payload, uint32_t mask)
{
    uint8_t *place = frame_begin(to, opcode, payload.len, mask);
    if (payload.len > 0) {
        memcpy(place, payload.data, payload.len);
    }
    frame_mask(place, payload.len, mask);
}

static bool is_legal(uint8_t first, uint8_t second)
{
    uint8_t opcode = first & OPCODE;
    bool known = opcode <= FRAME_BINARY || (opcode >= FRAME_CLOSE && opcode <= FRAME_PONG);
    bool control = (opcode & CONTROL) != 0;
    return known && (first & RESERVED) == 0 && (second & MASKED) == 0 &&
           (!control || ((first & FIN) != 0 && (second & LEN) <= CONTROL_PAYLOAD_MAX));
}

enum frame_state frame_read(const uint8_t *data, size_t len, struct frame *frame)
{
    if (len < 2) {
        return FRAME_CUT;
    }
    if (!is_legal(data[0], data[1])) {
        return FRAME_BROKEN;
    }
    uint64_t payload_len = data[1] & LEN;
    size_t n_bytes = payload_len == LEN_16 ? 2 : payload_len == LEN_64 ? 8 : 0;
    if (len < 2 + n_bytes) {
        return FRAME_CUT;
    }
    if (n_bytes > 0) {
        payload_len = 0;
        for (size_t i = 0; i < n_bytes; i++) {
            payload_len = payload_len << 8 | data[2 + i];
        }
    }
    if (payload_len >> 63 != 0) {
        return FRAME_BROKEN;
    }
    if (len - 2 - n_bytes < payload_len) {
        return FRAME_CUT;
    }
    *frame = (struct frame){
        .last = (data[0] & FIN) != 0,
        .opcode = (enum frame_opcode)(data[0] & OPCODE),
        .payload = {(const char *)data + 2 + n_bytes, (size_t)payload_len},
        .size = 2 + n_bytes + (size_t)payload_len,
    };
    return FRAME_WHOLE;
}
