/* The table of this process's devices. What the stores promise about it is in store_contract.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "mapping_store/devices.h"

static int setup(void **state)
{
    *state = devices_create();
    return 0;
}

static int teardown(void **state)
{
    devices_destroy(*state);
    return 0;
}

static struct str numbered_uid(char *out, size_t size, unsigned i)
{
    snprintf(out, size, "user-%u", i);
    return str_of(out);
}

/* Thousands of uids, so that the table has to grow, each with its own devices. */
static void test_many_users_are_kept_apart(void **state)
{
    struct devices *devices = *state;
    enum {
        N = 5000
    };
    char text[32];
    for (unsigned i = 0; i < 2 * N; i++) {
        devices_bind(devices, i + 1, numbered_uid(text, sizeof text, i % N), MESSAGE_ID_NONE);
    }
    assert_int_equal(devices_count(devices), 2 * N);
    for (unsigned i = 0; i < N; i += 2) {
        assert_true(devices_unbind(devices, i + 1));
    }

    for (unsigned i = 0; i < N; i++) {
        const conn_id *found;
        size_t n = devices_find(devices, numbered_uid(text, sizeof text, i), &found);
        assert_int_equal(n, i % 2 == 0 ? 1 : 2);
        assert_int_equal(found[n - 1], i + 1 + N);
        assert_true(str_eq(devices_uid(devices, i + 1 + N), str_of(text)));
        assert_int_equal(devices_uid(devices, i + 1).len, i % 2 == 0 ? 0 : str_of(text).len);
    }
}

/* What is found stays as it was while the caller unbinds. */
static void test_found_is_a_copy(void **state)
{
    struct devices *devices = *state;
    devices_bind(devices, 1, STR("a"), MESSAGE_ID_NONE);
    devices_bind(devices, 2, STR("a"), MESSAGE_ID_NONE);
    const conn_id *found;
    size_t n = devices_find(devices, STR("a"), &found);

    devices_unbind(devices, 1);
    devices_unbind(devices, 2);

    assert_int_equal(n, 2);
    assert_int_equal(found[0], 1);
    assert_int_equal(found[1], 2);
    assert_false(devices_unbind(devices, 2));
    assert_int_equal(devices_find(devices, STR("a"), &found), 0);
}

static conn_id rotate(struct devices *devices)
{
    conn_id device = CONN_NONE;
    struct str uid;
    return devices_rotate(devices, &device, &uid) ? device : CONN_NONE;
}

/* Every device has its turn before one has it twice; who leaves is passed over, who comes waits. */
static void test_rotate_gives_each_device_its_turn(void **state)
{
    struct devices *devices = *state;
    assert_int_equal(rotate(devices), CONN_NONE);
    for (conn_id id = 1; id <= 4; id++) {
        devices_bind(devices, id, STR("a"), MESSAGE_ID_NONE);
    }

    assert_int_equal(rotate(devices), 1);
    devices_unbind(devices, 3);
    devices_bind(devices, 5, STR("b"), MESSAGE_ID_NONE);
    assert_int_equal(rotate(devices), 2);
    assert_int_equal(rotate(devices), 4);
    assert_int_equal(rotate(devices), 1);
    assert_int_equal(rotate(devices), 5);
    devices_bind(devices, 2, STR("b"), MESSAGE_ID_NONE);
    assert_int_equal(rotate(devices), 4);
}

/* [CAST-6] Who comes behind an entry of the queue, or a later one, does not get it. A device that
 * moves stays where it is. */
static void test_bound_before_leaves_out_who_comes_behind(void **state)
{
    struct devices *devices = *state;
    const struct message_id first = {5, 0};
    const struct message_id second = {5, 1};
    const conn_id *found;
    assert_int_equal(devices_bound_before(devices, first, &found), 0);
    devices_bind(devices, 1, STR("a"), MESSAGE_ID_NONE);
    devices_bind(devices, 2, STR("a"), first);
    devices_bind(devices, 3, STR("b"), second);
    devices_bind(devices, 1, STR("b"), second);

    assert_int_equal(devices_bound_before(devices, first, &found), 1);
    assert_int_equal(found[0], 1);
    assert_int_equal(devices_bound_before(devices, second, &found), 2);
    assert_int_equal(devices_bound_before(devices, (struct message_id){6, 0}, &found), 3);

    devices_bound_before_all(devices);
    assert_int_equal(devices_bound_before(devices, (struct message_id){1, 0}, &found), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_users_are_kept_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_found_is_a_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotate_gives_each_device_its_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bound_before_leaves_out_who_comes_behind, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("devices", tests, NULL, NULL);
}
