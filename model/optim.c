#include "model/optim.h"

#include <math.h>

#include "tensor/isa.h"
#include "tensor/reduce.h"

/* What is the same for all elements of a step. */
struct constants {
    float shrink; /* 1 - rate * decay */
    float beta1, beta2;
    float rest1, rest2; /* 1 - beta */
    float root;         /* 1 / sqrt(1 - beta2^t) */
    float rate;         /* rate / (1 - beta1^t) */
    float eps;
};

ISA_CLONES static void adamw_all(const struct constants *k,
                                 float *restrict parameters,
                                 const float *restrict gradients,
                                 float *restrict first, float *restrict second,
                                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float g = gradients[i];
        float m = k->beta1 * first[i] + k->rest1 * g;
        float v = k->beta2 * second[i] + k->rest2 * (g * g);

        first[i] = m;
        second[i] = v;
        parameters[i] = parameters[i] * k->shrink -
                        k->rate * m / (sqrtf(v) * k->root + k->eps);
    }
}

static void adamw(const struct optim *o, const struct optim_call *c)
{
    double t = (double)c->step;
    const struct constants k = {
        .shrink = (float)(1.0 - c->rate * o->decay),
        .beta1 = (float)o->beta1,
        .beta2 = (float)o->beta2,
        .rest1 = (float)(1.0 - o->beta1),
        .rest2 = (float)(1.0 - o->beta2),
        .root = (float)(1.0 / sqrt(1.0 - pow(o->beta2, t))),
        .rate = (float)(c->rate / (1.0 - pow(o->beta1, t))),
        .eps = (float)o->eps,
    };

    adamw_all(&k, c->parameters, c->gradients, c->moments[0], c->moments[1],
              c->count);
}

ISA_CLONES static void sgd_all(float *restrict parameters,
                               const float *restrict gradients,
                               float *restrict velocity, float rate,
                               float momentum, float decay, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float v =
            momentum * velocity[i] + (gradients[i] + decay * parameters[i]);

        velocity[i] = v;
        parameters[i] -= rate * v;
    }
}

static void sgd(const struct optim *o, const struct optim_call *c)
{
    sgd_all(c->parameters, c->gradients, c->moments[0], (float)c->rate,
            (float)o->beta1, (float)o->decay, c->count);
}

const struct optim_row optimisers[] = {
    { "adamw", 2, adamw },
    { "sgd", 1, sgd },
    { NULL, 0, NULL },
};

const struct optim_row *optim_find(const char *name)
{
    for (const struct optim_row *r = optimisers; r->name != NULL; r++)
        if (strcmp(r->name, name) == 0)
            return r;
    return NULL;
}

double optim_clip(float *gradients, size_t count, double limit)
{
    double norm = reduce_l2(gradients, count);

    if (limit > 0.0 && norm > limit) {
        float by = (float)(limit / norm);

        for (size_t i = 0; i < count; i++)
            gradients[i] *= by;
    }
    return norm;
}

static double constant(const struct schedule *s, uint64_t step)
{
    (void)s;
    (void)step;
    return 1.0;
}

/* From 0 at the end of the warm-up to 1 at the last step. */
static double way(const struct schedule *s, uint64_t step)
{
    if (step >= s->steps)
        return 1.0;
    return (double)(step - s->warmup) / (double)(s->steps - s->warmup);
}

static double linear(const struct schedule *s, uint64_t step)
{
    return 1.0 - way(s, step);
}

static double cosine(const struct schedule *s, uint64_t step)
{
    return 0.5 * (1.0 + cos(3.14159265358979323846 * way(s, step)));
}

static double multistep(const struct schedule *s, uint64_t step)
{
    double factor = 1.0;

    for (size_t i = 0; i < SCHEDULE_MILESTONES && s->milestones[i] != 0; i++)
        if (step >= s->milestones[i])
            factor *= s->gamma;
    return factor;
}

const struct schedule_row schedules[] = {
    { "constant", constant },   { "linear", linear }, { "cosine", cosine },
    { "multistep", multistep }, { NULL, NULL },
};

const struct schedule_row *schedule_find(const char *name)
{
    for (const struct schedule_row *r = schedules; r->name != NULL; r++)
        if (strcmp(r->name, name) == 0)
            return r;
    return NULL;
}

double schedule_factor(const struct schedule *s, uint64_t step)
{
    if (step < s->warmup)
        return (double)step / (double)s->warmup;
    return s->row->factor(s, step);
}
