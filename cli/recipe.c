#include "cli/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/memory.h"
#include "jobs/merge_text.h"

/* "# name: value" for each member. */
MUST_CHECK static struct status add_members(struct buf *out, const char *title,
                                            const json_t *members)
{
    const char *name = NULL;
    json_t *value = NULL;

    if (json_object_size(members) == 0)
        return SUCCESS;
    TRY_PLAIN(buf_print(out, "# %s:\n", title));
    json_object_foreach((json_t *)(uintptr_t)members, name, value)
    {
        AUTO(free_pointer) char *text = json_canonical(value);

        TRY_PLAIN(buf_print(out, "#   %s: %s\n", name, text));
    }
    return SUCCESS;
}

MUST_CHECK static struct status write_yaml(const struct trial *t,
                                           const char *digest, struct buf *out)
{
    TRY_PLAIN(buf_print(out, "# Trial %llu of %s (%s), made by sinter %s\n",
                        (unsigned long long)t->number, t->name, t->id,
                        SINTER_VERSION));
    TRY_PLAIN(add_members(out, "values", t->values));
    TRY_PLAIN(add_members(out, "metrics", json_object_get(t->json, "metrics")));
    if (digest != NULL)
        TRY_PLAIN(buf_print(out, "# model_digest: %s\n", digest));
    return merge_text(json_object_get(t->json, "model"), out);
}

static char *json_text(const struct trial *t, const char *digest)
{
    AUTO(json_release)
    json_t *recipe = json_pack(
        "{s:i, s:s, s:s, s:I, s:O, s:O, s:O}", "sinter_recipe", 1, "sweep",
        t->id, "name", t->name, "trial", (json_int_t)t->number, "values",
        t->values, "metrics", json_object_get(t->json, "metrics"), "model",
        json_object_get(t->json, "model"));
    AUTO(free_pointer) char *text = NULL;

    if (digest != NULL)
        (void)json_object_set_new(recipe, "model_digest", json_string(digest));
    text = json_shown(recipe);
    return xasprintf("%s\n", text);
}

struct status recipe_of_trial(struct session *s, const struct trial *t,
                              bool json, char **ret_text)
{
    AUTO(free_pointer) char *digest = NULL;
    struct buf out;
    struct status st;

    if (!json_is_object(json_object_get(t->json, "model")))
        return FAIL(STATUS_INVALID, "%s has no stage that makes a model",
                    t->name);
    TRY_PLAIN(trial_digest(s, t, &digest));
    if (json) {
        *ret_text = json_text(t, digest);
        return SUCCESS;
    }
    buf_init(&out, (size_t)2 * LIMIT_PARAMS);
    st = write_yaml(t, digest, &out);
    if (!status_failed(&st))
        *ret_text = buf_take(&out);
    buf_release(&out);
    if (status_failed(&st))
        return status_wrap(st, "#%llu of %s", (unsigned long long)t->number,
                           t->name);
    return SUCCESS;
}
