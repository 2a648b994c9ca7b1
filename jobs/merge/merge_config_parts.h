/* merge_config_parts.h -- a merge's body while it is read; for
 * merge_config*.c and merge_body*.c only. */
#ifndef SINTER_JOBS_MERGE_CONFIG_PARTS_H
#define SINTER_JOBS_MERGE_CONFIG_PARTS_H

#include "jobs/merge/merge_config.h"

struct merge_reader {
    const json_t *body;
    bool open; /* references may stand for scalars */
    struct merge_config *c;
    struct catalog_problem *problem;
};

/* A place of a body as text, cut where it ends. */
void merge_path(char *path, size_t size, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Is it what the others are compared with, so not merged itself? */
bool merge_is_base(const struct merge_config *c, const json_t *slice,
                   const json_t *model);
/* Of a slice, or with NULL of the whole. */
const json_t *merge_base_of(const struct merge_config *c, const json_t *slice);
/* Among config->models; SIZE_MAX: none of them. */
size_t merge_index_of(const struct merge_config *c, const json_t *model);
bool merge_need_base(const struct merge_reader *r, const char *path);
/* Are there as many as the method takes? */
bool merge_check_count(const struct merge_reader *r, size_t count,
                       const char *path);

bool merge_read_slices(struct merge_reader *r, const json_t *slices);
/* Numbers, flags and words of all levels. */
bool merge_config_check_values(struct merge_config *c, const json_t *body,
                               bool open, struct catalog_problem *problem);

#endif
