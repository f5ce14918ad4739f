#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "chat/id_table.h"

/* What the table should hold: the value of each id below N_IDS, NULL for none. */
enum {
    N_IDS = 2000
};

struct model {
    char *values[N_IDS];
    size_t count;
};

/* Values are addresses in here. */
static char places[N_IDS];

static int setup(void **state)
{
    *state = id_table_create();
    return 0;
}

static int teardown(void **state)
{
    id_table_destroy(*state);
    return 0;
}

static void test_empty_table_has_nothing(void **state)
{
    struct id_table *table = *state;
    size_t cursor = 0;
    assert_null(id_table_get(table, 1));
    assert_null(id_table_take(table, 1));
    assert_int_equal(id_table_count(table), 0);
    assert_null(id_table_next(table, &cursor));
}

static void test_put_replaces(void **state)
{
    struct id_table *table = *state;
    id_table_put(table, 7, &places[0]);
    id_table_put(table, 7, &places[1]);
    assert_ptr_equal(id_table_get(table, 7), &places[1]);
    assert_int_equal(id_table_count(table), 1);
}

static void test_take_removes(void **state)
{
    struct id_table *table = *state;
    id_table_put(table, 7, &places[0]);
    assert_ptr_equal(id_table_take(table, 7), &places[0]);
    assert_null(id_table_get(table, 7));
    assert_null(id_table_take(table, 7));
    assert_int_equal(id_table_count(table), 0);
}

/* Ids at the far end of 64 bits are as good as any. */
static void test_any_id_but_none(void **state)
{
    struct id_table *table = *state;
    id_table_put(table, UINT64_MAX, &places[0]);
    id_table_put(table, UINT64_C(1) << 63, &places[1]);
    assert_ptr_equal(id_table_get(table, UINT64_MAX), &places[0]);
    assert_ptr_equal(id_table_get(table, UINT64_C(1) << 63), &places[1]);
    assert_null(id_table_get(table, CONN_NONE));
}

/* The table has what the model has, and next() gives each of it once. */
static void check(const struct id_table *table, const struct model *model)
{
    static unsigned char seen[N_IDS];
    memset(seen, 0, sizeof seen);
    assert_int_equal(id_table_count(table), model->count);
    for (conn_id id = 1; id < N_IDS; id++) {
        assert_ptr_equal(id_table_get(table, id), model->values[id]);
    }
    size_t n_seen = 0;
    size_t cursor = 0;
    for (char *value; (value = id_table_next(table, &cursor)) != NULL; n_seen++) {
        assert_int_equal(seen[value - places]++, 0);
    }
    assert_int_equal(n_seen, model->count);
}

/* A fixed sequence of numbers that look random (xorshift64). */
static uint64_t next_number(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Put or take ids of 1 to n_ids at random, 'n' times. Value i of the model is always places[i]. */
static void play(struct id_table *table, struct model *model, uint64_t *seed, conn_id n_ids, int n)
{
    for (int i = 0; i < n; i++) {
        conn_id id = 1 + next_number(seed) % n_ids;
        if (next_number(seed) % 2 == 0) {
            id_table_put(table, id, &places[id]);
            model->count += model->values[id] == NULL;
            model->values[id] = &places[id];
        } else {
            assert_ptr_equal(id_table_take(table, id), model->values[id]);
            model->count -= model->values[id] != NULL;
            model->values[id] = NULL;
        }
    }
}

/* In a table that never grows past 16 slots entries wrap around its end and stand in each
 * other's way. */
static void test_small_table_is_right_after_every_step(void **state)
{
    (void)state;
    uint64_t seed = 20180101;
    for (int round = 0; round < 20; round++) {
        struct id_table *table = id_table_create();
        struct model model = {{NULL}, 0};
        for (int step = 0; step < 100; step++) {
            play(table, &model, &seed, 12, 1);
            check(table, &model);
        }
        id_table_destroy(table);
    }
}

static void test_growing_table_is_right(void **state)
{
    struct id_table *table = *state;
    struct model model = {{NULL}, 0};
    uint64_t seed = 42;
    for (int step = 0; step < 100; step++) {
        play(table, &model, &seed, N_IDS - 1, 500);
        check(table, &model);
    }
}

/* As a server lives: ids only rise, and the old ones go. */
static void test_ids_that_only_rise(void **state)
{
    struct id_table *table = *state;
    for (conn_id id = 1; id <= 200000; id++) {
        id_table_put(table, id, &places[id % N_IDS]);
        if (id > 1000) {
            assert_ptr_equal(id_table_take(table, id - 1000), &places[(id - 1000) % N_IDS]);
        }
    }
    assert_int_equal(id_table_count(table), 1000);
}

static void test_destroy_of_null_is_allowed(void **state)
{
    (void)state;
    id_table_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty_table_has_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_take_removes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_id_but_none, setup, teardown),
        cmocka_unit_test(test_small_table_is_right_after_every_step),
        cmocka_unit_test_setup_teardown(test_growing_table_is_right, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_that_only_rise, setup, teardown),
        cmocka_unit_test(test_destroy_of_null_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
