/* unicode_fold.h -- letters without their accents and in lower case, as
 * encoders of text without case want them. */
#ifndef SINTER_MODEL_UNICODE_FOLD_H
#define SINTER_MODEL_UNICODE_FOLD_H

#include "model/unicode.h"

enum { UNICODE_FOLDED = 4 };

/* What a code point becomes: decomposed, marks left out, in lower case.
 * Returns how many there are; a mark becomes nothing. */
size_t unicode_fold(uint32_t c, uint32_t ret_folded[UNICODE_FOLDED]);

/* Category P, and all of ASCII that is neither letter, digit, blank nor
 * control character. */
bool unicode_is_punctuation(uint32_t c);
/* Control, format and private use; tab and the ends of lines are blanks. */
bool unicode_is_control(uint32_t c);

/* --- model/unicode_folds.c, which is generated ------------------------------ */

/* Every `step`th from `first` to `last` becomes `to`, the next `to` + `rise`. */
struct unicode_run {
    uint32_t first, last, step, to, rise;
};
struct unicode_parts {
    uint32_t from, to[3]; /* 0: no more */
};
extern const struct unicode_run unicode_runs[];     /* sorted, disjoint */
extern const struct unicode_parts unicode_parted[]; /* by `from` */
extern const struct unicode_range unicode_marks[], unicode_punctuation[],
    unicode_controls[];
extern const size_t unicode_runs_count, unicode_parted_count,
    unicode_marks_count, unicode_punctuation_count, unicode_controls_count;

#endif
