#include "jobs/select/pick.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "support/test.h"

enum { N = 120, CLUSTERS = 5, CONCEPTS = 40, PER_SAMPLE = 3 };

/* A pool with everything that may be in one: invalid samples, ties, a cluster
 * with nothing valid in it. */
struct pool {
    double jsd[N], ifd[N];
    uint32_t labels[N], x[N], y[N];
    uint32_t concepts[N * PER_SAMPLE];
    uint64_t begin[N + 1];
    struct pick_samples samples;
};

static void pool_fill(struct pool *p)
{
    const struct philox_key key = { .seed = 9 };

    memset(p, 0, sizeof *p);
    for (size_t i = 0; i < N; i++) {
        p->labels[i] = philox_below(key, 8 * i, CLUSTERS);
        p->jsd[i] = 0.01 * philox_below(key, 8 * i + 1, 12);
        p->x[i] = philox_below(key, 8 * i + 2, 4);
        p->y[i] = philox_below(key, 8 * i + 3, 30);
        p->ifd[i] = 0.125 * philox_below(key, 8 * i + 4, 10);
        if (p->labels[i] == 3 || i % 17 == 0)
            p->jsd[i] = p->ifd[i] = (double)NAN;
        p->begin[i + 1] = p->begin[i];
        for (size_t c = 0; c < PER_SAMPLE && i % 5 != 0; c++)
            p->concepts[p->begin[i + 1]++] =
                (uint32_t)(c * 13) + philox_below(key, 8 * i + 5 + c, 13);
    }
    p->samples = (struct pick_samples){ .n = N,
                                        .jsd = p->jsd,
                                        .ifd = p->ifd,
                                        .labels = p->labels,
                                        .clusters = CLUSTERS,
                                        .x_tokens = p->x,
                                        .y_tokens = p->y,
                                        .concepts = p->concepts,
                                        .begin = p->begin };
}

static struct pick_how with(enum pick_method method, size_t budget)
{
    return (struct pick_how){ .method = method,
                              .budget = { .budget = budget },
                              .conflicts = true };
}

static size_t valid_of(const struct pool *p)
{
    size_t count = 0;

    for (size_t i = 0; i < N; i++)
        count += isnan(p->jsd[i]) ? 0 : 1;
    return count;
}

/* What holds of any selection. */
static void check_pick(const struct pool *p, const struct pick *r)
{
    size_t reasons[PICK_REASONS] = { 0 };
    bool taken[N] = { false };

    assert_int_equal(r->n, N);
    assert_true(r->count <= r->budget);
    assert_int_equal(r->unspent, r->budget - r->count);
    for (size_t i = 0; i < r->count; i++) {
        assert_true(r->selected[i] < N && !taken[r->selected[i]]);
        taken[r->selected[i]] = true;
    }
    for (size_t i = 0; i < N; i++) {
        reasons[r->samples[i].reason]++;
        assert_int_equal(taken[i], r->samples[i].reason == PICK_SELECTED);
    }
    assert_memory_equal(reasons, r->reasons, sizeof reasons);
    for (size_t k = 0; k < r->clusters; k++) {
        const struct pick_cluster *c = &r->by_label[k];
        size_t size = 0;

        for (size_t i = 0; i < N; i++)
            size += p->labels[i] == k;
        assert_int_equal(c->size, size);
        assert_true(c->taken <= c->budget && c->valid <= c->size);
        assert_true(c->taken + c->conflicts <= c->valid);
    }
}

/* The walk as the paper tells it, with the parts that are tested elsewhere. */
static size_t walk_twin(const struct pool *p, const struct pick *r,
                        enum priority_cost cost, uint32_t *selected)
{
    struct consistency *g = consistency_new(false);
    size_t count = 0;

    for (uint32_t k = 0; k < CLUSTERS; k++) {
        bool seen[N] = { false };
        size_t taken = 0;

        while (taken < r->by_label[k].budget) {
            struct consistency_conflict conflict;
            size_t best = N;
            const uint32_t *concepts;
            size_t known;

            for (size_t i = 0; i < N; i++)
                if (p->labels[i] == k && !seen[i] && !isnan(p->jsd[i]) &&
                    (best == N ||
                     priority_score(cost, p->jsd[i], p->x[i], p->y[i]) >
                         priority_score(cost, p->jsd[best], p->x[best],
                                        p->y[best])))
                    best = i;
            if (best == N)
                break;
            seen[best] = true;
            concepts = p->concepts + p->begin[best];
            known = (size_t)(p->begin[best + 1] - p->begin[best]);
            if (!consistency_check(g, concepts, known, &conflict))
                continue;
            assert_ok(consistency_add(g, concepts, known));
            selected[count++] = (uint32_t)best;
            taken++;
        }
    }
    consistency_free(g);
    return count;
}

static void test_the_walk_is_that_of_the_paper(void **state)
{
    struct pool p;

    (void)state;
    pool_fill(&p);
    for (size_t budget = 0; budget <= N + 20; budget += 7)
        for (enum priority_cost cost = 0; cost < PRIORITY_COSTS; cost++)
            for (enum budget_mode mode = 0; mode < BUDGET_MODES; mode++) {
                struct pick_how how = with(PICK_PASER, budget);
                AUTO(pick_release) struct pick r = { 0 };
                uint32_t selected[N];

                how.cost = cost;
                how.budget.mode = mode;
                assert_ok(pick_make(NULL, &p.samples, &how, &r));
                check_pick(&p, &r);
                assert_int_equal(walk_twin(&p, &r, cost, selected), r.count);
                if (r.count > 0)
                    assert_memory_equal(selected, r.selected,
                                        r.count * sizeof *selected);
            }
}

static void test_each_method_has_its_order(void **state)
{
    struct pool p;

    (void)state;
    pool_fill(&p);
    for (enum pick_method m = 0; m < PICK_METHODS; m++) {
        const struct pick_how how = with(m, 30);
        AUTO(pick_release) struct pick r = { 0 };

        assert_ok(pick_make(NULL, &p.samples, &how, &r));
        check_pick(&p, &r);
        assert_int_equal(r.clusters > 0, pick_needs_clusters(m));
        if (m == PICK_FULL)
            assert_int_equal(r.count, N);
        else if (!pick_needs_clusters(m))
            assert_int_equal(r.count, 30);
        for (size_t i = 1; i < r.count && !pick_needs_clusters(m); i++) {
            uint32_t a = r.selected[i - 1], b = r.selected[i];
            double before = r.samples[a].score, after = r.samples[b].score;

            assert_true(m == PICK_FULL
                            ? a < b
                            : before > after || (before == after && a < b));
        }
    }
}

static void test_budgets_by_size_and_by_number(void **state)
{
    struct pool p;
    struct pick_how how = with(PICK_UNIFORM, 20);
    AUTO(pick_release) struct pick even = { 0 };
    AUTO(pick_release) struct pick sized = { 0 };

    (void)state;
    pool_fill(&p);
    how.conflicts = false;
    assert_ok(pick_make(NULL, &p.samples, &how, &even));
    how.method = PICK_PROPORTIONAL;
    how.budget.budget = valid_of(&p);
    assert_ok(pick_make(NULL, &p.samples, &how, &sized));
    for (size_t k = 0; k < CLUSTERS; k++) { /* nothing of 3 is valid */
        assert_int_equal(even.by_label[k].taken, k == 3 ? 0 : 5);
        assert_int_equal(sized.by_label[k].taken, sized.by_label[k].valid);
    }
    assert_true(isnan(even.by_label[3].degradation));
}

static void test_random_selections_nest_and_follow_the_seed(void **state)
{
    struct pool p;
    struct pick_how how = with(PICK_RANDOM, 50);
    AUTO(pick_release) struct pick large = { 0 };
    AUTO(pick_release) struct pick small = { 0 };
    AUTO(pick_release) struct pick other = { 0 };

    (void)state;
    pool_fill(&p);
    p.samples.jsd = NULL; /* it needs nothing of a sample */
    p.samples.labels = p.samples.x_tokens = NULL;
    assert_ok(pick_make(NULL, &p.samples, &how, &large));
    how.budget.budget = 20;
    assert_ok(pick_make(NULL, &p.samples, &how, &small));
    assert_memory_equal(large.selected, small.selected,
                        20 * sizeof *small.selected);
    how.seed = 1;
    assert_ok(pick_make(NULL, &p.samples, &how, &other));
    assert_memory_not_equal(other.selected, small.selected,
                            20 * sizeof *small.selected);
}

static void test_instructions_that_do_not_help_are_left_out(void **state)
{
    struct pool p;
    const struct pick_how how = with(PICK_IFD, N);
    AUTO(pick_release) struct pick r = { 0 };

    (void)state;
    pool_fill(&p);
    assert_ok(pick_make(NULL, &p.samples, &how, &r));
    for (size_t i = 0; i < N; i++)
        assert_int_equal(r.samples[i].reason, isnan(p.ifd[i]) ? PICK_INVALID
                                              : p.ifd[i] >= 1.0
                                                  ? PICK_SCORE
                                                  : PICK_SELECTED);
    assert_true(r.reasons[PICK_SCORE] > 0);
}

static void test_a_conflict_names_what_conflicts(void **state)
{
    /* a-b and b-c are joined; a-c is not. */
    const double jsd[] = { 0.3, 0.2, 0.1 };
    const uint32_t labels[3] = { 0 }, tokens[3] = { 9, 9, 9 };
    const uint32_t concepts[] = { 0, 1, 1, 2, 0, 2 };
    const uint64_t begin[] = { 0, 2, 4, 6 };
    const struct pick_samples s = { .n = 3,
                                    .jsd = jsd,
                                    .labels = labels,
                                    .clusters = 1,
                                    .x_tokens = tokens,
                                    .y_tokens = tokens,
                                    .concepts = concepts,
                                    .begin = begin };
    struct pick_how how = with(PICK_PASER, 3);
    struct pick r;

    (void)state;
    assert_ok(pick_make(NULL, &s, &how, &r));
    assert_int_equal(r.count, 2);
    assert_int_equal(r.samples[2].reason, PICK_CONFLICT);
    assert_int_equal(r.samples[2].a, 0);
    assert_int_equal(r.samples[2].b, 2);
    assert_int_equal(r.samples[2].pairs, 1);
    assert_int_equal(r.by_label[0].conflicts, 1);
    assert_int_equal(r.nodes, 3);
    assert_int_equal(r.edges, 2);
    assert_int_equal(r.unspent, 1);
    pick_release(&r);
    how.conflicts = false;
    assert_ok(pick_make(NULL, &s, &how, &r));
    assert_int_equal(r.count, 3);
    pick_release(&r);
}

static void test_the_most_degraded_cluster_may_come_first(void **state)
{
    struct pool p;
    struct pick_how how = with(PICK_PASER, 40);
    AUTO(pick_release) struct pick r = { 0 };
    double before = HUGE_VAL;

    (void)state;
    pool_fill(&p);
    how.order = PICK_DEGRADATION;
    assert_ok(pick_make(NULL, &p.samples, &how, &r));
    check_pick(&p, &r);
    for (size_t i = 0; i < r.count; i++) {
        double now = r.by_label[p.labels[r.selected[i]]].degradation;

        assert_true(now <= before);
        before = now;
    }
}

static void test_models_that_do_not_differ_leave_the_order(void **state)
{
    struct pool p;
    struct pick_how how = with(PICK_PASER, 21);
    AUTO(pick_release) struct pick r = { 0 };

    (void)state;
    pool_fill(&p);
    for (size_t i = 0; i < N; i++)
        p.jsd[i] = 0.0;
    how.conflicts = false;
    assert_ok(pick_make(NULL, &p.samples, &how, &r));
    assert_true(r.zero_total && r.count == 21);
    for (size_t k = 0; k < CLUSTERS; k++)
        assert_int_equal(r.by_label[k].taken, k == 0 ? 5 : 4);
    for (size_t i = 1; i < r.count; i++)
        assert_true(p.labels[r.selected[i]] != p.labels[r.selected[i - 1]] ||
                    r.selected[i] > r.selected[i - 1]);
}

static bool always(void *self)
{
    (void)self;
    return true;
}

static void test_what_is_missing_is_named(void **state)
{
    const struct crew crew = { .cancelled = always };
    const struct pick_how paser = with(PICK_PASER, 5);
    const struct pick_how ifd = with(PICK_IFD, 5);
    const struct pick_how longest = with(PICK_LONGEST, 5);
    struct pool p;
    struct pick r;

    (void)state;
    pool_fill(&p);
    assert_fails(pick_make(&crew, &p.samples, &paser, &r), STATUS_CANCELLED,
                 NULL);
    p.labels[7] = CLUSTERS;
    assert_fails(pick_make(NULL, &p.samples, &paser, &r), STATUS_INVALID,
                 "sample 7");
    p.samples.jsd = NULL;
    assert_fails(pick_make(NULL, &p.samples, &paser, &r), STATUS_INVALID,
                 "paser");
    p.samples.ifd = NULL;
    assert_fails(pick_make(NULL, &p.samples, &ifd, &r), STATUS_INVALID, "ifd");
    p.samples.y_tokens = NULL;
    assert_fails(pick_make(NULL, &p.samples, &longest, &r), STATUS_INVALID,
                 "longest");
    p.samples = (struct pick_samples){
        .jsd = p.jsd, .labels = p.labels, .x_tokens = p.x, .y_tokens = p.y
    };
    assert_ok(pick_make(NULL, &p.samples, &paser, &r)); /* nothing of nothing */
    assert_int_equal(r.count, 0);
    assert_int_equal(r.unspent, 5);
    pick_release(&r);
}

static void test_words_for_all_of_it(void **state)
{
    (void)state;
    for (enum pick_method m = 0; m < PICK_METHODS; m++) {
        enum pick_method found;

        assert_true(pick_method_find(pick_method_name(m), &found));
        assert_int_equal(found, m);
    }
    for (enum pick_order o = 0; o < PICK_ORDERS; o++) {
        enum pick_order found;

        assert_true(pick_order_find(pick_order_name(o), &found));
        assert_int_equal(found, o);
    }
    for (enum pick_reason r = 0; r < PICK_REASONS; r++)
        assert_non_null(pick_reason_name(r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_walk_is_that_of_the_paper),
        cmocka_unit_test(test_each_method_has_its_order),
        cmocka_unit_test(test_budgets_by_size_and_by_number),
        cmocka_unit_test(test_random_selections_nest_and_follow_the_seed),
        cmocka_unit_test(test_instructions_that_do_not_help_are_left_out),
        cmocka_unit_test(test_a_conflict_names_what_conflicts),
        cmocka_unit_test(test_the_most_degraded_cluster_may_come_first),
        cmocka_unit_test(test_models_that_do_not_differ_leave_the_order),
        cmocka_unit_test(test_what_is_missing_is_named),
        cmocka_unit_test(test_words_for_all_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
