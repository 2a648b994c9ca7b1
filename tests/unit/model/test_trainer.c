#include "support/test.h"

#include "common/memory.h"
#include "model/adapter.h"
#include "model/subset.h"
#include "model/trainer.h"
#include "support/tiny_models.h"

#include <math.h>

static const struct trainer_settings *settings(const char *name)
{
    static struct trainer_settings s;

    s = (struct trainer_settings){
        .optim = { .row = optim_find(name),
                   .rate = strcmp(name, "sgd") == 0 ? 0.1 : 1e-2,
                   .decay = 0.01,
                   .beta1 = 0.9,
                   .beta2 = 0.99,
                   .eps = 1e-8 },
        .clip = 1.0,
        .momentum = 0.1,
    };
    return &s;
}

static struct model *new_model(const struct tiny_model *t, uint32_t seed)
{
    struct model_config c = tiny_config(t);
    struct model *m;

    assert_ok(model_new(&c, seed, &m));
    return m;
}

static struct trainer *new_trainer(struct model *m, const char *optimiser,
                                   const bool *trained)
{
    struct pass_room room = tiny_room(m, true);
    struct trainer *t;

    room.trained = trained;
    assert_ok(trainer_new(m, &room, settings(optimiser), &t));
    return t;
}

/* Steps `from` .. `to` - 1; returns the last loss. */
static double run(struct trainer *t, struct model *m, int from, int to)
{
    struct trainer_report report = { 0 };

    for (int i = from; i < to; i++) {
        struct tiny_batch b;

        tiny_batch_init(&b, m, i % 3);
        assert_ok(trainer_step(t, 1.0, &b.view, 1, &report));
        tiny_batch_release(&b);
    }
    return report.loss;
}

static void test_every_model_learns_with_every_optimiser(void **state)
{
    (void)state;
    for (const struct tiny_model *tiny = tiny_models; tiny->name != NULL;
         tiny++)
        for (const struct optim_row *r = optimisers; r->name != NULL; r++) {
            struct model *m = new_model(tiny, 5);
            struct trainer *t = new_trainer(m, r->name, NULL);
            double first = run(t, m, 0, 3), last = run(t, m, 3, 60);

            if (!(last < 0.8 * first))
                fail_msg("%s with %s: %g after %g", tiny->name, r->name, last,
                         first);
            trainer_free(t);
            model_free(m);
        }
}

static void test_training_twice_gives_the_same_bytes(void **state)
{
    (void)state;
    for (const struct tiny_model *tiny = tiny_models; tiny->name != NULL;
         tiny++) {
        struct model *a = new_model(tiny, 5), *b = new_model(tiny, 5);
        struct model *other = new_model(tiny, 6);
        struct trainer *ta = new_trainer(a, "adamw", NULL);
        struct trainer *tb = new_trainer(b, "adamw", NULL);

        assert_memory_not_equal(a->block, other->block,
                                a->size * sizeof(float));
        (void)run(ta, a, 0, 12);
        (void)run(tb, b, 0, 12);
        assert_memory_equal(a->block, b->block, a->size * sizeof(float));
        trainer_free(ta);
        trainer_free(tb);
        model_free(a);
        model_free(b);
        model_free(other);
    }
}

/* A state as a file would hold it. */
static struct tensor_set copy_state(struct trainer *t)
{
    struct tensor_set set;
    struct tensor *items;

    trainer_state(t, &items, &set.count);
    for (size_t i = 0; i < set.count; i++) {
        void *copy = xcalloc(1, tensor_bytes(&items[i]));

        memcpy(copy, items[i].data, tensor_bytes(&items[i]));
        items[i].data = copy;
        items[i].name = xstrdup(items[i].name);
    }
    set.items = items;
    return set;
}

static void free_state(struct tensor_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free((void *)(uintptr_t)set->items[i].data);
        free((void *)(uintptr_t)set->items[i].name);
    }
    free((void *)(uintptr_t)set->items);
}

static void test_a_stored_state_goes_on_to_the_same_bytes(void **state)
{
    (void)state;
    for (const struct tiny_model *tiny = tiny_models; tiny->name != NULL;
         tiny++)
        for (const struct optim_row *r = optimisers; r->name != NULL; r++) {
            struct model *whole = new_model(tiny, 5);
            struct model *later = new_model(tiny, 9);
            struct trainer *a = new_trainer(whole, r->name, NULL);
            struct trainer *b = new_trainer(later, r->name, NULL);
            struct tensor_set set;

            (void)run(a, whole, 0, 5);
            set = copy_state(a);
            assert_ok(trainer_restore(b, &set));
            assert_int_equal(trainer_steps(b), 5);
            (void)run(a, whole, 5, 9);
            (void)run(b, later, 5, 9);
            assert_memory_equal(whole->block, later->block,
                                whole->size * sizeof(float));
            free_state(&set);
            trainer_free(a);
            trainer_free(b);
            model_free(whole);
            model_free(later);
        }
}

static void test_a_state_of_another_training_is_refused(void **state)
{
    struct model *m = new_model(&tiny_models[0], 5);
    struct trainer *sgd = new_trainer(m, "sgd", NULL);
    struct trainer *adamw = new_trainer(m, "adamw", NULL);
    struct tensor_set set = copy_state(sgd);

    (void)state;
    assert_fails(trainer_restore(adamw, &set), STATUS_INVALID,
                 "no tensor \"optim.1.");
    free_state(&set);
    trainer_free(sgd);
    trainer_free(adamw);
    model_free(m);
}

/* The same batch twice is as the batch. */
static void test_accumulated_batches_give_the_mean_gradient(void **state)
{
    struct model *a = new_model(&tiny_models[0], 5);
    struct model *b = new_model(&tiny_models[0], 5);
    struct trainer *ta = new_trainer(a, "sgd", NULL);
    struct trainer *tb = new_trainer(b, "sgd", NULL);
    struct trainer_report report[2];
    struct tiny_batch batch;
    struct pass_batch twice[2];

    (void)state;
    tiny_batch_init(&batch, a, 1);
    twice[0] = twice[1] = batch.view;
    assert_ok(trainer_step(ta, 1.0, &batch.view, 1, &report[0]));
    assert_ok(trainer_step(tb, 1.0, twice, 2, &report[1]));
    assert_true(report[0].loss == report[1].loss);
    for (size_t i = 0; i < a->size; i++)
        assert_true(fabsf(a->block[i] - b->block[i]) < 1e-6F);
    tiny_batch_release(&batch);
    trainer_free(ta);
    trainer_free(tb);
    model_free(a);
    model_free(b);
}

static void prune_every_third(struct model *m, size_t parameter)
{
    size_t count = m->parameters[parameter].count;
    uint8_t *keep = xcalloc(count, 1);

    for (size_t i = 0; i < count; i++)
        keep[i] = i % 3 != 0;
    assert_ok(model_mask(m, parameter, keep));
    free(keep);
}

static void assert_pruned(const struct model *m, size_t parameter)
{
    const float zero = 0.0F;

    for (size_t i = 0; i < m->parameters[parameter].count; i += 3)
        assert_memory_equal(&m->parameters[parameter].data[i], &zero,
                            sizeof(zero));
}

static void test_what_is_pruned_stays_zero_and_the_rest_moves(void **state)
{
    (void)state;
    for (const struct tiny_model *tiny = tiny_models; tiny->name != NULL;
         tiny++)
        for (int sam = 0; sam < 2; sam++) {
            struct model *m = new_model(tiny, 5);
            struct trainer_settings s = *settings("sgd");
            struct pass_room room = tiny_room(m, true);
            struct trainer *t;
            float before;

            for (size_t i = 0; i < m->parameter_count; i++)
                if (m->parameters[i].role == ROLE_MATRIX)
                    prune_every_third(m, i);
            before = m->parameters[0].data[1];
            s.rho = sam == 1 ? 0.05 : 0.0;
            assert_ok(trainer_new(m, &room, &s, &t));
            (void)run(t, m, 0, 6);
            assert_true(m->parameters[0].data[1] != before);
            for (size_t i = 0; i < m->parameter_count; i++)
                if (m->parameters[i].role == ROLE_MATRIX)
                    assert_pruned(m, i);
            trainer_free(t);
            model_free(m);
        }
}

/* The second gradient of SAM measures nothing: norms over the batch have the
 * statistics of the first. */
static void test_the_climb_leaves_statistics_alone(void **state)
{
    (void)state;
    for (const struct tiny_model *tiny = tiny_models; tiny->name != NULL;
         tiny++) {
        struct model *plain = new_model(tiny, 5), *sam = new_model(tiny, 5);
        struct trainer_settings s = *settings("sgd");
        struct pass_room room = tiny_room(sam, true);
        struct trainer *a = new_trainer(plain, "sgd", NULL), *b;

        s.rho = 0.5;
        assert_ok(trainer_new(sam, &room, &s, &b));
        (void)run(a, plain, 0, 1);
        (void)run(b, sam, 0, 1);
        for (size_t i = 0; i < sam->parameter_count; i++)
            if (sam->parameters[i].role == ROLE_STATISTIC)
                assert_memory_equal(sam->parameters[i].data,
                                    plain->parameters[i].data,
                                    sam->parameters[i].count * sizeof(float));
        assert_memory_not_equal(sam->parameters[0].data,
                                plain->parameters[0].data,
                                sam->parameters[0].count * sizeof(float));
        trainer_free(a);
        trainer_free(b);
        model_free(plain);
        model_free(sam);
    }
}

static void test_a_subset_alone_moves(void **state)
{
    struct model *m = new_model(&tiny_models[4], 5);
    struct model *before = new_model(&tiny_models[4], 5);
    bool trained[64] = { false };
    struct trainer *t;

    (void)state;
    assert_string_equal(tiny_models[4].name, "opt");
    assert_ok(subset_add(m->graph, "bias", trained));
    assert_ok(subset_add(m->graph, "name:*layers.1.fc1.weight", trained));
    t = new_trainer(m, "adamw", trained);
    (void)run(t, m, 0, 4);
    for (size_t i = 0; i < m->parameter_count; i++)
        assert_true(trained[i] ==
                    (memcmp(m->parameters[i].data, before->parameters[i].data,
                            m->parameters[i].count * sizeof(float)) != 0));
    trainer_free(t);
    model_free(m);
    model_free(before);
}

static void test_words_that_mean_nothing_here_are_refused(void **state)
{
    struct model *m = new_model(&tiny_models[0], 5);
    bool chosen[64] = { false };

    (void)state;
    assert_fails(subset_add(m->graph, "bias", chosen), STATUS_INVALID,
                 "no \"bias\"");
    assert_fails(subset_add(m->graph, "adapter", chosen), STATUS_INVALID,
                 "no \"adapter\"");
    assert_fails(subset_add(m->graph, "brain", chosen), STATUS_INVALID,
                 "known are: all, bias, norm");
    assert_fails(subset_add(m->graph, "name:*.fc9*", chosen), STATUS_INVALID,
                 "no tensor of the model");
    assert_ok(subset_add(m->graph, "norm", chosen));
    assert_int_equal(subset_size(m->graph, chosen), 5 * 16);
    model_free(m);
}

static void test_a_loss_that_is_lost_tells_step_and_place(void **state)
{
    struct model *m = new_model(&tiny_models[0], 5);
    struct trainer *t = new_trainer(m, "adamw", NULL);
    struct trainer_report report;
    struct tiny_batch b;

    (void)state;
    (void)run(t, m, 0, 2);
    m->parameters[graph_find(m->graph, "model.layers.1.mlp.up_proj.weight")]
        .own[3] = INFINITY;
    tiny_batch_init(&b, m, 0);
    assert_fails(trainer_step(t, 1.0, &b.view, 1, &report), STATUS_FAILED,
                 "step 3");
    assert_fails(trainer_step(t, 1.0, &b.view, 1, &report), STATUS_FAILED,
                 "up projection of layer 1");
    tiny_batch_release(&b);
    trainer_free(t);
    model_free(m);
}

/* --- adapters -------------------------------------------------------------- */

static double loss_of(const struct model *m)
{
    struct pass_room room = tiny_room(m, false);
    struct tiny_batch b;
    struct pass *p;
    double loss;

    tiny_batch_init(&b, m, 7);
    assert_ok(pass_new(m, &room, &p));
    assert_ok(pass_forward(p, &b.view, &loss));
    tiny_batch_release(&b);
    pass_free(p);
    return loss;
}

static struct model *adapted(const struct tiny_model *tiny,
                             const struct adapter_row *row)
{
    struct model *m = new_model(tiny, 5);
    const struct adapter_settings s = {
        .row = row, .rank = 2, .alpha = 4.0, .seed = 1
    };
    bool chosen[64] = { false };

    assert_ok(subset_add(m->graph, "matrix", chosen));
    for (size_t i = 0; i < m->parameter_count; i++)
        if (chosen[i])
            prune_every_third(m, i);
    assert_ok(adapter_add(m, chosen, &s));
    return m;
}

static void test_adapters_begin_as_the_model_and_merge_exactly(void **state)
{
    (void)state;
    for (const struct tiny_model *tiny = tiny_models; tiny->name != NULL;
         tiny++)
        for (const struct adapter_row *r = adapters; r->name != NULL; r++) {
            struct model *m = adapted(tiny, r), *plain = new_model(tiny, 5);
            bool trained[128] = { false };
            struct trainer *t;
            double begin, before;

            for (size_t i = 0; i < plain->parameter_count; i++)
                if (plain->parameters[i].role == ROLE_MATRIX)
                    prune_every_third(plain, i);
            begin = loss_of(plain);
            assert_true(fabs(loss_of(m) - begin) < 1e-5);
            assert_ok(subset_add(m->graph, "adapter", trained));
            t = new_trainer(m, "adamw", trained);
            (void)run(t, m, 0, 20);
            before = loss_of(m);
            assert_true(before != begin);
            trainer_free(t);
            assert_ok(adapter_merge(m, r));
            if (r->changes == (loss_of(m) == before))
                fail_msg("%s, %s: %.9g before the merge, %.9g behind it",
                         tiny->name, r->name, before, loss_of(m));
            for (size_t i = 0; i < m->parameter_count; i++)
                if (m->parameters[i].role == ROLE_MATRIX &&
                    strcmp(r->name, "lora") != 0)
                    assert_pruned(m, i);
            assert_int_equal(m->parameter_count, plain->parameter_count);
            assert_int_equal(m->size, plain->size);
            model_free(m);
            model_free(plain);
        }
}

/* Gradients of A and B through a whole model, with values made again too. */
static void test_adapters_have_the_gradient_of_the_loss(void **state)
{
    (void)state;
    for (const struct adapter_row *r = adapters; r->name != NULL; r++)
        for (int again = 0; again < 2; again++) {
            struct model *m = adapted(&tiny_models[6], r);
            struct pass_room room = tiny_room(m, true);
            struct tiny_batch b;
            struct pass *p;
            double loss;
            size_t at = graph_find(m->graph,
                                   "transformer.h.0.attn.c_attn.lora_A.weight");

            room.again = again == 1;
            tiny_batch_init(&b, m, 0);
            assert_ok(pass_new(m, &room, &p));
            assert_ok(pass_forward(p, &b.view, &loss));
            pass_backward(p);
            for (size_t k = at; k < at + 2; k++)
                for (size_t i = 1; i < m->parameters[k].count; i += 13) {
                    float *x = &m->parameters[k].own[i], saved = *x;
                    double up, down, is = (double)pass_gradient(p, k)[i];

                    *x = saved + 1e-3F;
                    assert_ok(pass_forward(p, &b.view, &up));
                    *x = saved - 1e-3F;
                    assert_ok(pass_forward(p, &b.view, &down));
                    *x = saved;
                    if (!(fabs(is - (up - down) / 2e-3) <
                          2e-2 * (0.05 + fabs(is))))
                        fail_msg("%s: %.9g is not %.9g", r->name, is,
                                 (up - down) / 2e-3);
                }
            pass_free(p);
            tiny_batch_release(&b);
            model_free(m);
        }
}

static void test_what_can_have_no_adapter_is_refused(void **state)
{
    struct model *m = new_model(&tiny_models[4], 5);
    struct adapter_settings s = { .row = adapter_find("lora"), .rank = 2 };
    bool chosen[64] = { false };

    (void)state;
    assert_ok(subset_add(m->graph, "head", chosen));
    assert_fails(adapter_add(m, chosen, &s), STATUS_INVALID, "tied head");
    memset(chosen, 0, sizeof(chosen));
    assert_ok(subset_add(m->graph, "norm", chosen));
    assert_fails(adapter_add(m, chosen, &s), STATUS_INVALID, "no matrix");
    memset(chosen, 0, sizeof(chosen));
    assert_ok(subset_add(m->graph, "matrix", chosen));
    s.rank = 17;
    assert_fails(adapter_add(m, chosen, &s), STATUS_INVALID, "rank 17");
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_model_learns_with_every_optimiser),
        cmocka_unit_test(test_training_twice_gives_the_same_bytes),
        cmocka_unit_test(test_a_stored_state_goes_on_to_the_same_bytes),
        cmocka_unit_test(test_a_state_of_another_training_is_refused),
        cmocka_unit_test(test_accumulated_batches_give_the_mean_gradient),
        cmocka_unit_test(test_what_is_pruned_stays_zero_and_the_rest_moves),
        cmocka_unit_test(test_the_climb_leaves_statistics_alone),
        cmocka_unit_test(test_a_subset_alone_moves),
        cmocka_unit_test(test_words_that_mean_nothing_here_are_refused),
        cmocka_unit_test(test_a_loss_that_is_lost_tells_step_and_place),
        cmocka_unit_test(test_adapters_begin_as_the_model_and_merge_exactly),
        cmocka_unit_test(test_adapters_have_the_gradient_of_the_loss),
        cmocka_unit_test(test_what_can_have_no_adapter_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
