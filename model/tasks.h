/* tasks.h -- small text tasks made from numbers: nothing to download, every
 * item a function of (seed, index).
 *
 *     r:kdqa=aqdk        reverse
 *     s:kdqa=adkq        sort
 *     a:3751+9468=2119   add, each digit modulo 10
 *     c:([]{<=>})        close
 *
 * A question belongs to the test split or to the training split by a hash of
 * its text, so no item of one split can occur in the other, whatever the
 * seeds. */
#ifndef SINTER_MODEL_TASKS_H
#define SINTER_MODEL_TASKS_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

enum {
    TASKS_MOST = 8,     /* rows */
    TASKS_LONGEST = 64, /* symbols of a question */
    TASK_TEXT = 16 + 4 * TASKS_LONGEST,
};

enum task_split { SPLIT_TRAIN, SPLIT_TEST };

/* Draws of one item, one after the other. */
struct task_draw;

struct task {
    const char *name;    /* in sweep files: never changes */
    char sign;           /* in front of the question */
    const char *summary; /* one line */
    /* Question and answer for `length` symbols; both have room for
     * TASK_TEXT. */
    void (*make)(struct task_draw *draw, size_t length, char *ret_question,
                 char *ret_answer);
};
extern const struct task tasks[]; /* ends with a NULL name */
/* Its place in `tasks`; -1 if there is none. */
int tasks_find(const char *name);

struct task_mix {
    double weights[TASKS_MOST]; /* by place in `tasks`; 0: not in it */
    enum task_split split;
    uint32_t seed;
    uint32_t shortest, longest; /* symbols of a question */
};

struct task_item {
    char text[2 * TASK_TEXT]; /* "s:kdqa=adkq" */
    size_t size;
    size_t answer; /* where it begins in `text` */
    int task;
};

/* INVALID: no weight above 0, bounds crossed or beyond TASKS_LONGEST. */
MUST_CHECK struct status tasks_check(const struct task_mix *mix);
/* Item `index` of a mix that was checked. INVALID if a split has next to no
 * questions of that length. */
MUST_CHECK struct status tasks_item(const struct task_mix *mix, uint64_t index,
                                    struct task_item *ret_item);
/* Most tokens an item of the mix takes, begin and end included. */
size_t tasks_longest(const struct task_mix *mix);

#endif
