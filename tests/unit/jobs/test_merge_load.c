/* How the engine reads: views with maps of rows, samples, and how it shares
 * out. */
#include "support/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/memory.h"
#include "jobs/merge/merge_load.h"
#include "jobs/merge/merge_pages.h"
#include "jobs/merge/merge_pass.h"
#include "tensor/reduce.h"

enum { MODELS = 2, STRIDE = REDUCE_CHUNK, MOST = 300000 };

/* A worker on a plan of one tensor that is written by hand. */
struct bench {
    struct tensor result;
    struct merge_entry entry;
    struct merge_view tasks[MODELS];
    size_t model[MODELS];
    const struct tensor *draws[MODELS];
    struct merge_config config;
    struct merge_inputs inputs;
    struct merge_plan plan;
    struct merge_runtime runtime;
    struct merge_survey survey;
    struct merge_work work;
    struct merge_step steps[1];
    struct merge_worker workers[3];
    float rows[3][1 + 2 * MODELS][STRIDE];
};

static void workers_init(struct bench *b)
{
    for (size_t t = 0; t < 3; t++) {
        struct merge_worker *w = &b->workers[t];

        w->work = &b->work;
        w->index = t;
        w->steps = b->steps;
        w->base = b->rows[t][0];
        for (size_t i = 0; i < MODELS; i++) {
            w->task[i] = b->rows[t][1 + i];
            w->draws[i] = b->rows[t][1 + MODELS + i];
        }
    }
}

/* Of an F32 tensor of rows x columns; tasks are `models` equal tensors. */
static struct bench *bench_new(uint64_t rows, uint64_t columns,
                               const struct tensor *source)
{
    struct bench *b = xnew(struct bench);

    b->result = (struct tensor){ .name = "w",
                                 .dtype = DTYPE_F32,
                                 .rank = 2,
                                 .shape = { rows, columns },
                                 .count = rows * columns };
    b->entry = (struct merge_entry){ .merged = true,
                                     .base = { .tensor = source },
                                     .models = MODELS,
                                     .tasks = b->tasks,
                                     .model = b->model,
                                     .draws = b->draws,
                                     .hash = philox_hash64("w") };
    for (size_t i = 0; i < MODELS; i++)
        b->entry.tasks[i].tensor = source;
    b->config.method = merge_method_find("task_arithmetic", NULL);
    b->plan = (struct merge_plan){ .configs = &b->config,
                                   .points = 1,
                                   .inputs = &b->inputs,
                                   .layout = { 1, &b->result },
                                   .entries = &b->entry };
    b->steps[0].method = b->config.method;
    b->work = (struct merge_work){ .plan = &b->plan,
                                   .runtime = &b->runtime,
                                   .survey = &b->survey,
                                   .base = true,
                                   .threads = 3,
                                   .points = 1,
                                   .chunk = STRIDE,
                                   .stride = STRIDE };
    atomic_init(&b->work.fault, SIZE_MAX);
    workers_init(b);
    return b;
}

static struct tensor counting(uint64_t count)
{
    float *x = xcalloc(count, sizeof *x);

    for (uint64_t i = 0; i < count; i++)
        x[i] = (float)i;
    return (struct tensor){
        .name = "w", .dtype = DTYPE_F32, .count = count, .data = x
    };
}

static void release(struct bench *b, const struct tensor *source)
{
    free((void *)(uintptr_t)source->data);
    free(b);
}

/* ---- views ------------------------------------------------------------- */

static void test_what_lies_well_is_read_where_it_lies(void **state)
{
    struct tensor source = counting(40);
    struct bench *b = bench_new(8, 5, &source);
    const struct merge_range range = { 12, 20 };

    (void)state;
    merge_load(b->workers, 0, &range, 1, true);
    assert_ptr_equal(b->workers->chunk.base, (const float *)source.data + 12);
    assert_int_equal(b->workers->chunk.count, 20);
    assert_int_equal(b->workers->bytes_read, 3 * 20 * sizeof(float));
    assert_null(b->workers->chunk.draws[0]);
    release(b, &source);
}

static void test_rows_are_gathered_and_filled(void **state)
{
    static const int64_t map[] = { 3, 4, -1, 0, 7, -3, 6, 7 };
    static const float fill[] = { -10, -11, -12, -13, -14, -20, -21, -22,
                                  -23, -24, -30, -31, -32, -33, -34 };
    struct tensor source = counting(40);
    struct bench *b = bench_new(8, 5, &source);
    const struct merge_chunk *chunk = &b->workers->chunk;

    (void)state;
    b->entry.tasks[1].rows = map;
    b->entry.tasks[1].fill = fill;
    for (uint64_t first = 0; first < 40; first += 4) {
        for (size_t count = 1; first + count <= 40; count++) {
            const struct merge_range range = { first, count };

            merge_load(b->workers, 0, &range, 1, true);
            for (size_t i = 0; i < count; i++) {
                uint64_t at = first + i;
                int64_t row = map[at / 5];
                float expected = row < 0
                                     ? fill[(uint64_t)(-1 - row) * 5 + at % 5]
                                     : (float)((uint64_t)row * 5 + at % 5);

                assert_true(chunk->task[1][i] == expected);
                assert_true(chunk->task[0][i] == (float)at);
            }
        }
    }
    release(b, &source);
}

static void test_what_is_not_finite_is_told_in_order(void **state)
{
    struct tensor source = counting(40);
    struct tensor broken = counting(40);
    struct bench *b = bench_new(8, 5, &source);
    const struct merge_range late = { 20, 20 };
    const struct merge_range early = { 0, 20 };
    float nan[1] = { 0.0F };

    (void)state;
    nan[0] /= 0.0F * nan[0];
    memcpy((char *)(uintptr_t)broken.data + 33 * sizeof(float), nan,
           sizeof nan);
    memcpy((char *)(uintptr_t)broken.data + 7 * sizeof(float), nan, sizeof nan);
    b->entry.tasks[1].tensor = &broken;
    merge_load(b->workers, 0, &late, 1, false);
    assert_false(b->workers->fault.met);
    merge_load(b->workers, 0, &late, 1, true);
    assert_int_equal(b->workers->fault.element, 33);
    merge_load(b->workers, 0, &early, 1, true);
    assert_int_equal(b->workers->fault.element, 7);
    assert_int_equal(b->workers->fault.model, 2);
    free((void *)(uintptr_t)broken.data);
    release(b, &source);
}

/* ---- pages ------------------------------------------------------------- */

static size_t resident_pages(void *memory, size_t bytes)
{
    size_t pages = bytes / (size_t)sysconf(_SC_PAGESIZE);
    uint64_t entry;
    size_t count = 0;
    int file = open("/proc/self/pagemap", O_RDONLY);

    assert_true(file >= 0);
    for (size_t i = 0; i < pages; i++) {
        uintptr_t page = (uintptr_t)memory / (uintptr_t)(bytes / pages) + i;

        assert_int_equal(
            pread(file, &entry, sizeof entry, (off_t)(page * sizeof entry)),
            sizeof entry);
        count += entry >> 63; /* present */
    }
    (void)close(file);
    return count;
}

/* Rows turned around, from a file of 1024 rows of a page each. */
static void test_pages_are_given_back_where_rows_came_from(void **state)
{
    enum { ROWS = 1024, COLUMNS = 1024 };
    static int64_t map[ROWS];
    const size_t bytes = (size_t)ROWS * COLUMNS * sizeof(float);
    FILE *file = tmpfile();
    struct tensor source = { .name = "w", .dtype = DTYPE_F32, .rank = 2 };
    const struct tensor_set set = { 1, &source };
    struct bench *b;
    void *memory;

    (void)state;
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), (off_t)bytes), 0);
    memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fileno(file), 0);
    assert_true(memory != MAP_FAILED);
    for (int64_t i = 0; i < ROWS; i++)
        map[i] = i % 3 == 0 ? -1 - i / 3 : ROWS - 1 - i;
    source.data = memory;
    source.shape[0] = ROWS;
    source.shape[1] = COLUMNS;
    source.count = (uint64_t)ROWS * COLUMNS;
    b = bench_new(ROWS, COLUMNS, &source);
    b->entry.tasks[0].rows = map;
    b->entry.tasks[0].fill = xcalloc(source.count, sizeof(float));
    b->inputs.base = &set;
    b->work.pages = merge_pages_new(&b->inputs, 0);
    for (uint64_t at = 0; at < source.count; at += STRIDE) {
        const struct merge_range range = { at, STRIDE };

        merge_load(b->workers, 0, &range, 1, true);
        if (at == 0)
            assert_true(resident_pages(memory, bytes) >= 4);
        merge_load_drop(b->workers, 0, at, at + STRIDE);
    }
    assert_int_equal(resident_pages(memory, bytes), 0);
    merge_pages_free(b->work.pages);
    free((void *)(uintptr_t)b->entry.tasks[0].fill);
    free(b);
    (void)munmap(memory, bytes);
    (void)fclose(file);
}

/* ---- shares ------------------------------------------------------------ */

static void test_shares_are_in_order_and_even(void **state)
{
    static const uint64_t counts[] = { 1, 4096, 4097, 40000, 300000 };

    (void)state;
    for (size_t c = 0; c < COUNT_OF(counts); c++) {
        struct tensor source = counting(1);
        struct bench *b = bench_new(counts[c], 1, &source);
        uint64_t at = 0;

        for (size_t t = 0; t < 3; t++) {
            struct merge_part part = merge_share(&b->workers[t], 0);

            assert_true(part.first == part.end || part.first == at);
            assert_true(part.end - part.first <= counts[c] / 3 + 2 * STRIDE);
            assert_int_equal(part.first % REDUCE_CHUNK, 0);
            at = part.first == part.end ? at : part.end;
        }
        assert_int_equal(at, counts[c]);
        release(b, &source);
    }
}

static void test_rows_are_not_cut(void **state)
{
    struct tensor source = counting(1);
    struct bench *b = bench_new(100, 1000, &source);

    (void)state;
    b->work.cut = MERGE_CUT_ROWS;
    assert_int_equal(merge_unit(&b->work, 0), 4000);
    b->result.shape[1] = 5000;
    assert_int_equal(merge_unit(&b->work, 0), 5000);
    b->result.rank = 0;
    assert_int_equal(merge_unit(&b->work, 0), 4096);
    b->work.cut = MERGE_CUT_ANY;
    b->result.rank = 2;
    assert_int_equal(merge_unit(&b->work, 0), 4096);
    release(b, &source);
}

/* ---- samples ----------------------------------------------------------- */

/* What was counted, by the numbers that the elements hold. */
struct seen {
    size_t count;
    float elements[MOST / MERGE_SAMPLE_OF * MERGE_SAMPLE + 2 * MERGE_SAMPLE];
};

static void see(void *tally, const struct merge_step *steps, size_t points,
                const struct merge_chunk *chunk)
{
    struct seen *s = tally;

    (void)steps;
    (void)points;
    assert_true(s->count + chunk->count <= COUNT_OF(s->elements));
    memcpy(s->elements + s->count, chunk->task[0],
           chunk->count * sizeof *s->elements);
    s->count += chunk->count;
}

static struct seen sample(struct bench *b, size_t threads)
{
    struct seen s = { .count = 0 };

    b->survey.count = see;
    b->work.threads = threads;
    for (size_t t = 0; t < threads; t++) {
        b->workers[t].tally = &s;
        merge_sample(&b->workers[t], 0, merge_share(&b->workers[t], 0));
    }
    return s;
}

static void test_a_sample_is_some_of_every_piece(void **state)
{
    struct tensor source = counting(MOST);
    struct bench *b = bench_new(MOST / 100, 100, &source);
    struct seen alone = sample(b, 1);
    size_t pieces = (MOST + MERGE_SAMPLE_OF - 1) / MERGE_SAMPLE_OF;
    size_t moved = 0;

    (void)state;
    assert_int_equal(alone.count, pieces * MERGE_SAMPLE);
    for (size_t p = 0; p < pieces; p++) {
        const float *run = alone.elements + p * MERGE_SAMPLE;
        uint64_t first = (uint64_t)run[0];

        assert_int_equal(first / MERGE_SAMPLE_OF, p);
        assert_int_equal(first % 4, 0);
        assert_int_equal((uint64_t)run[MERGE_SAMPLE - 1],
                         first + MERGE_SAMPLE - 1);
        moved += first % MERGE_SAMPLE_OF != 0;
    }
    assert_true(moved > pieces / 2);
    release(b, &source);
}

static void test_all_threads_draw_the_same_sample(void **state)
{
    struct tensor source = counting(MOST);
    struct bench *b = bench_new(MOST / 100, 100, &source);
    struct seen alone = sample(b, 1);
    struct seen together;

    (void)state;
    together = sample(b, 3);
    assert_int_equal(alone.count, together.count);
    assert_memory_equal(alone.elements, together.elements,
                        alone.count * sizeof *alone.elements);
    release(b, &source);
}

static void test_of_few_elements_the_sample_is_all(void **state)
{
    struct tensor source = counting(50);
    struct bench *b = bench_new(50, 1, &source);

    (void)state;
    assert_int_equal(sample(b, 1).count, 50);
    release(b, &source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_lies_well_is_read_where_it_lies),
        cmocka_unit_test(test_rows_are_gathered_and_filled),
        cmocka_unit_test(test_what_is_not_finite_is_told_in_order),
        cmocka_unit_test(test_pages_are_given_back_where_rows_came_from),
        cmocka_unit_test(test_shares_are_in_order_and_even),
        cmocka_unit_test(test_rows_are_not_cut),
        cmocka_unit_test(test_a_sample_is_some_of_every_piece),
        cmocka_unit_test(test_all_threads_draw_the_same_sample),
        cmocka_unit_test(test_of_few_elements_the_sample_is_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
