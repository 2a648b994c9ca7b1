#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/option.h"
#include "sweep/spec_parts.h"

static const char *const vary_words[] = { "seed", NULL };
static const char *const aggregate_words[] = { "mean", NULL };
static const char *const method_words[] = { "grid", "random", NULL };
static const char *const goal_words[] = { "maximize", "minimize", NULL };
static const char *const scale_words[] = { "linear", "log", NULL };

enum { MOST_COUNT = 1000 * 1000 * 1000 };

static const struct catalog_key seed_rows[] = {
    { .name = "*", .type = KEY_INTEGER, .most = 4294967295.0 },
    { .name = NULL },
};

static const struct catalog_key replicates_keys[] = {
    { .name = "count", .type = KEY_INTEGER, .least = 1, .most = LIMIT_VALUES },
    { .name = "vary", .type = KEY_WORD, .words = vary_words },
    { .name = "seeds", .type = KEY_LIST, .keys = seed_rows },
    { .name = "aggregate", .type = KEY_WORD, .words = aggregate_words },
    { .name = NULL },
};

static const struct catalog_key strategy_keys[] = {
    { .name = "method",
      .type = KEY_WORD,
      .words = method_words,
      .otherwise = "\"grid\"" },
    { .name = "seed", .type = KEY_INTEGER, .most = 4294967295.0 },
    { .name = "trials", .type = KEY_INTEGER, .least = 1, .most = MOST_COUNT },
    { .name = NULL },
};

static const struct catalog_key objective_keys[] = {
    { .name = "metric",
      .type = KEY_TEXT,
      .required = true,
      .help = "as in copy.accuracy" },
    { .name = "goal",
      .type = KEY_WORD,
      .required = true,
      .words = goal_words,
      .help = "maximize or minimize" },
    { .name = "target", .type = KEY_NUMBER },
    { .name = NULL },
};

static const struct catalog_key limits_keys[] = {
    { .name = "trials", .type = KEY_INTEGER, .least = 1, .most = MOST_COUNT },
    { .name = "time", .type = KEY_DURATION },
    { .name = "trial_time", .type = KEY_DURATION },
    { .name = "stall", .type = KEY_DURATION },
    { .name = "failures", .type = KEY_INTEGER, .most = MOST_COUNT },
    { .name = "parallel", .type = KEY_INTEGER, .least = 1, .most = MOST_COUNT },
    { .name = NULL },
};

static const struct catalog_key retries_keys[] = {
    { .name = "max", .type = KEY_INTEGER, .most = 1000 },
    { .name = "backoff", .type = KEY_DURATION },
    { .name = NULL },
};

static const struct catalog_key label_rows[] = {
    { .name = "*", .type = KEY_TEXT },
    { .name = NULL },
};

static const struct catalog_key resources_keys[] = {
    { .name = "memory", .type = KEY_BYTES },
    { .name = "cpus", .type = KEY_INTEGER, .least = 1, .most = LIMIT_CPUS },
    { .name = "gpus", .type = KEY_INTEGER, .most = 1024 },
    { .name = "labels", .type = KEY_MAP_OF, .keys = label_rows },
    { .name = NULL },
};

static const struct catalog_key outputs_keys[] = {
    { .name = "keep", .type = KEY_TEXT },
    { .name = "to", .type = KEY_TEXT },
    { .name = "shard_size", .type = KEY_BYTES },
    { .name = NULL },
};

static const struct catalog_key report_keys[] = {
    { .name = "table", .type = KEY_ANY },
    { .name = "phase", .type = KEY_ANY },
    { .name = NULL },
};

static const struct catalog_key gap_keys[] = {
    { .name = "from", .type = KEY_TEXT, .required = true },
    { .name = "to", .type = KEY_TEXT, .required = true },
    { .name = NULL },
};

static const struct catalog_key table_keys[] = {
    { .name = "rows", .type = KEY_ANY, .required = true },
    { .name = "columns", .type = KEY_ANY, .required = true },
    { .name = "cell", .type = KEY_TEXT },
    { .name = "best_over", .type = KEY_ANY },
    { .name = "beside", .type = KEY_ANY },
    { .name = "gap", .type = KEY_MAP, .keys = gap_keys },
    { .name = "format", .type = KEY_TEXT },
    { .name = "files", .type = KEY_ANY },
    { .name = NULL },
};

/* Published maps were drawn by eye; see sweep/regime.h. */
static const struct catalog_key regimes_keys[] = {
    { .name = "lmc",
      .type = KEY_NUMBER,
      .most = 1.0,
      .otherwise = "0.05",
      .help = "below minus this the twins are not connected" },
    { .name = "cka",
      .type = KEY_NUMBER,
      .most = 1.0,
      .otherwise = "0.96",
      .help = "from here on the twins are alike" },
    { .name = "too_hot",
      .type = KEY_NUMBER,
      .most = 1.0,
      .otherwise = "0.5",
      .help = "from this error on a dense model has diverged" },
    { .name = NULL },
};

static const char *const hot_words[] = { "low", "high", NULL };

static const struct catalog_key phase_keys[] = {
    { .name = "x",
      .type = KEY_TEXT,
      .required = true,
      .help = "a parameter: the load" },
    { .name = "y",
      .type = KEY_TEXT,
      .required = true,
      .help = "a parameter: the temperature" },
    { .name = "hot",
      .type = KEY_WORD,
      .words = hot_words,
      .otherwise = "\"low\"" },
    { .name = "default", .type = KEY_ANY },
    { .name = "over", .type = KEY_ANY },
    { .name = "maps",
      .type = KEY_ANY,
      .required = true,
      .help = "[error, LMC, CKA]" },
    { .name = "dense", .type = KEY_TEXT },
    { .name = "regimes",
      .type = KEY_MAP,
      .keys = regimes_keys,
      .otherwise = "{\"lmc\": 0.05, \"cka\": 0.96, \"too_hot\": 0.5}" },
    { .name = "files", .type = KEY_ANY },
    { .name = NULL },
};

static const struct catalog_key source_keys[] = {
    { .name = "url", .type = KEY_TEXT, .required = true },
    { .name = "sha256", .type = KEY_ANY },
    { .name = "secret", .type = KEY_TEXT },
    { .name = NULL },
};

static const struct catalog_key case_keys[] = {
    { .name = "set", .type = KEY_ANY },
    { .name = "parameters", .type = KEY_ANY },
    { .name = NULL },
};

static const struct catalog_key parameter_keys[] = {
    { .name = "values", .type = KEY_ANY },
    { .name = "value", .type = KEY_ANY },
    { .name = "from", .type = KEY_NUMBER },
    { .name = "to", .type = KEY_NUMBER },
    { .name = "count", .type = KEY_INTEGER, .least = 1, .most = LIMIT_VALUES },
    { .name = "min", .type = KEY_NUMBER },
    { .name = "max", .type = KEY_NUMBER },
    { .name = "step", .type = KEY_NUMBER },
    { .name = "scale", .type = KEY_WORD, .words = scale_words },
    { .name = "when", .type = KEY_ANY },
    { .name = "distribution", .type = KEY_TEXT },
    { .name = NULL },
};

struct section {
    const char *name;
    const struct catalog_key *keys; /* NULL: any names */
    const char *const *later;       /* keys of coming versions; NULL: none */
};

static const char *const later_top[] = { "include",    "holdout", "early_stop",
                                         "objectives", "track",   "notify",
                                         NULL };
static const char *const later_report[] = { "lines", "surface", "pareto",
                                            "compare", NULL };
static const char *const later_strategy[] = {
    "population", "sigma",  "parallel", "deterministic", "start", "warm",
    "each",       "refine", NULL
};
static const char *const later_limits[] = { "download", "scratch", "cost",
                                            NULL };
static const char *const later_retries[] = { "on", NULL };
static const char *const later_outputs[] = { "format", "recipe", NULL };
static const char *const later_parameter[] = { "probabilities", "per", "init",
                                               "role", NULL };

static const struct section sections[] = {
    { "sinter", NULL, NULL },
    { "name", NULL, NULL },
    { "description", NULL, NULL },
    { "tags", NULL, NULL },
    { "project", NULL, NULL },
    { "priority", NULL, NULL },
    { "weight", NULL, NULL },
    { "vars", NULL, NULL },
    { "sources", NULL, NULL },
    { "stages", NULL, NULL },
    { "parameters", NULL, NULL },
    { "cases", NULL, NULL },
    { "derive", NULL, NULL },
    { "constraints", NULL, NULL },
    { "replicates", replicates_keys, NULL },
    { "evaluate", NULL, NULL },
    { "objective", objective_keys, NULL },
    { "strategy", strategy_keys, later_strategy },
    { "limits", limits_keys, later_limits },
    { "retries", retries_keys, later_retries },
    { "resources", resources_keys, NULL },
    { "outputs", outputs_keys, later_outputs },
    { "report", report_keys, later_report },
    /* Not at the top, but looked up like the others. */
    { "sources.NAME", source_keys, NULL },
    { "cases.NAME", case_keys, NULL },
    { "parameters.NAME", parameter_keys, later_parameter },
    { "report.table", table_keys, NULL },
    { "report.phase", phase_keys, NULL },
    { "", NULL, later_top },
};

static const struct section *find_section(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        if (strcmp(sections[i].name, name) == 0)
            return &sections[i];
    }
    return NULL;
}

const struct catalog_key *spec_section_keys(const char *name)
{
    const struct section *section = find_section(name);

    return section == NULL ? NULL : section->keys;
}

static bool is_later(const char *section, const char *name)
{
    const struct section *found = find_section(section);

    for (size_t i = 0;
         found != NULL && found->later != NULL && found->later[i] != NULL;
         i++) {
        if (strcmp(found->later[i], name) == 0)
            return true;
    }
    return false;
}

/* ---- where else a key is known ---------------------------------------- */

/* Words of other tools, and keys that people put a level too high. */
static const struct {
    const char *name, *place;
} elsewhere[] = {
    { "random_seed", "strategy.seed (search) or replicates.seeds (methods)" },
    { "program", "the body: merge:, train: or stages:" },
    { "early_terminate", "early_stop, which is not in this version" },
    { "run_cap", "limits.trials" },
    { "algorithm", "strategy" },
    { "tasks", "evaluate" },
    { "method", "strategy.method" },
    { "metric", "objective.metric" },
    { "models", "merge.models" },
    { "slices", "merge.slices" },
    { "dtype", "merge.dtype" },
    { "apiVersion", "nothing: a sweep file is no Kubernetes object yet" },
};

static bool has_key(const struct catalog_key *keys, const char *name)
{
    for (; keys != NULL && keys->name != NULL; keys++) {
        if (strcmp(keys->name, name) == 0)
            return true;
    }
    return false;
}

/* "merge.parameters.lambda": two levels say enough. */
static char *place_in_kind(const struct catalog_kind *kind, const char *name)
{
    if (has_key(kind->keys, name))
        return xasprintf("%s.%s", kind->name, name);
    for (const struct catalog_key *k = kind->keys; k->name != NULL; k++) {
        if (k->type == KEY_MAP && has_key(k->keys, name))
            return xasprintf("%s.%s.%s", kind->name, k->name, name);
    }
    return NULL;
}

static char *find_elsewhere(const struct spec *s, const char *here,
                            const char *name)
{
    char *place = NULL;

    for (size_t i = 0; i < COUNT_OF(elsewhere); i++) {
        if (strcmp(elsewhere[i].name, name) == 0)
            return xstrdup(elsewhere[i].place);
    }
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        if (strcmp(sections[i].name, here) == 0)
            continue;
        if (has_key(sections[i].keys, name))
            return xasprintf("%s.%s", sections[i].name, name);
        if (*here != '\0' && strcmp(sections[i].name, name) == 0)
            return xasprintf("the top of the file: %s:", name);
    }
    for (size_t i = 0; s->catalog->kinds[i] != NULL && place == NULL; i++) {
        if (s->catalog->kinds[i]->example != NULL)
            place = place_in_kind(s->catalog->kinds[i], name);
    }
    return place;
}

static size_t count_keys(const struct catalog_key *keys)
{
    size_t count = 0;

    while (keys != NULL && keys[count].name != NULL)
        count++;
    return count;
}

/* Keys that may stand at the top: sections and bodies. */
static const char **top_words(const struct spec *s)
{
    const char **words = NULL;
    size_t kinds = 0;
    size_t n = 0;

    while (s->catalog->kinds[kinds] != NULL)
        kinds++;
    words = xcalloc(COUNT_OF(sections) + kinds + 1, sizeof *words);
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        if (*sections[i].name != '\0' && strchr(sections[i].name, '.') == NULL)
            words[n++] = sections[i].name;
    }
    for (size_t i = 0; i < kinds; i++) {
        const char *name = s->catalog->kinds[i]->name;

        if (catalog_find_body(s->catalog, name) != NULL)
            words[n++] = name;
    }
    return words;
}

static const char **key_words(const struct catalog_key *keys)
{
    size_t count = count_keys(keys);
    const char **words = xcalloc(count + 1, sizeof *words);

    for (size_t i = 0; i < count; i++)
        words[i] = keys[i].name;
    return words;
}

void spec_unknown_key(struct spec *s, const char *section,
                      const struct catalog_key *keys,
                      const struct yaml_node *key)
{
    bool top = section != NULL && *section == '\0';
    AUTO(free_pointer)
    const char **words = top ? top_words(s) : key_words(keys);
    AUTO(free_pointer) char *place = NULL;
    struct spec_problem *p;

    if (section != NULL && is_later(section, key->text)) {
        p = problem_add(s->problems, PROBLEM_LATER, key->place,
                        "`%.60s` is not in this version", key->text);
        problem_suggest(p, "remove it for now");
        return;
    }
    p = problem_add(s->problems, PROBLEM_UNKNOWN_KEY, key->place,
                    "\"%.60s\" has no meaning here", key->text);
    problem_nearest(p, key->text, words);
    if (p->suggestion[0] == '\0')
        place = find_elsewhere(s, section == NULL ? "?" : section, key->text);
    if (place != NULL)
        problem_suggest(p, "this key belongs at %s", place);
    problem_known(p, words);
}

bool spec_check_name(struct spec *s, const struct yaml_node *key,
                     const char *what, bool plain)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789-.";
    static const char *const operators[] = { "and", "or",   "not",
                                             "in",  "true", "false" };
    size_t length = strlen(key->text);
    bool good = length > 0 && length < LIMIT_NAME &&
                strspn(key->text, letters) == length &&
                strchr("0123456789-.", key->text[0]) == NULL;

    if (plain && strpbrk(key->text, "-.") != NULL)
        good = false;
    for (size_t i = 0; plain && i < COUNT_OF(operators); i++) {
        if (strcmp(operators[i], key->text) == 0) {
            problem_suggest(problem_add(s->problems, PROBLEM_BAD_NAME,
                                        key->place,
                                        "`%s` has a meaning of its own in "
                                        "expressions",
                                        key->text),
                            "choose another name");
            return false;
        }
    }
    if (!good)
        problem_suggest(problem_add(s->problems, PROBLEM_BAD_NAME, key->place,
                                    "\"%.40s\" cannot be the name of %s",
                                    key->text, what),
                        "letters, digits and _%s, a letter first, at most %d",
                        plain ? "" : " - .", LIMIT_NAME - 1);
    return good;
}
