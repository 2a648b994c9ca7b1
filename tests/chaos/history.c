/* history.c -- reads the whole log of a farm after a run and says whether it
 * kept its promises.
 *
 *     history STORE NAMESPACE ACCEPTED COMMITTED
 *
 * ACCEPTED has the ids of sweeps that a client was told are accepted, one a
 * line; COMMITTED has "KEY EPOCH ATTEMPT" for each outcome that a worker was
 * told is committed. The broker must have run without snapshots, or the log
 * does not begin at its beginning. Nobody else may use the store meanwhile:
 * reading takes it over.
 *
 * Broken promises go to standard error, one a line; the exit code is 1 if
 * there are any. Counts go to standard output. */
#include "broker/store.h"
#include "common/digest.h"
#include "common/file.h"
#include "common/json.h"
#include "common/map.h"
#include "common/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the log says of a key. */
struct fate {
    uint64_t epoch, attempt; /* newest token on record */
    bool done;
    struct wire_token *tokens; /* that have a verdict */
    size_t token_count;
};

/* What the log says of a sweep. */
struct story {
    bool ended;
    char *idempotency;
};

static struct {
    uint64_t epoch, sequence, records, results, failures, commands;
    struct map *fates;   /* key -> struct fate */
    struct map *stories; /* id -> struct story */
    struct map *texts;   /* idempotency -> struct story */
    unsigned broken;
} history;

#define BROKEN(...)                                        \
    (history.broken++, (void)fprintf(stderr, __VA_ARGS__), \
     (void)fputs("\n", stderr))

static struct fate *fate_of(const struct digest *key)
{
    struct fate *f = map_get(history.fates, key->bytes, DIGEST_SIZE);

    if (f == NULL) {
        f = xnew(struct fate);
        (void)map_put(history.fates, key->bytes, DIGEST_SIZE, f);
    }
    return f;
}

static bool is_older(const struct wire_token *t, const struct fate *f)
{
    return t->epoch < f->epoch ||
           (t->epoch == f->epoch && t->attempt < f->attempt);
}

/* A verdict: it names the newest run, and a key that is done has no more. */
static void take_verdict(const struct wire_token *t, bool done)
{
    struct fate *f = fate_of(&t->key);
    char key[DIGEST_TEXT];

    digest_to_text(&t->key, key);
    if (f->done)
        BROKEN("job %s had its result, then came %s", key,
               done ? "another" : "a failure");
    if (is_older(t, f))
        BROKEN("job %s: a verdict on %" PRIu64 "-%" PRIu64
               " after one on %" PRIu64 "-%" PRIu64,
               key, t->epoch, t->attempt, f->epoch, f->attempt);
    if (t->epoch > history.epoch)
        BROKEN("job %s: a token of epoch %" PRIu64 " in epoch %" PRIu64, key,
               t->epoch, history.epoch);
    f->epoch = t->epoch;
    f->attempt = t->attempt;
    f->done = f->done || done;
    f->tokens = xrealloc(f->tokens, (f->token_count + 1) * sizeof *f->tokens);
    f->tokens[f->token_count++] = *t;
}

static void take_sweep(const struct wire_record_sweep *r)
{
    AUTO(free_pointer) char *id = wire_take(r->id);
    struct story *story = xnew(struct story);

    story->idempotency = wire_take(r->idempotency);
    if (map_get_text(history.stories, id) != NULL)
        BROKEN("sweep %s was accepted twice", id);
    if (map_get_text(history.texts, story->idempotency) != NULL)
        BROKEN("\"%s\" became two sweeps", story->idempotency);
    (void)map_put_text(history.stories, id, story);
    (void)map_put_text(history.texts, story->idempotency, story);
}

static void take_command(const struct wire_record_command *r)
{
    AUTO(json_release) json_t *arguments = NULL;
    struct status st = json_parse(r->arguments.data, r->arguments.size,
                                  "arguments", &arguments);
    const char *id = json_text_or(arguments, "sweep", NULL);
    struct story *story = id == NULL ? NULL : map_get_text(history.stories, id);

    history.commands++;
    if (status_failed(&st))
        BROKEN("a command that is no JSON: %s", st.message);
    if (id != NULL && story == NULL)
        BROKEN("%.*s of sweep %s, which nobody accepted", (int)r->verb.size,
               r->verb.data, id);
    if (story == NULL)
        return;
    if (wire_is(r->verb, "end") && story->ended)
        BROKEN("sweep %s ended twice", id);
    if (wire_is(r->verb, "end"))
        story->ended = true;
    if (wire_is(r->verb, "retry") || wire_is(r->verb, "extend"))
        story->ended = false;
}

static void take_id(const struct store_record *r, const struct wire_message *m)
{
    if (r->epoch < history.epoch)
        BROKEN("epoch %" PRIu64 " after %" PRIu64, r->epoch, history.epoch);
    if (r->epoch > history.epoch)
        history.sequence = 0;
    if (r->sequence != history.sequence + 1)
        BROKEN("%" PRIu64 "-%" PRIu64 " follows sequence %" PRIu64, r->epoch,
               r->sequence, history.sequence);
    if (r->epoch > history.epoch && m->type != WIRE_RECORD_START)
        BROKEN("epoch %" PRIu64 " begins with %s", r->epoch,
               wire_name(m->type));
    history.epoch = r->epoch;
    history.sequence = r->sequence;
    history.records++;
}

static void take_record(const struct wire_message *m)
{
    switch (m->type) {
    case WIRE_RECORD_SWEEP:
        take_sweep(&m->record_sweep);
        break;
    case WIRE_RECORD_RESULT:
        history.results++;
        take_verdict(&m->record_result.token, true);
        break;
    case WIRE_RECORD_FAILURE:
        history.failures++;
        take_verdict(&m->record_failure.token, false);
        break;
    case WIRE_RECORD_COMMAND:
        take_command(&m->record_command);
        break;
    default:
        break;
    }
}

MUST_CHECK static struct status visit_record(void *self,
                                             const struct store_record *r)
{
    struct wire_decoded decoded;

    (void)self;
    TRY_PLAIN(wire_decode(r->data.data, r->data.size, &decoded));
    take_id(r, &decoded.message);
    take_record(&decoded.message);
    wire_release(&decoded);
    return SUCCESS;
}

MUST_CHECK static struct status visit_piece(void *self, const char *name,
                                            struct wire_bytes data)
{
    (void)self;
    (void)data;
    return FAIL(STATUS_INVALID,
                "there is a snapshot (%s): the beginning of the log is gone",
                name);
}

static void check_accepted(const char *id)
{
    const struct story *story = map_get_text(history.stories, id);

    if (story == NULL)
        BROKEN("sweep %s was acknowledged and is not there", id);
    else if (!story->ended)
        BROKEN("sweep %s never ended", id);
}

static void check_committed(const char *line)
{
    struct wire_token token = { 0 };
    const struct fate *f;
    char key[DIGEST_TEXT];

    if (sscanf(line, "%64s %" SCNu64 " %" SCNu64, key, &token.epoch,
               &token.attempt) != 3 ||
        !digest_from_text(key, &token.key)) {
        BROKEN("\"%s\" is no line of COMMITTED", line);
        return;
    }
    f = map_get(history.fates, token.key.bytes, DIGEST_SIZE);
    for (size_t i = 0; f != NULL && i < f->token_count; i++)
        if (wire_token_equal(&f->tokens[i], &token))
            return;
    BROKEN("%s was acknowledged and is not on record", line);
}

/* Lines of a file; how many. */
static size_t each_line(const char *path, void (*check)(const char *line))
{
    FILE *file = fopen(path, "r");
    char line[256];
    size_t count = 0;

    if (file == NULL) {
        BROKEN("%s cannot be read", path);
        return 0;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0')
            continue;
        check(line);
        count++;
    }
    (void)fclose(file);
    return count;
}

MUST_CHECK static struct status read_log(const char *url, const char *namespace)
{
    const struct store_options options = { 0 };
    const struct store_visitor visitor = { .piece = visit_piece,
                                           .record = visit_record };
    struct store store;
    struct status st;
    uint64_t epoch;

    TRY_PLAIN(store_open(url, namespace, &options, &store));
    st = store.begin(store.self, &epoch);
    if (!status_failed(&st))
        st = store.replay(store.self, &visitor);
    store.close(store.self);
    return st;
}

int main(int argc, char **argv)
{
    struct status st;
    size_t accepted, committed;

    if (argc != 5) {
        (void)fputs("usage: history STORE NAMESPACE ACCEPTED COMMITTED\n",
                    stderr);
        return EXIT_FAILURE;
    }
    history.fates = map_new();
    history.stories = map_new();
    history.texts = map_new();
    st = read_log(argv[1], argv[2]);
    if (status_failed(&st))
        BROKEN("%s", st.message);
    accepted = each_line(argv[3], check_accepted);
    committed = each_line(argv[4], check_committed);
    (void)printf("{\"epochs\": %" PRIu64 ", \"records\": %" PRIu64
                 ", \"results\": %" PRIu64 ", \"failures\": %" PRIu64
                 ", \"commands\": %" PRIu64
                 ", \"accepted\": %zu, \"committed\": %zu, \"broken\": %u}\n",
                 history.epoch, history.records, history.results,
                 history.failures, history.commands, accepted, committed,
                 history.broken);
    return history.broken == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
