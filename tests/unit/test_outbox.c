/* Frames as RFC 6455 section 5.2 has them, one behind the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "transport/outbox.h"

static void test_header_sizes_at_each_boundary(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        size_t header_size;
        uint8_t header[FRAME_HEADER_SIZE_MAX];
    } cases[] = {
        {0, 2, {0x81, 0}},
        {125, 2, {0x81, 125}},
        {126, 4, {0x81, 126, 0, 126}},
        {65535, 4, {0x81, 126, 0xff, 0xff}},
        {65536, 10, {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
        {0x0102030405, 10, {0x81, 127, 0, 0, 0, 1, 2, 3, 4, 5}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t header[FRAME_HEADER_SIZE_MAX] = {0};
        assert_int_equal(frame_header_write(FRAME_TEXT, cases[i].len, header),
                         cases[i].header_size);
        assert_memory_equal(header, cases[i].header, cases[i].header_size);
    }
}

static void test_append_puts_frames_behind_each_other(void **state)
{
    (void)state;
    struct outbox outbox = {0};

    outbox_append(&outbox, FRAME_TEXT, STR("one"));
    outbox_append(&outbox, FRAME_PING, STR(""));
    outbox_append(&outbox, FRAME_TEXT, STR("2"));

    assert_int_equal(outbox.len, 10);
    assert_memory_equal(outbox_bytes(&outbox),
                        "\x81\x03one\x89\x00\x81\x01"
                        "2",
                        10);
    outbox_clear(&outbox);
}

static void test_append_grows_and_keeps_all(void **state)
{
    (void)state;
    struct outbox outbox = {0};
    char text[1000];
    memset(text, 'x', sizeof(text));

    for (size_t i = 0; i < 100; i++) {
        text[0] = (char)i;
        outbox_append(&outbox, FRAME_TEXT, (struct str){text, sizeof(text)});
    }

    assert_int_equal(outbox.len, 100 * (4 + sizeof(text)));
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(outbox_bytes(&outbox)[i * (4 + sizeof(text)) + 4], i);
    }
    outbox_clear(&outbox);
}

static void test_clear_gives_memory_back(void **state)
{
    (void)state;
    struct outbox outbox = {0};
    outbox_append(&outbox, FRAME_TEXT, STR("x"));

    outbox_clear(&outbox);

    assert_null(outbox.memory);
    assert_int_equal(outbox.len, 0);
    assert_int_equal(outbox.capacity, 0);
}

static void test_frame_end_is_where_a_part_of_a_frame_ends(void **state)
{
    (void)state;
    struct outbox outbox = {0};
    static char text[70000];
    static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536};
    size_t end = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        outbox_append(&outbox, FRAME_TEXT, (struct str){text, sizes[i]});
    }

    assert_int_equal(outbox_frame_end(&outbox, 0), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t header[FRAME_HEADER_SIZE_MAX];
        size_t start = end;
        end += frame_header_write(FRAME_TEXT, sizes[i], header) + sizes[i];
        assert_int_equal(outbox_frame_end(&outbox, start + 1), end);
        assert_int_equal(outbox_frame_end(&outbox, end - 1), end);
        assert_int_equal(outbox_frame_end(&outbox, end), end);
    }
    outbox_clear(&outbox);
}

/* What has left is forgotten, what follows keeps its order, and memory goes back. */
static void test_drop_of_what_has_left(void **state)
{
    (void)state;
    struct outbox outbox = {0};
    static char text[1000];
    enum {
        FRAME = 4 + sizeof(text),
        N = 1000
    };
    for (size_t i = 0; i < N; i++) {
        memset(text, (int)i, sizeof(text));
        outbox_append(&outbox, FRAME_TEXT, (struct str){text, sizeof(text)});
    }
    assert_true(outbox_allocated(&outbox) >= N * FRAME);

    for (size_t i = 0; i < N; i++) {
        assert_int_equal(outbox.len, (N - i) * FRAME);
        assert_int_equal(outbox_bytes(&outbox)[FRAME - 1], i & 0xff);
        outbox_drop(&outbox, FRAME);
        assert_true(outbox_allocated(&outbox) <= 2 * outbox.len + 1100000);
        if (i == N - 10) {
            assert_true(outbox_allocated(&outbox) <= 3 * 65536);
            memset(text, 'x', sizeof(text));
            outbox_append(&outbox, FRAME_TEXT, (struct str){text, sizeof(text)});
            assert_int_equal(outbox_bytes(&outbox)[outbox.len - 1], 'x');
            outbox.len -= FRAME;
        }
    }
    assert_int_equal(outbox_allocated(&outbox), 0);
    assert_null(outbox.memory);
}

/* libwebsockets may write into the bytes in front. */
static void test_bytes_have_headroom(void **state)
{
    (void)state;
    struct outbox outbox = {0};
    outbox_append(&outbox, FRAME_TEXT, STR("x"));
    memset(outbox_bytes(&outbox) - OUTBOX_HEADROOM, 0xff, OUTBOX_HEADROOM);
    assert_memory_equal(outbox_bytes(&outbox), "\x81\x01x", 3);
    outbox_clear(&outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_sizes_at_each_boundary),
        cmocka_unit_test(test_append_puts_frames_behind_each_other),
        cmocka_unit_test(test_append_grows_and_keeps_all),
        cmocka_unit_test(test_clear_gives_memory_back),
        cmocka_unit_test(test_frame_end_is_where_a_part_of_a_frame_ends),
        cmocka_unit_test(test_drop_of_what_has_left),
        cmocka_unit_test(test_bytes_have_headroom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
