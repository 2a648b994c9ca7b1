#include "jobs/select_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/memory.h"
#include "jobs/recipe.h"

void select_store_add(struct select_store *s, const char *name,
                      enum dtype dtype, size_t rows, size_t width,
                      const void *data)
{
    assert(s->count < SELECT_ARRAYS);
    s->arrays[s->count++] = (struct tensor){ .name = name,
                                             .dtype = dtype,
                                             .rank = width == 1 ? 1 : 2,
                                             .shape = { rows, width },
                                             .count = rows * width,
                                             .data = data };
}

struct status select_store_put(struct select_store *s, const json_t *notes,
                               struct job_context *context,
                               char ret_artifact[DIGEST_TEXT])
{
    AUTO(free_pointer)
    char *directory = xasprintf("%s/select", context->scratch);
    const struct st_writer_settings settings = { .directory = directory };
    const struct tensor_set set = { s->count, s->arrays };
    AUTO(st_writer_release) struct st_writer *w = NULL;
    AUTO(free_pointer) char *text = json_canonical(notes);

    if (s->count > 0)
        qsort(s->arrays, s->count, sizeof(*s->arrays), tensor_by_name);
    TRY_PLAIN(st_writer_new(&settings, &set, &w));
    TRY_PLAIN(st_writer_add_all(w, &set));
    TRY_PLAIN(st_writer_add_file(w, "notes.json", text, strlen(text)));
    TRY_PLAIN(st_writer_finish(w));
    return context->put_artifact(context->self, directory, ret_artifact);
}

static struct status open_both(const char *directory, struct select_opened *o)
{
    AUTO(free_pointer) char *path = xasprintf("%s/notes.json", directory);

    TRY_PLAIN(json_parse_file(path, LIMIT_COMPANION, &o->notes));
    return st_model_open(directory, &o->file);
}

struct status select_open(const json_t *job, struct job_context *context,
                          struct select_opened *ret_opened)
{
    struct select_opened o = { .file = NULL };
    const char *directory;
    struct status s;

    TRY_PLAIN(recipe_path(job, context, &directory));
    s = open_both(directory, &o);
    if (status_failed(&s))
        select_opened_release(&o);
    else
        *ret_opened = o;
    return s;
}

void select_opened_release(struct select_opened *o)
{
    st_model_close(o->file);
    json_decref(o->notes);
    *o = (struct select_opened){ .file = NULL };
}

struct status select_take(const struct select_opened *o, const char *name,
                          enum dtype dtype, size_t width, void **ret_data,
                          size_t *ret_rows)
{
    const struct tensor *t = tensor_find(st_model_tensors(o->file), name);
    size_t wide = t != NULL && t->rank == 2 ? (size_t)t->shape[1] : 1;

    if (t == NULL || t->dtype != dtype || t->rank < 1 || t->rank > 2 ||
        wide != width)
        return FAIL(STATUS_CORRUPT,
                    "an artifact of the selection has no \"%s\" of %zu %s",
                    name, width, dtype_name(dtype));
    *ret_rows = (size_t)t->shape[0];
    *ret_data = alloc_large((size_t)tensor_bytes(t) + 1);
    if (*ret_data == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for \"%s\": %zu bytes", name,
                    (size_t)tensor_bytes(t));
    memcpy(*ret_data, t->data, (size_t)tensor_bytes(t));
    return SUCCESS;
}

struct status select_take_rows(const struct select_opened *o, const char *name,
                               enum dtype dtype, size_t width, size_t rows,
                               void **ret_data)
{
    size_t found = 0;

    TRY_PLAIN(select_take(o, name, dtype, width, ret_data, &found));
    if (found == rows)
        return SUCCESS;
    free(*ret_data);
    *ret_data = NULL;
    return FAIL(STATUS_CORRUPT,
                "an artifact of the selection has %zu rows of \"%s\", not %zu",
                found, name, rows);
}
