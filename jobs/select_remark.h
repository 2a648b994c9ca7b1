/* select_remark.h -- which route a selection will take, for `plan`. */
#ifndef SINTER_JOBS_SELECT_REMARK_H
#define SINTER_JOBS_SELECT_REMARK_H

#include "common/json.h"

/* catalog_kind.remark() of `select`. */
void select_remark(const json_t *params, char *ret_text, size_t size);

#endif
