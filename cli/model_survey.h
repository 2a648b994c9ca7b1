/* model_survey.h -- what the headers of models say before a byte of weights
 * is fetched: sizes, shapes, and where models of one merge do not fit. */
#ifndef SINTER_CLI_MODEL_SURVEY_H
#define SINTER_CLI_MODEL_SURVEY_H

#include "common/json.h"
#include "common/status.h"
#include "sources/source.h"

struct model_survey {
    /* by URL: {"bytes", "files", "parameters", "local",
     *          "tensors": {name: "32000x4096"} (models)} or {"error"} */
    json_t *sources;
    json_t *clashes; /* sentences */
};

/* `sources`: array of source objects; `document`: the compiled sweep. What
 * cannot be read is in `sources` as an error, not a failure. */
void model_survey_make(struct source_store *store, const json_t *sources,
                       json_t *document, struct model_survey *ret_survey);
void model_survey_release(struct model_survey *s);

/* Bytes of the sources that `json` (a stage of the document) names itself. */
uint64_t model_survey_reads(const struct model_survey *s, json_t *json);

#endif
