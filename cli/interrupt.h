/* interrupt.h -- Ctrl-C and SIGTERM as a flag that long waits look at. */
#ifndef SINTER_CLI_INTERRUPT_H
#define SINTER_CLI_INTERRUPT_H

#include <stdbool.h>

/* From now on SIGINT and SIGTERM set the flag instead of ending the
 * process; waits (poll, nanosleep) end early. */
void interrupt_catch(void);
bool interrupt_seen(void);
/* The signal that came last, 0: none. */
int interrupt_signal(void);
/* How often; the second Ctrl-C means "at once". */
int interrupt_count(void);

#endif
