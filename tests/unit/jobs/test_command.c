#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "support/tiny_llama.h"

#include <errno.h>
#include <signal.h>

static struct fake_context *fake;
static const char *const allowed[] = { "sh", "no-such-program", NULL };

static int set_up(void **state)
{
    (void)state;
    fake = fake_context_new();
    fake->context.allowed_commands = allowed;
    fake->context.token = "12/3";
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_context_free(fake);
    return 0;
}

/* `sh -c script`; `read` with ' for ". */
static json_t *shell(const char *script, const char *read)
{
    json_t *params = tiny_json("{'read':%s}", read);

    (void)json_object_set_new(params, "command",
                              json_pack("[sss]", "sh", "-c", script));
    return params;
}

static struct status run(json_t *params, json_t **ret_result)
{
    struct status s = tiny_run(fake, "evaluate.command", params, ret_result);

    json_decref(params);
    return s;
}

static void test_json_on_standard_output_is_read(void **state)
{
    json_t *result;

    (void)state;
    assert_ok(run(shell("echo '{\"results\":{\"a\":[1,{\"em\":0.25}]}}'",
                        "{'metrics':{'exact':'results.a.1.em',"
                        "'first':'results.a.0'}}"),
                  &result));
    assert_true(tiny_metric(result, "exact") == 0.25);
    assert_true(tiny_metric(result, "first") == 1.0);
    json_decref(result);
}

static void test_json_of_a_file_is_found_by_pattern(void **state)
{
    json_t *result;

    (void)state;
    assert_ok(run(shell("mkdir -p ${out}/deep/er && echo '{\"x\":7}' > "
                        "${out}/deep/er/results_1.json",
                        "{'file':'${out}/**/results_*.json',"
                        "'metrics':{'x':'x'}}"),
                  &result));
    assert_true(tiny_metric(result, "x") == 7.0);
    json_decref(result);
    assert_ok(run(shell("echo '{\"x\":8}' > ${out}/results_2.json",
                        "{'file':'${out}/**/results_*.json',"
                        "'metrics':{'x':'x'}}"),
                  &result));
    assert_true(tiny_metric(result, "x") == 8.0);
    json_decref(result);
    assert_fails(run(shell("true", "{'file':'${out}/r.json',"
                                   "'metrics':{'x':'x'}}"),
                     &result),
                 STATUS_FAILED, "left no file");
}

static void test_the_last_line_that_matches_counts(void **state)
{
    json_t *result;

    (void)state;
    assert_ok(run(shell("echo ppl=3; echo xppl=5; echo ppl=2.5",
                        "{'stdout':'^ppl=([0-9.]+)'}"),
                  &result));
    assert_true(tiny_metric(result, "value") == 2.5);
    json_decref(result);
    assert_ok(run(shell("echo loss 1e-3, acc 0.5",
                        "{'stdout':{'loss':'loss ([0-9.e-]+)',"
                        "'acc':'acc ([0-9.]+)'}}"),
                  &result));
    assert_true(tiny_metric(result, "loss") == 1e-3);
    assert_true(tiny_metric(result, "acc") == 0.5);
    json_decref(result);
}

/* A program that ends well but gives nothing is a failed trial. */
static void test_no_number_is_a_failure_with_a_reason(void **state)
{
    const char *one = "{'stdout':'^ppl=([0-9.]+)'}";
    const char *two = "{'metrics':{'x':'a.b'}}";
    json_t *result;

    (void)state;
    assert_fails(run(shell("echo hello", one), &result), STATUS_FAILED,
                 "no line of its output gives a number for `value`");
    assert_fails(run(shell("true", one), &result), STATUS_FAILED, "no line");
    assert_fails(run(shell("true", two), &result), STATUS_FAILED,
                 "gave no numbers");
    assert_fails(run(shell("echo '{\"a\":{\"b\":\"high\"}}'", two), &result),
                 STATUS_FAILED, "no number at `a.b`");
}

static void test_a_failing_program_tells_its_last_words(void **state)
{
    json_t *result;

    (void)state;
    assert_fails(run(shell("echo first >&2; echo no GPU >&2; exit 3",
                           "{'stdout':'(x)'}"),
                     &result),
                 STATUS_FAILED, "sh ended with 3: no GPU");
    assert_string_equal(fake->log, "first\nno GPU\n");
    assert_fails(run(shell("kill -9 $$", "{'stdout':'(x)'}"), &result),
                 STATUS_FAILED, "signal 9");
}

static void test_only_allowed_programs_run(void **state)
{
    json_t *params = tiny_json("{'command':['/usr/bin/python3'],"
                               "'read':{'stdout':'(x)'}}");
    json_t *result;

    (void)state;
    assert_fails(run(params, &result), STATUS_DENIED,
                 "--allow-command python3");
    fake->context.allowed_commands = NULL;
    assert_fails(run(shell("true", "{'stdout':'(x)'}"), &result), STATUS_DENIED,
                 "--allow-command sh");
}

static void test_a_program_that_is_not_there_is_named(void **state)
{
    json_t *params = tiny_json("{'command':['no-such-program'],"
                               "'read':{'stdout':'(x)'}}");
    json_t *result;

    (void)state;
    assert_fails(run(params, &result), STATUS_NOT_FOUND, "no-such-program");
}

static void test_the_environment_tells_the_attempt_only(void **state)
{
    json_t *result;

    (void)state;
    assert_int_equal(setenv("SINTER_SECRET", "1", 1), 0);
    assert_ok(run(shell("echo $SINTER_EPOCH.$SINTER_ATTEMPT$SINTER_SECRET",
                        "{'stdout':'^([0-9.]+)$'}"),
                  &result));
    assert_true(tiny_metric(result, "value") == 12.3);
    json_decref(result);
}

/* With several cpus libraries are told, whatever the worker was started with;
 * with one its settings stay. */
static void test_the_environment_tells_the_cpus(void **state)
{
    static const char script[] =
        "echo $SINTER_CPUS$OMP_NUM_THREADS$OPENBLAS_NUM_THREADS";
    json_t *result;

    (void)state;
    assert_int_equal(setenv("OMP_NUM_THREADS", "7", 1), 0);
    assert_int_equal(setenv("OPENBLAS_NUM_THREADS", "1", 1), 0);
    assert_ok(run(shell(script, "{'stdout':'^([0-9]+)$'}"), &result));
    assert_true(tiny_metric(result, "value") == 171);
    json_decref(result);
    fake->context.threads = 3;
    assert_ok(run(shell(script, "{'stdout':'^([0-9]+)$'}"), &result));
    assert_true(tiny_metric(result, "value") == 333);
    json_decref(result);
}

static void test_the_model_is_there_as_files(void **state)
{
    json_t *params = shell("ls ${model_dir} | wc -l; test -s "
                           "${model_dir}/model.safetensors",
                           "{'stdout':'([0-9]+)'}");
    struct catalog_problem problem;
    json_t *result;

    (void)state;
    (void)json_object_set_new(params, "model", tiny_model(fake, 1));
    assert_true(
        job_kind_find("evaluate.command")->catalog.normalise(params, &problem));
    assert_string_equal(json_text_or(params, "needs", ""), "files");
    assert_ok(run(params, &result));
    assert_true(tiny_metric(result, "value") == 2.0);
    json_decref(result);
}

static void expect_gone(const char *file)
{
    char *text;
    size_t size;
    pid_t pid;

    assert_ok(file_read(file, 64, &text, &size));
    pid = (pid_t)strtol(text, NULL, 10);
    assert_true(pid > 1);
    /* A zombie until somebody collects it, but no longer running. */
    for (int i = 0; i < 200 && kill(pid, 0) == 0; i++) {
        char path[64], *stat;
        struct status s;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        s = file_read(path, 4096, &stat, &size);
        if (status_failed(&s))
            break;
        pid = strstr(stat, ") Z ") != NULL ? 0 : pid;
        free(stat);
        if (pid == 0)
            break;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    free(text);
    if (pid != 0)
        assert_int_equal(kill(pid, 0), -1);
}

static void test_time_out_and_cancel_end_the_whole_group(void **state)
{
    json_t *params =
        shell("sleep 60 & echo $! > child; wait", "{'stdout':'(x)'}");
    char *child = xasprintf("%s/child", fake->scratch);
    json_t *result;

    (void)state;
    (void)json_object_set_new(params, "timeout", json_integer(300));
    assert_fails(run(json_incref(params), &result), STATUS_TIMED_OUT, "300 ms");
    expect_gone(child);
    (void)json_object_del(params, "timeout");
    fake->cancel_at = fake->polls + 6;
    assert_fails(run(params, &result), STATUS_CANCELLED, "cancelled");
    expect_gone(child);
    free(child);
}

static void test_too_much_output_is_refused(void **state)
{
    json_t *result;

    (void)state;
    assert_fails(run(shell("yes", "{'stdout':'(x)'}"), &result), STATUS_TOO_BIG,
                 "output of sh");
}

/* --- what the sweep compiler is told -------------------------------------- */

static const struct {
    const char *body, *path;
} faults[] = {
    { "{'command':[],'read':{'stdout':'(x)'}}", "/command" },
    { "{'command':['a'],'read':{}}", "/read" },
    { "{'command':['a'],'read':{'stdout':'(x)','metrics':{'a':'b'}}}",
      "/read" },
    { "{'command':['a'],'read':{'stdout':'x'}}", "/read/stdout" },
    { "{'command':['a'],'read':{'stdout':'(x'}}", "/read/stdout" },
    { "{'command':['a'],'read':{'stdout':'(x)','file':'f'}}", "/read/file" },
};

static void test_bodies_without_sense_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        json_t *body = tiny_json("%s", faults[i].body);
        struct catalog_problem problem;

        assert_false(job_kind_find("evaluate.command")
                         ->catalog.normalise(body, &problem));
        assert_string_equal(problem.path, faults[i].path);
        json_decref(body);
    }
}

static void test_names_of_the_numbers_are_known_before(void **state)
{
    json_t *body = shell("true", "{'stdout':'(x)'}");
    const struct catalog_kind *kind =
        &job_kind_find("evaluate.command")->catalog;
    json_t *names = kind->metrics(body);

    (void)state;
    assert_string_equal(json_string_value(json_array_get(names, 0)), "value");
    json_decref(names);
    json_decref(body);
    body = shell("true", "{'metrics':{'em':'a','f1':'b'}}");
    names = kind->metrics(body);
    assert_int_equal(json_array_size(names), 2);
    json_decref(names);
    json_decref(body);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_json_on_standard_output_is_read),
        CASE(test_json_of_a_file_is_found_by_pattern),
        CASE(test_the_last_line_that_matches_counts),
        CASE(test_no_number_is_a_failure_with_a_reason),
        CASE(test_a_failing_program_tells_its_last_words),
        CASE(test_only_allowed_programs_run),
        CASE(test_a_program_that_is_not_there_is_named),
        CASE(test_the_environment_tells_the_attempt_only),
        CASE(test_the_environment_tells_the_cpus),
        CASE(test_the_model_is_there_as_files),
        CASE(test_time_out_and_cancel_end_the_whole_group),
        CASE(test_too_much_output_is_refused),
        CASE(test_bodies_without_sense_are_refused),
        CASE(test_names_of_the_numbers_are_known_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
