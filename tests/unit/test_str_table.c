/* A table from bytes to entries, which gets what was added and not removed, whatever the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "chat/str_table.h"
#include "exact_copy.h"

enum {
    N_ENTRIES = 2000,
    KEY_SIZE_MAX = 24
};

/* What is kept under a key; its key is in 'text'. */
struct named {
    struct str_entry entry;
    char text[KEY_SIZE_MAX];
};

static int setup(void **state)
{
    *state = str_table_create();
    return 0;
}

static int teardown(void **state)
{
    str_table_destroy(*state);
    return 0;
}

static struct named named_as(struct str key)
{
    struct named named = {0};
    assert_in_range(key.len, 0, KEY_SIZE_MAX);
    memcpy(named.text, key.ptr, key.len);
    named.entry.key = key;
    return named;
}

static void add(struct str_table *table, struct named *named)
{
    named->entry.key.ptr = named->text;
    str_table_add(table, &named->entry);
}

/* By a copy of the exact size, so that AddressSanitizer sees what is read behind it. */
static struct str_entry *get(const struct str_table *table, struct str key)
{
    char *copy = exact_copy(key);
    struct str_entry *entry = str_table_get(table, (struct str){copy, key.len});
    free(copy);
    return entry;
}

static void test_empty_table_has_nothing(void **state)
{
    struct str_table *table = *state;
    assert_null(get(table, STR("a")));
    assert_null(get(table, STR("")));
    assert_int_equal(str_table_count(table), 0);
}

static void test_destroying_null_is_allowed(void **state)
{
    (void)state;
    str_table_destroy(NULL);
}

/* Keys are compared byte for byte and to their whole length: NUL is a byte as any. */
static void test_keys_are_any_bytes(void **state)
{
    struct str_table *table = *state;
    static const struct str keys[] = {
        STR_INIT(""),         STR_INIT("a"),        STR_INIT("A"),
        STR_INIT("b"),        STR_INIT("\0"),       STR_INIT("\0\0"),
        STR_INIT("a\0"),      STR_INIT("\0a"),      STR_INIT("a\0b"),
        STR_INIT("a\0c"),     STR_INIT("\xFF"),     STR_INIT("\x7F"),
        STR_INIT("1234567"),  STR_INIT("12345678"), STR_INIT("123456789"),
        STR_INIT("12345679"), STR_INIT("82345678"), STR_INIT("1234567812345678"),
    };
    enum {
        N_KEYS = sizeof keys / sizeof keys[0]
    };
    struct named entries[N_KEYS];
    for (size_t i = 0; i < N_KEYS; i++) {
        assert_null(get(table, keys[i]));
        entries[i] = named_as(keys[i]);
        add(table, &entries[i]);
        for (size_t j = 0; j < i; j++) {
            assert_true(entries[i].entry.hash != entries[j].entry.hash);
        }
    }

    for (size_t i = 0; i < N_KEYS; i++) {
        assert_ptr_equal(get(table, keys[i]), &entries[i].entry);
    }
    assert_int_equal(str_table_count(table), N_KEYS);
}

static void given_number(struct named *named, int number)
{
    char text[KEY_SIZE_MAX];
    snprintf(text, sizeof text, "key %d", number);
    *named = named_as(str_of(text));
}

/* Beyond its first size, too; every third one removed, and some of those added again. */
static void test_table_has_what_was_added_and_not_removed(void **state)
{
    struct str_table *table = *state;
    static struct named entries[N_ENTRIES];
    for (int i = 0; i < N_ENTRIES; i++) {
        given_number(&entries[i], i);
        add(table, &entries[i]);
    }
    assert_int_equal(str_table_count(table), N_ENTRIES);

    size_t n = N_ENTRIES;
    for (int i = 0; i < N_ENTRIES; i += 3) {
        str_table_remove(table, &entries[i].entry);
        n--;
    }
    for (int i = 0; i < N_ENTRIES; i += 9) {
        str_table_add(table, &entries[i].entry);
        n++;
    }

    assert_int_equal(str_table_count(table), n);
    for (int i = 0; i < N_ENTRIES; i++) {
        bool is_there = i % 3 != 0 || i % 9 == 0;
        assert_ptr_equal(get(table, entries[i].entry.key), is_there ? &entries[i].entry : NULL);
    }
}

/* So that nobody can choose keys that fall together, a key has another hash in each table. */
static void test_hashes_of_two_tables_differ(void **state)
{
    struct str_table *table = *state;
    struct str_table *other = str_table_create();
    struct named here = named_as(STR("alice"));
    struct named there = named_as(STR("alice"));

    add(table, &here);
    add(other, &there);

    assert_true(here.entry.hash != there.entry.hash);
    str_table_destroy(other);
}

/* Every bit of the key counts: keys that each have another one set all have other hashes. */
static void test_hashes_of_similar_keys_differ(void **state)
{
    struct str_table *table = *state;
    static struct named entries[KEY_SIZE_MAX * 8];
    for (int i = 0; i < KEY_SIZE_MAX * 8; i++) {
        char text[KEY_SIZE_MAX] = "";
        text[i / 8] = (char)(1 << i % 8);
        entries[i] = named_as((struct str){text, sizeof text});
        add(table, &entries[i]);
        for (int j = 0; j < i; j++) {
            assert_true(entries[i].entry.hash != entries[j].entry.hash);
        }
    }
}

#define TABLE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TABLE_TEST(test_empty_table_has_nothing),
        cmocka_unit_test(test_destroying_null_is_allowed),
        TABLE_TEST(test_keys_are_any_bytes),
        TABLE_TEST(test_table_has_what_was_added_and_not_removed),
        TABLE_TEST(test_hashes_of_two_tables_differ),
        TABLE_TEST(test_hashes_of_similar_keys_differ),
    };
    return cmocka_run_group_tests_name("str_table", tests, NULL, NULL);
}
