/* spec_parts.h -- a sweep file while it is compiled; for spec*.c only. */
#ifndef SINTER_SWEEP_SPEC_PARTS_H
#define SINTER_SWEEP_SPEC_PARTS_H

#include "common/limits.h"
#include "common/map.h"
#include "sweep/expr.h"
#include "sweep/problem.h"
#include "sweep/spec.h"
#include "sweep/yaml.h"

/* One way in which a named value comes about. */
struct domain {
    int room;                     /* index of the case it belongs to; -1: all */
    const struct yaml_node *node; /* where it is defined */
    const struct yaml_node *when; /* NULL: always */
    struct yaml_node **nodes;     /* its values, owned; NULL: an interval */
    size_t count;
    double least, most; /* of an interval */
    bool integer;
    json_t *json; /* its form in the document; NULL: set by the case */
};

enum declared_sort {
    DECLARED_PARAMETER,
    DECLARED_DERIVED,
    DECLARED_SEED,
    DECLARED_CASE,
};

/* What $name may mean. */
struct declared {
    const char *name;
    struct yaml_place place;
    enum declared_sort sort;
    struct domain *domains;
    size_t domain_count;
    bool used;
};

struct source {
    const char *name;
    struct yaml_place place;
    json_t *json; /* NULL: it had a mistake */
    bool used;
};

struct spec_stage {
    const char *name;
    struct yaml_place place;
    const struct catalog_kind *kind;
    const struct yaml_node *body;
    json_t *variants;
    json_t *metrics; /* numbers its job gives, as an array of texts */
    json_t *shown;   /* those of them that the file names; NULL: none */
    bool needed;
};

struct evaluator {
    const char *name;
    struct yaml_place place;
    const struct yaml_node *node;
    const struct catalog_kind *kind; /* NULL: an expression */
    json_t *variants;
    json_t *metrics; /* array of texts */
    const struct yaml_node *expr;
    struct expr *parsed;
    bool across; /* it compares replicates */
    int state;   /* while expressions are ordered: 0 new, 1 open, 2 placed */
};

/* A check of all values of one parameter that has been made. */
struct checked {
    struct catalog_key row; /* its type, range and words count */
    const struct declared *declared;
};

struct spec {
    const struct spec_input *input;
    const char *kind; /* of a file that is a body; NULL: a sweep file */
    const struct catalog *catalog;
    struct spec_problems *problems;
    struct yaml *yaml;
    struct yaml *extra[LIMIT_PARAMETERS]; /* of overrides; owned */
    size_t extra_count;
    struct yaml_node *root;
    json_t *document;

    struct declared *declared;
    size_t declared_count;
    struct map *names;             /* name -> index + 1 of `declared` */
    const struct yaml_pair *cases; /* of the file */
    size_t case_count;
    struct source *sources;
    size_t source_count;
    struct spec_stage stages[LIMIT_STAGES];
    size_t stage_count;
    struct evaluator evaluators[LIMIT_EVALUATORS];
    size_t evaluator_count;
    struct checked *checked;
    size_t checked_count;
    bool random;
    json_t *needs;    /* of every stage: "memory", "cpus", "labels" */
    int64_t trial_ms; /* of every stage; 0: not said */
    int64_t stall_ms; /* limits.stall: without progress; 0: any */
    int64_t replicates;
};

/* ---- spec_value.c: a node against a row of keys ------------------------ */

/* A parameter whose value is fixed in the variant that is being made. */
struct binding {
    struct declared *declared;
    const struct yaml_node *node; /* NULL: absent */
};

enum { SPEC_MOST_BINDINGS = 16 };

struct value_env {
    struct spec *s;
    const char *what;        /* name of the key, for messages */
    struct yaml_place owner; /* of the map's own key: what lacks a key */
    bool references;         /* $name may stand here */
    struct binding bindings[SPEC_MOST_BINDINGS];
    size_t binding_count;
    /* Not NULL: nothing is reported, parameters that must be fixed are noted
     * here. */
    struct declared **wanted;
    size_t wanted_count;
    const bool *rooms; /* cases this variant can occur in; NULL: all */
    const char *given; /* key of the outermost map that need not stand */
    /* Keys of the outermost map that others read, ends with NULL. */
    const char *const *skipped;
    const char *section; /* where later keys are looked up; NULL: none */
    size_t depth;
};

/* What the job gets; NULL when there is none: inactive, or a problem was
 * added. The caller decrefs. */
json_t *spec_value(struct value_env *e, const struct catalog_key *row,
                   const struct yaml_node *node);
/* A map of the file that takes no references. NULL only if it is no map. */
json_t *spec_section(struct spec *s, const char *name,
                     const struct catalog_key *keys,
                     const struct yaml_pair *pair);

/* $name or ${name} and nothing else: the name, else NULL. Freed by caller. */
char *spec_whole_reference(const struct yaml_node *node);
struct declared *spec_find(const struct spec *s, const char *name);
/* The one of that name, made if need be. Moves all others. */
struct declared *spec_declare(struct spec *s, const char *name,
                              struct yaml_place place, enum declared_sort sort);
/* Problem S021 with the nearest name; `dollar` is "$", or "" in expressions. */
void spec_undeclared(struct spec *s, struct yaml_place place, const char *name,
                     const char *dollar);
/* May `d` have a value in this case? 0 no, 1 yes, 2 it depends. */
int spec_presence(const struct declared *d, size_t room);
/* Does this domain count in this case? */
bool spec_domain_counts(const struct declared *d, const struct domain *domain,
                        size_t room);
size_t spec_rooms(const struct spec *s); /* at least 1 */

/* ---- spec_keys.c: names of keys ---------------------------------------- */

/* Problem S003 or S005 for a key that `keys` does not have. */
void spec_unknown_key(struct spec *s, const char *section,
                      const struct catalog_key *keys,
                      const struct yaml_node *key);
/* The tables of the fixed sections, by name; NULL: no such section. */
const struct catalog_key *spec_section_keys(const char *name);
/* Letters, digits, _ (and - . where `plain` is false), not too long; else a
 * problem. */
bool spec_check_name(struct spec *s, const struct yaml_node *key,
                     const char *what, bool plain);

/* ---- spec_text.c: texts with references -------------------------------- */

struct text_part {
    char *text; /* a literal, or a name */
    bool is_name;
};
struct text_parts {
    struct text_part *items;
    size_t count;
};
/* Parts of "a${b}c"; $$ is a dollar. False: a problem was added. */
bool spec_text_parts(struct spec *s, const struct yaml_node *node,
                     struct text_parts *ret_parts);
void spec_text_release(struct text_parts *parts);
/* The node as JSON with $$ as a dollar. */
json_t *spec_plain_json(const struct yaml_node *node);
/* ${out} and such, which the job fills in. */
bool spec_is_runtime_name(const char *name);

/* ---- the sections, in this order --------------------------------------- */

void spec_apply_overrides(struct spec *s); /* spec_vars.c */
bool spec_apply_vars(struct spec *s);      /* false: too large to go on */
void spec_read_sources(struct spec *s);    /* spec_source.c */
/* {"$source": ...} of a name or URL; NULL with a problem. New reference. */
json_t *spec_source_value(struct spec *s, const char *text,
                          struct yaml_place place);
void spec_warn_sources(struct spec *s);
void spec_read_space(struct spec *s); /* spec_space.c */
void spec_write_space(struct spec *s);
void spec_read_derive(struct spec *s); /* spec_expr.c */
void spec_read_conditions(struct spec *s);
void spec_read_stages(struct spec *s); /* spec_stage.c */
void spec_write_stages(struct spec *s);
/* Does a stage give this "NAME.METRIC"? Then its jobs' numbers are kept for
 * it. One whose stage had mistakes is not held against the file. */
bool spec_stage_metric(struct spec *s, const char *metric);
/* Into the written stages, when all of the file is read. */
void spec_write_stage_metrics(struct spec *s);
void spec_read_evaluators(struct spec *s); /* spec_evaluate.c */
void spec_write_evaluators(struct spec *s);
void spec_read_objective(struct spec *s);
void spec_read_report(struct spec *s);  /* spec_report.c */
void spec_check_trials(struct spec *s); /* spec_check.c */

/* Variants of a body, as the document has them; `metrics` (may be NULL)
 * gathers the numbers that the kind says it gives. What is given (key NULL: nothing)
 * is put into each; `skipped` (NULL: none) names keys that others read. */
struct spec_given {
    const char *key;
    json_t *value; /* borrowed */
};
json_t *spec_variants(struct spec *s, const struct catalog_kind *kind,
                      const struct yaml_node *body, struct yaml_place owner,
                      const char *const *skipped, struct spec_given given,
                      json_t *metrics);
/* The node of a body that a JSON pointer means, as far as it goes. */
const struct yaml_node *spec_node_at(const struct yaml_node *body,
                                     const char *path);

/* Problem S041 unless an evaluator or a stage gives it. */
bool spec_check_metric(struct spec *s, const char *metric,
                       struct yaml_place place);

/* An expression of the file: parsed, or NULL with a problem. */
struct expr *spec_parse_expr(struct spec *s, const struct yaml_node *node);
/* Where a part of an expression stands in the file. */
struct yaml_place spec_expr_place(const struct yaml_node *node,
                                  struct expr_place place);

#endif
