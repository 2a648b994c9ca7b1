/* view.h -- which values and metrics of a sweep are worth a column. Pure. */
#ifndef SINTER_CLI_VIEW_H
#define SINTER_CLI_VIEW_H

#include "common/json.h"

#include <stddef.h>

/* Names of what varies, in the order of the file: "case", the parameters with
 * more than one value, "seed". `spec` is the compiled document. */
json_t *view_varying(const json_t *spec);

/* Metrics by importance: the objective, those its expression names, the rest.
 * `ret_main`: how many of them are the objective or behind it. */
json_t *view_metrics(const json_t *spec, size_t *ret_main);

/* NULL if the sweep names none. */
const char *view_objective(const json_t *spec, bool *ret_maximize);

#endif
