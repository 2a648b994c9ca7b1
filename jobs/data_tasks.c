/* data_tasks.c -- items of the built-in text tasks. */
#include <string.h>

#include "common/philox.h"
#include "jobs/data_parts.h"

static struct status read_mix(const json_t *value, struct task_mix *mix)
{
    const char *task = json_text_or(value, "task", NULL);
    const char *name;
    json_t *weight;

    if (task != NULL) {
        if (tasks_find(task) < 0)
            return FAIL(STATUS_INVALID, "there is no task \"%.60s\"", task);
        mix->weights[tasks_find(task)] = 1.0;
    }
    json_object_foreach(json_object_get(value, "mix"), name, weight)
    {
        if (tasks_find(name) < 0)
            return FAIL(STATUS_INVALID, "there is no task \"%.60s\"", name);
        mix->weights[tasks_find(name)] = json_number_value(weight);
    }
    return tasks_check(mix);
}

static struct status open_tasks(const json_t *value, const struct data_use *use,
                                struct job_context *context, struct data *d)
{
    const char *split = json_text_or(value, "split", "train");
    size_t longest;

    (void)context;
    if (use->tokenizer != NULL)
        return FAIL(STATUS_INVALID,
                    "the built-in tasks are bytes; the model has a tokenizer "
                    "of its own");
    d->items = (uint64_t)json_int_or(value, "items", 0);
    d->answers = strcmp(json_text_or(value, "predict", "text"), "answers") == 0;
    d->mix.split = strcmp(split, "test") == 0 ? SPLIT_TEST : SPLIT_TRAIN;
    d->mix.seed = (uint32_t)json_int_or(value, "seed", 0);
    d->mix.shortest = (uint32_t)json_int_or(value, "shortest", 3);
    d->mix.longest = (uint32_t)json_int_or(value, "longest", 6);
    TRY_PLAIN(read_mix(value, &d->mix));
    longest = tasks_longest(&d->mix);
    if (use->window != 0 && longest > use->window)
        return FAIL(STATUS_INVALID,
                    "items of up to %zu tokens do not fit into sequences of "
                    "%zu; raise `length` or lower `longest`",
                    longest, use->window);
    d->window = longest;
    return SUCCESS;
}

static struct status add(const struct data *d, uint64_t index, struct batch *b,
                         bool *ret_added)
{
    struct task_item item;
    int32_t tokens[2 * TASK_TEXT + 2];
    size_t count;

    TRY(tasks_item(&d->mix, index, &item), "data");
    count = tokenizer_encode(item.text, item.size, true, tokens);
    /* One token further: the beginning stands in front of the text. */
    *ret_added = batch_add(b, tokens, count, d->answers ? item.answer + 1 : 0);
    return SUCCESS;
}

/* Another order of items for each seed. */
static struct status draw(const struct data *d, uint32_t seed, uint64_t index,
                          struct batch *b, bool *ret_added)
{
    struct philox_key key = { .seed = seed,
                              .stream = philox_hash("data.draw") };
    struct data other = *d;

    other.mix.seed ^= seed == 0 ? 0 : philox_word(key, 0);
    return data_add(&other, index, b, ret_added);
}

const struct data_form data_form_tasks = {
    .name = "tasks",
    .builtin = true,
    .keys = { "task", "mix", "split", "predict", "items", "shortest", "longest",
              "seed" },
    .open = open_tasks,
    .add = add,
    .draw = draw,
};
