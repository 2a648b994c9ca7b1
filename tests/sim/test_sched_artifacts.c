/* Jobs go where the artifacts lie that they read. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "broker/core/jobs.h"
#include "broker/core/state.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

/* Models 1 to `models`, each trained once and measured `points` times. */
static void submit(struct farm *f, int models, int points)
{
    AUTO(free_pointer)
    char *document = xasprintf(
        "{\"sinter\":1,\"name\":\"s\",\"parameters\":[{\"name\":\"m\","
        "\"from\":1,\"to\":%d,\"count\":%d,\"scale\":\"linear\"},{\"name\":"
        "\"x\",\"from\":1,\"to\":%d,\"count\":%d,\"scale\":\"linear\"}],"
        "\"strategy\":{\"method\":\"grid\"},"
        "\"stages\":[{\"name\":\"base\",\"kind\":\"train\",\"sort\":"
        "\"artifact\",\"variants\":[{\"params\":{\"m\":{\"$param\":\"m\"}}}]}],"
        "\"evaluate\":[{\"name\":\"e\",\"kind\":\"evaluate.noop\","
        "\"variants\":[{\"params\":{\"x\":{\"$param\":\"x\"},\"model\":"
        "{\"$stage\":\"base\"}}}],\"metrics\":[\"value\"]}]}",
        models, models, points, points);

    farm_submit(f, document);
    assert_int_equal(f->answer_code, STATUS_SUCCESS);
}

/* The training job of the model that the worker's only job is about. */
static struct digest model_of(const struct farm *f, int w)
{
    const struct job *job;

    assert_int_equal(f->workers[w].held_count, 1);
    job = jobs_find(f->sched, &f->workers[w].held[0].token.key);
    return job->input_count == 0 ? job->key : job->inputs[0]->key;
}

static struct wire_token finish(struct farm *f, int w)
{
    struct wire_token token = f->workers[w].held[0].token;

    farm_done(f, w, f->workers[w].held[0].label);
    sched_check(f->sched);
    return token;
}

static void test_a_worker_goes_on_with_what_it_made(void **state)
{
    struct farm *f = farm_new();
    struct digest made[2];

    (void)state;
    for (int w = 0; w < 2; w++)
        farm_hello(f, w, 1);
    submit(f, 2, 3);
    for (int w = 0; w < 2; w++)
        made[w] = model_of(f, w);
    assert_false(digest_equal(&made[0], &made[1]));
    for (int i = 0; i < 3; i++) {
        for (int w = 1; w >= 0; w--) {
            struct digest model = model_of(f, w);

            assert_true(digest_equal(&model, &made[w]));
            (void)finish(f, w); /* the training first */
        }
    }
    farm_free(f);
}

/* One that is known to be large is worth the wait for the worker that has it,
 * half a second and no longer. */
static void test_a_large_artifact_is_waited_for_where_it_lies(void **state)
{
    struct wire_token made;
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, 1, 4);
    made = finish(f, 0);
    farm_tell_cache(f, 0, &made.key, true);
    assert_int_equal(f->workers[0].held_count, 1);
    farm_hello(f, 1, 1);
    farm_advance(f, 400);
    assert_int_equal(f->workers[1].held_count, 0);
    farm_advance(f, 200);
    assert_int_equal(f->workers[1].held_count, 1);
    (void)finish(f, 1); /* now it has it too */
    assert_int_equal(f->workers[1].held_count, 1);
    farm_free(f);
}

static void test_what_was_evicted_is_not_waited_for(void **state)
{
    struct wire_token made;
    struct farm *f = farm_new();

    (void)state;
    farm_hello(f, 0, 1);
    submit(f, 1, 4);
    made = finish(f, 0);
    farm_tell_cache(f, 0, &made.key, true);
    farm_tell_cache(f, 0, &made.key, false);
    farm_hello(f, 1, 1);
    assert_int_equal(f->workers[1].held_count, 1);
    farm_free(f);
}

/* Where each trial makes what it reads, its jobs are not a queue each. */
static void test_there_are_not_as_many_queues_as_artifacts(void **state)
{
    enum { MODELS = 300, FEW = 70 };
    struct farm *f = farm_new();

    (void)state;
    f->workers[0].kinds = "train";
    farm_hello(f, 0, 1);
    submit(f, MODELS, 1);
    for (int i = 0; i < MODELS; i++)
        (void)finish(f, 0);
    assert_int_equal(farm_count(f, "s", "jobs.ready"), MODELS);
    assert_true(f->sched->sweeps[0]->group_count > 2);
    assert_true(f->sched->sweeps[0]->group_count < FEW);
    farm_hello(f, 1, 4);
    while (f->workers[1].held_count > 0)
        (void)finish(f, 1);
    assert_int_equal(farm_count(f, "s", "done"), MODELS);
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_goes_on_with_what_it_made),
        cmocka_unit_test(test_a_large_artifact_is_waited_for_where_it_lies),
        cmocka_unit_test(test_what_was_evicted_is_not_waited_for),
        cmocka_unit_test(test_there_are_not_as_many_queues_as_artifacts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
