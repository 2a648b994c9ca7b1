/* merge_case.h -- every merge method in every form, on small models: what
 * holds for all of them is tested on all of them. */
#ifndef SINTER_TESTS_SUPPORT_MERGE_CASE_H
#define SINTER_TESTS_SUPPORT_MERGE_CASE_H

#include "jobs/merge/merge_run.h"
#include "support/small_model.h"

enum { MERGE_TASKS = 3 };

/* A base and tasks near it, under the names "base", "a", "b", "c". */
struct merge_models {
    struct small_model base;
    struct small_model tasks[MERGE_TASKS];
};

/* A tensor of several chunks with a rest, one element, a scalar, an empty
 * one, integers. */
extern const struct small_row merge_model_rows[];
struct merge_models merge_models_new(const struct small_row *rows);
void merge_models_release(struct merge_models *m);
/* The same as cmocka's setup and teardown of a test. */
int merge_models_set_up(void **state, const struct small_row *rows);
int merge_models_tear_down(void **state);

/* A method with a rescale rule and perhaps a word of an option. */
struct merge_case {
    const struct merge_method *method;
    const char *rule;                  /* NULL: takes none */
    const struct merge_choice *choice; /* NULL: all words are the defaults */
    int word;
};

/* The first one after `c`, which starts with method NULL; false: no more. */
bool merge_case_next(struct merge_case *c);
/* "ties/original elect=sum"; returns `text`. */
const char *merge_case_name(const struct merge_case *c, char *text,
                            size_t size);
/* A body of it. Fusable numbers differ from point to point, up to 6. */
json_t *merge_case_body(const struct merge_case *c, size_t point);

/* What the configuration reads, by the names of its models. */
struct merge_inputs merge_inputs_of(const struct merge_models *m,
                                    const struct merge_config *config);

/* Merged models in memory: a block for each tensor and point. */
struct merge_output {
    struct merge *merge;
    const struct tensor_set *layout;
    size_t points;
    void **targets[MERGE_POINTS];
};

/* Merge bodies that are points of one pass; `bodies` stay the caller's. */
MUST_CHECK struct status merge_output_make(const struct merge_models *m,
                                           json_t *const *bodies, size_t points,
                                           const struct merge_runtime *runtime,
                                           struct merge_output *ret_output);
/* Points first ... first + points - 1 of a case. */
MUST_CHECK struct status merge_output_of(const struct merge_models *m,
                                         const struct merge_case *c,
                                         size_t first, size_t points,
                                         const struct merge_runtime *runtime,
                                         struct merge_output *ret_output);
void merge_output_release(struct merge_output *o);
/* The first tensor in which two points differ; NULL: none. */
const char *merge_output_differs(const struct merge_output *a, size_t point,
                                 const struct merge_output *b, size_t other);

#endif
