/* log.h -- one line an event on stderr, logfmt. Only the edges of a process
 * log (loops, mains, commands); libraries return a status. */
#ifndef SINTER_COMMON_LOG_H
#define SINTER_COMMON_LOG_H

#include "common/status.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* `program` names the writer on each line; a literal. */
void log_start(const char *program, enum log_level least);
/* `event` is a short sentence, the rest printf-made fields: "job=%s ms=%d". */
void log_event(enum log_level level, const char *event, const char *format, ...)
    PRINTF_LIKE(3, 4);
void log_failure(const char *event, const struct status *st);

#endif
