#include "cli/follow.h"

#include <string.h>

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "common/clock.h"
#include "common/memory.h"

enum { FIRST_MS = 20, MOST_MS = 500 };

struct status follow_status(struct session *s, const char *sweep,
                            json_t **ret_status)
{
    return session_ask(s, "status", json_pack("{s:s}", "sweep", sweep),
                       ret_status);
}

void follow_store(const struct cli *cli, const json_t *status)
{
    const char *store = json_text_or(status, "store_error", NULL);

    if (store != NULL && !cli->options->json)
        cli_warn(cli,
                 "the store is away (%s): this is what the broker knows, "
                 "not all of it may be durable",
                 store);
}

bool follow_has_ended(const json_t *status)
{
    return strcmp(json_text_or(status, "state", ""), "running") != 0;
}

/* A wait that nobody but a person ends. The block on a terminal says it, and
 * so does JSON. */
static void tell_pause(const struct cli *cli, enum follow_show show,
                       const json_t *before, const json_t *status)
{
    bool is_seen =
        show == FOLLOW_JSON || (show == FOLLOW_PROGRESS && cli->err.tty &&
                                !cli->options->quiet && !cli->options->json);

    if (is_seen || !json_bool_or(status, "paused", false) ||
        json_bool_or(before, "paused", false))
        return;
    cli_warn(cli, "%s is paused; `sinter resume %s` goes on",
             json_text_or(status, "name", "?"),
             json_text_or(status, "id", "@last"));
}

static void show_one(struct cli *cli, enum follow_show show,
                     struct progress *progress, const json_t *before,
                     const json_t *status)
{
    tell_pause(cli, show, before, status);
    if (show == FOLLOW_PROGRESS)
        progress_show(progress, status, clock_now());
    else if (show == FOLLOW_JSON &&
             (before == NULL || !json_equal(before, status)))
        cli_print_line(cli, "status", status);
}

struct status follow_sweep(struct cli *cli, struct session *s,
                           const char *sweep, enum follow_show show,
                           json_t **ret_status)
{
    AUTO(json_release) json_t *status = NULL;
    struct progress progress;
    int64_t wait_ms = FIRST_MS;

    *ret_status = NULL;
    progress_init(&progress, &cli->err,
                  cli->options->quiet || cli->options->json);
    for (;;) {
        json_t *fresh = NULL;

        TRY_PLAIN(follow_status(s, sweep, &fresh));
        show_one(cli, show, &progress, status, fresh);
        json_decref(status);
        status = fresh;
        if (follow_has_ended(status))
            break;
        if (session_sleep(s, wait_ms)) {
            if (status_failed(&s->trouble))
                return s->trouble;
            *ret_status = json_incref(status);
            return FAIL(STATUS_CANCELLED, "interrupted");
        }
        wait_ms = wait_ms * 2 < MOST_MS ? wait_ms * 2 : MOST_MS;
    }
    progress_end(&progress, status);
    *ret_status = json_incref(status);
    return SUCCESS;
}

static void tell_failure(const struct cli *cli, const json_t *status)
{
    const json_t *first = json_object_get(status, "first_failure");
    long long trial = (long long)json_int_or(first, "trial", 0);

    if (!json_is_object(first))
        return;
    cli_note(cli, "first failure: #%lld in %s: %s", trial,
             json_text_or(first, "stage", "?"),
             json_text_or(first, "message", "?"));
    cli_note(cli, "more: sinter logs %s/%lld; again: sinter retry %s --failed",
             json_text_or(status, "id", "@last"), trial,
             json_text_or(status, "id", "@last"));
}

void follow_verdict(struct cli *cli, const json_t *status)
{
    const char *state = json_text_or(status, "state", "?");
    long long failed = (long long)json_int_or(status, "failed", 0);
    int64_t done = json_int_or(status, "done", 0);

    if (failed > 0)
        cli_note(cli, "%lld of %lld trials failed", failed,
                 (long long)json_int_or(status, "trials", 0));
    tell_failure(cli, status);
    if (strcmp(state, "cancelled") == 0)
        cli_note(cli, "the sweep was cancelled; `sinter retry %s` goes on",
                 json_text_or(status, "id", "@last"));
    /* "any number may fail" does not mean that nothing need come out */
    if (strcmp(state, "done") != 0 || (failed > 0 && done == 0))
        cli->exit = CLI_SWEEP;
}

struct status follow_to_verdict(struct cli *cli, struct session *s,
                                const char *sweep, enum follow_show show,
                                json_t **ret_status)
{
    struct status st = follow_sweep(cli, s, sweep, show, ret_status);

    if (st.code == STATUS_CANCELLED && interrupt_seen())
        cli_note(cli,
                 "the sweep goes on: sinter watch %s, or end it: sinter "
                 "cancel %s",
                 sweep, sweep);
    TRY_PLAIN(st);
    follow_verdict(cli, *ret_status);
    return SUCCESS;
}
