#include "jobs/select/cluster.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/select/nmf_parts.h"
#include "support/test.h"

enum { WIDTH = 12, THEMES = 4 };

/* Points about centres, of length 1; the caller frees. */
static float *draw_points(size_t n, float apart)
{
    const struct philox_key centre = { .seed = 1 }, noise = { .seed = 2 };
    float *x = xcalloc(n * WIDTH + 1, sizeof *x);

    for (size_t i = 0; i < n; i++) {
        float norm = 0.0F;

        for (size_t k = 0; k < WIDTH; k++) {
            x[i * WIDTH + k] =
                apart * philox_normal(centre, i % THEMES * WIDTH + k) +
                philox_normal(noise, i * WIDTH + k);
            norm += x[i * WIDTH + k] * x[i * WIDTH + k];
        }
        for (size_t k = 0; k < WIDTH; k++)
            x[i * WIDTH + k] /= sqrtf(norm);
    }
    return x;
}

static void cluster(const float *x, size_t n, const struct spectrum_how *how,
                    const struct cluster_how *cluster, uint64_t threads,
                    struct clusters *ret_clusters)
{
    const struct crew crew = { .threads = threads };
    AUTO(spectrum_release) struct spectrum s = { 0 };

    assert_ok(spectrum_make(&crew, x, n, WIDTH, how, &s));
    assert_ok(cluster_make(&crew, &s, cluster, ret_clusters));
}

static bool always(void *self)
{
    (void)self;
    return true;
}

/* --- clusters ---------------------------------------------------------------------
 */

static void test_themes_that_are_apart_are_found(void **state)
{
    enum { N = 640 };
    AUTO(free_pointer) float *x = draw_points(N, 3.0F);
    static const struct cluster_how how[] = { { .k = THEMES },
                                              { .k = 0 },
                                              { .k = THEMES, .time = 2.0 } };

    (void)state;
    for (enum spectrum_route r = SPECTRUM_DENSE; r < SPECTRUM_ROUTES; r++)
        for (size_t h = 0; h < (r == SPECTRUM_KNN ? 3u : 2u); h++) {
            const struct spectrum_how spectrum = { .route = r,
                                                   .landmarks = 200 };
            AUTO(clusters_release) struct clusters one = { 0 };
            AUTO(clusters_release) struct clusters many = { 0 };
            size_t total = 0;

            cluster(x, N, &spectrum, &how[h], 1, &one);
            assert_int_equal(one.count, THEMES);
            assert_int_equal(one.k, THEMES);
            assert_int_equal(one.by_gap, how[h].k == 0);
            assert_true(one.gap > 0.01 && !one.repeated && one.dropped == 0);
            for (size_t i = 0; i < N; i++)
                assert_int_equal(one.labels[i], i % THEMES);
            for (size_t k = 0; k < one.count; k++)
                total += one.sizes[k];
            assert_int_equal(total, N);
            cluster(x, N, &spectrum, &how[h], 3, &many);
            assert_memory_equal(one.labels, many.labels,
                                N * sizeof *one.labels);
            assert_memory_equal(&one.error, &many.error, sizeof one.error);
        }
}

static void test_the_largest_gap_says_how_many(void **state)
{
    const double values[] = { 0.0, 0.5, 0.75, 1.0, 1.0, 1.5 };
    double gap;

    (void)state;
    assert_int_equal(cluster_eigengap(values, 6, 1, 5, &gap), 1);
    assert_true(gap == 0.5);
    assert_int_equal(cluster_eigengap(values, 6, 2, 4, &gap), 2);
    assert_true(gap == 0.25); /* a tie: the smaller */
    assert_int_equal(cluster_eigengap(values, 6, 2, 99, &gap), 5);
    assert_int_equal(cluster_eigengap(values, 6, 4, 4, &gap), 4);
    assert_true(gap == 0.0);
    assert_int_equal(cluster_eigengap(values, 6, 6, 9, &gap), 0);
    assert_true(isnan(gap));
}

static void test_few_samples_are_one_cluster(void **state)
{
    AUTO(free_pointer) float *x = draw_points(8, 1.0F);
    const struct spectrum_how spectrum = { 0 };
    const struct cluster_how three = { .k = 3 }, many = { .k = 20 };

    (void)state;
    for (size_t n = 0; n < 9; n++) {
        AUTO(clusters_release) struct clusters c = { 0 };

        cluster(x, n, &spectrum, &three, 1, &c);
        assert_int_equal(c.one, n < 3);
        assert_true(c.count <= 3 && (n == 0 || c.count > 0));
        assert_true(c.count == 1 || !c.one || n == 0);
    }
    for (size_t n = 3; n < 9; n++) {
        AUTO(clusters_release) struct clusters c = { 0 };

        cluster(x, n, &spectrum, &many, 1, &c);
        assert_true(c.reduced && c.k == n && c.count <= n);
    }
    for (size_t n = 3; n < 9; n++) { /* by the gap */
        AUTO(clusters_release) struct clusters c = { 0 };

        cluster(x, n, &spectrum, &(struct cluster_how){ 0 }, 1, &c);
        assert_true(c.by_gap && c.count > 0 && c.count <= n);
    }
}

static void test_equal_samples_are_one_cluster(void **state)
{
    AUTO(free_pointer) float *x = draw_points(60, 1.0F);
    const struct cluster_how how = { .k = 5 };

    (void)state;
    for (size_t i = 1; i < 60; i++)
        memcpy(x + i * WIDTH, x, WIDTH * sizeof *x);
    for (enum spectrum_route r = SPECTRUM_DENSE; r < SPECTRUM_ROUTES; r++) {
        const struct spectrum_how spectrum = { .route = r, .landmarks = 10 };
        AUTO(clusters_release) struct clusters c = { 0 };

        cluster(x, 60, &spectrum, &how, 1, &c);
        assert_true(c.one && c.count == 1 && c.sizes[0] == 60);
    }
}

static void test_samples_without_text_have_a_cluster(void **state)
{
    enum { N = 120 };
    AUTO(free_pointer) float *x = draw_points(N, 3.0F);
    const struct cluster_how how = { .k = THEMES };

    (void)state;
    memset(x + 2 * WIDTH, 0, WIDTH * sizeof *x);
    memset(x + 90 * WIDTH, 0, WIDTH * sizeof *x);
    for (enum spectrum_route r = SPECTRUM_DENSE; r < SPECTRUM_ROUTES; r++) {
        const struct spectrum_how spectrum = { .route = r,
                                               .landmarks = 60,
                                               .neighbours = 8 };
        AUTO(clusters_release) struct clusters c = { 0 };
        char note[300];

        cluster(x, N, &spectrum, &how, 1, &c);
        assert_int_equal(c.count, THEMES + 1);
        assert_true(c.lone && c.lone_label == 2); /* by first appearance */
        assert_int_equal(c.sizes[2], 2);
        assert_int_equal(c.labels[2], 2);
        assert_int_equal(c.labels[90], 2);
        assert_int_equal(c.labels[3], 3);
        assert_int_equal(c.labels[6], 4);
        cluster_note(&c, note, sizeof note);
        assert_non_null(strstr(note, "without text"));
    }
    memset(x, 0, N * WIDTH * sizeof *x); /* nothing else */
    {
        AUTO(clusters_release) struct clusters c = { 0 };

        cluster(x, N, &(struct spectrum_how){ 0 }, &how, 1, &c);
        assert_true(c.one && c.lone && c.count == 1);
    }
}

static void test_small_components_share_the_last_cluster(void **state)
{
    /* Five groups on a line of 9, 5, 7, 5 and 8 points. */
    static const size_t sizes[] = { 9, 5, 7, 5, 8 };
    float x[34];
    size_t at = 0;
    const struct spectrum_how spectrum = { .route = SPECTRUM_KNN,
                                           .neighbours = 3 };
    const struct cluster_how how = { .k = 3 }, gap = { .most = 3 };
    AUTO(spectrum_release) struct spectrum s = { 0 };
    AUTO(clusters_release) struct clusters c = { 0 };

    (void)state;
    for (size_t g = 0; g < COUNT_OF(sizes); g++)
        for (size_t i = 0; i < sizes[g]; i++)
            x[at++] = (float)(1000 * g + i * i) + 1.0F;
    assert_ok(spectrum_make(NULL, x, 34, 1, &spectrum, &s));
    assert_int_equal(s.components, 5);
    assert_ok(cluster_make(NULL, &s, &how, &c));
    assert_true(c.merged && c.repeated && c.count == 3);
    for (size_t i = 0; i < 34; i++) /* the largest two, and the others */
        assert_int_equal(c.labels[i], i < 9 ? 0 : i < 26 ? 1 : 2);
    clusters_release(&c);
    assert_ok(cluster_make(NULL, &s, &gap, &c));
    assert_true(c.merged && c.k == 3);
}

/* Z = Phi diag((1 - lambda)^t), factored as it stands. */
static void test_time_weighs_the_eigenvectors(void **state)
{
    enum { N = 60, K = 3 };
    AUTO(free_pointer) float *x = draw_points(N, 0.7F);
    AUTO(free_pointer) double *z = xcalloc((size_t)N * K, sizeof *z);
    AUTO(spectrum_release) struct spectrum s = { 0 };
    const struct spectrum_how how = { .route = SPECTRUM_DENSE };
    const struct nmf_matrix matrix = { .n = N, .factor = z, .rank = K };
    double at_once = 0.0;

    (void)state;
    assert_ok(spectrum_make(NULL, x, N, WIDTH, &how, &s));
    for (double time = 0.0; time < 5.0; time += 2.0) {
        const struct cluster_how cluster = { .k = K, .time = time };
        AUTO(clusters_release) struct clusters c = { 0 };
        AUTO(nmf_release) struct nmf f = { 0 };

        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < K; j++)
                z[i * K + j] =
                    s.vectors[i * s.pairs + j] * pow(1.0 - s.values[j], time);
        assert_ok(cluster_make(NULL, &s, &cluster, &c));
        assert_ok(nmf_make(NULL, &matrix, K, 0, &f));
        assert_true(fabs(c.error - f.error) < 1e-9);
        if (time > 0.0)
            assert_true(fabs(c.error - at_once) > 1e-3);
        else
            at_once = c.error;
    }
}

/* Three landmarks of each of two groups, and a sample whose nearest is of one
 * and most of its five nearest of the other. */
static void test_most_of_the_nearest_landmarks_decide(void **state)
{
    enum { ROWS = 6, ALL = 8, VOTES = 5 };
    double values[] = { 0.0, 0.1, 0.9 };
    double vectors[ROWS * 3] = { 0.0 };
    double degree[] = { 1.0, 1.0, 1.0, 1.0, 1.0, 1.0 };
    uint32_t row[] = { 0, 1, 2, 3, 4, 5 };
    uint32_t nearest[ALL * VOTES];
    const uint32_t others[][VOTES] = { { 0, 1, 3, 5, 2 }, { 1, 3, 0, 2, 4 } };
    const struct spectrum s = { .n = ALL,
                                .rows = ROWS,
                                .pairs = 3,
                                .row = row,
                                .values = values,
                                .vectors = vectors,
                                .degree = degree,
                                .votes = VOTES,
                                .nearest = nearest };
    const struct cluster_how how = { .k = 2 };
    struct clusters c;

    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        vectors[i * 3 + i % 2] = sqrt(1.0 / 3.0);
        for (size_t v = 0; v < VOTES; v++)
            nearest[i * VOTES + v] = (uint32_t)((i + v) % ROWS);
    }
    memcpy(nearest + ROWS * VOTES, others, sizeof others);
    assert_ok(cluster_make(NULL, &s, &how, &c));
    assert_int_equal(c.count, 2);
    assert_int_equal(c.labels[6], c.labels[1]); /* 1, 3, 5 against 0, 2 */
    assert_int_equal(c.labels[7], c.labels[0]); /* 0, 2, 4 against 1, 3 */
    assert_true(c.labels[0] != c.labels[1]);
    clusters_release(&c);
}

static void test_a_spectrum_must_reach_far_enough(void **state)
{
    AUTO(free_pointer) float *x = draw_points(50, 1.0F);
    const struct spectrum_how how = { .pairs = 4 };
    const struct crew crew = { .cancelled = always };
    AUTO(spectrum_release) struct spectrum s = { 0 };
    struct clusters c;

    (void)state;
    assert_ok(spectrum_make(NULL, x, 50, WIDTH, &how, &s));
    assert_fails(cluster_make(NULL, &s, &(struct cluster_how){ .k = 5 }, &c),
                 STATUS_INVALID, "5 clusters");
    assert_fails(cluster_make(NULL, &s, &(struct cluster_how){ 0 }, &c),
                 STATUS_INVALID, "eigengap");
    assert_fails(cluster_make(NULL, &s,
                              &(struct cluster_how){ .k = 2, .time = -1.0 },
                              &c),
                 STATUS_INVALID, "time");
    assert_fails(cluster_make(&crew, &s, &(struct cluster_how){ .k = 3 }, &c),
                 STATUS_CANCELLED, NULL);
    assert_ok(cluster_make(NULL, &s, &(struct cluster_how){ .k = 4 }, &c));
    assert_true(isnan(c.gap)); /* the next value is not there */
    clusters_release(&c);
}

static void test_names_follow_the_first_appearance(void **state)
{
    uint32_t labels[] = { 4, 4, 0, 2, 0, 4, 5 };
    const uint32_t expected[] = { 0, 0, 1, 2, 1, 0, 3 };
    size_t count;

    (void)state;
    assert_ok(cluster_canonical(labels, 7, &count));
    assert_int_equal(count, 4);
    assert_memory_equal(labels, expected, sizeof expected);
}

static void test_the_nearest_to_the_middle(void **state)
{
    const float x[] = { 0.0F, 9.0F, 1.0F, 2.0F, 9.0F, 3.0F };
    uint32_t labels[] = { 0, 1, 0, 0, 1, 0 };
    size_t sizes[] = { 4, 2 }, found[3];
    const struct clusters c = {
        .n = 6, .count = 2, .labels = labels, .sizes = sizes
    };

    (void)state;
    cluster_nearest(&c, 0, x, 1, 3, found); /* the mean is 1.5 */
    assert_int_equal(found[0], 2);
    assert_int_equal(found[1], 3);
    assert_int_equal(found[2], 0);
    cluster_nearest(&c, 1, x, 1, 3, found);
    assert_int_equal(found[0], 1);
    assert_int_equal(found[1], 4);
    assert_true(found[2] == SIZE_MAX);
}

/* --- the factorisation ------------------------------------------------------------
 */

static void test_products_with_rows_that_are_not_stored(void **state)
{
    enum { N = 77, RANK = 3, K = 5, ROWS = 4 };
    const struct philox_key key = { .seed = 3 };
    double z[N * RANK], x[N * K], product[ROWS * K];
    size_t padded = nmf_padded(N);
    AUTO(free_pointer) double *zt = xcalloc(padded * RANK, sizeof *zt);
    AUTO(free_pointer) double *xt = xcalloc(padded * K, sizeof *xt);
    AUTO(free_pointer)
    void *scratch = xcalloc_large(nmf_rows_scratch(ROWS, K), sizeof *zt);
    const struct nmf_rows r = { zt, xt, padded, RANK, K };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(z); i++)
        z[i] = (double)philox_normal(key, i);
    for (size_t i = 0; i < COUNT_OF(x); i++)
        x[i] = (double)philox_normal(key, 10000 + i);
    nmf_transpose(z, N, RANK, zt);
    nmf_transpose(x, N, K, xt);
    nmf_multiply(&r, z + 9 * RANK, ROWS, scratch, product);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t k = 0; k < K; k++) {
            double sum = 0.0;

            for (size_t j = 0; j < N; j++) {
                double s = 0.0;

                for (size_t l = 0; l < RANK; l++)
                    s += z[(9 + i) * RANK + l] * z[j * RANK + l];
                sum += fabs(s) * x[j * K + k];
            }
            assert_true(fabs(product[i * K + k] - sum) < 1e-10);
        }
}

/* Z of `themes` groups: indicators and some noise. */
static double *draw_factor(size_t n, size_t k)
{
    const struct philox_key key = { .seed = 4 };
    double *z = xcalloc(n * k, sizeof *z);

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++)
            z[i * k + j] = (i % k == j ? 1.0 : 0.0) +
                           0.05 * (double)philox_normal(key, i * k + j);
    return z;
}

static void check_factors(const struct nmf *f, const struct nmf_matrix *s)
{
    double lost = 0.0, all = 0.0;

    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->n; j++) {
            double entry = 0.0, product = 0.0;

            for (size_t l = 0; l < s->rank; l++)
                entry +=
                    s->factor[i * s->rank + l] * s->factor[j * s->rank + l];
            for (size_t l = 0; l < f->k; l++)
                product += f->w[i * f->k + l] * f->h[j * f->k + l];
            lost += (fabs(entry) - product) * (fabs(entry) - product);
            all += entry * entry;
        }
    assert_true(fabs(f->error - sqrt(lost / all)) < 1e-7);
    for (size_t i = 0; i < s->n * f->k; i++)
        assert_true(f->w[i] >= 0.0 && f->h[i] >= 0.0);
}

static void test_factors_are_not_negative_and_the_error_is_theirs(void **state)
{
    (void)state;
    for (size_t k = 1; k < 6; k++) {
        AUTO(free_pointer) double *z = draw_factor(90, k);
        const struct nmf_matrix s = { .n = 90, .factor = z, .rank = k };
        AUTO(nmf_release) struct nmf f = { 0 };
        uint32_t labels[90];

        assert_ok(nmf_make(NULL, &s, k, 0, &f));
        check_factors(&f, &s);
        assert_true(f.converged && f.error < 0.1);
        nmf_labels(&f, labels);
        for (size_t i = 0; i < 90; i++) {
            assert_int_equal(labels[i] == labels[0], i % k == 0);
            assert_int_equal(labels[i], labels[i % k]);
        }
    }
}

static void test_many_rows_follow_some_of_them(void **state)
{
    enum { N = NMF_COARSE + 300, K = 3 };
    AUTO(free_pointer) double *z = draw_factor(N, K);
    const struct nmf_matrix s = { .n = N, .factor = z, .rank = K };
    AUTO(nmf_release) struct nmf one = { 0 };
    AUTO(nmf_release) struct nmf many = { 0 };
    AUTO(free_pointer) uint32_t *labels = xcalloc(N, sizeof *labels);
    const struct crew crew = { .threads = 3 };

    (void)state;
    assert_ok(nmf_make(NULL, &s, K, 0, &one));
    assert_true(one.converged && one.error < 0.1);
    nmf_labels(&one, labels);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(labels[i], labels[i % K]);
    assert_ok(nmf_make(&crew, &s, K, 0, &many));
    assert_memory_equal(one.w, many.w, (size_t)N * K * sizeof *one.w);
}

/* What W loses H wins: labels are of the product. */
static void test_labels_do_not_depend_on_the_scale_of_a_factor(void **state)
{
    double w[] = { 3.0, 1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 3.0 };
    double h[] = { 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0 };
    const struct nmf f = { .n = 4, .k = 2, .w = w, .h = h };
    uint32_t before[4], after[4];

    (void)state;
    nmf_labels(&f, before);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(before[i], i / 2);
        w[2 * i] /= 100.0;
        h[2 * i] *= 100.0;
    }
    nmf_labels(&f, after);
    assert_memory_equal(before, after, sizeof before);
}

/* Four columns for two groups that are exactly equal inside. */
static void test_clusters_that_win_nothing_are_dropped(void **state)
{
    enum { N = 10, PAIRS = 5, K = 4 };
    double values[PAIRS] = { 0.0, 0.1, 0.9, 0.9, 1.0 };
    double vectors[N * PAIRS] = { 0.0 };
    double degree[N];
    uint32_t row[N];
    const struct spectrum s = { .n = N,
                                .rows = N,
                                .pairs = PAIRS,
                                .row = row,
                                .values = values,
                                .vectors = vectors,
                                .degree = degree };
    const struct cluster_how how = { .k = K };
    struct clusters c;
    char note[300];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        row[i] = (uint32_t)i;
        degree[i] = 1.0;
        vectors[i * PAIRS + i % 2] = sqrt(2.0 / N);
    }
    assert_ok(cluster_make(NULL, &s, &how, &c));
    assert_int_equal(c.k, K);
    assert_int_equal(c.count, 2);
    assert_int_equal(c.dropped, 2);
    assert_int_equal(c.sizes[0] + c.sizes[1], N);
    cluster_note(&c, note, sizeof note);
    assert_non_null(strstr(note, "2 clusters (K 4"));
    assert_non_null(strstr(note, "the others won no sample"));
    clusters_release(&c);
}

/* On a ring each eigenvalue but the first is there twice. */
static void test_a_cut_through_equal_eigenvalues_is_told(void **state)
{
    enum { N = 24 };
    AUTO(spectrum_release) struct spectrum s = { 0 };
    const struct spectrum_how how = { .route = SPECTRUM_DENSE };
    struct clusters c;
    float x[2 * N];
    char note[300];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        x[2 * i] = (float)cos(6.283185307179586 * (double)i / N);
        x[2 * i + 1] = (float)sin(6.283185307179586 * (double)i / N);
    }
    assert_ok(spectrum_make(NULL, x, N, 2, &how, &s));
    for (size_t k = 2; k < 6; k++) {
        const struct cluster_how cut = { .k = k };

        assert_ok(cluster_make(NULL, &s, &cut, &c));
        assert_int_equal(c.repeated, k % 2 == 0);
        cluster_note(&c, note, sizeof note);
        assert_int_equal(strstr(note, "equal eigenvalues") != NULL, k % 2 == 0);
        clusters_release(&c);
    }
}

/* A rank that the matrix has not: some columns cannot win. */
static void test_columns_that_win_nowhere_are_tried_again(void **state)
{
    enum { N = 40, K = 4 };
    double z[N * K] = { 0 };
    const struct nmf_matrix s = { .n = N, .factor = z, .rank = K };
    AUTO(nmf_release) struct nmf f = { 0 };

    (void)state;
    for (size_t i = 0; i < N; i++)
        z[i * K + i % 2] = 1.0;
    assert_ok(nmf_make(NULL, &s, K, 0, &f));
    assert_true(f.starts == 2 + NMF_RESTARTS || f.error < 1e-6);
    assert_true(f.error < 1e-3);
    check_factors(&f, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_themes_that_are_apart_are_found),
        cmocka_unit_test(test_the_largest_gap_says_how_many),
        cmocka_unit_test(test_few_samples_are_one_cluster),
        cmocka_unit_test(test_equal_samples_are_one_cluster),
        cmocka_unit_test(test_samples_without_text_have_a_cluster),
        cmocka_unit_test(test_small_components_share_the_last_cluster),
        cmocka_unit_test(test_time_weighs_the_eigenvectors),
        cmocka_unit_test(test_most_of_the_nearest_landmarks_decide),
        cmocka_unit_test(test_a_spectrum_must_reach_far_enough),
        cmocka_unit_test(test_names_follow_the_first_appearance),
        cmocka_unit_test(test_the_nearest_to_the_middle),
        cmocka_unit_test(test_products_with_rows_that_are_not_stored),
        cmocka_unit_test(test_factors_are_not_negative_and_the_error_is_theirs),
        cmocka_unit_test(test_many_rows_follow_some_of_them),
        cmocka_unit_test(test_labels_do_not_depend_on_the_scale_of_a_factor),
        cmocka_unit_test(test_clusters_that_win_nothing_are_dropped),
        cmocka_unit_test(test_a_cut_through_equal_eigenvalues_is_told),
        cmocka_unit_test(test_columns_that_win_nowhere_are_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
