/* Pruned models: which weights go, in memory and on the way to files. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/philox.h"
#include "jobs/prune.h"
#include "jobs/prune_mask.h"
#include "jobs/recipe_mask.h"
#include "jobs/stream_model.h"
#include "support/fake_fixture.h"
#include "support/tiny_files.h"
#include "support/tiny_llama.h"

/* A prune of ROOT/name; `params` as JSON with ' for ". */
static json_t *pruned(struct fake_context *f, const char *name,
                      const char *params)
{
    json_t *json = tiny_json("%s", params);

    (void)json_object_set_new(json, "model", fake_context_source(f, name));
    return json_pack("{s:{s:s, s:o}}", "$recipe", "kind", "prune", "params",
                     json);
}

/* Takes the model. */
static struct recipe_model *open_model(struct fake_context *f, json_t *model)
{
    struct recipe_model *m = NULL;

    assert_ok(recipe_open(model, &f->context, &m));
    json_decref(model);
    return m;
}

static void expect_failure(struct fake_context *f, json_t *model,
                           enum status_code code, const char *words)
{
    struct recipe_model *m = NULL;

    assert_fails(recipe_open(model, &f->context, &m), code, words);
    json_decref(model);
}

static float element(const struct tensor *t, uint64_t i)
{
    float x;

    dtype_to_f32(t->dtype, (const char *)t->data + i * dtype_size(t->dtype), &x,
                 1);
    return x;
}

static bool bit(const uint8_t *mask, uint64_t i)
{
    return (mask[i / 8] >> i % 8 & 1) != 0;
}

/* ---- the slow twin --------------------------------------------------------- */

/* Prunes the `n` smallest magnitudes among elements at, at + step, ...; of
 * equal ones the first. */
static void drop_smallest(const struct tensor *t, uint64_t at, uint64_t step,
                          uint64_t count, uint64_t n, bool *gone)
{
    for (uint64_t k = 0; k < n; k++) {
        uint64_t least = UINT64_MAX;

        for (uint64_t i = 0; i < count; i++) {
            uint64_t e = at + i * step;

            if (!gone[e] && (least == UINT64_MAX ||
                             fabsf(element(t, e)) < fabsf(element(t, least))))
                least = e;
        }
        gone[least] = true;
    }
}

struct twin {
    const char *params;
    uint64_t (*number)(uint64_t count); /* that go */
    size_t group;                       /* inputs; 0: all of an output */
    bool layer;
};

static uint64_t half(uint64_t count)
{
    return count / 2;
}

static uint64_t two(uint64_t count)
{
    return count < 2 ? count : 2;
}

static uint64_t third(uint64_t count)
{
    return (uint64_t)floor((double)count * 0.3);
}

static const struct twin twins[] = {
    { "{'method':'magnitude','sparsity':0.5}", half, 0, true },
    { "{'method':'magnitude','density':0.7}", third, 0, true },
    { "{'method':'magnitude','sparsity':0.5,'scope':'row'}", half, 0, false },
    { "{'method':'magnitude','pattern':'2:5'}", two, 5, false },
};

static bool *twin_of(const struct twin *w, const struct graph_parameter *p,
                     const struct tensor *t)
{
    bool *gone = xcalloc(t->count, sizeof(*gone));
    uint64_t outputs = p->turned ? p->shape[1] : p->shape[0];
    uint64_t inputs = t->count / outputs;
    uint64_t group = w->group == 0 ? inputs : w->group;
    uint64_t step = p->turned ? outputs : 1;

    if (w->layer) {
        drop_smallest(t, 0, 1, t->count, w->number(t->count), gone);
        return gone;
    }
    for (uint64_t o = 0; o < outputs; o++)
        for (uint64_t i = 0; i < inputs; i += group) {
            uint64_t size = inputs - i < group ? inputs - i : group;

            drop_smallest(t, p->turned ? i * outputs + o : o * inputs + i, step,
                          size, w->number(size), gone);
        }
    return gone;
}

static void check_matrix(const struct twin *w, const struct graph_parameter *p,
                         const struct tensor *is, const struct tensor *was,
                         const uint8_t *mask)
{
    bool *gone = twin_of(w, p, was);

    assert_non_null(mask);
    for (uint64_t i = 0; i < was->count; i++) {
        if (bit(mask, i) == gone[i] ||
            element(is, i) != (gone[i] ? 0.0F : element(was, i)))
            fail_msg("%s: element %zu of %s", w->params, (size_t)i, was->name);
    }
    free(gone);
}

/* The twin's zeros in matrices inside the model, all else as it was. */
static void check_model(const struct twin *w, const struct tiny_files *t,
                        const struct recipe_model *m)
{
    const struct graph *g = t->model->graph;

    for (size_t i = 0; i < t->set.count; i++) {
        const struct tensor *was = &t->set.items[i];
        const struct tensor *is = tensor_find(recipe_tensors(m), was->name);
        const struct graph_parameter *p =
            &g->parameters[graph_find(g, was->name)];

        assert_non_null(is);
        if (p->role == ROLE_MATRIX) {
            check_matrix(w, p, is, was, recipe_mask(m, was->name));
            continue;
        }
        assert_null(recipe_mask(m, was->name));
        assert_memory_equal(is->data, was->data, tensor_bytes(was));
    }
}

static void test_matrices_lose_what_the_slow_twin_says(void **state)
{
    struct fake_context *f = *state;

    for (const struct tiny_model *a = tiny_models; a->name != NULL; a++) {
        struct tiny_files t;

        tiny_files_init(&t, a->name, DTYPE_BF16, 3); /* which has ties */
        tiny_files_write(&t, f, a->name);
        for (size_t i = 0; i < COUNT_OF(twins); i++) {
            struct recipe_model *m =
                open_model(f, pruned(f, a->name, twins[i].params));

            check_model(&twins[i], &t, m);
            recipe_close(m);
        }
        tiny_files_release(&t);
    }
}

/* ---- every way gives the same bytes ------------------------------------------ */

static const char *const ways[] = {
    "{'method':'magnitude','sparsity':0.37}",
    "{'method':'magnitude','sparsity':0.37,'scope':'global'}",
    "{'method':'magnitude','sparsity':0.6,'scope':'row','rule':'lte'}",
    "{'method':'magnitude','pattern':'4:8'}",
    "{'method':'random','sparsity':0.5,'seed':5}",
    "{'method':'random','pattern':'1:3','seed':5}",
};

static void write_tiny(struct fake_context *f, const char *name,
                       enum dtype dtype)
{
    struct tiny_files t;

    tiny_files_init(&t, name, dtype, 7);
    tiny_files_write(&t, f, name);
    tiny_files_release(&t);
}

static char *digest_by(struct fake_context *f, json_t *model)
{
    struct recipe_model *m = open_model(f, model);
    struct digest d = recipe_digest(m);
    char *text = xcalloc(DIGEST_TEXT, 1);

    digest_to_text(&d, text);
    recipe_close(m);
    return text;
}

static void test_threads_and_streams_give_the_same_bytes(void **state)
{
    static const char *const names[] = { "gpt2", "llama", "preresnet" };
    struct fake_context *f = *state;

    for (size_t k = 0; k < COUNT_OF(names) * COUNT_OF(ways); k++) {
        const char *name = names[k / COUNT_OF(ways)];
        const char *params = ways[k % COUNT_OF(ways)];
        json_t *model = pruned(f, name, params);
        char *one, *four;
        struct stream_outcome o;
        const struct stream_wish wish = {
            .model = model,
            .directory = fake_context_path(f, "out"),
            .checkpoint = 1,
        };

        if (k % COUNT_OF(ways) == 0)
            write_tiny(f, name, DTYPE_BF16);
        f->context.threads = 1;
        one = digest_by(f, json_incref(model));
        f->context.threads = 4;
        four = digest_by(f, json_incref(model));
        assert_string_equal(one, four);
        assert_ok(stream_model(&wish, &f->context, &o));
        assert_string_equal(one, o.digest);
        assert_ok(file_remove_tree(wish.directory));
        /* Cut short in the middle, then gone on with. */
        f->context.threads = 1;
        f->polls = 0;
        assert_ok(stream_model(&wish, &f->context, &o));
        assert_string_equal(one, o.digest);
        assert_ok(file_remove_tree(wish.directory));
        f->cancel_at = f->polls / 2;
        f->polls = 0;
        assert_fails(stream_model(&wish, &f->context, &o), STATUS_CANCELLED,
                     NULL);
        f->cancel_at = 0;
        assert_ok(stream_model(&wish, &f->context, &o));
        assert_string_equal(one, o.digest);
        assert_ok(file_remove_tree(wish.directory));
        json_decref(model);
        free(one);
        free(four);
    }
}

/* Matrices of more than one stretch, with ties all over. */
static void test_threads_share_a_matrix(void **state)
{
    static const char *const wide[] = {
        "{'method':'magnitude','sparsity':0.37}",
        "{'method':'magnitude','sparsity':0.37,'scope':'global'}",
        "{'method':'random','pattern':'1:3','seed':5}",
    };
    struct fake_context *f = *state;
    struct tiny_files t;

    tiny_files_of(&t, "{'model_type':'mlp','sizes':[1024,1100,1024,10]}",
                  DTYPE_BF16, 1);
    tiny_files_write(&t, f, "wide");
    tiny_files_release(&t);
    for (size_t i = 0; i < COUNT_OF(wide); i++) {
        json_t *model = pruned(f, "wide", wide[i]);
        struct stream_outcome o;
        const struct stream_wish wish = {
            .model = model,
            .directory = fake_context_path(f, "out"),
        };
        char *one;

        f->context.threads = 1;
        one = digest_by(f, json_incref(model));
        f->context.threads = 3;
        assert_ok(stream_model(&wish, &f->context, &o));
        assert_string_equal(one, o.digest);
        assert_ok(file_remove_tree(wish.directory));
        json_decref(model);
        free(one);
    }
}

static json_t *siblings_are;

static const json_t *siblings(void *self)
{
    (void)self;
    return siblings_are;
}

/* Densities of a sweep are made by one reading of the model, each as alone. */
static void test_siblings_are_made_in_one_pass(void **state)
{
    static const char *const kinds[] = {
        "{'method':'magnitude','sparsity':",
        "{'method':'magnitude','scope':'global','density':",
        "{'method':'random','scope':'row','seed':1,'sparsity':",
    };
    static const char *const shares[] = { "0.25", "0.5", "0.9" };
    struct fake_context *f = *state;

    write_tiny(f, "opt", DTYPE_F32);
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        json_t *models[COUNT_OF(shares)];
        char *alone[COUNT_OF(shares)];

        siblings_are = json_array();
        for (size_t i = 0; i < COUNT_OF(shares); i++) {
            char params[128];

            (void)snprintf(params, sizeof(params), "%s%s}", kinds[k],
                           shares[i]);
            models[i] = pruned(f, "opt", params);
            alone[i] = digest_by(f, json_incref(models[i]));
            (void)json_array_append_new(siblings_are,
                                        json_pack("{s:O}", "model", models[i]));
        }
        f->context.cache = recipe_cache_new(1 << 20);
        f->context.siblings = siblings;
        for (size_t i = 0; i < COUNT_OF(shares); i++) {
            char *together;

            f->context.facts = (struct job_facts){ 0 };
            together = digest_by(f, models[i]);
            assert_string_equal(together, alone[i]);
            assert_int_equal(f->context.facts.model,
                             i == 0 ? JOB_MODEL_REALISED : JOB_MODEL_SHARED);
            free(together);
            free(alone[i]);
        }
        recipe_cache_free(f->context.cache);
        f->context.cache = NULL;
        f->context.siblings = NULL;
        json_decref(siblings_are);
    }
}

/* ---- edges ------------------------------------------------------------------- */

static uint64_t zeros_of(const struct tensor *t)
{
    uint64_t zeros = 0;

    for (uint64_t i = 0; i < t->count; i++)
        zeros += element(t, i) == 0.0F;
    return zeros;
}

/* What lies below the threshold is gone, what lies above it is there; of what
 * equals it the first, over all tensors, are gone. */
static void check_threshold(const struct tensor *t, const uint8_t *mask,
                            float threshold, uint64_t *gone, bool *kept)
{
    for (uint64_t e = 0; mask != NULL && e < t->count; e++) {
        float size = fabsf(element(t, e));

        *gone += !bit(mask, e);
        if (size != threshold)
            assert_true(bit(mask, e) == (size > threshold));
        else
            assert_true(bit(mask, e) || !*kept);
        *kept = *kept || (size == threshold && bit(mask, e));
    }
}

/* Half of the matrices of an MLP equals 1, a quarter is less. */
static void test_a_global_threshold_is_one_for_all(void **state)
{
    static const char *const shares[] = { "0.3", "0.5", "0.7" };
    struct fake_context *f = *state;
    struct tiny_files t;
    uint64_t all = 0;

    tiny_files_init(&t, "mlp", DTYPE_F32, 1);
    for (size_t i = 0; i < t.set.count; i++) {
        bool inside = strcmp(t.set.items[i].name, "fc0.weight") == 0 ||
                      strcmp(t.set.items[i].name, "fc1.weight") == 0;

        all += inside ? t.set.items[i].count : 0;
        for (uint64_t e = 0; inside && e < t.set.items[i].count; e++)
            tiny_files_put(&t, t.set.items[i].name, e,
                           e % 4 == 0   ? 0.5F
                           : e % 4 == 1 ? 2.0F
                           : e % 4 == 2 ? 1.0F
                                        : -1.0F);
    }
    tiny_files_write(&t, f, "mlp");
    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        char params[96];
        struct recipe_model *m;
        uint64_t gone = 0;
        bool kept = false;

        (void)snprintf(params, sizeof(params),
                       "{'method':'magnitude','sparsity':%s,'scope':'global'}",
                       shares[i]);
        m = open_model(f, pruned(f, "mlp", params));
        for (size_t k = 0; k < t.set.count; k++)
            check_threshold(&t.set.items[k],
                            recipe_mask(m, t.set.items[k].name), 1.0F, &gone,
                            &kept);
        assert_true(kept);
        assert_int_equal(gone,
                         (uint64_t)((double)all * strtod(shares[i], NULL)));
        recipe_close(m);
    }
    tiny_files_release(&t);
}

#define FC0 "fc0.weight" /* of the tiny mlp: 9 outputs of 12 inputs */

static struct recipe_model *prune_mlp(struct fake_context *f,
                                      struct tiny_files *t, const char *params)
{
    assert_ok(file_remove_tree(fake_context_path(f, "mlp")));
    tiny_files_write(t, f, "mlp");
    return open_model(f, pruned(f, "mlp", params));
}

static void test_nothing_goes_at_zero(void **state)
{
    static const char *const rules[] = { "exact", "torch_round", "lte",
                                         "topk_gt" };
    struct fake_context *f = *state;
    struct tiny_files t;

    tiny_files_init(&t, "mlp", DTYPE_F32, 1);
    tiny_files_put(&t, FC0, 5, 0.0F);
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        char params[128];
        struct recipe_model *m;

        (void)snprintf(params, sizeof(params),
                       "{'method':'magnitude','sparsity':0,'rule':'%s'}",
                       rules[i]);
        m = prune_mlp(f, &t, params);
        assert_int_equal(zeros_of(tensor_find(recipe_tensors(m), FC0)), 1);
        /* A weight that happens to be 0 stays in the model. */
        assert_true(bit(recipe_mask(m, FC0), 5));
        recipe_close(m);
    }
    tiny_files_release(&t);
}

static void test_equal_scores_go_by_index(void **state)
{
    struct fake_context *f = *state;
    struct tiny_files t;
    struct recipe_model *m;
    const uint8_t *mask;

    tiny_files_init(&t, "mlp", DTYPE_F32, 1);
    for (uint64_t i = 0; i < 108; i++)
        tiny_files_put(&t, FC0, i, i % 3 == 0 ? -0.0F : 0.0F);
    m = prune_mlp(f, &t, "{'method':'magnitude','sparsity':0.25}");
    mask = recipe_mask(m, FC0);
    for (uint64_t i = 0; i < 108; i++)
        assert_int_equal(bit(mask, i), i >= 27);
    recipe_close(m);
    tiny_files_release(&t);
}

/* Each four of 108 weights are equal; 26.6 and 28.6 of them are to go. */
static void test_rules_count_as_they_say(void **state)
{
    static const struct {
        const char *rule;
        uint64_t gone[2];
    } rows[] = {
        { "exact", { 26, 28 } },
        { "torch_round", { 27, 29 } },
        { "lte", { 28, 32 } },
        { "topk_gt", { 28, 28 } },
    };
    struct fake_context *f = *state;
    struct tiny_files t;

    tiny_files_init(&t, "mlp", DTYPE_F32, 1);
    for (uint64_t i = 0; i < 108; i++)
        tiny_files_put(&t, FC0, i, (float)(1 + i / 4));
    for (size_t i = 0; i < 2 * COUNT_OF(rows); i++) {
        char params[128];
        struct recipe_model *m;

        (void)snprintf(params, sizeof(params),
                       "{'method':'magnitude','sparsity':%s,'rule':'%s'}",
                       i % 2 == 0 ? "0.2463" : "0.2649", rows[i / 2].rule);
        m = prune_mlp(f, &t, params);
        assert_int_equal(zeros_of(tensor_find(recipe_tensors(m), FC0)),
                         rows[i / 2].gone[i % 2]);
        recipe_close(m);
    }
    tiny_files_release(&t);
}

/* 0.005 of 108 is not one weight. */
static void test_a_share_below_one_weight_takes_none(void **state)
{
    struct fake_context *f = *state;
    struct tiny_files t;
    struct recipe_model *m;

    tiny_files_init(&t, "mlp", DTYPE_F32, 1);
    m = prune_mlp(f, &t, "{'method':'magnitude','sparsity':0.005}");
    assert_int_equal(zeros_of(tensor_find(recipe_tensors(m), FC0)), 0);
    recipe_close(m);
    tiny_files_release(&t);
}

static void test_a_weight_that_is_no_number_is_named(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    struct fake_context *f = *state;

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct tiny_files t;

        tiny_files_init(&t, "mlp", DTYPE_F32, 1);
        tiny_files_put(&t, "fc1.weight", 62, bad[i]);
        assert_ok(file_remove_tree(fake_context_path(f, "mlp")));
        tiny_files_write(&t, f, "mlp");
        for (size_t k = 0; k < COUNT_OF(ways); k++)
            expect_failure(
                f, pruned(f, "mlp", ways[k]), STATUS_CORRUPT,
                "\"fc1.weight\" has a NaN or infinity at element 62");
        tiny_files_release(&t);
    }
}

static void test_an_output_without_weights_is_told(void **state)
{
    struct fake_context *f = *state;
    struct tiny_files t;

    tiny_files_init(&t, "mlp", DTYPE_F32, 1);
    for (uint64_t i = 24; i < 36; i++)
        tiny_files_put(&t, FC0, i, 1e-9F);
    recipe_close(prune_mlp(f, &t, "{'method':'magnitude','sparsity':0.2}"));
    assert_non_null(strstr(f->log, "1 of 9 outputs of \"fc0.weight\""));
    assert_null(strstr(f->log, "fc1"));
    f->log[0] = '\0';
    recipe_close(prune_mlp(
        f, &t, "{'method':'magnitude','sparsity':0.2,'scope':'row'}"));
    assert_string_equal(f->log, "");
    tiny_files_release(&t);
}

static void test_filters_choose_matrices(void **state)
{
    struct fake_context *f = *state;
    struct recipe_model *m;

    write_tiny(f, "llama", DTYPE_F16);
    m = open_model(f, pruned(f, "llama",
                             "{'method':'magnitude','sparsity':0.5,"
                             "'include':['mlp','o_proj'],'exclude':['.1.']}"));
    for (size_t i = 0; i < recipe_tensors(m)->count; i++) {
        const char *name = recipe_tensors(m)->items[i].name;
        bool chosen =
            strstr(name, "layers.0.") != NULL &&
            (strstr(name, "mlp") != NULL || strstr(name, "o_proj") != NULL);

        assert_int_equal(recipe_mask(m, name) != NULL, chosen);
    }
    recipe_close(m);
    expect_failure(f,
                   pruned(f, "llama",
                          "{'method':'magnitude','sparsity':0.5,"
                          "'include':['lm_head']}"),
                   STATUS_INVALID, "no matrix of the model");
}

static void test_what_went_does_not_come_back(void **state)
{
    struct fake_context *f = *state;
    json_t *inner, *outer;
    struct recipe_model *once, *twice;

    write_tiny(f, "opt", DTYPE_F32);
    inner = pruned(f, "opt", "{'method':'random','sparsity':0.5,'seed':1}");
    outer = pruned(f, "opt", "{'method':'random','sparsity':0.5,'seed':2}");
    (void)json_object_set(
        json_object_get(json_object_get(outer, "$recipe"), "params"), "model",
        inner);
    once = open_model(f, inner);
    twice = open_model(f, outer);
    for (size_t i = 0; i < recipe_tensors(once)->count; i++) {
        const struct tensor *t = &recipe_tensors(once)->items[i];
        const uint8_t *a = recipe_mask(once, t->name);
        const uint8_t *b = recipe_mask(twice, t->name);
        uint64_t kept = 0;

        for (uint64_t e = 0; a != NULL && e < t->count; e++) {
            assert_true(bit(a, e) || !bit(b, e));
            kept += bit(b, e);
        }
        /* About a quarter: the draws have nothing to do with each other. */
        assert_true(a == NULL || (kept > t->count / 6 && kept < t->count / 3));
    }
    recipe_close(once);
    recipe_close(twice);
}

static void test_a_mask_goes_into_the_model_that_trains(void **state)
{
    struct fake_context *f = *state;
    struct recipe_model *m;
    struct model_config c;
    struct model *model = NULL;

    write_tiny(f, "gpt2", DTYPE_F32);
    m = open_model(f,
                   pruned(f, "gpt2", "{'method':'magnitude','sparsity':0.5}"));
    assert_ok(model_config_read(recipe_config(m), &c));
    assert_ok(model_load(&c, recipe_tensors(m), MODEL_BORROW, &model));
    assert_ok(recipe_mask_model(m, model));
    for (size_t i = 0; i < model->parameter_count; i++) {
        const struct model_parameter *p = &model->parameters[i];
        const uint8_t *mask = recipe_mask(m, p->name);

        assert_int_equal(p->keep != NULL, p->role == ROLE_MATRIX);
        for (size_t e = 0; mask != NULL && e < p->count; e++)
            assert_int_equal(p->keep[e] != 0, bit(mask, e));
    }
    model_free(model);
    recipe_close(m);
}

#define FC2 "model.decoder.layers.0.fc2.weight"

/* Rows that were sorted for many choices lose what those lose that were not. */
static void test_sorted_rows_lose_the_same(void **state)
{
    enum { OUTPUTS = 7, INPUTS = 300, EACH = OUTPUTS * INPUTS };
    static const enum prune_rule rules[] = { PRUNE_EXACT, PRUNE_ROUND,
                                             PRUNE_LTE, PRUNE_TOPK_GT };
    float scores[EACH], sorted[EACH];
    uint8_t keep[EACH], kept[EACH];

    (void)state;
    philox_uniform((struct philox_key){ 8, 0, 0 }, 0, EACH, scores);
    for (size_t i = 0; i < EACH; i++) /* many ties, and zeros */
        scores[i] = i % 2 == 0 ? floorf(scores[i] * 20.0F) : scores[i] * 1e-20F;
    for (size_t i = 0; i < 2 * COUNT_OF(rules) * 10; i++) {
        const struct prune_matrix m = { OUTPUTS, INPUTS, i % 2 == 1 };
        const struct prune_how how = { .rule = rules[i / 2 % 4],
                                       .scope = PRUNE_ROW,
                                       .sparsity = (double)(i / 8) / 10.0 };

        assert_true(prune_by_sorted(&how));
        prune_sort_rows(&m, scores, sorted);
        for (size_t k = 1; k < EACH; k++)
            assert_true(k % INPUTS == 0 || sorted[k - 1] <= sorted[k]);
        prune_choose(&how, &m, scores, keep);
        prune_choose_sorted(&how, &m, scores, sorted, kept);
        assert_memory_equal(keep, kept, sizeof(keep));
    }
}

static void test_what_cannot_be_done_is_said(void **state)
{
    static const struct {
        const char *params, *words;
    } rows[] = {
        { "{'method':'magnitude','sparsity':1}", "something must be kept" },
        { "{'method':'magnitude','density':0}", "something must be kept" },
        { "{'method':'magnitude','sparsity':-0.1}", "`sparsity` is -0.1" },
        { "{'method':'magnitude'}", "either `sparsity` or `density`" },
        { "{'method':'magnitude','sparsity':0.5,'density':0.5}",
          "either `sparsity` or `density`" },
        { "{'method':'magnitude','pattern':'4:4'}", "like 2:4" },
        { "{'method':'magnitude','pattern':'2:'}", "like 2:4" },
        { "{'method':'magnitude','pattern':'2:4x'}", "like 2:4" },
        { "{'method':'wanda','sparsity':0.5}", "wanda needs a job" },
        { "{'method':'sparsegpt','sparsity':0.5}", "sparsegpt needs a job" },
        { "{'method':'thinking','sparsity':0.5}", "no method \"thinking\"" },
    };
    struct fake_context *f = *state;
    struct tiny_files t;

    write_tiny(f, "opt", DTYPE_F32);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_failure(f, pruned(f, "opt", rows[i].params), STATUS_INVALID,
                       rows[i].words);
    tiny_files_init(&t, "opt", DTYPE_F32, 1);
    fake_context_write_model(f, "strange", &t.set,
                             "{\"model_type\": \"strange\"}");
    fake_context_write_model(f, "none", &t.set, NULL);
    for (size_t i = 0; i < t.set.count; i++)
        if (strcmp(t.items[i].name, FC2) == 0)
            t.items[i].name = FC2 "x";
    tiny_files_write(&t, f, "lacking");
    expect_failure(f, pruned(f, "lacking", ways[0]), STATUS_INVALID,
                   "\"" FC2 "\" is missing");
    expect_failure(f, pruned(f, "strange", ways[0]), STATUS_INVALID, "opt");
    expect_failure(f, pruned(f, "none", ways[0]), STATUS_INVALID,
                   "no config.json");
    f->context.memory_bytes = 1000;
    expect_failure(f, pruned(f, "opt", ways[0]), STATUS_NO_MEMORY,
                   "the slot has 1000");
    tiny_files_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorted_rows_lose_the_same),
        cmocka_unit_test_setup_teardown(
            test_matrices_lose_what_the_slow_twin_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_threads_and_streams_give_the_same_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads_share_a_matrix, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_siblings_are_made_in_one_pass,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_global_threshold_is_one_for_all,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_goes_at_zero, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_equal_scores_go_by_index, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_rules_count_as_they_say, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_share_below_one_weight_takes_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_weight_that_is_no_number_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_output_without_weights_is_told,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_filters_choose_matrices, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_went_does_not_come_back,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_mask_goes_into_the_model_that_trains, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_done_is_said,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
