#include "cli/command.h"

#include <stddef.h>

#include "cli/report.h"
#include "cli/selector.h"
#include "cli/session.h"
#include "common/memory.h"

struct report_settings {
    const char *directory;
};

static const struct option options[] = {
    { .name = "output",
      .letter = 'o',
      .type = OPTION_TEXT,
      .offset = offsetof(struct report_settings, directory),
      .value = "DIR",
      .help = "Write the files that the report names into this folder" },
    { .name = NULL },
};

MUST_CHECK static struct status show(struct cli *cli, const struct report *r)
{
    const struct report_settings *settings = cli->settings;

    if (cli->options->json) {
        AUTO(json_release) json_t *body = report_json(r);

        cli_print_document(cli, "report", body);
    } else {
        report_print(cli, r);
    }
    if (settings->directory == NULL)
        return SUCCESS;
    return cli_here(cli, report_write(cli, r, settings->directory, true));
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const char *text = cli->operand_count == 0 ? "@last" : cli->operands[0];
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *status = NULL;
    AUTO(json_release) json_t *spec = NULL;
    struct selector selector;
    struct report *r = NULL;
    const char *id = NULL;
    struct status st;

    TRY_PLAIN(selector_parse(text, &selector));
    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(session_ask(&session, "status",
                          json_pack("{s:s}", "sweep", selector.sweep),
                          &status));
    id = json_text_or(status, "id", selector.sweep);
    TRY_PLAIN(
        session_ask(&session, "spec", json_pack("{s:s}", "sweep", id), &spec));
    TRY_PLAIN(report_load(&session, id, spec, &r));
    if (r == NULL)
        return FAIL(STATUS_INVALID,
                    "the file of %s asks for no report; see `report` in "
                    "docs/sweep-file.md",
                    id);
    st = show(cli, r);
    report_free(r);
    return st;
}

const struct command command_report = {
    .name = "report",
    .summary = "Print or write the table and the map a sweep file asks for",
    .usage = "[SWEEP]",
    .details = "  From what is measured so far.\n"
               "  sinter report @last -o figures\n",
    .group = COMMAND_RESULTS,
    .options = options,
    .settings_size = sizeof(struct report_settings),
    .most = 1,
    .run = run,
};
