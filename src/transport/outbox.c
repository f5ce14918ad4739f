#include "transport/outbox.h"

#include <stdlib.h>

#include "chat/mem.h"

enum {
    OUTBOX_CAPACITY_MIN = 256,
    FIN = 0x80, /* an unfragmented message */
    LENGTH_16_BITS = 126,
    LENGTH_64_BITS = 127
};

/* RFC 6455 section 5.2, without a mask. */
size_t frame_header_write(enum frame_opcode opcode, size_t len, uint8_t out[FRAME_HEADER_SIZE_MAX])
{
    out[0] = (uint8_t)(FIN | (int)opcode);
    if (len < LENGTH_16_BITS) {
        out[1] = (uint8_t)len;
        return 2;
    }
    size_t n_bytes = len <= UINT16_MAX ? 2 : 8;
    out[1] = n_bytes == 2 ? LENGTH_16_BITS : LENGTH_64_BITS;
    for (size_t i = 0; i < n_bytes; i++) {
        out[1 + n_bytes - i] = (uint8_t)((uint64_t)len >> (8 * i));
    }
    return 2 + n_bytes;
}

static void make_room(struct outbox *outbox, size_t n)
{
    size_t needed = outbox->len + n;
    if (needed <= outbox->capacity) {
        return;
    }
    size_t capacity = outbox->capacity * 2;
    if (capacity < OUTBOX_CAPACITY_MIN) {
        capacity = OUTBOX_CAPACITY_MIN;
    }
    if (capacity < needed) {
        capacity = needed;
    }
    outbox->memory = mem_realloc(outbox->memory, OUTBOX_HEADROOM + capacity);
    outbox->capacity = capacity;
}

void outbox_append(struct outbox *outbox, enum frame_opcode opcode, struct str payload)
{
    uint8_t header[FRAME_HEADER_SIZE_MAX];
    size_t header_size = frame_header_write(opcode, payload.len, header);
    make_room(outbox, header_size + payload.len);
    uint8_t *end = outbox_bytes(outbox) + outbox->len;
    memcpy(end, header, header_size);
    if (payload.len > 0) {
        memcpy(end + header_size, payload.ptr, payload.len);
    }
    outbox->len += header_size + payload.len;
}

uint8_t *outbox_bytes(struct outbox *outbox)
{
    return outbox->memory + OUTBOX_HEADROOM;
}

void outbox_clear(struct outbox *outbox)
{
    free(outbox->memory);
    *outbox = (struct outbox){0};
}
