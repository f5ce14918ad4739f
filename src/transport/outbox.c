#include "transport/outbox.h"

#include <assert.h>
#include <stdlib.h>

#include "chat/mem.h"

enum {
    OUTBOX_CAPACITY_MIN = 256,
    OUTBOX_SLACK_MAX = 65536, /* bytes that have left, for which nothing is moved */
    FIN = 0x80,               /* an unfragmented message */
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

/* What has left is overwritten. */
static void close_up(struct outbox *outbox)
{
    if (outbox->start > 0) {
        uint8_t *first = outbox->memory + OUTBOX_HEADROOM;
        memmove(first, first + outbox->start, outbox->len);
        outbox->start = 0;
    }
}

static void resize(struct outbox *outbox, size_t capacity)
{
    outbox->memory = mem_realloc(outbox->memory, OUTBOX_HEADROOM + capacity);
    outbox->capacity = capacity;
}

static void make_room(struct outbox *outbox, size_t n)
{
    size_t needed = outbox->len + n;
    if (outbox->start + needed <= outbox->capacity) {
        return;
    }
    close_up(outbox);
    if (needed <= outbox->capacity) {
        return;
    }
    /* What is not used is counted, too: a large one grows in smaller steps. */
    size_t more = outbox->capacity < OUTBOX_SLACK_MAX ? outbox->capacity : outbox->capacity / 4;
    size_t capacity = outbox->capacity + more;
    if (capacity < OUTBOX_CAPACITY_MIN) {
        capacity = OUTBOX_CAPACITY_MIN;
    }
    resize(outbox, capacity < needed ? needed : capacity);
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
    return outbox->memory + OUTBOX_HEADROOM + outbox->start;
}

/* Of the frame that begins with 'header', which frame_header_write() wrote. */
static size_t frame_size(const uint8_t *header)
{
    size_t n_bytes = header[1] == LENGTH_16_BITS ? 2 : header[1] == LENGTH_64_BITS ? 8 : 0;
    size_t len = n_bytes == 0 ? header[1] : 0;
    for (size_t i = 0; i < n_bytes; i++) {
        len = len << 8 | header[2 + i];
    }
    return 2 + n_bytes + len;
}

size_t outbox_frame_end(const struct outbox *outbox, size_t n)
{
    const uint8_t *first = outbox->memory + OUTBOX_HEADROOM + outbox->start;
    size_t end = 0;
    while (end < n) {
        end += frame_size(first + end);
    }
    return end;
}

void outbox_drop(struct outbox *outbox, size_t n)
{
    assert(n <= outbox->len);
    outbox->start += n;
    outbox->len -= n;
    if (outbox->len == 0) {
        outbox_clear(outbox);
    } else if (outbox->start > outbox->len + OUTBOX_SLACK_MAX) {
        close_up(outbox); /* moves fewer bytes than have left */
        resize(outbox, outbox->len);
    }
}

size_t outbox_allocated(const struct outbox *outbox)
{
    return outbox->memory == NULL ? 0 : OUTBOX_HEADROOM + outbox->capacity;
}

void outbox_clear(struct outbox *outbox)
{
    free(outbox->memory);
    *outbox = (struct outbox){0};
}
