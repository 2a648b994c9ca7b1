#include "support/test.h"

#include "common/memory.h"
#include "model/batch.h"
#include "model/optim.h"
#include "support/tiny_models.h"

#include <math.h>

static void test_labels_are_the_tokens_that_follow(void **state)
{
    struct batch b;
    const int32_t tokens[] = { 5, 6, 7, 8 };

    (void)state;
    batch_init(&b, 2, 6);
    assert_true(batch_add(&b, tokens, 4, 2));
    assert_int_equal(b.labels[0], OP_NO_LABEL);
    assert_int_equal(b.labels[1], 7);
    assert_int_equal(b.labels[2], 8);
    assert_int_equal(b.labels[3], OP_NO_LABEL);
    assert_false(batch_add(&b, tokens, 3, 0));
    assert_true(batch_add(&b, tokens, 2, 0));
    assert_int_equal(b.labels[4], 6);
    assert_false(batch_add(&b, tokens, 0, 0));
    batch_release(&b);
}

/* A model, a batch and a pass of it. */
struct fixture {
    struct model *model;
    struct pass *pass;
    struct tiny_batch batch;
    double loss;
};

static void fixture_init(struct fixture *f, const struct tiny_model *t,
                         bool gradients, bool again)
{
    struct model_config c = tiny_config(t);
    struct pass_room room;

    assert_ok(model_new(&c, 3, &f->model));
    tiny_batch_init(&f->batch, f->model, 0);
    room = tiny_room(f->model, gradients);
    room.again = again;
    assert_ok(pass_new(f->model, &room, &f->pass));
    /* Norms over the batch do the same in all passes. */
    pass_measure_batches(f->pass, true);
    assert_ok(pass_forward(f->pass, &f->batch.view, &f->loss));
}

static void fixture_release(struct fixture *f)
{
    pass_free(f->pass);
    tiny_batch_release(&f->batch);
    model_free(f->model);
}

static void test_a_lean_pass_gives_the_same_logits_in_less_memory(void **state)
{
    (void)state;
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++) {
        struct fixture full, lean;
        const uint32_t *starts;
        size_t rows;

        fixture_init(&full, t, true, false);
        fixture_init(&lean, t, false, false);
        starts = full.batch.starts;
        rows = starts[full.batch.view.segments];
        assert_true(full.loss == lean.loss && full.loss > 1.0);
        assert_memory_equal(pass_logits(full.pass), pass_logits(lean.pass),
                            rows * full.model->config.vocab * sizeof(float));
        fixture_release(&full);
        fixture_release(&lean);
    }
}

/* The logit of a row and a word, of what stands in front of the head. */
static double logit_of(const struct model *m, const float *hidden, size_t row,
                       size_t word)
{
    const struct graph *g = m->graph;
    int table = g->steps[g->values[g->logits].writer].in[1];
    const float *w = m->parameters[-1 - table].data + word * m->config.hidden;
    double sum = 0.0;

    for (size_t i = 0; i < m->config.hidden; i++)
        sum += (double)w[i] * (double)hidden[row * m->config.hidden + i];
    return sum;
}

static void test_a_pass_may_end_before_the_head(void **state)
{
    (void)state;
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++) {
        struct fixture f;
        struct pass_room room;
        struct pass *p;
        size_t vocab;
        double loss;

        fixture_init(&f, t, false, false);
        vocab = f.model->config.vocab;
        room = tiny_room(f.model, false);
        room.headless = true;
        assert_ok(pass_new(f.model, &room, &p));
        assert_ok(pass_forward(p, &f.batch.view, &loss));
        for (size_t i = 0; i < 24 * vocab && f.model->graph->pixels == 0; i++)
            assert_true(
                fabs(logit_of(f.model, pass_hidden(p), i / vocab, i % vocab) -
                     (double)pass_logits(f.pass)[i]) < 1e-4);
        pass_free(p);
        fixture_release(&f);
    }
}

static void test_bytes_are_known_before(void **state)
{
    (void)state;
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++) {
        struct model_config c = tiny_config(t);
        struct model *m;
        struct pass_room lean, full;
        size_t most, less;

        assert_ok(model_new(&c, 3, &m));
        lean = tiny_room(m, false);
        full = tiny_room(m, true);
        most = pass_bytes_of(m, &full);
        assert_int_equal(pass_bytes(&c, &full), most);
        assert_true(pass_bytes(&c, &lean) * 3 < most * 2);
        assert_true(pass_fit(m, most, &full) && !full.again);
        full.again = true;
        less = pass_bytes_of(m, &full);
        assert_true(less < most);
        assert_true(pass_fit(m, most - 1, &full) && full.again);
        assert_false(pass_fit(m, less - 1, &full));
        assert_false(pass_fit(m, 64, &lean));
        model_free(m);
    }
}

/* Twice the length takes twice the bytes: nothing is as large as all pairs of
 * tokens. */
static void test_memory_grows_with_the_length_not_its_square(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct model_config c = tiny_config_of("llama-tied-biased");
        struct pass_room room = { .gradients = true, .again = again != 0 };
        size_t bytes[2];

        c.positions = 1 << 16;
        for (int i = 0; i < 2; i++) {
            room.rows = room.longest = (size_t)1 << (13 + i);
            bytes[i] = pass_bytes(&c, &room);
        }
        assert_true((double)bytes[1] < 2.1 * (double)bytes[0]);
    }
}

static void test_making_values_again_gives_the_same_gradients(void **state)
{
    (void)state;
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++) {
        struct fixture kept, again;

        fixture_init(&kept, t, true, false);
        fixture_init(&again, t, true, true);
        pass_backward(kept.pass);
        pass_backward(again.pass);
        assert_memory_equal(pass_gradients(kept.pass),
                            pass_gradients(again.pass),
                            pass_gradients_size(kept.pass) * sizeof(float));
        fixture_release(&kept);
        fixture_release(&again);
    }
}

/* A sequence alone gives what it gives behind another one. */
static void test_sequences_of_a_batch_do_not_see_each_other(void **state)
{
    struct model_config c = tiny_config_of("llama-tied-biased");
    struct pass_room room = { .rows = 64, .longest = 16 };
    struct tiny_batch front;
    struct model *m;
    struct pass *p;
    struct batch batch;
    struct pass_batch view;
    const int32_t tokens[] = { 3, 1, 4, 1, 5, 9, 2, 6 };
    float alone[8 * 29];
    double loss;

    (void)state;
    assert_ok(model_new(&c, 3, &m));
    assert_ok(pass_new(m, &room, &p));
    batch_init(&batch, 4, 64);
    assert_true(batch_add(&batch, tokens, 8, 0));
    view = batch_view(&batch);
    assert_ok(pass_forward(p, &view, &loss));
    memcpy(alone, pass_logits(p), sizeof(alone));
    batch_clear(&batch);
    tiny_batch_init(&front, m, 1);
    assert_true(batch_add(&batch, front.tokens, 11, 0));
    assert_true(batch_add(&batch, tokens, 8, 0));
    view = batch_view(&batch);
    assert_ok(pass_forward(p, &view, &loss));
    for (size_t i = 0; i < COUNT_OF(alone); i++)
        assert_true(
            fabsf(alone[i] - pass_logits(p)[(batch.rows - 8) * c.vocab + i]) <
            1e-5F);
    pass_free(p);
    batch_release(&batch);
    model_free(m);
}

/* At least one element of every parameter, and every 97th. */
static void check_slope(struct fixture *f, const char *name)
{
    for (size_t k = 0; k < f->model->parameter_count; k++) {
        struct model_parameter *p = &f->model->parameters[k];

        for (size_t i = p->count / 2; i < p->count; i += 97) {
            float saved = p->own[i], h = 3e-4F;
            const float *d = pass_gradient(f->pass, k);
            double up, down, wanted;

            if (d == NULL)
                continue;
            p->own[i] = saved + h;
            assert_ok(pass_forward(f->pass, &f->batch.view, &up));
            p->own[i] = saved - h;
            assert_ok(pass_forward(f->pass, &f->batch.view, &down));
            p->own[i] = saved;
            wanted = (up - down) / (2.0 * (double)h);
            if (!(fabs((double)d[i] - wanted) < 5e-2 * (0.1 + fabs(wanted))))
                fail_msg("%s, %s[%zu]: %.9g is not %.9g", name, p->name, i,
                         (double)d[i], wanted);
        }
    }
}

static void test_whole_models_have_the_gradient_of_their_loss(void **state)
{
    (void)state;
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++) {
        struct fixture f;

        fixture_init(&f, t, true, false);
        pass_backward(f.pass);
        check_slope(&f, t->name);
        fixture_release(&f);
    }
}

/* Some parameters alone get the gradients they get among all. */
static void test_only_what_is_trained_has_a_gradient(void **state)
{
    (void)state;
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++) {
        struct fixture f;
        struct pass_room room;
        struct pass *some;
        bool trained[64] = { false };
        double loss;

        fixture_init(&f, t, true, false);
        pass_backward(f.pass);
        for (size_t i = 0; i < f.model->parameter_count; i++)
            trained[i] = f.model->parameters[i].role == ROLE_NORM ||
                         f.model->parameters[i].role == ROLE_BIAS;
        room = tiny_room(f.model, true);
        room.trained = trained;
        assert_true(pass_bytes_of(f.model, &room) <
                    pass_bytes(&f.model->config,
                               &(struct pass_room){ .rows = room.rows,
                                                    .longest = room.longest,
                                                    .gradients = true }));
        assert_ok(pass_new(f.model, &room, &some));
        assert_ok(pass_forward(some, &f.batch.view, &loss));
        pass_backward(some);
        for (size_t i = 0; i < f.model->parameter_count; i++)
            if (!trained[i])
                assert_null(pass_gradient(some, i));
            else
                assert_memory_equal(
                    pass_gradient(some, i), pass_gradient(f.pass, i),
                    f.model->parameters[i].count * sizeof(float));
        pass_free(some);
        fixture_release(&f);
    }
}

static void test_running_statistics_follow_the_batches(void **state)
{
    struct fixture f;
    const float *mean;
    float first;

    (void)state;
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++) {
        if (strcmp(t->name, "mlp") != 0)
            continue;
        fixture_init(&f, t, true, false);
        mean = model_find(f.model, "bn0.running_mean")->data;
        assert_true(mean[0] == 0.0F);
        assert_ok(pass_note_statistics(f.pass, f.model, 1.0));
        first = mean[0];
        assert_true(first != 0.0F);
        assert_ok(pass_note_statistics(f.pass, f.model, 0.1));
        assert_true(fabsf(mean[0] - first) < 1e-6F);
        fixture_release(&f);
    }
}

static void test_batches_that_do_not_fit_are_refused(void **state)
{
    struct model_config c = tiny_config_of("llama-tied-biased");
    struct pass_room room = { .rows = 16, .longest = 8 };
    struct model *m;
    struct pass *p;
    uint32_t starts[] = { 0, 9 };
    int32_t tokens[20] = { 0 }, labels[20] = { 0 };
    struct pass_batch b = {
        .segments = 1, .starts = starts, .tokens = tokens, .labels = labels
    };
    float pixels[1] = { 0.0F };
    double loss;

    (void)state;
    assert_ok(model_new(&c, 5, &m));
    assert_ok(pass_new(m, &room, &p));
    assert_fails(pass_forward(p, &b, &loss), STATUS_INVALID, "9 tokens");
    starts[1] = 17;
    assert_fails(pass_forward(p, &b, &loss), STATUS_INVALID, "room for 16");
    starts[1] = 0;
    assert_fails(pass_forward(p, &b, &loss), STATUS_INVALID, "empty");
    starts[1] = 4;
    tokens[2] = 29;
    assert_fails(pass_forward(p, &b, &loss), STATUS_INVALID,
                 "token 29 is outside the model's vocabulary of 29");
    tokens[2] = 0;
    labels[3] = 31;
    assert_fails(pass_forward(p, &b, &loss), STATUS_INVALID, "label 31");
    labels[3] = 0;
    b.pixels = pixels;
    assert_fails(pass_forward(p, &b, &loss), STATUS_INVALID, "has images");
    pass_free(p);
    room.longest = 33;
    room.rows = 64;
    assert_fails(pass_new(m, &room, &p), STATUS_INVALID, "too long");
    room.rows = 8;
    assert_fails(pass_new(m, &room, &p), STATUS_INVALID, "cannot hold");
    model_free(m);
}

static void test_the_place_of_the_first_nan_is_told(void **state)
{
    (void)state;
    for (int gradients = 0; gradients < 2; gradients++) {
        struct fixture f;
        size_t at;
        char where[128];

        fixture_init(&f, &tiny_models[0], gradients == 1, false);
        assert_false(pass_not_finite(f.pass, where, sizeof(where)));
        at = graph_find(f.model->graph, "model.layers.1.mlp.up_proj.weight");
        f.model->parameters[at].own[3] = INFINITY;
        assert_ok(pass_forward(f.pass, &f.batch.view, &f.loss));
        assert_true(!isfinite(f.loss));
        assert_true(pass_not_finite(f.pass, where, sizeof(where)));
        assert_string_equal(where, "up projection of layer 1");
        fixture_release(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_are_the_tokens_that_follow),
        cmocka_unit_test(test_a_lean_pass_gives_the_same_logits_in_less_memory),
        cmocka_unit_test(test_a_pass_may_end_before_the_head),
        cmocka_unit_test(test_bytes_are_known_before),
        cmocka_unit_test(test_memory_grows_with_the_length_not_its_square),
        cmocka_unit_test(test_making_values_again_gives_the_same_gradients),
        cmocka_unit_test(test_sequences_of_a_batch_do_not_see_each_other),
        cmocka_unit_test(test_whole_models_have_the_gradient_of_their_loss),
        cmocka_unit_test(test_only_what_is_trained_has_a_gradient),
        cmocka_unit_test(test_running_statistics_follow_the_batches),
        cmocka_unit_test(test_batches_that_do_not_fit_are_refused),
        cmocka_unit_test(test_the_place_of_the_first_nan_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
