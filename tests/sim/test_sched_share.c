/* Who gets how much of the farm, in worker time: jobs run as long as a test
 * says, on a clock that is a number. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "broker/core/state.h"
#include "common/memory.h"
#include "common/philox.h"

#include <stdlib.h>
#include <string.h>

enum { SWEEPS_MOST = 6, SLOTS_MOST = 4, SCHEDULES = 60 };

struct running {
    struct wire_token token;
    char label[96];
    int sweep;
    int64_t ends, ms;
};

/* A sweep of the play. */
struct player {
    double weight;
    int64_t least_ms, most_ms; /* its jobs take */
    int64_t comes_at;
    int points;
    struct sweep *sweep;        /* NULL: not yet there */
    int64_t used_ms;            /* by all that began */
    int64_t since[SWEEPS_MOST]; /* given to the others while it waits */
};

struct play {
    struct farm *farm;
    struct player players[SWEEPS_MOST];
    int count, workers;
    struct running slots[FARM_WORKERS][SLOTS_MOST];
    uint32_t seed;
    uint64_t draws;
};

static int64_t draw(struct play *p, int64_t least, int64_t most)
{
    struct philox_key key = { .seed = p->seed };

    return least +
           (int64_t)philox_below(key, p->draws++, (uint32_t)(most - least + 1));
}

/* Its trials have one job each. */
static void submit(struct play *p, int i)
{
    AUTO(free_pointer)
    char *document = xasprintf(
        "{\"sinter\":1,\"name\":\"p%d\",\"parameters\":[{\"name\":\"x\","
        "\"from\":1,\"to\":%d,\"count\":%d,\"scale\":\"linear\"}],"
        "\"strategy\":{\"method\":\"grid\"},\"stages\":[],\"evaluate\":[{"
        "\"name\":\"e\",\"kind\":\"evaluate.noop\",\"variants\":[{\"params\":"
        "{\"x\":{\"$param\":\"x\"},\"of\":%d}}],\"metrics\":[\"value\"]}]}",
        i, p->players[i].points, p->players[i].points, i);
    struct sched *s = p->farm->sched;

    farm_submit(p->farm, document);
    assert_int_equal(p->farm->answer_code, STATUS_SUCCESS);
    p->players[i].sweep = s->sweeps[s->sweep_count - 1];
    p->players[i].sweep->weight = p->players[i].weight;
}

static int player_of(const char *label)
{
    return label[1] - '0';
}

static bool is_waiting(const struct player *player)
{
    return player->sweep != NULL && player->sweep->ready > 0;
}

static bool is_known(const struct play *p, int w, const struct wire_token *t)
{
    for (int k = 0; k < SLOTS_MOST; k++)
        if (p->slots[w][k].ends != 0 &&
            wire_token_equal(&p->slots[w][k].token, t))
            return true;
    return false;
}

static struct running *free_slot(struct play *p, int w)
{
    for (uint64_t k = 0; k < p->farm->workers[w].slots; k++)
        if (p->slots[w][k].ends == 0)
            return &p->slots[w][k];
    return NULL;
}

/* What worker `w` holds beyond its slots begins as they fall free. */
static void begin_jobs(struct play *p, int w)
{
    struct farm_worker *worker = &p->farm->workers[w];

    for (size_t i = 0; i < worker->held_count; i++) {
        const struct farm_job *job = &worker->held[i];
        struct running *slot = free_slot(p, w);
        struct player *player = &p->players[player_of(job->label)];

        if (slot == NULL)
            return;
        if (is_known(p, w, &job->token))
            continue;
        *slot = (struct running){ .token = job->token,
                                  .sweep = player_of(job->label) };
        memcpy(slot->label, job->label, sizeof slot->label);
        slot->ms = draw(p, player->least_ms, player->most_ms);
        slot->ends = p->farm->now_ms + slot->ms;
        player->used_ms += slot->ms;
        for (int k = 0; k < p->count; k++)
            if (k == slot->sweep)
                memset(p->players[k].since, 0, sizeof p->players[k].since);
            else if (is_waiting(&p->players[k]))
                p->players[k].since[slot->sweep] += slot->ms;
    }
}

static struct running *next_end(struct play *p, int *ret_worker)
{
    struct running *first = NULL;

    for (int w = 0; w < p->workers; w++)
        for (int k = 0; k < SLOTS_MOST; k++) {
            struct running *r = &p->slots[w][k];

            if (r->ends == 0 || (first != NULL && r->ends >= first->ends))
                continue;
            first = r;
            *ret_worker = w;
        }
    return first;
}

static void begin_all(struct play *p)
{
    for (int w = 0; w < p->workers; w++)
        begin_jobs(p, w);
}

static void newcomers(struct play *p)
{
    for (int i = 0; i < p->count; i++)
        if (p->players[i].sweep == NULL &&
            p->farm->now_ms >= p->players[i].comes_at)
            submit(p, i);
    begin_all(p);
}

/* One job ends, and what follows begins. False: nothing runs. */
static bool step(struct play *p)
{
    struct running ended;
    struct running *r;
    int w = 0;

    newcomers(p);
    r = next_end(p, &w);
    if (r == NULL)
        return false;
    if (r->ends > p->farm->now_ms)
        farm_advance(p->farm, r->ends - p->farm->now_ms);
    ended = *r;
    r->ends = 0;
    farm_done_after(p->farm, w, ended.label, ended.ms);
    begin_all(p);
    return true;
}

static struct play *play_new(uint32_t seed, int workers, uint64_t slots)
{
    struct play *p = xnew(struct play);

    p->seed = seed;
    p->farm = farm_new();
    p->farm->silent = true;
    p->workers = workers;
    for (int w = 0; w < workers; w++)
        farm_hello(p->farm, w, slots);
    return p;
}

static void play_free(struct play *p)
{
    farm_free(p->farm);
    free(p);
}

static void add_player(struct play *p, double weight, int64_t least_ms,
                       int64_t most_ms, int64_t comes_at)
{
    p->players[p->count++] = (struct player){ .weight = weight,
                                              .least_ms = least_ms,
                                              .most_ms = most_ms,
                                              .comes_at = comes_at,
                                              .points = 4000 };
}

static void play_until(struct play *p, int64_t ms)
{
    while (p->farm->now_ms < ms && step(p))
        continue;
    sched_check(p->farm->sched);
}

static double ratio(const struct play *p, int a, int b)
{
    return (double)p->players[a].used_ms / (double)p->players[b].used_ms;
}

static void test_long_jobs_get_no_more_than_short_ones(void **state)
{
    struct play *p = play_new(1, 4, 2);

    (void)state;
    add_player(p, 1.0, 9000, 11000, 0);
    add_player(p, 1.0, 1000, 1400, 0);
    play_until(p, 600 * 1000);
    assert_true(ratio(p, 0, 1) > 0.95 && ratio(p, 0, 1) < 1.05);
    play_free(p);
}

static void test_weights_are_shares(void **state)
{
    struct play *p = play_new(2, 4, 2);

    (void)state;
    add_player(p, 3.0, 2000, 9000, 0);
    add_player(p, 1.0, 1000, 3000, 0);
    add_player(p, 0.5, 4000, 4000, 0);
    play_until(p, 900 * 1000);
    assert_true(ratio(p, 0, 1) > 2.85 && ratio(p, 0, 1) < 3.15);
    assert_true(ratio(p, 1, 2) > 1.85 && ratio(p, 1, 2) < 2.15);
    play_free(p);
}

/* Who comes late shares from then on; nobody waits until it has caught up. */
static void test_a_newcomer_has_no_claims_of_the_past(void **state)
{
    struct play *p = play_new(3, 2, 2);
    int64_t before;
    double share;

    (void)state;
    add_player(p, 1.0, 2000, 2000, 0);
    add_player(p, 1.0, 2000, 2000, 300 * 1000);
    play_until(p, 300 * 1000);
    before = p->players[0].used_ms;
    play_until(p, 400 * 1000);
    share = (double)(p->players[0].used_ms - before) /
            (double)p->players[1].used_ms;
    assert_true(share > 0.9 && share < 1.1);
    play_free(p);
}

static void test_higher_priority_goes_first(void **state)
{
    struct play *p = play_new(4, 2, 2);

    (void)state;
    add_player(p, 1.0, 2000, 2000, 0);
    add_player(p, 1.0, 2000, 2000, 10 * 1000);
    play_until(p, 10 * 1000);
    newcomers(p);
    p->players[1].sweep->limits.priority = 1;
    play_until(p, 14 * 1000);
    p->players[0].used_ms = 0;
    play_until(p, 200 * 1000);
    assert_int_equal(p->players[0].used_ms, 0);
    p->players[1].sweep->limits.priority = -1;
    play_until(p, 204 * 1000);
    p->players[1].used_ms = 0;
    play_until(p, 300 * 1000);
    assert_int_equal(p->players[1].used_ms, 0);
    play_free(p);
}

static int64_t most_held(const struct play *p)
{
    int64_t held = 0;

    for (int w = 0; w < p->workers; w++)
        held += (int64_t)p->farm->workers[w].held_count;
    return held;
}

/* The bound of docs/scheduling.md: while `i` waits, `k` begins no more than
 * its share of what `i` had at the workers and one job more, and once what
 * the workers hold. */
static void check_bound(const struct play *p, int64_t held)
{
    for (int i = 0; i < p->count; i++)
        for (int k = 0; k < p->count; k++) {
            const struct player *a = &p->players[i];
            const struct player *b = &p->players[k];
            double bound = (double)(held + 1) *
                           (b->weight / a->weight * (double)a->most_ms +
                            (double)b->most_ms);

            if ((double)a->since[k] > bound)
                fail_msg("seed %u at %lld ms: %d (weight %g, up to %lld ms) "
                         "began %lld ms while %d (weight %g, up to %lld ms) "
                         "waited, at most %g",
                         p->seed, (long long)p->farm->now_ms, k, b->weight,
                         (long long)b->most_ms, (long long)a->since[k], i,
                         a->weight, (long long)a->most_ms, bound);
        }
}

static void random_players(struct play *p)
{
    static const double weights[] = { 0.25, 0.5, 1.0, 1.0, 2.0, 5.0 };
    int count = (int)draw(p, 2, SWEEPS_MOST);

    for (int i = 0; i < count; i++) {
        int64_t least_ms =
            draw(p, 0, 3) == 0 ? draw(p, 5, 300) : draw(p, 300, 20000);
        double weight = weights[draw(p, 0, COUNT_OF(weights) - 1)];
        int64_t most_ms = least_ms * draw(p, 1, 3);
        int64_t late = draw(p, 0, 1);

        add_player(p, weight, least_ms, most_ms, late * draw(p, 0, 90000));
    }
}

static void test_no_sweep_waits_beyond_the_bound(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= SCHEDULES; seed++) {
        struct play *p = play_new(seed, 1 + (int)(seed % 4), 1 + seed % 3);
        int64_t held = 0;

        random_players(p);
        for (int i = 0; i < 1500 && step(p); i++) {
            held = most_held(p) > held ? most_held(p) : held;
            check_bound(p, held);
        }
        sched_check(p->farm->sched);
        play_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_jobs_get_no_more_than_short_ones),
        cmocka_unit_test(test_weights_are_shares),
        cmocka_unit_test(test_a_newcomer_has_no_claims_of_the_past),
        cmocka_unit_test(test_higher_priority_goes_first),
        cmocka_unit_test(test_no_sweep_waits_beyond_the_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
