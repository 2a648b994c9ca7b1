#include "cli/command.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/context.h"
#include "cli/session.h"
#include "common/limits.h"
#include "common/memory.h"

struct login_settings {
    bool offline;
};

static const struct option options[] = {
    { .name = "offline",
      .type = OPTION_SWITCH,
      .offset = offsetof(struct login_settings, offline),
      .help = "Do not try whether the broker answers" },
    { .name = NULL },
};

/* Words that `sinter context` and the shell leave alone. */
static bool is_name(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRS"
                               "TUVWXYZ0123456789._-";
    size_t size = strlen(name);

    return size > 0 && size <= LIMIT_NAME && name[0] != '-' &&
           strspn(name, good) == size;
}

/* The file is found from any directory. */
MUST_CHECK static struct status add_path(json_t *context, const char *name,
                                         const char *path)
{
    AUTO(free_pointer) char *full = NULL;

    if (option_given(path) == NULL)
        return SUCCESS;
    full = realpath(path, NULL);
    if (full == NULL)
        return FAIL(STATUS_FAILED, "%s: %s", path, strerror(errno));
    (void)json_object_set_new(context, name, json_string(full));
    return SUCCESS;
}

MUST_CHECK static struct status describe(const struct cli_options *options_,
                                         json_t **ret_context)
{
    AUTO(json_release)
    json_t *context = json_pack("{s:s}", "broker", options_->broker);

    TRY_PLAIN(add_path(context, "key", options_->key));
    TRY_PLAIN(add_path(context, "broker_key", options_->broker_key));
    TRY_PLAIN(add_path(context, "http_token_file", options_->http_token_file));
    if (options_->plaintext)
        (void)json_object_set_new(context, "plaintext", json_true());
    *ret_context = json_incref(context);
    return SUCCESS;
}

/* Does the broker answer, with these keys? */
MUST_CHECK static struct status try_it(struct cli *cli, size_t *ret_workers)
{
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *answer = NULL;

    TRY_PLAIN(session_open_farm(cli, &session));
    TRY_PLAIN(session_ask(&session, "workers", NULL, &answer));
    *ret_workers = json_array_size(json_object_get(answer, "workers"));
    return SUCCESS;
}

MUST_CHECK static struct status store(const char *name, json_t *context)
{
    AUTO(json_release) json_t *all = NULL;

    TRY_PLAIN(context_load(&all));
    (void)json_object_set(json_object_get(all, "contexts"), name, context);
    (void)json_object_set_new(all, "current", json_string(name));
    return context_save(all);
}

static void tell(const struct cli *cli, const char *name, const json_t *context,
                 size_t workers)
{
    const struct login_settings *settings = cli->settings;
    AUTO(json_release)
    json_t *body = json_pack("{s:s, s:O}", "name", name, "context", context);

    if (cli->options->json)
        cli_print_document(cli, "login", body);
    else if (settings->offline)
        cli_note(cli, "%s is the current context now: %s", name,
                 json_text_or(context, "broker", "?"));
    else
        cli_note(cli, "%s is the current context now: %s, %zu worker%s", name,
                 json_text_or(context, "broker", "?"), workers,
                 workers == 1 ? "" : "s");
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct login_settings *settings = cli->settings;
    const char *name = cli->operands[0];
    AUTO(json_release) json_t *context = NULL;
    size_t workers = 0;
    struct status st;

    if (!is_name(name))
        return cli_usage(cli,
                         "`%s` is no name of a context: letters, digits, "
                         "`.`, `_` and `-`",
                         name);
    if (option_given(cli->options->broker) == NULL)
        return cli_usage(cli, "which broker is %s? say --broker URL", name);
    st = describe(cli->options, &context);
    if (status_failed(&st))
        return cli_here(cli, st);
    if (!settings->offline)
        TRY_PLAIN(try_it(cli, &workers));
    st = store(name, context);
    if (status_failed(&st))
        return cli_here(cli, st);
    tell(cli, name, context, workers);
    return SUCCESS;
}

const struct command command_login = {
    .name = "login",
    .summary = "Give a broker with its keys a name, and go on with it",
    .usage = "NAME",
    .details =
        "  Keeps --broker and what it takes to reach it (paths, not secrets) "
        "as a\n  context, and makes it the current one. Commands that are told "
        "of no broker,\n  in a directory without a farm, speak to the current "
        "context; --context NAME\n  takes another. sinter context lists them.\n"
        "  sinter login lab -b a.lab --key me.key --broker-key broker.pub\n",
    .group = COMMAND_FARM,
    .options = options,
    .settings_size = sizeof(struct login_settings),
    .least = 1,
    .most = 1,
    .run = run,
};
