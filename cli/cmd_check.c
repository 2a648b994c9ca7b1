#include "cli/command.h"

#include <stddef.h>
#include <string.h>

#include "cli/number.h"
#include "cli/sweep_file.h"
#include "common/memory.h"

struct check_settings {
    bool resolved, strict;
    struct option_list set;
};

#define AT(member) offsetof(struct check_settings, member)
static const struct option options[] = {
    { .name = "resolved",
      .type = OPTION_SWITCH,
      .offset = AT(resolved),
      .help = "Print what would be submitted, with all defaults" },
    { .name = "strict",
      .type = OPTION_SWITCH,
      .offset = AT(strict),
      .help = "Warnings count as errors" },
    SWEEP_FILE_SET(AT(set)),
    { .name = NULL },
};
#undef AT

static json_t *problems_json(const struct sweep_file *f)
{
    json_t *all = json_array();

    for (size_t i = 0; i < f->problems.count; i++)
        (void)json_array_append_new(
            all, spec_problem_json(&f->problems.items[i], &f->input));
    return all;
}

static void tell(const struct cli *cli, const struct sweep_file *f,
                 const char *path)
{
    size_t errors = sweep_file_errors(f);

    if (f->document == NULL)
        cli_note(cli, "%s: %zu error%s", path, errors, errors == 1 ? "" : "s");
    else
        cli_note(cli, "%s: good; %llu trial%s", path,
                 (unsigned long long)compiled_trial_count(f->compiled),
                 number_plural(compiled_trial_count(f->compiled)));
}

/* One file; its outcome is added to `files`. */
MUST_CHECK static struct status check_file(struct cli *cli, const char *path,
                                           json_t *files, bool *ret_good)
{
    const struct check_settings *settings = cli->settings;
    AUTO(sweep_file_release) struct sweep_file f;
    json_t *outcome = NULL;

    TRY_PLAIN(sweep_file_read(cli, path, &settings->set, &f));
    *ret_good =
        f.document != NULL && !(settings->strict && f.problems.count > 0);
    outcome = json_object();
    (void)json_object_set_new(outcome, "file", json_string(path));
    (void)json_object_set_new(outcome, "good", json_boolean(*ret_good));
    (void)json_object_set_new(outcome, "problems", problems_json(&f));
    if (settings->resolved && f.document != NULL)
        (void)json_object_set(outcome, "document", f.document);
    (void)json_array_append_new(files, outcome);
    if (cli->options->json)
        return SUCCESS;
    sweep_file_report(cli, &f);
    if (settings->resolved && f.document != NULL) {
        AUTO(free_pointer) char *text = json_shown(f.document);

        fprintf(cli->out.stream, "%s\n", text);
    }
    tell(cli, &f, path);
    return SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    AUTO(json_release) json_t *body = json_object();
    json_t *files = json_array();

    (void)json_object_set_new(body, "files", files);
    for (size_t i = 0; i < cli->operand_count; i++) {
        bool good = false;

        TRY_PLAIN(check_file(cli, cli->operands[i], files, &good));
        if (!good)
            cli->exit = CLI_SPEC;
    }
    if (cli->options->json)
        cli_print_document(cli, "check", body);
    return SUCCESS;
}

const struct command command_check = {
    .name = "check",
    .summary = "Check sweep files and point at every mistake",
    .usage = "FILE...",
    .details = "  Touches no network and starts nothing. \"-\" is standard "
               "input.\n  Exit: 0 clean, 3 errors found.\n",
    .group = COMMAND_START,
    .options = options,
    .settings_size = sizeof(struct check_settings),
    .least = 1,
    .most = SIZE_MAX,
    .run = run,
};
