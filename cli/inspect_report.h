/* inspect_report.h -- what `sinter inspect` found, as one document: --json
 * prints it, tables and the picture are drawn from it. */
#ifndef SINTER_CLI_INSPECT_REPORT_H
#define SINTER_CLI_INSPECT_REPORT_H

#include "cli/cli.h"
#include "cli/table.h"
#include "jobs/inspect.h"

/* A model as it was looked at; all borrowed. */
struct inspect_model {
    const char *label; /* short, no two alike */
    const char *path;
    const struct tensor_set *set;
    const struct inspect_counts *counts; /* one for each tensor */
};

/* One model by itself: totals, "layers", "tensor_list". */
json_t *inspect_report_model(const struct inspect_model *m);
/* Fine-tunes beside their base: "models", "layers", "tensor_list",
 * "cosines". */
json_t *inspect_report_diff(const struct inspect_model *base,
                            const struct inspect_model *models,
                            const struct inspect_diff *diff);

/* Sentences about what will go wrong, added to the array `warnings`. */
void inspect_warn_model(const struct inspect_model *m, json_t *warnings);
void inspect_warn_diff(const struct inspect_model *base,
                       const struct inspect_model *models,
                       const struct inspect_diff *diff, json_t *warnings);

/* Tables for people on cli->out. */
void inspect_print_model(const struct cli *cli, const json_t *report,
                         bool tensors);
void inspect_print_diff(const struct cli *cli, const json_t *report,
                        bool tensors);

/* For who prints tables: prints, says what was dropped, and frees. */
void inspect_print_table(const struct cli *cli, struct table *t);
/* A cell of four digits, or a share of 100; "-" where there is no number. */
void inspect_add_real(struct table *t, const json_t *value);
void inspect_add_share(struct table *t, const json_t *value);

/* Relative norms by layer and kind (one model) or by layer and model
 * (several), drawn to an SVG file. */
MUST_CHECK struct status inspect_draw(const json_t *report, const char *path);

#endif
