/* embed.h -- samples as points: what their instructions are about.
 *
 * Rows have length 1, or are all zero if there was nothing to embed (an empty
 * text), which callers put into a cluster of its own. Row i belongs to
 * s->kept[first + i]; rows do not depend on how a pool is cut into ranges. */
#ifndef SINTER_JOBS_SELECT_EMBED_H
#define SINTER_JOBS_SELECT_EMBED_H

#include "jobs/select/samples.h"

/* Of keys: raised when the numbers change. */
extern const char select_embed_version[];

bool select_embed_is_zero(const float *row, size_t width);

/* Length 1, once `mean` [width] is taken off (NULL: nothing); zeros if nothing
 * but rounding is left. */
void select_unit(float *row, size_t width, const double *mean);

/* --- tfidf ------------------------------------------------------------------ */

/* Words and pairs of neighbours, hashed into signed buckets. */
enum { SELECT_TFIDF_WIDTH = 1 << 12 };
/* All of s->kept: [kept_count][SELECT_TFIDF_WIDTH]. */
void select_tfidf(const struct select_samples *s, float *ret_rows);

/* --- hidden ----------------------------------------------------------------- */

/* The mean of `rows` states [rows][width], those of a sample's instruction. By
 * ranges; 0 rows give zeros. */
void select_pool(const float *hidden, size_t rows, size_t width,
                 float *ret_row);
/* All of them, once all are there: the mean of those that are not zero taken
 * off, then length 1. A pool of equal rows becomes zeros, and so do rows that
 * are not finite: what a broken model says of them cannot be compared. */
void select_centre(float *rows, size_t count, size_t width);

/* --- minilm ----------------------------------------------------------------- */

struct select_minilm; /* opaque: a BERT encoder and its words */

/* A local model directory: config.json of "model_type": "bert", its tensors,
 * and tokenizer.json or vocab.txt. INVALID or CORRUPT names file and key. */
MUST_CHECK struct status select_minilm_open(const char *directory,
                                            struct select_minilm **ret_minilm);
void select_minilm_close(struct select_minilm *m); /* NULL is fine */
size_t select_minilm_width(const struct select_minilm *m);
/* Places [first, first + count) of s->kept: [count][width]. CANCELLED. */
MUST_CHECK struct status select_minilm_embed(const struct select_minilm *m,
                                             const struct select_samples *s,
                                             size_t first, size_t count,
                                             struct job_context *context,
                                             float *ret_rows);

#endif
