/* What a pruned model gets back by which part of it, on the built-in text: the
 * order that Zimmer et al., "PERP", 2023, found, and the shares measured for
 * small models. */
#include "support/test.h"

#include "common/memory.h"
#include "jobs/recipe.h"
#include "support/fake_fixture.h"
#include "support/tiny_llama.h"

#include <math.h>

static int set_up_cache(void **state)
{
    (void)set_up(state);
    fake->context.cache = recipe_cache_new(64 << 20);
    return 0;
}

#define MIX "'mix':{'reverse':1,'sort':1,'add':1,'close':1}"

static void train_dense(void)
{
    json_t *params = tiny_json(
        "{'init':{'architecture':'opt','hidden':48,'layers':3,'heads':4,"
        "'positions':96,'tied':false},'data':{'builtin':'tasks'," MIX ","
        "'split':'train'},'steps':1500,'batch':24,'optimizer':{'lr':3e-3,"
        "'schedule':'linear','warmup':0.1,'weight_decay':0.01},'seed':1}");
    json_t *result;

    assert_ok(tiny_run(fake, "train", params, &result));
    fake_context_set_job(fake, "dense", json_text_or(result, "artifact", ""));
    json_decref(params);
    json_decref(result);
}

/* Takes the model. */
static double loss_of(json_t *model)
{
    json_t *params = tiny_json("{'data':{'builtin':'tasks'," MIX ","
                               "'split':'test','items':400}}");
    json_t *result;
    double loss;

    (void)json_object_set_new(params, "model", model);
    assert_ok(tiny_run(fake, "evaluate.perplexity", params, &result));
    loss = log(tiny_metric(result, "perplexity"));
    json_decref(params);
    json_decref(result);
    return loss;
}

static json_t *job(const char *key)
{
    return tiny_json("{'$job':'%s'}", key);
}

static json_t *pruned(double sparsity)
{
    return tiny_json("{'$recipe':{'kind':'prune','params':{'model':"
                     "{'$job':'dense'},'method':'magnitude','sparsity':%g}}}",
                     sparsity);
}

/* Loss of the best of two rates. */
static double healed(const char *train, double low, double high)
{
    double best = INFINITY;

    for (int i = 0; i < 2; i++) {
        json_t *params = tiny_json(
            "{'mode':'retrain','train':%s,'lora':{'rank':8,'alpha':16},"
            "'data':{'builtin':'tasks'," MIX ",'split':'train'},'steps':90,"
            "'batch':24,'optimizer':{'lr':%g,'schedule':'linear',"
            "'warmup':0.1},'seed':2}",
            train, i == 0 ? low : high);
        json_t *result;
        double loss;

        (void)json_object_set_new(params, "model", pruned(0.7));
        assert_ok(tiny_run(fake, "retrain", params, &result));
        fake_context_set_job(fake, "healed",
                             json_text_or(result, "artifact", ""));
        loss = loss_of(job("healed"));
        best = loss < best ? loss : best;
        json_decref(params);
        json_decref(result);
    }
    return best;
}

static void test_shares_of_the_gap_are_as_published(void **state)
{
    double dense, none, full, norm, bias, both, head, mask, scale, prune;

    (void)state;
    train_dense();
    dense = loss_of(job("dense"));
    none = loss_of(pruned(0.7));
    full = healed("['full']", 1e-3, 3e-3);
    norm = healed("['norm']", 1e-2, 3e-2);
    bias = healed("['bias']", 1e-2, 3e-2);
    both = healed("['bias','norm']", 1e-2, 3e-2);
    head = healed("['head']", 3e-3, 1e-2);
    mask = healed("['bias','norm','mask_lora']", 3e-3, 1e-2);
    scale = healed("['bias','norm','scale_lora']", 3e-3, 1e-2);
    prune = healed("['bias','norm','lora_prune']", 3e-3, 1e-2);
#define SHARE(x) ((exp(none) - exp(x)) / (exp(none) - exp(full)))
    print_message("perplexity: dense %.3f, pruned %.3f, full %.3f\n"
                  "share of the gap: norm %.2f bias %.2f both %.2f head %.2f "
                  "mask_lora %.2f scale_lora %.2f lora_prune %.2f\n",
                  exp(dense), exp(none), exp(full), SHARE(norm), SHARE(bias),
                  SHARE(both), SHARE(head), SHARE(mask), SHARE(scale),
                  SHARE(prune));
    assert_true(exp(none) > exp(dense) + 1.5);
    assert_true(SHARE(norm) >= 0.55);
    assert_true(SHARE(both) >= 0.7);
    assert_true(SHARE(mask) >= 0.9);
    assert_true(SHARE(head) <= 0.6);
    assert_true(mask < scale && scale < prune && both < norm && bias < head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shares_of_the_gap_are_as_published,
                                        set_up_cache, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
