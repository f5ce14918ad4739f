/* frame_guard.h - makes libwebsockets strict. RFC 6455 section 5, SPEC [WS-13], [WS-14], [WS-15].
 *
 * libwebsockets accepts client frames without a mask and lengths that are not minimal, drops TCP
 * without a close frame at a control frame longer than 125 bytes, answers only one of several
 * pings in one segment, echoes any close frame, and loses its way in the stream after a frame
 * that it does refuse; and it has no hook that shows a frame's header. So the guard looks at the
 * bytes on their way from the socket to libwebsockets (wire.c) and follows where frames begin.
 * Data and pongs pass; pings and close frames end here.
 *
 * From the end of the stream on, a close frame or the first frame that RFC 6455 forbids, nothing
 * passes. In its place stands a mark, a pong of one byte, which tells whoever receives the frames
 * that there are no more: what was sent before comes first, however libwebsockets buffers it. A
 * peer's own pongs of one byte do not pass, nor empty ones: nobody waits for them.
 *
 * It neither unmasks data nor reassembles, which libwebsockets does. Pure: bytes in, the bytes to
 * pass on out. */
#ifndef CHAT_FRAME_GUARD_H
#define CHAT_FRAME_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/str.h"

enum {
    FRAME_GUARD_HELD_MAX = 131, /* a control frame: header, mask, and 125 bytes */
    FRAME_GUARD_MARK_SIZE = 7,
    FRAME_GUARD_MARK_PAYLOAD_SIZE = 1,
    FRAME_GUARD_NO_CODE = 1005 /* RFC 6455 section 7.1.5: a close frame without a code */
};

enum frame_guard_state {
    GUARD_FRAME,   /* at the beginning of a frame */
    GUARD_PAYLOAD, /* in the mask and the payload */
    GUARD_OVER     /* what comes is of no interest: it is behind a close frame, or where the next
                      frame begins is unknown */
};

/* All zero is the state of a new connection, behind the head of its request. */
struct frame_guard {
    enum frame_guard_state state;
    uint16_t close_code; /* not 0: the stream has ended, close with this */
    bool peer_is_done;   /* no close frame is to be expected any more */
    bool marked;         /* the mark was passed on */
    bool passing;        /* this payload is passed on */
    bool in_message;     /* between the fragments of a message */
    bool ended_one;      /* in these bytes a message, or a control frame between two */
    uint8_t n_held;      /* bytes that cannot be judged before more have come */
    uint8_t held[FRAME_GUARD_HELD_MAX];
    uint64_t n_left; /* bytes of mask and payload to come */
};

/* A ping has come. Borrows 'payload'. */
typedef void frame_guard_ping_fn(void *ctx, struct str payload);

/* Look at 'n' bytes that were read. Returns how many bytes to pass on, from the start of 'bytes',
 * behind which there is room for the mark. Bytes that cannot be judged yet are held, and have to
 * stand in front of the next bytes: frame_guard_take_held(). */
size_t frame_guard_pass(struct frame_guard *guard, uint8_t *bytes, size_t n,
                        frame_guard_ping_fn *ping, void *ctx);

/* Put the bytes that are held into 'out' and forget them. Returns their number. */
size_t frame_guard_take_held(struct frame_guard *guard, uint8_t *out);

/* Has a message or a control frame begun that has not ended? */
bool frame_guard_is_inside(const struct frame_guard *guard);

/* The peer has ended its half of TCP, which ends the stream as a close frame does, wherever. There
 * is no mark: all that was passed on has been received. */
void frame_guard_end(struct frame_guard *guard);

#endif
