/* data.h -- what a model is trained or measured on, as sequences of tokens or
 * as images: built-in tasks, or files. One form of data is one row of the
 * table in data.c and one file. */
#ifndef SINTER_JOBS_DATA_H
#define SINTER_JOBS_DATA_H

#include "jobs/job_context.h"
#include "model/batch.h"
#include "model/images.h"
#include "model/tasks.h"
#include "model/tokenizer.h"
#include "sweep/catalog.h"

/* Keys of the map behind `data:`. */
extern const struct catalog_key data_keys[];

/* For the kinds' normalise(): checks the map at `body`.data, writes out what
 * defaults mean and refuses keys its form does not know; `split` is the
 * default one. False: `ret_problem`. */
bool data_normalise(json_t *body, const char *split,
                    struct catalog_problem *ret_problem);

enum { DATA_ANY_LENGTH = 512 }; /* tokens of a window if nothing says it */

/* Tokens of one long text, or of items one behind the other. */
struct data_tokens {
    char *bytes;     /* [count] of a text as it is; or */
    int32_t *tokens; /* [count] */
    size_t count;
    int32_t begin; /* stands in front of a window; -1: nothing does */

    /* Items: where each begins, and which of its tokens is the first that
     * is to be predicted. */
    size_t *starts; /* [items + 1]; NULL: one text */
    size_t *first;  /* [items] */

    /* Choices: an item is a question with one of them behind it. */
    size_t questions;
    size_t *choices; /* [questions + 1] where those of each begin, in items */
    size_t *right;   /* [questions] the item that is the answer */
    size_t *lengths; /* [items] bytes of the choice */
};

struct data_form; /* see data_parts.h */

struct data {
    const struct data_form *form;
    char *url;       /* of its file, for messages; NULL: it is made */
    uint64_t items;  /* items, windows or images; 0: without end */
    size_t window;   /* most tokens of a sequence; 1 for images */
    size_t stride;   /* tokens of a text from window to window */
    size_t together; /* items of a batch; those an epoch has left over are
                        not drawn */
    bool answers;    /* of tasks: only answers are predicted */
    bool vary;       /* images are moved and mirrored when drawn */
    struct task_mix mix;
    const struct tokenizer *tokenizer; /* of text that is made when drawn */
    struct data_tokens tokens;
    struct images images;
};

/* How the data is to be read. */
struct data_use {
    size_t window;    /* most tokens of a sequence; 0: as long as items are,
                         DATA_ANY_LENGTH for text */
    size_t positions; /* of the model; 0: any. Bounds that default. */
    const struct tokenizer *tokenizer; /* NULL: bytes. Must outlive the data */
};

/* `value`: the resolved `data` of a job. INVALID: empty data, or items that do
 * not fit; CORRUPT names file and offset or line. */
MUST_CHECK struct status data_open(const json_t *value,
                                   const struct data_use *use,
                                   struct job_context *context,
                                   struct data *ret_data);
void data_release(struct data *d);

bool data_has_images(const struct data *d);
/* INVALID if the model takes something else: tokens or images, of another
 * size, more classes or tokens beyond its vocabulary. */
MUST_CHECK struct status data_check(const struct data *d,
                                    const struct model *m);
/* Room for `count` items at a time. */
struct pass_room data_room(const struct data *d, size_t count, bool gradients);
/* A batch for so many, and an order of drawing that fits it. INVALID if there
 * are fewer images or items. */
MUST_CHECK struct status data_batch(struct data *d, size_t count,
                                    struct batch *ret_batch);

/* Windows of a text begin every `stride` tokens (0: as long as they are), and
 * what an earlier one has predicted is not predicted again. With `whole` a
 * shorter one at the end is left out. INVALID if none is left, or if it is no
 * text. */
MUST_CHECK struct status data_stride(struct data *d, size_t stride, bool whole);

/* Item `index` of the data (modulo their number) put into a batch; false: the
 * batch is full. */
MUST_CHECK struct status data_add(const struct data *d, uint64_t index,
                                  struct batch *b, bool *ret_added);
/* The same for training: tasks come in order, windows of a text from random
 * places, images and items of a file once in each epoch, shuffled, all by
 * `seed`. */
MUST_CHECK struct status data_draw(const struct data *d, uint32_t seed,
                                   uint64_t index, struct batch *b,
                                   bool *ret_added);

#endif
