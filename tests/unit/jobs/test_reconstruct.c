/* Blocks of a pruned model are trained to give what dense blocks give. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/data.h"
#include "support/fake_fixture.h"
#include "support/healing.h"
#include "support/tiny_llama.h"

static bool always(void *self)
{
    (void)self;
    return true;
}

static void test_a_killed_reconstruction_goes_on_to_the_same_bytes(void **state)
{
    static const char *const trained[] = { "['bias','mask_lora']", "['full']" };
    static const char *const inputs[] = { "sparse", "dense" };

    (void)state;
    healing_opt(fake, "false", "float32");
    for (size_t i = 0; i < 4; i++) {
        json_t *params = healing_params(healing_pruned("base"), trained[i / 2],
                                        "{'mode':'reconstruct','steps':6}");
        json_t *how = tiny_json("{'samples':16,'inputs':'%s'}", inputs[i % 2]);

        (void)json_object_set_new(params, "reconstruct", how);
        fake->context.save_due = always;
        fake->log[0] = '\0';
        fake->context.keep = NULL;
        healing_killed(fake, params, "goes on behind block 1");
        assert_ok(file_remove_tree(fake->keep));
    }
}

static const char *const reconstructions[] = {
    "{'inputs':'sparse','targets':'inputs'}",
    "{'inputs':'sparse','targets':'dense'}",
    "{'inputs':'dense','targets':'inputs'}",
};

static const char *const blocks[] = { "['mask_lora']", "['bias','norm']",
                                      "['lora_prune','bias']", "['full']" };

static void test_blocks_are_reconstructed(void **state)
{
    (void)state;
    healing_opt(fake, "false", "float32");
    for (size_t i = 0; i < COUNT_OF(reconstructions); i++)
        for (size_t k = 0; k < COUNT_OF(blocks); k++) {
            json_t *params = healing_params(
                healing_pruned("base"), blocks[k],
                "{'mode':'reconstruct','steps':30,'optimizer':{'lr':0.01,"
                "'schedule':'linear','warmup':0.1}}");
            json_t *how = tiny_json("%s", reconstructions[i]), *result;

            (void)json_object_set_new(how, "samples", json_integer(24));
            (void)json_object_set_new(params, "reconstruct", how);
            result = healing_run(fake, params, "healed");
            healing_reads_as_computed(fake, "healed", result);
            assert_true(tiny_metric(result, "blocks") == 2.0);
            if (!(tiny_metric(result, "error_after") <
                  0.8 * tiny_metric(result, "error_before")))
                fail_msg("%s, %s: error %g after %g", reconstructions[i],
                         blocks[k], tiny_metric(result, "error_after"),
                         tiny_metric(result, "error_before"));
            assert_non_null(strstr(fake->log, "block 2: error "));
            fake->log[0] = '\0';
            json_decref(result);
        }
}

static void test_blocks_of_every_architecture_are_reconstructed(void **state)
{
    static const char *const names[] = { "llama", "mistral", "qwen2", "gpt2",
                                         "gpt_neox" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char init[128];
        json_t *params, *result;

        (void)snprintf(init, sizeof(init),
                       "{'architecture':'%s','hidden':16,'layers':2,'heads':2,"
                       "'intermediate':24}",
                       names[i]);
        healing_base(fake, "base", init, "float32", 5);
        params = healing_params(
            healing_pruned("base"), "['mask_lora']",
            "{'mode':'reconstruct','steps':30,'reconstruct':{'samples':24,"
            "'inputs':'sparse','targets':'inputs'},'optimizer':{'lr':0.01}}");
        result = healing_run(fake, params, "healed");
        healing_reads_as_computed(fake, "healed", result);
        if (!(tiny_metric(result, "error_after") <
              0.9 * tiny_metric(result, "error_before")))
            fail_msg("%s: error %g after %g", names[i],
                     tiny_metric(result, "error_after"),
                     tiny_metric(result, "error_before"));
        json_decref(result);
    }
}

static void test_the_dense_model_is_found_or_given(void **state)
{
    static const char *const more =
        "{'mode':'reconstruct','steps':4,'reconstruct':{'samples':8}}";
    json_t *result, *params;

    (void)state;
    healing_opt(fake, "false", "float32");
    healing_refused(fake, healing_params(healing_job("base"), "['bias']", more),
                    "`dense`");
    result = healing_run(
        fake, healing_params(healing_pruned("base"), "['bias']", "{}"),
        "healed");
    json_decref(result);
    result = healing_run(
        fake, healing_params(healing_job("healed"), "['bias']", more), "again");
    json_decref(result); /* below two of them */
    params = healing_params(healing_job("base"), "['bias']", more);
    (void)json_object_set_new(params, "dense", healing_job("base"));
    result = healing_run(fake, params, "again");
    assert_true(tiny_metric(result, "error_before") == 0.0);
    json_decref(result);
}

/* --- images ------------------------------------------------------------------- */

#define TEACHER "'data':{'builtin':'teacher10k','split':'train','seed':0}"

/* Trained a little, as job "base". */
static void image_base(const char *init)
{
    json_t *params =
        tiny_json("{'init':%s," TEACHER ",'steps':40,'batch':32,'seed':0,"
                  "'optimizer':{'name':'sgd','lr':0.05,'momentum':0.9}}",
                  init);
    json_t *result;

    assert_ok(tiny_run(fake, "train", params, &result));
    fake_context_set_job(fake, "base", json_text_or(result, "artifact", ""));
    json_decref(params);
    json_decref(result);
}

#define MLP "{'architecture':'mlp','sizes':[64,24,20,10]}"
static const char *const image_words[] = { "['mask_lora']", "['full']",
                                           "['bias','norm']" };
enum { SAMPLES = 64, TOGETHER = 32, PIXELS = 64, WIDEST = 64, LAYERS = 2 };

static json_t *image_params(const char *train, const char *how)
{
    json_t *params = healing_params(
        healing_pruned("base"), train,
        "{'mode':'reconstruct','steps':40,'batch':32," TEACHER
        ",'optimizer':{'lr':0.01,'schedule':'linear','warmup':0.1}}");
    json_t *given = tiny_json("%s", how);

    (void)json_object_set_new(given, "samples", json_integer(SAMPLES));
    (void)json_object_set_new(params, "reconstruct", given);
    return params;
}

/* What the job is given, [SAMPLES][PIXELS]. */
static void draw_images(double *pixels)
{
    AUTO(json_release) json_t *value = tiny_json("{" TEACHER "}");
    struct data d;

    assert_ok(data_open(json_object_get(value, "data"),
                        &(struct data_use){ .window = 0 }, &fake->context, &d));
    for (uint64_t i = 0; i < SAMPLES; i += TOGETHER) {
        struct batch b;
        bool added = true;

        assert_ok(data_batch(&d, TOGETHER, &b));
        for (uint64_t k = 0; k < TOGETHER && added; k++)
            assert_ok(data_draw(&d, 0, i + k, &b, &added));
        for (size_t k = 0; k < TOGETHER * PIXELS; k++)
            pixels[i * PIXELS + k] = (double)b.pixels[k];
        batch_release(&b);
    }
    data_release(&d);
}

static double at(const struct recipe_model *m, const char *sort, size_t layer,
                 const char *part, size_t i)
{
    char name[32];
    const struct tensor *t;

    (void)snprintf(name, sizeof(name), "%s%zu.%s", sort, layer, part);
    t = tensor_find(recipe_tensors(m), name);
    assert_true(t != NULL && t->dtype == DTYPE_F32 && i < t->count);
    return (double)((const float *)t->data)[i];
}

static size_t outputs_of(size_t layer)
{
    return layer == 0 ? 24 : 20;
}

/* Product `o` of layer `layer` with sample `s` of x [SAMPLES][inputs]. */
static double product(const struct recipe_model *m, size_t layer, size_t o,
                      const double *x, size_t s)
{
    size_t inputs = layer == 0 ? PIXELS : outputs_of(layer - 1);
    double sum = 0.0;

    for (size_t i = 0; i < inputs; i++)
        sum += at(m, "fc", layer, "weight", o * inputs + i) * x[s * inputs + i];
    return sum;
}

/* The slow twin of a layer; y: [SAMPLES][outputs]. */
static void layer_of(const struct recipe_model *m, size_t layer,
                     const double *x, double *y)
{
    size_t outputs = outputs_of(layer);

    for (size_t s = 0; s < SAMPLES; s++)
        for (size_t o = 0; o < outputs; o++) {
            double z = product(m, layer, o, x, s) -
                       at(m, "bn", layer, "running_mean", o);

            z /= sqrt(at(m, "bn", layer, "running_var", o) + 1e-5);
            z = z * at(m, "bn", layer, "weight", o) +
                at(m, "bn", layer, "bias", o);
            y[s * outputs + o] = z > 0.0 ? z : 0.0;
        }
}

/* Means and variances are those of what the layer reads, over batches. */
static void check_statistics(const struct recipe_model *m, size_t layer,
                             const double *x)
{
    for (size_t o = 0; o < outputs_of(layer); o++) {
        double mean = 0.0, variance = 0.0;

        for (size_t first = 0; first < SAMPLES; first += TOGETHER) {
            double sum = 0.0, squares = 0.0;

            for (size_t s = first; s < first + TOGETHER; s++) {
                double z = product(m, layer, o, x, s);

                sum += z;
                squares += z * z;
            }
            squares -= sum * sum / TOGETHER;
            mean += sum / SAMPLES;
            variance += squares / (TOGETHER - 1) * TOGETHER / SAMPLES;
        }
        assert_true(fabs(mean - at(m, "bn", layer, "running_mean", o)) <
                    1e-4 * (1.0 + fabs(mean)));
        assert_true(fabs(variance - at(m, "bn", layer, "running_var", o)) <
                    1e-4 * (1.0 + variance));
    }
}

static double distance(const double *a, const double *b, size_t count)
{
    double sum = 0.0;

    for (size_t i = 0; i < count; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum / (double)count;
}

struct twin {
    struct recipe_model *dense, *pruned, *healed;
    double x[SAMPLES * WIDEST], target[SAMPLES * WIDEST], y[SAMPLES * WIDEST];
    double before, after;
};

static void run_twin(struct twin *t)
{
    draw_images(t->x);
    for (size_t layer = 0; layer < LAYERS; layer++) {
        size_t count = SAMPLES * outputs_of(layer);

        check_statistics(t->healed, layer, t->x);
        layer_of(t->dense, layer, t->x, t->target);
        layer_of(t->pruned, layer, t->x, t->y);
        t->before += distance(t->y, t->target, count);
        layer_of(t->healed, layer, t->x, t->y);
        t->after += distance(t->y, t->target, count);
        memcpy(t->x, t->y, count * sizeof(*t->x));
    }
}

static void check_twin(const json_t *result, bool errors)
{
    struct twin *t = xnew(struct twin);

    t->dense = healing_open(fake, healing_job("base"));
    t->pruned = healing_open(fake, healing_pruned("base"));
    t->healed = healing_open(fake, healing_job("healed"));
    run_twin(t);
    if (errors) {
        assert_true(fabs(t->before - tiny_metric(result, "error_before")) <
                    1e-4 * t->before);
        assert_true(fabs(t->after - tiny_metric(result, "error_after")) <
                    1e-4 * t->after);
    }
    recipe_close(t->dense);
    recipe_close(t->pruned);
    recipe_close(t->healed);
    free(t);
}

/* A block reads what the blocks before it leave, the first one the pixels;
 * norms end with the statistics of what they read. */
static void test_a_slow_twin_of_images_agrees(void **state)
{
    (void)state;
    image_base(MLP);
    for (size_t i = 0; i < COUNT_OF(reconstructions); i++)
        for (size_t k = 0; k < COUNT_OF(image_words); k++) {
            json_t *result = healing_run(
                fake, image_params(image_words[k], reconstructions[i]),
                "healed");

            healing_reads_as_computed(fake, "healed", result);
            assert_true(tiny_metric(result, "blocks") == LAYERS);
            check_twin(result, i == 0); /* of the others they are of others */
            json_decref(result);
        }
}

static void check_heals(const char *init, const char *train, const char *how)
{
    json_t *result;

    image_base(init);
    result = healing_run(fake, image_params(train, how), "healed");
    healing_reads_as_computed(fake, "healed", result);
    if (!(tiny_metric(result, "error_after") <
          0.7 * tiny_metric(result, "error_before")))
        fail_msg("%s, %s, %s: error %g after %g", init, train, how,
                 tiny_metric(result, "error_after"),
                 tiny_metric(result, "error_before"));
    json_decref(result);
}

static void test_nets_of_images_are_reconstructed(void **state)
{
    static const char resnet[] =
        "{'architecture':'preresnet','widths':[4,6],'blocks':[1,1],"
        "'channels':1,'height':8,'width':8,'classes':10}";

    (void)state;
    for (size_t i = 0; i < COUNT_OF(reconstructions); i++) {
        check_heals(MLP, "['full']", reconstructions[i]);
        check_heals(resnet, "['full']", reconstructions[i]);
        check_heals(resnet, "['name:*conv*','norm','bias']",
                    reconstructions[i]);
    }
}

static void test_a_killed_reconstruction_of_images_goes_on(void **state)
{
    (void)state;
    image_base(MLP);
    for (size_t i = 0; i < COUNT_OF(reconstructions); i++) {
        json_t *params = image_params("['mask_lora']", reconstructions[i]);

        (void)json_object_set_new(params, "steps", json_integer(6));
        fake->context.save_due = always;
        fake->log[0] = '\0';
        fake->context.keep = NULL;
        healing_killed(fake, params, "goes on behind block 1");
        assert_ok(file_remove_tree(fake->keep));
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_blocks_are_reconstructed),
        CASE(test_blocks_of_every_architecture_are_reconstructed),
        CASE(test_the_dense_model_is_found_or_given),
        CASE(test_a_killed_reconstruction_goes_on_to_the_same_bytes),
        CASE(test_a_slow_twin_of_images_agrees),
        CASE(test_nets_of_images_are_reconstructed),
        CASE(test_a_killed_reconstruction_of_images_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
