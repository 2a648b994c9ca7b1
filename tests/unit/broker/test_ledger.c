/* The results in their rows, and the way from a key to where it is. */
#include "broker/core/keys.h"
#include "broker/core/ledger.h"
#include "common/map.h"
#include "common/memory.h"
#include "support/test.h"

#include <string.h>

enum { ROWS = 30000, KEYS = 5000 };

static const char *intern(void *self, const char *text, size_t size)
{
    struct map *names = self;
    char *name = map_get(names, text, size);

    if (name == NULL) {
        name = xstrndup(text, size);
        (void)map_put(names, text, size, name);
    }
    return name;
}

static void free_names(struct map *names)
{
    for (size_t i = 0; i < map_count(names); i++)
        free(map_at(names, i, NULL, NULL));
    map_free(names);
}

static struct digest key_of(uint64_t n)
{
    return digest_of(&n, sizeof n);
}

static struct ledger_row row_of(struct map *names, uint64_t n, char text[64])
{
    static const char *const kinds[] = { "evaluate.noop", "train", "score" };
    int worker = snprintf(text, 64, "w%llu", (unsigned long long)(n % 100));
    const char *name = intern(names, text, (size_t)worker);

    (void)snprintf(text, 64, "{\"metrics\":{\"value\":%llu}}",
                   (unsigned long long)n);
    return (struct ledger_row){
        .key = key_of(n),
        .epoch = 3 + n / 10000,
        .attempt = 1 + n % 3,
        .order = 7 * n,
        .kind = n % 50 == 0 ? NULL
                            : intern(names, kinds[n % 3], strlen(kinds[n % 3])),
        .worker = name,
        .result = wire_text(text),
        .log = n % 11 == 0 ? wire_text("a line\n") : wire_text(""),
        .wall_ms = n % 5 == 0 ? -(int64_t)n : (int64_t)n,
        .at_ms = INT64_C(1700000000000) - 40 * (int64_t)n,
        .peak_bytes = (int64_t)(n << 20),
        .bytes_read = INT64_MAX,
        .bytes_fetched = INT64_MIN,
        .model = n % 4,
    };
}

static void check_text(struct wire_bytes a, struct wire_bytes b)
{
    assert_int_equal(a.size, b.size);
    if (a.size > 0)
        assert_memory_equal(a.data, b.data, a.size);
}

static void check_row(const struct ledger *l, struct map *names, uint32_t i)
{
    char text[64];
    struct ledger_row want = row_of(names, i, text);
    struct ledger_row got = ledger_read(l, i);

    assert_memory_equal(&got.key, &want.key, DIGEST_SIZE);
    assert_memory_equal(ledger_key(l, i), &want.key, DIGEST_SIZE);
    assert_true(got.epoch == want.epoch && got.attempt == want.attempt &&
                got.order == want.order && got.model == want.model);
    assert_ptr_equal(got.kind, want.kind);
    assert_ptr_equal(got.worker, want.worker);
    check_text(got.result, want.result);
    check_text(ledger_result(l, i), want.result);
    check_text(got.log, want.log);
    assert_true(got.wall_ms == want.wall_ms && got.at_ms == want.at_ms &&
                got.peak_bytes == want.peak_bytes &&
                got.bytes_read == want.bytes_read &&
                got.bytes_fetched == want.bytes_fetched);
}

static struct ledger *filled(struct map *names, uint32_t rows)
{
    struct ledger *l = ledger_new(intern, names);

    for (uint32_t i = 0; i < rows; i++) {
        char text[64];
        struct ledger_row row = row_of(names, i, text);

        assert_int_equal(ledger_add(l, &row), i);
        *ledger_mark(l, i) = i;
    }
    return l;
}

static void test_rows_are_read_as_they_were_added(void **state)
{
    struct map *names = map_new();
    struct ledger *l = filled(names, ROWS);

    (void)state;
    assert_int_equal(ledger_count(l), ROWS);
    assert_true(ledger_segments(l) > 1);
    for (uint32_t i = 0; i < ROWS; i++) {
        check_row(l, names, i);
        assert_int_equal(*ledger_mark(l, i), i);
    }
    ledger_free(l);
    free_names(names);
}

/* Runs of one mark are found as by looking at each row. */
static void test_a_run_of_marks_ends_where_it_does(void **state)
{
    static const uint32_t ends[] = { 1,     3,     16,    32,    49,  65,
                                     16383, 16400, 20000, 29999, ROWS };
    struct map *names = map_new();
    struct ledger *l = filled(names, ROWS);
    uint32_t from = 0;

    (void)state;
    for (uint32_t run = 0; run < COUNT_OF(ends); from = ends[run++])
        for (uint32_t i = from; i < ends[run]; i++)
            *ledger_mark(l, i) = run % 3;
    from = 0;
    for (uint32_t run = 0; run < COUNT_OF(ends); from = ends[run++])
        for (uint32_t i = from; i < ends[run]; i += 1 + (i - from) / 32)
            assert_int_equal(ledger_mark_end(l, i), ends[run]);
    ledger_free(l);
    free_names(names);
}

static void test_segments_are_loaded_whole_and_go_on(void **state)
{
    struct map *names = map_new();
    struct ledger *l = filled(names, ROWS);
    struct ledger *again = ledger_new(intern, names);
    char text[64];
    struct ledger_row row = row_of(names, ROWS, text);

    (void)state;
    for (size_t i = 0; i < ledger_segments(l); i++) {
        struct wire_bytes g = ledger_segment(l, i);

        assert_true(g.size <= 256 << 10);
        assert_ok(ledger_load(again, g.data, g.size));
    }
    assert_int_equal(ledger_count(again), ROWS);
    assert_int_equal(ledger_add(again, &row), ROWS);
    /* Into the segment that was open, which is what the first one does. */
    assert_int_equal(ledger_add(l, &row), ROWS);
    assert_int_equal(ledger_segments(again), ledger_segments(l));
    for (size_t i = 0; i < ledger_segments(l); i++)
        check_text(ledger_segment(again, i), ledger_segment(l, i));
    for (uint32_t i = 0; i <= ROWS; i++)
        check_row(again, names, i);
    ledger_free(again);
    ledger_free(l);
    free_names(names);
}

static void test_a_result_of_any_size_has_its_row(void **state)
{
    enum { SIZE = 3 << 20 };
    struct map *names = map_new();
    struct ledger *l = filled(names, 3);
    AUTO(free_pointer) char *text = xcalloc(SIZE, 1);
    struct ledger_row row = { .order = 1, .result = { text, SIZE } };

    (void)state;
    memset(text, 'x', SIZE);
    row.key = key_of(99);
    assert_int_equal(ledger_add(l, &row), 3);
    check_text(ledger_result(l, 3), row.result);
    check_row(l, names, 2);
    ledger_free(l);
    free_names(names);
}

static void test_damaged_segments_are_refused_or_read(void **state)
{
    struct map *names = map_new();
    struct ledger *l = filled(names, 20);
    struct wire_bytes g = ledger_segment(l, 0);

    (void)state;
    for (size_t size = 0; size < g.size; size++) {
        struct ledger *again = ledger_new(intern, names);
        char *copy = malloc(size + 1);
        struct status st;

        assert_non_null(copy);
        memcpy(copy, g.data, size);
        if (size > 40)
            copy[size % 37 + 3] ^= (char)(1 + size % 255);
        st = ledger_load(again, copy, size);
        if (status_failed(&st))
            assert_int_equal(st.code, STATUS_CORRUPT);
        free(copy);
        ledger_free(again);
    }
    ledger_free(l);
    free_names(names);
}

/* ---- keys --------------------------------------------------------------- */

static const struct digest *nth(const void *self, uint32_t value)
{
    return (const struct digest *)self + value;
}

static void test_keys_are_found_until_they_are_removed(void **state)
{
    static struct digest all[KEYS];
    struct keys k = { .key_of = nth, .self = all };

    (void)state;
    assert_int_equal(keys_get(&k, &all[0]), 0);
    keys_remove(&k, &all[0]);
    for (uint32_t i = 1; i < KEYS; i++) {
        all[i] = key_of(i);
        all[i].bytes[0] = 7; /* long runs of slots */
        all[i].bytes[2] = 0;
        all[i].bytes[3] = 0;
    }
    for (uint32_t i = 1; i < KEYS; i++)
        keys_put(&k, &all[i], i);
    for (uint32_t i = 1; i < KEYS; i += 3)
        keys_remove(&k, &all[i]);
    for (uint32_t i = 1; i < KEYS; i++)
        assert_int_equal(keys_get(&k, &all[i]), i % 3 == 1 ? 0 : i);
    for (uint32_t i = 1; i < KEYS; i += 3)
        keys_put(&k, &all[i], i);
    assert_int_equal(k.count, KEYS - 1);
    for (uint32_t i = 1; i < KEYS; i++)
        assert_int_equal(keys_get(&k, &all[i]), i);
    keys_release(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_read_as_they_were_added),
        cmocka_unit_test(test_a_run_of_marks_ends_where_it_does),
        cmocka_unit_test(test_segments_are_loaded_whole_and_go_on),
        cmocka_unit_test(test_a_result_of_any_size_has_its_row),
        cmocka_unit_test(test_damaged_segments_are_refused_or_read),
        cmocka_unit_test(test_keys_are_found_until_they_are_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
