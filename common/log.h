/* log.h -- one line an event on stderr, logfmt or JSON. Only the edges of a
 * process log (loops, mains, commands); libraries return a status. */
#ifndef SINTER_COMMON_LOG_H
#define SINTER_COMMON_LOG_H

#include "common/status.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_format { LOG_LOGFMT, LOG_JSON };

/* `program` names the writer on each line; a literal. */
void log_start(const char *program, enum log_level least,
               enum log_format format);
/* Is an event of this level written? */
bool log_shows(enum log_level level);
/* `event` is a short sentence, the rest printf-made fields: "job=%s ms=%d";
 * a value with blanks stands in quotes, whatever is in it. */
void log_event(enum log_level level, const char *event, const char *format, ...)
    PRINTF_LIKE(3, 4);
void log_failure(const char *event, const struct status *st);

/* "debug" ..., "logfmt" or "json"; INVALID names the others. */
MUST_CHECK struct status log_level_find(const char *name,
                                        enum log_level *ret_level);
MUST_CHECK struct status log_format_find(const char *name,
                                         enum log_format *ret_format);

#endif
