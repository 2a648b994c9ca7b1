/* The built-in text is what its seed says, and is worth reading. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "model/prose.h"

/* Printed once, never changed: keys of jobs stand for these bytes. */
static void test_documents_never_change(void **state)
{
    struct digest_stream *s = digest_begin();
    char text[PROSE_MOST], hex[DIGEST_TEXT];
    struct digest d;

    (void)state;
    for (uint64_t i = 0; i < 50; i++)
        digest_add(s, text,
                   prose_document((uint32_t)(i % 3), SPLIT_TRAIN, i, text));
    d = digest_end(s);
    digest_to_text(&d, hex);
    (void)prose_document(0, SPLIT_TRAIN, 0, text);
    print_message("%s\n", text);
    assert_string_equal(
        hex,
        "74688ad16db5eac0a70fb6dbf49edf94ab799febb9966a25424c0c6fc1f852f0");
}

static void test_documents_are_lines_of_sentences(void **state)
{
    char text[PROSE_MOST];

    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        size_t size = prose_document(7, SPLIT_TRAIN, i, text);

        assert_in_range(size, 40, PROSE_MOST - 1);
        assert_int_equal(strlen(text), size);
        assert_in_range(text[0], 'A', 'Z');
        assert_int_equal(text[size - 1], '.');
        assert_null(strchr(text, '\n'));
        assert_null(strstr(text, "  "));
    }
}

static void test_splits_and_seeds_have_other_documents(void **state)
{
    char text[PROSE_MOST], other[PROSE_MOST];

    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        (void)prose_document(0, SPLIT_TRAIN, i, text);
        (void)prose_document(0, SPLIT_TEST, i, other);
        assert_string_not_equal(text, other);
        (void)prose_document(1, SPLIT_TRAIN, i, other);
        assert_string_not_equal(text, other);
    }
}

enum { MOST_WORDS = 20000 };

struct words {
    char *items[MOST_WORDS];
    size_t count;
};

static int by_word(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_words(struct words *w, char *text)
{
    char *rest = NULL;

    for (char *word = strtok_r(text, " .,", &rest); word != NULL;
         word = strtok_r(NULL, " .,", &rest)) {
        if (w->count < MOST_WORDS)
            w->items[w->count++] = strdup(word);
    }
}

/* As in any language: some words everywhere, most of them hardly ever; and
 * those of the training split are those of the test split. */
static void test_most_words_are_rare(void **state)
{
    struct words w = { .count = 0 };
    size_t different = 0, once = 0, most = 0, run = 0;
    char text[PROSE_MOST];

    (void)state;
    for (uint64_t i = 0; w.count < MOST_WORDS; i++) {
        (void)prose_document(0, i % 2 == 0 ? SPLIT_TRAIN : SPLIT_TEST, i, text);
        add_words(&w, text);
    }
    qsort(w.items, w.count, sizeof(*w.items), by_word);
    for (size_t i = 0; i < w.count; i++) {
        bool last = i + 1 == w.count || strcmp(w.items[i], w.items[i + 1]) != 0;

        run++;
        if (!last)
            continue;
        different++;
        once += run == 1 ? 1 : 0;
        most = run > most ? run : most;
        run = 0;
    }
    print_message("%zu words: %zu different, %zu once, one %zu times\n",
                  w.count, different, once, most);
    assert_in_range(different, 2000, 8000);
    assert_in_range(once, different / 5, different * 3 / 4);
    assert_in_range(most, w.count / 20, w.count / 4);
    for (size_t i = 0; i < w.count; i++)
        free(w.items[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents_never_change),
        cmocka_unit_test(test_documents_are_lines_of_sentences),
        cmocka_unit_test(test_splits_and_seeds_have_other_documents),
        cmocka_unit_test(test_most_words_are_rare),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
