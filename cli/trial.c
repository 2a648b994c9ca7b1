#include "cli/trial.h"

#include <string.h>

#include "cli/board.h"
#include "cli/follow.h"
#include "cli/selector.h"
#include "cli/verify.h"
#include "common/memory.h"

MUST_CHECK static struct status load(struct session *s, const char *text,
                                     struct trial *t)
{
    AUTO(free_pointer) char *canonical = NULL;
    struct selector selector;
    bool excluded = false;

    TRY_PLAIN(selector_parse(text, &selector));
    TRY_PLAIN(board_trial_of(s, &selector, &t->number));
    TRY_PLAIN(follow_status(s, selector.sweep, &t->status));
    t->id = json_text_or(t->status, "id", "?");
    t->name = json_text_or(t->status, "name", "?");
    TRY_PLAIN(
        session_ask(s, "spec", json_pack("{s:s}", "sweep", t->id), &t->spec));
    TRY_PLAIN(session_ask(
        s, "trial",
        json_pack("{s:s, s:I}", "sweep", t->id, "trial", (json_int_t)t->number),
        &t->json));
    canonical = json_canonical(t->spec);
    TRY(compiled_parse(canonical, strlen(canonical), &t->compiled), "sweep %s",
        t->id);
    return compiled_trial(t->compiled, t->number - 1, &t->values, &excluded);
}

struct status trial_load(struct session *s, const char *text,
                         struct trial *ret_trial)
{
    struct status st;

    memset(ret_trial, 0, sizeof *ret_trial);
    st = load(s, text, ret_trial);
    if (status_failed(&st))
        trial_release(ret_trial);
    return st;
}

void trial_release(struct trial *t)
{
    compiled_free(t->compiled);
    json_decref(t->status);
    json_decref(t->spec);
    json_decref(t->json);
    json_decref(t->values);
    memset(t, 0, sizeof *t);
}

/* Is this hidden sweep the export of our trial? Then its digest is known. */
MUST_CHECK static struct status look_at(struct session *s,
                                        const json_t *document,
                                        const json_t *sweep, char **ret_digest)
{
    AUTO(json_release) json_t *spec = NULL;
    AUTO(json_release) json_t *files = NULL;
    const char *id = json_text_or(sweep, "id", "");
    const char *digest = NULL;

    if (json_int_or(sweep, "done", 0) == 0)
        return SUCCESS;
    TRY_PLAIN(session_ask(s, "spec", json_pack("{s:s}", "sweep", id), &spec));
    TRY_PLAIN(session_ask(
        s, "trial", json_pack("{s:s, s:i}", "sweep", id, "trial", 1), &files));
    digest = verify_known_digest(document, spec, files);
    if (digest != NULL)
        *ret_digest = xstrdup(digest);
    return SUCCESS;
}

struct status trial_digest(struct session *s, const struct trial *t,
                           char **ret_digest)
{
    AUTO(json_release) json_t *none = json_array();
    AUTO(json_release)
    json_t *document =
        compiled_verify_document(t->compiled, t->values, none, "");
    AUTO(json_release) json_t *answer = NULL;
    AUTO(free_pointer) char *name = xasprintf("%s-export", t->name);
    json_t *sweeps = NULL;

    *ret_digest = NULL;
    TRY_PLAIN(session_ask(s, "sweeps", NULL, &answer));
    TRY(json_member_array(answer, "sweeps", &sweeps), "sweeps");
    for (size_t i = 0; i < json_array_size(sweeps) && *ret_digest == NULL;
         i++) {
        const json_t *sweep = json_array_get(sweeps, i);

        if (json_bool_or(sweep, "hidden", false) &&
            strcmp(json_text_or(sweep, "name", ""), name) == 0)
            TRY_PLAIN(look_at(s, document, sweep, ret_digest));
    }
    return SUCCESS;
}
