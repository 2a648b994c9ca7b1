/* Models pruned by what they are fed: Wanda and SparseGPT, section by
 * section. */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/philox.h"
#include "jobs/data.h"
#include "jobs/prune.h"
#include "jobs/prune_fit.h"
#include "jobs/recipe_mask.h"
#include "jobs/stream_model.h"
#include "support/fake_fixture.h"
#include "support/tiny_files.h"
#include "support/tiny_llama.h"

#define TASKS                                                         \
    "'calibration':{'samples':40,'seed':3,'data':{'builtin':'tasks'," \
    "'mix':{'sort':1},'shortest':3,'longest':6,'split':'train'}}"
#define IMAGES                                     \
    "'calibration':{'samples':96,'seed':3,'data':" \
    "{'builtin':'teacher10k','split':'train','seed':0}}"

#define WIDE "'vocab_size':260,'max_position_embeddings':32}"
static const struct tiny_model texts[] = {
    { "llama", "{'model_type':'llama','hidden_size':16,'intermediate_size':24,"
               "'num_hidden_layers':2,'num_attention_heads':4," WIDE },
    { "opt", "{'model_type':'opt','hidden_size':16,'ffn_dim':24,"
             "'num_hidden_layers':2,'num_attention_heads':4," WIDE },
    { "gpt2", "{'model_type':'gpt2','n_embd':16,'n_layer':2,'n_head':4,"
              "'vocab_size':260,'n_positions':32}" },
    { "gpt_neox",
      "{'model_type':'gpt_neox','hidden_size':16,'intermediate_size':24,"
      "'num_hidden_layers':2,'num_attention_heads':2,'rotary_pct':0.25," WIDE },
    { "mistral",
      "{'model_type':'mistral','hidden_size':16,'intermediate_size':24,"
      "'num_hidden_layers':2,'num_attention_heads':4,"
      "'num_key_value_heads':2,'sliding_window':4," WIDE },
    { "qwen2", "{'model_type':'qwen2','hidden_size':16,'intermediate_size':24,"
               "'num_hidden_layers':2,'num_attention_heads':4,"
               "'num_key_value_heads':2,'tie_word_embeddings':true," WIDE },
};
#define MLP "{'model_type':'mlp','sizes':[64,24,20,10]}"
#define RESNET                                                              \
    "{'model_type':'preresnet','widths':[4,6],'blocks':[1,1],'channels':1," \
    "'height':8,'width':8,'classes':10}"

/* The model as a sweep names it: the prune that a job has worked out. */
static json_t *fitted(struct fake_context *f, const char *name,
                      const char *params, json_t **ret_result)
{
    json_t *json = tiny_files_params(f, name, params);
    json_t *model;

    assert_ok(tiny_run(f, "prune_fit", json, ret_result));
    fake_context_set_job(f, "ab12", json_text_or(*ret_result, "artifact", ""));
    model = json_pack(
        "{s:{s:s, s:{s:O, s:O, s:{s:s}}}}", "$recipe", "kind", "prune",
        "params", "model", json_object_get(json, "model"), "method",
        json_object_get(json, "method"), "fitted", "$job", "ab12");
    json_decref(json);
    return model;
}

static struct recipe_model *open_fitted(struct fake_context *f,
                                        const char *name, const char *params)
{
    json_t *result;
    json_t *model = fitted(f, name, params, &result);
    struct recipe_model *m = NULL;

    assert_ok(recipe_open(model, &f->context, &m));
    json_decref(model);
    json_decref(result);
    return m;
}

static bool bit(const uint8_t *mask, uint64_t i)
{
    return (mask[i / 8] >> i % 8 & 1) != 0;
}

static float element(const struct tensor *t, uint64_t i)
{
    float x;

    dtype_to_f32(t->dtype, (const char *)t->data + i * dtype_size(t->dtype), &x,
                 1);
    return x;
}

/* ---- a slow twin: an MLP, sample by sample ------------------------------------- */

/* The samples that the calibration draws, [count][64]. */
static float *draw_images(struct fake_context *f, size_t count)
{
    json_t *value =
        tiny_json("{'builtin':'teacher10k','split':'train','seed':0}");
    float *pixels = xcalloc(count * 64, sizeof(*pixels));
    struct data d;

    assert_ok(
        data_open(value, &(struct data_use){ .window = 0 }, &f->context, &d));
    d.together = 1;
    for (size_t i = 0; i < count; i++) {
        struct batch b;
        bool added = false;

        batch_init_images(&b, 1, 64);
        assert_ok(data_draw(&d, 3, i, &b, &added));
        assert_true(added);
        memcpy(pixels + i * 64, b.pixels, 64 * sizeof(*pixels));
        batch_release(&b);
    }
    data_release(&d);
    json_decref(value);
    return pixels;
}

/* Of each output the floor(inputs / 2) smallest |w| norm go. */
static void check_layer(const struct tensor *was, const uint8_t *mask,
                        const float *x, size_t samples)
{
    size_t outputs = was->shape[0], inputs = was->shape[1];
    double *score = xcalloc(inputs, sizeof(*score));

    for (size_t o = 0; o < outputs; o++) {
        for (size_t i = 0; i < inputs; i++) {
            double sum = 0.0;

            for (size_t s = 0; s < samples; s++)
                sum += pow((double)x[s * inputs + i], 2.0);
            score[i] = fabs((double)element(was, o * inputs + i)) *
                       sqrt(sum / (double)samples);
        }
        for (size_t i = 0; i < inputs; i++) {
            size_t below = 0;

            for (size_t k = 0; k < inputs; k++)
                below += score[k] < score[i] || (score[k] == score[i] && k < i);
            assert_int_equal(bit(mask, o * inputs + i), below >= inputs / 2);
        }
    }
    free(score);
}

/* relu(norm(w x)) for all samples; the caller frees. The norms of a fresh
 * model measure nothing: mean 0, variance 1. */
static float *feed(const struct tensor *w, const float *x, size_t samples)
{
    size_t outputs = w->shape[0], inputs = w->shape[1];
    float *y = xcalloc(samples * outputs, sizeof(*y));

    for (size_t s = 0; s < samples; s++)
        for (size_t o = 0; o < outputs; o++) {
            double sum = 0.0;

            for (size_t i = 0; i < inputs; i++)
                sum += (double)element(w, o * inputs + i) *
                       (double)x[s * inputs + i];
            sum /= sqrt(1.0 + 1e-5);
            y[s * outputs + o] = sum > 0.0 ? (float)sum : 0.0F;
        }
    return y;
}

/* The second layer reads what the pruned or the dense first one leaves. */
static void test_wanda_prunes_what_the_slow_twin_says(void **state)
{
    static const char *const flows[] = { "pruned", "dense" };
    struct fake_context *f = *state;
    float *images = draw_images(f, 96);
    struct tiny_files t;

    tiny_files_of(&t, MLP, DTYPE_F32, 5);
    tiny_files_write(&t, f, "mlp");
    for (size_t k = 0; k < COUNT_OF(flows); k++) {
        char params[256];
        const struct tensor *first = tensor_find(&t.set, "fc0.weight");
        const struct tensor *second = tensor_find(&t.set, "fc1.weight");
        struct recipe_model *m;
        float *hidden;

        (void)snprintf(params, sizeof(params),
                       "{'method':'wanda','sparsity':0.5,'scope':'row',"
                       "'flow':'%s'," IMAGES "}",
                       flows[k]);
        m = open_fitted(f, "mlp", params);
        check_layer(first, recipe_mask(m, "fc0.weight"), images, 96);
        hidden =
            feed(k == 0 ? tensor_find(recipe_tensors(m), "fc0.weight") : first,
                 images, 96);
        check_layer(second, recipe_mask(m, "fc1.weight"), hidden, 96);
        assert_null(recipe_mask(m, "fc2.weight")); /* the last stays */
        free(hidden);
        recipe_close(m);
    }
    tiny_files_release(&t);
    free(images);
}

/* ---- all architectures ---------------------------------------------------------- */

struct row {
    const char *params;
    double sparsity;
    size_t go, of; /* of inputs; 0: unstructured */
    bool moves;    /* weights that stay change */
};
static const struct row rows[] = {
    { "{'method':'wanda','sparsity':0.5,'scope':'row',", 0.5, 0, 0, false },
    { "{'method':'wanda','pattern':'2:4','flow':'dense',", 0.5, 2, 4, false },
    { "{'method':'wanda','sparsity':0.5,'scope':'layer','rule':'lte',", 0.5, 0,
      0, false },
    { "{'method':'wanda','sparsity':0.5,'scope':'row','rule':'alpha',", 0.5, 0,
      0, false },
    { "{'method':'sparsegpt','sparsity':0.75,'block':16,", 0.75, 0, 0, true },
    { "{'method':'sparsegpt','pattern':'1:4','block':8,'flow':'dense',", 0.25,
      1, 4, true },
};

/* In each group of inputs so many are gone. */
static void check_groups(const struct row *r, const struct graph_parameter *p,
                         const uint8_t *mask)
{
    size_t outputs = p->turned ? p->shape[1] : p->shape[0];
    size_t inputs = p->count / outputs;

    for (size_t o = 0; o < outputs; o++)
        for (size_t i = 0; i + r->of <= inputs; i += r->of) {
            size_t gone = 0;

            for (size_t k = i; k < i + r->of; k++)
                gone +=
                    !bit(mask, p->turned ? k * outputs + o : o * inputs + k);
            assert_int_equal(gone, r->go);
        }
}

static void check_matrix(const struct row *r, const struct graph_parameter *p,
                         const struct tensor *was, const struct tensor *is,
                         const uint8_t *mask)
{
    size_t gone = 0, moved = 0;

    assert_non_null(mask);
    for (size_t i = 0; i < p->count; i++) {
        gone += !bit(mask, i);
        if (!bit(mask, i))
            assert_true(element(is, i) == 0.0F);
        else
            moved += element(is, i) != element(was, i);
    }
    /* Rows and groups that do not divide are off by one of their inputs. */
    if (fabs((double)gone / (double)p->count - r->sparsity) >=
        0.05 + 1.0 / (double)p->inputs)
        fail_msg("%s%s: %zu of %zu", r->params, p->name, gone, p->count);
    assert_int_equal(moved > 0, r->moves);
    if (r->of > 0)
        check_groups(r, p, mask);
}

static void check_model(struct fake_context *f, const struct tiny_model *a,
                        const char *calibration, const struct row *r)
{
    char params[512];
    struct tiny_files t;
    struct recipe_model *m;

    (void)snprintf(params, sizeof(params), "%s%s}", r->params, calibration);
    tiny_files_of(&t, a->config, DTYPE_BF16, 5);
    m = open_fitted(f, a->name, params);
    for (size_t i = 0; i < t.set.count; i++) {
        const struct tensor *was = &t.set.items[i];
        const struct graph_parameter *p =
            &t.model->graph->parameters[graph_find(t.model->graph, was->name)];
        const struct tensor *is = tensor_find(recipe_tensors(m), was->name);

        if (p->role == ROLE_MATRIX)
            check_matrix(r, p, was, is, recipe_mask(m, was->name));
        else
            assert_memory_equal(is->data, was->data, tensor_bytes(was));
    }
    recipe_close(m);
    tiny_files_release(&t);
}

static void test_every_architecture_is_pruned(void **state)
{
    static const struct tiny_model images[] = { { "mlp", MLP },
                                                { "preresnet", RESNET } };
    struct fake_context *f = *state;

    for (size_t i = 0; i < COUNT_OF(texts) * COUNT_OF(rows); i++) {
        const struct tiny_model *a = &texts[i / COUNT_OF(rows)];

        if (i % COUNT_OF(rows) == 0)
            tiny_files_make(f, a->name, a->config, DTYPE_BF16);
        check_model(f, a, TASKS, &rows[i % COUNT_OF(rows)]);
    }
    for (size_t i = 0; i < COUNT_OF(images) * COUNT_OF(rows); i++) {
        const struct tiny_model *a = &images[i / COUNT_OF(rows)];

        if (i % COUNT_OF(rows) == 0)
            tiny_files_make(f, a->name, a->config, DTYPE_BF16);
        check_model(f, a, IMAGES, &rows[i % COUNT_OF(rows)]);
    }
}

/* ---- the same again ----------------------------------------------------------------- */

static void test_files_hold_what_memory_does(void **state)
{
    static const char *const methods[] = {
        "{'method':'wanda','sparsity':0.5,'scope':'row'," TASKS "}",
        "{'method':'sparsegpt','sparsity':0.5," TASKS "}",
    };
    struct fake_context *f = *state;

    tiny_files_make(f, "gpt2", texts[2].config, DTYPE_F16);
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        const struct stream_wish wish = {
            .model = NULL,
            .directory = fake_context_path(f, "out"),
        };
        struct stream_wish asked = wish;
        json_t *result, *again;
        json_t *model = fitted(f, "gpt2", methods[i], &result);
        json_t *second = tiny_files_params(f, "gpt2", methods[i]);
        struct recipe_model *m = NULL;
        struct stream_outcome o;
        struct digest digest;
        char text[DIGEST_TEXT];

        /* Another attempt gives the same bytes. */
        assert_ok(tiny_run(f, "prune_fit", second, &again));
        assert_true(json_equal(result, again));
        asked.model = model;
        assert_ok(recipe_open(model, &f->context, &m));
        digest = recipe_digest(m);
        digest_to_text(&digest, text);
        assert_ok(stream_model(&asked, &f->context, &o));
        assert_string_equal(o.digest, text);
        assert_ok(file_remove_tree(asked.directory));
        recipe_close(m);
        json_decref(model);
        json_decref(second);
        json_decref(result);
        json_decref(again);
    }
}

/* What a job saw of a dense model's inputs, as job cd34. */
static void look(struct fake_context *f, const char *name, const char *method)
{
    char params[256];
    json_t *json, *result;

    (void)snprintf(params, sizeof(params), "{'method':'%s'," TASKS "}", method);
    json = tiny_files_params(f, name, params);
    assert_ok(tiny_run(f, "prune_inputs", json, &result));
    fake_context_set_job(f, "cd34", json_text_or(result, "artifact", ""));
    json_decref(json);
    json_decref(result);
}

static struct recipe_model *open_by_norms(struct fake_context *f,
                                          const char *name, const char *share)
{
    struct recipe_model *m = NULL;
    char params[256];
    json_t *recipe;

    (void)snprintf(params, sizeof(params),
                   "{'method':'wanda','inputs':{'$job':'cd34'},%s}", share);
    recipe = json_pack("{s:{s:s, s:o}}", "$recipe", "kind", "prune", "params",
                       tiny_files_params(f, name, params));
    assert_ok(recipe_open(recipe, &f->context, &m));
    json_decref(recipe);
    return m;
}

static struct recipe_model *open_by_factors(struct fake_context *f,
                                            const char *name, const char *share)
{
    char params[256];

    (void)snprintf(params, sizeof(params),
                   "{'method':'sparsegpt','inputs':{'$job':'cd34'},'block':16,"
                   "%s}",
                   share);
    return open_fitted(f, name, params);
}

/* Methods whose inputs a dense model shows once for all shares. */
static const struct shared {
    const char *method, *more;
    struct recipe_model *(*open)(struct fake_context *f, const char *name,
                                 const char *share);
    const char *shares[5];
} shared[] = {
    { "wanda",
      "",
      open_by_norms,
      { "'sparsity':0.25,'scope':'row'",
        "'density':0.5,'scope':'layer','rule':'topk_gt'",
        "'sparsity':0.5,'scope':'row','rule':'alpha'", "'pattern':'2:4'" } },
    { "sparsegpt",
      "'block':16,",
      open_by_factors,
      { "'sparsity':0.25", "'density':0.5,'rule':'lte'", "'pattern':'2:4'" } },
};

/* By a walk of its own, and by what one walk saw for all: no sample is drawn
 * and nothing goes forward again, so that progress stays where it was. */
static void check_shared(struct fake_context *f, const char *name,
                         const struct shared *s)
{
    look(f, name, s->method);
    for (size_t i = 0; s->shares[i] != NULL; i++) {
        char params[512];
        struct recipe_model *one, *other;
        struct digest x, y;

        (void)snprintf(params, sizeof(params),
                       "{'method':'%s','flow':'dense',%s%s," TASKS "}",
                       s->method, s->more, s->shares[i]);
        one = open_fitted(f, name, params);
        assert_true(f->done > 0);
        f->done = f->total = 0;
        other = s->open(f, name, s->shares[i]);
        if (s->open == open_by_factors)
            assert_int_equal(f->total, 0);
        x = recipe_digest(one);
        y = recipe_digest(other);
        assert_true(digest_equal(&x, &y));
        recipe_close(one);
        recipe_close(other);
    }
}

static void test_one_look_at_a_dense_model_serves_all(void **state)
{
    struct fake_context *f = *state;

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        tiny_files_make(f, texts[i].name, texts[i].config, DTYPE_BF16);
        for (size_t k = 0; k < COUNT_OF(shared); k++)
            check_shared(f, texts[i].name, &shared[k]);
    }
}

/* What a prune before it took stays away, whatever the others make up for. */
static void test_what_went_does_not_come_back(void **state)
{
    struct fake_context *f = *state;
    json_t *params, *result;
    struct recipe_model *m = NULL;
    json_t *model;
    uint64_t gone = 0;

    tiny_files_make(f, "opt", texts[1].config, DTYPE_F32);
    params = tiny_json(
        "{'method':'sparsegpt','sparsity':0.1,'model':{'$recipe':{'kind':"
        "'prune','params':{'method':'random','sparsity':0.5,'seed':1}}}," TASKS
        "}");
    (void)json_object_set_new(
        json_object_get(
            json_object_get(json_object_get(params, "model"), "$recipe"),
            "params"),
        "model", fake_context_source(f, "opt"));
    assert_ok(tiny_run(f, "prune_fit", params, &result));
    fake_context_set_job(f, "ab12", json_text_or(result, "artifact", ""));
    model = tiny_json("{'$job':'ab12'}");
    assert_ok(recipe_open(model, &f->context, &m));
    for (size_t i = 0; i < recipe_tensors(m)->count; i++) {
        const struct tensor *t = &recipe_tensors(m)->items[i];
        const uint8_t *mask = recipe_mask(m, t->name);

        for (uint64_t e = 0; mask != NULL && e < t->count; e++) {
            gone += !bit(mask, e);
            assert_true(bit(mask, e) || element(t, e) == 0.0F);
        }
        assert_true(mask == NULL || gone >= t->count / 2);
        gone = 0;
    }
    recipe_close(m);
    json_decref(model);
    json_decref(params);
    json_decref(result);
}

/* ---- edges ---------------------------------------------------------------------------- */

static void expect_failure(struct fake_context *f, const char *name,
                           const char *params, enum status_code code,
                           const char *words)
{
    json_t *json = tiny_files_params(f, name, params);
    json_t *result = NULL;

    assert_fails(tiny_run(f, "prune_fit", json, &result), code, words);
    json_decref(json);
}

static void test_what_cannot_be_done_is_said(void **state)
{
    struct fake_context *f = *state;

    tiny_files_make(f, "llama", texts[0].config, DTYPE_F32);
    expect_failure(f, "llama",
                   "{'method':'sparsegpt','pattern':'3:5','block':16," TASKS
                   "}",
                   STATUS_INVALID, "make `block` a multiple");
    expect_failure(f, "llama", "{'method':'wanda','sparsity':0.5," IMAGES "}",
                   STATUS_INVALID, "calibration");
    f->context.memory_bytes = 10000;
    expect_failure(f, "llama", "{'method':'wanda','sparsity':0.5," TASKS "}",
                   STATUS_NO_MEMORY, "pruning one section of the model takes");
    f->context.memory_bytes = 0;
    f->cancel_at = 5;
    f->polls = 0;
    expect_failure(f, "llama", "{'method':'wanda','sparsity':0.5," TASKS "}",
                   STATUS_CANCELLED, NULL);
}

/* ---- SparseGPT's slow twin ----------------------------------------------------------- */

enum { TALL = 70, LONG = 45 }; /* no multiple of a strip, a group or a block */

static const struct
try {
    struct prune_how how;
    size_t block;
}
tries[] = {
    { { .sparsity = 0.6 }, 20 },    { { .sparsity = 0.3 }, 128 },
    { { .go = 2, .of = 4 }, 16 },   { { .go = 3, .of = 5 }, 15 },
    { { .go = 1, .of = 3 }, LONG }, { { .go = 7, .of = 20 }, 40 },
};

/* The n lowest go, of equal ones the first. */
static void drop_lowest(const double *scores, size_t count, size_t n,
                        uint8_t *keep)
{
    for (size_t i = 0; i < count; i++) {
        size_t before = 0;

        for (size_t k = 0; k < count; k++)
            before +=
                scores[k] < scores[i] || (scores[k] == scores[i] && k < i);
        keep[i] &= before >= n;
    }
}

/* `count` columns from `first` on of `tall` rows, by their scores. */
static void choose(const struct try *y, const float *upper, const double *w,
                   size_t tall, size_t first, size_t count, uint8_t *keep)
{
    size_t n = y->how.of > 0
                   ? y->how.go
                   : (size_t)((double)(tall * count) * y->how.sparsity);
    double *scores = xcalloc(tall * count, sizeof(*scores));
    uint8_t *chosen = xcalloc(tall * count, 1);

    for (size_t i = 0; i < tall * count; i++) {
        size_t column = first + i % count;

        scores[i] = pow(w[i / count * LONG + column] /
                            (double)upper[column * (LONG + 1)],
                        2.0);
        chosen[i] = 1;
    }
    drop_lowest(scores, tall * count, n, chosen);
    for (size_t i = 0; i < tall * count; i++)
        keep[i / count * LONG + first + i % count] &= chosen[i];
    free(scores);
    free(chosen);
}

static double run_twin(const struct try *y, const float *upper, double *w,
                       uint8_t *keep)
{
    double loss = 0.0;

    for (size_t i = 0; i < LONG; i++) {
        size_t at = i % y->block, of = y->how.of;
        size_t left = LONG - i < y->block ? LONG - i : y->block;

        if (of == 0 && at == 0)
            choose(y, upper, w, TALL, i, left, keep);
        for (size_t r = 0; r < TALL; r++) {
            double *row = w + r * LONG, error;

            if (of > 0 && at % of == 0)
                choose(y, upper, row, 1, i, LONG - i < of ? LONG - i : of,
                       keep + r * LONG);
            if (keep[r * LONG + i] != 0)
                continue;
            error = row[i] / (double)upper[i * (LONG + 1)];
            loss += error * error / 2.0;
            for (size_t j = i + 1; j < LONG; j++)
                row[j] -= error * (double)upper[i * LONG + j];
            row[i] = 0.0;
        }
    }
    return loss;
}

/* Some weights are gone before, and one input is dead. */
static void test_sparsegpt_is_its_slow_twin(void **state)
{
    enum { SAMPLES = 64, EACH = TALL * LONG, DEAD = 17 };
    float x[SAMPLES * LONG], w[EACH];
    double slow[EACH], loss, sum;
    uint8_t keep[EACH], kept[EACH];

    (void)state;
    philox_uniform((struct philox_key){ 5, 0, 0 }, 0, SAMPLES * LONG, x);
    for (size_t i = 0; i < SAMPLES; i++)
        x[i * LONG + DEAD] = 0.0F;
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        const struct prune_weights m = { TALL, w, keep, 2 };
        struct prune_hessian h;
        struct prune_factor f;

        assert_ok(prune_hessian_init(&h, LONG));
        prune_hessian_add(&h, x, SAMPLES, 1);
        prune_factor_init(&f, &h, FIT_DAMPING);
        philox_uniform((struct philox_key){ 6, 0, 0 }, 0, EACH, w);
        for (size_t e = 0; e < EACH; e++) {
            keep[e] = kept[e] = e % 11 != 0;
            w[e] = keep[e] != 0 ? w[e] - 0.5F : 0.0F;
            slow[e] = e % LONG == DEAD ? 0.0 : (double)w[e];
        }
        assert_ok(
            prune_sparsegpt(&f, &tries[i].how, tries[i].block, &m, &loss));
        sum = run_twin(&tries[i], f.upper, slow, kept);
        prune_factor_release(&f);
        assert_memory_equal(keep, kept, sizeof(keep));
        assert_true(fabs(loss - sum) < 1e-4 * sum);
        for (size_t e = 0; e < EACH; e++)
            assert_true(fabs((double)w[e] - slow[e]) < 1e-4);
    }
}

/* Strips of rows are shared out among threads, and sums are put together in
 * their order. */
static void test_threads_leave_the_same_bytes(void **state)
{
    enum { OUTPUTS = 150, INPUTS = 40, SAMPLES = 64, EACH = OUTPUTS * INPUTS };
    static const struct prune_how hows[] = { { .sparsity = 0.6 },
                                             { .go = 2, .of = 4 } };
    static const uint64_t threads[] = { 1, 2, 3, 7 };
    float x[SAMPLES * INPUTS], w[EACH], first[EACH];
    uint8_t keep[EACH], kept[EACH];
    double loss, sum = 0.0;

    (void)state;
    philox_uniform((struct philox_key){ 5, 0, 0 }, 0, SAMPLES * INPUTS, x);
    for (size_t i = 0; i < COUNT_OF(hows) * COUNT_OF(threads); i++) {
        const struct prune_weights m = { OUTPUTS, w, keep, threads[i % 4] };
        struct prune_hessian h;
        struct prune_factor f;

        philox_uniform((struct philox_key){ 6, 0, 0 }, 0, EACH, w);
        memset(keep, 1, sizeof(keep));
        assert_ok(prune_hessian_init(&h, INPUTS));
        prune_hessian_add(&h, x, SAMPLES, 1);
        prune_factor_init(&f, &h, FIT_DAMPING);
        assert_ok(prune_sparsegpt(&f, &hows[i / 4], 16, &m, &loss));
        prune_factor_release(&f);
        if (i % 4 == 0) {
            memcpy(first, w, sizeof(w));
            memcpy(kept, keep, sizeof(keep));
            sum = loss;
        }
        assert_memory_equal(w, first, sizeof(w));
        assert_memory_equal(keep, kept, sizeof(keep));
        assert_true(loss == sum && loss > 0.0);
    }
}

/* An input that never fires has no say, and SparseGPT drops its weights. */
static void test_a_dead_input_loses_its_weights(void **state)
{
    struct fake_context *f = *state;
    struct tiny_files t;
    struct recipe_model *m;
    const uint8_t *mask;
    const struct tensor *second;

    tiny_files_of(&t, MLP, DTYPE_F32, 5);
    for (uint64_t i = 0; i < 64; i++) /* output 7 of the first layer */
        tiny_files_put(&t, "fc0.weight", (uint64_t)7 * 64 + i, 0.0F);
    tiny_files_write(&t, f, "mlp");
    m = open_fitted(f, "mlp",
                    "{'method':'sparsegpt','sparsity':0.25," IMAGES "}");
    second = tensor_find(recipe_tensors(m), "fc1.weight");
    for (uint64_t o = 0; o < 20; o++)
        assert_true(element(second, o * 24 + 7) == 0.0F);
    recipe_close(m);
    m = open_fitted(f, "mlp",
                    "{'method':'wanda','sparsity':0.25,'scope':'row'," IMAGES
                    "}");
    mask = recipe_mask(m, "fc1.weight");
    for (uint64_t o = 0; o < 20; o++)
        assert_false(bit(mask, o * 24 + 7));
    recipe_close(m);
    tiny_files_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sparsegpt_is_its_slow_twin),
        cmocka_unit_test_setup_teardown(test_threads_leave_the_same_bytes,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_wanda_prunes_what_the_slow_twin_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_architecture_is_pruned,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_hold_what_memory_does,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_one_look_at_a_dense_model_serves_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_went_does_not_come_back,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_done_is_said,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_dead_input_loses_its_weights,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
