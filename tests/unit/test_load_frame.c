/* The load tool's frames: what it writes is what RFC 6455 section 5 wants of a client, and it reads
 * what a server may send, wherever it is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "load/frame.h"

/* The example of section 5.7. */
static void test_hello_masked_as_the_standard_has_it(void **state)
{
    (void)state;
    struct bytes bytes = {0};
    uint32_t mask;
    memcpy(&mask, "\x37\xfa\x21\x3d", sizeof(mask));

    frame_append(&bytes, FRAME_TEXT, (struct slice){"Hello", 5}, mask);

    assert_int_equal(bytes.len, 11);
    assert_memory_equal(bytes.data, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    bytes_clear(&bytes);
}

static void test_lengths_at_each_boundary(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        size_t header_size;
        uint8_t header[10];
    } cases[] = {
        {0, 6, {0x81, 0x80}},
        {125, 6, {0x81, 0x80 | 125}},
        {126, 8, {0x81, 0x80 | 126, 0, 126}},
        {65535, 8, {0x81, 0x80 | 126, 0xff, 0xff}},
        {65536, 14, {0x81, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes bytes = {0};

        uint8_t *payload = frame_begin(&bytes, FRAME_TEXT, cases[i].len, 0);

        assert_ptr_equal(payload, bytes.data + cases[i].header_size);
        assert_int_equal(bytes.len, cases[i].header_size + cases[i].len);
        assert_memory_equal(bytes.data, cases[i].header, cases[i].header_size - 4);
        bytes_clear(&bytes);
    }
}

static void test_mask_when_twice_then_nothing_has_changed(void **state)
{
    (void)state;
    char text[40];
    for (size_t len = 0; len < sizeof(text); len++) {
        memset(text, 'a', sizeof(text));

        frame_mask((uint8_t *)text, len, 0x04030201);
        for (size_t i = 0; i < len; i++) {
            assert_int_equal(text[i], 'a' ^ (int)(i % 4 + 1));
        }
        frame_mask((uint8_t *)text, len, 0x04030201);

        for (size_t i = 0; i < sizeof(text); i++) {
            assert_int_equal(text[i], 'a');
        }
    }
}

/* A server's frame of this length, its payload filled with 'x'. */
static struct bytes server_frame(uint8_t first, size_t len)
{
    struct bytes bytes = {0};
    uint8_t header[10] = {first};
    size_t size = 2;
    header[1] = (uint8_t)(len < 126 ? len : len <= 65535 ? 126 : 127);
    for (size_t n = len < 126 ? 0 : len <= 65535 ? 2 : 8; n > 0; n--) {
        header[size++] = (uint8_t)((uint64_t)len >> (8 * (n - 1)));
    }
    bytes_append(&bytes, header, size);
    memset(bytes_extend(&bytes, len), 'x', len);
    return bytes;
}

static void test_read_when_cut_at_each_byte_then_waits(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 125, 126, 300, 65535, 65536};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct bytes bytes = server_frame(0x81, lens[i]);
        struct frame frame;

        for (size_t len = 0; len < bytes.len; len++) {
            assert_int_equal(frame_read(bytes.data, len, &frame), FRAME_CUT);
        }
        assert_int_equal(frame_read(bytes.data, bytes.len, &frame), FRAME_WHOLE);

        assert_true(frame.last);
        assert_int_equal(frame.opcode, FRAME_TEXT);
        assert_int_equal(frame.size, bytes.len);
        assert_int_equal(frame.payload.len, lens[i]);
        assert_ptr_equal(frame.payload.data + lens[i], bytes.data + bytes.len);
        bytes_clear(&bytes);
    }
}

static void test_read_takes_only_the_first(void **state)
{
    (void)state;
    struct frame frame;

    assert_int_equal(frame_read((const uint8_t *)"\x01\x01x\x89\x00", 5, &frame), FRAME_WHOLE);

    assert_false(frame.last);
    assert_int_equal(frame.size, 3);
}

static void test_read_refuses_what_no_server_may_send(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "\xc1\x01x",         /* a reserved bit */
        "\x83\x01x",         /* opcode 3 */
        "\x8b\x01x",         /* opcode 11 */
        "\x81\x81\1\1\1\1x", /* a mask */
        "\x09\x01x",         /* a ping in fragments */
        "\x89\x7e\x01x",     /* a ping of more than 125 bytes */
        "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct frame frame;
        size_t len = strlen(broken[i]);
        assert_int_equal(frame_read((const uint8_t *)broken[i], len, &frame), FRAME_BROKEN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_masked_as_the_standard_has_it),
        cmocka_unit_test(test_lengths_at_each_boundary),
        cmocka_unit_test(test_mask_when_twice_then_nothing_has_changed),
        cmocka_unit_test(test_read_when_cut_at_each_byte_then_waits),
        cmocka_unit_test(test_read_takes_only_the_first),
        cmocka_unit_test(test_read_refuses_what_no_server_may_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
