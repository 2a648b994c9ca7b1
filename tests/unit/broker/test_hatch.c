#include "broker/answers.h"
#include "broker/hatch.h"
#include "common/clock.h"
#include "common/memory.h"
#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

enum { ASKERS = 8, EACH = 50 };

/* Each asker wants its own words back. */
static void *ask_many(void *self)
{
    struct hatch *h = self;
    char mine[32];
    intptr_t wrong = 0;

    (void)snprintf(mine, sizeof mine, "%lx", (unsigned long)pthread_self());
    for (int i = 0; i < EACH; i++) {
        char *body = NULL;
        struct status st = hatch_ask(h, "echo", mine, &body);

        wrong += status_failed(&st) || strcmp(body, mine) != 0;
        free(body);
    }
    return (void *)wrong;
}

static void *ask_once(void *self)
{
    char *body = NULL;
    struct status st = hatch_ask(self, "status", "{}", &body);
    intptr_t wrong = status_failed(&st) || strcmp(body, "yes") != 0;

    free(body);
    return (void *)wrong;
}

static int answer_all(struct hatch *h)
{
    struct hatch_question *q;
    int count = 0;

    while ((q = hatch_next(h)) != NULL) {
        struct status st = SUCCESS;

        hatch_reply(h, q, &st, xstrdup(q->arguments));
        count++;
    }
    return count;
}

static void test_every_asker_gets_its_own_answer(void **state)
{
    struct hatch *h = NULL;
    pthread_t threads[ASKERS];
    int answered = 0;

    (void)state;
    assert_ok(hatch_new(&h));
    for (int i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_many, h), 0);
    while (answered < ASKERS * EACH) {
        struct pollfd p = { .fd = hatch_descriptor(h), .events = POLLIN };

        assert_int_equal(poll(&p, 1, 10000), 1);
        answered += answer_all(h);
    }
    for (int i = 0; i < ASKERS; i++) {
        void *wrong = NULL;

        (void)pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    hatch_free(h);
}

static void test_silent_loop_is_not_waited_for_for_ever(void **state)
{
    struct hatch *h = NULL;
    char *body = NULL;

    (void)state;
    assert_ok(hatch_new(&h));
    assert_fails(hatch_ask(h, "status", "{}", &body), STATUS_TIMED_OUT, NULL);
    assert_null(hatch_next(h)); /* nobody waits for it any more */
    hatch_free(h);
}

static void test_life_signs(void **state)
{
    struct hatch *h = NULL;

    (void)state;
    assert_ok(hatch_new(&h));
    assert_false(hatch_is_ready(h));
    hatch_set_ready(h);
    assert_true(hatch_is_ready(h));
    clock_sleep_ms(30);
    assert_true(hatch_silence_ms(h) >= 25);
    hatch_beat(h);
    assert_true(hatch_silence_ms(h) < 25);
    hatch_free(h);
}

/* In the order of their records, each when its own is durable. */
static void test_an_answer_waits_for_its_records(void **state)
{
    static const uint64_t rests_on[] = { 0, 7, 5 };
    struct answers a = { .items = NULL };
    struct hatch *h = NULL;
    pthread_t threads[COUNT_OF(rests_on)];

    (void)state;
    assert_ok(hatch_new(&h));
    for (size_t i = 0; i < COUNT_OF(rests_on); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_once, h), 0);
    while (a.count < COUNT_OF(rests_on)) {
        struct hatch_question *q = hatch_next(h);
        struct status st = SUCCESS;

        if (q != NULL)
            answers_add(&a, q, &st, xstrdup("yes"), rests_on[a.count]);
    }
    answers_give(&a, h, 4);
    assert_int_equal(a.count, 2);
    answers_give(&a, h, 6);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.items[0].rests_on, 7);
    answers_give(&a, h, UINT64_MAX); /* the store is away */
    answers_release(&a);
    for (size_t i = 0; i < COUNT_OF(rests_on); i++) {
        void *wrong = NULL;

        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    hatch_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_waits_for_its_records),
        cmocka_unit_test(test_every_asker_gets_its_own_answer),
        cmocka_unit_test(test_silent_loop_is_not_waited_for_for_ever),
        cmocka_unit_test(test_life_signs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
