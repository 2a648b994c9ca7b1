/* Nets for images: their blocks are trained to give what dense blocks give,
 * beside a slow twin in float64. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/philox.h"
#include "jobs/data.h"
#include "support/fake_fixture.h"
#include "support/healing.h"
#include "support/tiny_llama.h"

#define MLP "{'architecture':'mlp','sizes':[64,24,20,10]}"
#define RESNET                                                   \
    "{'architecture':'preresnet','widths':[4,6],'blocks':[1,1]," \
    "'channels':1,'height':8,'width':8,'classes':10}"
enum { SAMPLES = 32, TOGETHER = 16, SIDE = 8, PIXELS = SIDE * SIDE };
enum { WIDEST = 4 * PIXELS, PARTS = 3, IMAGES = 96 };

static const char *const reconstructions[] = {
    "{'inputs':'sparse','targets':'inputs'}",
    "{'inputs':'sparse','targets':'dense'}",
    "{'inputs':'dense','targets':'inputs'}",
};

/* Images whose class is seen, as IDX files. */
static void write_images(void)
{
    enum { HEAD = 16, SHORT = 8 };
    uint8_t x[HEAD + IMAGES * PIXELS] = { 0, 0, 8, 3,    0, 0, 0, IMAGES,
                                          0, 0, 0, SIDE, 0, 0, 0, SIDE };
    uint8_t y[SHORT + IMAGES] = { 0, 0, 8, 1, 0, 0, 0, IMAGES };
    float noise[IMAGES * PIXELS];

    philox_uniform((struct philox_key){ 4, 0, 0 }, 0, IMAGES * PIXELS, noise);
    for (size_t i = 0; i < IMAGES; i++)
        y[SHORT + i] = (uint8_t)(i % 10);
    for (size_t i = 0; i < IMAGES * PIXELS; i++)
        x[HEAD + i] = (uint8_t)(i / PIXELS % 10 * (i % PIXELS) * 7 % 160 +
                                (size_t)(noise[i] * 90.0F));
    assert_ok(file_write(fake_context_path(fake, "x"), x, sizeof(x)));
    assert_ok(file_write(fake_context_path(fake, "y"), y, sizeof(y)));
}

static void set_data(json_t *params)
{
    json_t *data = tiny_json("{'format':'idx'}");

    (void)json_object_set_new(data, "file", fake_context_source(fake, "x"));
    (void)json_object_set_new(data, "labels", fake_context_source(fake, "y"));
    (void)json_object_set_new(params, "data", data);
}

/* Trained a little, as job "base". */
static void train_base(const char *init)
{
    json_t *params =
        tiny_json("{'init':%s,'steps':40,'batch':32,'seed':0,"
                  "'optimizer':{'name':'sgd','lr':0.05,'momentum':0.9}}",
                  init);
    json_t *result;

    write_images();
    set_data(params);
    assert_ok(tiny_run(fake, "train", params, &result));
    fake_context_set_job(fake, "base", json_text_or(result, "artifact", ""));
    json_decref(params);
    json_decref(result);
}

static json_t *params_of(const char *train, const char *how)
{
    json_t *params = healing_params(
        healing_pruned("base"), train,
        "{'mode':'reconstruct','steps':20,'batch':16,"
        "'optimizer':{'lr':0.01,'schedule':'linear','warmup':0.1}}");
    json_t *given = tiny_json("%s", how);

    set_data(params);
    (void)json_object_set_new(given, "samples", json_integer(SAMPLES));
    (void)json_object_set_new(params, "reconstruct", given);
    return params;
}

/* What the job is given, [SAMPLES][PIXELS]. */
static void draw_images(double *pixels)
{
    AUTO(json_release) json_t *value = json_object();
    struct data d;

    set_data(value);
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

/* --- the slow twin: images [SAMPLES][channels][places] ------------------------ */

static const float *find(const struct recipe_model *m, const char *layer,
                         const char *part, size_t count)
{
    AUTO(free_pointer) char *name = xasprintf("%s.%s", layer, part);
    const struct tensor *t = tensor_find(recipe_tensors(m), name);

    assert_true(t != NULL && t->dtype == DTYPE_F32 && t->count == count);
    return t->data;
}

struct shape {
    size_t channels, side; /* a line of an MLP has the side 1 */
};

static size_t places(const struct shape *s)
{
    return s->side * s->side;
}

struct conv {
    const char *name;
    size_t channels, kernel, stride; /* of what comes out */
};

/* One number of an image that comes out. */
static double seen(const float *kernel, const struct shape *in,
                   const struct conv *c, const double *x, size_t row,
                   size_t column)
{
    size_t k = c->kernel, pad = k / 2;
    double sum = 0.0;

    for (size_t i = 0; i < in->channels * k * k; i++) {
        size_t y = row * c->stride + i / k % k - pad;
        size_t z = column * c->stride + i % k - pad;

        if (y < in->side && z < in->side) /* what is below 0 is huge */
            sum += (double)kernel[i] *
                   x[i / (k * k) * places(in) + y * in->side + z];
    }
    return sum;
}

/* Adds to y. A product of an MLP is one of images of one pixel. */
static struct shape convolve(const struct recipe_model *m, const struct conv *c,
                             struct shape in, const double *x, double *y)
{
    struct shape out = { c->channels, (in.side - 1) / c->stride + 1 };
    size_t each = in.channels * c->kernel * c->kernel;
    const float *w = find(m, c->name, "weight", c->channels * each);

    for (size_t i = 0; i < SAMPLES * out.channels * places(&out); i++) {
        size_t place = i % places(&out);
        size_t channel = i / places(&out) % out.channels;
        size_t sample = i / places(&out) / out.channels;

        y[i] += seen(w + channel * each, &in, c,
                     x + sample * in.channels * places(&in), place / out.side,
                     place % out.side);
    }
    return out;
}

struct moments {
    double mean, variance; /* of all there are */
    double count;
};

/* Of a channel over images first ... end - 1. */
static struct moments measure(const struct shape *s, const double *x,
                              size_t channel, size_t first, size_t end)
{
    struct moments m = { .count = (double)((end - first) * places(s)) };

    for (int turn = 0; turn < 2; turn++)
        for (size_t i = first; i < end; i++)
            for (size_t p = 0; p < places(s); p++) {
                double v = x[(i * s->channels + channel) * places(s) + p];

                if (turn == 0)
                    m.mean += v / m.count;
                else
                    m.variance += (v - m.mean) * (v - m.mean) / m.count;
            }
    return m;
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) < 1e-4 * (1.0 + fabs(b))))
        fail_msg("%g is not %g", a, b);
}

static void scale(const struct shape *s, double *x, size_t channel,
                  size_t first, size_t end, const double by[4])
{
    for (size_t i = first; i < end; i++)
        for (size_t p = 0; p < places(s); p++) {
            double *v = &x[(i * s->channels + channel) * places(s) + p];

            *v = (*v - by[0]) / sqrt(by[1] + 1e-5) * by[2] + by[3];
            *v = *v > 0.0 ? *v : 0.0;
        }
}

/* relu(norm(x)) by the statistics that are stored; `measured`: of each batch
 * by its own, whose means those that are stored have to be. */
static void activate(const struct recipe_model *m, const char *name,
                     bool measured, struct shape s, double *x)
{
    const float *mean = find(m, name, "running_mean", s.channels);
    const float *variance = find(m, name, "running_var", s.channels);
    const float *gain = find(m, name, "weight", s.channels);
    const float *shift = find(m, name, "bias", s.channels);

    for (size_t c = 0; c < s.channels; c++) {
        double by[4] = { (double)mean[c], (double)variance[c], (double)gain[c],
                         (double)shift[c] };
        double means = 0.0, variances = 0.0;

        for (size_t i = 0; i < SAMPLES; i += TOGETHER) {
            struct moments found = measure(&s, x, c, i, i + TOGETHER);

            means += found.mean * TOGETHER / SAMPLES;
            variances += found.variance * found.count / (found.count - 1.0) *
                         TOGETHER / SAMPLES;
            by[0] = measured ? found.mean : by[0];
            by[1] = measured ? found.variance : by[1];
            scale(&s, x, c, i, i + TOGETHER, by);
        }
        if (measured) {
            assert_near((double)mean[c], means);
            assert_near((double)variance[c], variances);
        }
    }
}

/* A section: y of x. */
typedef struct shape section(const struct recipe_model *m, size_t number,
                             bool measured, struct shape in, const double *x,
                             double *y);

static struct shape line(const struct recipe_model *m, size_t number,
                         bool measured, struct shape in, const double *x,
                         double *y)
{
    const struct conv fc[] = { { "fc0", 24, 1, 1 }, { "fc1", 20, 1, 1 } };
    const struct shape given = { in.channels * places(&in), 1 };
    struct shape s = convolve(m, &fc[number], given, x, y);

    activate(m, number == 0 ? "bn0" : "bn1", measured, s, y);
    return s;
}

/* The second stage halves the image. */
static struct shape block(const struct recipe_model *m, size_t number,
                          bool measured, struct shape in, const double *x,
                          double *y)
{
    const struct conv first = { "conv0", 4, 3, 1 };
    bool halves = number == 2;
    size_t channels = halves ? 6 : 4, stride = halves ? 2 : 1;
    const struct conv down = { "b1.down", channels, 1, stride };
    const struct conv one = { halves ? "b1.conv1" : "b0.conv1", channels, 3,
                              stride };
    const struct conv two = { halves ? "b1.conv2" : "b0.conv2", channels, 3,
                              1 };
    AUTO(free_pointer) double *a = xcalloc(SAMPLES * WIDEST, sizeof(*a));
    AUTO(free_pointer) double *b = xcalloc(SAMPLES * WIDEST, sizeof(*b));
    struct shape s;

    if (number == 0)
        return convolve(m, &first, in, x, y);
    memcpy(a, x, SAMPLES * in.channels * places(&in) * sizeof(*a));
    activate(m, halves ? "b1.bn1" : "b0.bn1", measured, in, a);
    s = convolve(m, &one, in, a, b);
    activate(m, halves ? "b1.bn2" : "b0.bn2", measured, s, b);
    if (halves)
        (void)convolve(m, &down, in, x, y);
    else
        memcpy(y, x, SAMPLES * in.channels * places(&in) * sizeof(*y));
    return convolve(m, &two, s, b, y);
}

static const struct net {
    const char *init;
    section *run;
    size_t blocks;
    const char *last; /* the norm behind them */
    const char *trained[PARTS];
} nets[] = {
    { MLP, line, 2, NULL, { "['mask_lora']", "['full']", "['bias','norm']" } },
    { RESNET,
      block,
      3,
      "bn",
      { "['full']", "['name:*conv*','norm','bias']", NULL } },
};

struct twin {
    const struct net *net;
    struct recipe_model *dense, *pruned, *healed;
    double x[SAMPLES * WIDEST], target[SAMPLES * WIDEST], y[SAMPLES * WIDEST];
    double before, after;
};

static double distance(const double *a, const double *b, size_t count)
{
    double sum = 0.0;

    for (size_t i = 0; i < count; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum / (double)count;
}

static struct shape run_section(struct twin *t, const struct recipe_model *m,
                                size_t number, bool measured, struct shape in,
                                double *y)
{
    memset(y, 0, sizeof(t->y));
    return t->net->run(m, number, measured, in, t->x, y);
}

/* A block reads what the blocks before it leave, the first one the pixels;
 * norms end with the statistics of what they read. */
static void run_twin(struct twin *t)
{
    struct shape in = { 1, SIDE };

    draw_images(t->x);
    for (size_t i = 0; i < t->net->blocks; i++) {
        struct shape out = run_section(t, t->dense, i, false, in, t->target);
        size_t count = SAMPLES * out.channels * places(&out);

        (void)run_section(t, t->healed, i, true, in, t->y);
        (void)run_section(t, t->pruned, i, false, in, t->y);
        t->before += distance(t->y, t->target, count);
        (void)run_section(t, t->healed, i, false, in, t->y);
        t->after += distance(t->y, t->target, count);
        memcpy(t->x, t->y, count * sizeof(*t->x));
        in = out;
    }
    if (t->net->last != NULL)
        activate(t->healed, t->net->last, true, in, t->x);
}

static void check_twin(const struct net *net, const json_t *result, bool errors)
{
    struct twin *t = xnew(struct twin);

    t->net = net;
    t->dense = healing_open(fake, healing_job("base"));
    t->pruned = healing_open(fake, healing_pruned("base"));
    t->healed = healing_open(fake, healing_job("healed"));
    run_twin(t);
    if (errors) {
        assert_near(tiny_metric(result, "error_before") / t->before, 1.0);
        assert_near(tiny_metric(result, "error_after") / t->after, 1.0);
    }
    recipe_close(t->dense);
    recipe_close(t->pruned);
    recipe_close(t->healed);
    free(t);
}

static void check_net(const struct net *net, const char *trained, size_t how)
{
    json_t *result =
        healing_run(fake, params_of(trained, reconstructions[how]), "healed");

    healing_reads_as_computed(fake, "healed", result);
    assert_true(tiny_metric(result, "blocks") == (double)net->blocks);
    /* What little else can do is less than new statistics change. */
    if ((strstr(trained, "full") != NULL || strstr(trained, "conv") != NULL) &&
        !(tiny_metric(result, "error_after") <
          0.8 * tiny_metric(result, "error_before")))
        fail_msg("%s, %s, %s: error %g after %g", net->init, trained,
                 reconstructions[how], tiny_metric(result, "error_after"),
                 tiny_metric(result, "error_before"));
    check_twin(net, result, how == 0); /* of the others they are of others */
    json_decref(result);
}

static void test_a_slow_twin_agrees(void **state)
{
    (void)state;
    for (size_t n = 0; n < COUNT_OF(nets); n++) {
        train_base(nets[n].init);
        for (size_t k = 0; k < PARTS && nets[n].trained[k] != NULL; k++)
            for (size_t i = k; i < COUNT_OF(reconstructions); i++)
                check_net(&nets[n], nets[n].trained[k], i);
    }
}

static bool always(void *self)
{
    (void)self;
    return true;
}

static void test_a_killed_reconstruction_goes_on(void **state)
{
    (void)state;
    train_base(MLP);
    fake->context.save_due = always;
    for (size_t i = 0; i < COUNT_OF(reconstructions); i++) {
        json_t *params = params_of("['mask_lora']", reconstructions[i]);

        (void)json_object_set_new(params, "steps", json_integer(6));
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
        CASE(test_a_slow_twin_agrees),
        CASE(test_a_killed_reconstruction_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
