/* progress.h -- a running sweep on stderr: a block redrawn in place on a
 * terminal, else one plain line every 5 % or 30 s. */
#ifndef SINTER_CLI_PROGRESS_H
#define SINTER_CLI_PROGRESS_H

#include "cli/number.h"
#include "cli/terminal.h"
#include "common/json.h"

#include <stddef.h>
#include <stdint.h>

struct progress {
    struct terminal *terminal;
    bool silent;
    size_t lines;     /* of the block on the screen */
    int64_t shown_at; /* ns; 0: nothing yet */
    int64_t steps;    /* twentieths done when last shown */
    int64_t stuck_at; /* ns: since then something is in the way; 0: nothing */
    bool told_stuck;  /* a plain line has said so */
    char last[512];   /* what the last line said, without its time */
};

void progress_init(struct progress *p, struct terminal *terminal, bool silent);
/* `status` as the verb "status" gives it; `now` in ns. */
void progress_show(struct progress *p, const json_t *status, int64_t now);
/* The block stays as it is; a last plain line if something changed. */
void progress_end(struct progress *p, const json_t *status);

/* A bar as wide as the terminal has room for, filled to `share` in [0, 1]. */
enum { PROGRESS_BAR = 40 * 3 + 1 };
void progress_bar(const struct terminal *t, double share,
                  char text[PROGRESS_BAR]);

/* "method=ties lambda=0.8": the values of a trial on one line, without those
 * that are null; at most `size` bytes. */
void progress_values(const json_t *values, char *text, size_t size);

/* `best` of a status: the mean of the leading point with its error, and the
 * same with what the point is. */
void progress_score(const json_t *best, bool utf8, char text[NUMBER_TEXT]);
void progress_best(const json_t *best, bool utf8, char *text, size_t size);

/* "paused", or the state of the sweep. */
const char *progress_state(const json_t *status);

#endif
