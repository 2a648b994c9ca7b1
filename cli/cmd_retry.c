#include "cli/command.h"

#include <stddef.h>
#include <string.h>

#include "cli/follow.h"
#include "cli/selector.h"
#include "cli/session.h"

struct retry_settings {
    bool failed;
};

static const struct option options[] = {
    { .name = "failed",
      .type = OPTION_SWITCH,
      .offset = offsetof(struct retry_settings, failed),
      .help = "All failed and cancelled trials (when none is named)" },
    { .name = NULL },
};

/* "SWEEP", or "SWEEP/3" "SWEEP/5": trials of one sweep. */
MUST_CHECK static struct status read_operands(struct cli *cli,
                                              struct selector *ret_sweep,
                                              json_t *trials)
{
    struct selector selector;

    for (size_t i = 0; i < cli->operand_count; i++) {
        TRY_PLAIN(selector_parse(cli->operands[i], &selector));
        if (i > 0 && strcmp(selector.sweep, ret_sweep->sweep) != 0)
            return cli_usage(cli,
                             "`%s` and `%s` are two sweeps; retry one "
                             "after the other",
                             ret_sweep->sweep, selector.sweep);
        if (selector.best)
            return cli_usage(cli, "the best trial has not failed");
        *ret_sweep = selector;
        if (selector.trial != 0)
            (void)json_array_append_new(
                trials, json_integer((json_int_t)selector.trial));
    }
    return SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct retry_settings *settings = cli->settings;
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *trials = json_array();
    AUTO(json_release) json_t *answer = NULL;
    json_t *arguments = NULL;
    struct selector selector = { .trial = 0 };
    AUTO(json_release) json_t *status = NULL;
    const char *name = NULL;
    long long retried = 0;

    TRY_PLAIN(read_operands(cli, &selector, trials));
    if (settings->failed && json_array_size(trials) > 0)
        return cli_usage(cli, "name trials or say --failed, not both");
    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(follow_status(&session, selector.sweep, &status));
    name = json_text_or(status, "name", selector.sweep);
    arguments =
        json_pack("{s:s}", "sweep", json_text_or(status, "id", selector.sweep));
    if (json_array_size(trials) > 0)
        (void)json_object_set(arguments, "trials", trials);
    else
        (void)json_object_set_new(arguments, "failed", json_true());
    TRY_PLAIN(session_ask(&session, "retry", arguments, &answer));
    if (cli->options->json)
        cli_print_document(cli, "retry", answer);
    retried = (long long)json_int_or(answer, "retried", 0);
    if (retried == 0)
        cli_note(cli, "%s of %s has failed",
                 json_array_size(trials) > 0 ? "none of these trials"
                                             : "nothing",
                 name);
    else
        cli_note(cli, "%lld trial%s of %s tried again%s", retried,
                 retried == 1 ? "" : "s", name,
                 session.local == NULL ? ""
                                       : "; `sinter run` with its file "
                                         "computes them");
    return SUCCESS;
}

const struct command command_retry = {
    .name = "retry",
    .summary = "Run failed trials again, and only those",
    .usage = "SWEEP|TRIAL...",
    .details = "  sinter retry @last --failed\n  sinter retry s-7f3a/12 "
               "s-7f3a/15\n",
    .group = COMMAND_CONTROL,
    .options = options,
    .settings_size = sizeof(struct retry_settings),
    .least = 1,
    .most = SIZE_MAX,
    .run = run,
};
