#include "cli/session.h"

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/sweep_file.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/memory.h"

static const char default_endpoint[] = "tcp://127.0.0.1:7421";

enum {
    DEFAULT_PORT = 7421,
    GUESS_MS = 2000, /* for an endpoint nobody named */
    FIND_MS = 5000,  /* for a neighbour's broker to come up or go */
    TEND_MS = 50,
    PATIENCE_MS = 60000, /* a local broker may be starting again */
    BUSY_TIMES = 6, /* a broker that says it is busy has so many time-outs */
};

static bool idle(void *self)
{
    struct session *s = self;

    if (s->local != NULL && !status_failed(&s->trouble))
        s->trouble = local_tend(s->local);
    return interrupt_seen() || status_failed(&s->trouble);
}

static void moved(void *self, const char *from, const char *to)
{
    const struct session *s = self;

    if (strcmp(from, to) != 0)
        cli_note(s->cli, "%s is not the leader, asking %s", from, to);
}

static void busy(void *self, const char *endpoint, const char *reason)
{
    const struct session *s = self;

    cli_note(s->cli, "broker %s is busy: %s; trying for %.3g s", endpoint,
             reason, (double)s->busy_ms / 1000.0);
}

/* "A,B", each of a sort that can be spoken to? */
static bool is_endpoint(const char *text)
{
    static const char *const sorts[] = { "tcp://", "ipc://", "inproc://" };

    for (; text != NULL; text = strchr(text, ',')) {
        bool is_known = false;

        text += *text == ',' ? 1 : 0;
        for (size_t i = 0; i < COUNT_OF(sorts); i++)
            is_known |= strncmp(text, sorts[i], strlen(sorts[i])) == 0;
        if (!is_known)
            return false;
    }
    return true;
}

/* With the keys of `options`. */
MUST_CHECK static struct status dial(struct session *s,
                                     const struct cli_options *options,
                                     const char *endpoint, int64_t timeout_ms)
{
    struct sinter_settings settings = {
        .endpoint = endpoint,
        .timeout_ms = timeout_ms,
        .busy_ms = BUSY_TIMES * timeout_ms,
        .key = option_given(options->key),
        .broker_key = option_given(options->broker_key),
        .plaintext = options->plaintext,
        .idle = idle,
        .moved = moved,
        .busy = busy,
        .self = s,
    };
    struct status st;

    if (!is_endpoint(endpoint))
        return cli_usage(s->cli,
                         "%s is no address of a broker: it is HOST, HOST:PORT, "
                         "tcp://HOST:PORT or ipc://PATH (its --clients)",
                         endpoint);
    s->token_file = option_given(options->http_token_file);
    s->busy_ms = settings.busy_ms;
    interrupt_catch();
    st = sinter_connect(&settings, &s->client);
    /* a key that is not there is no sweep that is not there */
    return st.code == STATUS_NOT_FOUND ? cli_here(s->cli, st) : st;
}

/* A broker of this directory, which asks for no keys. */
MUST_CHECK static struct status dial_local(struct session *s,
                                           const char *endpoint,
                                           int64_t timeout_ms)
{
    static const struct cli_options no_keys;

    return dial(s, &no_keys, endpoint, timeout_ms);
}

/* "host" and "host:port" are TCP. */
static char *full_endpoint(const char *text)
{
    if (strstr(text, "://") != NULL)
        return xstrdup(text);
    if (strchr(text, ':') != NULL)
        return xasprintf("tcp://%s", text);
    return xasprintf("tcp://%s:%d", text, DEFAULT_PORT);
}

/* The same of each in "A,B". */
static char *full_endpoints(const char *text)
{
    char *all = NULL;

    do {
        size_t size = strcspn(text, ",");
        AUTO(free_pointer) char *item = xasprintf("%.*s", (int)size, text);
        AUTO(free_pointer) char *full = full_endpoint(item);
        char *longer =
            all == NULL ? xstrdup(full) : xasprintf("%s,%s", all, full);

        free(all);
        all = longer;
        text += size;
    } while (*text++ == ',');
    return all;
}

static void clear(struct cli *cli, struct session *s)
{
    s->cli = cli;
    s->client = NULL;
    s->local = NULL;
    memset(&s->context, 0, sizeof s->context);
    s->token_file = NULL;
    s->trouble = SUCCESS;
    s->missing = NULL;
}

MUST_CHECK static struct status open_named(const struct cli *cli,
                                           struct session *s)
{
    AUTO(free_pointer) char *endpoint = full_endpoints(cli->options->broker);

    return dial(s, cli->options, endpoint, cli->options->timeout_ms);
}

/* A variable of the environment, and no flag? */
static bool is_inherited(const char *variable, const char *text)
{
    const char *value = getenv(variable);

    return value != NULL && strcmp(value, text) == 0;
}

/* What a flag says, else what the context has. */
static const char *told_by(const char *variable, const char *text,
                           const char *context)
{
    bool is_flag = option_given(text) != NULL && !is_inherited(variable, text);

    return is_flag ? text : context;
}

/* NULL: the current one, if there is one. */
MUST_CHECK static struct status open_context(const struct cli *cli,
                                             struct session *s,
                                             const char *name, bool *ret_open)
{
    struct cli_options options = *cli->options;
    AUTO(free_pointer) char *endpoint = NULL;

    TRY_PLAIN(context_find(name, &s->context));
    *ret_open = s->context.name != NULL;
    if (!*ret_open)
        return SUCCESS;
    options.key = told_by("SINTER_KEY", options.key, s->context.key);
    options.broker_key =
        told_by("SINTER_BROKER_KEY", options.broker_key, s->context.broker_key);
    options.http_token_file =
        told_by("SINTER_HTTP_TOKEN_FILE", options.http_token_file,
                s->context.http_token_file);
    options.plaintext = s->context.plaintext;
    endpoint = full_endpoints(s->context.broker);
    return dial(s, &options, endpoint, options.timeout_ms);
}

/* By --broker or --context, if one of them is given; a flag beats a variable,
 * and of two variables the context counts. */
MUST_CHECK static struct status open_told(struct cli *cli, struct session *s,
                                          bool *ret_open)
{
    const char *broker = option_given(cli->options->broker);
    const char *context = option_given(cli->options->context);

    *ret_open = broker != NULL;
    if (broker == NULL && context == NULL)
        return SUCCESS;
    if (broker != NULL && context != NULL) {
        bool is_flag = !is_inherited("SINTER_BROKER", broker);

        if (is_flag && !is_inherited("SINTER_CONTEXT", context))
            return cli_usage(cli, "--broker and --context: one of them");
        context = is_flag ? NULL : context;
    }
    if (context != NULL)
        return open_context(cli, s, context, ret_open);
    return open_named(cli, s);
}

/* The broker of a neighbour if one works on the state, else one of our own. */
MUST_CHECK static struct status open_state(struct cli *cli, struct session *s)
{
    struct local_settings settings = {
        .state = cli->options->state,
        .purpose = cli->command->name,
    };
    int64_t give_up = clock_now() + FIND_MS * NS_PER_MS;
    struct status st;

    interrupt_catch();
    do {
        AUTO(free_pointer) char *endpoint = NULL;

        st = local_start(&settings, &s->local);
        if (!status_failed(&st))
            return dial_local(s, local_endpoint(s->local), PATIENCE_MS);
        if (st.code != STATUS_UNAVAILABLE)
            return cli_here(cli, st);
        endpoint = local_find(cli->options->state);
        if (endpoint != NULL)
            return dial_local(s, endpoint, cli->options->timeout_ms);
        clock_sleep_ms(TEND_MS);
    } while (clock_now() < give_up && !interrupt_seen());
    return st;
}

static bool has_state(const struct cli *cli)
{
    AUTO(free_pointer) char *lock = xasprintf("%s/lock", cli->options->state);

    return file_exists(lock);
}

/* Nobody said which. */
MUST_CHECK static struct status open_guess(const struct cli *cli,
                                           struct session *s)
{
    bool is_open = false;

    TRY_PLAIN(open_context(cli, s, NULL, &is_open));
    if (is_open)
        return SUCCESS;
    s->missing = cli->options->state;
    return dial(s, cli->options, default_endpoint, GUESS_MS);
}

MUST_CHECK static struct status closed_on_failure(struct session *s,
                                                  struct status st)
{
    if (status_failed(&st))
        session_release(s);
    return st;
}

struct status session_open(struct cli *cli, struct session *s)
{
    bool is_open = false;
    struct status st;

    clear(cli, s);
    st = open_told(cli, s, &is_open);
    if (!status_failed(&st) && !is_open)
        st = has_state(cli) ? open_state(cli, s) : open_guess(cli, s);
    return closed_on_failure(s, st);
}

struct status session_open_farm(struct cli *cli, struct session *s)
{
    AUTO(free_pointer) char *neighbour = NULL;
    bool is_open = false;
    struct status st;

    clear(cli, s);
    st = open_told(cli, s, &is_open);
    if (status_failed(&st) || is_open)
        return closed_on_failure(s, st);
    neighbour = local_find(cli->options->state);
    st = neighbour != NULL ? dial_local(s, neighbour, cli->options->timeout_ms)
                           : open_guess(cli, s);
    return closed_on_failure(s, st);
}

struct status session_open_local(struct cli *cli, struct local *local,
                                 struct session *s)
{
    int64_t timeout_ms = cli->options->timeout_ms;

    clear(cli, s);
    s->local = local;
    return dial_local(s, local_endpoint(local),
                      timeout_ms > PATIENCE_MS ? timeout_ms : PATIENCE_MS);
}

void session_release(struct session *s)
{
    sinter_close(s->client);
    local_stop(s->local);
    context_release(&s->context);
    clear(s->cli, s);
}

/* The story that matters when a call failed. */
static struct status told(const struct session *s, struct status st)
{
    if (st.code == STATUS_CANCELLED && status_failed(&s->trouble))
        return s->trouble;
    if (st.code == STATUS_UNAVAILABLE && s->missing != NULL)
        return FAIL(STATUS_UNAVAILABLE,
                    "there is no farm in %s, and no broker answers at %s; "
                    "start with: sinter run FILE, or name the broker of a farm "
                    "(--broker, SINTER_BROKER or `sinter login`)",
                    s->missing, default_endpoint);
    if (s->context.name != NULL &&
        (st.code == STATUS_UNAVAILABLE || st.code == STATUS_DENIED))
        return status_wrap(st, "context %s", s->context.name);
    return st;
}

struct status session_ask(struct session *s, const char *verb,
                          json_t *arguments, json_t **ret_answer)
{
    struct status st = sinter_query(s->client, verb, arguments, ret_answer);

    json_decref(arguments);
    return told(s, st);
}

struct status session_submit(struct session *s, const json_t *document,
                             char ret_sweep[SINTER_ID], bool *ret_duplicate)
{
    AUTO(free_pointer) char *text = json_canonical(document);
    char idempotency[DIGEST_TEXT];

    sweep_file_idempotency(document, idempotency);
    return told(s, sinter_submit(s->client, text, strlen(text), idempotency,
                                 ret_sweep, ret_duplicate));
}

bool session_sleep(struct session *s, int64_t ms)
{
    int64_t until = clock_now() + ms * NS_PER_MS;

    while (clock_now() < until) {
        if (idle(s))
            return true;
        clock_sleep_ms(ms < TEND_MS ? ms : TEND_MS);
    }
    return idle(s);
}
