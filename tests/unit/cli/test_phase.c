/* The map over temperature and load, on the measurements of a small image
 * task: 5 batch sizes, 5 densities, two replicates. */
#include "tests/support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/phase.h"
#include "cli/phase_draw.h"
#include "cli/phase_text.h"
#include "cli/rank.h"
#include "common/file.h"
#include "common/memory.h"

enum { ROWS = 5, COLUMNS = 5 };

static const int batches[ROWS] = { 16, 32, 64, 128, 256 };
static const double densities[COLUMNS] = { 0.03, 0.05, 0.08, 0.15, 0.4 };
static const double dense_errors[ROWS] = { 0.130, 0.056, 0.041, 0.035, 0.033 };
static const double errors[ROWS][COLUMNS] = {
    { 0.205, 0.140, 0.117, 0.079, 0.060 },
    { 0.214, 0.149, 0.107, 0.067, 0.051 },
    { 0.214, 0.142, 0.103, 0.059, 0.043 },
    { 0.259, 0.177, 0.111, 0.073, 0.043 },
    { 0.350, 0.166, 0.128, 0.070, 0.042 },
};
static const double lmcs[ROWS][COLUMNS] = {
    { -0.045, -0.019, -0.009, -0.005, -0.002 },
    { -0.097, -0.050, -0.011, -0.003, 0.001 },
    { -0.146, -0.086, -0.061, 0.001, 0.001 },
    { -0.246, -0.214, -0.129, -0.012, 0.001 },
    { -0.338, -0.408, -0.214, -0.045, -0.002 },
};
static const double ckas[ROWS][COLUMNS] = {
    { 0.908, 0.94, 0.969, 0.98, 0.988 },  { 0.903, 0.94, 0.970, 0.98, 0.991 },
    { 0.858, 0.91, 0.944, 0.98, 0.992 },  { 0.771, 0.87, 0.929, 0.98, 0.992 },
    { 0.649, 0.83, 0.909, 0.975, 0.991 },
};

struct world {
    json_t *spec, *trials;
};

static json_t *spec_of(int replicates, const char *hot)
{
    return json_pack(
        "{s:s, s:{s:i}, s:[{s:s, s:s}, {s:s, s:s}, {s:s}],"
        " s:{s:{s:s, s:s, s:s, s:i, s:[s, s, s], s:s, s:{s:f, s:f, s:f}}}}",
        "name", "map", "replicates", "count", replicates, "evaluate", "name",
        "lmc", "across", "replicates", "name", "cka", "across", "replicates",
        "name", "test", "report", "phase", "x", "density", "y", "batch", "hot",
        hot, "default", 64, "maps", "test.error", "lmc.connectivity",
        "cka.similarity", "dense", "dense.error", "regimes", "lmc", 0.05, "cka",
        0.985, "too_hot", 0.5);
}

static void add_trial(struct world *w, size_t row, size_t column, int seed,
                      double spread)
{
    double sign = seed % 2 == 0 ? 1.0 : -1.0;

    (void)json_array_append_new(
        w->trials,
        json_pack("{s:s, s:{s:i, s:f, s:i}, s:{s:f, s:f, s:f, s:f}}", "state",
                  "done", "values", "batch", batches[row], "density",
                  densities[column], "seed", seed, "metrics", "test.error",
                  errors[row][column] + 0.001 * sign, "lmc.connectivity",
                  lmcs[row][column] + spread * sign, "cka.similarity",
                  ckas[row][column], "dense.error", dense_errors[row]));
}

static void open_world(struct world *w, int replicates, double spread)
{
    w->spec = spec_of(replicates, "low");
    w->trials = json_array();
    /* In no order at all. */
    for (size_t k = 0; k < ROWS * COLUMNS; k++) {
        size_t cell = k * 7 % (ROWS * COLUMNS);

        for (int seed = 0; seed < replicates; seed++)
            add_trial(w, cell / COLUMNS, cell % COLUMNS, seed, spread);
    }
}

static void close_world(struct world *w)
{
    json_decref(w->spec);
    json_decref(w->trials);
}

static int batch_of(const struct phase *p, size_t row)
{
    assert_true(row < p->rows);
    return (int)json_integer_value(p->row[row].value);
}

static void test_the_published_shape_is_found(void **state)
{
    static const char *const labels[ROWS][COLUMNS] = {
        { "II-A", "II-A", "II-A", "II-A", "II-B" },
        { "I", "II-A", "II-A", "II-A", "II-B" },
        { "I", "I", "I", "II-A", "II-B" },
        { "I", "I", "I", "II-A", "II-B" },
        { "I", "I", "I", "II-A", "II-B" },
    };
    struct world w;
    struct phase p;

    (void)state;
    open_world(&w, 2, 0.0);
    assert_ok(phase_make(w.spec, w.trials, &p));
    assert_int_equal(p.rows, ROWS);
    assert_int_equal(p.columns, COLUMNS);
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(batch_of(&p, i), batches[i]);
        for (size_t j = 0; j < COLUMNS; j++) {
            const struct phase_cell *cell = phase_cell(&p, i, j);
            char label[16];

            phase_label(&p, i, j, label);
            label[strcspn(label, "?")] = '\0';
            assert_string_equal(label, labels[i][j]);
            assert_int_equal(cell->maps[PHASE_ERROR].count, 2);
            assert_true(fabs(cell->maps[PHASE_ERROR].mean - errors[i][j]) <
                        1e-12);
            /* Two replicates are one pair. */
            assert_int_equal(cell->maps[PHASE_LMC].count, 1);
            assert_int_not_equal(cell->certainty, CERTAINTY_UNKNOWN);
        }
    }
    phase_release(&p);
    close_world(&w);
}

static void test_the_best_temperature_moves_with_the_load(void **state)
{
    static const int best[COLUMNS] = { 16, 16, 64, 64, 256 };
    struct world w;
    struct phase p;

    (void)state;
    open_world(&w, 2, 0.0);
    assert_ok(phase_make(w.spec, w.trials, &p));
    for (size_t j = 0; j < COLUMNS; j++) {
        assert_int_equal(batch_of(&p, p.column[j].best), best[j]);
        assert_true(fabs(phase_cell(&p, p.column[j].best, j)->above_best) <
                    1e-15);
    }
    assert_true(fabs(phase_cell(&p, 4, 0)->above_best - 0.145) < 1e-12);
    assert_int_equal(batch_of(&p, p.start), 64);
    phase_release(&p);
    close_world(&w);
}

/* At low density the dense error chooses the worst of the family. */
static void test_pairs_choose_where_the_dense_error_fails(void **state)
{
    struct world w;
    struct phase p;

    (void)state;
    open_world(&w, 2, 0.0);
    assert_ok(phase_make(w.spec, w.trials, &p));
    assert_true(p.column[0].dense_rank < -0.85);
    assert_true(p.column[0].lmc_rank > 0.85);
    assert_true(p.column[0].cka_rank > 0.85);
    assert_true(p.column[1].dense_rank < -0.65);
    assert_int_equal(batch_of(&p, p.column[0].by_dense), 256);
    assert_int_equal(batch_of(&p, p.column[0].by_pairs), 16);
    phase_release(&p);
    close_world(&w);
}

static void test_a_label_near_a_border_is_doubtful(void **state)
{
    struct world w;
    struct phase p;
    char label[16];

    (void)state;
    open_world(&w, 4, 0.02); /* standard error of 0.0115 */
    assert_ok(phase_make(w.spec, w.trials, &p));
    phase_label(&p, 0, 0, label); /* -0.045 */
    assert_string_equal(label, "II-A?");
    phase_label(&p, 2, 2, label); /* -0.061 */
    assert_string_equal(label, "I?");
    phase_label(&p, 4, 0, label);
    assert_string_equal(label, "I");
    assert_int_equal(phase_cell(&p, 4, 0)->certainty, CERTAINTY_SURE);
    phase_release(&p);
    close_world(&w);
}

/* From two replicates there is one pair: its neighbours tell. */
static void test_one_pair_is_doubted_by_its_neighbours(void **state)
{
    struct world w;
    struct phase p;
    char label[16];

    (void)state;
    open_world(&w, 2, 0.0);
    assert_ok(phase_make(w.spec, w.trials, &p));
    phase_label(&p, 1, 1, label); /* -0.050, off the line by 0.002 */
    assert_string_equal(label, "II-A?");
    phase_label(&p, 4, 1, label);
    assert_string_equal(label, "I");
    assert_int_equal(phase_cell(&p, 4, 4)->certainty, CERTAINTY_SURE);
    assert_int_equal(phase_cell(&p, 4, 4)->maps[PHASE_LMC].count, 1);
    phase_release(&p);
    close_world(&w);
}

/* Three values of a second parameter are averaged: theirs is the spread, not
 * that of the replicates, which are alike in it. */
static void test_the_error_of_averaged_points_is_theirs(void **state)
{
    struct world w = { .trials = json_array() };
    struct phase p;
    const struct estimate *e;

    (void)state;
    w.spec = spec_of(3, "low");
    for (int k = 0; k < 9; k++) {
        json_t *trial;

        add_trial(&w, 0, 0, k % 3, 0.001);
        trial = json_array_get(w.trials, (size_t)k);
        (void)json_object_set_new(json_object_get(trial, "values"), "dense",
                                  json_integer(k / 3));
        (void)json_object_set_new(json_object_get(trial, "metrics"),
                                  "test.error", json_real(k / 3));
    }
    assert_ok(phase_make(w.spec, w.trials, &p));
    e = &phase_cell(&p, 0, 0)->maps[PHASE_ERROR];
    assert_int_equal(e->count, 3);
    assert_true(fabs(e->mean - 1.0) < 1e-12);
    assert_true(fabs(e->error - 1.0 / sqrt(3.0)) < 1e-12);
    phase_release(&p);
    close_world(&w);
}

static void test_a_diverged_row_has_no_regime(void **state)
{
    struct world w;
    struct phase p;
    char label[16];

    (void)state;
    open_world(&w, 2, 0.0);
    for (size_t i = 0; i < json_array_size(w.trials); i++) {
        json_t *trial = json_array_get(w.trials, i);

        if (json_int_or(json_object_get(trial, "values"), "batch", 0) == 16)
            (void)json_object_set_new(json_object_get(trial, "metrics"),
                                      "dense.error", json_real(0.7));
    }
    assert_ok(phase_make(w.spec, w.trials, &p));
    phase_label(&p, 0, 0, label);
    assert_string_equal(label, "too hot");
    /* Whoever starts there is told where to go. */
    assert_string_equal(phase_advice(&p, 0), "raise");
    p.start = 0;
    assert_string_equal(phase_advice(&p, 0), "lower");
    assert_true(p.row[0].too_hot);
    assert_int_equal(batch_of(&p, p.column[0].best), 32);
    phase_release(&p);
    close_world(&w);
}

static void test_what_is_not_there_is_left_open(void **state)
{
    struct world w;
    struct phase p;
    char label[16];

    (void)state;
    open_world(&w, 2, 0.0);
    for (size_t i = 0; i < json_array_size(w.trials); i++) {
        json_t *trial = json_array_get(w.trials, i);

        if (i % 3 == 0) {
            (void)json_object_clear(json_object_get(trial, "metrics"));
            (void)json_object_set_new(trial, "state", json_string("failed"));
        }
    }
    (void)json_array_append_new(
        w.trials, json_pack("{s:s, s:{s:i, s:f}}", "state", "waiting", "values",
                            "batch", 512, "density", 0.4));
    assert_ok(phase_make(w.spec, w.trials, &p));
    assert_int_equal(p.rows, ROWS + 1);
    phase_label(&p, ROWS, 4, label);
    assert_string_equal(label, "");
    assert_true(isnan(phase_cell(&p, ROWS, 4)->above_best));
    phase_release(&p);
    close_world(&w);
}

static void test_the_hot_end_may_be_the_high_one(void **state)
{
    struct world w;
    struct phase p;

    (void)state;
    open_world(&w, 2, 0.0);
    json_decref(w.spec);
    w.spec = spec_of(2, "high");
    assert_ok(phase_make(w.spec, w.trials, &p));
    assert_int_equal(batch_of(&p, 0), 256);
    assert_int_equal(batch_of(&p, 4), 16);
    phase_release(&p);
    close_world(&w);
}

/* ---- how it is shown --------------------------------------------------- */

static char *read_text(const char *path)
{
    char *text = NULL;
    size_t size = 0;

    assert_ok(file_read(path, 1 << 22, &text, &size));
    return text;
}

static void test_files_of_every_form(void **state)
{
    static const char *const starts[][2] = {
        { "/phase.svg", "<?xml" },
        { "/phase.pdf", "%PDF" },
        { "/phase.png", "\211PNG" },
        { "/phase.md", "|" },
        { "/phase.csv",
          "temperature,load,error,error_minus_best,lmc,cka,regime\n"
          "16,0.03,0.205,0,-0.045,0.908,II-A\n" },
    };
    char folder[] = "/tmp/test-phase-XXXXXX";
    struct world w;
    struct phase p;

    (void)state;
    assert_non_null(mkdtemp(folder));
    open_world(&w, 2, 0.0);
    assert_ok(phase_make(w.spec, w.trials, &p));
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        AUTO(free_pointer)
        char *path = xasprintf("%s%s", folder, starts[i][0]);
        AUTO(free_pointer) char *text = NULL;

        assert_ok(phase_write(&p, "three regimes", path));
        text = read_text(path);
        assert_memory_equal(text, starts[i][1], strlen(starts[i][1]));
    }
    assert_ok(file_remove_tree(folder));
    phase_release(&p);
    close_world(&w);
}

/* One line for each row of each map, and the lines between regions. */
static void test_the_terminal_shows_maps_and_borders(void **state)
{
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;
    struct terminal out = { .width = SIZE_MAX };
    struct phase_drawn *d;
    struct world w;
    struct phase p;

    (void)state;
    open_world(&w, 2, 0.0);
    assert_ok(phase_make(w.spec, w.trials, &p));
    d = phase_draw(&p, "map");
    out.stream = open_memstream(&text, &size);
    picture_print(phase_picture(d), &out);
    (void)fclose(out.stream);
    assert_non_null(strstr(text, "error (test.error)"));
    assert_non_null(strstr(text, "error minus the best of its column"));
    assert_non_null(strstr(text, "0.205 II-A"));
    assert_non_null(strstr(text, " -0.338"));
    assert_non_null(strstr(text, "0.059 II-A|"));
    assert_non_null(strstr(text, "----"));
    assert_non_null(strstr(text, "I: not connected (LMC below -0.05)"));
    assert_null(strchr(text, '\033'));
    phase_drawn_free(d);
    phase_release(&p);
    close_world(&w);
}

static void test_ranks(void **state)
{
    static const double up[] = { 1, 2, 3, 4, 5 };
    static const double down[] = { 9, 8, 7, 1, 0 };
    static const double equal[] = { 2, 2, 2, 2, 2 };
    static const double mixed[] = { 1, 3, 2, 5, 4 };

    (void)state;
    assert_true(fabs(rank_correlation(up, up, 5) - 1.0) < 1e-15);
    assert_true(fabs(rank_correlation(up, down, 5) + 1.0) < 1e-15);
    assert_true(fabs(rank_correlation(up, mixed, 5) - 0.8) < 1e-15);
    assert_true(isnan(rank_correlation(up, equal, 5)));
    assert_true(isnan(rank_correlation(up, up, 2)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_published_shape_is_found),
        cmocka_unit_test(test_the_best_temperature_moves_with_the_load),
        cmocka_unit_test(test_pairs_choose_where_the_dense_error_fails),
        cmocka_unit_test(test_a_label_near_a_border_is_doubtful),
        cmocka_unit_test(test_one_pair_is_doubted_by_its_neighbours),
        cmocka_unit_test(test_the_error_of_averaged_points_is_theirs),
        cmocka_unit_test(test_a_diverged_row_has_no_regime),
        cmocka_unit_test(test_what_is_not_there_is_left_open),
        cmocka_unit_test(test_the_hot_end_may_be_the_high_one),
        cmocka_unit_test(test_files_of_every_form),
        cmocka_unit_test(test_the_terminal_shows_maps_and_borders),
        cmocka_unit_test(test_ranks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
