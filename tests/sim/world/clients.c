#include "tests/sim/world/clients.h"

#include "client/sinter.h"
#include "common/memory.h"
#include "tests/sim/world/brokers.h"
#include "tests/sim/world/network.h"
#include "tests/sim/world/oracle.h"
#include "tests/sim/world/slots.h"
#include "tests/sim/world/workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct clients_weather clients_weather;

enum { SWEEPS = 12, TIMEOUT_MS = 5000, SHAPES = 5 };

static struct {
    const char *brokers;
    size_t count;
    struct process *clients[CLIENTS_MOST];
    char ids[SWEEPS][SINTER_ID]; /* that were accepted; "": not yet */
    bool settling;
    bool settled;
} c;

/* ---- sweeps --------------------------------------------------------------- */

#define HEAD                                                          \
    "{\"sinter\":1,\"name\":\"s%u\",\"parameters\":[{\"name\":\"x\"," \
    "\"from\":1,\"to\":%u,\"count\":%u,\"scale\":\"linear\"}],"       \
    "\"strategy\":{\"method\":\"grid\"},"
#define NOOP(name, kind, rest)                           \
    "{\"name\":\"" name "\",\"kind\":\"" kind "\"," rest \
    "\"stall_ms\":9000,\"limit_ms\":15000,\"variants\":[{\"params\":"
#define VALUE "}],\"metrics\":[\"value\"]}"
#define X     "\"x\":{\"$param\":\"x\"}"

/* A stage that all points share. */
static const char shared[] = HEAD
    "\"stages\":[{\"name\":\"base\",\"kind\":\"train\",\"sort\":"
    "\"artifact\",\"limit_ms\":15000,\"variants\":[{\"params\":"
    "{\"size\":%u}}]}],\"evaluate\":[" NOOP(
        "e", "evaluate.noop",
        "") "{" X ",\"model\":{\"$stage\":\"base\"}}" VALUE
            "],\"objective\":{\"metric\":\"e.value\",\"goal\":\"maximize\"}%s}";

/* Models that one pass could make. */
static const char family[] =
    HEAD "\"stages\":[{\"name\":\"base\",\"kind\":\"train\",\"sort\":"
         "\"artifact\",\"limit_ms\":15000,\"variants\":[{\"params\":"
         "{\"size\":%u}}]},{\"name\":\"m\",\"kind\":\"merge\",\"sort\":"
         "\"lazy\",\"variants\":[{\"params\":{\"b\":{\"$stage\":\"base\"}," X
         "},\"fuse\":[\"/x\"]}]}],\"evaluate\":[" NOOP(
             "e", "evaluate.noop",
             "") "{\"model\":{\"$stage\":\"m\"}}" VALUE
                 "," NOOP("f", "evaluate.footprint",
                          "") "{\"model\":{\"$stage\":\"m\"}}" VALUE
                              "],\"objective\":{\"metric\":\"e.value\","
                              "\"goal\":\"maximize\"}%s}";

/* Wide jobs, which read a source of the network, and narrow ones. */
static const char demanding[] = HEAD "\"stages\":[],\"evaluate\":[" NOOP(
    "e", "evaluate.noop",
    "\"memory\":700,\"cpus\":2,\"labels\":{"
    "\"zone\":\"a\"},") "{\"model\":{\"$"
                        "source\":{\"url\":"
                        "\"https://hub/"
                        "%u\"}}," X "}" VALUE "," NOOP("f",
                                                       "evaluate."
                                                       "footprint",
                                                       "\"memory\":"
                                                       "300,") "{" X "}" VALUE
                                                               "]%s}";

/* A chain, seeds, and a constraint. */
static const char chain[] = HEAD
    "\"replicates\":{\"count\":2,\"seeds\":[0,1]},\"stages\":["
    "{\"name\":\"a\",\"kind\":\"train\",\"sort\":\"artifact\","
    "\"limit_ms\":15000,\"variants\":[{\"params\":{\"size\":%u,"
    "\"seed\":{\"$param\":\"seed\"}}}]},"
    "{\"name\":\"b\",\"kind\":\"train\",\"sort\":\"artifact\","
    "\"limit_ms\":15000,\"variants\":[{\"params\":{" X ","
    "\"of\":{\"$stage\":\"a\"}}}]}],\"evaluate\":[" NOOP(
        "e", "evaluate.noop",
        "") "{" X ",\"model\":{\"$stage\":\"b\"}}" VALUE
            "],\"objective\":{\"metric\":\"e.value\",\"goal\":\"minimize\"}%s}";

static const char *const extras[] = {
    "",
    ",\"retries\":{\"max\":3,\"backoff_ms\":300}",
    ",\"limits\":{\"parallel\":3},\"retries\":{\"max\":2,\"backoff_ms\":100}",
    ",\"priority\":2,\"retries\":{\"max\":4,\"backoff_ms\":200}",
    ",\"weight\":2.0,\"limits\":{\"trials\":6}",
    ",\"limits\":{\"failures\":2},\"retries\":{\"max\":0}",
    ",\"limits\":{\"time_ms\":90000},\"retries\":{\"backoff_ms\":100}",
};

/* The same number is the same sweep. */
static char *document(unsigned number)
{
    static const char *const shapes[SHAPES] = { shared, family, demanding,
                                                chain, shared };
    unsigned points = 1 + number * 5 % clients_weather.points;
    const char *shape = shapes[number % SHAPES];
    unsigned what = number % 3; /* sweeps share their first stages */

    /* All formats take the same five. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return xasprintf(shape, number, points, points, what,
                     extras[number % COUNT_OF(extras)]);
#pragma GCC diagnostic pop
}

static void submit(struct sinter *s)
{
    unsigned number = (unsigned)time_draw(clients_weather.shapes);
    bool nonsense = time_draw(40) == 0;
    AUTO(free_pointer)
    char *text = nonsense ? xstrdup("{\"sinter\":1}") : document(number);
    AUTO(free_pointer) char *name = xasprintf("sweep %u", number);
    char id[SINTER_ID];
    bool duplicate = false;
    struct status st =
        sinter_submit(s, text, strlen(text), name, id, &duplicate);

    if (process_self()->dead)
        return;
    time_tell("%s: submit %u: %s", process_self()->name, number,
              status_failed(&st) ? st.message : id);
    if (status_failed(&st))
        return;
    if (c.ids[number][0] != '\0' && strcmp(c.ids[number], id) != 0)
        oracle_break(INVARIANT_I1, "sweep %u is %s and %s", number,
                     c.ids[number], id);
    (void)snprintf(c.ids[number], SINTER_ID, "%s", id);
    oracle_told_sweep(id);
}

/* ---- questions and orders ------------------------------------------------- */

/* ret_answer: NULL when there is none. */
static bool ask(struct sinter *s, const char *verb, json_t *arguments,
                json_t **ret_answer)
{
    AUTO(json_release) json_t *mine = arguments;
    struct status st = sinter_query(s, verb, mine, ret_answer);

    if (process_self()->dead)
        return false;
    time_tell("%s: %s: %s", process_self()->name, verb,
              status_failed(&st) ? st.message : "answered");
    /* With several, one that has not heard of its successor, since it cannot
     * reach the store, may know less: the oracle looks after that. */
    if (st.code == STATUS_NOT_FOUND && strcmp(verb, "status") == 0 &&
        brokers_settings.seats == 1)
        oracle_break(INVARIANT_I3, "what was accepted is unknown: %s",
                     st.message);
    return !status_failed(&st);
}

static const char *any_sweep(void)
{
    unsigned from = (unsigned)time_draw(SWEEPS);

    for (unsigned i = 0; i < SWEEPS; i++)
        if (c.ids[(from + i) % SWEEPS][0] != '\0')
            return c.ids[(from + i) % SWEEPS];
    return NULL;
}

/* The numbers of a status add up. */
static void check_status(const json_t *status)
{
    int64_t trials = json_int_or(status, "trials", -1);
    int64_t ends = json_int_or(status, "done", 0) +
                   json_int_or(status, "failed", 0) +
                   json_int_or(status, "cancelled", 0);
    const char *state = json_text_or(status, "state", "");

    if (ends > trials || (strcmp(state, "running") != 0 && ends != trials))
        oracle_break(INVARIANT_I4, "%s is %s: %lld of %lld trials have ended",
                     json_text_or(status, "id", "?"), state, (long long)ends,
                     (long long)trials);
}

static void question(struct sinter *s)
{
    static const char *const verbs[] = { "status", "status", "trials", "trial",
                                         "why",    "logs",   "spec" };
    const char *verb = verbs[time_draw(COUNT_OF(verbs))];
    const char *id = any_sweep();
    AUTO(json_release) json_t *answer = NULL;
    int trial;

    if (id == NULL || time_draw(8) == 0) {
        (void)ask(s, time_draw(2) == 0 ? "sweeps" : "workers", NULL, &answer);
        return;
    }
    trial = (int)time_between(1, 6);
    if (ask(s, verb,
            json_pack("{s:s, s:i, s:i}", "sweep", id, "trial", trial, "wait_ms",
                      (int)time_draw(2) * 3000),
            &answer) &&
        strcmp(verb, "status") == 0)
        check_status(answer);
}

/* `always`: each such order is a record, if it is accepted. */
static void order_sweep(struct sinter *s, const char *verb, bool always)
{
    const char *id = any_sweep();
    int trials = (int)time_between(1, 40), value = (int)time_draw(3);
    double weight = (double)time_between(1, 2);
    AUTO(json_release) json_t *answer = NULL;

    if (id != NULL &&
        ask(s, verb,
            json_pack("{s:s, s:i, s:i, s:f}", "sweep", id, "trials", trials,
                      "value", value, "weight", weight),
            &answer) &&
        always)
        oracle_told_command(verb, id);
}

static void order_worker(struct sinter *s)
{
    static const char *const verbs[] = { "drain", "cordon", "uncordon",
                                         "uncordon" };
    const char *verb = verbs[time_draw(COUNT_OF(verbs))];
    const char *name = workers_name((size_t)time_draw(workers_count()));
    AUTO(json_release) json_t *answer = NULL;

    if (ask(s, verb, json_pack("{s:s}", "worker", name), &answer) &&
        strcmp(verb, "drain") == 0)
        oracle_told_command(verb, name);
}

static void retry(struct sinter *s)
{
    const char *id = any_sweep();
    AUTO(json_release) json_t *answer = NULL;

    if (id != NULL &&
        ask(s, "retry", json_pack("{s:s}", "sweep", id), &answer) &&
        json_int_or(answer, "retried", 0) > 0)
        oracle_told_command("retry", id);
}

static void cancel(struct sinter *s)
{
    const char *id = any_sweep();
    AUTO(json_release) json_t *answer = NULL;

    if (id != NULL &&
        ask(s, "cancel", json_pack("{s:s}", "sweep", id), &answer))
        oracle_told_command("end", id);
}

static void order(struct sinter *s)
{
    switch (time_draw(9)) {
    case 0:
        cancel(s);
        break;
    case 1:
    case 2:
        retry(s);
        break;
    case 3:
        order_sweep(s, "pause", true);
        break;
    case 4:
        order_sweep(s, "resume", false);
        break;
    case 5:
        order_sweep(s, "extend", false);
        break;
    case 6:
        order_sweep(s, "priority", false);
        break;
    default:
        order_worker(s);
        break;
    }
}

/* ---- the end of it -------------------------------------------------------- */

static bool is_paused(struct sinter *s, const char *id)
{
    AUTO(json_release) json_t *answer = NULL;

    return !ask(s, "status", json_pack("{s:s}", "sweep", id), &answer) ||
           json_bool_or(answer, "paused", false);
}

/* Again and again: an order that was late may undo it. */
static void settle(struct sinter *s)
{
    const struct process *p = process_self();

    for (unsigned i = 0; i < SWEEPS && !p->dead; i++)
        while (c.ids[i][0] != '\0' && !p->dead && is_paused(s, c.ids[i])) {
            json_t *answer = NULL;

            (void)ask(s, "resume", json_pack("{s:s}", "sweep", c.ids[i]),
                      &answer);
            json_decref(answer);
            clock_sleep_ms(500);
        }
    for (size_t i = 0; i < workers_count() && !p->dead; i++) {
        AUTO(json_release) json_t *answer = NULL;

        while (!p->dead && answer == NULL &&
               !ask(s, "uncordon",
                    json_pack("{s:s}", "worker", workers_name(i)), &answer))
            clock_sleep_ms(500);
    }
    if (!p->dead)
        c.settled = true;
    clock_sleep_ms(5000);
}

static void run(struct process *p)
{
    const struct sinter_settings settings = { .endpoint = c.brokers,
                                              .timeout_ms = TIMEOUT_MS };
    struct sinter *s = NULL;
    struct status st = sinter_connect(&settings, &s);

    while (!status_failed(&st) && !p->dead) {
        if (c.settling && p == c.clients[0])
            settle(s);
        else if (c.settled)
            clock_sleep_ms(5000);
        else if (c.settling || time_draw(3) == 0)
            question(s);
        else if (time_draw(1000) < clients_weather.orders)
            order(s);
        else
            submit(s);
        clock_sleep_ms(time_between(1, clients_weather.pause_ms));
    }
    sinter_close(s);
}

static void start(size_t number);

static void start_again(void *self, uint64_t number)
{
    (void)self;
    start(number);
}

static void ended(struct process *p)
{
    for (size_t i = 0; i < c.count; i++)
        if (c.clients[i] == p)
            time_after(time_between(10, 1000) * NS_PER_MS, start_again, NULL,
                       i);
}

static void start(size_t number)
{
    char name[16];

    (void)snprintf(name, sizeof name, "client %zu", number);
    c.clients[number] = process_start(name, run, NULL, ended);
}

void clients_begin(size_t count, const char *brokers)
{
    memset(&c, 0, sizeof c);
    c.count = count;
    c.brokers = brokers;
    for (size_t i = 0; i < count; i++)
        time_after(time_between(0, 2000) * NS_PER_MS, start_again, NULL, i);
}

struct process *clients_at(size_t number)
{
    struct process *p = number < c.count ? c.clients[number] : NULL;

    return p == NULL || p->dead || p->ended ? NULL : p;
}

void clients_kill(size_t number)
{
    struct process *p = clients_at(number);

    if (p == NULL)
        return;
    time_tell("%s is killed", p->name);
    network_killed(p, time_draw(2) == 0);
    process_kill(p);
}

void clients_settle(void)
{
    c.settling = true;
}

bool clients_have_settled(void)
{
    return c.settled;
}
