#include "jobs/select_part.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/model_input.h"

enum { NAME = 64 };

/* Behind all blocks in the order of names; no part is without it. */
static const char place_name[] = "place";

static void name_of(char text[NAME], size_t block,
                    const struct select_column *column)
{
    (void)snprintf(text, NAME, "%08zu.%s", block, column->name);
}

struct status select_part_range(struct select_part *p, size_t kept)
{
    size_t part = (size_t)json_int_or(p->params, "part", 0);
    size_t parts = (size_t)json_int_or(p->params, "parts", 1);
    size_t blocks = (kept + SELECT_BLOCK - 1) / SELECT_BLOCK;

    if (part >= parts || parts > SELECT_PARTS)
        return FAIL(STATUS_INVALID,
                    "there is no part %zu of %zu; they count from 0, up to %d",
                    part, parts, SELECT_PARTS);
    p->last_block = select_part(blocks, part, parts, &p->block);
    p->first = p->block * SELECT_BLOCK;
    p->end = p->last_block * SELECT_BLOCK;
    p->first = p->first < kept ? p->first : kept;
    p->end = p->end < kept ? p->end : kept;
    return SUCCESS;
}

bool select_part_next(const struct select_part *p, size_t *ret_first,
                      size_t *ret_count)
{
    size_t first = p->block * SELECT_BLOCK;
    size_t left = p->end - (first < p->end ? first : p->end);

    *ret_first = first;
    *ret_count = left < SELECT_BLOCK ? left : SELECT_BLOCK;
    return !p->whole && p->block < p->last_block;
}

static size_t rows_of(const struct select_part *p, size_t first, size_t count,
                      const struct select_column *column)
{
    size_t at = first - p->first;

    return column->by_row ? p->starts[at + count] - p->starts[at] : count;
}

static struct tensor tensor_of(const char *name,
                               const struct select_column *column, size_t rows)
{
    return (struct tensor){ .name = name,
                            .dtype = column->dtype,
                            .rank = column->width == 1 ? 1 : 2,
                            .shape = { rows, column->width },
                            .count = rows * column->width };
}

/* All that will be written. */
struct outline {
    struct tensor *items;
    char (*names)[NAME];
    size_t count;
};

static void outline_release(struct outline *o)
{
    free(o->items);
    free(o->names);
}

static void lay_out(const struct select_part *part, struct outline *o)
{
    struct select_part p = *part;
    size_t most = (p.last_block - p.block) * p.column_count + 1;
    size_t first, count;

    o->items = xcalloc(most, sizeof(*o->items));
    o->names = xcalloc(most, sizeof(*o->names));
    for (; select_part_next(&p, &first, &count); p.block++)
        for (size_t c = 0; c < p.column_count; c++, o->count++) {
            const struct select_column *column = &p.columns[c];

            name_of(o->names[o->count], p.block, column);
            o->items[o->count] = tensor_of(o->names[o->count], column,
                                           rows_of(&p, first, count, column));
        }
    o->items[o->count++] = (struct tensor){ .name = place_name,
                                            .dtype = DTYPE_U64,
                                            .rank = 1,
                                            .shape = { 1 },
                                            .count = 1 };
}

static void note_kept(struct select_part *p)
{
    size_t done = st_writer_done(p->writer);
    size_t blocks = p->last_block - p->block;
    char line[96];

    if (done == 0)
        return;
    p->skip = done % p->column_count;
    done /= p->column_count;
    p->block += done < blocks ? done : blocks;
    (void)snprintf(line, sizeof(line), "goes on behind sample %zu",
                   p->block * SELECT_BLOCK);
    p->context->log(p->context->self, line);
}

struct status select_part_open(struct select_part *p)
{
    const char *keep =
        p->context->keep == NULL ? NULL : p->context->keep(p->context->self);
    AUTO(free_pointer) char *text = json_canonical(p->params);
    const struct digest recipe = digest_of(text, strlen(text));
    AUTO(outline_release) struct outline o = { .count = 0 };
    struct st_writer_settings settings = { .recipe = &recipe };

    p->directory =
        xasprintf("%s/part", keep == NULL ? p->context->scratch : keep);
    if (file_exists(p->directory)) {
        p->whole = true;
        return SUCCESS;
    }
    lay_out(p, &o);
    settings.directory = p->directory;
    TRY_PLAIN(st_writer_new(
        &settings, &(const struct tensor_set){ o.count, o.items }, &p->writer));
    note_kept(p);
    return SUCCESS;
}

void select_part_release(struct select_part *p)
{
    st_writer_free(p->writer);
    free(p->directory);
    free(p->starts);
}

struct status select_part_add(struct select_part *p,
                              const void *const columns[SELECT_COLUMNS])
{
    struct job_context *c = p->context;
    size_t first, count;

    (void)select_part_next(p, &first, &count);
    for (size_t i = p->skip; i < p->column_count; i++) {
        const struct select_column *column = &p->columns[i];
        size_t rows = rows_of(p, first, count, column);

        TRY_PLAIN(
            st_writer_add(p->writer, columns[i],
                          rows * column->width * dtype_size(column->dtype)));
    }
    p->skip = 0;
    p->block++;
    c->progress(c->self, first + count - p->first, p->end - p->first, "sample");
    if (c->save_due != NULL && c->save_due(c->self))
        TRY_PLAIN(st_writer_checkpoint(p->writer));
    if (!c->cancelled(c->self))
        return SUCCESS;
    TRY_PLAIN(st_writer_checkpoint(p->writer));
    return FAIL(STATUS_CANCELLED, "cancelled behind sample %zu", first + count);
}

struct status select_part_finish(struct select_part *p, const json_t *notes,
                                 char ret_artifact[DIGEST_TEXT])
{
    AUTO(free_pointer) char *text = json_canonical(notes);
    uint64_t place = p->first;

    if (!p->whole) {
        TRY_PLAIN(st_writer_add(p->writer, &place, sizeof(place)));
        TRY_PLAIN(
            st_writer_add_file(p->writer, "notes.json", text, strlen(text)));
        TRY_PLAIN(st_writer_finish(p->writer));
    }
    return p->context->put_artifact(p->context->self, p->directory,
                                    ret_artifact);
}

/* ---- to read them ------------------------------------------------------------ */

struct status select_part_block(const struct select_opened *o, size_t first,
                                const struct select_column *column,
                                const struct tensor **ret_tensor)
{
    char name[NAME];

    name_of(name, first / SELECT_BLOCK, column);
    *ret_tensor = tensor_find(st_model_tensors(o->file), name);
    if (*ret_tensor == NULL || (*ret_tensor)->dtype != column->dtype ||
        (*ret_tensor)->count != (*ret_tensor)->shape[0] * column->width)
        return FAIL(STATUS_CORRUPT, "a part of the selection has no \"%s\"",
                    name);
    return SUCCESS;
}

/* Where columns of all parts are gathered. */
struct gathered {
    const struct select_column *column;
    struct job_context *context;
    char *bytes;
    size_t size, rows;
};

static bool is_column(const char *name, const char *column)
{
    const char *dot = strchr(name, '.');

    return dot != NULL && strcmp(dot + 1, column) == 0;
}

MUST_CHECK static struct status gather_tensor(struct gathered *g,
                                              const struct tensor *t)
{
    size_t size = (size_t)tensor_bytes(t);

    if (t->dtype != g->column->dtype ||
        t->count != t->shape[0] * g->column->width)
        return FAIL(STATUS_CORRUPT,
                    "a part of the selection has another \"%s\" than rows of "
                    "%zu",
                    t->name, g->column->width);
    TRY_PLAIN(model_input_fits(g->size + size, g->column->name, g->context));
    g->bytes = xrealloc(g->bytes, g->size + size + 1);
    memcpy(g->bytes + g->size, t->data, size);
    g->size += size;
    g->rows += (size_t)t->shape[0];
    return SUCCESS;
}

MUST_CHECK static struct status gather_part(struct gathered *g,
                                            const json_t *job)
{
    AUTO(select_opened_release) struct select_opened o = { .file = NULL };
    const struct tensor_set *set;

    TRY_PLAIN(select_open(job, g->context, &o));
    set = st_model_tensors(o.file);
    for (size_t i = 0; i < set->count; i++)
        if (is_column(set->items[i].name, g->column->name))
            TRY_PLAIN(gather_tensor(g, &set->items[i]));
    return SUCCESS;
}

struct status select_parts_take(const json_t *list, struct job_context *context,
                                const struct select_column *column,
                                void **ret_data, size_t *ret_rows)
{
    struct gathered g = { .column = column,
                          .context = context,
                          .bytes = xcalloc(1, 1) };

    for (size_t i = 0; i < json_array_size(list); i++) {
        struct status s = gather_part(&g, json_array_get(list, i));

        if (status_failed(&s)) {
            free(g.bytes);
            return status_wrap(s, "part %zu", i + 1);
        }
    }
    *ret_data = g.bytes;
    *ret_rows = g.rows;
    return SUCCESS;
}
