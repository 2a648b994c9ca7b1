/* The small parts of broker/core that have a right and a wrong of their
 * own. What they do together is in tests/sim. */
#include "broker/core/heap.h"
#include "broker/core/outbox.h"
#include "broker/core/state.h"
#include "broker/core/verdict.h"
#include "common/limits.h"
#include "common/memory.h"
#include "common/philox.h"
#include "support/test.h"

#include <string.h>

static void test_heap_gives_jobs_in_order(void **state)
{
    enum { JOBS = 500 };
    static struct job jobs[JOBS];
    struct philox_key key = { .seed = 7 };
    struct heap h = { 0 };
    const struct job *last = NULL;
    size_t left = JOBS;

    (void)state;
    assert_null(heap_first(&h));
    for (uint64_t i = 0; i < JOBS; i++) {
        jobs[i].rank = philox_below(key, i, 50);
        jobs[i].tie = i;
        heap_add(&h, &jobs[i]);
    }
    for (size_t i = 0; i < JOBS; i += 5, left--)
        heap_remove(&h, &jobs[i]); /* from the middle too */
    for (struct job *j = heap_first(&h); j != NULL; j = heap_first(&h)) {
        assert_true(last == NULL || last->rank < j->rank ||
                    (last->rank == j->rank && last->tie < j->tie));
        heap_remove(&h, j);
        last = j;
        left--;
    }
    assert_int_equal(left, 0);
    heap_release(&h);
}

static void test_backoff_doubles_jitters_and_ends(void **state)
{
    struct job job = { .attempt = 1 };
    int64_t seen[2] = { 0, 0 };

    (void)state;
    for (uint64_t n = 1; n < 100; n++) {
        int64_t most = n > 9 ? 300000 : INT64_C(1000) << (n - 1);
        int64_t ms;

        job.attempt = n;
        ms = verdict_backoff_ms(&job, n, 1000);
        assert_true(ms >= 1 && ms <= (most < 300000 ? most : 300000));
        assert_int_equal(ms, verdict_backoff_ms(&job, n, 1000));
    }
    job.key.bytes[0] = 1;
    seen[0] = verdict_backoff_ms(&job, 5, 1000);
    job.key.bytes[0] = 2;
    seen[1] = verdict_backoff_ms(&job, 5, 1000);
    assert_true(seen[0] != seen[1]);
    assert_int_equal(verdict_backoff_ms(&job, 1, 0), 0);
}

static void test_answer_too_big_becomes_a_failure(void **state)
{
    AUTO(free_pointer) char *text = xcalloc(LIMIT_MESSAGE + 1, 1);
    AUTO(json_release) json_t *body = NULL;
    struct peer client = { PEER_CLIENT, 1 };
    struct status st = SUCCESS;
    struct wire_decoded d;
    struct outbox o;

    (void)state;
    outbox_init(&o);
    memset(text, 'x', LIMIT_MESSAGE);
    body = json_pack("{s:s}", "text", text);
    outbox_answer(&o, client, 3, &st, body, true);
    assert_int_equal(o.message_count, 1);
    assert_ok(
        wire_decode(o.bytes.data + o.messages[0].at, o.messages[0].size, &d));
    assert_int_equal(d.message.type, WIRE_ANSWER);
    assert_int_equal(d.message.answer.request, 3);
    assert_int_equal(d.message.answer.code, STATUS_TOO_BIG);
    wire_release(&d);
    outbox_clear(&o);
    assert_int_equal(o.message_count, 0);
    outbox_release(&o);
}

static void test_compacted_outbox_keeps_what_is_still_to_do(void **state)
{
    struct wire_message m = { .type = WIRE_HEARTBEAT_ACK };
    struct wire_message r = { .type = WIRE_RECORD_START };
    struct wire_decoded d;
    struct outbox o;

    (void)state;
    outbox_init(&o);
    for (uint64_t i = 0; i < 6; i++) {
        m.heartbeat_ack.sequence = i;
        r.record_start.epoch = i;
        assert_ok(outbox_send(&o, (struct peer){ PEER_WORKER, i }, &m, true));
        assert_ok(outbox_record(&o, &r));
        o.messages[i].sent = i % 2 == 0;
    }
    outbox_compact(&o, 4);
    assert_int_equal(o.message_count, 3);
    assert_int_equal(o.record_count, 2);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(o.messages[i].peer.id, 2 * i + 1);
        assert_ok(wire_decode(o.bytes.data + o.messages[i].at,
                              o.messages[i].size, &d));
        assert_int_equal(d.message.heartbeat_ack.sequence, 2 * i + 1);
        wire_release(&d);
    }
    assert_ok(
        wire_decode(o.bytes.data + o.records[1].at, o.records[1].size, &d));
    assert_int_equal(d.message.record_start.epoch, 5);
    wire_release(&d);
    outbox_release(&o);
}

/* What is asked waits as what is ordered does, and says of itself that it
 * need not while the store is away. */
static void test_answers_to_questions_are_marked(void **state)
{
    const struct peer peer = { .side = PEER_CLIENT, .id = 1 };
    const struct status well = SUCCESS;
    const struct status ill = FAIL(STATUS_NOT_FOUND, "no such sweep");
    struct outbox o;

    (void)state;
    outbox_init(&o);
    outbox_answer(&o, peer, 1, &well, NULL, false);
    outbox_answer_read(&o, peer, 2, &well, NULL);
    outbox_answer_read(&o, peer, 3, &ill, NULL);
    assert_int_equal(o.message_count, 3);
    for (size_t i = 0; i < o.message_count; i++) {
        assert_false(o.messages[i].early);
        assert_int_equal(o.messages[i].read, i > 0);
    }
    outbox_release(&o);
}

static void test_foreign_text_becomes_utf8(void **state)
{
    static const struct {
        const char *in;
        size_t size;
        const char *out;
    } cases[] = {
        { "plain", 5, "plain" },
        { "a\0b", 3, "a?b" },
        { "\xc3\xa4", 2, "\xc3\xa4" },
        { "\xc3", 1, "?" },
        { "\xed\xa0\x80", 3, "???" }, /* a surrogate */
        { "\xc0\xaf", 2, "??" },      /* overlong */
        { "\xf4\x90\x80\x80", 4, "????" },
        { "\xf0\x9f\x8d\xb0!", 5, "\xf0\x9f\x8d\xb0!" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(free_pointer)
        char *clean = sched_clean(
            (struct wire_bytes){ .data = cases[i].in, .size = cases[i].size });

        assert_string_equal(clean, cases[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_gives_jobs_in_order),
        cmocka_unit_test(test_backoff_doubles_jitters_and_ends),
        cmocka_unit_test(test_answer_too_big_becomes_a_failure),
        cmocka_unit_test(test_compacted_outbox_keeps_what_is_still_to_do),
        cmocka_unit_test(test_answers_to_questions_are_marked),
        cmocka_unit_test(test_foreign_text_becomes_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
