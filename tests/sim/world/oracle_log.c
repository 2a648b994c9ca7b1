/* oracle_log.c -- what the log says, record by record. */
#include "tests/sim/world/oracle_state.h"

#include "common/json.h"
#include "common/memory.h"
#include "tests/sim/world/slots.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the log says of a key. */
struct fate {
    struct wire_token newest; /* that has a verdict */
    bool done;
    unsigned deaths; /* that count, since it was forgiven */
};

/* What the log says of a sweep. */
struct story {
    bool ended;
    char *trials; /* a letter each, when it ended last; NULL: it never did */
};

static struct {
    uint64_t epoch, sequence;
    struct map *fates;    /* key -> struct fate */
    struct map *verdicts; /* token -> non-NULL */
    struct map *stories;  /* id -> struct story */
    struct map *commands; /* "verb subject" -> non-NULL */
} l;

void oracle_log_begin(void)
{
    l.fates = map_new();
    l.verdicts = map_new();
    l.stories = map_new();
    l.commands = map_new();
    l.epoch = l.sequence = 0;
}

void oracle_log_end(void)
{
    map_free(l.fates);
    map_free(l.verdicts);
    map_free(l.stories);
    map_free(l.commands);
}

void oracle_forget_log(void)
{
    oracle_log_end();
    oracle_log_begin();
}

const char *oracle_token(const struct wire_token *t)
{
    enum { ROTATE = 4 };
    static char texts[ROTATE][64];
    static size_t at;
    char *text = texts[at++ % ROTATE];

    (void)snprintf(text, sizeof texts[0], "%" PRIu64 ".%" PRIu64 " of %02x%02x",
                   t->epoch, t->attempt, t->key.bytes[0], t->key.bytes[1]);
    return text;
}

bool oracle_has_verdict(const struct wire_token *t)
{
    return map_get(l.verdicts, t, sizeof *t) != NULL;
}

bool oracle_is_done(const struct digest *key)
{
    const struct fate *f = map_get(l.fates, key->bytes, DIGEST_SIZE);

    return f != NULL && f->done;
}

bool oracle_has_sweep(const char *id)
{
    return map_get_text(l.stories, id) != NULL;
}

bool oracle_has_command(const char *verb, const char *subject)
{
    AUTO(free_pointer) char *text = xasprintf("%s %s", verb, subject);

    return map_get_text(l.commands, text) != NULL;
}

static struct fate *fate_of(const struct digest *key)
{
    struct fate *f = map_get(l.fates, key->bytes, DIGEST_SIZE);

    if (f == NULL) {
        f = time_alloc(sizeof *f);
        (void)map_put(l.fates, key->bytes, DIGEST_SIZE, f);
    }
    return f;
}

static bool is_older(const struct wire_token *a, const struct wire_token *b)
{
    return a->epoch < b->epoch ||
           (a->epoch == b->epoch && a->attempt < b->attempt);
}

static struct fate *take_verdict(const struct wire_token *t, const char *what)
{
    struct fate *f = fate_of(&t->key);

    if (f->done)
        oracle_break(INVARIANT_I2, "%s: a %s after the result of %s",
                     oracle_token(t), what, oracle_token(&f->newest));
    if (is_older(t, &f->newest))
        oracle_break(INVARIANT_I2, "%s: a %s after that of %s", oracle_token(t),
                     what, oracle_token(&f->newest));
    f->newest = *t;
    (void)map_put(l.verdicts, t, sizeof *t, f);
    return f;
}

static void take_result(const struct wire_record_result *r)
{
    struct fate *f = take_verdict(&r->token, "result");

    if (oracle_holder(&r->token) == NULL)
        oracle_break(INVARIANT_I5, "%s: a result, and nobody was given it",
                     oracle_token(&r->token));
    if (!oracle_is_newest(&r->token))
        oracle_break(INVARIANT_I2, "%s: a result, and a newer run was given",
                     oracle_token(&r->token));
    f->done = true;
}

/* wire_record_failure.crashed, as in broker/core/state.h. */
enum { DIED_IN_SLOT = 1, DIED_ALONE = 2, DIED_BESIDE = 4, VERDICT = 3 };

static void take_failure(const struct wire_record_failure *r)
{
    struct fate *f = take_verdict(&r->token, "failure");
    bool death = r->crashed == DIED_IN_SLOT || r->crashed == DIED_ALONE;

    if (time_tells)
        time_tell("%s: failed with %d, crash %d%s", oracle_token(&r->token),
                  (int)r->code, (int)r->crashed, r->terminal != 0 ? "!" : "");

    if (r->crashed == DIED_ALONE && oracle_runs_beside(&r->token))
        oracle_break(INVARIANT_I9, "%s: blamed, and others ran beside it",
                     oracle_token(&r->token));
    if (r->crashed == DIED_BESIDE && r->terminal != 0)
        oracle_break(INVARIANT_I9, "%s: judged for a death that is nobody's",
                     oracle_token(&r->token));
    f->deaths += death;
    if (death && r->terminal != 0 && f->deaths != VERDICT)
        oracle_break(INVARIANT_I9, "%s: judged for %u deaths",
                     oracle_token(&r->token), f->deaths);
    if (r->terminal != 0)
        f->deaths = 0;
}

static void take_sweep(const struct wire_record_sweep *r)
{
    AUTO(free_pointer) char *id = wire_take(r->id);

    if (oracle_has_sweep(id))
        oracle_break(INVARIANT_I1, "sweep %s was accepted twice", id);
    (void)map_put_text(l.stories, id, time_alloc(sizeof(struct story)));
}

/* "d5f1" is "dddddf". */
static char *expand(const char *runs)
{
    enum { MOST = 10000 };
    char *letters = time_alloc(MOST + 1);
    size_t count = 0;

    while (*runs != '\0') {
        char letter = *runs;
        char *end;
        unsigned long times = strtoul(runs + 1, &end, 10);

        for (; times > 0 && count < MOST; times--)
            letters[count++] = letter;
        runs = end;
    }
    return letters;
}

static void take_end(struct story *s, const char *id, const json_t *arguments)
{
    char *trials = expand(json_text_or(arguments, "trials", ""));
    size_t known = s->trials == NULL ? 0 : strlen(s->trials);

    if (s->ended)
        oracle_break(INVARIANT_I1, "sweep %s ended twice", id);
    /* Those behind limits.trials wait for an order to extend. */
    if (strspn(trials, "dfcx") + strspn(trials + strspn(trials, "dfcx"), "w") !=
        strlen(trials))
        oracle_break(INVARIANT_I1, "sweep %s ended before its trials: %s", id,
                     trials);
    for (size_t i = 0; i < known; i++)
        if (s->trials[i] == 'd' && trials[i] != 'd')
            oracle_break(INVARIANT_I1, "sweep %s: trial %zu was done", id,
                         i + 1);
    s->ended = true;
    s->trials = trials;
}

static void take_command(const struct wire_record_command *r)
{
    AUTO(json_release) json_t *a = NULL;
    AUTO(free_pointer) char *verb = wire_take(r->verb);
    AUTO(free_pointer) char *text = NULL;
    const char *subject, *id;
    struct story *s;
    struct status st =
        json_parse(r->arguments.data, r->arguments.size, "arguments", &a);

    if (status_failed(&st))
        return;
    id = json_text_or(a, "sweep", "");
    subject = id[0] != '\0' ? id : json_text_or(a, "worker", "");
    text = xasprintf("%s %s", verb, subject);
    (void)map_put_text(l.commands, text, &l);
    if (time_tells)
        time_tell("store: %s %s", text, json_text_or(a, "trials", ""));
    s = map_get_text(l.stories, id);
    if (s == NULL && id[0] != '\0')
        oracle_break(INVARIANT_I1, "%s of %s, which nobody accepted", verb, id);
    if (s == NULL)
        return;
    if (strcmp(verb, "end") == 0)
        take_end(s, id, a);
    if (strcmp(verb, "retry") == 0 || strcmp(verb, "extend") == 0)
        s->ended = false;
}

static void take_id(const struct store_record *r, uint64_t writer)
{
    bool follows = r->epoch == l.epoch ? r->sequence == l.sequence + 1
                                       : r->epoch > l.epoch && r->sequence == 1;

    if (r->epoch < writer || r->epoch < l.epoch)
        oracle_break(INVARIANT_FENCE,
                     "epoch %" PRIu64 " writes, %" PRIu64 " has taken over",
                     r->epoch, writer);
    else if (!follows)
        oracle_break(INVARIANT_I3,
                     "%" PRIu64 "-%" PRIu64 " follows %" PRIu64 "-%" PRIu64,
                     r->epoch, r->sequence, l.epoch, l.sequence);
    l.epoch = r->epoch;
    l.sequence = r->sequence;
}

static void take_record(const struct wire_message *m)
{
    switch ((int)m->type) {
    case WIRE_RECORD_SWEEP:
        take_sweep(&m->record_sweep);
        break;
    case WIRE_RECORD_RESULT:
        take_result(&m->record_result);
        break;
    case WIRE_RECORD_FAILURE:
        take_failure(&m->record_failure);
        break;
    case WIRE_RECORD_COMMAND:
        take_command(&m->record_command);
        break;
    default:
        break;
    }
}

void oracle_logged(const struct store_record *r, uint64_t writer)
{
    struct wire_decoded d;
    struct status st = wire_decode(r->data.data, r->data.size, &d);

    if (status_failed(&st)) {
        oracle_break(INVARIANT_I3, "a record that nobody can read");
        return;
    }
    if (time_tells)
        time_tell("store: %" PRIu64 "-%" PRIu64 " %s", r->epoch, r->sequence,
                  wire_name(d.message.type));
    take_id(r, writer);
    take_record(&d.message);
    wire_release(&d);
}
