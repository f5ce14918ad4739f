/* frame_guard.h - makes libwebsockets strict. RFC 6455 section 5, SPEC [WS-15].
 *
 * libwebsockets accepts client frames without a mask, drops TCP without a close frame at a
 * control frame longer than 125 bytes, and loses its way in the stream after a frame that it
 * does refuse; and it has no hook that shows a frame's header. So the guard looks at the bytes
 * on their way from the socket to libwebsockets (wire.c) and follows where frames begin. From the
 * first frame that RFC 6455 forbids on it lets nothing through but, once the transport closes
 * with 1002, the close frame that answers it.
 *
 * It judges headers only: it neither unmasks nor reassembles, which libwebsockets does. Pure:
 * bytes in, the bytes to pass on out. */
#ifndef CHAT_FRAME_GUARD_H
#define CHAT_FRAME_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_guard_state {
    GUARD_FIRST,   /* at the first two bytes of a frame */
    GUARD_LENGTH,  /* at the bytes that extend the length */
    GUARD_PAYLOAD, /* in the mask and the payload */
    GUARD_LOST     /* a length that no frame can have: where the next one begins is unknown */
};

/* All zero is the state of a new connection, behind the head of its request. */
struct frame_guard {
    enum frame_guard_state state;
    bool broken;        /* a frame was forbidden: close with 1002 */
    bool close_passes;  /* set by the transport when it closes: the peer's answer is let through */
    bool close_dropped; /* the peer's close frame came before that */
    bool dropping;      /* this frame is not passed on */
    bool masked;        /* this frame has a mask */
    bool in_message;    /* between the fragments of a message */
    bool held;          /* 'held_byte' waits for the byte behind it, with which it is judged */
    uint8_t held_byte;
    uint8_t n_length_left; /* bytes of the extended length to come */
    uint64_t n_left; /* PAYLOAD: bytes of mask and payload to come. LENGTH: the length so far */
};

/* Look at 'n' bytes that were read, and change what has to be changed. Returns how many bytes to
 * pass on, from the start of 'bytes'. A last byte that cannot be judged alone is held, and has
 * to stand in front of the next bytes: frame_guard_take_held(). */
size_t frame_guard_pass(struct frame_guard *guard, uint8_t *bytes, size_t n);

/* If a byte is held, put it into 'out', forget it, and say so. */
bool frame_guard_take_held(struct frame_guard *guard, uint8_t *out);

#endif
