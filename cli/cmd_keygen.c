#include <stddef.h>

#include "cli/command.h"
#include "common/curve.h"
#include "common/file.h"
#include "common/memory.h"

struct keygen_settings {
    const char *role; /* NULL: a pair for each */
};

static const struct option options[] = {
    { .name = "role",
      .type = OPTION_TEXT,
      .offset = offsetof(struct keygen_settings, role),
      .value = "ROLE",
      .help = "broker, worker, client or admin: one pair only" },
    { .name = NULL },
};

struct pair {
    enum curve_role role;
    const char *name;
};

/* All or nothing, as far as can be told before. */
MUST_CHECK static struct status check_free(const char *directory,
                                           const struct pair *pairs,
                                           size_t count)
{
    static const char *const endings[] = { "key", "pub" };

    for (size_t i = 0; i < count * COUNT_OF(endings); i++) {
        AUTO(free_pointer)
        char *path =
            xasprintf("%s/%s.%s", directory, pairs[i / 2].name, endings[i % 2]);

        if (file_exists(path))
            return FAIL(STATUS_INVALID,
                        "%s is there already and is not written over; another "
                        "NAME makes another pair",
                        path);
    }
    return SUCCESS;
}

static json_t *as_json(const char *directory, const struct pair *pairs,
                       size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        AUTO(free_pointer)
        char *stem = xasprintf("%s/%s", directory, pairs[i].name);

        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s+, s:s+}", "role",
                      curve_role_name(pairs[i].role), "name", pairs[i].name,
                      "secret", stem, ".key", "public", stem, ".pub"));
    }
    return json_pack("{s:o}", "keys", list);
}

static void print_pairs(const struct cli *cli, const char *directory,
                        const struct pair *pairs, size_t count)
{
    if (cli->options->json) {
        AUTO(json_release) json_t *body = as_json(directory, pairs, count);

        cli_print_document(cli, "keygen", body);
        return;
    }
    for (size_t i = 0; i < count; i++)
        fprintf(cli->out.stream, "%-6s  %s/%s.key  %s/%s.pub\n",
                curve_role_name(pairs[i].role), directory, pairs[i].name,
                directory, pairs[i].name);
}

MUST_CHECK static struct status make_pairs(const struct cli *cli,
                                           const char *directory,
                                           const struct pair *pairs,
                                           size_t count)
{
    TRY_PLAIN(check_free(directory, pairs, count));
    for (size_t i = 0; i < count; i++) {
        struct curve_key key;
        struct status st;

        TRY_PLAIN(curve_make(pairs[i].role, pairs[i].name, &key));
        st = curve_save(&key, directory);
        curve_forget(&key);
        TRY_PLAIN(st);
    }
    print_pairs(cli, directory, pairs, count);
    return SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct keygen_settings *settings = cli->settings;
    const char *directory = cli->operands[0];
    const char *name = cli->operand_count > 1 ? cli->operands[1] : NULL;
    struct pair pairs[CURVE_ROLES];
    struct status st;

    if (settings->role == NULL && name != NULL)
        return cli_usage(cli, "a NAME is that of one pair: say whose it is, "
                              "with --role");
    for (size_t i = 0; i < CURVE_ROLES; i++)
        pairs[i] = (struct pair){ (enum curve_role)i,
                                  curve_role_name((enum curve_role)i) };
    if (settings->role == NULL)
        return cli_here(cli, make_pairs(cli, directory, pairs, CURVE_ROLES));
    st = curve_role_find(settings->role, &pairs[0].role);
    if (status_failed(&st))
        return cli_usage(cli, "%s", st.message);
    pairs[0].name = name != NULL ? name : curve_role_name(pairs[0].role);
    return cli_here(cli, make_pairs(cli, directory, pairs, 1));
}

const struct command command_keygen = {
    .name = "keygen",
    .summary = "Make the keys of a farm on a network",
    .usage = "DIR [NAME]",
    .details = "  Writes DIR/NAME.key, which stays with its owner, and "
               "DIR/NAME.pub, which the\n"
               "  broker is shown with --allow DIR. Without --role a pair for "
               "each role, of that\n"
               "  name. No file is ever written over.\n\n"
               "  sinter keygen keys\n"
               "  sinter-broker --key keys/broker.key --allow keys\n"
               "  sinter-worker --key keys/worker.key --broker-key "
               "keys/broker.pub\n"
               "  sinter ls --key keys/admin.key --broker-key "
               "keys/broker.pub\n",
    .group = COMMAND_FARM,
    .options = options,
    .settings_size = sizeof(struct keygen_settings),
    .least = 1,
    .most = 2,
    .run = run,
};
