/* [WS-13], [WS-14], [WS-15] What the guard lets through to libwebsockets, which pings it reports,
 * and when and how it calls a stream ended. Each stream is fed whole and in pieces of every size:
 * where TCP splits it makes no difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/str.h"
#include "transport/frame_guard.h"

#define MASK "\0\0\0\0" /* payloads stand as they are */
#define MARK "\x8a\x81\0\0\0\0\0"
#define TEN "0123456789"
#define BYTES_125 TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "01234"
#define PASSES(bytes) STR_INIT(bytes), STR_INIT(bytes), "", 0, false
#define BREAKS(bytes) STR_INIT(bytes), STR_INIT(MARK), "", 1002, false
#define CLOSES(payload, length, code) \
    STR_INIT("\x88" length MASK payload "\x81\x81" MASK "a"), STR_INIT(MARK), "", code, true

struct stream_case {
    int line;
    const char *name;
    struct str in;
    struct str out;      /* what is passed on */
    const char *pings;   /* the payload of each, and a bar */
    uint16_t close_code; /* 0: it goes on */
    bool peer_is_done;
};

static const struct stream_case cases[] = {
    {__LINE__, "a text", PASSES("\x81\x81" MASK "a")},
    {__LINE__, "an empty text", PASSES("\x81\x80" MASK)},
    {__LINE__, "two frames", PASSES("\x81\x81" MASK "a\x82\x81" MASK "b")},
    {__LINE__, "fragments", PASSES("\x01\x81" MASK "a\x00\x80" MASK "\x80\x81" MASK "b")},
    {__LINE__, "a length of 16 bits", PASSES("\x81\xfe\x00\x7e" MASK BYTES_125 "x\x81\x80" MASK)},
    {__LINE__, "a length of 64 bits",
     PASSES("\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00" MASK BYTES_125)},
    {__LINE__, "a pong", PASSES("\x8a\x82" MASK "ab")},

    /* Pongs of which one could be the mark. */
    {__LINE__, "a pong of one byte", STR_INIT("\x8a\x81" MASK "\0\x81\x80" MASK),
     STR_INIT("\x81\x80" MASK), "", 0, false},
    {__LINE__, "an empty pong", STR_INIT("\x8a\x80" MASK "\x81\x80" MASK),
     STR_INIT("\x81\x80" MASK), "", 0, false},

    /* Pings. */
    {__LINE__, "pings", STR_INIT("\x89\x81" MASK "a\x89\x80" MASK "\x89\xfd" MASK BYTES_125),
     STR_INIT(""), "a||" BYTES_125 "|", 0, false},
    {__LINE__, "a ping that is masked", STR_INIT("\x89\x85\x01\x02\x03\x04`````"), STR_INIT(""),
     "abcda|", 0, false},
    {__LINE__, "a ping between fragments",
     STR_INIT("\x01\x81" MASK "a\x89\x81" MASK "p\x80\x81" MASK "b"),
     STR_INIT("\x01\x81" MASK "a\x80\x81" MASK "b"), "p|", 0, false},
    {__LINE__, "a ping behind a fault",
     STR_INIT("\x81\x01"
              "a\x89\x81" MASK "p"),
     STR_INIT(MARK), "", 1002, false},

    /* Forbidden frames. */
    {__LINE__, "no mask",
     BREAKS("\x81\x01"
            "a")},
    {__LINE__, "no mask and empty", BREAKS("\x89\x00")},
    {__LINE__, "no mask, and a length to come", BREAKS("\x81\x7e")},
    {__LINE__, "a reserved bit", BREAKS("\xc1\x81" MASK "a")},
    {__LINE__, "the last reserved bit", BREAKS("\x91\x81" MASK "a")},
    {__LINE__, "a reserved opcode", BREAKS("\x83\x80" MASK)},
    {__LINE__, "a reserved control opcode", BREAKS("\x8b\x80" MASK)},
    {__LINE__, "a fragmented ping", BREAKS("\x09\x80" MASK)},
    {__LINE__, "a ping of 126 bytes", BREAKS("\x89\xfe\x00\x7e" MASK)},
    {__LINE__, "a continuation of nothing", BREAKS("\x80\x80" MASK)},
    {__LINE__, "a length of 16 bits that needs 7", BREAKS("\x81\xfe\x00\x7d" MASK)},
    {__LINE__, "a length of 16 bits that is 0", BREAKS("\x81\xfe\x00\x00" MASK)},
    {__LINE__, "a length of 64 bits that needs 16", BREAKS("\x81\xff\0\0\0\0\0\0\xff\xff" MASK)},
    {__LINE__, "a length of 64 bits that needs 7", BREAKS("\x81\xff\0\0\0\0\0\0\0\1" MASK)},
    {__LINE__, "a length beyond 63 bits", STR_INIT("\x81\xff\x80\0\0\0\0\0\0\0" MASK),
     STR_INIT(MARK), "", 1002, true},
    {__LINE__, "a text within a text", STR_INIT("\x01\x80" MASK "\x81\x80" MASK),
     STR_INIT("\x01\x80" MASK MARK), "", 1002, false},
    {__LINE__, "a continuation after the end",
     STR_INIT("\x01\x80" MASK "\x80\x80" MASK "\x80\x80" MASK),
     STR_INIT("\x01\x80" MASK "\x80\x80" MASK MARK), "", 1002, false},
    {__LINE__, "after the fault nothing passes",
     STR_INIT("\x81\x02"
              "ab\x81\x81" MASK "c"),
     STR_INIT(MARK), "", 1002, false},
    {__LINE__, "and the peer's close is found",
     STR_INIT("\x81\x02"
              "ab\xc1\x81" MASK "c\x88\x82" MASK "\x03\xe8"),
     STR_INIT(MARK), "", 1002, true},

    /* Close frames: nothing behind them counts. */
    {__LINE__, "no code", CLOSES("", "\x80", 1005)},
    {__LINE__, "1000", CLOSES("\x03\xe8", "\x82", 1000)},
    {__LINE__, "1003", CLOSES("\x03\xeb", "\x82", 1003)},
    {__LINE__, "1007", CLOSES("\x03\xef", "\x82", 1007)},
    {__LINE__, "1014", CLOSES("\x03\xf6", "\x82", 1014)},
    {__LINE__, "3000", CLOSES("\x0b\xb8", "\x82", 3000)},
    {__LINE__, "4999", CLOSES("\x13\x87", "\x82", 4999)},
    {__LINE__, "a reason",
     CLOSES("\x03\xe8"
            "b\xc3\xa4",
            "\x85", 1000)},
    {__LINE__, "half a code", CLOSES("\x03", "\x81", 1002)},
    {__LINE__, "0", CLOSES("\0\0", "\x82", 1002)},
    {__LINE__, "999", CLOSES("\x03\xe7", "\x82", 1002)},
    {__LINE__, "1004", CLOSES("\x03\xec", "\x82", 1002)},
    {__LINE__, "1005", CLOSES("\x03\xed", "\x82", 1002)},
    {__LINE__, "1006", CLOSES("\x03\xee", "\x82", 1002)},
    {__LINE__, "1015", CLOSES("\x03\xf7", "\x82", 1002)},
    {__LINE__, "1016", CLOSES("\x03\xf8", "\x82", 1002)},
    {__LINE__, "2999", CLOSES("\x0b\xb7", "\x82", 1002)},
    {__LINE__, "5000", CLOSES("\x13\x88", "\x82", 1002)},
    {__LINE__, "65535", CLOSES("\xff\xff", "\x82", 1002)},
    {__LINE__, "a reason that is not UTF-8",
     CLOSES("\x03\xe8"
            "a\xff",
            "\x84", 1007)},
    {__LINE__, "half a code point", CLOSES("\x03\xe8\xc3", "\x83", 1007)},
    {__LINE__, "a close without a mask", STR_INIT("\x88\x02\x03\xe8"), STR_INIT(MARK), "", 1002,
     true},
    {__LINE__, "a close of 126 bytes", STR_INIT("\x88\xfe\x00\x7e" MASK), STR_INIT(MARK), "", 1002,
     true},
    {__LINE__, "a fragmented close", STR_INIT("\x08\x82" MASK "\x03\xe8"), STR_INIT(MARK), "", 1002,
     true},
    {__LINE__, "between fragments", STR_INIT("\x01\x81" MASK "a\x88\x82" MASK "\x03\xe8"),
     STR_INIT("\x01\x81" MASK "a" MARK), "", 1000, true},
    {__LINE__, "a second one", STR_INIT("\x88\x80" MASK "\x88\x82" MASK "\x03\xe8"), STR_INIT(MARK),
     "", 1005, true},
};

enum {
    STREAM_SIZE_MAX = 512
};

struct fed {
    uint8_t bytes[STREAM_SIZE_MAX];
    size_t n;
    char pings[STREAM_SIZE_MAX]; /* the payload of each, and a bar */
    struct frame_guard guard;
};

static void on_ping(void *ctx, struct str payload)
{
    struct fed *fed = ctx;
    size_t len = strlen(fed->pings);
    snprintf(fed->pings + len, sizeof fed->pings - len, "%.*s|", (int)payload.len, payload.ptr);
}

/* Feed 'in' in pieces of 'piece' bytes, each in a heap buffer of the exact size, as wire.c does. */
static void feed(struct str in, size_t piece, struct fed *out)
{
    struct frame_guard *guard = &out->guard;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < in.len; i += piece) {
        size_t n = in.len - i < piece ? in.len - i : piece;
        uint8_t *buffer = malloc(guard->n_held + n + FRAME_GUARD_MARK_SIZE);
        assert_non_null(buffer);
        size_t n_held = frame_guard_take_held(guard, buffer);
        memcpy(buffer + n_held, in.ptr + i, n);
        size_t n_passed = frame_guard_pass(guard, buffer, n_held + n, on_ping, out);
        memcpy(out->bytes + out->n, buffer, n_passed);
        out->n += n_passed;
        free(buffer);
    }
}

static void check(const struct stream_case *c, size_t piece)
{
    struct fed fed;
    feed(c->in, piece, &fed);
    if (fed.guard.close_code != c->close_code || fed.guard.peer_is_done != c->peer_is_done ||
        strcmp(fed.pings, c->pings) != 0 || fed.n != c->out.len ||
        memcmp(fed.bytes, c->out.ptr, fed.n) != 0) {
        fail_msg("line %d: %s, in pieces of %zu: passed %zu bytes, code %u, done %d, pings %s",
                 c->line, c->name, piece, fed.n, fed.guard.close_code, fed.guard.peer_is_done,
                 fed.pings);
    }
}

static void test_streams_whole_and_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t piece = 1; piece <= cases[i].in.len; piece++) {
            check(&cases[i], piece);
        }
    }
}

/* A stream that stops anywhere has not ended before the byte that ends it. */
static void test_prefix_of_legal_stream_goes_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t len = 0; cases[i].close_code == 0 && len < cases[i].in.len; len++) {
            struct fed fed;
            feed((struct str){cases[i].in.ptr, len}, len + 1, &fed);
            assert_int_equal(fed.guard.close_code, 0);
        }
    }
}

/* The end of TCP ends the stream as a close frame would. */
static void test_end_of_tcp(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        uint16_t code;
    } ends[] = {
        {STR_INIT(""), 1005},
        {STR_INIT("\x81\x81" MASK "a"), 1005},
        {STR_INIT("\x01\x81" MASK "a"), 1005},
        {STR_INIT("\x81\x01"
                  "a"),
         1002},
        {STR_INIT("\x88\x82" MASK "\x03\xe8"), 1000},
        {STR_INIT("\x81\x01"), 1002},
        {STR_INIT("\x81"), 1005},
        {STR_INIT("\x81\x81" MASK), 1005},
        {STR_INIT("\x89\x81" MASK), 1005},
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct fed fed;
        feed(ends[i].in, 64, &fed);
        frame_guard_end(&fed.guard);
        assert_int_equal(fed.guard.close_code, ends[i].code);
        assert_true(fed.guard.peer_is_done);
        assert_false(frame_guard_is_inside(&fed.guard));
    }
}

/* [WS-20] From the first byte of a message's first frame to the last byte of its last, whatever
 * control frames come between; and in a control frame. */
static void test_inside_of_messages_and_control_frames(void **state)
{
    (void)state;
    static const struct {
        struct str bytes; /* one is inside behind each but the last */
        bool is_inside;   /* behind the last one */
    } streams[] = {
        {STR_INIT("\x81\x83" MASK "abc"), false},
        {STR_INIT("\x81\x80" MASK), false},
        {STR_INIT("\x81\xfe\0\x7e" MASK BYTES_125 "x"), false},
        {STR_INIT("\x01\x80" MASK), true},
        {STR_INIT("\x01\x81" MASK "a"), true},
        {STR_INIT("\x01\x80" MASK "\0\x81" MASK "a\x89\x80" MASK "\x80\x80" MASK), false},
        {STR_INIT("\x89\x81" MASK "p"), false},
        {STR_INIT("\x8a\x82" MASK "pq"), false},
    };
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        struct str bytes = streams[i].bytes;
        for (size_t len = 0; len <= bytes.len; len++) {
            struct fed fed;
            feed((struct str){bytes.ptr, len}, 1, &fed);
            bool is_last = len == bytes.len;
            assert_int_equal(frame_guard_is_inside(&fed.guard),
                             is_last ? streams[i].is_inside : len > 0);
            assert_int_equal(fed.guard.ended_one, is_last && !streams[i].is_inside);
        }
    }
}

/* In a fragmented message control frames end nothing, and the last fragment ends it. */
static void test_what_ends_a_message(void **state)
{
    (void)state;
    static const struct {
        struct str bytes;
        bool ends;
    } steps[] = {
        {STR_INIT("\x01\x81" MASK "a"), false},
        {STR_INIT("\x89\x81" MASK "p"), false},
        {STR_INIT("\x8a\x80" MASK), false},
        {STR_INIT("\0\x80" MASK), false},
        {STR_INIT("\x80\x80" MASK), true},
        {STR_INIT("\x89\x81" MASK "p"), true},
        {STR_INIT("\x81"), false},
        {STR_INIT("\x80" MASK "\x81"), true},
    };
    struct fed fed = {0};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        uint8_t buffer[64];
        size_t n_held = frame_guard_take_held(&fed.guard, buffer);
        memcpy(buffer + n_held, steps[i].bytes.ptr, steps[i].bytes.len);
        (void)frame_guard_pass(&fed.guard, buffer, n_held + steps[i].bytes.len, on_ping, &fed);
        assert_int_equal(fed.guard.ended_one, steps[i].ends);
    }
    assert_true(frame_guard_is_inside(&fed.guard));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_whole_and_in_pieces),
        cmocka_unit_test(test_prefix_of_legal_stream_goes_on),
        cmocka_unit_test(test_end_of_tcp),
        cmocka_unit_test(test_inside_of_messages_and_control_frames),
        cmocka_unit_test(test_what_ends_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
