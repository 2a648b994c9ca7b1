#include "support/test.h"

#include "common/digest.h"
#include "common/map.h"
#include "model/tasks.h"
#include "model/tokenizer.h"

static struct task_mix mix_of(const char *name, enum task_split split)
{
    struct task_mix mix = { .split = split, .shortest = 3, .longest = 6 };

    for (int i = 0; tasks[i].name != NULL; i++)
        mix.weights[i] =
            name == NULL || strcmp(tasks[i].name, name) == 0 ? 1.0 : 0.0;
    return mix;
}

static struct task_item item_of(const struct task_mix *mix, uint64_t index)
{
    struct task_item item;

    assert_ok(tasks_item(mix, index, &item));
    return item;
}

static void test_items_are_what_they_say(void **state)
{
    struct task_mix mix = mix_of("reverse", SPLIT_TRAIN);

    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        struct task_item item = item_of(&mix, i);
        size_t length = item.size - item.answer;

        assert_int_equal(item.size, strlen(item.text));
        assert_memory_equal(item.text, "r:", 2);
        assert_int_equal(item.text[item.answer - 1], '=');
        assert_int_equal(item.size, 3 + 2 * length);
        assert_in_range(length, 3, 6);
        for (size_t k = 0; k < length; k++)
            assert_int_equal(item.text[2 + k], item.text[item.size - 1 - k]);
    }
}

static void test_sums_are_taken_modulo_ten(void **state)
{
    struct task_mix mix = mix_of("add", SPLIT_TEST);

    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        struct task_item item = item_of(&mix, i);
        size_t length = item.size - item.answer;
        int term = item.text[item.answer - 2] - '0';

        assert_int_equal(item.text[2 + length], '+');
        for (size_t k = 0; k < length; k++)
            assert_int_equal(item.text[item.answer + k] - '0',
                             (item.text[2 + k] - '0' + term) % 10);
    }
}

static void test_brackets_close_what_is_open(void **state)
{
    struct task_mix mix = mix_of("close", SPLIT_TRAIN);

    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        struct task_item item = item_of(&mix, i);
        char stack[256];
        size_t depth = 0;

        for (const char *c = item.text + 2; *c != '\0'; c++) {
            static const char opening[] = "([{<";
            const char *open = strchr(opening, *c);

            if (*c == '=')
                continue;
            if (open != NULL)
                stack[depth++] = ")]}>"[open - opening];
            else
                assert_int_equal(stack[--depth], *c);
        }
        assert_int_equal(depth, 0);
    }
}

static void test_the_splits_share_no_question(void **state)
{
    struct task_mix train = mix_of(NULL, SPLIT_TRAIN);
    struct task_mix test = mix_of(NULL, SPLIT_TEST);
    struct map *seen = map_new();
    static int mark;

    (void)state;
    test.seed = 7; /* seeds do not matter for it */
    train.longest = test.longest = 4;
    for (uint64_t i = 0; i < 4000; i++) {
        struct task_item item = item_of(&train, i);

        (void)map_put(seen, item.text, item.answer, &mark);
    }
    for (uint64_t i = 0; i < 4000; i++) {
        struct task_item item = item_of(&test, i);

        if (map_get(seen, item.text, item.answer) != NULL)
            fail_msg("%s is in both splits", item.text);
    }
    map_free(seen);
}

/* Sweeps that ran are known by what they computed: items never change. */
static void test_items_never_change(void **state)
{
    struct task_mix mix = mix_of(NULL, SPLIT_TEST);
    struct digest_stream *stream = digest_begin();
    struct digest digest;
    char text[DIGEST_TEXT];

    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        struct task_item item = item_of(&mix, i);

        digest_add(stream, item.text, item.size);
    }
    digest = digest_end(stream);
    digest_to_text(&digest, text);
    assert_string_equal(
        text,
        "20148e28f78c26bc70c1fdf2c33dbae34c55b114604cdae158c3e82f37af6690");
}

static void test_all_of_a_mix_occur_by_weight(void **state)
{
    struct task_mix mix = mix_of(NULL, SPLIT_TRAIN);
    int counts[TASKS_MOST] = { 0 };

    (void)state;
    mix.weights[tasks_find("sort")] = 3.0;
    mix.weights[tasks_find("close")] = 0.0;
    for (uint64_t i = 0; i < 5000; i++)
        counts[item_of(&mix, i).task]++;
    assert_in_range(counts[tasks_find("sort")], 2800, 3200);
    assert_in_range(counts[tasks_find("add")], 850, 1150);
    assert_int_equal(counts[tasks_find("close")], 0);
}

static void test_nonsense_is_refused(void **state)
{
    struct task_mix mix = mix_of("sort", SPLIT_TRAIN);

    (void)state;
    mix.shortest = 7;
    assert_fails(tasks_check(&mix), STATUS_INVALID, "7 to 6");
    mix.shortest = 3;
    mix.longest = TASKS_LONGEST + 1;
    assert_fails(tasks_check(&mix), STATUS_INVALID, "65");
    mix = mix_of("none of them", SPLIT_TRAIN);
    assert_fails(tasks_check(&mix), STATUS_INVALID, "empty");
    assert_int_equal(tasks_find("grokking"), -1);
}

static void test_the_longest_item_fits_into_what_is_announced(void **state)
{
    struct task_mix mix = mix_of(NULL, SPLIT_TRAIN);

    (void)state;
    mix.longest = TASKS_LONGEST;
    for (uint64_t i = 0; i < 500; i++) {
        struct task_item item = item_of(&mix, i);

        assert_true(item.size + 2 <= tasks_longest(&mix));
    }
}

static void test_tokens_are_bytes_with_a_beginning_and_an_end(void **state)
{
    const char text[] = "r:a\xff=\n";
    int32_t tokens[16];
    size_t count = tokenizer_encode(text, 6, true, tokens);

    (void)state;
    assert_int_equal(count, 8);
    assert_int_equal(tokens[0], TOKEN_BEGIN);
    assert_int_equal(tokens[7], TOKEN_END);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(tokens[1 + i], (unsigned char)text[i]);
    assert_int_equal(tokenizer_encode(text, 0, false, tokens), 1);
}

static void test_other_tokenizers_are_named(void **state)
{
    json_t *config = json_pack("{ss si}", "tokenizer_class", "LlamaTokenizer",
                               "vocab_size", 32000);

    (void)state;
    assert_fails(tokenizer_check(config), STATUS_INVALID, "LlamaTokenizer");
    (void)json_object_set_new(config, "tokenizer_class",
                              json_string("ByteTokenizer"));
    assert_ok(tokenizer_check(config));
    (void)json_object_set_new(config, "vocab_size", json_integer(256));
    assert_fails(tokenizer_check(config), STATUS_INVALID, "256");
    json_decref(config);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_items_are_what_they_say),
        cmocka_unit_test(test_sums_are_taken_modulo_ten),
        cmocka_unit_test(test_brackets_close_what_is_open),
        cmocka_unit_test(test_the_splits_share_no_question),
        cmocka_unit_test(test_items_never_change),
        cmocka_unit_test(test_all_of_a_mix_occur_by_weight),
        cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_the_longest_item_fits_into_what_is_announced),
        cmocka_unit_test(test_tokens_are_bytes_with_a_beginning_and_an_end),
        cmocka_unit_test(test_other_tokenizers_are_named),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}
