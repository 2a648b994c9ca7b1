/* draw.h -- a few of many rows, by chance that a seed fixes. */
#ifndef SINTER_JOBS_SELECT_DRAW_H
#define SINTER_JOBS_SELECT_DRAW_H

#include <stddef.h>
#include <stdint.h>

/* `count` of `n` rows, ascending; `use` names what they are for. */
void draw_rows(uint32_t seed, const char *use, size_t n, size_t count,
               uint32_t *ret_rows);

#endif
