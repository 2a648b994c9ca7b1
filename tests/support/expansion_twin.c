#include "tests/support/expansion_twin.h"

#include <string.h>

#include "tests/support/test.h"

static void compare_texts(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        assert_true(a == b);
    else
        assert_string_equal(a, b);
}

static void compare_jobs(const struct stage_job *fast,
                         const struct stage_job *slow)
{
    assert_string_equal(fast->stage, slow->stage);
    assert_string_equal(fast->kind, slow->kind);
    assert_int_equal(fast->sort, slow->sort);
    assert_int_equal(fast->index, slow->index);
    assert_string_equal(fast->params, slow->params);
    assert_int_equal(fast->params_size, slow->params_size);
    assert_int_equal(fast->params_size, strlen(fast->params));
    assert_true(digest_equal(&fast->key, &slow->key));
    assert_int_equal(fast->input_count, slow->input_count);
    for (size_t i = 0; i < slow->input_count; i++)
        assert_true(digest_equal(&fast->inputs[i], &slow->inputs[i]));
    assert_true(fast->family == slow->family);
    assert_true(fast->memory_bytes == slow->memory_bytes);
    assert_true(fast->cpus == slow->cpus);
    compare_texts(fast->labels, slow->labels);
    assert_true(fast->stall_ms == slow->stall_ms);
    assert_true(fast->limit_ms == slow->limit_ms);
}

static void compare_taken(const struct compiled *c, const json_t *values,
                          struct status st, const struct expansion_trial *fast,
                          struct expansion_tally *tally)
{
    struct stage_jobs slow = { 0 };
    struct status other = compiled_stages(c, values, &slow);

    assert_int_equal(st.code, other.code);
    if (status_failed(&other)) {
        assert_string_equal(st.message, other.message);
        tally->refused++;
        return;
    }
    assert_int_equal(fast->count, slow.count);
    for (size_t i = 0; i < slow.count; i++) {
        compare_jobs(&fast->jobs[i], &slow.items[i]);
        tally->in_family += slow.items[i].family != 0;
    }
    tally->jobs += slow.count;
    stage_jobs_release(&slow);
}

static void compare_trial(const struct compiled *c, struct expansion *e,
                          uint64_t trial, struct expansion_scratch *scratch,
                          struct expansion_tally *tally)
{
    json_t *values = NULL;
    bool excluded = false;
    struct expansion_trial fast;
    struct status st = expansion_trial(e, trial, scratch, &fast);

    assert_ok(compiled_trial(c, trial, &values, &excluded));
    tally->trials++;
    tally->excluded += excluded;
    if (excluded) {
        assert_ok(st);
        assert_true(fast.excluded);
        assert_int_equal(fast.count, 0);
    } else {
        assert_false(fast.excluded);
        compare_taken(c, values, st, &fast, tally);
    }
    json_decref(values);
}

void expansion_compare(const struct compiled *c, uint64_t most,
                       struct expansion_tally *tally)
{
    struct expansion *e = expansion_new(c);
    struct expansion_scratch *scratch = expansion_scratch_new();
    struct expansion_trial none;
    uint64_t count = compiled_trial_count(c);
    uint64_t step = count <= most ? 1 : count / most;

    for (uint64_t i = 0; i < count; i += step)
        compare_trial(c, e, i, scratch, tally);
    compare_trial(c, e, compiled_trial_limit(c) - 1, scratch, tally);
    assert_fails(expansion_trial(e, compiled_trial_limit(c), scratch, &none),
                 STATUS_NOT_FOUND, "there is no trial");
    expansion_scratch_free(scratch);
    expansion_free(e);
}
