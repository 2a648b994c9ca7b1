/* select_keys.h -- rows of the tables of keys that the stages of a selection
 * share. No file names these stages; `select` makes them. */
#ifndef SINTER_JOBS_SELECT_KEYS_H
#define SINTER_JOBS_SELECT_KEYS_H

#include "jobs/data.h"
#include "jobs/select_part.h"

/* What select_jsd, select_ifd and select_length say of each sample. */
enum { SELECT_ANSWER, SELECT_DAMAGE, SELECT_PROMPT, SELECT_DAMAGE_COLUMNS };
extern const struct select_column select_damage_columns[SELECT_DAMAGE_COLUMNS];

/* What select_hidden says, of states so wide. */
enum {
    SELECT_HIDDEN_ANSWER,
    SELECT_HIDDEN_PROMPT,
    SELECT_HIDDEN_ROWS,
    SELECT_HIDDEN_STATES,
    SELECT_HIDDEN_SUMMED,
    SELECT_HIDDEN_COLUMNS
};
#define SELECT_HIDDEN_TABLE(width_)                                     \
    {                                                                   \
        [SELECT_HIDDEN_ANSWER] = { "answer", DTYPE_U32, 1, false },     \
        [SELECT_HIDDEN_PROMPT] = { "prompt", DTYPE_U32, 1, false },     \
        [SELECT_HIDDEN_ROWS] = { "rows", DTYPE_U32, 1, false },         \
        [SELECT_HIDDEN_STATES] = { "states", DTYPE_F32, width_, true }, \
        [SELECT_HIDDEN_SUMMED] = {                                      \
            "summed",                                                   \
            DTYPE_F32,                                                  \
            width_,                                                     \
            false                                                       \
        }                                                               \
    }

/* Jobs whose artifacts are read. */
extern const struct catalog_key select_job_row[];
extern const char *const select_form_words[]; /* of `jsd` */

#define SELECT_POOL_KEYS                                                    \
    { .name = "data",                                                       \
      .type = KEY_DATA,                                                     \
      .required = true,                                                     \
      .keys = data_keys,                                                    \
      .help = "what is selected from" },                                    \
        { .name = "version",                                                \
          .type = KEY_TEXT,                                                 \
          .help = "of what is computed; another one gives other numbers" }, \
    {                                                                       \
        .name = "length", .type = KEY_INTEGER, .least = 2,                  \
        .most = LIMIT_SEQUENCE, .help = "most tokens of a sample"           \
    }

#define SELECT_FORM_KEY                                                   \
    {                                                                     \
        .name = "jsd", .type = KEY_WORD, .words = select_form_words,      \
        .help = "mean_answer: mean over the tokens of the answer; "       \
                "sum_instruction: sum over those of the instruction, as " \
                "released"                                                \
    }

#define SELECT_PART_KEYS                                  \
    { .name = "part",                                     \
      .type = KEY_INTEGER,                                \
      .least = 0,                                         \
      .most = SELECT_PARTS - 1,                           \
      .help = "which samples, from 0" },                  \
    {                                                     \
        .name = "parts", .type = KEY_INTEGER, .least = 1, \
        .most = SELECT_PARTS, .help = "of so many"        \
    }

/* Of `select` as well, which passes them on. */
#define SELECT_SIGMA_KEY                                                       \
    {                                                                          \
        .name = "sigma_scale", .type = KEY_NUMBER, .least = 1e-6, .most = 1e6, \
        .otherwise = "1",                                                      \
        .help = "of the median distance: the width of the kernel"              \
    }
#define SELECT_TIME_KEY                                                \
    {                                                                  \
        .name = "time", .type = KEY_NUMBER, .least = 0.0, .most = 1e6, \
        .otherwise = "0", .help = "steps of diffusion"                 \
    }

#endif
