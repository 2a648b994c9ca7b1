/* data.h -- what a model is trained or measured on: built-in tasks or the
 * bytes of a text file, as sequences of tokens. */
#ifndef SINTER_JOBS_DATA_H
#define SINTER_JOBS_DATA_H

#include "jobs/job_context.h"
#include "model/batch.h"
#include "model/tasks.h"
#include "sweep/catalog.h"

/* Keys of the map behind `data:`. */
extern const struct catalog_key data_keys[];

/* For the kinds' normalise(): checks the map at `body`.data and writes out
 * what defaults mean; `split` is the default one. False: `ret_problem`. */
bool data_normalise(json_t *body, const char *split,
                    struct catalog_problem *ret_problem);

enum { DATA_ANY_LENGTH = 512 }; /* tokens of a window if nothing says it */

struct data {
    bool tasks; /* else text */
    struct task_mix mix;
    bool answers;   /* only answers are predicted */
    uint64_t items; /* items or windows there are; 0: without end */
    char *text;
    size_t size;
    size_t window; /* most tokens of a sequence */
};

/* `value`: the resolved `data` of a job. `window`: most tokens of a sequence;
 * 0: as long as items are, DATA_ANY_LENGTH for text. INVALID: empty data, or
 * items that do not fit. */
MUST_CHECK struct status data_open(const json_t *value, size_t window,
                                   struct job_context *context,
                                   struct data *ret_data);
void data_release(struct data *d);

/* Sequence `index` of the data (modulo their number) put into a batch; false:
 * the batch is full. */
MUST_CHECK struct status data_add(const struct data *d, uint64_t index,
                                  struct batch *b, bool *ret_added);
/* The same from a random place, for training: tasks come in order, windows of
 * a text by `seed`. */
MUST_CHECK struct status data_draw(const struct data *d, uint32_t seed,
                                   uint64_t index, struct batch *b,
                                   bool *ret_added);

#endif
