#include "cli/command.h"

#include <stddef.h>
#include <string.h>

#include "cli/board.h"
#include "cli/selector.h"
#include "cli/session.h"

struct logs_settings {
    const char *stage;
};

static const struct option options[] = {
    { .name = "stage",
      .type = OPTION_TEXT,
      .offset = offsetof(struct logs_settings, stage),
      .value = "NAME",
      .help = "Only this stage or evaluator" },
    { .name = NULL },
};

static void print_job(const struct cli *cli, const json_t *job)
{
    const char *log = json_text_or(job, "log", "");
    const char *message = json_text_or(job, "message", "");
    size_t size = strlen(log);
    FILE *out = cli->out.stream;

    fprintf(out, "%s== %s: %s%s%s%s\n", terminal_bold(&cli->out),
            json_text_or(job, "stage", "?"), json_text_or(job, "state", "?"),
            message[0] == '\0' ? "" : ": ", message, terminal_plain(&cli->out));
    fputs(log, out);
    if (size > 0 && log[size - 1] != '\n')
        fputc('\n', out);
}

MUST_CHECK static struct status print_logs(struct cli *cli,
                                           const json_t *answer)
{
    json_t *jobs = NULL;

    TRY_PLAIN(json_member_array(answer, "jobs", &jobs));
    if (cli->options->json) {
        cli_print_document(cli, "logs", answer);
        return SUCCESS;
    }
    for (size_t i = 0; i < json_array_size(jobs); i++)
        print_job(cli, json_array_get(jobs, i));
    if (json_array_size(jobs) == 0)
        cli_note(cli, "%s has no jobs yet: it waits for a worker",
                 cli->operands[0]);
    return SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct logs_settings *settings = cli->settings;
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *answer = NULL;
    json_t *arguments = NULL;
    struct selector selector;
    uint64_t trial = 0;

    TRY_PLAIN(selector_parse(cli->operands[0], &selector));
    if (selector.trial == 0 && !selector.best)
        return cli_usage(cli, "which trial? write `sinter logs %s/12`",
                         selector.sweep);
    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(board_trial_of(&session, &selector, &trial));
    arguments = json_pack("{s:s, s:I}", "sweep", selector.sweep, "trial",
                          (json_int_t)trial);
    if (settings->stage != NULL)
        (void)json_object_set_new(arguments, "stage",
                                  json_string(settings->stage));
    TRY_PLAIN(session_ask(&session, "logs", arguments, &answer));
    return print_logs(cli, answer);
}

const struct command command_logs = {
    .name = "logs",
    .summary = "Print what the jobs of a trial wrote, and why one failed",
    .usage = "TRIAL",
    .details = "  TRIAL is SWEEP/12, or 12 of the last sweep.\n",
    .group = COMMAND_WATCH,
    .options = options,
    .settings_size = sizeof(struct logs_settings),
    .least = 1,
    .most = 1,
    .run = run,
};
