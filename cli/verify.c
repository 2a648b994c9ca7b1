#include "cli/verify.h"

#include <string.h>

#include "common/digest.h"
#include "common/memory.h"

static const json_t *job_of(const json_t *trial, const char *stage)
{
    const json_t *jobs = json_object_get(trial, "jobs");

    for (size_t i = 0; i < json_array_size(jobs); i++) {
        const json_t *job = json_array_get(jobs, i);

        if (strcmp(json_text_or(job, "stage", ""), stage) == 0)
            return job;
    }
    return NULL;
}

/* A stage may be there twice: of the replicate that a trial is compared with
 * too, which comes behind. */
static void add_name(json_t *names, const char *name, const char *only)
{
    bool known = false;

    for (size_t i = 0; i < json_array_size(names); i++)
        known = known ||
                strcmp(json_string_value(json_array_get(names, i)), name) == 0;
    if (!known && (only == NULL || strcmp(only, name) == 0))
        (void)json_array_append_new(names, json_string(name));
}

json_t *verify_names(const json_t *trial, const json_t *spec, const char *only)
{
    const json_t *jobs = json_object_get(trial, "jobs");
    const json_t *stages = json_object_get(spec, "stages");
    const json_t *last = NULL;
    json_t *names = json_array();

    if (json_array_size(stages) > 0)
        last = json_array_get(stages, json_array_size(stages) - 1);
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        const json_t *job = json_array_get(jobs, i);

        if (strcmp(json_text_or(job, "state", ""), "done") == 0)
            add_name(names, json_text_or(job, "stage", ""), only);
    }
    if (strcmp(json_text_or(last, "sort", ""), "lazy") == 0)
        add_name(names, json_text_or(last, "name", ""), only);
    return names;
}

static bool same_stages(const json_t *document, const json_t *export)
{
    const json_t *ours = json_object_get(document, "stages");
    const json_t *theirs = json_object_get(export, "stages");

    if (json_array_size(theirs) != json_array_size(ours) + 1)
        return false;
    for (size_t i = 0; i < json_array_size(ours); i++) {
        if (!json_equal(json_array_get(ours, i), json_array_get(theirs, i)))
            return false;
    }
    return true;
}

/* Both may lack it. */
static bool same_member(const json_t *a, const json_t *b, const char *name)
{
    const json_t *x = json_object_get(a, name), *y = json_object_get(b, name);

    return x == y || (x != NULL && y != NULL && json_equal(x, y));
}

const char *verify_known_digest(const json_t *document, const json_t *export,
                                const json_t *files)
{
    static const char *const fixed[] = { "parameters", "cases", "replicates" };
    const json_t *jobs = json_object_get(files, "jobs");

    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        if (!same_member(document, export, fixed[i]))
            return NULL;
    }
    if (!same_stages(document, export))
        return NULL;
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        const json_t *result =
            json_object_get(json_array_get(jobs, i), "result");
        const char *digest = json_text_or(result, "model_digest", NULL);

        if (digest != NULL)
            return digest;
    }
    return NULL;
}

static json_t *or_null(const json_t *value)
{
    return value == NULL ? json_null()
                         : json_incref((json_t *)(uintptr_t)value);
}

static void add_row(json_t *rows, const char *stage, const char *what,
                    const json_t *was, const json_t *is)
{
    bool known = was != NULL && !json_is_null(was);
    bool same = known && is != NULL && json_equal(was, is);

    (void)json_array_append_new(
        rows, json_pack("{s:s, s:s, s:o, s:o, s:s}", "stage", stage, "what",
                        what, "was", or_null(was), "is", or_null(is), "verdict",
                        !known ? "new" : (same ? "same" : "differs")));
}

/* Whole numbers and reals of one value are one number. */
static json_t *plain(const json_t *value)
{
    if (value == NULL)
        return NULL;
    return json_is_number(value) ? json_real(json_number_value(value))
                                 : json_incref((json_t *)(uintptr_t)value);
}

static void compare_metrics(json_t *rows, const char *stage, const json_t *was,
                            const json_t *is)
{
    AUTO(json_release) json_t *all = json_object();
    const char *name = NULL;
    json_t *unused = NULL;

    if (was != NULL)
        (void)json_object_update(all, (json_t *)(uintptr_t)was);
    if (is != NULL)
        (void)json_object_update_missing(all, (json_t *)(uintptr_t)is);
    json_object_foreach(all, name, unused)
    {
        AUTO(json_release) json_t *before = plain(json_object_get(was, name));
        AUTO(json_release) json_t *now = plain(json_object_get(is, name));

        add_row(rows, stage, name, before, now);
    }
}

/* Scores of items may be many: their digest stands for them. */
static json_t *digest_json(const json_t *value)
{
    AUTO(free_pointer) char *canonical = NULL;
    struct digest digest;
    char text[DIGEST_TEXT];

    if (value == NULL)
        return NULL;
    canonical = json_canonical(value);
    digest = digest_of(canonical, strlen(canonical));
    digest_to_text(&digest, text);
    return json_string(text);
}

static void compare_job(json_t *rows, const char *stage, const json_t *was,
                        const json_t *is)
{
    static const char *const digests[] = { "artifact", "model_digest" };
    AUTO(json_release)
    json_t *before = digest_json(json_object_get(was, "scores"));
    AUTO(json_release) json_t *now = digest_json(json_object_get(is, "scores"));

    for (size_t i = 0; i < COUNT_OF(digests); i++) {
        const json_t *a = json_object_get(was, digests[i]);
        const json_t *b = json_object_get(is, digests[i]);

        if (a != NULL || b != NULL)
            add_row(rows, stage, digests[i], a, b);
    }
    compare_metrics(rows, stage, json_object_get(was, "metrics"),
                    json_object_get(is, "metrics"));
    if (before != NULL || now != NULL)
        add_row(rows, stage, "scores", before, now);
}

json_t *verify_compare(const json_t *trial, const json_t *again,
                       const char *digest)
{
    const json_t *jobs = json_object_get(again, "jobs");
    json_t *rows = json_array();

    for (size_t i = 0; i < json_array_size(jobs); i++) {
        const json_t *all = json_object_get(json_array_get(jobs, i), "result");
        const json_t *is = json_object_get(all, "result");
        const char *stage = json_text_or(all, "stage", NULL);
        const json_t *job = NULL;
        AUTO(json_release) json_t *known = NULL;

        if (stage == NULL) /* an input that had to be there */
            continue;
        job = job_of(trial, stage);
        if (job != NULL) {
            compare_job(rows, stage, json_object_get(job, "result"), is);
            continue;
        }
        known = digest == NULL ? NULL : json_string(digest);
        add_row(rows, stage, "model_digest", known,
                json_object_get(is, "model_digest"));
    }
    return rows;
}
