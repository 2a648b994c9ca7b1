#include "support/test.h"

#include "common/map.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS = 300, STEPS = 100 * 1000 };

/* The twin: one slot for each key there can be. */
static void *twin[KEYS];
static size_t twin_count;

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return *state >> 33;
}

/* Keys of all lengths, some a beginning of others, some with NUL inside. */
static size_t make_key(unsigned number, char *key)
{
    size_t size = number % 7;

    memset(key, 0, 16);
    memcpy(key, &number, sizeof number);
    return size + sizeof number;
}

static void check_same(const struct map *m)
{
    size_t seen = 0;

    assert_int_equal(map_count(m), twin_count);
    for (size_t i = 0; i < map_count(m); i++) {
        const void *key;
        size_t size;
        unsigned number;
        void *value = map_at(m, i, &key, &size);

        memcpy(&number, key, sizeof number);
        assert_true(number < KEYS);
        assert_ptr_equal(value, twin[number]);
        seen++;
    }
    assert_int_equal(seen, twin_count);
}

static void step(struct map *m, uint64_t *random)
{
    unsigned number = (unsigned)(next_random(random) % KEYS);
    char key[16];
    size_t size = make_key(number, key);
    void *value = (char *)twin + next_random(random) % sizeof twin;

    assert_ptr_equal(map_get(m, key, size), twin[number]);
    if (next_random(random) % 3 > 0) {
        assert_ptr_equal(map_put(m, key, size, value), twin[number]);
        twin_count += twin[number] == NULL;
        twin[number] = value;
    } else {
        assert_ptr_equal(map_remove(m, key, size), twin[number]);
        twin_count -= twin[number] != NULL;
        twin[number] = NULL;
    }
}

static void test_it_does_what_a_plain_array_does(void **state)
{
    struct map *m = map_new();
    uint64_t random = 1;

    (void)state;
    for (int i = 0; i < STEPS; i++) {
        step(m, &random);
        if (i % 97 == 0)
            check_same(m);
    }
    check_same(m);
    map_free(m);
}

static void test_order_is_that_of_insertion(void **state)
{
    static const char *const names[] = { "q", "a", "zz", "", "b" };
    struct map *m = map_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *value = malloc(1);

        assert_null(map_put_text(m, names[i], value));
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const void *key;
        size_t size;

        free(map_at(m, i, &key, &size));
        assert_int_equal(size, strlen(names[i]));
        assert_memory_equal(key, names[i], size);
    }
    map_free(m);
}

static void test_absent_things_are_null(void **state)
{
    struct map *m = map_new();
    int value;

    (void)state;
    assert_null(map_get_text(m, "x"));
    assert_null(map_remove_text(m, "x"));
    assert_null(map_put_text(m, "x", &value));
    assert_null(map_get_text(m, "xy"));
    assert_ptr_equal(map_at(m, 0, NULL, NULL), &value);
    assert_ptr_equal(map_remove_text(m, "x"), &value);
    assert_int_equal(map_count(m), 0);
    map_free(m);
    map_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_does_what_a_plain_array_does),
        cmocka_unit_test(test_order_is_that_of_insertion),
        cmocka_unit_test(test_absent_things_are_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
