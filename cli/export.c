#include "cli/export.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/artifact.h"
#include "cli/follow.h"
#include "common/file.h"
#include "common/http.h"
#include "common/memory.h"
#include "sweep/compiled.h"

enum { EXPORT_PRIORITY = 100 };

/* The directory that must take the new one: the nearest that exists. */
static char *existing_parent(const char *directory)
{
    char *path = xstrdup(directory);

    for (;;) {
        char *slash = strrchr(path, '/');

        if (slash == NULL) {
            free(path);
            return xstrdup(".");
        }
        slash[slash == path ? 1 : 0] = '\0';
        if (file_exists(path))
            return path;
    }
}

struct status export_check(const char *directory)
{
    AUTO(free_pointer) char *parent = existing_parent(directory);
    struct statvfs disk;

    if (file_exists(directory))
        return SUCCESS; /* compared when the artifact is known */
    if (statvfs(parent, &disk) == 0 && (disk.f_flag & ST_RDONLY) != 0)
        return FAIL(STATUS_FAILED,
                    "cannot write %s: %s is on a read-only "
                    "disk",
                    directory, parent);
    if (access(parent, W_OK | X_OK) != 0)
        return FAIL(STATUS_FAILED, "cannot write %s: %s: %s", directory, parent,
                    strerror(errno));
    return SUCCESS;
}

MUST_CHECK static struct status make_document(struct session *s,
                                              const struct export_wish *wish,
                                              json_t **ret_document)
{
    AUTO(json_release) json_t *spec = NULL;
    AUTO(json_release) json_t *values = NULL;
    AUTO(free_pointer) char *text = NULL;
    struct compiled *c = NULL;
    bool excluded = false;
    struct status st;

    TRY_PLAIN(session_ask(s, "spec", json_pack("{s:s}", "sweep", wish->sweep),
                          &spec));
    text = json_canonical(spec);
    TRY(compiled_parse(text, strlen(text), &c), "sweep %s", wish->sweep);
    st = compiled_trial(c, wish->trial - 1, &values, &excluded);
    if (!status_failed(&st))
        st = compiled_export_document(c, values, wish->shard_bytes,
                                      ret_document);
    if (!status_failed(&st)) /* somebody waits for it */
        (void)json_object_set_new(*ret_document, "priority",
                                  json_integer(EXPORT_PRIORITY));
    compiled_free(c);
    return st;
}

/* The artifact that the export stage of the hidden sweep gave. */
MUST_CHECK static struct status find_artifact(struct session *s,
                                              const char *sweep,
                                              char ret_digest[65])
{
    AUTO(json_release) json_t *trial = NULL;
    json_t *jobs = NULL;

    TRY_PLAIN(session_ask(s, "trial",
                          json_pack("{s:s, s:i}", "sweep", sweep, "trial", 1),
                          &trial));
    TRY(json_member_array(trial, "jobs", &jobs), "export");
    for (size_t i = json_array_size(jobs); i > 0; i--) {
        const json_t *job = json_array_get(jobs, i - 1);
        const json_t *result = json_object_get(job, "result");
        const char *artifact = json_text_or(result, "artifact", NULL);

        if (strcmp(json_text_or(job, "kind", ""), "export") != 0 ||
            artifact == NULL)
            continue;
        (void)snprintf(ret_digest, 65, "%s", artifact);
        return SUCCESS;
    }
    return FAIL(STATUS_CORRUPT, "the export ended without an artifact");
}

MUST_CHECK static struct status make_files(struct cli *cli, struct session *s,
                                           const struct export_wish *wish,
                                           char ret_digest[65])
{
    AUTO(json_release) json_t *document = NULL;
    AUTO(json_release) json_t *status = NULL;
    AUTO(json_release) json_t *ignored = NULL;
    char sweep[SINTER_ID];
    bool duplicate = false;

    TRY_PLAIN(make_document(s, wish, &document));
    TRY_PLAIN(session_submit(s, document, sweep, &duplicate));
    if (duplicate) /* a former try may have failed for a passing reason */
        TRY_PLAIN(session_ask(
            s, "retry", json_pack("{s:s, s:b}", "sweep", sweep, "failed", 1),
            &ignored));
    TRY_PLAIN(follow_sweep(cli, s, sweep, FOLLOW_SILENT, &status));
    if (json_int_or(status, "done", 0) > 0)
        return find_artifact(s, sweep, ret_digest);
    return FAIL(STATUS_FAILED, "%s/%llu cannot be exported: %s", wish->sweep,
                (unsigned long long)wish->trial,
                json_text_or(json_object_get(status, "first_failure"),
                             "message", json_text_or(status, "state", "?")));
}

static bool cancelled(void *self)
{
    return session_sleep(self, 0);
}

struct status export_artifact(struct cli *cli, struct session *s,
                              const char *digest, const char *directory,
                              bool *ret_present)
{
    AUTO(json_release) json_t *depot = NULL;
    struct http_settings settings = { .cancelled = cancelled, .self = s };
    struct http *http = NULL;
    const char *url = NULL;
    struct status st;

    TRY_PLAIN(session_ask(s, "depot", NULL, &depot));
    TRY(json_member_text(depot, "url", &url), "depot");
    if (s->token_file != NULL) {
        settings.token_file = s->token_file;
        settings.token_prefix = url;
    }
    TRY_PLAIN(http_new(&settings, &http));
    st = artifact_download(http, url, digest, directory, ret_present);
    http_free(http);
    return cli_here(cli, st);
}

struct status export_trial(struct cli *cli, struct session *s,
                           const struct export_wish *wish,
                           struct export_outcome *ret_outcome)
{
    struct status st = export_check(wish->directory);

    if (status_failed(&st))
        return cli_here(cli, st);
    TRY_PLAIN(make_files(cli, s, wish, ret_outcome->digest));
    return export_artifact(cli, s, ret_outcome->digest, wish->directory,
                           &ret_outcome->present);
}
