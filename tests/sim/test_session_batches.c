/* Batches at a worker: one slot each, in order, with what the slot is told of
 * the others. */
#include <stdlib.h>
#include <string.h>

#include "support/test.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/memory.h"
#include "worker/core/session.h"

enum { SLOTS = 2 };

struct sim {
    struct session *session;
    char starts[512]; /* "0:1(23) 1:4()": slot, job, siblings */
};

static const struct wire_outcome good = { .code = STATUS_SUCCESS };

static void settle(struct sim *sim)
{
    struct session_action a;

    while (session_next(sim->session, 0, &a)) {
        size_t used = strlen(sim->starts);
        const struct wire_slot_run *run = &a.message->slot_run;

        if (a.type != SESSION_START)
            continue;
        used +=
            (size_t)snprintf(sim->starts + used, sizeof sim->starts - used,
                             "%zu:%d(", a.slot, run->job.token.key.bytes[0]);
        for (size_t i = 0; i < run->siblings.count; i++)
            used += (size_t)snprintf(sim->starts + used,
                                     sizeof sim->starts - used, "%.*s",
                                     (int)run->siblings.items[i].params.size,
                                     run->siblings.items[i].params.data);
        (void)snprintf(sim->starts + used, sizeof sim->starts - used, ") ");
    }
}

static struct sim *sim_new(int64_t memory)
{
    const struct session_config config = { .worker = "w",
                                           .slots = SLOTS,
                                           .memory_bytes = memory,
                                           .labels = "",
                                           .kinds = "",
                                           .version = "1",
                                           .drain_ms = 5000 };
    const struct wire_message welcome = { .type = WIRE_WELCOME };
    struct sim *sim = xnew(struct sim);

    sim->session = session_new(&config, 0);
    session_on_message(sim->session, 0, &welcome);
    settle(sim);
    return sim;
}

static void sim_free(struct sim *sim)
{
    session_free(sim->session);
    free(sim);
}

static void expect(struct sim *sim, const char *starts)
{
    assert_string_equal(sim->starts, starts);
    sim->starts[0] = '\0';
}

static struct wire_token token(int key, uint64_t epoch)
{
    return (struct wire_token){ .key = { { (uint8_t)key } },
                                .epoch = epoch,
                                .attempt = 1 };
}

/* Jobs `first` to `last` in one message; their parameters are their numbers. */
static void assign_of(struct sim *sim, int first, int last, uint64_t epoch,
                      uint64_t batch, int64_t memory)
{
    struct wire_assignment jobs[16];
    char params[16][8];
    size_t count = 0;

    for (int i = first; i <= last; i++, count++) {
        (void)snprintf(params[count], sizeof params[count], "%d", i);
        jobs[count] =
            (struct wire_assignment){ .token = token(i, epoch),
                                      .kind = wire_text("k"),
                                      .params = wire_text(params[count]),
                                      .memory_bytes = memory,
                                      .batch = batch };
    }
    session_on_message(sim->session, 0,
                       &(struct wire_message){ .type = WIRE_ASSIGN,
                                               .assign = { { jobs, count } } });
}

static void assign(struct sim *sim, int first, int last, uint64_t batch)
{
    assign_of(sim, first, last, 1, batch, 0);
}

static void finish(struct sim *sim, size_t slot)
{
    session_on_slot_done(sim->session, 0, slot, &good);
    settle(sim);
}

static void test_a_batch_keeps_to_its_slot_and_its_order(void **state)
{
    struct sim *sim = sim_new(0);

    (void)state;
    assign(sim, 1, 3, 7);
    assign(sim, 4, 5, 8);
    settle(sim);
    expect(sim, "0:1(23) 1:4(5) ");
    finish(sim, 1);
    expect(sim, "1:5() ");
    finish(sim, 1);
    expect(sim, ""); /* 2 and 3 wait for slot 0 */
    finish(sim, 0);
    finish(sim, 0);
    expect(sim, "0:2(3) 0:3() ");
    sim_free(sim);
}

static void assign_model(struct sim *sim, int job, const char *model)
{
    AUTO(free_pointer)
    char *params = xasprintf("{\"a\":%d,\"model\":{\"$recipe\":{\"kind\":"
                             "\"m\",\"params\":{\"}\":%s}}},\"z\":%d}",
                             job, model, job);
    struct wire_assignment a = { .token = token(job, 1),
                                 .kind = wire_text("k"),
                                 .params = wire_text(params) };

    session_on_message(
        sim->session, 0,
        &(struct wire_message){ .type = WIRE_ASSIGN, .assign = { { &a, 1 } } });
}

/* Evaluators of one model that come one after the other. */
static void test_a_job_goes_to_the_slot_that_made_its_model(void **state)
{
    const struct wire_outcome lost = { .code = STATUS_LOST, .crashed = 1 };
    struct sim *sim = sim_new(0);

    (void)state;
    assign_model(sim, 1, "0.5");
    assign_model(sim, 2, "0.25");
    settle(sim);
    expect(sim, "0:1() 1:2() ");
    finish(sim, 0);
    finish(sim, 1);
    assign_model(sim, 3, "0.25");
    assign_model(sim, 4, "0.5");
    assign_model(sim, 5, "0.25");
    settle(sim);
    expect(sim, "1:3() 0:4() ");
    finish(sim, 0); /* better there than to wait */
    expect(sim, "0:5() ");
    session_on_slot_died(sim->session, 0, 1, &lost);
    finish(sim, 0);
    assign_model(sim, 6, "0.25"); /* slot 0 has it, slot 1 has nothing now */
    settle(sim);
    expect(sim, "0:6() ");
    sim_free(sim);
}

static void test_others_pass_a_batch_that_waits(void **state)
{
    struct sim *sim = sim_new(0);

    (void)state;
    assign(sim, 1, 3, 7);
    assign(sim, 4, 5, 0);
    settle(sim);
    expect(sim, "0:1(23) 1:4() ");
    finish(sim, 1);
    expect(sim, "1:5() ");
    sim_free(sim);
}

/* The slot went on to something else: the batch goes where there is room. */
static void test_a_batch_that_lost_its_slot_takes_another(void **state)
{
    struct sim *sim = sim_new(100);

    (void)state;
    assign_of(sim, 1, 1, 1, 7, 60);
    settle(sim);
    assign_of(sim, 4, 4, 1, 0, 60); /* waits for memory */
    assign_of(sim, 2, 3, 1, 7, 10);
    settle(sim);
    expect(sim, "0:1() ");
    finish(sim, 0);
    expect(sim, "1:4() 0:2(3) "); /* not the slot the batch comes back to */
    finish(sim, 0);
    assign(sim, 5, 5, 0);
    finish(sim, 1);
    expect(sim, "0:3() 1:5() ");
    sim_free(sim);
}

static void test_batches_of_two_epochs_are_two(void **state)
{
    struct sim *sim = sim_new(0);

    (void)state;
    assign_of(sim, 1, 2, 1, 7, 0);
    assign_of(sim, 3, 4, 2, 7, 0);
    settle(sim);
    expect(sim, "0:1(2) 1:3(4) ");
    sim_free(sim);
}

static void test_a_dead_slot_goes_on_with_its_batch(void **state)
{
    static const struct wire_outcome dead = { .code = STATUS_LOST,
                                              .crashed = 1 };
    struct sim *sim = sim_new(0);

    (void)state;
    assign(sim, 1, 3, 7);
    settle(sim);
    session_on_slot_died(sim->session, 0, 0, &dead);
    settle(sim);
    expect(sim, "0:1(23) 0:2(3) ");
    sim_free(sim);
}

static void test_a_batch_may_come_in_several_messages(void **state)
{
    struct sim *sim = sim_new(0);

    (void)state;
    assign(sim, 1, 2, 7);
    settle(sim);
    assign(sim, 3, 4, 7);
    settle(sim);
    expect(sim, "0:1(2) ");
    finish(sim, 0);
    expect(sim, "0:2(34) ");
    sim_free(sim);
}

static void test_a_cancelled_sibling_is_not_told(void **state)
{
    struct sim *sim = sim_new(0);
    struct wire_token second = token(2, 1);

    (void)state;
    assign(sim, 1, 4, 7);
    settle(sim);
    session_on_message(sim->session, 0,
                       &(struct wire_message){ .type = WIRE_CANCEL,
                                               .cancel = { { &second, 1 } } });
    finish(sim, 0);
    expect(sim, "0:1(234) 0:3(4) ");
    sim_free(sim);
}

/* A job and its siblings are one message: what does not fit is not told. */
static void test_siblings_leave_room_for_the_job(void **state)
{
    struct sim *sim = sim_new(0);
    AUTO(free_pointer) char *large = xcalloc(LIMIT_PARAMS + 1, 1);
    struct wire_assignment jobs[8];
    const struct wire_message m = { .type = WIRE_ASSIGN,
                                    .assign = { { jobs, COUNT_OF(jobs) } } };
    struct session_action a;
    struct buf out;

    (void)state;
    memset(large, ' ', LIMIT_PARAMS);
    for (size_t i = 0; i < COUNT_OF(jobs); i++)
        jobs[i] = (struct wire_assignment){
            .token = token((int)i, 1),
            .params = { large, LIMIT_PARAMS - 100 },
            .batch = 1,
        };
    session_on_message(sim->session, 0, &m);
    do
        assert_true(session_next(sim->session, 0, &a));
    while (a.type != SESSION_START);
    assert_in_range(a.message->slot_run.siblings.count, 1, 6);
    buf_init(&out, LIMIT_MESSAGE);
    assert_ok(wire_encode(a.message, &out));
    buf_release(&out);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_batch_keeps_to_its_slot_and_its_order),
        cmocka_unit_test(test_a_job_goes_to_the_slot_that_made_its_model),
        cmocka_unit_test(test_others_pass_a_batch_that_waits),
        cmocka_unit_test(test_a_batch_that_lost_its_slot_takes_another),
        cmocka_unit_test(test_batches_of_two_epochs_are_two),
        cmocka_unit_test(test_a_dead_slot_goes_on_with_its_batch),
        cmocka_unit_test(test_a_batch_may_come_in_several_messages),
        cmocka_unit_test(test_a_cancelled_sibling_is_not_told),
        cmocka_unit_test(test_siblings_leave_room_for_the_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
