#include "cli/command.h"

#include <string.h>

#include "cli/example.h"

static const char shell_begin[] =
    "# Completion for bash. In ~/.bashrc: eval \"$(sinter completion)\"\n"
    "_sinter_sweeps() {\n"
    "    sinter ls --timeout 1s 2>/dev/null </dev/null |\n"
    "        awk 'NR > 1 { print $1; print $2 }'\n"
    "}\n"
    "_sinter() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} word command= words=\n"
    "    local previous=${COMP_WORDS[COMP_CWORD - 1]} options= values=\n"
    "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
    "        [[ \" $_sinter_commands \" != *\" $word \"* ]] || command=$word\n"
    "        [[ -z $command ]] || break\n"
    "    done\n"
    "    case $command in\n"
    "    '') words=$_sinter_commands ;;\n";

/* compgen expands $(...) in the words that it is given. */
static const char shell_end[] =
    "    esac\n"
    "    COMPREPLY=()\n"
    "    [[ \" $values \" != *\" $previous \"* ]] || return 0\n"
    "    [[ $current != -* ]] || words=$options\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
    "}\n"
    "complete -o default -F _sinter sinter\n";

static void print_commands(FILE *out)
{
    for (const struct command *const *c = commands; *c != NULL; c++)
        fprintf(out, "%s%s", c == commands ? "" : " ", (*c)->name);
}

/* All that begin with a dash, or those of them behind which a value stands. */
static void print_options(const struct option *table, bool values, FILE *out)
{
    for (const struct option *o = table; o != NULL && o->name != NULL; o++) {
        if (values && o->type == OPTION_SWITCH)
            continue;
        fprintf(out, " --%s", o->name);
        if (values && o->letter != 0)
            fprintf(out, " -%c", o->letter);
    }
}

/* What stands in place of operands: names of sweeps, starter files, commands;
 * where there is nothing to say the shell goes on to files. */
static void print_operands(const struct command *c, FILE *out)
{
    if (strstr(c->usage, "SWEEP") != NULL || strstr(c->usage, "TRIAL") != NULL)
        fputs("$(_sinter_sweeps)", out);
    if (strstr(c->usage, "COMMAND") != NULL)
        fputs("$_sinter_commands", out);
    if (strcmp(c->name, "init") != 0)
        return;
    for (const struct example *e = examples; e->name != NULL; e++)
        fprintf(out, "%s%s", e == examples ? "" : " ", e->name);
}

static void print_row(const struct command *c, FILE *out)
{
    fprintf(out, "    %s)\n        options='", c->name);
    print_options(c->options, false, out);
    print_options(cli_global_options, false, out);
    fputs("'\n        values='", out);
    print_options(c->options, true, out);
    print_options(cli_global_options, true, out);
    fputs("'\n        words='", out);
    print_operands(c, out);
    fputs("'\n        ;;\n", out);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    FILE *out = cli->out.stream;

    if (cli->operand_count > 0 && strcmp(cli->operands[0], "bash") != 0)
        return cli_usage(cli, "there is completion for bash only, not for `%s`",
                         cli->operands[0]);
    fputs("_sinter_commands='", out);
    print_commands(out);
    fprintf(out, "'\n%s", shell_begin);
    for (const struct command *const *c = commands; *c != NULL; c++)
        print_row(*c, out);
    fputs(shell_end, out);
    return SUCCESS;
}

const struct command command_completion = {
    .name = "completion",
    .summary = "Print what makes the TAB key of bash complete commands",
    .usage = "[bash]",
    .details = "  Commands, options, names of sweeps and starter files. In "
               "~/.bashrc:\n"
               "  eval \"$(sinter completion)\"\n",
    .group = COMMAND_HELP,
    .most = 1,
    .run = run,
};
