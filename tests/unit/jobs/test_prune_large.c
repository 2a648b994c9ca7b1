/* Models larger than the memory of a job, pruned section by section, and what
 * a kill in the middle leaves. */
#include "support/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/stream_model.h"
#include "support/data_bytes.h"
#include "support/fake_fixture.h"
#include "support/tiny_files.h"
#include "support/tiny_llama.h"
#include "tensor/blas.h"

#define SAMPLES(count)                                                       \
    "'calibration':{'samples':" count ",'seed':3,'data':{'builtin':'tasks'," \
    "'mix':{'sort':1},'shortest':3,'longest':6,'split':'train'}}"
#define LLAMA(hidden, inner, layers)                                       \
    "{'model_type':'llama','vocab_size':260,'max_position_embeddings':32," \
    "'num_attention_heads':4,'hidden_size':" hidden                        \
    ",'intermediate_size':" inner ",'num_hidden_layers':" layers "}"

enum { SLACK = 4 << 20 };

/* ---- memory ------------------------------------------------------------------ */

/* Bytes a refusal names. */
static uint64_t wanted_bytes(struct fake_context *f, const json_t *params)
{
    json_t *result = NULL;
    const char *at;
    struct status s;

    f->context.memory_bytes = 8;
    s = tiny_run(f, "prune_fit", params, &result);
    assert_int_equal(s.code, STATUS_NO_MEMORY);
    at = strstr(s.message, "pruning one section of the model takes ");
    if (at == NULL)
        fail_msg("%s", s.message);
    assert_non_null(strstr(s.message, "the slot has 8; give the worker more"));
    return strtoull(at + strlen("pruning one section of the model takes "),
                    NULL, 10);
}

static void limit_data(uint64_t more)
{
    const struct rlimit limit = { data_bytes() + more, RLIM_INFINITY };

#ifndef SHADOWED
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
#endif
    assert_true(limit.rlim_cur > more);
}

/* Each in a process of its own, so that none has memory of another. */
static void in_child(struct fake_context *f, const json_t *params,
                     bool (*work)(struct fake_context *f, const json_t *params))
{
    pid_t child = fork();
    int status = -1;

    assert_true(child >= 0);
    if (child == 0)
        _exit(work(f, params) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static bool write_large(struct fake_context *f, const json_t *params)
{
    (void)params;
    tiny_files_make(f, "large", LLAMA("128", "512", "24"), DTYPE_BF16);
    return true;
}

/* The result is in the file "result", or is what is there. */
static bool run_and_compare(struct fake_context *f, const json_t *params)
{
    const char *path = fake_context_path(f, "result");
    json_t *result = NULL, *before = NULL;
    struct status s = tiny_run(f, "prune_fit", params, &result);
    char *text;

    if (status_failed(&s)) {
        (void)fprintf(stderr, "%s\n", s.message);
        return false;
    }
    if (file_exists(path)) {
        assert_ok(json_parse_file(path, 1 << 16, &before));
        return json_equal(before, result);
    }
    text = json_canonical(result);
    assert_ok(file_write(path, text, strlen(text)));
    return true;
}

/* No more than the job was promised, and 4 MB for what is not counted: names,
 * JSON, buffers of files, the allocator. */
static bool run_limited(struct fake_context *f, const json_t *params)
{
    static float warm[2 * 65536];

    /* BLAS has its buffers from now on: it waits for ever for those that it
     * cannot have. */
    blas_gram(256, 256, 1.0F, warm, 0.0F, warm + 65536);
    limit_data((uint64_t)(f->context.memory_bytes + SLACK));
    return run_and_compare(f, params);
}

static void test_memory_is_that_of_one_section(void **state)
{
    static const char *const ways[] = {
        "{'method':'sparsegpt','sparsity':0.5," SAMPLES("8") "}",
        "{'method':'wanda','sparsity':0.5,'scope':'row'," SAMPLES("8") "}",
    };
    struct fake_context *f = *state;

    in_child(f, NULL, write_large);
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        json_t *params = tiny_files_params(f, "large", ways[i]);
        json_t *result = NULL;
        /* An eighth of what a job has is for results. */
        int64_t memory = (int64_t)wanted_bytes(f, params) * 8 / 7 + 8;

        assert_true(memory < 6 << 20); /* the model has 25 MB as float32 */
        f->context.memory_bytes = INT64_C(1) << 30;
        in_child(f, params, run_and_compare);
        f->context.memory_bytes = memory;
        in_child(f, params, run_limited);
        f->context.memory_bytes = memory - 32;
        assert_fails(tiny_run(f, "prune_fit", params, &result),
                     STATUS_NO_MEMORY, "pruning one section of the model");
        assert_ok(file_remove_tree(fake_context_path(f, "result")));
        json_decref(params);
    }
}

/* Files of a model pruned by its weights, whose digest is compared. */
static bool stream_and_compare(struct fake_context *f, const json_t *model)
{
    const struct stream_wish wish = { .model = model,
                                      .directory = fake_context_path(f, "out"),
                                      .shard_bytes = 1 << 20 };
    const char *path = fake_context_path(f, "result");
    struct stream_outcome o;
    struct status s = stream_model(&wish, &f->context, &o);
    char *before = NULL;
    size_t size = 0;

    if (status_failed(&s)) {
        (void)fprintf(stderr, "%s\n", s.message);
        return false;
    }
    assert_ok(file_remove_tree(wish.directory));
    if (!file_exists(path)) {
        assert_ok(file_write(path, o.digest, strlen(o.digest)));
        return true;
    }
    assert_ok(file_read(path, 1 << 10, &before, &size));
    return strcmp(before, o.digest) == 0;
}

/* Stacks of threads are of the process's own memory, too. */
static bool stream_limited(struct fake_context *f, const json_t *model)
{
    pthread_attr_t small;

    (void)pthread_attr_init(&small);
    (void)pthread_attr_setstacksize(&small, 256 << 10);
    assert_int_equal(pthread_setattr_default_np(&small), 0);
    limit_data((uint64_t)(f->context.memory_bytes + SLACK));
    return stream_and_compare(f, model);
}

static void test_files_need_no_memory_of_the_model(void **state)
{
    static const char *const ways[] = {
        "{'method':'magnitude','sparsity':0.5,'scope':'global'}",
        "{'method':'magnitude','pattern':'2:4'}",
        "{'method':'random','sparsity':0.5,'seed':1}",
    };
    struct fake_context *f = *state;

    in_child(f, NULL, write_large); /* 13 MB as bfloat16 */
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        json_t *model =
            json_pack("{s:{s:s, s:o}}", "$recipe", "kind", "prune", "params",
                      tiny_files_params(f, "large", ways[i]));

        f->context.memory_bytes = INT64_C(1) << 30;
        f->context.threads = 3;
        in_child(f, model, stream_and_compare);
        f->context.memory_bytes = 4 << 20;
        in_child(f, model, stream_limited);
        assert_ok(file_remove_tree(fake_context_path(f, "result")));
        json_decref(model);
    }
}

/* ---- kills -------------------------------------------------------------------- */

static uint64_t kill_at;

static bool killed(void *self)
{
    struct fake_context *f = self;

    f->polls++;
    if (kill_at > 0 && f->polls >= kill_at)
        (void)raise(SIGKILL);
    return false;
}

static uint64_t saves_left;

static bool save_due(void *self)
{
    (void)self;
    saves_left -= saves_left > 0;
    return saves_left > 0;
}

/* A slot that dies at poll `at`. */
static void run_killed(struct fake_context *f, const char *kind,
                       const json_t *params, uint64_t at)
{
    pid_t child = fork();
    int status = -1;

    assert_true(child >= 0);
    if (child == 0) {
        json_t *result = NULL;

        f->polls = 0;
        kill_at = at;
        assert_ok(tiny_run(f, kind, params, &result));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void begin_anew(struct fake_context *f)
{
    assert_ok(file_remove_tree(f->keep));
    assert_ok(file_make_directories(f->keep));
    assert_ok(file_remove_tree(f->scratch));
    assert_ok(file_make_directories(f->scratch));
    f->log[0] = '\0';
    f->polls = 0;
    saves_left = 1000;
}

/* The same job whole, and cut by ever later kills. */
static void check_kills(struct fake_context *f, const char *kind,
                        const json_t *params)
{
    json_t *whole = NULL, *cut = NULL;
    uint64_t polls;

    begin_anew(f);
    assert_ok(tiny_run(f, kind, params, &whole));
    polls = f->polls;
    begin_anew(f);
    run_killed(f, kind, params, polls / 3);
    run_killed(f, kind, params, polls / 3);
    /* What a kill in the middle of writing leaves. */
    assert_ok(file_make_directories(fake_context_path(f, "keep/part-99")));
    f->polls = 0;
    assert_ok(tiny_run(f, kind, params, &cut));
    if (strstr(f->log, "goes on behind section") == NULL ||
        f->polls > polls * 2 / 3)
        fail_msg("%s begins anew: %zu of %zu polls; %s", kind, (size_t)f->polls,
                 (size_t)polls, f->log);
    assert_true(json_equal(whole, cut));
    fake_context_set_job(f, "cd34", json_text_or(cut, "artifact", ""));
    json_decref(whole);
    json_decref(cut);
}

static void test_a_kill_costs_no_section_that_was_done(void **state)
{
    static const struct {
        const char *kind, *params;
    } rows[] = {
        { "prune_fit",
          "{'method':'wanda','sparsity':0.5,'scope':'row'," SAMPLES("40") "}" },
        { "prune_fit",
          "{'method':'sparsegpt','pattern':'2:4'," SAMPLES("40") "}" },
        { "prune_fit",
          "{'method':'sparsegpt','sparsity':0.5,'flow':'dense'," SAMPLES(
              "40") "}" },
        { "prune_inputs", "{'method':'wanda'," SAMPLES("40") "}" },
        { "prune_inputs", "{'method':'sparsegpt'," SAMPLES("40") "}" },
        { "prune_fit", "{'method':'sparsegpt','sparsity':0.5,"
                       "'inputs':{'$job':'cd34'}}" }, /* of the row above */
    };
    struct fake_context *f = *state;

    tiny_files_make(f, "deep", LLAMA("32", "48", "12"), DTYPE_BF16);
    fake_context_keeps(f);
    f->context.cancelled = killed;
    f->context.save_due = save_due;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_t *params = tiny_files_params(f, "deep", rows[i].params);

        check_kills(f, rows[i].kind, params);
        json_decref(params);
    }
}

/* What is damaged, or of another job, is done again. */
static void test_a_damaged_part_is_made_again(void **state)
{
    static const char *const hurt[] = { "keep/part-7/model.safetensors",
                                        "keep/state-7/model.safetensors" };
    struct fake_context *f = *state;
    json_t *params, *whole = NULL;

    tiny_files_make(f, "deep", LLAMA("32", "48", "12"), DTYPE_BF16);
    params = tiny_files_params(
        f, "deep", "{'method':'sparsegpt','sparsity':0.5," SAMPLES("40") "}");
    fake_context_keeps(f);
    assert_ok(tiny_run(f, "prune_fit", params, &whole));
    f->context.save_due = save_due;
    for (size_t i = 0; i < COUNT_OF(hurt); i++) {
        json_t *again = NULL;

        begin_anew(f);
        saves_left = 8; /* behind sections 1 ... 7 */
        assert_ok(tiny_run(f, "prune_fit", params, &again));
        assert_true(json_equal(whole, again));
        json_decref(again);
        f->log[0] = '\0';
        assert_ok(file_write(fake_context_path(f, hurt[i]), "nothing", 7));
        assert_ok(tiny_run(f, "prune_fit", params, &again));
        assert_non_null(strstr(f->log, "begins anew: "));
        assert_true(json_equal(whole, again));
        json_decref(again);
    }
    json_decref(params);
    json_decref(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory_is_that_of_one_section,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_need_no_memory_of_the_model,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_kill_costs_no_section_that_was_done, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_part_is_made_again,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
