#include "cli/cli.h"

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "cli/command.h"
#include "cli/interrupt.h"
#include "common/memory.h"

#define AT(member) offsetof(struct cli_options, member)
const struct option cli_global_options[] = {
    { .name = "broker",
      .letter = 'b',
      .type = OPTION_TEXT,
      .offset = AT(broker),
      .value = "URL",
      .help = "Broker; with standbys all of them: URL,URL. Without it the "
              "farm in --home, if there is one" },
    { .name = "context",
      .type = OPTION_TEXT,
      .offset = AT(context),
      .value = "NAME",
      .help = "The broker that `sinter login` gave this name, in place of "
              "--broker and its keys" },
    { .name = "home",
      .type = OPTION_TEXT,
      .offset = AT(state),
      .otherwise = ".sinter",
      .value = "DIR",
      .help = "Where `sinter run` keeps its farm" },
    { .name = "key",
      .type = OPTION_TEXT,
      .offset = AT(key),
      .value = "FILE",
      .help = "One's own secret key for --broker (`sinter keygen`)" },
    { .name = "broker-key",
      .type = OPTION_TEXT,
      .offset = AT(broker_key),
      .value = "FILE",
      .help = "Public key of --broker" },
    { .name = "plaintext",
      .type = OPTION_SWITCH,
      .offset = AT(plaintext),
      .help = "Without keys, speak to a broker over a network" },
    { .name = "http-token-file",
      .type = OPTION_TEXT,
      .offset = AT(http_token_file),
      .value = "FILE",
      .help = "Bearer token for the depot of --broker" },
    { .name = "timeout",
      .type = OPTION_MS,
      .offset = AT(timeout_ms),
      .otherwise = "10s",
      .least = 1,
      .most = INT64_C(86400000),
      .value = "DUR",
      .help = "Give up on the broker after so long" },
    { .name = "json",
      .type = OPTION_SWITCH,
      .offset = AT(json),
      .help = "One JSON document on stdout; errors as JSON on stderr" },
    { .name = "quiet",
      .letter = 'q',
      .type = OPTION_SWITCH,
      .offset = AT(quiet),
      .help = "Print ids only" },
    { .name = "color",
      .type = OPTION_TEXT,
      .offset = AT(color),
      .otherwise = "auto",
      .value = "WHEN",
      .help = "auto, always or never (see also NO_COLOR)" },
    { .name = "help",
      .letter = 'h',
      .type = OPTION_SWITCH,
      .offset = AT(help),
      .help = "Help for a command" },
    { .name = "version",
      .type = OPTION_SWITCH,
      .offset = AT(version),
      .help = "Print the version" },
    { .name = NULL },
};
#undef AT

static const struct option no_options[] = { { .name = NULL } };

static const enum cli_exit exits[STATUS_COUNT] = {
    [STATUS_SUCCESS] = CLI_DONE,        [STATUS_INVALID] = CLI_FAILED,
    [STATUS_NOT_FOUND] = CLI_NOT_FOUND, [STATUS_TOO_BIG] = CLI_REFUSED,
    [STATUS_CORRUPT] = CLI_FAILED,      [STATUS_DENIED] = CLI_DENIED,
    [STATUS_NO_MEMORY] = CLI_FAILED,    [STATUS_NO_SPACE] = CLI_FAILED,
    [STATUS_UNAVAILABLE] = CLI_BROKER,  [STATUS_TIMED_OUT] = CLI_BROKER,
    [STATUS_LOST] = CLI_BROKER,         [STATUS_CANCELLED] = CLI_INTERRUPTED,
    [STATUS_STALE] = CLI_FAILED,        [STATUS_FAILED] = CLI_FAILED,
};

static enum cli_exit exit_of(enum status_code code)
{
    return code < STATUS_COUNT ? exits[code] : CLI_FAILED;
}

PRINTF_LIKE(3, 0)
static void print_line(FILE *out, const char *before, const char *format,
                       va_list args)
{
    fputs(before, out);
    (void)vfprintf(out, format, args);
    fputc('\n', out);
}

void cli_note(const struct cli *cli, const char *format, ...)
{
    va_list args;

    if (cli->options->quiet || cli->options->json)
        return;
    (void)fflush(cli->out.stream); /* both may go to one file */
    va_start(args, format);
    print_line(cli->err.stream, "", format, args);
    va_end(args);
}

void cli_warn(const struct cli *cli, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line(cli->err.stream, "sinter: warning: ", format, args);
    va_end(args);
}

struct status cli_usage(struct cli *cli, const char *format, ...)
{
    char message[STATUS_MESSAGE_SIZE];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    cli->failure_exit = CLI_USAGE;
    return FAIL(STATUS_INVALID, "%s", message);
}

struct status cli_here(struct cli *cli, struct status st)
{
    if (status_failed(&st))
        cli->failure_exit = CLI_FAILED;
    return st;
}

static json_t *document(const char *name, const json_t *body)
{
    char schema[64];
    json_t *all = json_object();
    json_t *copy = json_copy((json_t *)(uintptr_t)body);

    (void)snprintf(schema, sizeof schema, "sinter.%s/1", name);
    (void)json_object_set_new(all, "schema", json_string(schema));
    (void)json_object_update_missing(all, copy);
    json_decref(copy);
    return all;
}

void cli_print_document(const struct cli *cli, const char *name,
                        const json_t *body)
{
    AUTO(json_release) json_t *all = document(name, body);
    AUTO(free_pointer) char *text = json_shown(all);

    fprintf(cli->out.stream, "%s\n", text);
}

void cli_print_line(const struct cli *cli, const char *name, const json_t *body)
{
    AUTO(json_release) json_t *all = document(name, body);
    AUTO(free_pointer) char *text = json_canonical(all);

    fprintf(cli->out.stream, "%s\n", text);
    (void)fflush(cli->out.stream);
}

static void report(const struct cli *cli, const struct status *st)
{
    AUTO(json_release) json_t *error = NULL;
    AUTO(free_pointer) char *text = NULL;
    const char *name = cli->command == NULL ? NULL : cli->command->name;

    if (cli->reported)
        return;
    if (!cli->options->json) {
        fprintf(cli->err.stream, "%ssinter%s%s:%s %s\n",
                terminal_red(&cli->err), name == NULL ? "" : " ",
                name == NULL ? "" : name, terminal_plain(&cli->err),
                st->message);
        return;
    }
    error = json_pack("{s:{s:s, s:s}}", "error", "code", status_name(st->code),
                      "message", st->message);
    if (error == NULL) /* the message is no UTF-8 */
        error = json_pack("{s:{s:s, s:s}}", "error", "code",
                          status_name(st->code), "message", "?");
    text = json_canonical(error);
    fprintf(cli->err.stream, "%s\n", text);
}

/* Does the flag at `word` take the next word as its value? */
static bool takes_next(const char *word)
{
    for (const struct option *o = cli_global_options; o->name != NULL; o++) {
        bool is_long =
            strncmp(word, "--", 2) == 0 && strcmp(word + 2, o->name) == 0;
        bool is_short = word[0] == '-' && word[1] == o->letter &&
                        o->letter != 0 && word[2] == '\0';

        if (is_long || is_short)
            return o->type != OPTION_SWITCH;
    }
    return false;
}

/* Place of the command's name in argv; argc if there is none. */
static int find_command_word(int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-')
            return i;
        if (takes_next(argv[i]))
            i++;
    }
    return argc;
}

static size_t count_options(const struct option *table)
{
    size_t count = 0;

    while (table[count].name != NULL)
        count++;
    return count;
}

/* The global rows and the command's in one table over one block of memory:
 * struct cli_options, then the command's settings. */
struct invocation {
    struct option *table;
    void *block;
    struct option_list operands;
    size_t settings_at;
};

static void invocation_init(struct invocation *in, const struct command *c)
{
    enum { ALIGN = 16 };
    const struct option *own = no_options;
    size_t globals = count_options(cli_global_options);
    size_t owns = 0;

    if (c != NULL && c->options != NULL)
        own = c->options;
    owns = count_options(own);
    in->settings_at = (sizeof(struct cli_options) + ALIGN - 1) / ALIGN * ALIGN;
    in->block = xcalloc(1, in->settings_at +
                               (c == NULL ? 0 : c->settings_size) + ALIGN);
    in->table = xcalloc(globals + owns + 1, sizeof *in->table);
    memcpy(in->table, cli_global_options, globals * sizeof *in->table);
    for (size_t i = 0; i < owns; i++) {
        in->table[globals + i] = own[i];
        in->table[globals + i].offset += in->settings_at;
    }
    in->operands.items = NULL;
    in->operands.count = 0;
}

static void invocation_release(struct invocation *in)
{
    option_release(in->table, in->block);
    free(in->operands.items);
    free(in->table);
    free(in->block);
}

MUST_CHECK static struct status set_terminals(struct cli *cli)
{
    static const char *const whens[] = { "auto", "always", "never", NULL };
    enum terminal_colour colour = COLOUR_AUTO;

    for (size_t i = 0; whens[i] != NULL; i++) {
        if (strcmp(cli->options->color, whens[i]) == 0) {
            colour = (enum terminal_colour)i;
            terminal_init(&cli->out, stdout, colour);
            terminal_init(&cli->err, stderr, colour);
            return SUCCESS;
        }
    }
    return cli_usage(cli, "--color is auto, always or never, not `%s`",
                     cli->options->color);
}

MUST_CHECK static struct status check_operands(struct cli *cli)
{
    const struct command *c = cli->command;

    if (cli->operand_count < c->least)
        return cli_usage(cli, "%s is missing; usage: sinter %s %s",
                         c->least == 1 ? "an argument" : "something", c->name,
                         c->usage);
    if (cli->operand_count > c->most)
        return cli_usage(cli, "`%s` is one too many; usage: sinter %s%s%s",
                         cli->operands[c->most], c->name,
                         c->usage[0] == '\0' ? "" : " ", c->usage);
    return SUCCESS;
}

MUST_CHECK static struct status run_command(struct cli *cli)
{
    TRY_PLAIN(set_terminals(cli));
    if (cli->options->help) {
        command_help(cli->command, cli->out.stream);
        return SUCCESS;
    }
    TRY_PLAIN(check_operands(cli));
    return cli->command->run(cli);
}

/* No command: --help, --version, or nothing at all. */
MUST_CHECK static struct status run_bare(struct cli *cli)
{
    TRY_PLAIN(set_terminals(cli));
    if (cli->options->version) {
        cli->command = command_find("version");
        return cli->command->run(cli);
    }
    if (cli->options->help) {
        command_overview(cli->out.stream);
        return SUCCESS;
    }
    command_overview(cli->err.stream);
    cli->reported = true;
    return cli_usage(cli, "no command");
}

MUST_CHECK static struct status parse(struct cli *cli, struct invocation *in,
                                      int argc, char *const *argv)
{
    struct status st =
        option_parse(in->table, argc, argv, in->block, &in->operands);

    cli->settings = (char *)in->block + in->settings_at;
    if (status_failed(&st)) {
        cli->failure_exit = CLI_USAGE;
        return status_wrap(st, "usage");
    }
    cli->operands = in->operands.items;
    cli->operand_count = in->operands.count;
    return SUCCESS;
}

static struct status unknown_command(struct cli *cli, const char *word)
{
    const char *near = command_suggest(word);

    if (near != NULL)
        return cli_usage(cli, "no command `%s`; did you mean `%s`?", word,
                         near);
    return cli_usage(cli, "no command `%s`; `sinter --help` lists them", word);
}

/* Output that did not arrive is a failure: a full disk, a closed pipe. */
MUST_CHECK static struct status flush(struct cli *cli)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return SUCCESS;
    return cli_here(cli, FAIL(STATUS_FAILED, "cannot write the output: %s",
                              strerror(errno)));
}

/* A message for --json although the options could not be read. */
static bool asks_json(int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

static enum cli_exit finish(struct cli *cli, struct status st)
{
    struct status flushed = flush(cli);
    int caught = interrupt_signal();

    if (!status_failed(&st))
        st = flushed;
    if (!status_failed(&st))
        return cli->exit;
    report(cli, &st);
    if (st.code == STATUS_CANCELLED && caught != 0)
        return caught == SIGTERM ? CLI_TERMINATED : CLI_INTERRUPTED;
    return cli->failure_exit != CLI_DONE ? cli->failure_exit : exit_of(st.code);
}

int cli_main(int argc, char **argv)
{
    struct cli cli = { .exit = CLI_DONE };
    struct cli_options early = { .json = asks_json(argc, argv) };
    struct invocation in;
    int word = find_command_word(argc, argv);
    struct status st;
    enum cli_exit code;

    (void)setlocale(LC_CTYPE, "");
    cli.options = &early;
    terminal_init(&cli.out, stdout, COLOUR_AUTO);
    terminal_init(&cli.err, stderr, COLOUR_AUTO);
    if (word < argc) {
        cli.command = command_find(argv[word]);
        if (cli.command == NULL)
            return (int)finish(&cli, unknown_command(&cli, argv[word]));
        memmove(&argv[word], &argv[word + 1],
                (size_t)(argc - word) * sizeof *argv);
        argc--;
    }
    invocation_init(&in, cli.command);
    st = parse(&cli, &in, argc, argv);
    if (!status_failed(&st)) {
        cli.options = in.block;
        st = cli.command == NULL ? run_bare(&cli) : run_command(&cli);
    }
    code = finish(&cli, st);
    invocation_release(&in);
    return (int)code;
}
