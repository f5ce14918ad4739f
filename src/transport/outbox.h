/* outbox.h - the frames that wait to leave on one connection, one after the other as they go on
 * the wire.
 *
 * A server's frames are not masked, so a frame is a header of 2 to 10 bytes and the text. All
 * that one turn of the loop has to say to a connection is gathered here and written by one system
 * call (sending.c), which is what makes the server fast. */
#ifndef CHAT_OUTBOX_H
#define CHAT_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include "chat/str.h"

enum {
    OUTBOX_HEADROOM =
        16, /* bytes in front of the data that libwebsockets wants to have for itself */
    FRAME_HEADER_SIZE_MAX = 10
};

enum frame_opcode {
    FRAME_TEXT = 0x1,
    FRAME_CLOSE = 0x8,
    FRAME_PING = 0x9,
    FRAME_PONG = 0xa
};

/* Write the header of an unfragmented frame with 'len' bytes of payload. Returns its size. */
size_t frame_header_write(enum frame_opcode opcode, size_t len, uint8_t out[FRAME_HEADER_SIZE_MAX]);

/* All zero is empty. Owned by its connection. An empty outbox has no memory, for most
 * connections are idle. */
struct outbox {
    uint8_t *memory; /* OUTBOX_HEADROOM bytes, then what has left, then the frames */
    size_t start;    /* bytes that have left */
    size_t len;      /* bytes of frames */
    size_t capacity; /* bytes that 'memory' has room for behind its headroom */
};

/* Append one frame. Copies 'payload'. */
void outbox_append(struct outbox *outbox, enum frame_opcode opcode, struct str payload);

/* The bytes of all frames; with OUTBOX_HEADROOM writable bytes in front. */
uint8_t *outbox_bytes(struct outbox *outbox);

/* The end of the frame that the first 'n' bytes end in: 'n' itself if they are whole frames. The
 * outbox begins with a whole frame. */
size_t outbox_frame_end(const struct outbox *outbox, size_t n);

/* The first 'n' bytes have left. Gives memory back that is no longer needed. */
void outbox_drop(struct outbox *outbox, size_t n);

/* Bytes of memory that it has. */
size_t outbox_allocated(const struct outbox *outbox);

/* Forget all, and give the memory back. */
void outbox_clear(struct outbox *outbox);

#endif
