#include "cli/model_survey.h"

#include <string.h>

#include "cli/sources.h"
#include "common/limits.h"
#include "common/memory.h"
#include "sources/source_files.h"

/* Shapes of one shard; the sum of their elements. */
MUST_CHECK static struct status add_shapes(const struct source_file *file,
                                           json_t *tensors,
                                           uint64_t *parameters)
{
    struct st_header *header = NULL;
    const struct tensor_set *set = NULL;
    char shape[128];

    TRY_PLAIN(source_header(file, &header));
    set = st_header_tensors(header);
    for (size_t i = 0; i < set->count; i++) {
        const struct tensor *t = &set->items[i];

        (void)json_object_set_new(
            tensors, t->name,
            json_string(tensor_shape_text(t, shape, sizeof shape)));
        *parameters += t->count;
    }
    st_header_free(header);
    return SUCCESS;
}

MUST_CHECK static struct status survey(struct source_store *store,
                                       const char *url, json_t *entry)
{
    AUTO(source_files_release) struct source_files files = { .items = NULL };
    uint64_t bytes = 0;
    uint64_t parameters = 0;
    json_t *tensors = json_object();

    (void)json_object_set_new(entry, "tensors", tensors);
    (void)json_object_set_new(entry, "local",
                              json_boolean(source_is_here(url)));
    TRY_PLAIN(source_list(store, url, &files));
    for (size_t i = 0; i < files.count; i++) {
        bytes += files.items[i].size;
        if (source_is_model(url))
            TRY_PLAIN(add_shapes(&files.items[i], tensors, &parameters));
    }
    (void)json_object_set_new(entry, "files",
                              json_integer((json_int_t)files.count));
    (void)json_object_set_new(entry, "bytes", json_integer((json_int_t)bytes));
    (void)json_object_set_new(entry, "parameters",
                              json_integer((json_int_t)parameters));
    return SUCCESS;
}

/* Models of one merge, in the order of the file; the first sets the shapes. */
struct family {
    struct model_survey *survey;
    const char *stage;
    const char *first;
    json_t *tensors;
};

static const json_t *tensors_of(const struct model_survey *s, const char *url)
{
    return json_object_get(json_object_get(s->sources, url), "tensors");
}

static void clash(struct family *f, const char *url, const char *tensor,
                  const char *shape, const char *wanted)
{
    char text[1024];

    (void)snprintf(text, sizeof text,
                   "stage %s: %.200s is %s in %.300s, but %s in %.300s",
                   f->stage, tensor, shape, url, wanted, f->first);
    (void)json_array_append_new(f->survey->clashes, json_string(text));
}

static void compare(void *self, json_t *source)
{
    struct family *f = self;
    const char *url = json_text_or(source, "url", "");
    const char *name = NULL;
    json_t *shape = NULL;

    if (!source_is_model(url) || tensors_of(f->survey, url) == NULL)
        return;
    if (f->tensors == NULL) {
        f->first = url;
        f->tensors = json_incref(json_object_get(
            json_object_get(f->survey->sources, url), "tensors"));
        return;
    }
    json_object_foreach(f->tensors, name, shape)
    {
        const char *wanted = json_string_value(shape);
        const char *own = json_text_or(tensors_of(f->survey, url), name, NULL);

        if (own == NULL)
            clash(f, url, name, "missing", wanted);
        else if (strcmp(own, wanted) != 0)
            clash(f, url, name, own, wanted);
        if (own == NULL || strcmp(own, wanted) != 0)
            return; /* one sentence a model is enough */
    }
}

/* Must all models have the same tensors? Not where layers are chosen, rows go
 * by tokens, or the file says what becomes of other shapes. */
static bool is_of_one_shape(const json_t *params)
{
    static const char *const keys[] = { "slices", "tokenizer_source",
                                        "on_shape_mismatch" };

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (json_object_get(params, keys[i]) != NULL)
            return false;
    }
    return true;
}

static void compare_merges(struct model_survey *s, json_t *document)
{
    const json_t *stages = json_object_get(document, "stages");

    for (size_t i = 0; i < json_array_size(stages); i++) {
        const json_t *stage = json_array_get(stages, i);
        const json_t *variants = json_object_get(stage, "variants");

        if (strcmp(json_text_or(stage, "kind", ""), "merge") != 0)
            continue;
        for (size_t j = 0; j < json_array_size(variants); j++) {
            struct family f = { .survey = s };

            if (!is_of_one_shape(
                    json_object_get(json_array_get(variants, j), "params")))
                continue;
            f.stage = json_text_or(stage, "name", "?");
            sources_visit(json_array_get(variants, j), compare, &f);
            json_decref(f.tensors);
        }
    }
}

/* The same clash of several variants is one. */
static void remove_repeats(json_t *list)
{
    for (size_t i = json_array_size(list); i > 0; i--) {
        for (size_t j = 0; j + 1 < i; j++) {
            if (json_equal(json_array_get(list, i - 1),
                           json_array_get(list, j))) {
                (void)json_array_remove(list, i - 1);
                break;
            }
        }
    }
}

void model_survey_make(struct source_store *store, const json_t *sources,
                       json_t *document, struct model_survey *ret_survey)
{
    ret_survey->sources = json_object();
    ret_survey->clashes = json_array();
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const json_t *source = json_array_get(sources, i);
        const char *url = json_text_or(source, "url", NULL);
        json_t *entry = NULL;
        struct status st;

        if (url == NULL)
            url = json_text_or(json_object_get(source, "$source"), "url", "");
        if (json_object_get(ret_survey->sources, url) != NULL)
            continue;
        entry = json_object();
        st = survey(store, url, entry);
        if (status_failed(&st)) {
            json_object_clear(entry);
            (void)json_object_set_new(entry, "local",
                                      json_boolean(source_is_here(url)));
            (void)json_object_set_new(entry, "error", json_string(st.message));
        }
        (void)json_object_set_new(ret_survey->sources, url, entry);
    }
    compare_merges(ret_survey, document);
    remove_repeats(ret_survey->clashes);
}

void model_survey_release(struct model_survey *s)
{
    json_decref(s->sources);
    json_decref(s->clashes);
}

struct sum {
    const struct model_survey *survey;
    json_t *seen;
    uint64_t bytes;
};

static void add_bytes(void *self, json_t *source)
{
    struct sum *sum = self;
    const char *url = json_text_or(source, "url", "");
    const json_t *entry = json_object_get(sum->survey->sources, url);

    if (json_object_get(sum->seen, url) != NULL)
        return;
    (void)json_object_set_new(sum->seen, url, json_true());
    sum->bytes += (uint64_t)json_int_or(entry, "bytes", 0);
}

uint64_t model_survey_reads(const struct model_survey *s, json_t *json)
{
    struct sum sum = { .survey = s, .bytes = 0 };

    sum.seen = json_object();
    sources_visit(json, add_bytes, &sum);
    json_decref(sum.seen);
    return sum.bytes;
}
