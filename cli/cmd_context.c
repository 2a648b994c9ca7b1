#include "cli/command.h"

#include <stddef.h>
#include <string.h>

#include "cli/context.h"
#include "cli/table.h"

static void add_row(struct table *t, const char *name, const json_t *context,
                    bool is_current)
{
    table_add(t, name, NULL);
    table_add(t, is_current ? "current" : "", NULL);
    table_add(t, json_text_or(context, "broker", "?"), NULL);
    table_add(t, json_text_or(context, "key", ""), NULL);
}

static void print_table(const struct cli *cli, const json_t *all)
{
    json_t *contexts = json_object_get(all, "contexts");
    const char *current = json_text_or(all, "current", "");
    struct table *t = table_new();
    const char *name = NULL;
    json_t *context = NULL;

    table_column(t, "name", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "broker", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "key", TABLE_TEXT, 20);
    json_object_foreach(contexts, name, context)
    {
        add_row(t, name, context, strcmp(name, current) == 0);
    }
    table_print(t, cli->options->quiet ? TABLE_IDS : TABLE_PEOPLE, &cli->out,
                NULL);
    table_free(t);
}

MUST_CHECK static struct status list(struct cli *cli, json_t *all,
                                     const char *name)
{
    (void)name;
    if (cli->options->json)
        cli_print_document(cli, "contexts", all);
    else if (json_object_size(json_object_get(all, "contexts")) == 0)
        cli_note(cli, "no contexts yet; make one: sinter login NAME --broker "
                      "URL");
    else
        print_table(cli, all);
    return SUCCESS;
}

MUST_CHECK static struct status use(struct cli *cli, json_t *all,
                                    const char *name)
{
    if (name == NULL) {
        (void)json_object_del(all, "current");
        cli_note(cli, "no context is the current one now");
    } else {
        (void)json_object_set_new(all, "current", json_string(name));
        cli_note(cli, "%s is the current context now", name);
    }
    return cli_here(cli, context_save(all));
}

MUST_CHECK static struct status forget(struct cli *cli, json_t *all,
                                       const char *name)
{
    if (name == NULL)
        return cli_usage(cli, "which one? `sinter context rm NAME`");
    (void)json_object_del(json_object_get(all, "contexts"), name);
    if (strcmp(json_text_or(all, "current", ""), name) == 0)
        (void)json_object_del(all, "current");
    cli_note(cli, "%s is forgotten", name);
    return cli_here(cli, context_save(all));
}

static const struct {
    const char *word;
    struct status (*act)(struct cli *cli, json_t *all, const char *name);
} actions[] = { { "ls", list }, { "use", use }, { "rm", forget } };

MUST_CHECK static struct status run(struct cli *cli)
{
    const char *word = cli->operand_count == 0 ? "ls" : cli->operands[0];
    const char *name = cli->operand_count < 2 ? NULL : cli->operands[1];
    AUTO(json_release) json_t *all = NULL;
    struct context found;

    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        if (strcmp(actions[i].word, word) != 0)
            continue;
        if (name != NULL)
            TRY_PLAIN(context_find(name, &found));
        if (name != NULL)
            context_release(&found);
        TRY_PLAIN(cli_here(cli, context_load(&all)));
        return actions[i].act(cli, all, name);
    }
    return cli_usage(cli, "`sinter context %s`? It is ls, use or rm", word);
}

const struct command command_context = {
    .name = "context",
    .summary = "List the brokers that have names, choose or forget one",
    .usage = "[ls | use NAME | rm NAME]",
    .details =
        "  sinter login makes them. `use` without a NAME: none is current. "
        "They "
        "are kept\n  in ~/.config/sinter/contexts.json (or XDG_CONFIG_HOME).\n",
    .group = COMMAND_FARM,
    .least = 0,
    .most = 2,
    .run = run,
};
