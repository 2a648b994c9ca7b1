#include "cli/command.h"

#include <stddef.h>
#include <unistd.h>

#include "cli/number.h"
#include "cli/session.h"
#include "common/clock.h"

enum { POLL_MS = 100 };

struct gc_settings {
    int64_t older_ms;
    bool deletes;
};

#define AT(member) offsetof(struct gc_settings, member)
static const struct option options[] = {
    { .name = "delete",
      .type = OPTION_SWITCH,
      .offset = AT(deletes),
      .help = "Delete it; without, only what would go is counted" },
    { .name = "older",
      .type = OPTION_MS,
      .offset = AT(older_ms),
      .otherwise = "24h",
      .value = "DUR",
      .help = "Only what was not touched for so long" },
    { .name = NULL },
};
#undef AT

static void tell(const struct cli *cli, int64_t older_ms, const json_t *answer)
{
    bool deleted = json_bool_or(answer, "deleted", false);
    long long blobs = (long long)json_int_or(answer, "blobs", 0);
    char gone[NUMBER_TEXT];
    char kept[NUMBER_TEXT];
    char age[NUMBER_TEXT];

    number_duration(older_ms, age);
    number_bytes((uint64_t)json_int_or(answer, "bytes", 0), gone);
    number_bytes((uint64_t)json_int_or(answer, "kept_bytes", 0), kept);
    fprintf(cli->out.stream,
            "%s  %lld file%s, %s, of %lld result%s that no sweep leads to, "
            "untouched for %s\n",
            deleted ? "deleted" : "garbage", blobs, blobs == 1 ? "" : "s", gone,
            (long long)json_int_or(answer, "results", 0),
            json_int_or(answer, "results", 0) == 1 ? "" : "s", age);
    fprintf(cli->out.stream, "kept     %lld files, %s\n",
            (long long)json_int_or(answer, "kept", 0), kept);
    if (!deleted && blobs > 0)
        cli_note(cli, "nothing was deleted; sinter gc --delete does");
}

MUST_CHECK static struct status ask(struct session *session,
                                    const struct gc_settings *settings,
                                    const char *ticket, json_t **ret_answer)
{
    return session_ask(session, "gc",
                       json_pack("{s:s, s:b, s:I}", "ticket", ticket, "delete",
                                 (int)settings->deletes, "older_ms",
                                 (json_int_t)settings->older_ms),
                       ret_answer);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct gc_settings *settings = cli->settings;
    AUTO(session_release) struct session session = { .client = NULL };
    json_t *answer = NULL;
    char ticket[64];

    (void)snprintf(ticket, sizeof ticket, "%ld-%lld", (long)getpid(),
                   (long long)clock_wall_ms());
    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(ask(&session, settings, ticket, &answer));
    while (json_bool_or(answer, "running", false)) {
        json_decref(answer);
        if (session_sleep(&session, POLL_MS))
            return FAIL(STATUS_CANCELLED,
                        "interrupted; the broker goes on with it");
        TRY_PLAIN(ask(&session, settings, ticket, &answer));
    }
    if (cli->options->json)
        cli_print_document(cli, "gc", answer);
    else
        tell(cli, settings->older_ms, answer);
    json_decref(answer);
    return SUCCESS;
}

const struct command command_gc = {
    .name = "gc",
    .summary = "Give back space that no sweep needs; a dry run first",
    .usage = "",
    .details = "  Artifacts (trained models, exports) stay as long as a sweep "
               "leads to them:\n  `sinter rm` lets go of a sweep. Exports that "
               "were fetched go by age.\n",
    .group = COMMAND_FARM,
    .options = options,
    .settings_size = sizeof(struct gc_settings),
    .run = run,
};
