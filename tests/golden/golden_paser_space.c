#include "tests/golden/golden_paser.h"

#include <math.h>
#include <stdlib.h>

#include "jobs/select/cluster.h"
#include "jobs/select/jsd.h"
#include "jobs/select/samples.h"
#include "tensor/lapack.h"

/* --- jsd ------------------------------------------------------------------------
 */

struct logits {
    const struct tensor *original, *pruned;
    size_t rows, vocabulary;
};

MUST_CHECK static struct status find_logits(const struct paser_case *c,
                                            struct logits *l)
{
    const struct tensor_set *set;

    if (c->model == NULL)
        return FAIL(STATUS_CORRUPT, "%s names no tensors", c->name);
    set = st_model_tensors(c->model);
    TRY_PLAIN(golden_need(set, "logits_orig", &l->original));
    TRY_PLAIN(golden_need(set, "logits_pruned", &l->pruned));
    if (l->original->rank != 2 || !tensor_same_shape(l->original, l->pruned) ||
        l->original->dtype != l->pruned->dtype ||
        !dtype_is_float(l->original->dtype))
        return FAIL(STATUS_CORRUPT,
                    "\"logits_orig\" and \"logits_pruned\" should be rows of "
                    "floats of one shape");
    l->rows = (size_t)l->original->shape[0];
    l->vocabulary = (size_t)l->original->shape[1];
    return SUCCESS;
}

static void compare_rows(const struct paser_case *c, const struct logits *l,
                         double tau, const json_t *expected, double *jsd,
                         struct verdict *v)
{
    size_t size = dtype_size(l->original->dtype) * l->vocabulary;

    paser_expect(v, json_array_size(expected) == l->rows, "%zu rows expected",
                 json_array_size(expected));
    for (size_t i = 0; i < l->rows; i++) {
        bool valid = jsd_row(l->original->dtype,
                             (const char *)l->original->data + i * size,
                             (const char *)l->pruned->data + i * size,
                             l->vocabulary, tau, &jsd[i]);
        const json_t *should =
            json_array_get(paser_expected(c, "row_valid"), i);

        paser_compare(v, "per_token", i, jsd[i],
                      paser_number(json_array_get(expected, i)),
                      paser_tolerance(c, "per_token_abs"),
                      paser_tolerance(c, "per_token_rel"));
        paser_expect(v, valid == !isnan(jsd[i]), "row %zu: validity", i);
        paser_expect(v, should == NULL || valid == json_is_true(should),
                     "row %zu is %s", i, valid ? "valid" : "invalid");
    }
}

/* The answer's rows are found from the lengths as a job finds them. */
static void compare_sample(const struct paser_case *c, const struct logits *l,
                           const double *jsd, struct verdict *v)
{
    const json_t *rows = paser_expected(c, "response_rows");
    size_t prompt = (size_t)json_integer_value(paser_param(c, "prompt_len"));
    double relative = paser_tolerance(c, "mean_rel");
    const json_t *all = paser_expected(c, "sum_all_rows");
    const char *status = json_string_value(paser_expected(c, "sample_status"));
    const struct select_sample sample = { .prompt = prompt,
                                          .answer = l->rows - prompt };
    size_t first, count;

    if (all != NULL)
        paser_compare(v, "sum_all_rows", 0,
                      jsd_reduce(JSD_SUM_INSTRUCTION, jsd, l->rows),
                      paser_number(all), 0.0, relative);
    if (status != NULL)
        paser_expect(v,
                     isnan(jsd_reduce(JSD_MEAN_ANSWER, jsd, l->rows)) ==
                         (strcmp(status, "invalid") == 0),
                     "the sample should be %s", status);
    if (rows == NULL)
        return;
    count = select_sample_rows(&sample, &first);
    paser_expect(v,
                 first == (size_t)json_integer_value(json_array_get(rows, 0)) &&
                     first + count == 1 + (size_t)json_integer_value(
                                              json_array_get(rows, 1)),
                 "the answer has rows %zu ... %zu", first, first + count);
    paser_compare(
        v, "mean_response", 0, jsd_reduce(JSD_MEAN_ANSWER, jsd + first, count),
        paser_number(paser_expected(c, "mean_response")), 0.0, relative);
}

struct status paser_jsd(const struct paser_case *c, struct verdict *v)
{
    AUTO(free_pointer) double *jsd = NULL;
    const json_t *taus = paser_param(c, "taus");
    const json_t *by_tau = paser_expected(c, "per_token_by_tau");
    const json_t *tau = paser_param(c, "tau");
    struct logits l;

    TRY_PLAIN(find_logits(c, &l));
    if (paser_expected(c, "response_rows") != NULL) {
        json_int_t prompt = json_integer_value(paser_param(c, "prompt_len"));

        if (prompt < 1 || (size_t)prompt > l.rows)
            return FAIL(STATUS_CORRUPT,
                        "\"prompt_len\" is %lld of %zu rows of logits",
                        (long long)prompt, l.rows);
    }
    jsd = xcalloc(l.rows + 1, sizeof(*jsd));
    for (size_t i = 0; i < json_array_size(taus); i++)
        compare_rows(c, &l, paser_number(json_array_get(taus, i)),
                     json_array_get(by_tau, i), jsd, v);
    if (paser_expected(c, "per_token") == NULL)
        return SUCCESS;
    compare_rows(c, &l, tau == NULL ? 1.0 : paser_number(tau),
                 paser_expected(c, "per_token"), jsd, v);
    compare_sample(c, &l, jsd, v);
    return SUCCESS;
}

/* --- diffusion ------------------------------------------------------------------
 */

MUST_CHECK static struct status compare_sigma(const struct paser_case *c,
                                              const float *rows, size_t n,
                                              size_t width, struct verdict *v)
{
    const char *status = json_string_value(paser_expected(c, "status"));

    for (enum affinity_rule rule = 0; rule < AFFINITY_RULES; rule++) {
        AUTO(affinity_release) struct affinity a = { 0 };
        AUTO(free_pointer)
        char *name = xasprintf("sigma_%s", affinity_rule_name(rule));
        const struct affinity_sigma how = { .rule = rule };
        const json_t *should = paser_expected(c, name);

        if (should == NULL)
            continue;
        TRY_PLAIN(affinity_make(NULL, rows, n, width, &how, &a));
        if (status != NULL && strcmp(status, "sigma_fallback") == 0) {
            paser_expect(v, a.fallback && paser_number(should) == 0.0,
                         "%s should be 0 and replaced", name);
            should = paser_expected(c, "fallback_sigma");
        }
        paser_compare(v, name, 0, a.sigma, paser_number(should), 0.0,
                      paser_tolerance(c, "sigma_rel"));
    }
    return SUCCESS;
}

MUST_CHECK static struct status check_spectrum(const struct spectrum *s,
                                               size_t k,
                                               const struct tensor *degree,
                                               const struct tensor *projector)
{
    if (s->pairs == 0)
        return FAIL(STATUS_CORRUPT, "all embeddings are equal");
    if (degree->count != s->rows || projector->count != s->rows * s->rows)
        return FAIL(STATUS_CORRUPT,
                    "\"degree\" has %zu numbers and \"projector_K\" %zu, of "
                    "%zu embeddings",
                    (size_t)degree->count, (size_t)projector->count, s->rows);
    if (k > s->pairs)
        return FAIL(STATUS_CORRUPT, "K is %zu of %zu eigenpairs", k, s->pairs);
    return SUCCESS;
}

MUST_CHECK static struct status compare_spectrum(const struct paser_case *c,
                                                 const struct spectrum *s,
                                                 size_t k, struct verdict *v)
{
    const json_t *values = paser_expected(c, "eigenvalues");
    const struct tensor *degree, *projector;

    TRY_PLAIN(golden_need(st_model_tensors(c->model), "degree", &degree));
    TRY_PLAIN(
        golden_need(st_model_tensors(c->model), "projector_K", &projector));
    TRY_PLAIN(check_spectrum(s, k, degree, projector));
    for (size_t i = 0; i < json_array_size(values) && i < s->pairs; i++)
        paser_compare(v, "eigenvalues", i, s->values[i],
                      paser_number(json_array_get(values, i)),
                      paser_tolerance(c, "eigenvalue_abs"), 0.0);
    for (size_t i = 0; i < s->rows; i++) {
        paser_compare(v, "degree", i, s->degree[i], golden_element(degree, i),
                      0.0, paser_tolerance(c, "degree_rel"));
        for (size_t j = 0; j < s->rows; j++) {
            double sum = 0.0;

            for (size_t l = 0; l < k; l++)
                sum +=
                    s->vectors[i * s->pairs + l] * s->vectors[j * s->pairs + l];
            paser_compare(v, "projector_K", i * s->rows + j, sum,
                          golden_element(projector, i * s->rows + j),
                          paser_tolerance(c, "projector_abs"), 0.0);
        }
    }
    return SUCCESS;
}

MUST_CHECK static struct status compare_distances(const struct paser_case *c,
                                                  const struct spectrum *s,
                                                  const char *name,
                                                  size_t pairs,
                                                  struct verdict *v)
{
    const json_t *points = paser_expected(c, "pairs");
    const json_t *times = paser_param(c, "times");

    for (size_t t = 0; t < json_array_size(times); t++) {
        double time = paser_number(json_array_get(times, t));
        AUTO(free_pointer) char *key = xasprintf("t%g", time);
        const json_t *should = json_object_get(paser_expected(c, name), key);

        for (size_t i = 0; i < json_array_size(should); i++) {
            const json_t *pair = json_array_get(points, i);
            size_t a = (size_t)json_integer_value(json_array_get(pair, 0));
            size_t b = (size_t)json_integer_value(json_array_get(pair, 1));

            if (a >= s->rows || b >= s->rows)
                return FAIL(STATUS_CORRUPT,
                            "\"pairs\": entry %zu is of samples %zu and %zu of "
                            "%zu",
                            i, a, b, s->rows);
            paser_compare(v, name, i, spectrum_distance(s, pairs, time, a, b),
                          paser_number(json_array_get(should, i)), 0.0,
                          paser_tolerance(c, "diffdist_rel"));
        }
    }
    return SUCCESS;
}

MUST_CHECK static struct status compare_one_cluster(const struct paser_case *c,
                                                    const struct spectrum *s,
                                                    struct verdict *v)
{
    AUTO(clusters_release) struct clusters clusters = { 0 };
    const struct cluster_how how = { .k = (size_t)json_integer_value(
                                         paser_param(c, "K")) };

    TRY_PLAIN(cluster_make(NULL, s, &how, &clusters));
    paser_expect(v, clusters.one && clusters.count == 1, "%zu clusters",
                 clusters.count);
    paser_compare_labels(v, paser_expected(c, "labels"), clusters.labels,
                         clusters.n);
    return SUCCESS;
}

struct status paser_diffusion(const struct paser_case *c, struct verdict *v)
{
    AUTO(free_pointer) float *rows = NULL;
    AUTO(spectrum_release) struct spectrum s = { 0 };
    const char *rule = json_string_value(paser_param(c, "sigma_rule"));
    const char *status = json_string_value(paser_expected(c, "status"));
    size_t n, width, k = (size_t)json_integer_value(paser_param(c, "K"));
    struct spectrum_how how = { .route = SPECTRUM_DENSE };

    TRY_PLAIN(paser_rows(c, "embeddings", &n, &width, &rows));
    TRY_PLAIN(compare_sigma(c, rows, n, width, v));
    if (rule != NULL && !affinity_rule_find(rule, &how.sigma.rule))
        return FAIL(STATUS_CORRUPT, "no sigma rule is called %s", rule);
    how.pairs = n;
    TRY_PLAIN(spectrum_make(NULL, rows, n, width, &how, &s));
    if (status != NULL && strcmp(status, "one_cluster") == 0)
        return compare_one_cluster(c, &s, v);
    if (paser_expected(c, "eigenvalues") == NULL)
        return SUCCESS;
    TRY_PLAIN(compare_spectrum(c, &s, k, v));
    TRY_PLAIN(compare_distances(c, &s, "diffdist2_full", s.pairs, v));
    TRY_PLAIN(compare_distances(c, &s, "diffdist2_K", k, v));
    if (paser_expected(c, "gap_at_K") != NULL && k > 0 && k < s.pairs)
        paser_compare(v, "gap_at_K", 0, s.values[k] - s.values[k - 1],
                      paser_number(paser_expected(c, "gap_at_K")),
                      2.0 * paser_tolerance(c, "eigenvalue_abs"), 0.0);
    return SUCCESS;
}

struct status paser_diffusion_knn(const struct paser_case *c, struct verdict *v)
{
    AUTO(free_pointer) float *rows = NULL;
    AUTO(spectrum_release) struct spectrum s = { 0 };
    size_t n, width, k = (size_t)json_integer_value(paser_param(c, "K"));
    const struct spectrum_how how = {
        .route = SPECTRUM_KNN,
        .neighbours = (size_t)json_integer_value(paser_param(c, "knn")),
        .sigma = { .fixed = paser_number(paser_param(c, "sigma")) },
        .pairs = json_array_size(paser_expected(c, "eigenvalues")),
    };

    TRY_PLAIN(paser_rows(c, "embeddings", &n, &width, &rows));
    TRY_PLAIN(spectrum_make(NULL, rows, n, width, &how, &s));
    paser_expect(
        v, s.entries == (size_t)json_integer_value(paser_expected(c, "nnz")),
        "the graph has %zu entries", s.entries);
    paser_expect(v,
                 s.components == (size_t)json_integer_value(
                                     paser_expected(c, "n_components")),
                 "the graph has %zu components", s.components);
    return compare_spectrum(c, &s, k, v);
}

/* --- clusters -------------------------------------------------------------------
 */

/* The factorisation of an S that is given. */
MUST_CHECK static struct status compare_nmf(const struct paser_case *c,
                                            const struct tensor *t, size_t k,
                                            struct verdict *v)
{
    size_t n = (size_t)t->shape[0], count;
    AUTO(free_pointer) double *s = xcalloc(n * n, sizeof(*s));
    AUTO(free_pointer) double *lost = xcalloc(n * n, sizeof(*lost));
    AUTO(free_pointer) double *values = xcalloc(k, sizeof(*values));
    AUTO(free_pointer) double *basis = xcalloc(n * k, sizeof(*basis));
    AUTO(free_pointer) uint32_t *labels = xcalloc(n, sizeof(*labels));
    AUTO(nmf_release) struct nmf f = { 0 };
    const struct nmf_matrix matrix = {
        .n = n, .rank = k, .dense = s, .basis = basis
    };

    for (size_t i = 0; i < n * n; i++)
        s[i] = lost[i] = golden_element(t, i);
    TRY_PLAIN(lapack_eigen(n, lost, n - k, k, values, basis));
    TRY_PLAIN(nmf_make(NULL, &matrix, k, 0, &f));
    paser_expect(v, f.error <= paser_tolerance(c, "nmf_rel_error_max"),
                 "|S - WH| is %.9g |S|", f.error);
    nmf_labels(&f, labels);
    TRY_PLAIN(cluster_canonical(labels, n, &count));
    paser_compare_labels(v, paser_expected(c, "labels"), labels, n);
    return SUCCESS;
}

MUST_CHECK static struct status compare_labels(const struct paser_case *c,
                                               size_t k, struct verdict *v)
{
    AUTO(free_pointer) float *rows = NULL;
    AUTO(spectrum_release) struct spectrum s = { 0 };
    AUTO(clusters_release) struct clusters clusters = { 0 };
    const struct spectrum_how how = { .route = SPECTRUM_DENSE };
    const struct cluster_how cluster = { .k = k };
    const json_t *range = paser_param(c, "k_range");
    const json_t *values = paser_expected(c, "eigenvalues");
    size_t n, width;
    double gap;

    TRY_PLAIN(paser_rows(c, "embeddings", &n, &width, &rows));
    TRY_PLAIN(spectrum_make(NULL, rows, n, width, &how, &s));
    TRY_PLAIN(cluster_make(NULL, &s, &cluster, &clusters));
    paser_compare_labels(v, paser_expected(c, "labels"), clusters.labels, n);
    paser_expect(v, clusters.error <= paser_tolerance(c, "nmf_rel_error_max"),
                 "|S - WH| is %.9g |S|", clusters.error);
    for (size_t i = 0; i < json_array_size(values) && i < s.pairs; i++)
        paser_compare(v, "eigenvalues", i, s.values[i],
                      paser_number(json_array_get(values, i)), 1e-7, 0.0);
    if (range != NULL)
        paser_expect(
            v,
            cluster_eigengap(
                s.values, s.pairs,
                (size_t)json_integer_value(json_array_get(range, 0)),
                (size_t)json_integer_value(json_array_get(range, 1)), &gap) ==
                (size_t)json_integer_value(paser_expected(c, "K_by_eigengap")),
            "another K by eigengap");
    return SUCCESS;
}

MUST_CHECK static struct status check_square(const struct tensor *s, size_t k)
{
    if (s->rank != 2 || s->shape[0] != s->shape[1] || !dtype_is_float(s->dtype))
        return FAIL(STATUS_CORRUPT, "\"S\" is no square matrix of floats");
    if (k < 1 || k > s->shape[0] || k > NMF_RANK)
        return FAIL(STATUS_CORRUPT, "K is %zu for \"S\" of %zu rows", k,
                    (size_t)s->shape[0]);
    return SUCCESS;
}

struct status paser_cluster(const struct paser_case *c, struct verdict *v)
{
    const struct tensor_set *set;
    size_t k = (size_t)json_integer_value(paser_param(c, "K"));
    const struct tensor *s;

    if (c->model == NULL)
        return FAIL(STATUS_CORRUPT, "%s names no tensors", c->name);
    set = st_model_tensors(c->model);
    s = tensor_find(set, "S");
    if (s == NULL && tensor_find(set, "embeddings") == NULL)
        return FAIL(STATUS_CORRUPT,
                    "there is neither a tensor \"S\" nor \"embeddings\"");
    if (s != NULL) {
        TRY_PLAIN(check_square(s, k));
        TRY_PLAIN(compare_nmf(c, s, k, v));
    }
    if (tensor_find(set, "embeddings") != NULL)
        TRY_PLAIN(compare_labels(c, k, v));
    return SUCCESS;
}
