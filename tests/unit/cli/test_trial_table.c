#include "support/test.h"

#include "cli/trial_table.h"
#include "cli/view.h"
#include "common/memory.h"

#include <string.h>

static const char spec_text[] =
    "{\"name\":\"demo\","
    "\"parameters\":[{\"name\":\"lambda\",\"values\":[0.5,1]},"
    "{\"name\":\"fixed\",\"values\":[7]},"
    "{\"name\":\"density\",\"from\":0.1,\"to\":0.9,\"count\":3,"
    "\"case\":\"ties\"}],"
    "\"cases\":[{\"name\":\"ties\",\"set\":{}},{\"name\":\"dare\",\"set\":{}}],"
    "\"replicates\":{\"count\":2},"
    "\"evaluate\":[{\"name\":\"copy\",\"metrics\":[\"accuracy\",\"loss\"]},"
    "{\"name\":\"sort\",\"metrics\":[\"accuracy\",\"loss\"]},"
    "{\"name\":\"mean\",\"expr\":\"(copy.accuracy + sort.accuracy) / 2\"}],"
    "\"objective\":{\"metric\":\"mean.value\",\"goal\":\"maximize\"}}";

static const char trials_text[] =
    "[{\"trial\":1,\"state\":\"done\",\"values\":{\"lambda\":0.5},"
    "\"metrics\":{\"mean.value\":0.4},\"wall_ms\":1200},"
    "{\"trial\":2,\"state\":\"failed\",\"values\":{\"lambda\":1},"
    "\"metrics\":{},\"failure\":{\"message\":\"no luck\"}},"
    "{\"trial\":3,\"state\":\"done\",\"values\":{\"lambda\":1},"
    "\"metrics\":{\"mean.value\":0.6}}]";

static json_t *parsed(const char *text)
{
    json_t *json = NULL;

    assert_ok(json_parse(text, strlen(text), "test", &json));
    return json;
}

static void assert_names(json_t *names, const char *wanted)
{
    AUTO(free_pointer) char *text = json_canonical(names);

    assert_string_equal(text, wanted);
    json_decref(names);
}

static void test_the_usual_columns_are_what_varies_and_what_counts(void **state)
{
    json_t *spec = parsed(spec_text);
    json_t *names = NULL;
    size_t main = 0;

    (void)state;
    assert_names(view_varying(spec),
                 "[\"case\",\"lambda\",\"density\",\"seed\"]");
    assert_names(view_metrics(spec, &main),
                 "[\"mean.value\",\"copy.accuracy\",\"sort.accuracy\","
                 "\"copy.loss\",\"sort.loss\"]");
    assert_int_equal(main, 3);
    assert_ok(trial_columns(spec, NULL, &names));
    assert_names(names, "[\"id\",\"state\",\"case\",\"lambda\",\"density\","
                        "\"seed\",\"mean.value\",\"copy.accuracy\","
                        "\"sort.accuracy\",\"time\",\"worker\"]");
    json_decref(spec);
}

static void test_columns_are_chosen_by_name_and_pattern(void **state)
{
    json_t *spec = parsed(spec_text);
    json_t *names = NULL;

    (void)state;
    assert_ok(trial_columns(spec, "id,*.loss,fixed", &names));
    assert_names(names, "[\"id\",\"copy.loss\",\"sort.loss\",\"fixed\"]");
    assert_fails(trial_columns(spec, "id,lambd", &names), STATUS_INVALID,
                 "no column `lambd`; there are: id, state");
    json_decref(spec);
}

static void test_trials_without_the_value_are_sorted_last(void **state)
{
    json_t *spec = parsed(spec_text);
    json_t *trials = parsed(trials_text);
    static const int wanted[] = { 3, 1, 2 };

    (void)state;
    assert_ok(trial_sort(spec, "mean.value:desc", trials));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(json_int_or(json_array_get(trials, i), "trial", 0),
                         wanted[i]);
    assert_fails(trial_sort(spec, "mean.value:down", trials), STATUS_INVALID,
                 "NAME:desc");
    assert_fails(trial_sort(spec, "nothing", trials), STATUS_INVALID,
                 "no column `nothing`");
    json_decref(trials);
    json_decref(spec);
}

static void test_states_filter_the_rows(void **state)
{
    json_t *trials = parsed(trials_text);

    (void)state;
    assert_ok(trial_filter("failed,cancelled", trials));
    assert_int_equal(json_array_size(trials), 1);
    assert_int_equal(json_int_or(json_array_get(trials, 0), "trial", 0), 2);
    assert_fails(trial_filter("broken", trials), STATUS_INVALID,
                 "no state `broken`");
    json_decref(trials);
}

static void test_a_row_says_why_its_trial_failed(void **state)
{
    json_t *spec = parsed(spec_text);
    json_t *trials = parsed(trials_text);
    json_t *names = NULL;
    struct table *t = table_new();
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;
    struct terminal terminal = { .width = SIZE_MAX };

    (void)state;
    assert_ok(
        trial_columns(spec, "id,state,lambda,mean.value,time,reason", &names));
    trial_table_columns(t, spec, names, trials);
    trial_table_rows(t, names, trials);
    terminal.stream = open_memstream(&text, &size);
    table_print(t, TABLE_CSV, &terminal, NULL);
    fclose(terminal.stream);
    assert_string_equal(text, "id,state,lambda,mean.value,time,reason\n"
                              "1,done,0.5,0.4,1.2,\n"
                              "2,failed,1,,,no luck\n"
                              "3,done,1,0.6,,\n");
    table_free(t);
    json_decref(names);
    json_decref(trials);
    json_decref(spec);
}

/* Programs get bytes, and an old broker says nothing of them. */
static void test_bytes_read_and_fetched_are_columns(void **state)
{
    json_t *spec = parsed(spec_text);
    json_t *trials = parsed("[{\"trial\": 1, \"bytes_read\": 1500000, "
                            "\"bytes_fetched\": 0}, {\"trial\": 2}]");
    json_t *names = NULL;
    struct table *t = table_new();
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;
    struct terminal terminal = { .width = SIZE_MAX };

    (void)state;
    assert_ok(trial_columns(spec, "id,read,fetched", &names));
    assert_ok(trial_sort(spec, "read:desc", trials));
    trial_table_columns(t, spec, names, trials);
    trial_table_rows(t, names, trials);
    terminal.stream = open_memstream(&text, &size);
    table_print(t, TABLE_CSV, &terminal, NULL);
    fclose(terminal.stream);
    assert_string_equal(text, "id,read,fetched\n1,1500000,0\n2,,\n");
    table_free(t);
    json_decref(names);
    json_decref(trials);
    json_decref(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_the_usual_columns_are_what_varies_and_what_counts),
        cmocka_unit_test(test_columns_are_chosen_by_name_and_pattern),
        cmocka_unit_test(test_trials_without_the_value_are_sorted_last),
        cmocka_unit_test(test_states_filter_the_rows),
        cmocka_unit_test(test_a_row_says_why_its_trial_failed),
        cmocka_unit_test(test_bytes_read_and_fetched_are_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
