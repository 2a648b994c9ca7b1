/* What holds for every row of the table of methods. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/memory.h"
#include "support/merge_case.h"
#include "tensor/reduce.h"

/* One that threads share, with many equal differences. */
static const struct small_row big_rows[] = {
    { "a.norm", DTYPE_BF16, 1, { 300 } },
    { "big", DTYPE_BF16, 2, { 132, 1000 } },
    { "ids", DTYPE_I64, 1, { 5 } },
    { "none", DTYPE_F32, 1, { 0 } },
    { "z", DTYPE_F32, 2, { 40, 300 } },
    { NULL, DTYPE_F32, 0, { 0 } },
};

static const struct merge_runtime plain = { .threads = 1 };

static int setup(void **state)
{
    return merge_models_set_up(state, merge_model_rows);
}

static int setup_big(void **state)
{
    return merge_models_set_up(state, big_rows);
}

static void assert_same(const struct merge_case *c,
                        const struct merge_output *a, size_t point,
                        const struct merge_output *b, size_t other)
{
    const char *tensor = merge_output_differs(a, point, b, other);
    char name[128];

    if (tensor != NULL)
        fail_msg("%s: %s differs at point %zu",
                 merge_case_name(c, name, sizeof name), tensor, point);
}

static void check_runtimes(const struct merge_models *m,
                           const struct merge_case *c, size_t points,
                           const struct merge_runtime *others, size_t count)
{
    struct merge_output first, other;

    assert_ok(merge_output_of(m, c, 0, points, &plain, &first));
    for (size_t i = 0; i < count; i++) {
        assert_ok(merge_output_of(m, c, 0, points, &others[i], &other));
        for (size_t p = 0; p < points; p++)
            assert_same(c, &first, p, &other, p);
        merge_output_release(&other);
    }
    merge_output_release(&first);
}

static void test_no_method_depends_on_threads_or_chunks(void **state)
{
    static const struct merge_runtime others[] = {
        { .threads = 3, .chunk = 2 * REDUCE_CHUNK },
        { .threads = 7 },
    };

    for (struct merge_case c = { .method = NULL }; merge_case_next(&c);)
        check_runtimes(*state, &c, 1, others, COUNT_OF(others));
}

static void test_no_method_depends_on_who_shares_a_tensor(void **state)
{
    static const struct merge_runtime others[] = {
        { .threads = 3 },
        { .threads = 7, .chunk = 2 * REDUCE_CHUNK },
    };

    for (struct merge_case c = { .method = NULL }; merge_case_next(&c);)
        check_runtimes(*state, &c, 2, others, COUNT_OF(others));
}

/* Samples are taken of large tensors only. */
static void test_hints_change_nothing(void **state)
{
    static const struct merge_runtime others[] = {
        { .threads = 1, .no_hints = true },
        { .threads = 3 },
    };
    static const struct small_row large[] = {
        { "w", DTYPE_F32, 2, { 1100, 1000 } },
        { NULL, DTYPE_F32, 0, { 0 } },
    };
    static const char *const names[] = { "ties/mergekit", "ties/mergelm",
                                         "pcb/nlp", "breadcrumbs/mergekit",
                                         "sce" };
    struct merge_models m = merge_models_new(large);
    char name[128];

    (void)state;
    for (struct merge_case c = { .method = NULL }; merge_case_next(&c);) {
        (void)merge_case_name(&c, name, sizeof name);
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            if (strcmp(names[i], name) == 0)
                check_runtimes(&m, &c, 2, others, COUNT_OF(others));
        }
    }
    merge_models_release(&m);
}

static void test_a_point_does_not_see_its_neighbours(void **state)
{
    static const struct merge_runtime two = { .threads = 2 };
    enum { POINTS = 6 };

    for (struct merge_case c = { .method = NULL }; merge_case_next(&c);) {
        struct merge_output all;

        assert_ok(merge_output_of(*state, &c, 0, POINTS, &two, &all));
        for (size_t p = 0; p < POINTS; p += 2) {
            struct merge_output alone;

            assert_ok(merge_output_of(*state, &c, p, 1, &plain, &alone));
            assert_same(&c, &all, p, &alone, 0);
            merge_output_release(&alone);
        }
        merge_output_release(&all);
    }
}

/* ---- pinned ------------------------------------------------------------ */

static void digest_of_output(const struct merge_output *o,
                             char text[DIGEST_TEXT])
{
    struct digest_stream *stream = digest_begin();
    struct digest digest;

    for (size_t i = 0; i < o->layout->count; i++)
        digest_add(stream, o->targets[0][i],
                   (size_t)tensor_bytes(&o->layout->items[i]));
    digest = digest_end(stream);
    digest_to_text(&digest, text);
    text[16] = '\0';
}

/* The first digits of what each method writes, the same on every machine and
 * for every compiler. Whoever changes one raises SWEEP_NUMERICS. */
static const struct {
    const char *name, *digest;
} digests[] = {
    { "linear", "4ad6c492dd9500f2" },
    { "average", "28f5306aa8d8f46d" },
    { "task_arithmetic", "cd3c90a56e813bd0" },
    { "ties/mergekit", "c81838e111c4d116" },
    { "ties/mergelm", "9218bc7357b0ded7" },
    { "dare_linear paper", "878fc02173bb3498" },
    { "dare_linear l1", "5336cc113d118f59" },
    { "dare_ties/mergekit paper", "785060420826f835" },
    { "dare_ties/mergekit l1", "5d672b97e67675d9" },
    { "dare_ties/mergelm paper", "c002aca1eaf9d98c" },
    { "pcb/nlp", "f3c7415327103bfc" },
    { "pcb/root", "bc864253d00e4a43" },
    { "dare_pcb/nlp paper", "aea81b39edde4931" },
    { "dare_linear none", "ceb4351c31ec58b3" },
    { "dare_ties/mergekit none", "beff5c9c1c3025b5" },
    { "dare_ties/mergelm none", "23c37f46fa7422d0" },
    { "dare_pcb/nlp none", "33805415178541c5" },
    { "slerp", "1132662bfaebe1db" },
    { "nuslerp", "d56af54b8100a34a" },
    { "nuslerp nuslerp_flatten=false", "ab67b356af223f05" },
    { "nuslerp nuslerp_row_wise=true", "d56af54b8100a34a" },
    { "nearswap", "4441f19609a9360d" },
    { "della/mergekit paper", "c4b8c6f64386526b" },
    { "della/mergekit none", "bc5f4fea530ea59c" },
    { "della/mergekit l1", "6423bd3eeadf36df" },
    { "della/authors paper", "c4b8c6f64386526b" },
    { "della/authors none", "bc5f4fea530ea59c" },
    { "della/authors l1", "6423bd3eeadf36df" },
    { "della_linear/mergekit paper", "29aeb98feff43a0f" },
    { "della_linear/mergekit none", "81797cf33fee36a3" },
    { "della_linear/mergekit l1", "32e535ec4b891ffc" },
    { "della_linear/authors paper", "29aeb98feff43a0f" },
    { "della_linear/authors none", "81797cf33fee36a3" },
    { "della_linear/authors l1", "32e535ec4b891ffc" },
    { "breadcrumbs/mergekit", "461058d591dffa05" },
    { "breadcrumbs/authors", "3a483d37cccc85d5" },
    { "breadcrumbs/authors remove_first=false", "64ee5b779c8274af" },
    { "breadcrumbs_ties", "373b66343b921c6e" },
    { "model_stock", "f296ff6da64de3c6" },
    { "model_stock filter_wise=true", "fa213121a7cf0124" },
    { "sce", "397053fc5b8a626a" },
    { "passthrough", "4441f19609a9360d" },
    { "magnitude_linear", "a238aac3ce26e100" },
    { "ties/original", "9218bc7357b0ded7" },
    { "ties/original elect=sum", "76b726dd5bf88fea" },
    { "ties/original elect=max", "ba9d496e482dd8f3" },
    { "pcb/nlp scope=tensor", "55e6a7c038d99dea" },
    { "pcb/root scope=tensor", "10a952358b570777" },
    { "pcb/vision", "e9e603b3c8ba906b" },
    { "pcb/vision scope=tensor", "38ef311b325db1ac" },
    { "pcb/es", "6b5e9857f86b1a9b" },
    { "pcb/es scope=tensor", "2f5a94cbea5f2c2b" },
    { "dare_pcb/nlp paper scope=tensor", "ece82ea80fa5805c" },
    { "dare_pcb/nlp none scope=tensor", "d693c0ab08a032ce" },
};

static const char *pinned(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(digests); i++) {
        if (strcmp(digests[i].name, name) == 0)
            return digests[i].digest;
    }
    return "nothing yet";
}

static void test_the_bytes_of_a_merge_never_change(void **state)
{
    size_t wrong = 0;

    for (struct merge_case c = { .method = NULL }; merge_case_next(&c);) {
        char name[128], text[DIGEST_TEXT];
        struct merge_output o;

        assert_ok(merge_output_of(*state, &c, 0, 1, &plain, &o));
        digest_of_output(&o, text);
        merge_output_release(&o);
        (void)merge_case_name(&c, name, sizeof name);
        if (strcmp(pinned(name), text) == 0)
            continue;
        print_error("    { \"%s\", \"%s\" }, instead of %s\n", name, text,
                    pinned(name));
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void copy_elements(const struct small_model *from,
                          struct small_model *to)
{
    for (size_t i = 0; i < from->set.count; i++) {
        const struct tensor *t = &from->set.items[i];

        for (uint64_t k = 0; k < t->count; k++)
            small_model_set(to, t->name, k, small_model_get(from, t->name, k));
    }
}

/* The first is the other one, rounded. */
static bool is_rounded(const struct merge_output *narrow,
                       const struct merge_output *wide)
{
    bool same = true;

    for (size_t i = 0; i < narrow->layout->count; i++) {
        const struct tensor *t = &narrow->layout->items[i];
        size_t size = (size_t)tensor_bytes(t);
        void *row = xcalloc(1, size);

        dtype_from_f32(t->dtype, wide->targets[0][i], row, (size_t)t->count);
        same = same && memcmp(narrow->targets[0][i], row, size) == 0;
        free(row);
    }
    return same;
}

/* Some methods read it where it lies; by groups, with a rest. */
static void test_bfloat16_is_what_it_widens_to(void **state)
{
    static const struct small_row narrow_rows[] = {
        { "v", DTYPE_BF16, 1, { 21 } },
        { "w", DTYPE_BF16, 2, { 83, 101 } },
        { NULL, DTYPE_F32, 0, { 0 } },
    };
    static const struct small_row wide_rows[] = {
        { "v", DTYPE_F32, 1, { 21 } },
        { "w", DTYPE_F32, 2, { 83, 101 } },
        { NULL, DTYPE_F32, 0, { 0 } },
    };
    struct merge_models narrow = merge_models_new(narrow_rows);
    struct merge_models wide = merge_models_new(wide_rows);

    (void)state;
    copy_elements(&narrow.base, &wide.base);
    for (size_t i = 0; i < MERGE_TASKS; i++)
        copy_elements(&narrow.tasks[i], &wide.tasks[i]);
    for (struct merge_case c = { .method = NULL }; merge_case_next(&c);) {
        struct merge_output a, b;
        char name[128];

        assert_ok(merge_output_of(&narrow, &c, 0, 1, &plain, &a));
        assert_ok(merge_output_of(&wide, &c, 0, 1, &plain, &b));
        if (!is_rounded(&a, &b))
            fail_msg("%s", merge_case_name(&c, name, sizeof name));
        merge_output_release(&a);
        merge_output_release(&b);
    }
    merge_models_release(&narrow);
    merge_models_release(&wide);
}

/* ---- bad input, and none ----------------------------------------------- */

static void test_the_first_nan_is_told_whoever_meets_it(void **state)
{
    static const struct merge_runtime runtimes[] = {
        { .threads = 1 },
        { .threads = 2 },
        { .threads = 7 },
    };
    struct merge_models *m = *state;
    struct merge_output o;

    small_model_set(&m->tasks[0], "model.embed_tokens.weight", 30017,
                    (double)NAN);
    small_model_set(&m->tasks[0], "model.embed_tokens.weight", 50100,
                    (double)INFINITY);
    small_model_set(&m->tasks[1], "model.embed_tokens.weight", 3,
                    (double)INFINITY);
    small_model_set(&m->base, "model.layers.0.w", 0, (double)NAN);
    for (struct merge_case c = { .method = NULL }; merge_case_next(&c);) {
        for (size_t i = 0; i < COUNT_OF(runtimes); i++)
            assert_fails(merge_output_of(m, &c, 0, 1, &runtimes[i], &o),
                         STATUS_CORRUPT,
                         "tensor model.embed_tokens.weight of a is NaN or "
                         "infinite at element 30017");
    }
}

static bool at_once(void *self)
{
    size_t *polls = self;

    return ++*polls > 2;
}

static void test_a_cancel_ends_it(void **state)
{
    size_t polls = 0;
    const struct merge_runtime cancelled = { .threads = 2,
                                             .self = &polls,
                                             .cancelled = at_once };
    struct merge_output o;

    for (struct merge_case c = { .method = NULL }; merge_case_next(&c);) {
        polls = 0;
        assert_fails(merge_output_of(*state, &c, 0, 1, &cancelled, &o),
                     STATUS_CANCELLED, NULL);
        assert_true(polls < 20);
    }
}

static void test_a_model_without_floats_is_copied(void **state)
{
    static const struct small_row ids[] = { { "ids", DTYPE_I32, 1, { 3 } },
                                            { NULL, DTYPE_F32, 0, { 0 } } };
    struct merge_models m = merge_models_new(ids);
    struct merge_models empty = merge_models_new(ids + 1);

    (void)state;
    for (struct merge_case c = { .method = NULL }; merge_case_next(&c);) {
        struct merge_output o;

        assert_ok(merge_output_of(&m, &c, 0, 2, &plain, &o));
        assert_memory_equal(o.targets[0][0], m.base.set.items[0].data, 12);
        assert_memory_equal(o.targets[1][0], m.base.set.items[0].data, 12);
        merge_output_release(&o);
        assert_ok(merge_output_of(&empty, &c, 0, 1, &plain, &o));
        assert_int_equal(o.layout->count, 0);
        merge_output_release(&o);
    }
    merge_models_release(&m);
    merge_models_release(&empty);
}

static void test_equal_models_give_the_base_or_themselves(void **state)
{
    struct merge_models *m = *state;
    struct merge_models equal = *m;

    for (size_t i = 0; i < MERGE_TASKS; i++)
        equal.tasks[i] = m->base;
    for (struct merge_case c = { .method = NULL }; merge_case_next(&c);) {
        struct merge_output o;
        char name[128];

        assert_ok(merge_output_of(&equal, &c, 0, 1, &plain, &o));
        for (size_t i = 0; i < o.layout->count; i++) {
            const struct tensor *t = &o.layout->items[i];

            if (memcmp(o.targets[0][i], m->base.set.items[i].data,
                       (size_t)tensor_bytes(t)) != 0)
                fail_msg("%s: %s", merge_case_name(&c, name, sizeof name),
                         t->name);
        }
        merge_output_release(&o);
    }
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, setup, merge_models_tear_down)
#define BIG(name) \
    cmocka_unit_test_setup_teardown(name, setup_big, merge_models_tear_down)

/* test_merge_rows [NAME]: that test alone. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_method_depends_on_threads_or_chunks),
        BIG(test_no_method_depends_on_who_shares_a_tensor),
        cmocka_unit_test(test_hints_change_nothing),
        TEST(test_a_point_does_not_see_its_neighbours),
        TEST(test_the_bytes_of_a_merge_never_change),
        cmocka_unit_test(test_bfloat16_is_what_it_widens_to),
        TEST(test_the_first_nan_is_told_whoever_meets_it),
        TEST(test_a_cancel_ends_it),
        TEST(test_a_model_without_floats_is_copied),
        TEST(test_equal_models_give_the_base_or_themselves),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
