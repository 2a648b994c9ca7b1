/* Stories of one worker and its slots: what is stopped, killed, dies, waits for
 * memory, and how a worker leaves. */
#include <stdlib.h>
#include <string.h>

#include "support/test.h"
#include "tests/sim/session_story.h"

#include "common/clock.h"
#include "common/memory.h"

static void test_cancel_stops_the_slot_and_kills_it_if_it_will_not(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    story_assign(s, 2);
    story_tokens(s, WIRE_CANCEL, 1);
    story_tokens(s, WIRE_CANCEL, 2);
    story_pass(s, 10);
    story_finish(s, 0); /* it saw the signal */
    story_pass(s, 2000);
    story_die(s, 1);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] start slot 1 with 2 depot=D\n"
                    "[    0] stop slot 0\n"
                    "[    0] stop slot 1\n"
                    "[   10] done 1/1=cancelled \"cancelled\" after 10 ms\n"
                    "[ 1000] kill slot 1\n"
                    "[ 2010] done 2/1=cancelled \"cancelled\" after 2010 ms\n");
    story_assign(s, 3);
    story_assign(s, 4);
    story_expect(s, "[ 2010] start slot 0 with 3 depot=D\n"
                    "[ 2010] start slot 1 with 4 depot=D\n");
    story_free(s);
}

static void test_cancel_of_a_waiting_job_is_answered_at_once(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    for (int i = 1; i <= 3; i++)
        story_assign(s, i);
    story_tokens(s, WIRE_CANCEL, 3);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] start slot 1 with 2 depot=D\n"
                    "[    0] done 3/1=cancelled \"cancelled\"\n");
    story_free(s);
}

static void test_a_killed_slot_gets_no_job_until_it_has_died(void **state)
{
    struct story *s = story_welcomed(2);
    struct wire_assignment slow = story_job(1);

    (void)state;
    slow.limit_ms = 100;
    story_assign_job(s, &slow);
    story_assign(s, 2);
    story_assign(s, 3);
    story_pass(s, 150);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] start slot 1 with 2 depot=D\n"
                    "[  100] kill slot 0\n");
    story_die(s, 0);
    story_expect(
        s, "[  150] start slot 0 with 3 depot=D\n"
           "[  150] done 1/1=timed_out \"evaluate.noop ran longer than its "
           "limit of 0.1 s and was killed; raise the limit if that is "
           "normal\" after 150 ms\n");
    story_free(s);
}

static void test_a_job_without_progress_is_killed_one_with_is_not(void **state)
{
    struct story *s = story_welcomed(2);
    struct wire_assignment a = story_job(1);
    struct wire_assignment b = story_job(2);

    (void)state;
    a.stall_ms = b.stall_ms = 1000;
    story_assign_job(s, &a);
    story_assign_job(s, &b);
    story_pass(s, 600);
    story_progress(s, 1, 5);
    story_pass(s, 600);
    story_die(s, 0);
    story_expect(
        s, "[    0] start slot 0 with 1 depot=D\n"
           "[    0] start slot 1 with 2 depot=D\n"
           "[ 1000] kill slot 0\n"
           "[ 1200] done 1/1=timed_out \"evaluate.noop made no progress for "
           "1.0 s and was killed\" after 1200 ms\n");
    session_on_slot_log(s->session, s->now, 1, wire_text("still here\n"));
    story_settle(s);
    story_pass(s, 900); /* a line counts as well */
    story_expect(s, "[ 1200] log 2 still here\n");
    story_free(s);
}

static void test_a_result_that_comes_before_the_kill_counts(void **state)
{
    struct story *s = story_welcomed(2);
    struct wire_assignment slow = story_job(1);

    (void)state;
    slow.limit_ms = 100;
    story_assign_job(s, &slow);
    story_pass(s, 100);
    story_finish(s, 0);
    story_die(s, 0);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[  100] kill slot 0\n"
                    "[  100] done 1/1=success {} after 100 ms\n");
    story_free(s);
}

static void test_a_crash_is_told_and_the_slot_goes_on(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    story_pass(s, 5);
    story_die(s, 0);
    story_assign(s, 2);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    5] done 1/1=lost! \"slot died\" after 5 ms\n"
                    "[    5] start slot 0 with 2 depot=D\n");
    story_free(s);
}

static void test_memory_decides_how_many_run(void **state)
{
    struct story *s = story_new(2, 1000);
    struct wire_assignment large = story_job(1);
    struct wire_assignment small = story_job(2);

    (void)state;
    large.memory_bytes = 800;
    small.memory_bytes = 300;
    story_welcome(s);
    story_assign_job(s, &large);
    story_assign_job(s, &small);
    story_expect(s, "[    0] hello slots=2\n"
                    "[    0] start slot 0 with 1 depot=D\n");
    story_finish(s, 0);
    story_expect(s, "[    0] start slot 0 with 2 depot=D\n"
                    "[    0] done 1/1=success {}\n");
    story_free(s);
}

static void test_drain_hands_back_finishes_and_says_bye(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    for (int i = 1; i <= 4; i++)
        story_assign(s, i);
    story_drain(s);
    story_assign(s, 5); /* was on its way */
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] start slot 1 with 2 depot=D\n"
                    "[    0] bye \"SIGTERM\" 3/1 4/1\n"
                    "[    0] bye \"SIGTERM\" 5/1\n");
    story_finish(s, 0);
    story_finish(s, 1);
    story_tokens(s, WIRE_COMMITTED, 1);
    story_ack(s, 1);
    story_tokens(s, WIRE_COMMITTED, 2);
    story_expect(s, "[    0] done 1/1=success {}\n"
                    "[    0] done 2/1=success {}\n"
                    "[    0] hello slots=2 2/1\n"
                    "[    0] bye \"SIGTERM\"\n"
                    "[    0] exit\n");
    story_free(s);
}

static void test_drain_ends_when_its_time_is_over(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    story_drain(s);
    story_ack(s, 0);
    story_pass(s, 4999);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] bye \"SIGTERM\"\n");
    story_pass(s, 1);
    story_expect(s, "[ 5000] bye \"SIGTERM\" 1/1\n[ 5000] exit\n");
    story_free(s);
}

static void test_a_second_signal_ends_at_once(void **state)
{
    struct story *s = story_welcomed(2);

    (void)state;
    story_assign(s, 1);
    story_drain(s);
    story_drain(s);
    story_expect(s, "[    0] start slot 0 with 1 depot=D\n"
                    "[    0] bye \"SIGTERM\"\n"
                    "[    0] bye \"SIGTERM\" 1/1\n"
                    "[    0] exit\n");
    story_free(s);
}

static void test_an_idle_worker_leaves_at_the_first_signal(void **state)
{
    struct story *s = story_welcomed(2);
    struct story *alone = story_new(2, 0);

    (void)state;
    story_drain(s);
    story_expect(s, "[    0] bye \"SIGTERM\"\n[    0] exit\n");
    story_drain(alone); /* never had a broker */
    story_expect(alone, "[    0] hello slots=2\n[    0] exit\n");
    story_free(s);
    story_free(alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_cancel_stops_the_slot_and_kills_it_if_it_will_not),
        cmocka_unit_test(test_cancel_of_a_waiting_job_is_answered_at_once),
        cmocka_unit_test(test_a_killed_slot_gets_no_job_until_it_has_died),
        cmocka_unit_test(test_a_job_without_progress_is_killed_one_with_is_not),
        cmocka_unit_test(test_a_result_that_comes_before_the_kill_counts),
        cmocka_unit_test(test_a_crash_is_told_and_the_slot_goes_on),
        cmocka_unit_test(test_memory_decides_how_many_run),
        cmocka_unit_test(test_drain_hands_back_finishes_and_says_bye),
        cmocka_unit_test(test_drain_ends_when_its_time_is_over),
        cmocka_unit_test(test_a_second_signal_ends_at_once),
        cmocka_unit_test(test_an_idle_worker_leaves_at_the_first_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
