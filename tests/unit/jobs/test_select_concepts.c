#include "jobs/select/concepts.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/select/consistency.h"
#include "support/test.h"

static void free_concepts(struct concepts **c)
{
    concepts_free(*c);
}

static void free_graph(struct consistency **g)
{
    consistency_free(*g);
}

/* The phrases of a text, with bars between; the caller frees. */
static char *phrases(struct concepts *c, const char *text)
{
    AUTO(free_pointer) uint32_t *found = NULL;
    size_t count = concepts_of(c, text, strlen(text), &found);
    char *all = xstrdup("");

    for (size_t i = 0; i < count; i++) {
        AUTO(free_pointer) char *before = all;

        all = xasprintf("%s%s%s", before, i == 0 ? "" : "|",
                        concepts_text(c, found[i]));
    }
    return all;
}

static void test_phrases_end_at_stop_words_and_signs(void **state)
{
    static const struct {
        const char *text, *phrases;
    } cases[] = {
        { "", "" },
        { " \t\n ", "" },
        { "...", "" },
        { "the of and to", "" },
        { "Gradient  Descent with\tmomentum", "gradient descent|momentum" },
        { "a_b2 X9", "a_b2 x9" },
        { "red)).\"blue", "blue|red" },
        { "don't stop", "stop" },
        { "z y, z y and Z Y", "z y" },
        { "M\xc3\xbcller's caf\xc3\xa9\xe2\x80\xa6", "caf\xc3\xa9\xe2\x80\xa6|m"
                                                     "\xc3\xbcller" },
        { "\xc3\x84"
          "B c",
          "\xc3\x84"
          "b c" }, /* only ASCII is lowered */
    };
    AUTO(free_concepts)
    struct concepts *c = concepts_new(&concept_stops_english);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(free_pointer) char *found = phrases(c, cases[i].text);

        assert_string_equal(found, cases[i].phrases);
    }
}

static void test_texts_without_end_are_cut(void **state)
{
    enum { WORDS = 3 * CONCEPTS_PER_SAMPLE };
    AUTO(free_concepts)
    struct concepts *c = concepts_new(&concept_stops_english);
    AUTO(free_pointer) char *text = xcalloc(WORDS, 16);
    AUTO(free_pointer) uint32_t *found = NULL;
    AUTO(free_pointer) uint32_t *again = NULL;
    size_t used = 0;

    (void)state;
    for (size_t i = 0; i < WORDS; i++)
        used += (size_t)snprintf(text + used, 16, "word%zu. ", i);
    assert_int_equal(concepts_of(c, text, used, &found), CONCEPTS_PER_SAMPLE);
    /* A phrase of any length is left out, what follows it is not. */
    memset(text, 'x', 4000);
    memcpy(text + 4000, ", short", 8);
    assert_int_equal(concepts_of(c, text, 4007, &again), 1);
    assert_string_equal(concepts_text(c, again[0]), "short");
    memset(text, ' ', 4000);
    for (size_t i = 0; i < 4000; i += 2)
        text[i] = 'y';
    free(again);
    assert_int_equal(concepts_of(c, text, 4007, &again), 1);
}

static void test_stop_words_are_sorted_and_part_of_keys(void **state)
{
    static const char *const other[] = { "a", "b" };
    const struct concept_stops stops = { other, 2 };
    struct digest ours = concept_stops_digest(&concept_stops_english);
    struct digest theirs = concept_stops_digest(&stops);

    (void)state;
    for (size_t i = 1; i < concept_stops_english.count; i++)
        assert_true(strcmp(concept_stops_english.words[i - 1],
                           concept_stops_english.words[i]) < 0);
    assert_false(digest_equal(&ours, &theirs));
}

static void test_sets_are_sorted_by_text(void **state)
{
    AUTO(free_concepts)
    struct concepts *c = concepts_new(&concept_stops_english);
    uint32_t numbers[] = { concepts_number(c, "b", 1),
                           concepts_number(c, "a", 1),
                           concepts_number(c, "b", 1) };

    (void)state;
    assert_int_equal(concepts_count(c), 2);
    assert_int_equal(concepts_sort(c, numbers, 3), 2);
    assert_string_equal(concepts_text(c, numbers[0]), "a");
    assert_string_equal(concepts_text(c, numbers[1]), "b");
}

/* --- the graph --------------------------------------------------------------------
 */

enum { CONCEPTS = 30, SAMPLES = 400, PER_SAMPLE = 5 };

/* The definition, with a matrix. */
struct twin {
    bool node[CONCEPTS], edge[CONCEPTS][CONCEPTS];
};

static bool twin_check(const struct twin *t, const uint32_t *c, size_t count,
                       struct consistency_conflict *conflict)
{
    *conflict = (struct consistency_conflict){ 0 };
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            if (t->node[c[i]] && t->node[c[j]] && !t->edge[c[i]][c[j]] &&
                conflict->pairs++ == 0) {
                conflict->a = c[i];
                conflict->b = c[j];
            }
    return conflict->pairs == 0;
}

static void twin_add(struct twin *t, const uint32_t *c, size_t count,
                     bool singletons)
{
    for (size_t i = 0; i < count && (count > 1 || singletons); i++) {
        t->node[c[i]] = true;
        for (size_t j = 0; j < count; j++)
            t->edge[c[i]][c[j]] |= i != j;
    }
}

/* Some numbers below CONCEPTS, ascending, none twice. */
static size_t draw_set(uint32_t seed, size_t sample, uint32_t *set)
{
    const struct philox_key key = { .seed = seed };
    size_t wanted = philox_below(key, 64 * sample, PER_SAMPLE + 1), count = 0;

    for (uint32_t i = 0; i < CONCEPTS && count < wanted; i++)
        if (philox_below(key, 64 * sample + 1 + i, CONCEPTS) < 3 * wanted)
            set[count++] = i;
    return count;
}

static void test_the_graph_refuses_what_the_definition_refuses(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 40; seed++) {
        bool singletons = seed % 2 != 0;
        AUTO(free_graph) struct consistency *g = consistency_new(singletons);
        struct twin t = { 0 };
        size_t nodes = 0, edges = 0;

        for (size_t i = 0; i < SAMPLES; i++) {
            uint32_t set[PER_SAMPLE];
            size_t count = draw_set(seed, i, set);
            struct consistency_conflict is, should;
            bool right = twin_check(&t, set, count, &should);

            assert_int_equal(consistency_check(g, set, count, &is), right);
            assert_int_equal(is.pairs, should.pairs);
            assert_int_equal(is.a, should.a);
            assert_int_equal(is.b, should.b);
            if (!right)
                continue;
            assert_ok(consistency_add(g, set, count));
            twin_add(&t, set, count, singletons);
        }
        for (uint32_t a = 0; a < CONCEPTS; a++) {
            nodes += t.node[a];
            assert_int_equal(consistency_has_node(g, a), t.node[a]);
            for (uint32_t b = 0; b < CONCEPTS; b++) {
                edges += a < b && t.edge[a][b];
                assert_int_equal(consistency_has_edge(g, a, b), t.edge[a][b]);
            }
        }
        assert_int_equal(consistency_nodes(g), nodes);
        assert_int_equal(consistency_edges(g), edges);
    }
}

static void test_the_graph_grows(void **state)
{
    AUTO(free_graph) struct consistency *g = consistency_new(false);
    enum { MANY = 1200 };
    static uint32_t set[MANY];
    struct consistency_conflict conflict;

    (void)state;
    for (uint32_t i = 0; i < MANY; i++)
        set[i] = 1000 * i;
    assert_ok(consistency_add(g, set, MANY));
    assert_int_equal(consistency_edges(g), MANY * (MANY - 1) / 2);
    assert_true(consistency_check(g, set, MANY, &conflict));
    assert_false(consistency_has_edge(g, 1, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phrases_end_at_stop_words_and_signs),
        cmocka_unit_test(test_texts_without_end_are_cut),
        cmocka_unit_test(test_stop_words_are_sorted_and_part_of_keys),
        cmocka_unit_test(test_sets_are_sorted_by_text),
        cmocka_unit_test(test_the_graph_refuses_what_the_definition_refuses),
        cmocka_unit_test(test_the_graph_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
