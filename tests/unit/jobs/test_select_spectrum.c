#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/select/spectrum.h"
#include "support/test.h"

/* Points about `themes` centres that are `apart`; the caller frees. */
static float *draw_points(size_t n, size_t width, size_t themes, float apart)
{
    const struct philox_key centre = { .seed = 1 }, noise = { .seed = 2 };
    float *x = xcalloc(n * width + 1, sizeof *x);

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < width; k++)
            x[i * width + k] =
                apart * philox_normal(centre, i % themes * width + k) +
                philox_normal(noise, i * width + k);
    return x;
}

static double naive_squared(const float *a, const float *b, size_t width)
{
    double sum = 0.0;

    for (size_t k = 0; k < width; k++)
        sum += ((double)a[k] - (double)b[k]) * ((double)a[k] - (double)b[k]);
    return sum;
}

static int compare_doubles(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

static bool always(void *self)
{
    (void)self;
    return true;
}

/* --- affinity ---------------------------------------------------------------------
 */

static void test_the_median_is_that_of_the_sorted_matrix(void **state)
{
    (void)state;
    for (size_t n = 2; n < 40; n++) {
        AUTO(free_pointer) double *all = xcalloc(n * n, sizeof *all);
        AUTO(free_pointer) double *pairs = xcalloc(n * n, sizeof *pairs);
        const struct philox_key key = { .seed = (uint32_t)n };
        size_t count = 0, at = n;
        double median;
        bool fallback;

        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < i; j++) {
                pairs[count] = philox_below(key, count, 50) + 1;
                all[at++] = sqrt(pairs[count]);
                all[at++] = sqrt(pairs[count++]);
            }
        qsort(all, n * n, sizeof *all, compare_doubles);
        assert_true(affinity_median(pairs, count, n, AFFINITY_MEDIAN_FULL,
                                    &median, &fallback));
        if (n > 2) { /* half of four numbers are zeros */
            assert_false(fallback);
            assert_true(median ==
                        (all[(n * n - 1) / 2] + all[n * n / 2]) / 2.0);
        }
        assert_true(affinity_median(pairs, count, n, AFFINITY_MEDIAN_OFFDIAG,
                                    &median, &fallback));
        assert_true(median ==
                    (all[n + (n * n - n - 1) / 2] + all[n + (n * n - n) / 2]) /
                        2.0);
    }
}

static void test_the_kernel_is_what_the_formula_says(void **state)
{
    enum { N = 70, WIDTH = 13 };
    AUTO(free_pointer) float *x = draw_points(N, WIDTH, 3, 2.0F);
    const struct affinity_sigma how = { .scale = 0.5 };
    AUTO(affinity_release) struct affinity a = { 0 };

    (void)state;
    memcpy(x + 7 * WIDTH, x + 50 * WIDTH, WIDTH * sizeof *x);
    assert_ok(affinity_make(NULL, x, N, WIDTH, &how, &a));
    assert_true(a.sigma == a.median / 2.0);
    for (size_t i = 0; i < N; i++) {
        double degree = 0.0;

        for (size_t j = 0; j < N; j++) {
            double squared = naive_squared(x + i * WIDTH, x + j * WIDTH, WIDTH);

            assert_true(fabs(a.matrix[i * N + j] -
                             exp(-squared / (2.0 * a.sigma * a.sigma))) <
                        1e-12);
            degree += a.matrix[i * N + j];
        }
        assert_true(fabs(a.degree[i] - degree) < 1e-12);
    }
    assert_true(a.matrix[7 * N + 50] == 1.0); /* equal rows, exactly */
}

static void test_sigma_has_a_way_out(void **state)
{
    const float line[] = { 0.0F, 0.0F, 0.0F, 0.0F, 0.0F, 3.0F, 5.0F };
    const float same[] = { 1.0F, 2.0F, 1.0F, 2.0F, 1.0F, 2.0F };
    const struct affinity_sigma rule = { .scale = 1.0 };
    struct affinity_sigma fixed = { .fixed = 0.25 };
    struct affinity a;

    (void)state;
    assert_ok(affinity_make(NULL, line, 7, 1, &rule, &a));
    assert_true(a.fallback && !a.all_equal);
    assert_true(a.sigma == 3.0 || a.sigma == 4.0); /* 2, 5 x 3, 5 x 5 */
    affinity_release(&a);
    assert_ok(affinity_make(NULL, line, 7, 1, &fixed, &a));
    assert_true(a.sigma == 0.25 && !a.fallback);
    affinity_release(&a);
    assert_ok(affinity_make(NULL, same, 3, 2, &rule, &a));
    assert_true(a.all_equal && a.matrix == NULL);
    affinity_release(&a);
    assert_ok(affinity_make(NULL, same, 1, 2, &rule, &a));
    assert_true(a.all_equal);
    fixed.fixed = -1.0;
    assert_fails(affinity_make(NULL, line, 7, 1, &fixed, &a), STATUS_INVALID,
                 "sigma");
    fixed.fixed = 1e-200;
    assert_fails(affinity_make(NULL, line, 7, 1, &fixed, &a), STATUS_INVALID,
                 "too small");
}

/* --- neighbours -------------------------------------------------------------------
 */

struct found {
    double squared;
    uint32_t row;
};

static int compare_found(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;

    if (x->squared != y->squared)
        return x->squared < y->squared ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static void check_nearest(const struct knn_search *s)
{
    AUTO(free_pointer)
    uint32_t *index = xcalloc(s->n * s->k, sizeof *index);
    AUTO(free_pointer)
    uint32_t *again = xcalloc(s->n * s->k, sizeof *again);
    AUTO(free_pointer)
    double *squared = xcalloc(s->n * s->k, sizeof *squared);
    AUTO(free_pointer) struct found *all = xcalloc(s->m, sizeof *all);
    const struct crew crew = { .threads = 3 };

    assert_ok(knn_nearest(NULL, s, index, squared));
    for (size_t i = 0; i < s->n; i++) {
        size_t count = 0;

        for (size_t j = 0; j < s->m; j++)
            if (!s->self || i != j)
                all[count++] =
                    (struct found){ affinity_squared(s->from + i * s->width,
                                                     s->to + j * s->width,
                                                     s->width),
                                    (uint32_t)j };
        qsort(all, count, sizeof *all, compare_found);
        for (size_t l = 0; l < s->k; l++) {
            assert_int_equal(index[i * s->k + l], all[l].row);
            assert_true(squared[i * s->k + l] == all[l].squared);
        }
    }
    assert_ok(knn_nearest(&crew, s, again, NULL));
    assert_memory_equal(index, again, s->n * s->k * sizeof *index);
}

static void test_the_nearest_are_those_of_a_full_search(void **state)
{
    enum { N = 300, M = 1500, WIDTH = 9 };
    AUTO(free_pointer) float *x = draw_points(M, WIDTH, 5, 1.0F);
    struct knn_search s = { x, x, N, M, WIDTH, 7, false };

    (void)state;
    check_nearest(&s);
    s.m = N;
    s.self = true;
    check_nearest(&s);
    s.k = N - 1; /* all others */
    s.k = s.k > KNN_NEIGHBOURS ? KNN_NEIGHBOURS : s.k;
    check_nearest(&s);
}

static void test_of_equal_distances_the_lower_number_is_nearer(void **state)
{
    enum { SIDE = 20, N = SIDE * SIDE };
    static float grid[2 * N];
    const struct knn_search s = { grid, grid, N, N, 2, 6, true };

    (void)state;
    for (size_t i = 0; i < N; i++) {
        grid[2 * i] = (float)(i % SIDE);
        grid[2 * i + 1] = (float)(i / SIDE);
    }
    check_nearest(&s);
}

static void test_a_graph_is_symmetric_and_knows_its_components(void **state)
{
    enum { N = 240, WIDTH = 6, THEMES = 4 };
    AUTO(free_pointer) float *x = draw_points(N, WIDTH, THEMES, 60.0F);
    const struct knn_how how = { .neighbours = 5 };
    AUTO(knn_release) struct knn g = { 0 };

    (void)state;
    assert_ok(knn_make(NULL, x, N, WIDTH, &how, &g));
    assert_int_equal(g.components, THEMES);
    for (size_t i = 0; i < N; i++) {
        double degree = 0.0;
        bool self = false;

        assert_int_equal(g.component[i], i % THEMES);
        for (uint64_t l = g.begin[i]; l < g.begin[i + 1]; l++) {
            uint32_t j = g.column[l];
            bool back = false;

            assert_true(l == g.begin[i] || g.column[l - 1] < j);
            for (uint64_t m = g.begin[j]; m < g.begin[j + 1]; m++)
                back = back || (g.column[m] == i && g.weight[m] == g.weight[l]);
            assert_true(back);
            self = self || (i == j && g.weight[l] == 1.0);
            degree += g.weight[l];
        }
        assert_true(self && g.begin[i + 1] - g.begin[i] > 5);
        assert_true(g.degree[i] == degree);
    }
    assert_int_equal(g.entries, g.begin[N]);
}

/* Of all pairs of a pool that is no larger than the subset. */
static void test_a_graph_has_the_median_of_the_distances(void **state)
{
    enum { N = 90, WIDTH = 5 };
    AUTO(free_pointer) float *x = draw_points(N, WIDTH, 3, 1.0F);
    struct knn_how how = { .neighbours = 4, .sigma = { .scale = 1.0 } };
    AUTO(free_pointer) double *all = xcalloc((size_t)N * N, sizeof *all);
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < i; j++)
            all[count++] =
                sqrt(naive_squared(x + i * WIDTH, x + j * WIDTH, WIDTH));
    qsort(all, count, sizeof *all, compare_doubles);
    for (; how.sigma.scale < 3.0; how.sigma.scale += 0.5) {
        AUTO(knn_release) struct knn g = { 0 };

        assert_ok(knn_make(NULL, x, N, WIDTH, &how, &g));
        assert_true(fabs(g.median -
                         (all[(count - 1) / 2] + all[count / 2]) / 2.0) < 1e-9);
        assert_true(g.sigma == g.median * how.sigma.scale);
    }
}

static void test_graphs_of_few_or_equal_points(void **state)
{
    const float line[] = { 0.0F, 0.0F, 0.0F, 0.0F, 8.0F, 8.0F, 8.0F };
    const struct knn_how how = { .neighbours = 2 };
    struct knn g;

    (void)state;
    assert_ok(knn_make(NULL, line, 1, 1, &how, &g));
    assert_true(g.all_equal);
    knn_release(&g);
    assert_ok(knn_make(NULL, line, 4, 1, &how, &g));
    assert_true(g.all_equal);
    knn_release(&g);
    assert_ok(knn_make(NULL, line, 7, 1, &how, &g));
    assert_true(!g.all_equal && g.components == 2);
    knn_release(&g);
    assert_fails(knn_make(NULL, line, 7, 1, &(struct knn_how){ 0 }, &g),
                 STATUS_INVALID, "neighbours");
}

/* --- spectra ----------------------------------------------------------------------
 */

static void check_orthonormal(const struct spectrum *s)
{
    for (size_t k = 0; k < s->pairs; k++)
        for (size_t l = 0; l <= k; l++) {
            double sum = k == l ? -1.0 : 0.0;

            for (size_t i = 0; i < s->rows; i++)
                sum +=
                    s->vectors[i * s->pairs + k] * s->vectors[i * s->pairs + l];
            assert_true(fabs(sum) < 1e-8);
        }
}

/* |L v - lambda v| of the graph's own Laplacian. */
static void check_graph_pairs(const struct spectrum *s, const struct knn *g)
{
    for (size_t k = 0; k < s->pairs; k++)
        for (size_t i = 0; i < s->rows; i++) {
            double sum = s->vectors[i * s->pairs + k] * (1.0 - s->values[k]);

            for (uint64_t l = g->begin[i]; l < g->begin[i + 1]; l++)
                sum -= g->weight[l] /
                       sqrt(g->degree[i] * g->degree[g->column[l]]) *
                       s->vectors[g->column[l] * s->pairs + k];
            assert_true(fabs(sum) < 1e-6);
        }
}

/* Above the size at which a graph becomes a matrix. */
enum { MANY = 900, WIDE = 10 };

static void test_arpack_finds_the_pairs_of_the_graph(void **state)
{
    static const float apart[] = { 0.5F, 60.0F };

    (void)state;
    for (size_t t = 0; t < COUNT_OF(apart); t++) {
        AUTO(free_pointer) float *x = draw_points(MANY, WIDE, 3, apart[t]);
        const struct spectrum_how how = { .route = SPECTRUM_KNN,
                                          .pairs = 6,
                                          .neighbours = 8 };
        const struct knn_how graph = { .neighbours = 8 };
        AUTO(spectrum_release) struct spectrum s = { 0 };
        AUTO(knn_release) struct knn g = { 0 };

        assert_ok(spectrum_make(NULL, x, MANY, WIDE, &how, &s));
        assert_ok(knn_make(NULL, x, MANY, WIDE, &graph, &g));
        assert_int_equal(s.pairs, 6);
        assert_int_equal(s.components, t == 0 ? 1 : 3);
        for (size_t k = 1; k < 6; k++)
            assert_true(s.values[k] >= s.values[k - 1]);
        assert_true(s.values[s.components - 1] == 0.0);
        assert_true(s.values[s.components] > 1e-4);
        check_orthonormal(&s);
        check_graph_pairs(&s, &g);
    }
}

static void test_a_complete_graph_has_the_spectrum_of_the_matrix(void **state)
{
    enum { FEW = 200 };
    AUTO(free_pointer) float *x = draw_points(FEW, WIDE, 3, 1.0F);
    struct spectrum_how how = { .route = SPECTRUM_KNN,
                                .pairs = 5,
                                .neighbours = FEW - 1,
                                .sigma = { .fixed = 4.0 } };
    AUTO(spectrum_release) struct spectrum sparse = { 0 };
    AUTO(spectrum_release) struct spectrum dense = { 0 };

    (void)state;
    assert_ok(spectrum_make(NULL, x, FEW, WIDE, &how, &sparse));
    how.route = SPECTRUM_DENSE;
    assert_ok(spectrum_make(NULL, x, FEW, WIDE, &how, &dense));
    assert_int_equal(sparse.entries, FEW * FEW);
    for (size_t k = 0; k < 5; k++)
        assert_true(fabs(sparse.values[k] - dense.values[k]) < 1e-10);
    check_orthonormal(&dense);
    for (size_t i = 1; i < 9; i++)
        assert_true(fabs(spectrum_distance(&sparse, 5, 2.0, 0, i) -
                         spectrum_distance(&dense, 5, 2.0, 0, i)) < 1e-9);
}

static void check_same(const struct spectrum *a, const struct spectrum *b)
{
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->pairs, b->pairs);
    assert_memory_equal(a->values, b->values, a->pairs * sizeof(double));
    assert_memory_equal(a->vectors, b->vectors,
                        a->rows * a->pairs * sizeof(double));
    assert_memory_equal(a->degree, b->degree, a->rows * sizeof(double));
    if (a->votes > 0)
        assert_memory_equal(a->nearest, b->nearest,
                            a->n * a->votes * sizeof(uint32_t));
}

static void test_threads_change_no_bit_of_a_spectrum(void **state)
{
    AUTO(free_pointer) float *x = draw_points(MANY, WIDE, 3, 1.0F);

    (void)state;
    for (enum spectrum_route r = SPECTRUM_DENSE; r < SPECTRUM_ROUTES; r++) {
        const struct spectrum_how how = { .route = r,
                                          .pairs = 5,
                                          .landmarks = 150 };
        AUTO(spectrum_release) struct spectrum one = { 0 };

        assert_ok(spectrum_make(NULL, x, MANY, WIDE, &how, &one));
        assert_int_equal(one.route, r);
        for (uint64_t threads = 2; threads < 5; threads++) {
            const struct crew crew = { .threads = threads };
            AUTO(spectrum_release) struct spectrum many = { 0 };

            assert_ok(spectrum_make(&crew, x, MANY, WIDE, &how, &many));
            check_same(&one, &many);
        }
    }
}

static void test_samples_without_text_are_set_apart(void **state)
{
    AUTO(free_pointer) float *x = draw_points(MANY, WIDE, 3, 1.0F);

    (void)state;
    memset(x, 0, WIDE * sizeof *x);
    memset(x + 17 * WIDE, 0, WIDE * sizeof *x);
    for (enum spectrum_route r = SPECTRUM_DENSE; r < SPECTRUM_ROUTES; r++) {
        const struct spectrum_how how = { .route = r,
                                          .pairs = 4,
                                          .landmarks = 100 };
        AUTO(spectrum_release) struct spectrum s = { 0 };
        AUTO(free_pointer) float *plane = xcalloc(2 * MANY, sizeof *plane);
        char note[200];

        assert_ok(spectrum_make(NULL, x, MANY, WIDE, &how, &s));
        assert_int_equal(s.empty, 2);
        assert_int_equal(s.rows, r == SPECTRUM_BY_LANDMARKS ? 100 : MANY - 2);
        for (size_t i = 0; i < s.rows; i++)
            assert_true(s.row[i] != 0 && s.row[i] != 17);
        spectrum_plane(&s, plane);
        assert_true(plane[0] == 0.0F && plane[2 * 17 + 1] == 0.0F);
        assert_true(plane[2] != 0.0F && isfinite(plane[2 * MANY - 1]));
        spectrum_note(&s, note, sizeof note);
        assert_non_null(strstr(note, spectrum_route_name(r)));
        assert_non_null(strstr(note, "2 without text"));
    }
}

static void test_pools_of_one_point_or_none(void **state)
{
    const float same[12] = { 1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F,
                             1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F };
    const float zero[12] = { 0 };

    (void)state;
    for (enum spectrum_route r = SPECTRUM_AUTO; r < SPECTRUM_ROUTES; r++)
        for (size_t n = 0; n <= 12; n += 4) {
            const struct spectrum_how how = { .route = r };
            struct spectrum s;

            assert_ok(spectrum_make(NULL, same, n, 1, &how, &s));
            assert_true(s.all_equal && s.pairs == 0 && s.n == n);
            spectrum_release(&s);
            assert_ok(spectrum_make(NULL, zero, n, 1, &how, &s));
            assert_true(s.all_equal && s.empty == n);
            spectrum_release(&s);
        }
}

static void test_settings_out_of_range_are_refused(void **state)
{
    AUTO(free_pointer) float *x = draw_points(40, 2, 2, 1.0F);
    const struct crew crew = { .cancelled = always };
    struct spectrum_how how = { .pairs = SPECTRUM_PAIRS_MOST + 1 };
    struct spectrum s;

    (void)state;
    assert_fails(spectrum_make(NULL, x, 40, 2, &how, &s), STATUS_INVALID,
                 "eigenpairs");
    how = (struct spectrum_how){ .route = SPECTRUM_DENSE };
    assert_fails(spectrum_make(NULL, x, 100 * 1000, 2, &how, &s),
                 STATUS_TOO_BIG, "100000");
    assert_fails(spectrum_make(NULL, x, (size_t)SPECTRUM_MOST + 1, 2, &how, &s),
                 STATUS_TOO_BIG, NULL);
    how =
        (struct spectrum_how){ .route = SPECTRUM_BY_LANDMARKS, .landmarks = 3 };
    assert_fails(spectrum_make(NULL, x, 40, 2, &how, &s), STATUS_INVALID,
                 "landmarks");
    for (enum spectrum_route r = SPECTRUM_AUTO; r < SPECTRUM_ROUTES; r++) {
        how = (struct spectrum_how){ .route = r };
        assert_fails(spectrum_make(&crew, x, 40, 2, &how, &s), STATUS_CANCELLED,
                     NULL);
    }
    x[2 * 11] = NAN;
    assert_fails(spectrum_make(NULL, x, 40, 2, &how, &s), STATUS_INVALID,
                 "sample 11");
}

static void test_the_route_follows_the_number_of_samples(void **state)
{
    const struct spectrum_how how = { 0 };

    (void)state;
    assert_int_equal(spectrum_route_for(SPECTRUM_AUTO, 6000), SPECTRUM_DENSE);
    assert_int_equal(spectrum_route_for(SPECTRUM_AUTO, 6001), SPECTRUM_KNN);
    assert_int_equal(spectrum_route_for(SPECTRUM_AUTO, 100001),
                     SPECTRUM_BY_LANDMARKS);
    assert_int_equal(spectrum_route_for(SPECTRUM_KNN, 10), SPECTRUM_KNN);
    for (enum spectrum_route r = 0; r < SPECTRUM_ROUTES; r++) {
        enum spectrum_route found;

        assert_true(spectrum_route_find(spectrum_route_name(r), &found));
        assert_int_equal(found, r);
    }
    /* What a job declares: two matrices, and far less than one. */
    assert_true(spectrum_memory(6000, 384, &how, 2) > 400 * 1000 * 1000);
    assert_true(spectrum_memory(6000, 384, &how, 2) < 600 * 1000 * 1000);
    assert_true(spectrum_memory(50000, 384, &how, 2) < 500 * 1000 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_median_is_that_of_the_sorted_matrix),
        cmocka_unit_test(test_the_kernel_is_what_the_formula_says),
        cmocka_unit_test(test_sigma_has_a_way_out),
        cmocka_unit_test(test_the_nearest_are_those_of_a_full_search),
        cmocka_unit_test(test_of_equal_distances_the_lower_number_is_nearer),
        cmocka_unit_test(test_a_graph_is_symmetric_and_knows_its_components),
        cmocka_unit_test(test_a_graph_has_the_median_of_the_distances),
        cmocka_unit_test(test_graphs_of_few_or_equal_points),
        cmocka_unit_test(test_arpack_finds_the_pairs_of_the_graph),
        cmocka_unit_test(test_a_complete_graph_has_the_spectrum_of_the_matrix),
        cmocka_unit_test(test_threads_change_no_bit_of_a_spectrum),
        cmocka_unit_test(test_samples_without_text_are_set_apart),
        cmocka_unit_test(test_pools_of_one_point_or_none),
        cmocka_unit_test(test_settings_out_of_range_are_refused),
        cmocka_unit_test(test_the_route_follows_the_number_of_samples),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
