#include "sweep/pairs.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static bool is_name_part(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/* Does a metric of the evaluator stand in the expression? */
static bool names_metric_of(const char *expr, const char *evaluator)
{
    size_t size = strlen(evaluator);

    for (const char *at = strstr(expr, evaluator); at != NULL;
         at = strstr(at + 1, evaluator)) {
        if ((at == expr || !is_name_part(at[-1])) && at[size] == '.')
            return true;
    }
    return false;
}

/* Formulas stand behind what they name. */
static bool is_of_pairs(const json_t *list, size_t i, const bool *before)
{
    const json_t *e = json_array_get(list, i);
    const char *expr = json_text_or(e, "expr", "");

    for (size_t k = 0; k < i; k++) {
        const json_t *other = json_array_get(list, k);

        if (before[k] && names_metric_of(expr, json_text_or(other, "name", "")))
            return true;
    }
    return json_object_get(e, "across") != NULL;
}

size_t pairs_of_metric(const json_t *document, const char *metric)
{
    const json_t *list = json_object_get(document, "evaluate");
    size_t size = strcspn(metric, ".");
    AUTO(free_pointer)
    bool *pairs = xcalloc(json_array_size(list) + 1, sizeof *pairs);

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_text_or(json_array_get(list, i), "name", "");

        pairs[i] = is_of_pairs(list, i, pairs);
        if (strlen(name) == size && strncmp(name, metric, size) == 0)
            return pairs[i] ? (size_t)json_int_or(
                                  json_object_get(document, "replicates"),
                                  "count", 1)
                            : 0;
    }
    return 0;
}
