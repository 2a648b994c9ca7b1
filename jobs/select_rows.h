/* select_rows.h -- the hidden states of a block's samples: all of them, or
 * those that are compared, which predict the answer or the instruction. */
#ifndef SINTER_JOBS_SELECT_ROWS_H
#define SINTER_JOBS_SELECT_ROWS_H

#include "jobs/select/jsd.h"
#include "jobs/select_pass.h"

struct select_rows {
    struct select_work *work; /* given */
    bool whole;               /* given: all rows of a sample */
    enum jsd_form form;       /* else */
    size_t width;

    /* Of the block that was filled last. */
    size_t first;
    uint32_t answer[SELECT_BLOCK], prompt[SELECT_BLOCK], count[SELECT_BLOCK];
    size_t starts[SELECT_BLOCK + 1];
    float *states; /* [starts[samples]][width] */

    /* Told all states of a sample; may be NULL. */
    void (*pool)(void *self, size_t place, const float *states);
    void *self;
};

/* Rows of a sample's sequence, from *ret_first on. */
size_t select_rows_of(const struct select_rows *r,
                      const struct select_sample *s, size_t *ret_first);
/* Reads the form, counts the rows of all samples of the part into its `starts`,
 * and opens the pass. */
MUST_CHECK struct status select_rows_open(struct select_rows *r);
void select_rows_release(struct select_rows *r);
MUST_CHECK struct status select_rows_fill(struct select_rows *r, size_t first,
                                          size_t count);

/* Rows of the part's largest block; starts are there. */
size_t select_rows_most(const struct select_part *p);
/* Of a job that made a part: how much it was. */
json_t *select_part_result(const struct select_work *w, const char *artifact);

#endif
