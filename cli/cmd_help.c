#include "cli/command.h"

#include <stddef.h>
#include <string.h>

#include "cli/method_help.h"
#include "common/json.h"
#include "common/memory.h"

struct help_settings {
    bool all;
};

static const struct option options[] = {
    { .name = "all",
      .type = OPTION_SWITCH,
      .offset = offsetof(struct help_settings, all),
      .help = "Every command with every option" },
    { .name = NULL },
};

/* What there is to say goes to `out`. */
MUST_CHECK static struct status explain(struct cli *cli, FILE *out)
{
    const struct help_settings *settings = cli->settings;
    const struct command *c = NULL;
    const char *near = NULL;

    if (settings->all) {
        command_help_all(out);
        return SUCCESS;
    }
    if (cli->operand_count == 0) {
        command_overview(out);
        return SUCCESS;
    }
    if (strcmp(cli->operands[0], "methods") == 0) {
        (void)method_help(NULL, out);
        return SUCCESS;
    }
    if (method_help(cli->operands[0], out))
        return SUCCESS;
    c = command_find(cli->operands[0]);
    if (c != NULL) {
        command_help(c, out);
        return SUCCESS;
    }
    near = command_suggest(cli->operands[0]);
    return cli_usage(cli, "no command `%s`%s%s%s", cli->operands[0],
                     near == NULL ? "; `sinter --help` lists them"
                                  : "; did you mean `",
                     near == NULL ? "" : near, near == NULL ? "" : "`?");
}

MUST_CHECK static struct status run(struct cli *cli)
{
    AUTO(free_pointer) char *text = NULL;
    AUTO(json_release) json_t *body = NULL;
    size_t size = 0;
    FILE *out = NULL;
    struct status st;

    if (!cli->options->json)
        return explain(cli, cli->out.stream);
    out = open_memstream(&text, &size);
    if (out == NULL)
        return FAIL(STATUS_UNAVAILABLE, "no memory for the text");
    st = explain(cli, out);
    (void)fclose(out);
    TRY_PLAIN(st);
    body = json_pack("{s:s}", "text", text);
    cli_print_document(cli, "help", body);
    return SUCCESS;
}

const struct command command_help_command = {
    .name = "help",
    .summary = "Explain a command, or a merge method",
    .usage = "[COMMAND | METHOD | methods]",
    .details = "A METHOD is a merge_method, as in `sinter help ties`: its "
               "variants, formulas,\n"
               "numbers and defaults. `methods` stands for all; "
               "docs/merge-methods.md has them.\n",
    .group = COMMAND_HELP,
    .options = options,
    .settings_size = sizeof(struct help_settings),
    .most = 1,
    .run = run,
};
