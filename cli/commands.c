#include "cli/command.h"

#include <string.h>

extern const struct command command_best, command_cancel, command_check,
    command_completion, command_context, command_export, command_extend,
    command_gc, command_help_command, command_init, command_inspect,
    command_keygen, command_login, command_logs, command_ls, command_merge,
    command_pause, command_plan, command_priority, command_rebuild,
    command_report, command_resume, command_retry, command_rm, command_run,
    command_status, command_submit, command_trials, command_verify,
    command_version, command_watch, command_why, command_workers;

const struct command *const commands[] = {
    &command_init,       &command_check,
    &command_merge,      &command_plan,
    &command_run,        &command_submit,
    &command_ls,         &command_status,
    &command_watch,      &command_logs,
    &command_why,        &command_trials,
    &command_best,       &command_report,
    &command_inspect,    &command_export,
    &command_verify,     &command_pause,
    &command_resume,     &command_cancel,
    &command_retry,      &command_extend,
    &command_priority,   &command_rm,
    &command_workers,    &command_gc,
    &command_rebuild,    &command_keygen,
    &command_login,      &command_context,
    &command_completion, &command_help_command,
    &command_version,    NULL,
};

const struct command *command_find(const char *name)
{
    for (const struct command *const *c = commands; *c != NULL; c++) {
        if (strcmp((*c)->name, name) == 0)
            return *c;
    }
    return NULL;
}

/* What other programs call it. */
static const struct habit {
    const char *word, *here;
} habits[] = {
    { "list", "ls" },
    { "top", "watch" },
    { "show", "status" },
    { "describe", "status" },
    { "stop", "cancel" },
    { "kill", "cancel" },
    { "delete", "rm" },
    { "validate", "check" },
    { "compare", "report" },
    { "apply", "submit" },
    { "agent", "run" },
    { "drain", "workers --drain" },
    { "cordon", "workers --cordon" },
    { "uncordon", "workers --uncordon" },
};

const char *command_suggest(const char *name)
{
    const char *words[COUNT_OF(commands)];
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(habits); i++) {
        if (strcmp(habits[i].word, name) == 0)
            return habits[i].here;
    }
    for (const struct command *const *c = commands; *c != NULL; c++)
        words[count++] = (*c)->name;
    words[count] = NULL;
    return option_nearest(name, words);
}
