#include "model/optim.h"

#include <math.h>

#include "tensor/isa.h"
#include "tensor/reduce.h"

struct status adamw_init(struct adamw *a, size_t count)
{
    a->steps = 0;
    a->count = count;
    a->first = calloc(count, sizeof(*a->first));
    a->second = calloc(count, sizeof(*a->second));
    if (a->first == NULL || a->second == NULL) {
        adamw_release(a);
        return FAIL(STATUS_NO_MEMORY,
                    "no memory for the moments of %zu "
                    "parameters",
                    count);
    }
    return SUCCESS;
}

void adamw_release(struct adamw *a)
{
    free(a->first);
    free(a->second);
    a->first = a->second = NULL;
}

/* What is the same for all elements of a step. */
struct constants {
    float shrink; /* 1 - rate * decay */
    float beta1, beta2;
    float rest1, rest2; /* 1 - beta */
    float root;         /* 1 / sqrt(1 - beta2^t) */
    float rate;         /* rate / (1 - beta1^t) */
    float eps;
};

ISA_CLONES static void step_all(const struct constants *k,
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

void adamw_step(struct adamw *a, double factor, float *parameters,
                const float *gradients)
{
    double rate = a->rate * factor;
    double t = (double)++a->steps;
    struct constants k = {
        .shrink = (float)(1.0 - rate * a->decay),
        .beta1 = (float)a->beta1,
        .beta2 = (float)a->beta2,
        .rest1 = (float)(1.0 - a->beta1),
        .rest2 = (float)(1.0 - a->beta2),
        .root = (float)(1.0 / sqrt(1.0 - pow(a->beta2, t))),
        .rate = (float)(rate / (1.0 - pow(a->beta1, t))),
        .eps = (float)a->eps,
    };

    step_all(&k, parameters, gradients, a->first, a->second, a->count);
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
