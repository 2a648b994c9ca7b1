/* data_keys.c -- the map behind `data:` of a sweep file. */
#include <string.h>

#include "jobs/data_parts.h"
#include "model/images_files.h"

enum {
    ITEMS_MOST = 500 * 1000, /* each is a digit of a result */
    TEST_ITEMS = 256,        /* of the test split, if nothing says it */
};

static const char *const builtin_words[] = { "tasks", "text", "teacher10k",
                                             NULL };
static const char *const format_words[] = { "text", "jsonl",   "tokens",
                                            "idx",  "cifar10", "cifar100",
                                            NULL };
static const char *const type_words[] = { "uint16", "uint32", NULL };
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

static const struct catalog_key file_row[] = {
    { .name = "*", .type = KEY_DATA, .help = "a source or URL" },
    { .name = NULL },
};

static const struct catalog_key channel_row[] = {
    { .name = "*",
      .type = KEY_NUMBER,
      .least = 0.0,
      .most = 1.0,
      .help = "of all channels, or of one each" },
    { .name = NULL },
};

/* Defaults depend on the form, so normalising writes them. */
const struct catalog_key data_keys[] = {
    { .name = "builtin",
      .type = KEY_WORD,
      .words = builtin_words,
      .help = "made from a seed. tasks: questions and answers; text: "
              "documents of a small language; teacher10k: 8 x 8 images of 10 "
              "classes, 8,000 to train and 2,000 to test" },
    { .name = "format",
      .type = KEY_WORD,
      .words = format_words,
      .help = "of the file; by the end of its name if not given, or text" },
    { .name = "file", .type = KEY_DATA, .help = "a source or URL" },
    { .name = "files",
      .type = KEY_LIST,
      .keys = file_row,
      .help = "cifar: several, one behind the other" },
    { .name = "type",
      .type = KEY_WORD,
      .words = type_words,
      .help = "tokens: of the numbers of a .bin; uint16" },
    { .name = "labels",
      .type = KEY_DATA,
      .help = "idx: the file of the labels" },
    { .name = "classes",
      .type = KEY_INTEGER,
      .least = 1,
      .most = IMAGES_CLASSES_MOST,
      .help = "idx: how many there are; 10" },
    { .name = "mean",
      .type = KEY_LIST,
      .keys = channel_row,
      .help = "of pixels between 0 and 1, which becomes 0" },
    { .name = "std",
      .type = KEY_LIST,
      .keys = channel_row,
      .help = "deviation of pixels between 0 and 1, which becomes 1" },
    { .name = "task", .type = KEY_TEXT, .help = "the only task in the mix" },
    { .name = "mix",
      .type = KEY_MAP_OF,
      .keys = mix_row,
      .help = "reverse, sort, add, close: their weights; all if not given" },
    { .name = "split",
      .type = KEY_WORD,
      .words = split_words,
      .help = "train, or test: nothing of one is in the other" },
    { .name = "predict",
      .type = KEY_WORD,
      .words = predict_words,
      .help = "of tasks. text: every token; answers: only what follows the =" },
    { .name = "items",
      .type = KEY_INTEGER,
      .least = 1,
      .most = ITEMS_MOST,
      .help = "tasks, built-in text: how many, for training without end if "
              "not given; images: only the first" },
    { .name = "shortest",
      .type = KEY_INTEGER,
      .least = 1,
      .most = TASKS_LONGEST,
      .help = "symbols of a question; 3" },
    { .name = "longest",
      .type = KEY_INTEGER,
      .least = 1,
      .most = TASKS_LONGEST,
      .help = "symbols of a question; 6" },
    { .name = "seed",
      .type = KEY_INTEGER,
      .least = 0,
      .most = UINT32_MAX,
      .help = "of what is made; 0" },
    { .name = "held_out",
      .type = KEY_NUMBER,
      .least = 0.0,
      .most = 0.9,
      .help = "text of a file: the share at its end that is the test split; "
              "0: both are all of it" },
    { .name = "augment",
      .type = KEY_BOOL,
      .help = "images for training are moved by up to 4 pixels and mirrored" },
    { .name = NULL },
};

static void list_tasks(char *text, size_t size)
{
    size_t used = 0;

    for (const struct task *t = tasks; t->name != NULL && used < size; t++)
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 t == tasks ? "" : ", ", t->name);
}

static bool refuse(const char *key, const char *message,
                   struct catalog_problem *ret_problem)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/data%s%.50s", *key == '\0' ? "" : "/",
                   key);
    return catalog_refuse(ret_problem, path, "", "%s", message);
}

static bool refuse_task(const char *path, const char *name,
                        struct catalog_problem *ret_problem)
{
    char message[128], known[96];

    list_tasks(known, sizeof(known));
    (void)snprintf(message, sizeof(message), "there is no task `%.60s`", name);
    (void)refuse(path, message, ret_problem);
    (void)snprintf(ret_problem->suggestion, sizeof(ret_problem->suggestion),
                   "known: %s", known);
    return false;
}

static void set_default(json_t *map, const char *key, json_t *value)
{
    if (json_object_get(map, key) == NULL)
        (void)json_object_set(map, key, value);
    json_decref(value);
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

static bool normalise_tasks(json_t *map, const char *split,
                            struct catalog_problem *ret_problem)
{
    const char *task = json_text_or(map, "task", NULL);
    const char *name;
    json_t *weight;

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
    set_default(map, "shortest", json_integer(3));
    set_default(map, "longest", json_integer(6));
    set_default(map, "predict", json_string("text"));
    if (strcmp(split, "test") == 0)
        set_default(map, "items", json_integer(TEST_ITEMS));
    if (json_int_or(map, "shortest", 1) >
        json_int_or(map, "longest", TASKS_LONGEST))
        return refuse("longest", "`longest` is below `shortest`", ret_problem);
    return true;
}

static bool knows(const struct data_form *form, const char *key)
{
    for (size_t i = 0; i < DATA_FORM_KEYS && form->keys[i] != NULL; i++)
        if (strcmp(form->keys[i], key) == 0)
            return true;
    return strcmp(key, form->builtin ? "builtin" : "format") == 0;
}

static bool check_keys(const struct data_form *form, const json_t *map,
                       struct catalog_problem *ret_problem)
{
    char message[128];

    for (size_t i = 0; data_keys[i].name != NULL; i++) {
        const char *key = data_keys[i].name;

        if (json_object_get(map, key) == NULL || knows(form, key))
            continue;
        (void)snprintf(message, sizeof(message),
                       "`%s` means nothing to data of the form `%s`", key,
                       form->name);
        return refuse(key, message, ret_problem);
    }
    return true;
}

/* Of their training images; in the middle for what is not known. */
static void set_scale(const struct data_form *form, json_t *map)
{
    if (form == &data_form_cifar10) {
        set_default(map, "mean", json_pack("[fff]", 0.4914, 0.4822, 0.4465));
        set_default(map, "std", json_pack("[fff]", 0.2470, 0.2435, 0.2616));
    }
    if (form == &data_form_cifar100) {
        set_default(map, "mean", json_pack("[fff]", 0.5071, 0.4865, 0.4409));
        set_default(map, "std", json_pack("[fff]", 0.2673, 0.2564, 0.2762));
    }
    if (knows(form, "mean")) {
        set_default(map, "mean", json_pack("[f]", 0.5));
        set_default(map, "std", json_pack("[f]", 0.5));
    }
    if (knows(form, "classes"))
        set_default(map, "classes", json_integer(10));
}

/* `file`, or `files` where it may be. */
static bool check_files(const struct data_form *form, const json_t *map,
                        struct catalog_problem *ret_problem)
{
    bool one = json_object_get(map, "file") != NULL;
    bool more = json_array_size(json_object_get(map, "files")) > 0;

    if (one && more)
        return refuse("files", "`file` and `files` exclude each other",
                      ret_problem);
    if (!one && !more)
        return refuse("", "data of files needs `file`", ret_problem);
    if (knows(form, "labels") && json_object_get(map, "labels") == NULL)
        return refuse("", "images of the format idx need `labels`",
                      ret_problem);
    return true;
}

/* Of a file there are two only if a part is held out. */
static bool check_split(const struct data_form *form, json_t *map,
                        const char *split, struct catalog_problem *ret_problem)
{
    if (form->builtin || json_object_get(map, "held_out") != NULL)
        set_default(map, "split", json_string(split));
    else if (json_object_get(map, "split") != NULL)
        return refuse("split", "a file has no `split` without `held_out`",
                      ret_problem);
    return true;
}

static bool normalise_form(const struct data_form *form, json_t *map,
                           const char *split,
                           struct catalog_problem *ret_problem)
{
    if (!check_keys(form, map, ret_problem))
        return false;
    if (!form->builtin && !check_files(form, map, ret_problem))
        return false;
    set_scale(form, map);
    if (!form->builtin)
        (void)json_object_set_new(map, "format", json_string(form->name));
    if (knows(form, "split") && !check_split(form, map, split, ret_problem))
        return false;
    if (knows(form, "seed"))
        set_default(map, "seed", json_integer(0));
    /* Only what is drawn is varied. */
    if (strcmp(split, "test") == 0)
        (void)json_object_del(map, "augment");
    if (form == &data_form_prose && strcmp(split, "test") == 0)
        set_default(map, "items", json_integer(TEST_ITEMS));
    return form != &data_form_tasks || normalise_tasks(map, split, ret_problem);
}

bool data_normalise(json_t *body, const char *split,
                    struct catalog_problem *ret_problem)
{
    json_t *map = json_object_get(body, "data");
    const struct data_form *form;
    char known[128];

    if (!json_is_object(map) || json_object_get(map, "$source") != NULL ||
        json_object_get(map, "$stage") != NULL ||
        json_object_get(map, "$param") != NULL)
        return true; /* a file whose name says what it is */
    if (json_object_get(map, "builtin") == NULL &&
        json_object_get(map, "file") == NULL &&
        json_object_get(map, "files") == NULL)
        return refuse("", "data needs `builtin` or `file`", ret_problem);
    if (json_object_get(map, "builtin") != NULL &&
        json_object_get(map, "format") != NULL)
        return refuse("format", "what is built in has no format", ret_problem);
    form = data_form_of(map, known, sizeof(known));
    if (form == NULL) { /* a $param */
        (void)refuse(json_object_get(map, "builtin") != NULL ? "builtin"
                                                             : "format",
                     "this has to be a word; it cannot vary", ret_problem);
        return false;
    }
    return normalise_form(form, map, split, ret_problem);
}
