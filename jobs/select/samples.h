/* samples.h -- the pool that data is selected from: instructions and answers of
 * a .jsonl file, or built-in tasks, as texts and as tokens.
 *
 * A sample's number is that of the item in the data (jobs/data.h), so what is
 * selected can be drawn from there. Texts that occur again are noted once the
 * pool is open, and so is what cannot be selected at all; `kept` are the
 * others, and all that follows is about them. */
#ifndef SINTER_JOBS_SELECT_SAMPLES_H
#define SINTER_JOBS_SELECT_SAMPLES_H

#include "common/digest.h"
#include "jobs/data_records.h"
#include "jobs/job_context.h"
#include "model/tokenizer.h"

#include <stddef.h>
#include <stdint.h>

/* How texts become one sequence, for keys: instruction, newline and input if
 * there is one, newline; then the answer. Prompts of {"prompt", "answer"} and
 * tasks stand as they are. */
extern const char select_template[];

struct select_sample {
    size_t line; /* of the file, from 1; 0: a task */
    /* With a NUL behind each. */
    struct data_span instruction, input, output;
    const char *invalid; /* why it cannot be selected; NULL: it can */
    size_t same_as;      /* the first with these texts; itself if it is that */

    /* Once encoded: the prompt, then the answer, and what the tokenizer puts
     * around a text, cut to the longest sequence. Valid until the next
     * encoding. */
    const int32_t *tokens; /* [prompt + answer]; NULL: not encoded */
    size_t prompt, answer; /* tokens of each, P and R */
    size_t instruction_first, instruction_count; /* tokens of the prompt */
};

struct select_record; /* of samples.c */

struct select_samples {
    size_t count;
    size_t kept_count;
    size_t *kept;  /* [kept_count] numbers of samples, ascending */
    bool answers;  /* training predicts answers only, not the whole text */
    bool built_in; /* tasks: bytes, whatever tokenizer there is */
    struct digest digest; /* of all texts and the template */

    struct select_record *records; /* [count] */
    char *texts;
    size_t texts_size, texts_room;
    int32_t *tokens;
    size_t tokens_count;
    size_t encoded_first, encoded_end; /* of `kept` */
};

/* `value`: the resolved `data` of a job. CORRUPT names file and line; INVALID:
 * data of another form, without end, or with nothing in it that can be
 * selected. */
MUST_CHECK struct status select_samples_open(
    const json_t *value, struct job_context *context,
    struct select_samples *ret_samples);
void select_samples_release(struct select_samples *s);

struct select_encoding {
    const struct tokenizer *tokenizer; /* NULL: bytes */
    size_t length;                     /* most tokens of a sequence */
};
/* Tokens for places [first, first + count) of `kept`, in place of those that
 * were encoded before. What has no row that predicts its answer becomes
 * invalid. INVALID: tasks for a tokenizer of its own, or text it does not
 * take. */
MUST_CHECK struct status select_samples_encode(struct select_samples *s,
                                               const struct select_encoding *e,
                                               size_t first, size_t count);

struct select_sample select_samples_get(const struct select_samples *s,
                                        size_t number);

/* Rows of the sequence that predict the answer: from *ret_first on. (The row of
 * a token predicts the next one.) */
static inline size_t select_sample_rows(const struct select_sample *s,
                                        size_t *ret_first)
{
    *ret_first = s->prompt - 1;
    return s->answer;
}

/* Part `part` of `parts` of `count` things: [*ret_first, the result). */
static inline size_t select_part(size_t count, size_t part, size_t parts,
                                 size_t *ret_first)
{
    *ret_first = count / parts * part + count % parts * part / parts;
    part++;
    return count / parts * part + count % parts * part / parts;
}

#endif
