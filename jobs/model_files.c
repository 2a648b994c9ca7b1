#include "jobs/model_files.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"

enum { FILE_LIMIT = 64 << 20 }; /* of a tokenizer or vocabulary */

/* Taken along from the base if they are there. */
static const char *const companions[] = {
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
};

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

static struct status add_companion(struct st_writer *w, const char *directory,
                                   const char *name)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, name);
    AUTO(free_pointer) char *text = NULL;
    size_t size;

    if (!file_exists(path))
        return SUCCESS;
    TRY_PLAIN(file_read(path, FILE_LIMIT, &text, &size));
    return st_writer_add_file(w, name, text, size);
}

struct status model_files_add(struct st_writer *w, const struct recipe_model *m,
                              struct job_context *context)
{
    const char *directory = recipe_directory(m);
    AUTO(free_pointer) char *config = NULL;

    TRY_PLAIN(add_tensors(w, recipe_tensors(m), context));
    if (recipe_config(m) != NULL) {
        config = json_pretty(recipe_config(m));
        TRY_PLAIN(st_writer_add_file(w, "config.json", config, strlen(config)));
    }
    for (size_t i = 0; directory != NULL && i < COUNT_OF(companions); i++)
        TRY_PLAIN(add_companion(w, directory, companions[i]));
    return SUCCESS;
}
