/* Merges in order and in bounded memory. */
#include "support/test.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/memory.h"
#include "support/merge_case.h"
#include "tensor/reduce.h"

/* Two that windows cut, one with many equal differences and one with few,
 * among small ones. */
static const struct small_row rows[] = {
    { "a.norm", DTYPE_BF16, 1, { 300 } },
    { "big", DTYPE_BF16, 2, { 132, 1000 } },
    { "ids", DTYPE_I64, 1, { 5 } },
    { "none", DTYPE_F32, 1, { 0 } },
    { "one", DTYPE_F16, 1, { 1 } },
    { "y", DTYPE_F32, 2, { 132, 1001 } },
    { "z", DTYPE_F32, 2, { 40, 300 } },
    { NULL, DTYPE_F32, 0, { 0 } },
};

static int setup(void **state)
{
    return merge_models_set_up(state, rows);
}

/* ---- a sink ------------------------------------------------------------ */

/* Takes a piece only when the next one comes, as a writer may that works
 * while the next one is made. */
struct taker {
    size_t tensor; /* of the piece in hand; SIZE_MAX: none yet */
    const char *data;
    size_t size;
    char *bytes; /* all tensors from the first on, without gaps */
    size_t used;
    size_t order; /* the last tensor seen */
    size_t pieces;
    size_t fail_at; /* piece; 0: never */
};

static void settle(struct taker *t)
{
    if (t->size > 0)
        memcpy(t->bytes + t->used, t->data, t->size);
    t->used += t->size;
    t->size = 0;
}

static struct status take(void *self, size_t tensor, const void *data,
                          size_t size)
{
    struct taker *t = self;

    t->pieces++;
    if (t->pieces == t->fail_at)
        return FAIL(STATUS_NO_SPACE, "the disk is full");
    if (tensor < t->order)
        return FAIL(STATUS_FAILED, "tensor %zu after %zu", tensor, t->order);
    settle(t);
    t->order = tensor;
    t->data = data;
    t->size = size;
    return SUCCESS;
}

static struct taker taker_new(const struct tensor_set *layout)
{
    size_t size = 1;

    for (size_t i = 0; i < layout->count; i++)
        size += (size_t)tensor_bytes(&layout->items[i]);
    return (struct taker){ .bytes = xcalloc(1, size) };
}

/* A merge of one case, ready to go. */
struct subject {
    json_t *body;
    struct merge_config config;
    struct merge_inputs inputs;
    struct merge *merge;
};

static void subject_init(struct subject *s, const struct merge_models *m,
                         const struct merge_case *c)
{
    s->body = merge_case_body(c, 0);
    assert_ok(merge_config_read(s->body, &s->config));
    s->inputs = merge_inputs_of(m, &s->config);
    assert_ok(merge_new(&s->config, 1, &s->inputs, &s->merge));
}

static void subject_release(struct subject *s)
{
    merge_free(s->merge);
    json_decref(s->body);
}

static struct merge_case case_of(const char *name)
{
    struct merge_case c = { .method = NULL };
    char text[128];

    while (merge_case_next(&c)) {
        if (strcmp(merge_case_name(&c, text, sizeof text), name) == 0)
            return c;
    }
    fail_msg("no case %s", name);
    return c;
}

/* ---- the same bytes ---------------------------------------------------- */

static void check_stream(struct subject *s, const struct merge_output *expected,
                         const struct merge_runtime *runtime, size_t first,
                         const char *name)
{
    struct taker t = taker_new(expected->layout);
    const struct merge_sink sink = { &t, take, first };
    size_t at = 0;

    assert_ok(merge_stream(s->merge, runtime, &sink));
    settle(&t);
    for (size_t i = first; i < expected->layout->count; i++) {
        size_t size = (size_t)tensor_bytes(&expected->layout->items[i]);

        if (at + size > t.used ||
            memcmp(t.bytes + at, expected->targets[0][i], size) != 0)
            fail_msg("%s: %s differs, %zu threads, from %zu on", name,
                     expected->layout->items[i].name, (size_t)runtime->threads,
                     first);
        at += size;
    }
    assert_int_equal(at, t.used);
    free(t.bytes);
}

static void test_a_stream_is_the_merge(void **state)
{
    static const struct merge_runtime plain = { .threads = 1 };
    static const struct merge_runtime runtimes[] = {
        { .threads = 1, .window = 1 },
        { .threads = 3, .window = 200 << 10 },
        { .threads = 2, .tallies = 1 },
    };

    for (struct merge_case c = { .method = NULL }; merge_case_next(&c);) {
        struct merge_output whole;
        struct subject s;
        char name[128];

        (void)merge_case_name(&c, name, sizeof name);
        assert_ok(merge_output_of(*state, &c, 0, 1, &plain, &whole));
        subject_init(&s, *state, &c);
        for (size_t i = 0; i < COUNT_OF(runtimes); i++)
            check_stream(&s, &whole, &runtimes[i], 0, name);
        subject_release(&s);
        merge_output_release(&whole);
    }
}

static void test_a_stream_goes_on_where_it_was(void **state)
{
    static const struct merge_runtime plain = { .threads = 2,
                                                .window = 200 << 10 };
    static const char *const names[] = { "task_arithmetic", "ties/mergekit",
                                         "ties/mergelm", "della/mergekit l1" };

    for (size_t n = 0; n < COUNT_OF(names); n++) {
        struct merge_case c = case_of(names[n]);
        struct merge_output whole;
        struct subject s;

        assert_ok(merge_output_of(*state, &c, 0, 1, &plain, &whole));
        subject_init(&s, *state, &c);
        for (size_t first = 0; first <= whole.layout->count; first++)
            check_stream(&s, &whole, &plain, first, names[n]);
        subject_release(&s);
        merge_output_release(&whole);
    }
}

/* ---- what goes wrong --------------------------------------------------- */

static struct status stream(const struct merge_models *m, const char *name,
                            const struct merge_runtime *runtime,
                            struct taker *t)
{
    const struct merge_sink sink = { t, take, 0 };
    struct merge_case c = case_of(name);
    struct subject s;
    struct status status;

    subject_init(&s, m, &c);
    t->bytes = taker_new(merge_layout(s.merge)).bytes;
    status = merge_stream(s.merge, runtime, &sink);
    free(t->bytes);
    subject_release(&s);
    return status;
}

static void test_a_sink_that_fails_ends_it(void **state)
{
    static const struct merge_runtime runtime = { .threads = 3,
                                                  .window = 100 << 10 };

    for (size_t piece = 1; piece < 9; piece++) {
        struct taker t = { .fail_at = piece };

        assert_fails(stream(*state, "ties/mergekit", &runtime, &t),
                     STATUS_NO_SPACE, "the disk is full");
        assert_int_equal(t.pieces, piece);
    }
}

static void test_what_is_not_finite_is_not_handed_out(void **state)
{
    static const struct merge_runtime runtime = { .threads = 2,
                                                  .window = 100 << 10 };
    struct merge_models *m = *state;
    struct taker t = { 0 };

    small_model_set(&m->tasks[1], "big", 100123, (double)NAN);
    assert_fails(stream(m, "task_arithmetic", &runtime, &t), STATUS_CORRUPT,
                 "tensor big of b is NaN or infinite at element 100123");
    assert_true(t.pieces > 2 && t.used + t.size < 2 * 100123);
    t = (struct taker){ 0 };
    assert_fails(stream(m, "ties/mergelm", &runtime, &t), STATUS_CORRUPT,
                 "tensor big of b is NaN or infinite at element 100123");
    assert_int_equal(t.pieces, 0);
}

static bool cancelled(void *self)
{
    size_t *polls = self;

    return ++*polls > 3;
}

static void test_a_cancel_ends_a_stream(void **state)
{
    static const char *const names[] = { "linear", "ties/mergekit",
                                         "ties/mergelm", "della/mergekit l1" };
    size_t polls = 0;
    const struct merge_runtime runtime = { .threads = 2,
                                           .window = 100 << 10,
                                           .self = &polls,
                                           .cancelled = cancelled };

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct taker t = { 0 };

        polls = 0;
        assert_fails(stream(*state, names[i], &runtime, &t), STATUS_CANCELLED,
                     NULL);
        assert_int_equal(polls, 4);
    }
}

static void test_rows_too_long_to_hold_are_refused(void **state)
{
    const struct tensor t = { .name = "w",
                              .dtype = DTYPE_F32,
                              .rank = 2,
                              .shape = { 1, MERGE_ROW + 1 },
                              .count = MERGE_ROW + 1 };
    const struct tensor_set set = { 1, &t };
    struct merge_case c = case_of("della/mergekit l1");
    struct merge_inputs inputs = { .base = &set };
    json_t *body = merge_case_body(&c, 0);
    struct merge_config config;
    struct merge *merge;

    (void)state;
    assert_ok(merge_config_read(body, &config));
    for (size_t i = 0; i < config.count; i++)
        inputs.tasks[i] = &set;
    assert_fails(merge_new(&config, 1, &inputs, &merge), STATUS_TOO_BIG,
                 "tensor w is 1x4194305; della works on whole rows, of at most "
                 "4194304");
    json_decref(body);
}

/* ---- counters ---------------------------------------------------------- */

static void check_counts(const struct merge_models *m, const char *name,
                         uint64_t rounds)
{
    static const struct merge_runtime runtime = { .threads = 2,
                                                  .no_hints = true };
    const struct merge_case c = case_of(name);
    uint64_t merged = 0;
    uint64_t copied = 0;
    struct merge_output o;
    struct merge_counts counts;

    assert_ok(merge_output_of(m, &c, 0, 3, &runtime, &o));
    for (size_t i = 0; i < m->base.set.count; i++) {
        const struct tensor *t = &m->base.set.items[i];

        *(dtype_is_float(t->dtype) ? &merged : &copied) += tensor_bytes(t);
    }
    counts = merge_counts_of(o.merge);
    assert_int_equal(counts.rounds, rounds);
    assert_int_equal(counts.bytes_read,
                     rounds * (1 + MERGE_TASKS) * merged + copied);
    merge_output_release(&o);
}

static void test_all_points_share_one_read(void **state)
{
    check_counts(*state, "task_arithmetic", 1);
    check_counts(*state, "dare_linear paper", 1);
    check_counts(*state, "dare_linear l1", 2);
}

/* ---- memory ------------------------------------------------------------ */

/* The thread sanitizer, as gcc and as clang tell it. */
#if defined(__SANITIZE_THREAD__)
#define SHADOWED
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHADOWED
#endif
#endif

/* Almost 64 MiB each. */
enum { MAPPED = 3, ROWS = 2047, COLUMNS = 4096, HEADER = 1001 };
enum { FLOATS = 2 * ROWS * COLUMNS };

/* Two tensors of zeros that lie in a file, not at the edge of a page. */
struct mapped {
    void *memory;
    struct tensor items[2];
    struct tensor_set set;
};

static void mapped_init(struct mapped *m, int file)
{
    static const char *const names[] = { "v", "w" };
    size_t bytes = FLOATS * sizeof(float);

    m->memory = mmap(NULL, HEADER + bytes, PROT_READ, MAP_SHARED, file, 0);
    assert_true(m->memory != MAP_FAILED);
    for (size_t i = 0; i < 2; i++)
        m->items[i] = (struct tensor){
            .name = names[i],
            .dtype = DTYPE_F32,
            .rank = 2,
            .shape = { ROWS, COLUMNS },
            .count = FLOATS / 2,
            .data = (const char *)m->memory + HEADER + i * bytes / 2,
        };
    m->set = (struct tensor_set){ 2, m->items };
}

/* Bytes of /proc/self/status. */
static uint64_t resident(const char *name)
{
    char line[256];
    unsigned long long kilobytes = 0;
    FILE *f = fopen("/proc/self/status", "r");

    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0)
            kilobytes = strtoull(line + strlen(name) + 1, NULL, 10);
    }
    (void)fclose(f);
    return kilobytes * 1024;
}

struct watcher {
    uint64_t anonymous, file; /* the most seen */
    uint64_t bytes;
};

static struct status watch(void *self, size_t tensor, const void *data,
                           size_t size)
{
    struct watcher *w = self;
    uint64_t anonymous = resident("RssAnon:");
    uint64_t file = resident("RssFile:");

    (void)tensor;
    (void)data;
    w->anonymous = anonymous > w->anonymous ? anonymous : w->anonymous;
    w->file = file > w->file ? file : w->file;
    w->bytes += size;
    return SUCCESS;
}

static void check_memory(const struct mapped models[MAPPED], const char *name)
{
    static const struct merge_runtime runtime = { .threads = 2,
                                                  .window = 6 << 20,
                                                  .drop_inputs = true };
    struct watcher w = { 0 };
    const struct merge_sink sink = { &w, watch, 0 };
    struct merge_case c = case_of(name);
    struct merge_inputs inputs = { .base = &models[0].set };
    json_t *body = merge_case_body(&c, 0);
    uint64_t anonymous = resident("RssAnon:");
    uint64_t file = resident("RssFile:");
    struct merge_config config;
    struct merge *merge;

    (void)json_array_remove(json_object_get(body, "models"), 2);
    assert_ok(merge_config_read(body, &config));
    for (size_t i = 0; i < config.count; i++)
        inputs.tasks[i] = &models[1 + i].set;
    assert_ok(merge_new(&config, 1, &inputs, &merge));
    assert_ok(merge_stream(merge, &runtime, &sink));
    merge_free(merge);
    json_decref(body);
    assert_int_equal(w.bytes, FLOATS * sizeof(float));
    assert_true(w.anonymous < anonymous + (24U << 20));
    assert_true(w.file < file + (48U << 20));
}

/* 192 MiB of inputs and 64 of output pass through. */
static void test_memory_does_not_grow_with_the_model(void **state)
{
    char path[] = "/tmp/sinter-test-XXXXXX";
    int file = mkstemp(path);
    struct mapped models[MAPPED];

    (void)state;
#ifdef SHADOWED
    skip(); /* its shadow of the inputs grows with them */
#endif
    assert_true(file >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ftruncate(file, HEADER + FLOATS * (off_t)sizeof(float)),
                     0);
    for (size_t i = 0; i < MAPPED; i++)
        mapped_init(&models[i], file);
    check_memory(models, "task_arithmetic");
    check_memory(models, "ties/mergekit");
    check_memory(models, "ties/mergelm");
    for (size_t i = 0; i < MAPPED; i++)
        (void)munmap(models[i].memory, HEADER + FLOATS * sizeof(float));
    (void)close(file);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, setup, merge_models_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stream_is_the_merge),
        TEST(test_a_stream_goes_on_where_it_was),
        TEST(test_a_sink_that_fails_ends_it),
        TEST(test_what_is_not_finite_is_not_handed_out),
        TEST(test_a_cancel_ends_a_stream),
        TEST(test_all_points_share_one_read),
        cmocka_unit_test(test_rows_too_long_to_hold_are_refused),
        cmocka_unit_test(test_memory_does_not_grow_with_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
