#include "jobs/model_files.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static struct status add_tensors(struct st_writer *w,
                                 const struct tensor_set *set,
                                 struct job_context *context)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct tensor *t = &set->items[i];

        if (context->cancelled(context->self))
            return FAIL(STATUS_CANCELLED, "cancelled while writing tensors");
        TRY_PLAIN(st_writer_add(w, t->data, (size_t)tensor_bytes(t)));
        context->progress(context->self, i + 1, set->count, "tensor");
    }
    return SUCCESS;
}

struct status model_files_beside(struct st_writer *w,
                                 const struct merge_files *files)
{
    AUTO(free_pointer) char *config = NULL;

    if (files->config != NULL) {
        config = json_pretty(files->config);
        TRY_PLAIN(st_writer_add_file(w, "config.json", config, strlen(config)));
    }
    for (size_t i = 0; i < files->count; i++) {
        AUTO(free_pointer) char *bytes = NULL;
        size_t size;

        TRY_PLAIN(merge_files_read(files, i, &bytes, &size));
        TRY_PLAIN(st_writer_add_file(w, files->items[i].name, bytes, size));
    }
    return SUCCESS;
}

struct status model_files_add(struct st_writer *w, const struct recipe_model *m,
                              struct job_context *context)
{
    AUTO(merge_files_release) struct merge_files files = { .count = 0 };

    TRY_PLAIN(recipe_files(m, &files));
    TRY_PLAIN(add_tensors(w, recipe_tensors(m), context));
    return model_files_beside(w, &files);
}
