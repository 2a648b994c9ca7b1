/* Stories of one worker and its broker: what happens goes in, the trace of
 * what the worker does must come out. */
#include <stdlib.h>
#include <string.h>

#include "support/test.h"
#include "tests/sim/session_story.h"

#include "common/clock.h"
#include "common/memory.h"

static void test_a_job_runs_and_is_kept_until_it_is_committed(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    story_pass(s, 30);
    story_finish(s, 0);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[   30] done 1/1=success {} after 30 ms\n");
    assert_int_equal(session_count(s->session).finished, 1);
    story_tokens(s, WIRE_COMMITTED, 1);
    assert_int_equal(session_count(s->session).finished, 0);
    story_free(s);
}

static void test_jobs_beyond_the_slots_wait_in_order(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    for (int i = 1; i <= 4; i++)
        story_assign(s, i);
    story_assign(s, 4); /* said twice */
    story_finish(s, 1);
    story_pass(s, 5); /* while work is left outcomes wait for company */
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] start slot 1 with 2 depot=D\n"
                    "[    0] start slot 1 with 3 depot=D\n"
                    "[    2] done 2/1=success {}\n");
    assert_int_equal(session_count(s->session).queued, 1);
    story_free(s);
}

/* A suspect: the broker thinks the worker idle, but a job still ends. */
static void test_a_job_that_runs_alone_has_no_neighbours(void **state)
{
    struct story *s = story_welcomed(2);
    struct wire_assignment alone = story_job(2);

    (void)state;
    alone.solo = 1;
    story_assign(s, 1);
    story_assign_job(s, &alone);
    story_assign(s, 3);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n");
    story_finish(s, 0);
    story_pass(s, 5);
    story_expect(s, "[    0] start slot 0 with 2 depot=D\n"
                    "[    2] done 1/1=success {}\n");
    story_die(s, 0);
    story_pass(s, 5);
    story_expect(s, "[    5] start slot 0 with 3 depot=D\n"
                    "[    5] done 2/1=lost! \"slot died\" after 5 ms\n");
    story_free(s);
}

static void test_heartbeats_go_on_and_carry_progress(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    s->quiet = false;
    story_assign(s, 1);
    story_progress(s, 0, 3);
    story_pass(s, 2000);
    story_ack(s, 0);
    story_pass(s, 2000);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[ 2000] heartbeat 1 held, 1 free, 1 at 3 of 10 step\n"
                    "[ 4000] heartbeat 1 held, 1 free\n");
    story_free(s);
}

static void test_hello_is_repeated_until_somebody_answers(void **state)
{
    struct story *s = story_new(2, 0);

    (void)state;
    story_pass(s, 2500);
    story_welcome(s);
    s->quiet = true;
    story_pass(s, 5000);
    story_expect(s, "[    0] hello slots=2\n"
                    "[ 1000] hello slots=2\n"
                    "[ 2000] hello slots=2\n");
    story_free(s);
}

static void test_a_silent_broker_is_left_and_told_all_that_is_held(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    story_assign(s, 2);
    story_assign(s, 3);
    story_finish(s, 0);
    story_pass(s, 8000);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] start slot 1 with 2 depot=D\n"
                    "[    0] start slot 0 with 3 depot=D\n"
                    "[    0] done 1/1=success {}\n"
                    "[ 8000] reopen\n"
                    "[ 8000] hello slots=2 1/1 2/1 3/1\n");
    story_pass(s, 500);
    story_finish(s, 1); /* while nobody listens */
    story_expect(s, "");
    story_welcome(s);
    story_expect(s,
                 "[ 8500] done 1/1=success {} 2/1=success {} after 8500 ms\n");
    story_free(s);
}

static void not_leader(struct story *s)
{
    const struct wire_message m = { .type = WIRE_NOT_LEADER };

    story_tell(s, &m);
}

static void test_a_broker_that_does_not_lead_is_left_with_all_jobs(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    story_assign(s, 2);
    not_leader(s);
    not_leader(s); /* as the next one: not so fast */
    story_finish(s, 0);
    story_pass(s, 500);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] start slot 1 with 2 depot=D\n"
                    "[    0] reopen\n"
                    "[    0] hello slots=2 1/1 2/1\n"
                    "[  200] reopen\n"
                    "[  200] hello slots=2 1/1 2/1\n");
    story_welcome(s);
    not_leader(s); /* a handover later on */
    story_pass(s, 100);
    story_expect(s, "[  500] done 1/1=success {}\n"
                    "[  500] reopen\n"
                    "[  500] hello slots=2 1/1 2/1\n");
    story_free(s);
}

static void lose(struct story *s)
{
    session_on_lost(s->session, s->now);
    story_settle(s);
}

static void test_a_new_connection_begins_with_hello(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    lose(s);
    story_finish(s, 0);
    story_pass(s, 100);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] hello slots=2 1/1\n");
    story_welcome(s);
    story_expect(s, "[  100] done 1/1=success {}\n");
    story_free(s);
}

/* Of two brokers. */
static struct story *story_of_two(void)
{
    struct session_config config = { .worker = "w",
                                     .brokers = 2,
                                     .slots = 2,
                                     .labels = "",
                                     .kinds = "",
                                     .version = "1",
                                     .drain_ms = STORY_DRAIN_MS };
    struct story *s = xnew(struct story);

    s->session = session_new(&config, 0);
    s->quiet = true;
    story_settle(s);
    return s;
}

static void test_of_several_brokers_one_that_is_lost_is_left(void **state)
{
    struct story *s = story_of_two();

    (void)state;
    story_welcome(s);
    story_assign(s, 1);
    lose(s);
    story_expect(s, "[    0] hello slots=2\n"
                    "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] reopen\n"
                    "[    0] hello slots=2 1/1\n");
    for (int i = 1; i <= 3; i++) { /* nobody is there: less and less often */
        lose(s);
        story_pass(s, 200 * i);
    }
    story_expect(s, "[    0] hello slots=2 1/1\n"
                    "[  200] reopen\n"
                    "[  200] hello slots=2 1/1\n"
                    "[  200] hello slots=2 1/1\n"
                    "[  600] reopen\n"
                    "[  600] hello slots=2 1/1\n"
                    "[  600] hello slots=2 1/1\n"
                    "[ 1200] reopen\n"
                    "[ 1200] hello slots=2 1/1\n");
    story_welcome(s);
    lose(s); /* later on */
    story_expect(s, "[ 1200] reopen\n"
                    "[ 1200] hello slots=2 1/1\n");
    story_free(s);
}

static void test_of_several_brokers_the_next_is_tried_soon(void **state)
{
    struct story *s = story_of_two();

    (void)state;
    story_pass(s, 2500);
    story_welcome(s);
    story_pass(s, 7900); /* one that has welcomed us is given its time */
    story_expect(s, "[    0] hello slots=2\n"
                    "[ 1000] reopen\n"
                    "[ 1000] hello slots=2\n"
                    "[ 2000] reopen\n"
                    "[ 2000] hello slots=2\n");
    story_free(s);
}

static void test_a_depot_that_moved_is_told_to_running_jobs(void **state)
{
    const struct wire_message moved = {
        .type = WIRE_WELCOME, .welcome = { .depot = wire_text("E") }
    };
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    story_welcome(s);
    story_tell(s, &moved);
    story_assign(s, 2);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] tell slot 0 depot=E\n"
                    "[    0] start slot 1 with 2 depot=E\n");
    story_free(s);
}

static void test_what_the_broker_drops_ends_without_an_outcome(void **state)
{
    struct story *s = story_welcomed(2);
    struct wire_token drop[] = { story_token(1, 1), story_token(3, 1),
                                 story_token(2, 1) };

    (void)state;
    story_assign(s, 1);
    story_assign(s, 2);
    story_assign(s, 3);
    story_finish(s, 1);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] start slot 1 with 2 depot=D\n"
                    "[    0] start slot 1 with 3 depot=D\n"
                    "[    0] done 2/1=success {}\n");
    story_welcome_dropping(s, drop, 3);
    story_expect(s, "[    0] stop slot 0\n[    0] stop slot 1\n");
    story_finish(s, 0);
    story_die(s, 1);
    story_expect(s, "");
    assert_int_equal(session_count(s->session).running, 0);
    assert_int_equal(session_count(s->session).finished, 0);
    story_free(s);
}

static void test_an_outcome_without_an_answer_is_sent_again(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    story_finish(s, 0);
    for (int i = 0; i < 3; i++) {
        story_pass(s, 4000);
        story_ack(s, 0);
    }
    story_tokens(s, WIRE_STALE, 1);
    story_pass(s, 7000);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] done 1/1=success {}\n"
                    "[10000] done 1/1=success {}\n");
    story_free(s);
}

static void test_a_link_that_takes_nothing_is_tried_again_soon(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    s->deaf = true;
    story_finish(s, 0);
    story_pass(s, 60);
    s->deaf = false;
    story_pass(s, 60);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] done 1/1=success {} (lost)\n"
                    "[   50] done 1/1=success {} (lost)\n"
                    "[  100] done 1/1=success {}\n");
    story_free(s);
}

static void test_a_broker_with_another_view_gets_a_hello(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    story_ack(s, 1);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] hello slots=2 1/1\n");
    story_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_runs_and_is_kept_until_it_is_committed),
        cmocka_unit_test(test_jobs_beyond_the_slots_wait_in_order),
        cmocka_unit_test(test_a_job_that_runs_alone_has_no_neighbours),
        cmocka_unit_test(test_heartbeats_go_on_and_carry_progress),
        cmocka_unit_test(test_hello_is_repeated_until_somebody_answers),
        cmocka_unit_test(
            test_a_silent_broker_is_left_and_told_all_that_is_held),
        cmocka_unit_test(
            test_a_broker_that_does_not_lead_is_left_with_all_jobs),
        cmocka_unit_test(test_a_new_connection_begins_with_hello),
        cmocka_unit_test(test_of_several_brokers_one_that_is_lost_is_left),
        cmocka_unit_test(test_of_several_brokers_the_next_is_tried_soon),
        cmocka_unit_test(test_a_depot_that_moved_is_told_to_running_jobs),
        cmocka_unit_test(test_what_the_broker_drops_ends_without_an_outcome),
        cmocka_unit_test(test_an_outcome_without_an_answer_is_sent_again),
        cmocka_unit_test(test_a_link_that_takes_nothing_is_tried_again_soon),
        cmocka_unit_test(test_a_broker_with_another_view_gets_a_hello),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
