#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>

#include "chat/mem.h"
#include "dies.h"

/* The linker puts these in place of the C library's (--wrap in CMakeLists.txt). */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool memory_is_gone;

void *__wrap_calloc(size_t n, size_t size)
{
    return memory_is_gone ? NULL : __real_calloc(n, size);
}

/* Compilers turn a realloc() of NULL into this. */
void *__wrap_malloc(size_t size)
{
    return memory_is_gone ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return memory_is_gone ? NULL : __real_realloc(old, size);
}

/* Memory comes zeroed, also when the allocator hands out again what was used before. */
static void test_alloc_is_zeroed(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        unsigned char *mem = mem_alloc(100);
        for (size_t i = 0; i < 100; i++) {
            assert_int_equal(mem[i], 0);
        }
        memset(mem, 0xFF, 100);
        free(mem);
    }
}

static void test_alloc_of_nothing_is_not_null(void **state)
{
    (void)state;
    void *mem = mem_alloc(0);
    assert_non_null(mem);
    free(mem);
}

static void test_realloc_keeps_the_content(void **state)
{
    (void)state;
    char *mem = mem_realloc(NULL, 4);
    memcpy(mem, "abc", 4);
    mem = mem_realloc(mem, 4000);
    assert_string_equal(mem, "abc");
    free(mem);
}

static void test_copy_is_terminated_and_whole(void **state)
{
    (void)state;
    char *copy = mem_copy((struct str){"a\0bcd", 4});
    assert_memory_equal(copy, "a\0bc", 5);
    free(copy);
}

static void test_copy_of_nothing_is_empty(void **state)
{
    (void)state;
    char *copy = mem_copy((struct str){NULL, 0});
    assert_string_equal(copy, "");
    free(copy);
}

static void alloc_without_memory(void)
{
    memory_is_gone = true;
    free(mem_alloc(10));
}

static void realloc_without_memory(void)
{
    memory_is_gone = true;
    free(mem_realloc(NULL, 10));
}

static void copy_without_memory(void)
{
    memory_is_gone = true;
    free(mem_copy(STR("abc")));
}

/* Nobody has to handle NULL, for nobody ever gets it. */
static void test_out_of_memory_aborts_with_a_message(void **state)
{
    (void)state;
    assert_true(dies_saying(alloc_without_memory, "out of memory: 10 bytes"));
    assert_true(dies_saying(realloc_without_memory, "out of memory: 10 bytes"));
    assert_true(dies_saying(copy_without_memory, "out of memory: 4 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_is_zeroed),
        cmocka_unit_test(test_alloc_of_nothing_is_not_null),
        cmocka_unit_test(test_realloc_keeps_the_content),
        cmocka_unit_test(test_copy_is_terminated_and_whole),
        cmocka_unit_test(test_copy_of_nothing_is_empty),
        cmocka_unit_test(test_out_of_memory_aborts_with_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
