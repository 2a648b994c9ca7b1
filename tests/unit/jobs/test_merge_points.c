#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "support/one_tensor.h"
#include "tensor/reduce.h"

/* Merges that need a survey, ranks or rows, at several points, each for
 * itself and all in one run. */
static const struct {
    const char *method;
    const char *parameters[4];
    bool base, base_first;
} cases[] = {
    { "\"merge_method\": \"slerp\"",
      { "\"t\": 0.2", "\"t\": 0.9", "\"t\": 0.0" },
      true,
      true },
    { "\"merge_method\": \"nearswap\"",
      { "\"t\": 0.02", "\"t\": 0.3" },
      true,
      true },
    { "\"merge_method\": \"nuslerp\"",
      { "\"weight\": 0.2", "\"weight\": 1.5" },
      false,
      false },
    { "\"merge_method\": \"nuslerp\"",
      { "\"weight\": 0.2, \"nuslerp_flatten\": false",
        "\"weight\": 0.0, \"nuslerp_flatten\": false" },
      true,
      false },
    { "\"merge_method\": \"nuslerp\"",
      { "\"weight\": 1, \"nuslerp_flatten\": false, "
        "\"nuslerp_row_wise\": true",
        "\"weight\": 0, \"nuslerp_flatten\": false, "
        "\"nuslerp_row_wise\": true" },
      true,
      false },
    { "\"merge_method\": \"della\"",
      { "\"weight\": 1, \"density\": 0.5",
        "\"weight\": 0.3, \"density\": 0.7, \"epsilon\": 0.2",
        "\"weight\": 1, \"density\": 1.0" },
      true,
      false },
    { "\"merge_method\": \"della\", \"variant\": \"authors\"",
      { "\"weight\": 1, \"density\": 0.5", "\"weight\": 1, \"density\": 0.0" },
      true,
      false },
    { "\"merge_method\": \"della_linear\"",
      { "\"weight\": 1, \"density\": 0.5",
        "\"weight\": 0.3, \"density\": 0.7, \"lambda\": 0.2" },
      true,
      false },
    { "\"merge_method\": \"breadcrumbs\"",
      { "\"weight\": 1, \"density\": 0.5, \"gamma\": 0.0",
        "\"weight\": 1, \"density\": 0.9, \"gamma\": 0.2",
        "\"weight\": 1, \"density\": 1.0" },
      true,
      false },
    { "\"merge_method\": \"breadcrumbs\", \"variant\": \"authors\"",
      { "\"weight\": 1, \"density\": 0.5, \"gamma\": 0.0",
        "\"weight\": 1, \"density\": 0.9, \"gamma\": 0.2" },
      true,
      false },
    { "\"merge_method\": \"breadcrumbs_ties\"",
      { "\"weight\": 1, \"density\": 0.5", "\"weight\": 1, \"density\": 0.2" },
      true,
      false },
    { "\"merge_method\": \"task_arithmetic\"",
      { "\"weight\": 0.3", "\"weight\": 0.3, \"lambda\": 2.0",
        "\"weight\": 1.1" },
      true,
      false },
    { "\"merge_method\": \"magnitude_linear\"",
      { "\"weight\": 0.3, \"density\": 0.4",
        "\"weight\": 0.3, \"density\": 0.4, \"lambda\": 2.0",
        "\"weight\": 0.3, \"density\": 0.9", "\"weight\": 1" },
      true,
      false },
    { "\"merge_method\": \"dare_linear\"",
      { "\"weight\": 0.3, \"density\": 0.4",
        "\"weight\": 0.3, \"density\": 0.4, \"lambda\": 2.0",
        "\"weight\": 0.3, \"density\": 0.9", "\"weight\": 1" },
      true,
      false },
    { "\"merge_method\": \"dare_linear\"",
      { "\"weight\": 0.3, \"density\": 0.4, \"rescale_rule\": \"l1\"",
        "\"weight\": 1, \"density\": 0.4, \"rescale_rule\": \"l1\"",
        "\"weight\": 1, \"density\": 0.7, \"rescale_rule\": \"l1\"" },
      true,
      false },
    { "\"merge_method\": \"ties\"",
      { "\"weight\": 0.3, \"density\": 0.4",
        "\"weight\": 0.3, \"density\": 0.4, \"lambda\": 2.0",
        "\"weight\": 1.0, \"density\": 0.4",
        "\"weight\": 1.0, \"density\": 0.9" },
      true,
      false },
    { "\"merge_method\": \"ties\", \"variant\": \"original\"",
      { "\"density\": 0.4", "\"density\": 0.4, \"lambda\": 2.0",
        "\"density\": 1.0", "\"density\": 1e-7" },
      true,
      false },
    { "\"merge_method\": \"ties\", \"variant\": \"original\"",
      { "\"density\": 0.4, \"elect\": \"max\"",
        "\"density\": 0.1, \"elect\": \"max\"" },
      true,
      false },
    { "\"merge_method\": \"ties\", \"variant\": \"mergelm\"",
      { "\"density\": 0.4", "\"density\": 0.6" },
      true,
      false },
    { "\"merge_method\": \"dare_ties\"",
      { "\"weight\": 1, \"density\": 0.4",
        "\"weight\": 1, \"density\": 0.4, \"lambda\": 2.0",
        "\"weight\": 1, \"density\": 0.7", "\"weight\": 1" },
      true,
      false },
    { "\"merge_method\": \"dare_ties\", \"variant\": \"mergelm\"",
      { "\"density\": 0.4, \"trim_density\": 0.3",
        "\"density\": 0.4, \"trim_density\": 0.1",
        "\"density\": 0.7, \"trim_density\": 0.1, \"lambda\": 0.5",
        "\"density\": 1.0" },
      true,
      false },
    { "\"merge_method\": \"pcb\"",
      { "\"ratio\": 0.1", "\"ratio\": 0.1, \"lambda\": 2.0", "\"ratio\": 0.9",
        "\"ratio\": 1.0" },
      true,
      false },
    { "\"merge_method\": \"pcb\", \"variant\": \"vision\"",
      { "\"ratio\": 0.1", "\"ratio\": 0.3" },
      true,
      false },
    { "\"merge_method\": \"pcb\", \"variant\": \"es\"",
      { "\"ratio\": 0.1, \"scope\": \"tensor\"",
        "\"ratio\": 0.3, \"scope\": \"tensor\", \"lambda\": 0.9" },
      true,
      false },
    { "\"merge_method\": \"dare_pcb\"",
      { "\"ratio\": 0.1, \"density\": 0.5",
        "\"ratio\": 0.3, \"density\": 0.5, \"lambda\": 0.9",
        "\"ratio\": 0.3, \"density\": 0.8" },
      true,
      false },
    { "\"merge_method\": \"sce\"",
      { "\"select_topk\": 0.3", "\"select_topk\": 1.0",
        "\"select_topk\": 0.001" },
      true,
      false },
};

/* Few values of deltas, so that many equal each other. */
static float *row_of(uint64_t count, uint32_t stream, const float *base)
{
    const struct philox_key key = { 3, stream, 1 };
    float *row = xcalloc(count, sizeof *row);

    for (uint64_t i = 0; i < count; i++) {
        float u = (float)(philox_word(key, i) >> 8) * 0x1p-24F - 0.5F;

        row[i] = base == NULL ? u : base[i] + (float)(int)(u * 64.0F) / 128.0F;
    }
    return row;
}

static size_t points_of(size_t at)
{
    size_t points = 0;

    while (points < COUNT_OF(cases[at].parameters) &&
           cases[at].parameters[points] != NULL)
        points++;
    return points;
}

static void check_case(size_t at, const struct one_tensor *shape)
{
    static const struct {
        size_t threads, chunk;
    } others[] = { { 1, REDUCE_CHUNK }, { 3, 2 * REDUCE_CHUNK }, { 5, 0 } };
    uint64_t count = shape->shape[0] * shape->shape[1];
    size_t bytes = (size_t)count * sizeof(float);
    size_t points = points_of(at);
    float *base = row_of(count, 1, NULL);
    float *tasks[] = { row_of(count, 2, base), row_of(count, 3, base) };
    struct one_tensor t = *shape;
    float *alone[ONE_POINTS], *together[ONE_POINTS];

    t.base = cases[at].base ? base : NULL;
    t.base_first = cases[at].base_first;
    t.tasks[0] = tasks[0];
    t.tasks[1] = t.base_first ? NULL : tasks[1];
    for (size_t p = 0; p < points; p++) {
        alone[p] = xcalloc(1, bytes);
        together[p] = xcalloc(1, bytes);
        assert_ok(one_tensor_merge(&t, cases[at].method,
                                   cases[at].parameters[p], alone[p]));
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        t.threads = others[i].threads;
        t.chunk = others[i].chunk;
        assert_ok(one_tensor_points(&t, cases[at].method, cases[at].parameters,
                                    points, together));
        for (size_t p = 0; p < points; p++) {
            if (memcmp(alone[p], together[p], bytes) != 0)
                fail_msg("%s {%s} with %zu threads", cases[at].method,
                         cases[at].parameters[p], t.threads);
        }
    }
    for (size_t p = 0; p < points; p++) {
        free(alone[p]);
        free(together[p]);
    }
    free(base);
    free(tasks[0]);
    free(tasks[1]);
}

/* Large enough that several threads share a tensor. */
static void test_points_are_the_same_alone_and_together(void **state)
{
    static const struct one_tensor shapes[] = {
        { .rank = 2, .shape = { 1400, 101 } },
        { .rank = 2, .shape = { 23, 6000 } },
        { .rank = 2, .shape = { 9, 13 } },
    };

    (void)state;
    for (size_t at = 0; at < COUNT_OF(cases); at++) {
        for (size_t i = 0; i < COUNT_OF(shapes); i++)
            check_case(at, &shapes[i]);
    }
}

/* So large that order statistics count keys instead of keeping them. */
static void test_what_is_counted_is_the_same_for_many_points(void **state)
{
    static const struct one_tensor shape = { .rank = 2,
                                             .shape = { 3000, 101 } };
    static const char *const methods[] = {
        "\"merge_method\": \"breadcrumbs\"",
        "\"merge_method\": \"ties\"",
        "\"merge_method\": \"ties\", \"variant\": \"original\"",
        "\"merge_method\": \"pcb\"",
        "\"merge_method\": \"sce\"",
    };
    size_t checked = 0;

    (void)state;
    for (size_t at = 0; at < COUNT_OF(cases); at++) {
        for (size_t i = 0; i < COUNT_OF(methods); i++) {
            if (strcmp(cases[at].method, methods[i]) != 0)
                continue;
            check_case(at, &shape);
            checked++;
        }
    }
    assert_true(checked >= COUNT_OF(methods));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_are_the_same_alone_and_together),
        cmocka_unit_test(test_what_is_counted_is_the_same_for_many_points),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
