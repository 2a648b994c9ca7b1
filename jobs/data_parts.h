/* data_parts.h -- what the files of one form of data share. */
#ifndef SINTER_JOBS_DATA_PARTS_H
#define SINTER_JOBS_DATA_PARTS_H

#include "jobs/data.h"

enum { DATA_FORM_KEYS = 8 };

struct data_form {
    const char *name; /* of `builtin` or `format` */
    bool builtin;
    const char *keys[DATA_FORM_KEYS]; /* that mean something */
    /* Fills all of a zeroed `d` but form and together. */
    struct status (*open)(const json_t *value, const struct data_use *use,
                          struct job_context *context, struct data *d);
    struct status (*add)(const struct data *d, uint64_t index, struct batch *b,
                         bool *ret_added);
    struct status (*draw)(const struct data *d, uint32_t seed, uint64_t index,
                          struct batch *b, bool *ret_added);
};

extern const struct data_form data_form_tasks, data_form_prose,
    data_form_teacher; /* built in */
extern const struct data_form data_form_text, data_form_jsonl,
    data_form_tokens;                             /* files */
extern const struct data_form data_form_items;    /* jsonl of questions */
extern const struct data_form data_form_selected; /* what `select` chose */
extern const struct data_form data_form_idx, data_form_cifar10,
    data_form_cifar100;

/* By `builtin` or `format`, or else by the end of the file's name; NULL with
 * the known names if there is none. */
const struct data_form *data_form_of(const json_t *value, char *known,
                                     size_t size);
const char *data_form_url(const json_t *value); /* of its (first) file */

/* A file of the data, fetched and read: its bytes with a NUL behind them, the
 * caller frees. INVALID if it is empty, NO_MEMORY beyond the job's budget. */
MUST_CHECK struct status data_read(const json_t *source, size_t limit,
                                   struct job_context *context,
                                   const char **ret_path, char **ret_bytes,
                                   size_t *ret_size);

/* Number `index` of endless epochs, for items that come once in each. */
uint64_t data_place(const struct data *d, uint32_t seed, uint64_t index);
/* A text in `d`->tokens.bytes becomes windows of tokens. */
MUST_CHECK struct status data_cut_text(const struct data_use *use,
                                       struct data *d);
/* How long windows are: INVALID if nothing is left to predict. */
MUST_CHECK struct status data_set_window(const struct data_use *use,
                                         struct data *d);
/* The same for tokens that are there. */
MUST_CHECK struct status data_cut_windows(const struct data_use *use,
                                          struct data *d);
/* add() and draw() of windows of one text. */
MUST_CHECK struct status data_add_text(const struct data *d, uint64_t index,
                                       struct batch *b, bool *ret_added);
MUST_CHECK struct status data_draw_text(const struct data *d, uint32_t seed,
                                        uint64_t index, struct batch *b,
                                        bool *ret_added);

#endif
