/* One section of a model by itself, as reconstruction and pruning read it. */
#include "support/test.h"

#include "common/memory.h"
#include "model/trainer.h"
#include "support/reference.h"
#include "support/tiny_models.h"

#include <math.h>

struct fixture {
    struct model *model;
    struct pass *whole;
    struct tiny_batch batch;
    size_t rows;
};

static void fixture_init(struct fixture *f, const struct tiny_model *t)
{
    struct model_config c = tiny_config(t);
    struct pass_room room;
    double loss;

    assert_ok(model_new(&c, 3, &f->model));
    room = tiny_room(f->model, true);
    tiny_batch_init(&f->batch, f->model, 1);
    assert_ok(pass_new(f->model, &room, &f->whole));
    assert_ok(pass_forward(f->whole, &f->batch.view, &loss));
    f->rows = f->batch.starts[f->batch.view.segments];
}

static void fixture_release(struct fixture *f)
{
    pass_free(f->whole);
    model_free(f->model);
    tiny_batch_release(&f->batch);
}

static struct pass *pass_of_section(const struct fixture *f, size_t section,
                                    bool gradients)
{
    struct pass_room room = tiny_room(f->model, gradients);
    struct pass *p;

    room.alone = true;
    room.section = section;
    assert_ok(pass_new(f->model, &room, &p));
    return p;
}

/* What the section before left, as the input of this one. */
static struct pass_batch batch_of_section(const struct fixture *f,
                                          size_t section)
{
    struct pass_batch b = f->batch.view;

    if (section > 0) {
        b.tokens = NULL;
        b.pixels = NULL;
        b.stream = pass_stream(f->whole, section - 1);
    }
    return b;
}

static size_t width_of(const struct fixture *f, size_t section)
{
    return graph_width(f->model->graph, f->model->graph->streams[section]);
}

static void test_sections_one_by_one_are_the_model(void **state)
{
    (void)state;
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++)
        for (int gradients = 0; gradients < 2; gradients++) {
            struct fixture f;
            size_t last;

            fixture_init(&f, t);
            last = f.model->graph->sections - 1;
            for (size_t s = 0; s <= last; s++) {
                struct pass *p = pass_of_section(&f, s, gradients == 1);
                struct pass_batch b = batch_of_section(&f, s);
                double loss;

                /* Norms over batches measure them in the whole pass. */
                pass_measure_batches(p, true);
                assert_ok(pass_forward(p, &b, &loss));
                if (s < last)
                    assert_memory_equal(
                        pass_stream(p, s), pass_stream(f.whole, s),
                        f.rows * width_of(&f, s) * sizeof(float));
                else
                    assert_memory_equal(pass_logits(p), pass_logits(f.whole),
                                        f.rows * f.model->config.vocab *
                                            sizeof(float));
                assert_true(s == last || loss == 0.0);
                pass_free(p);
            }
            fixture_release(&f);
        }
}

/* Each parameter of the section by differences, in one place. */
static void check_slopes(const struct fixture *f, struct pass *p,
                         size_t section, const struct pass_batch *b)
{
    double loss, up, down;

    assert_ok(pass_forward(p, b, &loss));
    pass_backward(p);
    for (size_t k = 0; k < f->model->parameter_count; k++) {
        struct model_parameter *w = &f->model->parameters[k];
        const float *d = pass_gradient(p, k);
        size_t i = w->count / 2;
        float saved = w->own[i], h = 1e-3F;
        double wanted;

        if (f->model->graph->parameters[k].section != section)
            assert_null(d);
        if (d == NULL)
            continue;
        w->own[i] = saved + h;
        assert_ok(pass_forward(p, b, &up));
        w->own[i] = saved - h;
        assert_ok(pass_forward(p, b, &down));
        w->own[i] = saved;
        wanted = (up - down) / (2.0 * (double)h);
        if (!(fabs((double)d[i] - wanted) < 5e-2 * (0.05 + fabs(wanted))))
            fail_msg("section %zu, %s[%zu]: %.9g is not %.9g", section, w->name,
                     i, (double)d[i], wanted);
    }
}

static void test_a_section_has_the_gradient_of_its_square_loss(void **state)
{
    (void)state;
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++) {
        struct fixture f;

        fixture_init(&f, t);
        for (size_t s = 0; s + 1 < f.model->graph->sections; s++) {
            struct pass *p = pass_of_section(&f, s, true);
            struct pass_batch b = batch_of_section(&f, s);
            size_t count = f.rows * width_of(&f, s);
            float *target = xcalloc(count, sizeof(*target));

            reference_fill(target, count, 9);
            b.target = target;
            check_slopes(&f, p, s, &b);
            pass_free(p);
            free(target);
        }
        fixture_release(&f);
    }
}

static void test_a_section_takes_only_its_own_memory(void **state)
{
    struct model_config c = tiny_config_of("opt");
    struct model *m;
    struct pass_room room, alone;

    (void)state;
    c.layers = 8;
    assert_ok(model_new(&c, 3, &m));
    room = tiny_room(m, true);
    alone = room;
    alone.alone = true;
    alone.section = 1;
    assert_true(4 * pass_bytes_of(m, &alone) < pass_bytes_of(m, &room));
    model_free(m);
}

static void test_a_section_needs_its_stream(void **state)
{
    struct fixture f;
    struct pass *p;
    struct pass_batch b;
    double loss;

    (void)state;
    fixture_init(&f, &tiny_models[0]);
    p = pass_of_section(&f, 1, false);
    assert_fails(pass_forward(p, &f.batch.view, &loss), STATUS_INVALID,
                 "takes a stream");
    pass_free(p);
    b = batch_of_section(&f, 1);
    assert_fails(pass_forward(f.whole, &b, &loss), STATUS_INVALID,
                 "takes no stream");
    fixture_release(&f);
}

/* A trainer moves what is in the section, and only that. */
static void test_a_section_can_be_trained(void **state)
{
    const struct trainer_settings settings = {
        .optim = { .row = optim_find("adamw"),
                   .rate = 1e-2,
                   .beta1 = 0.9,
                   .beta2 = 0.99,
                   .eps = 1e-8 },
    };
    struct trainer_report report = { 0 };
    struct fixture f;
    struct pass_room room;
    struct pass_batch b;
    struct trainer *t;
    float *target;
    double first = 0.0;

    (void)state;
    fixture_init(&f, &tiny_models[4]);
    room = tiny_room(f.model, true);
    room.alone = true;
    room.section = 2;
    b = batch_of_section(&f, 2);
    target = xcalloc(f.rows * 16, sizeof(*target));
    reference_fill(target, f.rows * 16, 9);
    b.target = target;
    assert_ok(trainer_new(f.model, &room, &settings, &t));
    for (int i = 0; i < 40; i++) {
        assert_ok(trainer_step(t, 1.0, &b, 1, &report));
        first = i == 0 ? report.loss : first;
    }
    assert_true(report.loss < 0.5 * first);
    trainer_free(t);
    free(target);
    fixture_release(&f);
}

/* The mean over all batches, whatever was there before. */
static void test_statistics_are_estimated_anew(void **state)
{
    struct model_config c = tiny_config_of("mlp");
    struct model *m;
    struct pass_room room;
    struct pass *p;
    double sum[2] = { 0.0, 0.0 };
    uint64_t seen = 0;

    (void)state;
    assert_ok(model_new(&c, 3, &m));
    room = tiny_room(m, false);
    assert_ok(pass_new(m, &room, &p));
    for (size_t i = 0; i < m->parameter_count; i++)
        if (m->parameters[i].role == ROLE_STATISTIC)
            m->parameters[i].own[0] = 77.0F;
    for (int i = 0; i < 3; i++) {
        struct model *one;
        struct pass *single;
        uint64_t none = 0;
        struct tiny_batch b;

        tiny_batch_init(&b, m, i);
        assert_ok(pass_estimate_statistics(p, m, &b.view, &seen));
        assert_ok(model_new(&c, 3, &one));
        assert_ok(pass_new(one, &room, &single));
        assert_ok(pass_estimate_statistics(single, one, &b.view, &none));
        sum[0] += (double)model_find(one, "bn0.running_mean")->data[0];
        sum[1] += (double)model_find(one, "bn0.running_var")->data[0];
        pass_free(single);
        model_free(one);
        tiny_batch_release(&b);
    }
    assert_int_equal(seen, 36);
    assert_true(fabs((double)model_find(m, "bn0.running_mean")->data[0] -
                     sum[0] / 3.0) < 1e-6);
    assert_true(fabs((double)model_find(m, "bn0.running_var")->data[0] -
                     sum[1] / 3.0) < 1e-6);
    pass_free(p);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections_one_by_one_are_the_model),
        cmocka_unit_test(test_a_section_has_the_gradient_of_its_square_loss),
        cmocka_unit_test(test_a_section_takes_only_its_own_memory),
        cmocka_unit_test(test_a_section_needs_its_stream),
        cmocka_unit_test(test_a_section_can_be_trained),
        cmocka_unit_test(test_statistics_are_estimated_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
