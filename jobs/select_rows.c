#include "jobs/select_rows.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

size_t select_rows_of(const struct select_rows *r,
                      const struct select_sample *s, size_t *ret_first)
{
    *ret_first = 0;
    if (s->invalid != NULL || s->tokens == NULL)
        return 0;
    if (r->whole)
        return s->prompt + s->answer;
    if (r->form == JSD_SUM_INSTRUCTION)
        return s->instruction_first + s->instruction_count;
    return select_sample_rows(s, ret_first);
}

static bool add(void *self, struct batch *b, size_t place)
{
    const struct select_rows *r = self;
    struct select_sample s = select_work_get(r->work, place);

    if (s.invalid != NULL || s.prompt + s.answer == 0)
        return true;
    return batch_add(b, s.tokens, s.prompt + s.answer, s.prompt + s.answer);
}

static void take(void *self, size_t place, size_t row, size_t rows)
{
    struct select_rows *r = self;
    const float *states = pass_hidden(r->work->pass) + row * r->width;
    struct select_sample s = select_work_get(r->work, place);
    size_t from, count = select_rows_of(r, &s, &from);

    (void)rows;
    if (count > 0)
        memcpy(r->states + r->starts[place - r->first] * r->width,
               states + from * r->width, count * r->width * sizeof(float));
    if (r->pool != NULL)
        r->pool(r->self, place, states);
}

size_t select_rows_most(const struct select_part *p)
{
    size_t most = 0;

    for (size_t i = 0; i < p->end - p->first; i += SELECT_BLOCK) {
        size_t end = i + SELECT_BLOCK < p->end - p->first ? i + SELECT_BLOCK
                                                          : p->end - p->first;
        size_t rows = p->starts[end] - p->starts[i];

        most = rows > most ? rows : most;
    }
    return most;
}

struct status select_rows_open(struct select_rows *r)
{
    struct select_part *p = &r->work->part;
    const char *form = json_text_or(r->work->params, "jsd", "mean_answer");
    size_t most;

    if (!jsd_form_find(form, &r->form))
        return FAIL(STATUS_INVALID, "`jsd` is \"%.40s\"", form);
    r->width = r->work->input.model->config.hidden;
    p->starts = xcalloc(p->end - p->first + 1, sizeof(*p->starts));
    for (size_t i = 0; i < p->end - p->first; i++) {
        struct select_sample s = select_work_get(r->work, p->first + i);
        size_t from;

        p->starts[i + 1] = p->starts[i] + select_rows_of(r, &s, &from);
    }
    most = select_rows_most(p);
    TRY_PLAIN(model_input_fits(2 * most * r->width * sizeof(float),
                               "hidden states of a block", r->work->context));
    r->states = xcalloc_large(most * r->width + 1, sizeof(float));
    return select_work_pass(r->work, true);
}

void select_rows_release(struct select_rows *r)
{
    free(r->states);
}

struct status select_rows_fill(struct select_rows *r, size_t first,
                               size_t count)
{
    const struct select_sender sender = { add, take, r };

    r->first = first;
    for (size_t i = 0; i < count; i++) {
        struct select_sample s = select_work_get(r->work, first + i);
        size_t from;

        r->count[i] = (uint32_t)select_rows_of(r, &s, &from);
        r->prompt[i] = (uint32_t)s.prompt;
        r->answer[i] = (uint32_t)s.answer;
        r->starts[i + 1] = r->starts[i] + r->count[i];
    }
    return select_work_send(r->work, &sender, first, count);
}

json_t *select_part_result(const struct select_work *w, const char *artifact)
{
    const struct select_part *p = &w->part;

    return json_pack(
        "{ss s{sI sI}}", "artifact", artifact, "metrics", "samples",
        (json_int_t)(p->end - p->first), "rows",
        (json_int_t)(p->starts == NULL ? 0 : p->starts[p->end - p->first]));
}
