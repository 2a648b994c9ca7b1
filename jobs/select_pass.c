#include "jobs/select_pass.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/data.h"

enum { BATCH_ROWS = 2048 }; /* tokens sent through at once */

/* What a model takes, unless the file says less. */
static size_t length_of(const struct select_work *w)
{
    size_t positions = w->input.model->config.positions;
    size_t length = (size_t)json_int_or(w->params, "length", DATA_ANY_LENGTH);

    return positions != 0 && positions < length ? positions : length;
}

MUST_CHECK static struct status open_model(struct select_work *w,
                                           const char *key)
{
    AUTO(json_release)
    json_t *params =
        json_pack("{sO*}", "model", json_object_get(w->params, key));

    TRY(model_input_open(params, w->context, MODEL_BORROW, &w->input), "%s",
        key);
    if (w->input.model->graph->pixels != 0)
        return FAIL(STATUS_INVALID, "%s: the model takes images, not text",
                    key);
    w->length = length_of(w);
    return SUCCESS;
}

static void release_input(struct select_work *w)
{
    pass_free(w->pass);
    batch_release(&w->batch);
    model_input_release(&w->input);
}

struct status select_work_open(struct select_work *w, const char *key)
{
    struct select_encoding encoding = { .tokenizer = NULL };

    w->part.params = w->params;
    w->part.context = w->context;
    TRY_PLAIN(select_samples_open(json_object_get(w->params, "data"),
                                  w->context, &w->samples));
    TRY_PLAIN(select_part_range(&w->part, w->samples.kept_count));
    TRY_PLAIN(open_model(w, key));
    encoding.tokenizer = w->input.tokenizer;
    encoding.length = w->length;
    return select_samples_encode(&w->samples, &encoding, w->part.first,
                                 w->part.end - w->part.first);
}

void select_work_release(struct select_work *w)
{
    release_input(w);
    select_samples_release(&w->samples);
    select_part_release(&w->part);
}

struct status select_work_pass(struct select_work *w, bool headless)
{
    size_t most = w->length * SELECT_BLOCK;
    size_t rows = w->length > BATCH_ROWS ? w->length : (size_t)BATCH_ROWS;
    const struct pass_room room = { .rows = rows < most ? rows : most,
                                    .longest = w->length,
                                    .headless = headless };

    TRY_PLAIN(model_input_fits(pass_bytes_of(w->input.model, &room),
                               "a batch of samples", w->context));
    batch_init(&w->batch, SELECT_BLOCK, room.rows);
    return pass_new(w->input.model, &room, &w->pass);
}

struct select_sample select_work_get(const struct select_work *w, size_t place)
{
    return select_samples_get(&w->samples, w->samples.kept[place]);
}

/* What is in the batch, whose sequences are those of `numbers`. */
MUST_CHECK static struct status flush(struct select_work *w,
                                      const struct select_sender *sender,
                                      const size_t *numbers)
{
    struct pass_batch view = batch_view(&w->batch);
    double loss;

    if (w->batch.segments == 0)
        return SUCCESS;
    TRY_PLAIN(pass_forward(w->pass, &view, &loss));
    for (size_t i = 0; i < w->batch.segments; i++)
        sender->take(sender->self, numbers[i], w->batch.starts[i],
                     w->batch.starts[i + 1] - w->batch.starts[i]);
    batch_clear(&w->batch);
    return SUCCESS;
}

struct status select_work_send(struct select_work *w,
                               const struct select_sender *sender, size_t first,
                               size_t count)
{
    size_t numbers[SELECT_BLOCK] = { 0 };

    batch_clear(&w->batch);
    for (size_t i = first; i < first + count; i++) {
        size_t before = w->batch.segments;

        if (!sender->add(sender->self, &w->batch, i)) {
            TRY_PLAIN(flush(w, sender, numbers));
            before = 0;
            if (!sender->add(sender->self, &w->batch, i))
                return FAIL(STATUS_FAILED, "a batch has no room for sample %zu",
                            i + 1);
        }
        if (w->batch.segments > before)
            numbers[before] = i;
    }
    return flush(w, sender, numbers);
}
