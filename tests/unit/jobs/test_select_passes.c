/* Passes of samples through models: killed in the middle of a range, as points
 * of a selection, and of models whose numbers are not finite. */
#include "support/test.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs/data.h"
#include "jobs/model_input.h"
#include "jobs/select/embed.h"
#include "jobs/select_store.h"
#include "model/pass.h"
#include "support/select_fixture.h"

/* ---- kill -9 -------------------------------------------------------------------- */

static bool always(void *self)
{
    (void)self;
    return true;
}

/* Of a hundred samples in blocks of 32: two blocks are stored, the third is
 * written and not yet synced. */
static void die(void *self, uint64_t done, uint64_t total, const char *unit)
{
    (void)self;
    (void)total;
    if (done > 64 && strcmp(unit, "sample") == 0)
        (void)kill(getpid(), SIGKILL);
}

static void run_and_kill(const char *kind, const json_t *params)
{
    pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0) {
        json_t *result;
        struct status s;

        fake->context.progress = die;
        s = tiny_run(fake, kind, params, &result);
        _exit(status_failed(&s) ? 2 : 3); /* it was to be killed */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static bool is_pass(const char *kind)
{
    static const char *const kinds[] = { "select_hidden", "select_jsd",
                                         "select_ifd", "select_encode" };

    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

/* As run_all(), each pass by two processes. Returns how many passes. */
static size_t run_all_disturbed(const char *text)
{
    AUTO(json_release) json_t *body = body_of(text);
    AUTO(json_release) json_t *stages = select_stages(body, "s");
    size_t passes = 0;

    for (size_t i = 0; i < json_array_size(stages); i++) {
        json_t *one = json_array_get(stages, i);
        const char *kind = json_text_or(one, "kind", "");
        json_t *params = json_object_get(one, "params");
        bool pass = is_pass(kind);

        assert_ok(file_remove_tree(fake->keep));
        assert_ok(file_make_directories(fake->keep));
        fake->log[0] = '\0';
        name_jobs(params);
        if (pass)
            run_and_kill(kind, params);
        assert_ok(run_stage(json_text_or(one, "name", ""), kind, params));
        if (pass)
            assert_non_null(strstr(fake->log, "goes on behind sample 64"));
        passes += pass;
    }
    assert_ok(run_stage("s", "select", body));
    return passes;
}

static void test_a_killed_pass_goes_on_to_the_same_selection(void **state)
{
    static const struct {
        const char *body;
        size_t passes;
    } rows[] = {
        { "'embed':'hidden'," POOL, 2 },
        { "'embed':{'$source':{'url':'" TEST_DATA "/golden/bert'}}," POOL, 3 },
        { "'method':'ifd'," POOL, 1 },
    };

    (void)state;
    write_models();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(free_pointer) char *wanted = NULL;
        AUTO(free_pointer) char *found = NULL;

        fake->context.keep = NULL;
        fake->context.save_due = NULL;
        assert_ok(run_all(rows[i].body));
        wanted = artifact_of("s");
        fake_context_keeps(fake);
        fake->context.save_due = always;
        assert_int_equal(run_all_disturbed(rows[i].body), rows[i].passes);
        found = artifact_of("s");
        assert_string_equal(found, wanted);
    }
}

/* ---- points --------------------------------------------------------------------- */

enum { WIDTH = 16, SAMPLES = 4 };

/* The model's states of one sequence, averaged over some of its rows. */
static void mean_states(const int32_t *tokens, size_t count, size_t first,
                        size_t end, double *ret_mean)
{
    AUTO(json_release) json_t *params = json_object();
    const struct pass_room room = { .rows = 32, .longest = 32 };
    struct model_input in;
    struct batch b;
    struct pass *p;
    struct pass_batch view;
    double loss;

    (void)json_object_set_new(params, "model",
                              fake_context_source(fake, "original"));
    assert_ok(model_input_open(params, &fake->context, MODEL_BORROW, &in));
    assert_ok(pass_new(in.model, &room, &p));
    batch_init(&b, 1, 32);
    assert_true(batch_add(&b, tokens, count, count));
    view = batch_view(&b);
    assert_ok(pass_forward(p, &view, &loss));
    for (size_t k = 0; k < WIDTH; k++) {
        ret_mean[k] = 0.0;
        for (size_t i = first; i < end; i++)
            ret_mean[k] +=
                (double)pass_hidden(p)[i * WIDTH + k] / (double)(end - first);
    }
    batch_release(&b);
    pass_free(p);
    model_input_release(&in);
}

/* Tokens in front, an instruction, a newline and what else there is. */
static void expected_points(double points[SAMPLES][WIDTH])
{
    static const struct {
        int32_t tokens[12];
        size_t count, end; /* of the instruction, which begins at 1 */
    } samples[SAMPLES] = {
        { { 256, 'a', 'b', '\n', 'c', '\n', 'd', 'e', 257 }, 9, 3 },
        { { 256, 'f', '\n', 'g', 257 }, 5, 2 },
        { { 256, 'h', 'i', 'j', '\n', 'k', 257 }, 7, 4 },
        { { 256, 'l', 'm', '\n', 'n', 257 }, 6, 3 },
    };
    double mean[WIDTH] = { 0.0 };

    for (size_t i = 0; i < SAMPLES; i++) {
        mean_states(samples[i].tokens, samples[i].count, 1, samples[i].end,
                    points[i]);
        for (size_t k = 0; k < WIDTH; k++)
            mean[k] += points[i][k] / SAMPLES;
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        double norm = 0.0;

        for (size_t k = 0; k < WIDTH; k++) {
            points[i][k] -= mean[k];
            norm += points[i][k] * points[i][k];
        }
        for (size_t k = 0; k < WIDTH; k++)
            points[i][k] /= sqrt(norm);
    }
}

static void test_points_are_mean_states_of_the_instruction(void **state)
{
    AUTO(json_release) json_t *job = tiny_json("{'$job':'s.embed'}");
    AUTO(select_opened_release) struct select_opened o = { .file = NULL };
    AUTO(free_pointer) void *data = NULL;
    double wanted[SAMPLES][WIDTH];
    const float *points;

    (void)state;
    write_models();
    write_pool("{\"instruction\":\"ab\",\"input\":\"c\",\"output\":\"de\"}\n"
               "{\"instruction\":\"f\",\"output\":\"g\"}\n"
               "{\"instruction\":\"hij\",\"output\":\"k\"}\n"
               "{\"instruction\":\"lm\",\"input\":\"\",\"output\":\"n\"}\n");
    assert_ok(run_all("'embed':'hidden','clusters':'2'"));
    assert_ok(select_open(job, &fake->context, &o));
    assert_ok(select_take_rows(&o, "points", DTYPE_F32, WIDTH, SAMPLES, &data));
    points = data;
    expected_points(wanted);
    for (size_t i = 0; i < SAMPLES; i++)
        for (size_t k = 0; k < WIDTH; k++)
            assert_true(fabs((double)points[i * WIDTH + k] - wanted[i][k]) <
                        1e-5);
}

/* ---- numbers that are not finite ------------------------------------------------ */

/* Its numbers are finite, and what it makes of a q in the first place is not:
 * tokens and places add up to an infinity. */
static void write_broken(const char *name, bool broken)
{
    struct tiny_files t;

    assert_ok(file_remove_tree(fake_context_path(fake, name)));
    tiny_files_of(&t,
                  "{'model_type':'opt','hidden_size':16,'ffn_dim':24,"
                  "'num_hidden_layers':2,'num_attention_heads':4,"
                  "'vocab_size':260,'max_position_embeddings':32}",
                  DTYPE_F32, 1);
    for (size_t k = 0; k < WIDTH && broken; k++) {
        tiny_files_put(&t, "model.decoder.embed_tokens.weight",
                       (size_t)'q' * WIDTH + k, k == 3 ? 3e38F : 0.0F);
        tiny_files_put(&t, "model.decoder.embed_positions.weight",
                       3 * (size_t)WIDTH + k, k == 3 ? 1e38F : 0.0F);
    }
    tiny_files_write(&t, fake, name);
    tiny_files_release(&t);
}

static void test_a_sample_without_finite_numbers_is_left_out(void **state)
{
    static const char *const embeds[] = { "tfidf", "hidden" };

    (void)state;
    write_pool("{\"prompt\":\"ab\",\"answer\":\"c\"}\n"
               "{\"prompt\":\"queen\",\"answer\":\"d\"}\n"
               "{\"prompt\":\"rest\",\"answer\":\"e\"}\n"
               "{\"prompt\":\"stop\",\"answer\":\"f\"}\n"
               "{\"prompt\":\"tree\",\"answer\":\"g\"}\n");
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < COUNT_OF(embeds); k++) {
            AUTO(free_pointer)
            char *body = xasprintf("'embed':'%s','budget':1", embeds[k]);
            AUTO(free_pointer) char *rejected = NULL;

            write_broken("original", i == 0);
            write_broken("pruned", i == 1);
            assert_ok(run_all(body));
            assert_int_equal(number_of("selected"), 4);
            rejected = file_of("rejected.jsonl");
            assert_non_null(strstr(rejected, "\"id\":1,"));
            assert_non_null(
                strstr(rejected, "\"the models' numbers are not finite\""));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_killed_pass_goes_on_to_the_same_selection, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            test_points_are_mean_states_of_the_instruction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_sample_without_finite_numbers_is_left_out, set_up,
            tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
