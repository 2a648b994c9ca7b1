/* A random walk: sweeps come and go, workers die, pause, lie about nothing
 * and lose messages, the broker crashes in the middle of an append. After
 * each step the invariants hold; when the faults stop, all work ends.
 *
 *     test_sim_sched_walk [schedules [first seed]]
 *
 * A failing seed is a repro. */
#include "support/test.h"
#include "tests/sim/farm.h"
#include "tests/sim/replica.h"

#include "common/map.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 80,
    DOCUMENTS = 11,
    FAMILIES_FROM = 6,
    DEMANDS_FROM = 9,
    DRAIN_ROUNDS = 3000
};

static uint32_t schedules = 1000;
static uint32_t first_seed = 1;

static const char *const extras[DOCUMENTS] = {
    "",
    "\"priority\":3",
    "\"limits\":{\"parallel\":2}",
    "\"retries\":{\"max\":3,\"backoff_ms\":500}",
    "\"limits\":{\"failures\":1},\"retries\":{\"max\":0}",
    "\"limits\":{\"trials\":4,\"time_ms\":400000}",
    "", /* from here on families */
    "\"limits\":{\"parallel\":3},\"retries\":{\"backoff_ms\":500}",
    "\"priority\":1",
    "\"weight\":3.0", /* from here on jobs that ask for something */
    "\"weight\":0.2,\"limits\":{\"parallel\":4}",
};

/* Wide jobs, which read a source of the network, and narrow ones. */
static char *demanding(const char *name, int points, const char *extra)
{
    return xasprintf(
        "{\"sinter\":1,\"name\":\"%s\",\"parameters\":[{\"name\":\"x\","
        "\"from\":1,\"to\":%d,\"count\":%d,\"scale\":\"linear\"}],"
        "\"strategy\":{\"method\":\"grid\"},\"stages\":[],\"evaluate\":["
        "{\"name\":\"e\",\"kind\":\"evaluate.noop\",\"memory\":700,"
        "\"cpus\":2,\"labels\":{\"zone\":\"a\"},\"variants\":[{\"params\":{"
        "\"model\":{\"$source\":{\"url\":\"https://hub/%s\"}},"
        "\"x\":{\"$param\":\"x\"}}}],\"metrics\":[\"value\"]},"
        "{\"name\":\"f\",\"kind\":\"evaluate.other\",\"memory\":300,"
        "\"variants\":[{\"params\":{\"x\":{\"$param\":\"x\"}}}],"
        "\"metrics\":[\"value\"]}],%s}",
        name, points, points, name, extra);
}

static char *document(uint32_t which)
{
    AUTO(free_pointer) char *name = xasprintf("s%u", which);

    return (which < FAMILIES_FROM ? farm_document
            : which < DEMANDS_FROM
                ? farm_family
                : demanding)(name, 3 + (int)which * 2, extras[which]);
}

static void do_submit(struct farm *f)
{
    AUTO(free_pointer) char *text = document(farm_draw(f, DOCUMENTS));

    farm_submit(f, text);
}

static int any_worker(struct farm *f)
{
    return (int)farm_draw(f, 4);
}

static void do_connect(struct farm *f)
{
    int w = any_worker(f);

    if (!f->workers[w].connected)
        farm_hello(f, w, 1 + farm_draw(f, 3));
}

static void do_kill(struct farm *f)
{
    farm_kill(f, any_worker(f));
}

/* It goes on to run, and comes back by do_connect() with what it holds. */
static void do_pause(struct farm *f)
{
    f->workers[any_worker(f)].connected = false;
}

static void do_bye(struct farm *f)
{
    int w = any_worker(f);

    if (f->workers[w].connected)
        farm_bye(f, w);
}

static struct farm_job *any_job(struct farm *f, int w)
{
    struct farm_worker *worker = &f->workers[w];

    if (!worker->connected || worker->held_count == 0)
        return NULL;
    return &worker->held[farm_draw(f, (uint32_t)worker->held_count)];
}

static void do_finish(struct farm *f)
{
    int w = any_worker(f);
    struct farm_job *job = any_job(f, w);
    struct farm_job as_it_is;

    if (job == NULL)
        return;
    job->finished = true;
    as_it_is = *job;
    farm_outcome(f, w, &as_it_is, STATUS_SUCCESS, false);
    if (farm_draw(f, 8) == 0) /* the answer was slow: said twice */
        farm_outcome(f, w, &as_it_is, STATUS_SUCCESS, false);
}

static void do_fail(struct farm *f)
{
    static const enum status_code codes[] = { STATUS_UNAVAILABLE,
                                              STATUS_INVALID,
                                              STATUS_CANCELLED };
    int w = any_worker(f);
    struct farm_job *job = any_job(f, w);
    struct farm_job as_it_is;

    if (job == NULL || job->finished)
        return;
    as_it_is = *job;
    farm_outcome(f, w, &as_it_is, codes[farm_draw(f, COUNT_OF(codes))],
                 farm_draw(f, 3) == 0);
}

static void do_wait(struct farm *f)
{
    farm_advance(f, 1 + farm_draw(f, 9000));
}

static void do_long_wait(struct farm *f)
{
    farm_advance(f, 20000 + farm_draw(f, 30000));
}

static void ask_sweep(struct farm *f, const char *verb)
{
    AUTO(free_pointer)
    char *a = xasprintf("{\"sweep\":\"s%u\"}", farm_draw(f, DOCUMENTS));

    farm_ask(f, verb, a);
}

static void do_cancel(struct farm *f)
{
    ask_sweep(f, "cancel");
}

static void do_retry(struct farm *f)
{
    ask_sweep(f, "retry");
}

static void do_pause_sweep(struct farm *f)
{
    ask_sweep(f, "pause");
}

static void do_resume_sweep(struct farm *f)
{
    ask_sweep(f, "resume");
}

static void do_extend(struct farm *f)
{
    AUTO(free_pointer)
    char *a = xasprintf("{\"sweep\":\"s%u\",\"trials\":%u,\"time_ms\":%u}",
                        farm_draw(f, DOCUMENTS), 1 + farm_draw(f, 20),
                        100000 * farm_draw(f, 10));

    farm_ask(f, "extend", a);
}

static void do_priority(struct farm *f)
{
    AUTO(free_pointer)
    char *a = xasprintf("{\"sweep\":\"s%u\",\"value\":%d,\"weight\":%u}",
                        farm_draw(f, DOCUMENTS), (int)farm_draw(f, 7) - 3,
                        1 + farm_draw(f, 3));

    farm_ask(f, "priority", a);
}

static void do_rm(struct farm *f)
{
    ask_sweep(f, "rm");
}

static void ask_worker(struct farm *f, const char *verb, int w)
{
    AUTO(free_pointer) char *a = xasprintf("{\"worker\":\"worker-%d\"}", w);

    farm_ask(f, verb, a);
}

static void do_fence(struct farm *f)
{
    static const char *const verbs[] = { "drain", "cordon", "uncordon",
                                         "uncordon" };

    ask_worker(f, verbs[farm_draw(f, COUNT_OF(verbs))], any_worker(f));
}

static void do_collect(struct farm *f)
{
    (void)farm_collect(f, farm_draw(f, 2) * 50000, true);
}

/* Every sentence, wherever things stand. */
static void do_why(struct farm *f)
{
    AUTO(free_pointer)
    char *trial = xasprintf("{\"sweep\":\"s%u\",\"trial\":%u}",
                            farm_draw(f, DOCUMENTS), 1 + farm_draw(f, 20));
    AUTO(free_pointer)
    char *worker = xasprintf("{\"worker\":\"worker-%d\"}", any_worker(f));

    ask_sweep(f, "why");
    farm_ask(f, "why", trial);
    farm_ask(f, "why", worker);
}

/* What people were told of sweeps that have ended. */
static char *past(struct farm *f)
{
    AUTO(json_release) json_t *all = report_sweeps(f->sched);
    AUTO(json_release) json_t *past = json_array();
    json_t *sweeps = json_object_get(all, "sweeps");

    for (size_t i = 0; i < json_array_size(sweeps); i++) {
        json_t *status = json_array_get(sweeps, i);

        if (strcmp(json_text_or(status, "state", ""), "running") == 0)
            continue;
        /* Workers connected and pace are of the moment. */
        (void)json_object_del(status, "workers");
        (void)json_object_del(status, "rate_per_s");
        (void)json_array_append(past, status);
    }
    return json_canonical(past);
}

static void do_restart(struct farm *f)
{
    AUTO(free_pointer) char *before = past(f);
    AUTO(free_pointer) char *after = NULL;

    farm_restart(f);
    after = past(f);
    /* More may have ended since: it found everything known. */
    if (strlen(after) == strlen(before))
        assert_string_equal(after, before);
}

/* The last one still says what the log says. */
static void do_snapshot(struct farm *f)
{
    if (f->snapshot == NULL)
        f->snapshot = xnew(struct replica);
    else
        replica_check(f->snapshot, f);
    replica_take(f->snapshot, f);
}

static void do_deliver(struct farm *f)
{
    farm_deliver_late(f);
}

/* Its cache has this or that, or has it no more. */
static void do_cache(struct farm *f)
{
    int w = any_worker(f);
    AUTO(free_pointer)
    char *url = xasprintf("https://hub/s%u", farm_draw(f, DOCUMENTS));
    struct wire_cached added = { .source = digest_of(url, strlen(url)),
                                 .bytes = 1 << 20,
                                 .served = farm_draw(f, 4) > 0 };
    struct wire_evicted removed = { added.source };
    struct wire_message m = { .type = WIRE_CACHE };
    bool there = farm_draw(f, 2) == 0;

    m.cache.added = (struct wire_cached_list){ &added, there };
    m.cache.removed = (struct wire_evicted_list){ &removed, !there };
    if (f->workers[w].connected)
        farm_say(f, w, &m);
}

static void (*const steps[])(struct farm *f) = {
    do_submit,    do_submit,      do_connect,      do_connect, do_connect,
    do_connect,   do_kill,        do_pause,        do_bye,     do_finish,
    do_finish,    do_finish,      do_finish,       do_finish,  do_finish,
    do_finish,    do_finish,      do_finish,       do_finish,  do_fail,
    do_fail,      do_wait,        do_wait,         do_wait,    do_wait,
    do_long_wait, do_cancel,      do_retry,        do_restart, do_deliver,
    do_deliver,   do_pause_sweep, do_resume_sweep, do_extend,  do_priority,
    do_rm,        do_fence,       do_fence,        do_why,     do_collect,
    do_snapshot,  do_cache,       do_cache,
};

/* Rows of the ledger that the log forgets: `rows` are their keys. */
static void forget_results(struct map *results, const struct buf *rows,
                           struct wire_bytes arguments)
{
    json_t *a = json_loadb(arguments.data, arguments.size, 0, NULL);
    const json_t *list = json_object_get(a, "rows");

    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t row = (size_t)json_integer_value(json_array_get(list, i));

        assert_true((row + 1) * DIGEST_SIZE <= rows->size);
        assert_non_null(
            map_remove(results, rows->data + row * DIGEST_SIZE, DIGEST_SIZE));
    }
    json_decref(a);
}

/* The log names one result a key, unless it forgot the one before. */
static void check_log(const struct farm *f)
{
    struct map *results = map_new();
    struct buf rows;

    buf_init(&rows, 1 << 20);
    for (size_t i = 0; i < f->log_count; i++) {
        struct wire_decoded d;
        const struct wire_token *t = &d.message.record_result.token;

        assert_ok(wire_decode(f->log[i].data, f->log[i].size, &d));
        if (d.message.type == WIRE_RECORD_RESULT) {
            assert_null(
                map_put(results, t->key.bytes, DIGEST_SIZE, f->log[i].data));
            assert_ok(buf_add(&rows, t->key.bytes, DIGEST_SIZE));
        } else if (d.message.type == WIRE_RECORD_COMMAND &&
                   wire_is(d.message.record_command.verb, "forget")) {
            forget_results(results, &rows, d.message.record_command.arguments);
        }
        wire_release(&d);
    }
    buf_release(&rows);
    map_free(results);
}

/* Deaths of a job that nobody else can have caused, since it was forgiven. */
static void count_death(struct map *deaths, const struct wire_record_failure *r)
{
    uint64_t *count = map_get(deaths, r->token.key.bytes, DIGEST_SIZE);

    if (count == NULL) {
        count = xnew(uint64_t);
        (void)map_put(deaths, r->token.key.bytes, DIGEST_SIZE, count);
    }
    assert_true(r->crashed != 4 || r->terminal == 0);
    *count += r->crashed == 1 || r->crashed == 2;
    if (r->terminal != 0 && (r->crashed == 1 || r->crashed == 2))
        assert_int_equal(*count, 3);
    if (r->terminal != 0)
        *count = 0;
}

/* I9: the third death is the verdict, none before and none without them. */
static void check_verdicts(const struct farm *f)
{
    struct map *deaths = map_new();

    for (size_t i = 0; i < f->log_count; i++) {
        struct wire_decoded d;

        assert_ok(wire_decode(f->log[i].data, f->log[i].size, &d));
        if (d.message.type == WIRE_RECORD_FAILURE)
            count_death(deaths, &d.message.record_failure);
        wire_release(&d);
    }
    for (size_t i = 0; i < map_count(deaths); i++)
        free(map_at(deaths, i, NULL, NULL));
    map_free(deaths);
}

/* No run of a job is at two workers. */
static void check_tokens(const struct farm *f)
{
    for (int a = 0; a < FARM_WORKERS; a++)
        for (int b = 0; b < a; b++)
            for (size_t i = 0; i < f->workers[a].held_count; i++)
                for (size_t k = 0; k < f->workers[b].held_count; k++)
                    assert_false(
                        wire_token_equal(&f->workers[a].held[i].token,
                                         &f->workers[b].held[k].token));
}

static void one_step(struct farm *f)
{
    bool crash = farm_draw(f, 25) == 0;

    if (crash)
        f->crash_after = farm_draw(f, 4);
    steps[farm_draw(f, COUNT_OF(steps))](f);
    if (f->crashed)
        farm_restart(f);
    f->crash_after = -1;
    sched_check(f->sched);
    check_tokens(f);
}

static bool finish_all(struct farm *f)
{
    bool any = false;

    for (int w = 0; w < FARM_WORKERS; w++)
        for (size_t i = f->workers[w].held_count; i > 0; i--) {
            struct farm_job as_it_is;

            if (i > f->workers[w].held_count)
                continue;
            f->workers[w].held[i - 1].finished = true;
            as_it_is = f->workers[w].held[i - 1];
            farm_outcome(f, w, &as_it_is, STATUS_SUCCESS, false);
            any = true;
        }
    return any;
}

static void drain(struct farm *f)
{
    f->drop_percent = 0;
    for (int i = 0; i < DOCUMENTS; i++) {
        AUTO(free_pointer) char *a = xasprintf("{\"sweep\":\"s%d\"}", i);

        farm_ask(f, "resume", a);
    }
    for (int w = 0; w < FARM_WORKERS; w++)
        ask_worker(f, "uncordon", w);
    farm_deliver_late(f);
    for (int w = 0; w < FARM_WORKERS; w++)
        if (f->workers[w].connected || f->workers[w].held_count > 0 || w < 2) {
            f->workers[w].connected = false;
            farm_hello(f, w, 4);
        }
    for (int i = 0; i < DRAIN_ROUNDS; i++) {
        if (sched_stats(f->sched).sweeps_live == 0)
            return;
        if (!finish_all(f))
            farm_advance(f, 1000);
    }
    fail_msg("seed %u does not drain", f->seed);
}

/* Every trial of every sweep has its one end. */
static void check_ends(struct farm *f)
{
    AUTO(json_release) json_t *all = report_sweeps(f->sched);
    const json_t *sweeps = json_object_get(all, "sweeps");

    for (size_t i = 0; i < json_array_size(sweeps); i++) {
        const json_t *s = json_array_get(sweeps, i);

        assert_int_equal(json_int_or(s, "trials", -1),
                         json_int_or(s, "done", 0) +
                             json_int_or(s, "failed", 0) +
                             json_int_or(s, "cancelled", 0));
    }
}

static void walk(uint32_t seed)
{
    static const char *const addresses[] = { NULL, "http://a:1", "http://b:1",
                                             "http://c:1" };
    struct farm *f = farm_new();
    AUTO(free_pointer) char *before = NULL;
    AUTO(free_pointer) char *after = NULL;

    f->silent = true;
    f->seed = seed;
    f->drop_percent = seed % 3 * 10;
    for (int w = 0; w < FARM_WORKERS; w++) {
        f->workers[w].address = addresses[w % 4];
        f->workers[w].memory_bytes = 1000;
        f->workers[w].labels = w < 2 ? "disk=ssd zone=a" : "zone=b";
    }
    for (int i = 0; i < STEPS; i++)
        one_step(f);
    drain(f);
    sched_check(f->sched);
    check_log(f);
    check_verdicts(f);
    check_ends(f);
    before = past(f);
    farm_restart(f);
    after = past(f);
    assert_string_equal(after, before);
    if (f->snapshot != NULL)
        replica_release(f->snapshot);
    free(f->snapshot);
    farm_free(f);
}

static void test_random_schedules_keep_the_invariants(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < schedules; i++) {
        if (getenv("SINTER_TRACE_SEEDS") != NULL)
            print_message("seed %u\n", first_seed + i);
        walk(first_seed + i);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_schedules_keep_the_invariants),
    };

    if (argc > 1)
        schedules = (uint32_t)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        first_seed = (uint32_t)strtoul(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
