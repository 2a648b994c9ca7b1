/* catalog.h -- what the sweep compiler must know of a job kind.
 *
 * The kinds themselves live in jobs/; sweep/ sees only this table, so the
 * broker (which links sweep/ but no kind) never does. */
#ifndef SINTER_SWEEP_CATALOG_H
#define SINTER_SWEEP_CATALOG_H

#include "common/json.h"
#include "common/status.h"

#include <stddef.h>

/* How a stage's result comes to be. */
enum stage_sort {
    STAGE_LAZY,     /* a recipe, realised inside the job that consumes it */
    STAGE_ARTIFACT, /* scheduled; bytes in the depot */
    STAGE_VALUE,    /* scheduled; named numbers */
};

/* What may stand behind a key. Any scalar may also be a $reference, whose
 * values are then checked one by one. */
enum key_type {
    KEY_TEXT,
    KEY_WORD,    /* one of `words` */
    KEY_INTEGER, /* least ... most */
    KEY_NUMBER,  /* least ... most */
    KEY_BOOL,
    KEY_DURATION, /* "20m"; becomes integer milliseconds */
    KEY_BYTES,    /* "5GiB"; becomes an integer */
    KEY_MODEL,    /* a source name, URL, $stages.x.model; or one of `words`,
                    if there are some */
    KEY_DATA,     /* a source name, URL, or map with `keys` (built-in data) */
    KEY_MAP,      /* of `keys` */
    KEY_MAP_OF,   /* any names, each value as the single row of `keys` */
    KEY_LIST,     /* each item as the single row of `keys` */
    KEY_DEPTH,    /* mergekit value: number, list over depth, or list of
                    {filter, value}; with `words` true or false */
    KEY_ANY,      /* whatever YAML says */
};

struct catalog_key {
    const char *name; /* "*" in the row of a KEY_LIST or KEY_MAP_OF */
    enum key_type type;
    bool required;
    double least, most;       /* KEY_INTEGER, KEY_NUMBER; both 0: any */
    const char *otherwise;    /* default as JSON text; NULL: none, key absent */
    const char *const *words; /* KEY_WORD; NULL-terminated */
    const struct catalog_key *keys; /* ends with a NULL name */
    const char *help;               /* one line */
};

/* A fault in a body that no single key shows ("density in (0, 1] needed by
 * ties"). `path` is a JSON pointer into the body: "/models/1/parameters". */
struct catalog_problem {
    char path[256];
    char message[256];
    char suggestion[128]; /* "" if none */
};

struct catalog_kind {
    const char *name;    /* "merge", "train", "evaluate.accuracy": on the wire,
                            never changes */
    const char *summary; /* one line */
    const char *example; /* a body as YAML that must check clean: tests do.
                            NULL: no file names the kind, programs make it */
    enum stage_sort sort;
    bool gives_data; /* $stages.NAME.data, and not .model */
    const struct catalog_key *keys;
    /* Keys (top level of the body) that decide which other keys mean
     * something, e.g. merge_method. A $reference there is expanded into one
     * variant of the stage per value. NULL-terminated; NULL: none. */
    const char *const *structural;

    /* Called on a body whose structural keys are plain values and whose other
     * scalars may be {"$param": ...}, before it is stored as a template:
     * check it as a whole, fill what defaults cannot say, and remove keys
     * that have no meaning here, so that equal work has equal keys. The body
     * holds {"$source":..}, {"$stage":..} for models. `seed` of the replicate
     * is offered as {"$param": "seed"} by the kind itself where it draws and
     * the body gives none. Pure. False: `ret_problem` is set. May be NULL. */
    bool (*normalise)(json_t *body, struct catalog_problem *ret_problem);
    /* The same for fully resolved parameters: ranges that depend on each
     * other. Called by the CLI for each distinct job of small sweeps. May be
     * NULL. */
    bool (*check)(const json_t *params, struct catalog_problem *ret_problem);
    /* JSON pointers into a normalised body, as a new array. Of a lazy kind:
     * recipes that differ in nothing else can be realised in one pass over
     * their inputs; of an artifact: its jobs are best done by one slot, one
     * behind the other. NULL: there are none. May be NULL. */
    json_t *(*fusable)(const json_t *body);
    /* Stages that have to run before a normalised body can be realised or
     * run, as a new array of {"name", "kind", "params"} in order. Each may
     * name those before it, and the body, which is changed, any of them by
     * {"$stage"}; names begin with that of the stage. NULL: none. May be
     * NULL. */
    json_t *(*before)(json_t *body, const char *stage);
    /* Names of the numbers an evaluator gives, as a new array; of an artifact
     * those a file may name (`again.loss_after`). NULL: none. */
    json_t *(*metrics)(const json_t *body);
    /* A sentence of `plan` on how resolved parameters will be carried out,
     * which the file leaves open; "" if there is none. May look at local
     * files. May be NULL. */
    void (*remark)(const json_t *params, char *ret_text, size_t size);
    /* Memory the job takes in bytes for resolved parameters, and a name for
     * its size; 0: unknown. May be NULL. */
    int64_t (*memory)(const json_t *params);
};

/* For normalise() and check(). Fills the problem and returns false. */
bool catalog_refuse(struct catalog_problem *problem, const char *path,
                    const char *suggestion, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* The problem was found in a part of the body: `path` goes in front. False. */
bool catalog_refuse_below(struct catalog_problem *problem, const char *path);

struct catalog {
    const struct catalog_kind *const *kinds; /* NULL-terminated */
};

/* NULL if there is none. */
const struct catalog_kind *catalog_find(const struct catalog *c,
                                        const char *name);
/* The same, of kinds that a file may name. */
const struct catalog_kind *catalog_find_written(const struct catalog *c,
                                                const char *name);
/* The same, of those whose name is the key of a body: evaluators have a
 * section of their own. */
const struct catalog_kind *catalog_find_body(const struct catalog *c,
                                             const char *name);

#endif
