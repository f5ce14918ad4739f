/* [WS-15] What the guard lets through to libwebsockets, and when it calls a stream
 * broken. Each stream is fed whole, and byte by byte: where TCP splits it makes no difference. */
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

#define MASK "\x01\x02\x03\x04"

struct stream_case {
    int line;
    const char *name;
    struct str in;
    struct str out; /* what is passed on */
    bool broken;
};

static const struct stream_case cases[] = {
    {__LINE__, "a text", STR_INIT("\x81\x81" MASK "a"), STR_INIT("\x81\x81" MASK "a"), false},
    {__LINE__, "an empty text", STR_INIT("\x81\x80" MASK), STR_INIT("\x81\x80" MASK), false},
    {__LINE__, "two frames", STR_INIT("\x81\x81" MASK "a\x82\x81" MASK "b"),
     STR_INIT("\x81\x81" MASK "a\x82\x81" MASK "b"), false},
    {__LINE__, "fragments with a ping between",
     STR_INIT("\x01\x81" MASK "a\x89\x80" MASK "\x00\x80" MASK "\x80\x81" MASK "b"),
     STR_INIT("\x01\x81" MASK "a\x89\x80" MASK "\x00\x80" MASK "\x80\x81" MASK "b"), false},
    {__LINE__, "a length of 16 bits", STR_INIT("\x81\xfe\x00\x02" MASK "ab\x89\x80" MASK),
     STR_INIT("\x81\xfe\x00\x02" MASK "ab\x89\x80" MASK), false},
    {__LINE__, "a length of 64 bits",
     STR_INIT("\x81\xff\x00\x00\x00\x00\x00\x00\x00\x01" MASK "a\x81\x01"),
     STR_INIT("\x81\xff\x00\x00\x00\x00\x00\x00\x00\x01" MASK "a"), true},
    {__LINE__, "no mask",
     STR_INIT("\x81\x01"
              "a"),
     STR_INIT(""), true},
    {__LINE__, "no mask and empty", STR_INIT("\x89\x00"), STR_INIT(""), true},
    {__LINE__, "a reserved bit", STR_INIT("\xc1\x81" MASK "a"), STR_INIT(""), true},
    {__LINE__, "the last reserved bit", STR_INIT("\x91\x81" MASK "a"), STR_INIT(""), true},
    {__LINE__, "a reserved opcode", STR_INIT("\x83\x80" MASK), STR_INIT(""), true},
    {__LINE__, "a reserved control opcode", STR_INIT("\x8b\x80" MASK), STR_INIT(""), true},
    {__LINE__, "a fragmented ping", STR_INIT("\x09\x80" MASK), STR_INIT(""), true},
    {__LINE__, "a ping of 126 bytes", STR_INIT("\x89\xfe\x00\x7e" MASK), STR_INIT(""), true},
    {__LINE__, "a close with half a status code", STR_INIT("\x88\x81" MASK "x"), STR_INIT(""),
     true},
    {__LINE__, "a close with a status code", STR_INIT("\x88\x82" MASK "xy"),
     STR_INIT("\x88\x82" MASK "xy"), false},
    {__LINE__, "a continuation of nothing", STR_INIT("\x80\x80" MASK), STR_INIT(""), true},
    {__LINE__, "a text within a text", STR_INIT("\x01\x80" MASK "\x81\x80" MASK),
     STR_INIT("\x01\x80" MASK), true},
    {__LINE__, "a continuation after the end",
     STR_INIT("\x01\x80" MASK "\x80\x80" MASK "\x80\x80" MASK),
     STR_INIT("\x01\x80" MASK "\x80\x80" MASK), true},
    {__LINE__, "after the fault nothing passes",
     STR_INIT("\x81\x02"
              "ab\x81\x81" MASK "c\x88\x82" MASK "xy"),
     STR_INIT(""), true},
    {__LINE__, "but no close without a mask",
     STR_INIT("\x81\x01"
              "a\x88\x00"),
     STR_INIT(""), true},
    {__LINE__, "a length beyond 63 bits",
     STR_INIT("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00" MASK "\x88\x80" MASK),
     STR_INIT("\x81\xff"), true},
};

enum {
    STREAM_SIZE_MAX = 256
};

struct fed {
    uint8_t bytes[STREAM_SIZE_MAX];
    size_t n;
    bool broken;
};

/* Feed 'in' in pieces of 'piece' bytes, each in a heap buffer of the exact size, as wire.c does. */
static void feed(struct str in, size_t piece, struct fed *out)
{
    struct frame_guard guard = {0};
    out->n = 0;
    for (size_t i = 0; i < in.len; i += piece) {
        size_t n = in.len - i < piece ? in.len - i : piece;
        uint8_t held = 0;
        size_t n_held = frame_guard_take_held(&guard, &held) ? 1 : 0;
        uint8_t *buffer = malloc(n_held + n);
        assert_non_null(buffer);
        buffer[0] = held;
        memcpy(buffer + n_held, in.ptr + i, n);
        size_t n_passed = frame_guard_pass(&guard, buffer, n_held + n);
        memcpy(out->bytes + out->n, buffer, n_passed);
        out->n += n_passed;
        free(buffer);
    }
    out->broken = guard.broken;
}

static void check(const struct stream_case *c, size_t piece)
{
    struct fed fed;
    feed(c->in, piece, &fed);
    if (fed.broken != c->broken || fed.n != c->out.len ||
        memcmp(fed.bytes, c->out.ptr, fed.n) != 0) {
        fail_msg("line %d: %s, in pieces of %zu: passed %zu bytes, broken %d", c->line, c->name,
                 piece, fed.n, fed.broken);
    }
}

static void test_streams_whole_and_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t piece = 1; piece <= cases[i].in.len; piece++) {
            check(&cases[i], piece);
        }
    }
}

/* The answer to our close frame, and nothing else, is let through when we have begun to close. */
static void test_close_passes_once_the_transport_closes(void **state)
{
    (void)state;
    struct frame_guard guard = {0};
    uint8_t before[] = {0x81, 0x00, 0x88, 0x80, 1, 2, 3, 4};
    assert_int_equal(frame_guard_pass(&guard, before, sizeof(before)), 0);
    assert_true(guard.broken);
    assert_true(guard.close_dropped);

    guard.close_passes = true;
    uint8_t after[] = {0x81, 0x81, 1, 2, 3, 4, 'a', 0x88, 0x80, 1, 2, 3, 4, 0x89, 0x80, 1, 2, 3, 4};
    const uint8_t answer[] = {0x88, 0x80, 1, 2, 3, 4};

    assert_int_equal(frame_guard_pass(&guard, after, sizeof(after)), sizeof(answer));
    assert_memory_equal(after, answer, sizeof(answer));
    assert_false(guard.close_dropped);
}

/* A stream that stops anywhere is not broken before the byte that breaks it. */
static void test_prefix_of_legal_stream_is_not_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t len = 0; !cases[i].broken && len < cases[i].in.len; len++) {
            struct fed fed;
            feed((struct str){cases[i].in.ptr, len}, len + 1, &fed);
            assert_false(fed.broken);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_whole_and_in_pieces),
        cmocka_unit_test(test_close_passes_once_the_transport_closes),
        cmocka_unit_test(test_prefix_of_legal_stream_is_not_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
