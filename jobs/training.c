#include "jobs/training.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "common/memory.h"

/* Steps of `epochs` of data that has an end. */
static struct status count_steps(struct training *t)
{
    double epochs = json_real_or(t->params, "epochs", 0.0);
    uint64_t passes;

    t->steps = (uint64_t)json_int_or(t->params, "steps", 300);
    if (epochs <= 0.0)
        return SUCCESS;
    if (t->data.items == 0)
        return FAIL(STATUS_INVALID,
                    "the data has no end, so there are no epochs; give "
                    "`steps` or `data.items`");
    passes = t->data.items / t->batch;
    t->steps = (uint64_t)(epochs * (double)passes / (double)t->accumulate);
    if (t->steps == 0)
        return FAIL(STATUS_INVALID,
                    "%g epochs of %" PRIu64 " items are less than one step "
                    "of %" PRIu64,
                    epochs, t->data.items, t->batch * t->accumulate);
    return SUCCESS;
}

/* Does it fit, perhaps with values that are made again? */
static struct status admit(struct training *t, struct pass_room *room,
                           const struct trainer_settings *settings)
{
    int64_t budget = t->context->memory_bytes;
    size_t lasting = trainer_bytes(t->model, room, settings) -
                     pass_bytes_of(t->model, room) +
                     t->model->size * sizeof(float);

    if (budget <= 0)
        return SUCCESS;
    if (lasting < (uint64_t)budget &&
        pass_fit(t->model, (size_t)budget - lasting, room)) {
        if (room->again)
            t->context->log(t->context->self,
                            "values inside layers are made again in backward: "
                            "the slot's memory cannot hold them all");
        return SUCCESS;
    }
    room->again = true;
    return FAIL(STATUS_NO_MEMORY,
                "the training takes %zu bytes at least (%zu for parameters "
                "and moments), the slot has %" PRId64
                "; lower `batch` or `length`, or give the worker more "
                "--memory or fewer slots",
                lasting + pass_bytes_of(t->model, room), lasting, budget);
}

static struct status make_batches(struct training *t)
{
    t->batches = xcalloc(t->accumulate, sizeof(*t->batches));
    t->views = xcalloc(t->accumulate, sizeof(*t->views));
    for (uint64_t i = 0; i < t->accumulate; i++)
        TRY_PLAIN(data_batch(&t->data, (size_t)t->batch, &t->batches[i]));
    return SUCCESS;
}

static struct status open_data(struct training *t)
{
    const struct data_use use = {
        .window = (size_t)json_int_or(t->params, "length", 0),
        .positions = t->model->config.positions,
        .tokenizer = t->tokenizer,
    };

    TRY_PLAIN(data_open(json_object_get(t->params, "data"), &use, t->context,
                        &t->data));
    return data_check(&t->data, t->model);
}

struct status training_open_data(struct training *t)
{
    t->seed = (uint32_t)json_int_or(t->params, "seed", 0);
    t->batch = (uint64_t)json_int_or(t->params, "batch", 32);
    t->accumulate = (uint64_t)json_int_or(t->params, "accumulate", 1);
    TRY_PLAIN(open_data(t));
    return count_steps(t);
}

struct status training_open(struct training *t)
{
    struct trainer_settings settings;
    struct pass_room room;

    TRY_PLAIN(training_open_data(t));
    TRY_PLAIN(training_settings(t->params, t->decay, &settings));
    TRY_PLAIN(training_schedule(t->params, t->steps, &t->schedule));
    room = data_room(&t->data, (size_t)t->batch, true);
    room.trained = t->trained;
    TRY_PLAIN(admit(t, &room, &settings));
    TRY_PLAIN(make_batches(t));
    return trainer_new(t->model, &room, &settings, &t->trainer);
}

void training_end(struct training *t)
{
    trainer_free(t->trainer);
    t->trainer = NULL;
}

void training_release(struct training *t)
{
    training_end(t);
    for (uint64_t i = 0; t->batches != NULL && i < t->accumulate; i++)
        batch_release(&t->batches[i]);
    free(t->batches);
    free(t->views);
    data_release(&t->data);
}

/* Pass `number` of the training. */
static struct status fill_batch(struct training *t, uint64_t number,
                                struct batch *b)
{
    batch_clear(b);
    for (uint64_t i = 0; i < t->batch; i++) {
        bool added;

        TRY_PLAIN(
            data_draw(&t->data, t->seed, number * t->batch + i, b, &added));
        if (!added)
            return FAIL(STATUS_FAILED, "a batch had no room for its items");
    }
    return SUCCESS;
}

static struct status one_step(struct training *t)
{
    struct trainer_report report;

    for (uint64_t i = 0; i < t->accumulate; i++) {
        TRY_PLAIN(fill_batch(t, t->done * t->accumulate + i, &t->batches[i]));
        t->views[i] = batch_view(&t->batches[i]);
        t->tokens += t->batches[i].rows;
    }
    TRY_PLAIN(trainer_step(t->trainer, schedule_factor(&t->schedule, t->done),
                           t->views, (size_t)t->accumulate, &report));
    t->recent =
        t->done == 0 ? report.loss : 0.9 * t->recent + 0.1 * report.loss;
    t->done++;
    return SUCCESS;
}

static void log_step(const struct training *t)
{
    uint64_t every = t->steps < 10 ? 1 : t->steps / 10;
    char line[160];

    if (t->done % every != 0 && t->done != t->steps)
        return;
    (void)snprintf(line, sizeof(line), "step %llu of %llu: loss %.4f",
                   (unsigned long long)t->done, (unsigned long long)t->steps,
                   t->recent);
    t->context->log(t->context->self, line);
}

struct status training_run(struct training *t)
{
    struct job_context *c = t->context;

    TRY_PLAIN(training_resume(t));
    while (t->done < t->steps) {
        if (c->cancelled(c->self)) {
            training_save(t);
            return FAIL(STATUS_CANCELLED, "cancelled at step %llu",
                        (unsigned long long)t->done + 1);
        }
        TRY_PLAIN(one_step(t));
        if (c->save_due != NULL && c->save_due(c->self))
            training_save(t);
        c->progress(c->self, t->done, t->steps, "step");
        log_step(t);
    }
    return SUCCESS;
}

struct status training_lost(struct pass *p, double loss)
{
    char where[128] = "loss";

    (void)pass_not_finite(p, where, sizeof(where));
    return FAIL(STATUS_FAILED,
                "the loss is %g; the first NaN or infinity is in the %s; lower "
                "optimizer.lr or clip",
                loss, where);
}

struct status training_measure(struct training *t, uint64_t count,
                               double *ret_loss)
{
    const struct pass_room room = data_room(&t->data, (size_t)t->batch, false);
    AUTO(pass_release) struct pass *p = NULL;
    double sum = 0.0;

    TRY_PLAIN(pass_new(t->model, &room, &p));
    for (uint64_t i = 0; i < count; i++) {
        struct pass_batch view;
        double loss;

        TRY_PLAIN(fill_batch(t, t->steps * t->accumulate + i, &t->batches[0]));
        view = batch_view(&t->batches[0]);
        TRY_PLAIN(pass_forward(p, &view, &loss));
        if (!isfinite(loss))
            TRY(training_lost(p, loss), "step %" PRIu64,
                t->tokens == 0 ? 1 : t->steps);
        sum += loss;
    }
    *ret_loss = sum / (double)count;
    return SUCCESS;
}
