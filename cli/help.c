#include "cli/command.h"

#include <string.h>

static const char *const group_titles[COMMAND_GROUPS] = {
    [COMMAND_START] = "Start here", [COMMAND_WATCH] = "Watch",
    [COMMAND_RESULTS] = "Results",  [COMMAND_CONTROL] = "Control",
    [COMMAND_FARM] = "Farm",        [COMMAND_HELP] = "Help",
};

static const char exit_codes[] =
    "Exit codes\n"
    "  0  done                            6  broker unreachable or timed out\n"
    "  1  failed for the reason printed   7  sweep ended with too many "
    "failures\n"
    "  2  wrong usage                     8  refused: over a limit\n"
    "  3  the sweep file has errors       9  verify: it is not what it was\n"
    "  4  not allowed                    10  plan --detailed-exitcode: work "
    "to do\n"
    "  5  no such sweep, trial or worker 130  interrupted (143: terminated)\n";

void command_overview(FILE *out)
{
    fputs("sinter - sweep farm for model merging and compression\n\n"
          "Usage: sinter [options] <command> [arguments]\n",
          out);
    for (int group = 0; group < COMMAND_GROUPS; group++) {
        fprintf(out, "\n%s\n", group_titles[group]);
        for (const struct command *const *c = commands; *c != NULL; c++) {
            if ((int)(*c)->group == group)
                fprintf(out, "  %-12s %s\n", (*c)->name, (*c)->summary);
        }
    }
    fputs("\nOptions\n", out);
    option_help(cli_global_options, out);
    fputs("\nSWEEP is an id or its unique prefix, a name, or @last; "
          "SWEEP/12 is a trial,\nSWEEP/best the best one.\n\n"
          "Try:  sinter init quickstart > quickstart.yaml && "
          "sinter run quickstart.yaml\n",
          out);
}

static void synopsis(const struct command *c, FILE *out)
{
    bool has_options = c->options != NULL && c->options[0].name != NULL;

    fprintf(out, "Usage: sinter %s%s%s%s\n\n  %s.\n", c->name,
            c->usage[0] == '\0' ? "" : " ", c->usage,
            has_options ? " [options]" : "", c->summary);
}

void command_help(const struct command *c, FILE *out)
{
    synopsis(c, out);
    if (c->details != NULL)
        fprintf(out, "\n%s", c->details);
    if (c->options != NULL && c->options[0].name != NULL) {
        fputs("\nOptions\n", out);
        option_help(c->options, out);
    }
    fputs("\nAlso the options of every command: -b, --home, --timeout, "
          "--json, -q, --color;\nsee `sinter --help`.\n",
          out);
}

void command_help_all(FILE *out)
{
    command_overview(out);
    fprintf(out, "\n%s", exit_codes);
    for (const struct command *const *c = commands; *c != NULL; c++) {
        fputs("\n----\n", out);
        synopsis(*c, out);
        if ((*c)->details != NULL)
            fprintf(out, "\n%s", (*c)->details);
        if ((*c)->options != NULL && (*c)->options[0].name != NULL) {
            fputs("\nOptions\n", out);
            option_help((*c)->options, out);
        }
    }
}
