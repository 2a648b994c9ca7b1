#include "cli/command.h"

#include <stddef.h>
#include <string.h>

#include "cli/export.h"
#include "cli/recipe.h"
#include "cli/session.h"
#include "cli/trial.h"
#include "common/file.h"
#include "common/memory.h"

struct export_settings {
    const char *output, *what, *format;
    int64_t shard_bytes;
};

#define AT(member) offsetof(struct export_settings, member)
static const struct option options[] = {
    { .name = "what",
      .type = OPTION_TEXT,
      .offset = AT(what),
      .otherwise = "model",
      .value = "WHAT",
      .help = "model: its files; recipe: how it is made" },
    { .name = "output",
      .letter = 'o',
      .type = OPTION_TEXT,
      .offset = AT(output),
      .value = "PATH",
      .help = "Directory of the model, must not exist; file of the recipe" },
    { .name = "format",
      .type = OPTION_TEXT,
      .offset = AT(format),
      .otherwise = "mergekit",
      .value = "FORMAT",
      .help = "Of a recipe: mergekit (YAML) or json" },
    { .name = "shard-size",
      .type = OPTION_BYTES,
      .offset = AT(shard_bytes),
      .value = "SIZE",
      .help = "Split the weights into files of at most this size" },
    { .name = NULL },
};
#undef AT

static void tell(const struct cli *cli, const struct trial *t,
                 const struct export_wish *wish,
                 const struct export_outcome *outcome)
{
    AUTO(json_release)
    json_t *body = json_pack("{s:s, s:s, s:I, s:s, s:s, s:b}", "sweep", t->id,
                             "name", t->name, "trial", (json_int_t)t->number,
                             "directory", wish->directory, "digest",
                             outcome->digest, "present", (int)outcome->present);

    if (cli->options->json) {
        cli_print_document(cli, "export", body);
        return;
    }
    fprintf(cli->out.stream, "%s\n", wish->directory);
    cli_note(cli,
             outcome->present ? "holds #%llu of %s already (digest %.12s)"
                              : "written: #%llu of %s (digest %.12s)",
             (unsigned long long)t->number, t->name, outcome->digest);
}

MUST_CHECK static struct status write_model(struct cli *cli, struct session *s,
                                            const struct trial *t)
{
    const struct export_settings *settings = cli->settings;
    struct export_wish wish = { .sweep = t->id,
                                .trial = t->number,
                                .directory = settings->output,
                                .shard_bytes = settings->shard_bytes };
    struct export_outcome outcome;

    if (s->local != NULL)
        TRY_PLAIN(local_start_workers(s->local, 1, 1));
    TRY_PLAIN(export_trial(cli, s, &wish, &outcome));
    tell(cli, t, &wish, &outcome);
    return SUCCESS;
}

/* To a file, or as data on standard output. */
MUST_CHECK static struct status write_recipe(struct cli *cli, struct session *s,
                                             const struct trial *t)
{
    const struct export_settings *settings = cli->settings;
    AUTO(json_release) json_t *body = NULL;
    AUTO(free_pointer) char *text = NULL;

    TRY_PLAIN(
        recipe_of_trial(s, t, strcmp(settings->format, "json") == 0, &text));
    if (settings->output == NULL) {
        fprintf(cli->out.stream, "%s", text);
        return SUCCESS;
    }
    TRY_PLAIN(cli_here(cli, file_write(settings->output, text, strlen(text))));
    body = json_pack("{s:s, s:s, s:I, s:s, s:s}", "sweep", t->id, "name",
                     t->name, "trial", (json_int_t)t->number, "file",
                     settings->output, "format", settings->format);
    if (cli->options->json)
        cli_print_document(cli, "export", body);
    else
        cli_note(cli, "written: the recipe of #%llu of %s to %s",
                 (unsigned long long)t->number, t->name, settings->output);
    return SUCCESS;
}

MUST_CHECK static struct status check_settings(struct cli *cli, bool recipe)
{
    const struct export_settings *settings = cli->settings;

    if (!recipe && strcmp(settings->what, "model") != 0)
        return cli_usage(cli, "--what is model or recipe, not `%s`",
                         settings->what);
    if (strcmp(settings->format, "mergekit") != 0 &&
        strcmp(settings->format, "json") != 0)
        return cli_usage(cli, "--format is mergekit or json, not `%s`",
                         settings->format);
    if (recipe && settings->output == NULL && cli->options->json &&
        strcmp(settings->format, "json") != 0)
        return cli_usage(cli, "--json prints no YAML; say --format json, or -o "
                              "FILE");
    if (recipe)
        return SUCCESS;
    if (settings->output == NULL)
        return cli_usage(cli, "where to? say -o DIR");
    return cli_here(cli, export_check(settings->output));
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct export_settings *settings = cli->settings;
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(trial_release) struct trial trial = { .number = 0 };
    bool recipe = strcmp(settings->what, "recipe") == 0;

    TRY_PLAIN(check_settings(cli, recipe));
    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(trial_load(&session, cli->operands[0], &trial));
    if (recipe)
        return write_recipe(cli, &session, &trial);
    return write_model(cli, &session, &trial);
}

const struct command command_export = {
    .name = "export",
    .summary = "Write the model of a trial as a directory, or its recipe",
    .usage = "TRIAL",
    .details =
        "  TRIAL is SWEEP/12 or SWEEP/best. The directory appears whole or "
        "not at all.\n  A recipe is a mergekit configuration, which `sinter "
        "merge` takes as well:\n"
        "  sinter export @last/best --what recipe -o best.yaml\n",
    .group = COMMAND_RESULTS,
    .options = options,
    .settings_size = sizeof(struct export_settings),
    .least = 1,
    .most = 1,
    .run = run,
};
