/* Blocks of a pruned model are trained to give what dense blocks give. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
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

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_blocks_are_reconstructed),
        CASE(test_blocks_of_every_architecture_are_reconstructed),
        CASE(test_the_dense_model_is_found_or_given),
        CASE(test_a_killed_reconstruction_goes_on_to_the_same_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
