#include "jobs/data.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/philox.h"
#include "model/tokenizer.h"

enum {
    TEXT_LIMIT = 1 << 30,    /* bytes of a text */
    ITEMS_MOST = 500 * 1000, /* each is a digit of a result */
    TEST_ITEMS = 256,        /* of the test split, if nothing says it */
};

static const char *const builtin_words[] = { "tasks", NULL };
static const char *const split_words[] = { "train", "test", NULL };
static const char *const predict_words[] = { "text", "answers", NULL };

static const struct catalog_key mix_row[] = {
    { .name = "*",
      .type = KEY_NUMBER,
      .least = 0.0,
      .most = 1e6,
      .help = "how often, against the others" },
    { .name = NULL },
};

const struct catalog_key data_keys[] = {
    { .name = "builtin",
      .type = KEY_WORD,
      .required = true,
      .words = builtin_words,
      .help = "tasks: items made from a seed" },
    { .name = "task", .type = KEY_TEXT, .help = "the only task in the mix" },
    { .name = "mix",
      .type = KEY_MAP_OF,
      .keys = mix_row,
      .help = "reverse, sort, add, close: their weights; all if not given" },
    { .name = "split",
      .type = KEY_WORD,
      .words = split_words,
      .help = "train, or test: no question of one is in the other" },
    { .name = "predict",
      .type = KEY_WORD,
      .words = predict_words,
      .otherwise = "\"text\"",
      .help = "text: every token; answers: only what follows the =" },
    { .name = "items",
      .type = KEY_INTEGER,
      .least = 1,
      .most = ITEMS_MOST,
      .help = "how many; for training without end if not given" },
    { .name = "shortest",
      .type = KEY_INTEGER,
      .least = 1,
      .most = TASKS_LONGEST,
      .otherwise = "3",
      .help = "symbols of a question" },
    { .name = "longest",
      .type = KEY_INTEGER,
      .least = 1,
      .most = TASKS_LONGEST,
      .otherwise = "6",
      .help = "symbols of a question" },
    { .name = "seed",
      .type = KEY_INTEGER,
      .least = 0,
      .most = UINT32_MAX,
      .otherwise = "0",
      .help = "of the items" },
    { .name = NULL },
};

static void list_tasks(char *text, size_t size)
{
    size_t used = 0;

    for (const struct task *t = tasks; t->name != NULL; t++) {
        int n = snprintf(text + used, size - used, "%s%s",
                         t == tasks ? "" : ", ", t->name);

        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}

static bool refuse_task(const char *path, const char *name,
                        struct catalog_problem *ret_problem)
{
    char known[96];

    list_tasks(known, sizeof(known));
    (void)snprintf(ret_problem->path, sizeof(ret_problem->path), "/data/%s",
                   path);
    (void)snprintf(ret_problem->message, sizeof(ret_problem->message),
                   "there is no task `%.60s`", name);
    (void)snprintf(ret_problem->suggestion, sizeof(ret_problem->suggestion),
                   "known: %s", known);
    return false;
}

static bool refuse(const char *path, const char *message,
                   struct catalog_problem *ret_problem)
{
    (void)snprintf(ret_problem->path, sizeof(ret_problem->path), "/data/%s",
                   path);
    (void)snprintf(ret_problem->message, sizeof(ret_problem->message), "%s",
                   message);
    ret_problem->suggestion[0] = '\0';
    return false;
}

/* `task: sort` becomes `mix: {sort: 1}`, so that both are one job. */
static void spell_out_task(json_t *map)
{
    const char *task = json_text_or(map, "task", NULL);

    if (task != NULL)
        (void)json_object_set_new(map, "mix", json_pack("{s:i}", task, 1));
    if (task != NULL)
        (void)json_object_del(map, "task");
    if (json_object_get(map, "task") != NULL ||
        json_object_get(map, "mix") != NULL)
        return;
    (void)json_object_set_new(map, "mix", json_object());
    for (const struct task *t = tasks; t->name != NULL; t++)
        (void)json_object_set_new(json_object_get(map, "mix"), t->name,
                                  json_integer(1));
}

static void set_default(json_t *map, const char *key, json_t *value)
{
    if (json_object_get(map, key) == NULL)
        (void)json_object_set(map, key, value);
    json_decref(value);
}

bool data_normalise(json_t *body, const char *split,
                    struct catalog_problem *ret_problem)
{
    json_t *map = json_object_get(body, "data");
    const char *task = json_text_or(map, "task", NULL);
    const char *name;
    json_t *weight;

    if (!json_is_object(map) || json_object_get(map, "builtin") == NULL)
        return true; /* a source: a text file */
    if (json_object_get(map, "task") != NULL &&
        json_object_get(map, "mix") != NULL)
        return refuse("task", "`task` and `mix` say the same; keep one",
                      ret_problem);
    if (task != NULL && tasks_find(task) < 0)
        return refuse_task("task", task, ret_problem);
    spell_out_task(map);
    json_object_foreach(json_object_get(map, "mix"), name,
                        weight) if (tasks_find(name) <
                                    0) return refuse_task("mix", name,
                                                          ret_problem);
    if (json_int_or(map, "shortest", 1) >
        json_int_or(map, "longest", TASKS_LONGEST))
        return refuse("longest", "`longest` is below `shortest`", ret_problem);
    set_default(map, "split", json_string(split));
    if (strcmp(split, "test") == 0)
        set_default(map, "items", json_integer(TEST_ITEMS));
    return true;
}

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

static struct status open_tasks(const json_t *value, size_t window,
                                struct data *d)
{
    const char *split = json_text_or(value, "split", "train");
    size_t longest;

    d->tasks = true;
    d->items = (uint64_t)json_int_or(value, "items", 0);
    d->answers = strcmp(json_text_or(value, "predict", "text"), "answers") == 0;
    d->mix.split = strcmp(split, "test") == 0 ? SPLIT_TEST : SPLIT_TRAIN;
    d->mix.seed = (uint32_t)json_int_or(value, "seed", 0);
    d->mix.shortest = (uint32_t)json_int_or(value, "shortest", 3);
    d->mix.longest = (uint32_t)json_int_or(value, "longest", 6);
    TRY_PLAIN(read_mix(value, &d->mix));
    longest = tasks_longest(&d->mix);
    if (window != 0 && longest > window)
        return FAIL(STATUS_INVALID,
                    "items of up to %zu tokens do not fit into sequences of "
                    "%zu; raise `length` or lower `longest`",
                    longest, window);
    d->window = longest;
    return SUCCESS;
}

/* A window holds its beginning token and `window` - 1 bytes; the last byte of
 * one is not repeated in the next. */
static uint64_t windows(const struct data *d)
{
    size_t bytes = d->window - 1;

    return (d->size + bytes - 1) / bytes;
}

static struct status open_text(const json_t *value, size_t window,
                               struct job_context *context, struct data *d)
{
    const json_t *source = json_object_get(value, "$source");
    const char *path;

    if (source == NULL)
        return FAIL(STATUS_INVALID,
                    "data is neither a source nor a map with `builtin`");
    TRY_PLAIN(context->fetch(context->self, source, &path));
    TRY_PLAIN(file_read(path, TEXT_LIMIT, &d->text, &d->size));
    if (d->size == 0)
        return FAIL(STATUS_INVALID, "%s is empty", path);
    d->window = window == 0 ? DATA_ANY_LENGTH : window;
    if (d->window < 2)
        return FAIL(STATUS_INVALID,
                    "sequences of %zu tokens have nothing to predict; give "
                    "them at least 2",
                    d->window);
    d->items = windows(d);
    return SUCCESS;
}

struct status data_open(const json_t *value, size_t window,
                        struct job_context *context, struct data *ret_data)
{
    struct data d = { .tasks = false };
    struct status s = json_object_get(value, "builtin") != NULL
                          ? open_tasks(value, window, &d)
                          : open_text(value, window, context, &d);

    if (status_failed(&s)) {
        data_release(&d);
        return status_wrap(s, "data");
    }
    *ret_data = d;
    return SUCCESS;
}

void data_release(struct data *d)
{
    free(d->text);
    d->text = NULL;
}

static struct status add_item(const struct data *d, uint64_t index,
                              struct batch *b, bool *ret_added)
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

static bool add_window(const struct data *d, size_t at, struct batch *b)
{
    size_t size = d->size - at;
    int32_t *tokens;
    size_t count;
    bool added;

    size = size < d->window - 1 ? size : d->window - 1;
    tokens = xcalloc(size + 2, sizeof(*tokens));
    count = tokenizer_encode(d->text + at, size, false, tokens);
    added = batch_add(b, tokens, count, 0);
    free(tokens);
    return added;
}

struct status data_add(const struct data *d, uint64_t index, struct batch *b,
                       bool *ret_added)
{
    if (d->items != 0)
        index %= d->items;
    if (d->tasks)
        return add_item(d, index, b, ret_added);
    *ret_added = add_window(d, index * (d->window - 1), b);
    return SUCCESS;
}

/* Another order of items for each seed. */
static struct status draw_item(const struct data *d, struct philox_key key,
                               uint64_t index, struct batch *b, bool *ret_added)
{
    struct data other = *d;

    key.tensor = 0;
    other.mix.seed ^= key.seed == 0 ? 0 : philox_word(key, 0);
    return data_add(&other, index, b, ret_added);
}

struct status data_draw(const struct data *d, uint32_t seed, uint64_t index,
                        struct batch *b, bool *ret_added)
{
    struct philox_key key = { .seed = seed,
                              .stream = philox_hash("data.draw"),
                              .tensor = index };
    uint64_t places, word;

    if (d->tasks)
        return draw_item(d, key, index, b, ret_added);
    places = d->size < d->window ? 1 : d->size - d->window + 2;
    word = (uint64_t)philox_word(key, 0) << 32 | philox_word(key, 1);
    *ret_added = add_window(d, (size_t)(word % places), b);
    return SUCCESS;
}
