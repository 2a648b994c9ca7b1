#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/select/embed.h"
#include "support/fake_context.h"

#include <math.h>
#include <string.h>

static struct fake_context *fake;

static int set_up(void **state)
{
    (void)state;
    fake = fake_context_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_context_free(fake);
    return 0;
}

static void open_lines(const char *lines, struct select_samples *s)
{
    json_t *value;

    assert_ok(
        file_write(fake_context_path(fake, "a.jsonl"), lines, strlen(lines)));
    value = fake_context_source(fake, "a.jsonl");
    assert_ok(select_samples_open(value, &fake->context, s));
    json_decref(value);
}

static double dot(const float *a, const float *b, size_t width)
{
    double sum = 0.0;

    for (size_t i = 0; i < width; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void check_near(double value, double wanted)
{
    if (!(fabs(value - wanted) < 1e-6))
        fail_msg("%.9g instead of %.9g", value, wanted);
}

/* [kept][SELECT_TFIDF_WIDTH]; the caller frees. */
static float *tfidf_of(const char *lines, size_t *ret_count)
{
    struct select_samples s;
    float *rows;

    open_lines(lines, &s);
    rows = xcalloc(s.kept_count * SELECT_TFIDF_WIDTH, sizeof(*rows));
    select_tfidf(&s, rows);
    *ret_count = s.kept_count;
    select_samples_release(&s);
    return rows;
}

static double cosine(const float *rows, size_t i, size_t j)
{
    return dot(rows + i * SELECT_TFIDF_WIDTH, rows + j * SELECT_TFIDF_WIDTH,
               SELECT_TFIDF_WIDTH);
}

static void test_rows_of_tfidf_have_length_one(void **state)
{
    size_t count;
    float *rows =
        tfidf_of("{\"prompt\": \"add one and two\", \"answer\": \"x\"}\n"
                 "{\"prompt\": \"  \", \"answer\": \"x\"}\n"
                 "{\"prompt\": \"\", \"answer\": \"x\"}\n"
                 "{\"prompt\": \"+\", \"answer\": \"x\"}\n",
                 &count);

    (void)state;
    assert_int_equal(count, 4);
    check_near(cosine(rows, 0, 0), 1.0);
    assert_true(
        select_embed_is_zero(rows + SELECT_TFIDF_WIDTH, SELECT_TFIDF_WIDTH));
    assert_true(select_embed_is_zero(rows + 2 * SELECT_TFIDF_WIDTH,
                                     SELECT_TFIDF_WIDTH));
    check_near(cosine(rows, 3, 3), 1.0);
    free(rows);
}

/* Two texts of the words a b and a c: a is in both, b, c, a-b and a-c in one.
 * With idf ln(3/3) + 1 = 1 and ln(3/2) + 1 = w the cosine is
 * 1 / (1 + 2 w^2). */
static void test_common_words_weigh_less(void **state)
{
    double w = log(1.5) + 1.0;
    size_t count;
    float *rows = tfidf_of("{\"prompt\": \"Alpha beta\", \"answer\": \"x\"}\n"
                           "{\"prompt\": \"alpha GAMMA\", \"answer\": \"x\"}\n",
                           &count);

    (void)state;
    check_near(cosine(rows, 0, 1), 1.0 / (1.0 + 2.0 * w * w));
    free(rows);
}

static void test_words_end_where_their_sort_does(void **state)
{
    size_t count;
    float *rows =
        tfidf_of("{\"prompt\": \"a1_\\u00e9==b\", \"answer\": \"x\"}\n"
                 "{\"prompt\": \"A1_\\u00e9  ==\\tb\", \"answer\": \"x\"}\n"
                 "{\"prompt\": \"a1_ \\u00e9==b\", \"answer\": \"x\"}\n",
                 &count);

    (void)state;
    check_near(cosine(rows, 0, 1), 1.0);
    assert_true(cosine(rows, 0, 2) < 0.9);
    free(rows);
}

static void test_a_pool_is_the_mean_of_its_rows(void **state)
{
    static const float hidden[] = { 1.0F, 2.0F, 3.0F, 5.0F, 6.0F, -1.0F };
    float row[2];

    (void)state;
    select_pool(hidden, 3, 2, row);
    check_near((double)row[0], 10.0 / 3.0);
    check_near((double)row[1], 2.0);
    select_pool(hidden, 0, 2, row);
    assert_true(select_embed_is_zero(row, 2));
}

/* States of language models are all alike but for little: only that counts. */
static void test_what_all_have_in_common_is_taken_off(void **state)
{
    float rows[] = { 100.0F, 1.0F, 0.0F, 0.0F, 100.0F, -1.0F };

    (void)state;
    select_centre(rows, 3, 2);
    check_near((double)rows[0], 0.0);
    check_near((double)rows[1], 1.0);
    assert_true(select_embed_is_zero(rows + 2, 2));
    check_near((double)rows[5], -1.0);
}

static void test_equal_rows_become_zeros(void **state)
{
    float rows[21];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        rows[i] = 0.1F * (float)(i % 3 + 1);
    select_centre(rows, 7, 3);
    assert_true(select_embed_is_zero(rows, COUNT_OF(rows)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_tfidf_have_length_one),
        cmocka_unit_test(test_common_words_weigh_less),
        cmocka_unit_test(test_words_end_where_their_sort_does),
        cmocka_unit_test(test_a_pool_is_the_mean_of_its_rows),
        cmocka_unit_test(test_what_all_have_in_common_is_taken_off),
        cmocka_unit_test(test_equal_rows_become_zeros),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
