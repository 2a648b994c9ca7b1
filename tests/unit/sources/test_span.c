#include "sources/span.h"

#include <stdlib.h>
#include <string.h>

#include "support/test.h"

#include "common/memory.h"

enum { SIZE = 64, ROUNDS = 2000 };

static uint32_t chance = 1;

static uint32_t draw(uint32_t below)
{
    chance = chance * 1664525U + 1013904223U;
    return (chance >> 8) % below;
}

/* The same set as one flag a byte. */
static void mark(const struct spans *s, bool bytes[SIZE])
{
    memset(bytes, 0, SIZE);
    for (size_t i = 0; i < s->count; i++) {
        for (uint64_t k = 0; k < s->items[i].size; k++)
            bytes[s->items[i].first + k] = true;
    }
}

static void check_order(const struct spans *s)
{
    for (size_t i = 0; i < s->count; i++) {
        assert_true(s->items[i].size > 0);
        if (i > 0) /* a byte between them at least */
            assert_true(s->items[i].first >
                        s->items[i - 1].first + s->items[i - 1].size);
    }
}

static struct spans random_spans(bool bytes[SIZE])
{
    struct spans s = { 0 };

    memset(bytes, 0, SIZE);
    for (uint32_t n = draw(8); n > 0; n--) {
        uint32_t first = draw(SIZE);
        uint32_t size = draw(SIZE - first + 1) / (1 + draw(4));

        spans_add(&s, first, size);
        for (uint32_t k = 0; k < size; k++)
            bytes[first + k] = true;
    }
    return s;
}

static void test_sets_are_those_of_their_bytes(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        bool a_bytes[SIZE];
        bool b_bytes[SIZE];
        bool got[SIZE];
        struct spans a = random_spans(a_bytes);
        struct spans b = random_spans(b_bytes);
        struct spans left = spans_without(&a, &b);
        uint64_t count = 0;

        check_order(&a);
        check_order(&left);
        mark(&a, got);
        assert_memory_equal(got, a_bytes, SIZE);
        mark(&left, got);
        for (int i = 0; i < SIZE; i++) {
            assert_int_equal(got[i], a_bytes[i] && !b_bytes[i]);
            count += a_bytes[i];
        }
        assert_int_equal(spans_bytes(&a), count);
        spans_release(&a);
        spans_release(&b);
        spans_release(&left);
    }
}

static void test_near_ones_become_one(void **state)
{
    struct spans s = { 0 };

    (void)state;
    spans_close(&s, 10);
    assert_int_equal(s.count, 0);
    spans_add(&s, 100, 10);
    spans_add(&s, 0, 10);
    spans_add(&s, 15, 5);
    spans_add(&s, 31, 5);
    spans_close(&s, 10);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.items[0].first, 0);
    assert_int_equal(s.items[0].size, 20);
    assert_int_equal(s.items[1].first, 31);
    assert_int_equal(s.items[2].size, 10);
    spans_release(&s);
}

static void test_they_come_back_from_json_or_are_refused(void **state)
{
    static const char *const bad[] = {
        "{}",
        "[[1]]",
        "[[-1,2]]",
        "[[0,0]]",
        "[[1,9223372036854775807]]",
        "[[\"0\",1],[2,-2]]",
    };
    struct spans s = { 0 };
    struct spans back = { 0 };
    AUTO(json_release) json_t *json = NULL;

    (void)state;
    spans_add(&s, 5, 7);
    spans_add(&s, 50, 1);
    json = spans_json(&s);
    assert_true(spans_read(&back, json));
    assert_int_equal(back.count, 2);
    assert_memory_equal(back.items, s.items, 2 * sizeof *s.items);
    spans_release(&s);
    spans_release(&back);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        AUTO(json_release) json_t *wrong = NULL;

        assert_ok(json_parse(bad[i], strlen(bad[i]), "test", &wrong));
        assert_false(spans_read(&back, wrong));
        spans_release(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_are_those_of_their_bytes),
        cmocka_unit_test(test_near_ones_become_one),
        cmocka_unit_test(test_they_come_back_from_json_or_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
