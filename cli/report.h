/* report.h -- what `report` of a sweep file asks for, made of what the broker
 * knows: printed, as JSON, and as files. */
#ifndef SINTER_CLI_REPORT_H
#define SINTER_CLI_REPORT_H

#include "cli/session.h"

struct report; /* opaque */

/* Of a sweep by its id; `spec` is its document and must outlive the report.
 * `ret_report` is NULL when the document asks for none. */
MUST_CHECK struct status report_load(struct session *s, const char *sweep,
                                     const json_t *spec,
                                     struct report **ret_report);
void report_free(struct report *r); /* NULL is fine */

void report_print(struct cli *cli, const struct report *r);
json_t *report_json(const struct report *r);

/* The files that the report names, from `directory`; `flat`: in it, whatever
 * folders they name. Says of each that it is there. */
MUST_CHECK struct status report_write(const struct cli *cli,
                                      const struct report *r,
                                      const char *directory, bool flat);

#endif
