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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_asker_gets_its_own_answer),
        cmocka_unit_test(test_silent_loop_is_not_waited_for_for_ever),
        cmocka_unit_test(test_life_signs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
