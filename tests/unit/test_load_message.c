/* The load tool's reading of replies and deliveries in any form that JSON allows, and of bodies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "load/message.h"

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static void assert_slice(struct slice slice, const char *text)
{
    assert_int_equal(slice.len, strlen(text));
    assert_memory_equal(slice.data, text, slice.len);
}

static void test_delivery_in_any_form(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"body\":\"b\",\"from\":\"u-1\"}",
        "{\"from\":\"u-1\",\"id\":\"1-0\",\"time\":17,\"body\":\"b\"}",
        " { \"x\" : [{\"from\":\"no\"} , \"]}\\\"\"] ,\n\t\"from\" : \"u-1\" , \"body\":\"b\"}",
        "{\"broadcast\":1 ,\"body\":\"b\",\"y\":{},\"from\":\"u-1\",\"z\":true}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct message message;
        assert_true(message_read(slice_of(texts[i]), &message));
        assert_int_equal(message.status, -1);
        assert_slice(message.body, "b");
        assert_slice(message.from, "u-1");
    }
}

static void test_replies(void **state)
{
    (void)state;
    struct message message;

    assert_true(
        message_read(slice_of("{\"status\":1,\"msg\":\"sended\",\"token\":\"ab\"}"), &message));
    assert_int_equal(message.status, 1);
    assert_slice(message.token, "ab");
    assert_null(message.from.data);
    assert_true(message_read(slice_of("{\"code\":\"full\", \"status\": 0 }"), &message));
    assert_int_equal(message.status, 0);
    assert_slice(message.code, "full");
}

static void test_what_is_not_a_message_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{",
        "{}",
        "{\"status\"}",
        "{\"status\":true}",
        "{\"status\":1} x",
        "{\"status\":1,}",
        "{\"from\":7,\"body\":\"b\"}",
        "{\"from\":\"a",
        "{\"status\":1 \"x\":2}",
        "{\"x\":[1,2}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct message message;
        assert_false(message_read(slice_of(texts[i]), &message));
    }
}

static void test_cut_at_each_byte_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":{\"b\":[1,\"\\\"\"]},\"body\":\"b\",\"from\":\"u\",\"status\":1}";
    struct message message;
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        assert_false(message_read((struct slice){text, len}, &message));
    }
    assert_true(message_read(slice_of(text), &message));
}

static void test_stamp_when_written_then_read(void **state)
{
    (void)state;
    static const size_t sizes[] = {BODY_SIZE_MIN, BODY_SIZE_MIN + 1, 32, 1024};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char body[1024];
        struct stamp read;
        stamp_write(body, sizes[i], &(struct stamp){0xfedcba98u, 0x0123456789abcdefu});

        assert_true(stamp_read((struct slice){body, sizes[i]}, sizes[i], &read));

        assert_true(read.number == 0xfedcba98u);
        assert_true(read.time_ns == 0x0123456789abcdefu);
    }
}

/* A body that lost, gained or changed a byte is not one of ours. Digits may become other digits:
 * then it is another message, and the number says so. */
static void test_stamp_when_changed_then_refused(void **state)
{
    (void)state;
    enum {
        SIZE = 40
    };
    char body[SIZE];
    struct stamp read;
    stamp_write(body, SIZE, &(struct stamp){7, 9});

    assert_false(stamp_read((struct slice){body, SIZE - 1}, SIZE, &read));
    assert_false(stamp_read((struct slice){body, SIZE}, SIZE + 1, &read));
    for (size_t i = 0; i < SIZE; i++) {
        char was = body[i];
        body[i] = 'g';
        assert_false(stamp_read((struct slice){body, SIZE}, SIZE, &read));
        body[i] = was;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delivery_in_any_form),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_what_is_not_a_message_is_refused),
        cmocka_unit_test(test_cut_at_each_byte_is_refused),
        cmocka_unit_test(test_stamp_when_written_then_read),
        cmocka_unit_test(test_stamp_when_changed_then_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
