#include "jobs/select_manifold.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

struct crew select_crew(const struct job_context *context)
{
    return (struct crew){ .threads = context->threads,
                          .cancelled = context->cancelled,
                          .self = context->self };
}

static json_t *notes_of(const struct spectrum *s)
{
    char line[256];

    spectrum_note(s, line, sizeof(line));
    return json_pack(
        "{sI sI sI ss sf sf sb sb sI sI sI sI sb sb ss}", "samples",
        (json_int_t)s->n, "rows", (json_int_t)s->rows, "pairs",
        (json_int_t)s->pairs, "route", spectrum_route_name(s->route), "median",
        s->median, "sigma", s->sigma, "fallback", (int)s->fallback, "all_equal",
        (int)s->all_equal, "empty", (json_int_t)s->empty, "entries",
        (json_int_t)s->entries, "components", (json_int_t)s->components,
        "votes", (json_int_t)s->votes, "joined", s->component != NULL,
        "followed", s->nearest != NULL, "note", line);
}

struct status select_manifold_put(const struct spectrum *s,
                                  struct job_context *context,
                                  char ret_artifact[DIGEST_TEXT])
{
    AUTO(json_release) json_t *notes = notes_of(s);
    struct select_store out = { .count = 0 };

    select_store_add(&out, "row", DTYPE_U32, s->row == NULL ? 0 : s->rows, 1,
                     s->row);
    if (s->pairs > 0) {
        select_store_add(&out, "values", DTYPE_F64, s->pairs, 1, s->values);
        select_store_add(&out, "vectors", DTYPE_F64, s->rows, s->pairs,
                         s->vectors);
    }
    if (s->degree != NULL)
        select_store_add(&out, "degree", DTYPE_F64, s->rows, 1, s->degree);
    if (s->component != NULL)
        select_store_add(&out, "component", DTYPE_U32, s->rows, 1,
                         s->component);
    if (s->nearest != NULL)
        select_store_add(&out, "nearest", DTYPE_U32, s->n, s->votes,
                         s->nearest);
    return select_store_put(&out, notes, context, ret_artifact);
}

MUST_CHECK static struct status read_scalars(const json_t *notes,
                                             struct spectrum *s)
{
    const char *route = json_text_or(notes, "route", "");

    if (!spectrum_route_find(route, &s->route))
        return FAIL(STATUS_CORRUPT, "a spectrum by the route \"%.40s\"", route);
    s->n = (size_t)json_int_or(notes, "samples", 0);
    s->rows = (size_t)json_int_or(notes, "rows", 0);
    s->pairs = (size_t)json_int_or(notes, "pairs", 0);
    s->median = json_real_or(notes, "median", 0.0);
    s->sigma = json_real_or(notes, "sigma", 0.0);
    s->fallback = json_bool_or(notes, "fallback", false);
    s->all_equal = json_bool_or(notes, "all_equal", false);
    s->empty = (size_t)json_int_or(notes, "empty", 0);
    s->entries = (size_t)json_int_or(notes, "entries", 0);
    s->components = (size_t)json_int_or(notes, "components", 0);
    s->votes = (size_t)json_int_or(notes, "votes", 0);
    return SUCCESS;
}

MUST_CHECK static struct status take(const struct select_opened *o,
                                     const char *name, enum dtype dtype,
                                     size_t width, size_t rows, void *target)
{
    void *data;

    TRY_PLAIN(select_take_rows(o, name, dtype, width, rows, &data));
    memcpy(target, &data, sizeof(data)); /* a pointer of the array's type */
    return SUCCESS;
}

MUST_CHECK static struct status read_arrays(const struct select_opened *o,
                                            struct spectrum *s)
{
    const struct tensor_set *set = st_model_tensors(o->file);
    const struct tensor *row = tensor_find(set, "row");

    if (row != NULL && row->count == s->rows)
        TRY_PLAIN(take(o, "row", DTYPE_U32, 1, s->rows, &s->row));
    if (s->pairs > 0) {
        TRY_PLAIN(take(o, "values", DTYPE_F64, 1, s->pairs, &s->values));
        TRY_PLAIN(
            take(o, "vectors", DTYPE_F64, s->pairs, s->rows, &s->vectors));
    }
    if (tensor_find(set, "degree") != NULL)
        TRY_PLAIN(take(o, "degree", DTYPE_F64, 1, s->rows, &s->degree));
    if (json_bool_or(o->notes, "joined", false))
        TRY_PLAIN(take(o, "component", DTYPE_U32, 1, s->rows, &s->component));
    if (json_bool_or(o->notes, "followed", false))
        TRY_PLAIN(take(o, "nearest", DTYPE_U32, s->votes, s->n, &s->nearest));
    return SUCCESS;
}

struct status select_manifold_open(const json_t *job,
                                   struct job_context *context,
                                   struct spectrum *ret_spectrum,
                                   json_t **ret_notes)
{
    AUTO(select_opened_release) struct select_opened o = { .file = NULL };
    struct spectrum s = { .n = 0 };
    struct status st;

    TRY_PLAIN(select_open(job, context, &o));
    st = read_scalars(o.notes, &s);
    if (!status_failed(&st))
        st = read_arrays(&o, &s);
    if (status_failed(&st)) {
        spectrum_release(&s);
        return st;
    }
    *ret_spectrum = s;
    *ret_notes = json_incref(o.notes);
    return SUCCESS;
}
