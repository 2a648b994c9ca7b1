/* training_keys.c -- `optimizer`, steps and their faults, as files have them. */
#include "jobs/training.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static const char *const optimizer_words[] = { "adamw", "sgd", NULL };
static const char *const schedule_words[] = { "constant", "linear", "cosine",
                                              "multistep", NULL };

#define NUMBER(name_, least_, most_, otherwise_, help_)             \
    {                                                               \
        .name = (name_), .type = KEY_NUMBER, .least = (least_),     \
        .most = (most_), .otherwise = (otherwise_), .help = (help_) \
    }

static const struct catalog_key milestone_row[] = {
    NUMBER("*", 1e-9, 1e9, NULL, "step; below 1: share of all steps"),
    { .name = NULL },
};

const struct catalog_key training_optimizer_keys[] = {
    { .name = "name",
      .type = KEY_WORD,
      .words = optimizer_words,
      .otherwise = "\"adamw\"",
      .help = "adamw, or sgd with momentum" },
    NUMBER("lr", 0.0, 10.0, "1e-3", "learning rate at its highest"),
    { .name = "schedule",
      .type = KEY_WORD,
      .words = schedule_words,
      .otherwise = "\"cosine\"",
      .help = "shape of the learning rate behind the warm-up" },
    NUMBER("warmup", 0.0, 1e9, "0",
           "steps in which the rate rises; below 1: share of all steps"),
    { .name = "milestones",
      .type = KEY_LIST,
      .keys = milestone_row,
      .help = "steps, or shares, at which multistep multiplies by gamma" },
    NUMBER("gamma", 0.0, 1.0, NULL, "of multistep; 0.1"),
    NUMBER("weight_decay", 0.0, 10.0, NULL,
           "of every parameter; decoupled for adamw"),
    NUMBER("beta1", 0.0, 0.9999999, NULL, "adamw: of the first moment; 0.9"),
    NUMBER("beta2", 0.0, 0.9999999, NULL, "adamw: of the second; 0.99"),
    NUMBER("eps", 0.0, 1.0, NULL, "adamw: added to the root; 1e-8"),
    NUMBER("momentum", 0.0, 0.9999999, NULL, "sgd; 0.9"),
    NUMBER("rho", 0.0, 100.0, NULL,
           "SAM: how far up the gradient the second one is taken; 0: not"),
    { .name = NULL },
};

/* What belongs to one optimiser alone. */
static const struct own {
    const char *optimiser, *key;
    double otherwise;
} owns[] = {
    { "adamw", "beta1", 0.9 },
    { "adamw", "beta2", 0.99 },
    { "adamw", "eps", 1e-8 },
    { "sgd", "momentum", 0.9 },
};

static void set_default(json_t *map, const char *key, double value)
{
    if (json_object_get(map, key) == NULL)
        (void)json_object_set_new(map, key, json_real(value));
}

static bool normalise_optimizer(json_t *o, const char *name, double decay,
                                struct catalog_problem *ret_problem)
{
    char path[64], message[96];

    for (size_t i = 0; i < COUNT_OF(owns); i++) {
        if (strcmp(owns[i].optimiser, name) == 0) {
            set_default(o, owns[i].key, owns[i].otherwise);
            continue;
        }
        if (json_object_get(o, owns[i].key) == NULL)
            continue;
        (void)snprintf(path, sizeof(path), "/optimizer/%s", owns[i].key);
        (void)snprintf(message, sizeof(message), "`%s` means nothing to %s",
                       owns[i].key, name);
        return catalog_refuse(ret_problem, path, "leave it out", "%s", message);
    }
    set_default(o, "weight_decay", strcmp(name, "adamw") == 0 ? decay : 0.0);
    if (json_is_number(json_object_get(o, "rho")) &&
        json_real_or(o, "rho", 0.0) == 0.0)
        (void)json_object_del(o, "rho");
    return true;
}

static bool normalise_schedule(json_t *o, struct catalog_problem *ret_problem)
{
    const char *schedule = json_text_or(o, "schedule", "");
    bool milestones = json_array_size(json_object_get(o, "milestones")) > 0;

    if (strcmp(schedule, "multistep") == 0 && !milestones)
        return catalog_refuse(ret_problem, "/optimizer/schedule",
                              "milestones: [0.5, 0.75]",
                              "multistep needs `milestones`");
    if (strcmp(schedule, "multistep") == 0)
        set_default(o, "gamma", 0.1);
    return true;
}

bool training_normalise(json_t *body, double decay,
                        struct catalog_problem *ret_problem)
{
    json_t *o = json_object_get(body, "optimizer");
    const char *name = json_text_or(o, "name", "");

    if (json_object_get(body, "steps") != NULL &&
        json_object_get(body, "epochs") != NULL)
        return catalog_refuse(ret_problem, "/epochs", "keep one of them",
                              "`steps` and `epochs` say the same");
    if (json_object_get(body, "steps") == NULL &&
        json_object_get(body, "epochs") == NULL)
        (void)json_object_set_new(body, "steps", json_integer(300));
    if (name[0] != '\0') {
        if (!normalise_optimizer(o, name, decay, ret_problem))
            return false;
        set_default(body, "clip", strcmp(name, "adamw") == 0 ? 1.0 : 0.0);
    }
    return normalise_schedule(o, ret_problem) &&
           data_normalise(body, "train", ret_problem);
}

/* A count of steps, or below 1 a share of all. */
static uint64_t steps_of(double value, uint64_t steps)
{
    return (uint64_t)(value < 1.0 ? value * (double)steps + 0.5 : value);
}

struct status training_schedule(const json_t *params, uint64_t steps,
                                struct schedule *ret_schedule)
{
    const json_t *o = json_object_get(params, "optimizer");
    const json_t *milestones = json_object_get(o, "milestones");
    size_t count = json_array_size(milestones);
    struct schedule s = {
        .row = schedule_find(json_text_or(o, "schedule", "cosine")),
        .steps = steps,
        .warmup = steps_of(json_real_or(o, "warmup", 0.0), steps),
        .gamma = json_real_or(o, "gamma", 0.1),
    };

    if (s.row == NULL)
        return FAIL(STATUS_INVALID, "there is no schedule \"%.40s\"",
                    json_text_or(o, "schedule", ""));
    if (s.warmup >= steps)
        return FAIL(STATUS_INVALID,
                    "a warm-up of %llu steps leaves nothing of %llu",
                    (unsigned long long)s.warmup, (unsigned long long)steps);
    if (count > SCHEDULE_MILESTONES)
        return FAIL(STATUS_INVALID, "%zu milestones; at most %d are allowed",
                    count, SCHEDULE_MILESTONES);
    for (size_t i = 0; i < count; i++)
        s.milestones[i] =
            steps_of(json_number_value(json_array_get(milestones, i)), steps);
    *ret_schedule = s;
    return SUCCESS;
}

bool training_check(const json_t *params, struct catalog_problem *ret_problem)
{
    int64_t steps = json_int_or(params, "steps", 0);
    struct schedule schedule;
    struct status s = SUCCESS;

    if (steps > 0) /* of epochs they are known when the data are */
        s = training_schedule(params, (uint64_t)steps, &schedule);
    return !status_failed(&s) ||
           catalog_refuse(ret_problem, "/optimizer", "", "%s", s.message);
}

struct status training_settings(const json_t *params, double decay,
                                struct trainer_settings *ret)
{
    const json_t *o = json_object_get(params, "optimizer");
    const char *name = json_text_or(o, "name", "adamw");
    bool adamw = strcmp(name, "adamw") == 0;

    *ret = (struct trainer_settings){
        .optim = { .row = optim_find(name),
                   .rate = json_real_or(o, "lr", 1e-3),
                   .decay =
                       json_real_or(o, "weight_decay", adamw ? decay : 0.0),
                   .beta1 = adamw ? json_real_or(o, "beta1", 0.9)
                                  : json_real_or(o, "momentum", 0.9),
                   .beta2 = json_real_or(o, "beta2", 0.99),
                   .eps = json_real_or(o, "eps", 1e-8) },
        .clip = json_real_or(params, "clip", adamw ? 1.0 : 0.0),
        .rho = json_real_or(o, "rho", 0.0),
        .momentum = 0.1,
    };
    if (ret->optim.row == NULL)
        return FAIL(STATUS_INVALID, "there is no optimizer \"%.40s\"", name);
    return SUCCESS;
}
