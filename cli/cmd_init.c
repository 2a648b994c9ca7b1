#include "cli/command.h"

#include <stddef.h>
#include <string.h>

#include "cli/example.h"

struct init_settings {
    bool list;
};

static const struct option options[] = {
    { .name = "list",
      .letter = 'l',
      .type = OPTION_SWITCH,
      .offset = offsetof(struct init_settings, list),
      .help = "List the starter files" },
    { .name = NULL },
};

/* The first comment line of the file says what it is for. */
static void print_summary(const struct example *e, FILE *out)
{
    const char *at = memchr(e->text, '#', e->size);
    const char *end = (const char *)e->text + e->size;

    fprintf(out, "%-20s", e->name);
    for (at = at == NULL ? end : at + 1; at < end && *at != '\n'; at++)
        fputc(*at, out);
    fputc('\n', out);
}

static void print_names(const struct cli *cli)
{
    for (const struct example *e = examples; e->name != NULL; e++) {
        if (cli->options->quiet)
            fprintf(cli->out.stream, "%s\n", e->name);
        else
            print_summary(e, cli->out.stream);
    }
}

static json_t *as_json(const struct example *only)
{
    json_t *files = json_array();

    for (const struct example *e = examples; e->name != NULL; e++) {
        if (only == NULL || only == e)
            (void)json_array_append_new(files, json_pack("{s:s, s:s%}", "name",
                                                         e->name, "text",
                                                         e->text, e->size));
    }
    return json_pack("{s:o}", "files", files);
}

static const struct example *find(const char *name)
{
    for (const struct example *e = examples; e->name != NULL; e++) {
        if (strcmp(e->name, name) == 0)
            return e;
    }
    return NULL;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct init_settings *settings = cli->settings;
    const char *name =
        cli->operand_count == 0 ? "quickstart" : cli->operands[0];
    const struct example *e = find(name);

    if (!settings->list && e == NULL)
        return cli_usage(cli,
                         "no starter file `%s`; `sinter init --list` "
                         "shows them",
                         name);
    if (cli->options->json) {
        AUTO(json_release) json_t *body = as_json(settings->list ? NULL : e);

        cli_print_document(cli, "init", body);
        return SUCCESS;
    }
    if (settings->list)
        print_names(cli);
    else
        fwrite(e->text, 1, e->size, cli->out.stream);
    return SUCCESS;
}

const struct command command_init = {
    .name = "init",
    .summary = "Print a starter sweep file",
    .usage = "[NAME]",
    .details = "  sinter init quickstart > quickstart.yaml\n"
               "  sinter run quickstart.yaml\n",
    .group = COMMAND_START,
    .options = options,
    .settings_size = sizeof(struct init_settings),
    .most = 1,
    .run = run,
};
