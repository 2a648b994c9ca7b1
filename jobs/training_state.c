/* training_state.c -- a training on the disk: directories KEEP/state-STEP with
 * what the trainer says and a little more, each whole or absent. */
#include "jobs/training.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "tensor/safetensors.h"

static const char *directory_of(const struct job_context *context)
{
    return context->keep == NULL ? NULL : context->keep(context->self);
}

struct tensor training_number(const char *name, enum dtype dtype,
                              const void *data)
{
    return (struct tensor){ .name = name,
                            .dtype = dtype,
                            .rank = 1,
                            .shape = { 1 },
                            .count = 1,
                            .data = data };
}

static struct status write_state(const struct tensor_set *set,
                                 const char *directory)
{
    const struct st_writer_settings settings = { .directory = directory };
    AUTO(st_writer_release) struct st_writer *w = NULL;

    TRY_PLAIN(st_writer_new(&settings, set, &w));
    TRY_PLAIN(st_writer_add_all(w, set));
    return st_writer_finish(w);
}

/* All states but one. */
struct others {
    const char *but;
    struct status status;
};

static void remove_other(void *self, const char *path)
{
    struct others *o = self;
    const char *name = strrchr(path, '/');

    if (name != NULL && strncmp(name, "/state-", 7) == 0 &&
        strcmp(path, o->but) != 0 && !status_failed(&o->status))
        o->status = file_remove_tree(path);
}

MUST_CHECK static struct status store(struct job_context *context,
                                      uint64_t number, struct tensor *items,
                                      size_t count)
{
    const char *keep = directory_of(context);
    AUTO(free_pointer) char *path = NULL;
    struct others others = { .status = SUCCESS };
    const struct tensor_set set = { count, items };

    if (keep == NULL || number == 0)
        return SUCCESS;
    path = xasprintf("%s/state-%llu", keep, (unsigned long long)number);
    if (file_exists(path))
        return SUCCESS;
    qsort(items, count, sizeof(*items), tensor_by_name);
    TRY(write_state(&set, path), "state of the training");
    others.but = path;
    file_each(keep, remove_other, &others);
    return others.status;
}

void training_store(struct job_context *context, uint64_t number,
                    struct tensor *items, size_t count)
{
    struct status s = store(context, number, items, count);

    if (status_failed(&s))
        context->log(context->self, s.message);
}

void training_save(struct training *t)
{
    AUTO(free_pointer) struct tensor *items = NULL;
    size_t count;

    if (directory_of(t->context) == NULL)
        return;
    trainer_state(t->trainer, &items, &count);
    items = xrealloc(items, (count + 2) * sizeof(*items));
    items[count++] = training_number("training.loss", DTYPE_F64, &t->recent);
    items[count++] = training_number("training.tokens", DTYPE_U64, &t->tokens);
    training_store(t->context, t->done, items, count);
}

/* The state of the most steps. */
struct latest {
    char *path; /* owned; NULL: none */
    uint64_t steps;
};

static void look_at(void *self, const char *path)
{
    struct latest *l = self;
    const char *name = strrchr(path, '/');
    const char *sign = "/state-";
    uint64_t steps;
    char *end;

    if (name == NULL || strncmp(name, sign, strlen(sign)) != 0)
        return;
    steps = strtoull(name + strlen(sign), &end, 10);
    if (*end != '\0' || steps <= l->steps)
        return;
    free(l->path);
    l->path = xstrdup(path);
    l->steps = steps;
}

struct status training_take_number(const struct tensor_set *set,
                                   const char *name, enum dtype dtype,
                                   void *ret_value)
{
    const struct tensor *t = tensor_find(set, name);

    if (t == NULL || t->dtype != dtype || t->count != 1)
        return FAIL(STATUS_INVALID, "the state has no \"%s\"", name);
    memcpy(ret_value, t->data, sizeof(uint64_t));
    return SUCCESS;
}

static struct status take_state(struct training *t,
                                const struct tensor_set *set)
{
    double recent = 0.0;
    uint64_t tokens = 0;

    TRY_PLAIN(training_take_number(set, "training.loss", DTYPE_F64, &recent));
    TRY_PLAIN(training_take_number(set, "training.tokens", DTYPE_U64, &tokens));
    TRY_PLAIN(trainer_restore(t->trainer, set));
    t->recent = recent;
    t->tokens = tokens;
    t->done = trainer_steps(t->trainer);
    return SUCCESS;
}

char *training_latest(struct job_context *context)
{
    const char *keep = directory_of(context);
    struct latest latest = { .path = NULL };

    if (keep != NULL)
        file_each(keep, look_at, &latest);
    return latest.path;
}

struct status training_resume(struct training *t)
{
    AUTO(free_pointer) char *path = training_latest(t->context);
    struct st_model *file = NULL;
    struct status s;
    char line[256];

    if (path == NULL)
        return SUCCESS;
    s = st_model_open(path, &file);
    if (!status_failed(&s))
        s = take_state(t, st_model_tensors(file));
    if (status_failed(&s))
        (void)snprintf(line, sizeof(line), "begins anew: %.200s", s.message);
    else
        (void)snprintf(line, sizeof(line), "goes on behind step %llu",
                       (unsigned long long)t->done);
    t->context->log(t->context->self, line);
    st_model_close(file);
    return SUCCESS;
}
