#include "model/trainer.h"

#include <assert.h>
#include <math.h>

#include "common/memory.h"
#include "tensor/elementwise.h"
#include "tensor/reduce.h"

struct trainer {
    struct model *model;
    struct trainer_settings settings;
    struct pass *pass;
    uint64_t steps;
    size_t size; /* floats of the gradient */
    float *moments[OPTIM_MOMENTS];
    float *kept;  /* SAM: the parameters it goes back to */
    char **names; /* of moments, for a state; see trainer_state() */
    size_t name_count;
};

static size_t extra_arrays(const struct trainer_settings *s)
{
    return s->optim.row->moments + (s->rho > 0.0 ? 1 : 0);
}

static size_t trained_size(const struct model *m, const struct pass_room *room)
{
    size_t size = 0;

    for (size_t i = 0; i < m->parameter_count; i++)
        if (room_trains(room, m->graph, i))
            size += m->parameters[i].count;
    return size;
}

size_t trainer_bytes(const struct model *m, const struct pass_room *room,
                     const struct trainer_settings *s)
{
    return pass_bytes_of(m, room) +
           extra_arrays(s) * trained_size(m, room) * sizeof(float);
}

void trainer_free(struct trainer *t)
{
    if (t == NULL)
        return;
    pass_free(t->pass);
    for (size_t i = 0; i < OPTIM_MOMENTS; i++)
        free(t->moments[i]);
    free(t->kept);
    for (size_t i = 0; i < t->name_count; i++)
        free(t->names[i]);
    free(t->names);
    free(t);
}

void trainer_release(struct trainer **t)
{
    trainer_free(*t);
}

static struct status take_arrays(struct trainer *t)
{
    bool there = true;

    for (size_t i = 0; i < t->settings.optim.row->moments; i++) {
        t->moments[i] = alloc_large(t->size * sizeof(float));
        if (t->moments[i] != NULL)
            memset(t->moments[i], 0, t->size * sizeof(float));
        there = there && t->moments[i] != NULL;
    }
    if (t->settings.rho > 0.0) {
        t->kept = malloc(t->size * sizeof(float));
        there = there && t->kept != NULL;
    }
    if (!there)
        return FAIL(STATUS_NO_MEMORY,
                    "no memory for the moments of %zu parameters", t->size);
    return SUCCESS;
}

struct status trainer_new(struct model *m, const struct pass_room *room,
                          const struct trainer_settings *s,
                          struct trainer **ret_trainer)
{
    AUTO(trainer_release) struct trainer *t = xnew(struct trainer);

    assert(room->gradients);
    t->model = m;
    t->settings = *s;
    TRY_PLAIN(pass_new(m, room, &t->pass));
    t->size = pass_gradients_size(t->pass);
    if (t->size == 0)
        return FAIL(STATUS_INVALID, "there is no parameter to train");
    for (size_t i = 0; i < m->parameter_count; i++)
        if (pass_gradient(t->pass, i) != NULL)
            TRY_PLAIN(model_own(m, i));
    TRY_PLAIN(take_arrays(t));
    *ret_trainer = t;
    t = NULL;
    return SUCCESS;
}

uint64_t trainer_steps(const struct trainer *t)
{
    return t->steps;
}

/* The parameters that have a gradient, one after the other. */
struct trained {
    size_t next;
    struct model_parameter *p;
    float *gradient;
    size_t at; /* in the gradient, moments and what is kept */
};

static bool next_trained(const struct trainer *t, struct trained *k)
{
    while (k->next < t->model->parameter_count) {
        float *gradient = pass_gradient(t->pass, k->next++);

        if (gradient == NULL)
            continue;
        k->p = &t->model->parameters[k->next - 1];
        k->gradient = gradient;
        k->at = (size_t)(gradient - pass_gradients(t->pass));
        return true;
    }
    return false;
}

static void mask_gradients(struct trainer *t)
{
    struct trained k = { 0 };

    while (next_trained(t, &k))
        for (size_t i = 0; k.p->keep != NULL && i < k.p->count; i++)
            k.gradient[i] = k.p->keep[i] == 0 ? 0.0F : k.gradient[i];
}

static struct status loss_lost(struct trainer *t, double loss)
{
    char where[128];

    if (!pass_not_finite(t->pass, where, sizeof(where)))
        (void)snprintf(where, sizeof(where), "loss");
    return FAIL(STATUS_FAILED,
                "step %llu: the loss is %g; the first NaN or infinity is in "
                "the %s; lower optimizer.lr or clip",
                (unsigned long long)t->steps + 1, loss, where);
}

static struct status gradient_lost(const struct trainer *t)
{
    struct trained k = { 0 };
    const char *name = "?";

    while (next_trained(t, &k))
        if (dtype_find_not_finite(DTYPE_F32, k.gradient, k.p->count) <
            k.p->count)
            name = k.p->name;
    return FAIL(STATUS_FAILED,
                "step %llu: the gradient of tensor \"%s\" is not finite; "
                "lower optimizer.lr or clip",
                (unsigned long long)t->steps + 1, name);
}

/* Mean loss and, masked, the mean gradient of the batches. */
static struct status differentiate(struct trainer *t,
                                   const struct pass_batch *batches,
                                   size_t count, bool note, double *ret_loss)
{
    double sum = 0.0;

    pass_clear_gradients(t->pass);
    for (size_t i = 0; i < count; i++) {
        double loss;

        TRY_PLAIN(pass_forward(t->pass, &batches[i], &loss));
        if (!isfinite(loss))
            return loss_lost(t, loss);
        pass_backward(t->pass);
        if (note)
            TRY_PLAIN(
                pass_note_statistics(t->pass, t->model, t->settings.momentum));
        sum += loss;
    }
    if (count > 1)
        elementwise_scale(1.0F / (float)count, pass_gradients(t->pass),
                          t->size);
    mask_gradients(t);
    *ret_loss = sum / (double)count;
    return SUCCESS;
}

/* Up the gradient of the step, and what is kept to come back. */
static void climb(struct trainer *t, double norm)
{
    float by = (float)(t->settings.rho / (norm + 1e-12));
    struct trained k = { 0 };

    while (next_trained(t, &k)) {
        memcpy(t->kept + k.at, k.p->own, k.p->count * sizeof(float));
        elementwise_axpy(by, k.gradient, k.p->own, k.p->count);
    }
}

static void come_back(struct trainer *t)
{
    struct trained k = { 0 };

    while (next_trained(t, &k))
        memcpy(k.p->own, t->kept + k.at, k.p->count * sizeof(float));
}

/* The gradient at the top of the climb; running statistics stay. */
static struct status sharpen(struct trainer *t,
                             const struct pass_batch *batches, size_t count,
                             double norm)
{
    struct status st;
    double loss;

    climb(t, norm);
    st = differentiate(t, batches, count, false, &loss);
    come_back(t);
    return st;
}

static void move(struct trainer *t, double factor)
{
    struct trained k = { 0 };

    t->steps++;
    while (next_trained(t, &k)) {
        struct optim_call call = {
            .rate = t->settings.optim.rate * factor,
            .step = t->steps,
            .parameters = k.p->own,
            .gradients = k.gradient,
            .count = k.p->count,
        };

        for (size_t i = 0; i < t->settings.optim.row->moments; i++)
            call.moments[i] = t->moments[i] + k.at;
        t->settings.optim.row->step(&t->settings.optim, &call);
    }
}

struct status trainer_step(struct trainer *t, double factor,
                           const struct pass_batch *batches, size_t count,
                           struct trainer_report *ret_report)
{
    TRY_PLAIN(differentiate(t, batches, count, true, &ret_report->loss));
    if (t->settings.rho > 0.0)
        TRY_PLAIN(sharpen(t, batches, count,
                          reduce_l2(pass_gradients(t->pass), t->size)));
    ret_report->norm =
        optim_clip(pass_gradients(t->pass), t->size, t->settings.clip);
    if (!isfinite(ret_report->norm))
        return gradient_lost(t);
    move(t, factor);
    return SUCCESS;
}

/* --- the state ------------------------------------------------------------- */

/* "optim.0.NAME"; lives as long as the trainer. */
static const char *moment_name(struct trainer *t, size_t moment,
                               const char *name)
{
    t->names = xrealloc(t->names, (t->name_count + 1) * sizeof(*t->names));
    t->names[t->name_count] = xasprintf("optim.%zu.%s", moment, name);
    return t->names[t->name_count++];
}

static struct tensor steps_tensor(const struct trainer *t)
{
    return (struct tensor){ .name = "optim.steps",
                            .dtype = DTYPE_U64,
                            .rank = 1,
                            .shape = { 1 },
                            .count = 1,
                            .data = &t->steps };
}

void trainer_state(struct trainer *t, struct tensor **ret_items,
                   size_t *ret_count)
{
    size_t most = t->model->parameter_count * (1 + OPTIM_MOMENTS) + 1;
    struct tensor *items = xcalloc(most, sizeof(*items));
    struct trained k = { 0 };
    size_t count = 0;

    for (size_t i = 0; i < t->name_count; i++)
        free(t->names[i]);
    t->name_count = 0;
    for (size_t i = 0; i < t->model->parameter_count; i++)
        if (pass_gradient(t->pass, i) != NULL ||
            t->model->parameters[i].role == ROLE_STATISTIC)
            items[count++] = model_tensor(t->model, i);
    while (next_trained(t, &k))
        for (size_t i = 0; i < t->settings.optim.row->moments; i++) {
            items[count] = model_tensor(t->model, k.next - 1);
            items[count].name = moment_name(t, i, k.p->name);
            items[count++].data = t->moments[i] + k.at;
        }
    items[count++] = steps_tensor(t);
    qsort(items, count, sizeof(*items), tensor_by_name);
    *ret_items = items;
    *ret_count = count;
}

static struct status find_state(const struct tensor_set *state,
                                const struct tensor *wanted,
                                const struct tensor **ret_found)
{
    const struct tensor *found = tensor_find(state, wanted->name);

    if (found == NULL)
        return FAIL(STATUS_INVALID,
                    "the state of the training has no tensor \"%s\"",
                    wanted->name);
    if (found->dtype != wanted->dtype || !tensor_same_shape(found, wanted))
        return FAIL(STATUS_INVALID,
                    "tensor \"%s\" of the state is not like that of the "
                    "training",
                    wanted->name);
    *ret_found = found;
    return SUCCESS;
}

/* All is checked before anything is written. */
struct status trainer_restore(struct trainer *t, const struct tensor_set *state)
{
    AUTO(free_pointer) struct tensor *items = NULL;
    const struct tensor *found;
    size_t count;

    trainer_state(t, &items, &count);
    for (size_t i = 0; i < count; i++)
        TRY_PLAIN(find_state(state, &items[i], &found));
    for (size_t i = 0; i < t->model->parameter_count; i++)
        if (t->model->parameters[i].role == ROLE_STATISTIC)
            TRY_PLAIN(model_own(t->model, i));
    free(items);
    trainer_state(t, &items, &count);
    for (size_t i = 0; i < count; i++) {
        found = tensor_find(state, items[i].name);
        memcpy((void *)(uintptr_t)items[i].data, found->data,
               tensor_bytes(found));
    }
    return SUCCESS;
}
