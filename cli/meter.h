/* meter.h -- bytes on their way, on stderr: a line redrawn in place on a
 * terminal, else a plain one every 10 % or 30 s. */
#ifndef SINTER_CLI_METER_H
#define SINTER_CLI_METER_H

#include "cli/terminal.h"

#include <stdbool.h>
#include <stdint.h>

struct meter {
    struct terminal *terminal;
    bool silent;
    const char *what; /* "merging": what is being done; a literal */
    int64_t began;    /* ns, of what is being done */
    uint64_t first;   /* bytes that were done then */
    int64_t shown_at; /* ns; 0: nothing yet */
    uint64_t tenths;  /* done when last shown */
    bool on_line;     /* the cursor stands behind the line */
};

void meter_init(struct meter *m, struct terminal *terminal, bool silent);
/* Cheap; call it often. `now` in ns. With another `what`, or fewer bytes than
 * before, the rate is taken anew. */
void meter_show(struct meter *m, const char *what, uint64_t done,
                uint64_t total, int64_t now);
/* The line of the terminal goes: other text may follow. */
void meter_end(struct meter *m);

#endif
