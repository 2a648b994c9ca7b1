#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/merge/merge_kernel.h"
#include "jobs/merge/merge_wide.h"

/* Sums of many points at once against those of each point by itself. */
enum { MODELS = 3, MOST = 4096, PLACES = 16, ROOM = MOST + 2 * PLACES };

struct fixture {
    float base[MOST], tasks[MODELS][MOST], draws[MODELS][MOST];
    float deltas[MODELS * MOST];
    float *expected, *outs; /* [MERGE_POINTS][ROOM], of whole lines */
    struct merge_step steps[MERGE_POINTS];
};

/* Rates and weights of four points in turn are equal, but for the lambda. */
static void set_step(struct merge_step *step, size_t point)
{
    double keep = 1.0 - 0.05 * floor((double)point / 4.0);

    *step = (struct merge_step){ .point = point, .models = MODELS };
    step->values.number[MERGE_LAMBDA][0] = 0.3 * (double)(point % 4) - 0.25;
    for (size_t i = 0; i < MODELS; i++) {
        step->values.number[MERGE_WEIGHT][i] = 0.7 * (double)i - 0.9;
        step->threshold[i] = (float)(1.0 - keep);
        step->scale[i] = 1.0 / keep;
    }
}

static float *new_outs(void)
{
    float *outs = aligned_alloc(64, sizeof(float) * MERGE_POINTS * ROOM);

    assert_non_null(outs);
    return outs;
}

static int setup(void **state)
{
    struct fixture *f = xnew(struct fixture);

    philox_uniform((struct philox_key){ 1, 0, 0 }, 0, MOST, f->base);
    for (uint32_t i = 0; i < MODELS; i++) {
        philox_uniform((struct philox_key){ 2, i, 0 }, 0, MOST, f->tasks[i]);
        philox_uniform((struct philox_key){ 3, i, 0 }, 0, MOST, f->draws[i]);
        for (size_t e = 0; e < MOST; e += 11)
            f->tasks[i][e] = f->base[e];
    }
    for (size_t p = 0; p < MERGE_POINTS; p++)
        set_step(&f->steps[p], p);
    f->expected = new_outs();
    f->outs = new_outs();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    free(f->expected);
    free(f->outs);
    free(f);
    return 0;
}

/* Each point begins elsewhere in a line, the first at the start. */
static float *place(float *outs, size_t point)
{
    return outs + point * ROOM + point * 5 % PLACES;
}

/* Nothing of model 1 drops at any point. */
static struct merge_chunk chunk_of(struct fixture *f, size_t count)
{
    struct merge_chunk chunk = {
        .count = count, .base = f->base, .delta = f->deltas, .stride = MOST
    };

    for (size_t i = 0; i < MODELS; i++) {
        chunk.task[i] = f->tasks[i];
        chunk.draws[i] = i != 1 ? f->draws[i] : NULL;
    }
    return chunk;
}

static void set_terms(struct merge_terms *t, const struct merge_step *step,
                      const struct merge_chunk *chunk, float *out)
{
    *t = (struct merge_terms){ .models = MODELS, .zero = 1.0, .ends = 1 };
    t->end[0] =
        (struct merge_end){ step->values.number[MERGE_LAMBDA][0], out, 0 };
    for (size_t i = 0; i < MODELS; i++) {
        bool drops = chunk->draws[i] != NULL;

        t->weight[i] = step->values.number[MERGE_WEIGHT][i] *
                       (drops ? step->scale[i] : 1.0);
        t->scale[i] = 1.0;
        t->drawn[i] = drops ? step->threshold[i] : 0.0F;
    }
}

/* The rest of the rows is not to be touched. */
static void begin(struct fixture *f, size_t points, size_t count)
{
    struct merge_chunk chunk = chunk_of(f, count);

    memset(f->expected, 0x5a, sizeof(float) * points * ROOM);
    memset(f->outs, 0x5a, sizeof(float) * points * ROOM);
    for (size_t p = 0; p < points; p++) {
        chunk.out = place(f->expected, p);
        merge_combine_sum(&f->steps[p], &chunk);
    }
}

static void check(struct fixture *f, size_t points, size_t count, bool in_place)
{
    static struct merge_terms terms[MERGE_POINTS];
    struct merge_chunk chunk = chunk_of(f, count);

    begin(f, points, count);
    chunk.in_place = in_place;
    for (size_t p = 0; p < points; p++)
        set_terms(&terms[p], &f->steps[p], &chunk, place(f->outs, p));
    merge_terms_share(terms, points);
    merge_wide_sums(terms, points, &chunk);
    if (memcmp(f->outs, f->expected, sizeof(float) * points * ROOM) != 0)
        fail_msg("%zu points of %zu elements differ", points, count);
}

static bool is_able(void)
{
    if (!merge_wide_able())
        print_message("[  SKIPPED ] THIS MACHINE HAS NO AVX-512: sums of many "
                      "points were not compared\n");
    return merge_wide_able();
}

static void test_every_number_of_points(void **state)
{
    if (!is_able())
        skip();
    for (size_t points = 1; points <= MERGE_POINTS; points++) {
        check(*state, points, 700, true);
        check(*state, points, 700, false);
    }
}

static void test_every_length(void **state)
{
    static const size_t counts[] = { 496, 511,  512,  513,      527,
                                     528, 1023, 1024, MOST - 1, MOST };

    if (!is_able())
        skip();
    for (size_t count = 1; count < 50; count++)
        check(*state, PLACES, count, true);
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        check(*state, PLACES, counts[i], true);
        check(*state, PLACES, counts[i], false);
    }
}

/* Whichever way the machine takes. */
static void test_a_run_of_many_points(void **state)
{
    static const size_t counts[] = { 1, 15, 16, 777, MOST };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        for (size_t points = 6; points <= MERGE_POINTS; points += 29) {
            struct merge_chunk chunk = chunk_of(f, counts[i]);
            float *outs[MERGE_POINTS];

            begin(f, points, counts[i]);
            for (size_t p = 0; p < points; p++)
                outs[p] = place(f->outs, p);
            chunk.outs = outs;
            chunk.in_place = i % 2 == 0;
            merge_combine_sum_points(f->steps, points, &chunk);
            assert_memory_equal(f->outs, f->expected,
                                sizeof(float) * points * ROOM);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_number_of_points, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_every_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_run_of_many_points, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
