/* option.h -- a program's settings as one table: flag, environment variable,
 * --help and the manual all come from its rows.
 *
 * Order: flag, then SINTER_NAME in the environment (upper case, '-' as '_';
 * an empty one counts as not set, "help" and "version" are not looked up),
 * then the default. `--name value`, `--name=value`, `-x value`, `-x5`; a SWITCH
 * takes no value on the command line (1/0, true/false, yes/no in the
 * environment).
 * A LIST gets one item from each flag, or the blank-separated words of its
 * variable or default. Of any other flag given twice the last one counts.
 * No abbreviations; an unknown flag suggests the nearest known one. */
#ifndef SINTER_COMMON_OPTION_H
#define SINTER_COMMON_OPTION_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_type {
    OPTION_TEXT,   /* const char *, borrowed from argv, environ or the row */
    OPTION_NUMBER, /* int64_t, "10_000" allowed */
    OPTION_MS,     /* int64_t milliseconds from "90s 20m 6h 1.5d 100ms" */
    OPTION_BYTES,  /* int64_t bytes from "512", "80GiB", "1.5MB" */
    OPTION_SWITCH, /* bool */
    OPTION_LIST,   /* struct option_list, may repeat */
};

struct option_list {
    const char **items; /* borrowed texts; freed by option_release() */
    size_t count;
};

struct option {
    const char *name; /* long name without dashes */
    char letter;      /* short form, 0: none */
    enum option_type type;
    size_t offset;         /* of the member in the caller's struct */
    const char *otherwise; /* default as text; NULL: zero */
    int64_t least, most;   /* range of numbers; both 0: any */
    const char *value;     /* name of the value in help: "URL" */
    const char *help;      /* one line */
};

/* Fill `ret_config` from argv[1..], the environment and defaults. `argv` is
 * left in place; operands (anything that is no flag, and all behind "--") are
 * listed in `ret_operands`, whose array the caller frees. INVALID says which
 * flag and what to write instead. `table` ends with a row of name NULL. */
MUST_CHECK struct status option_parse(const struct option *table, int argc,
                                      char *const *argv, void *ret_config,
                                      struct option_list *ret_operands);
/* Frees the arrays of OPTION_LIST members. */
void option_release(const struct option *table, void *config);

/* An empty text is none (NULL): that takes back what the environment says. */
const char *option_given(const char *text);

/* The table as it stands in --help, 80 columns. */
void option_help(const struct option *table, FILE *out);

/* "90s", "20m", "6h", "2d", "100ms", "5" (seconds). */
MUST_CHECK struct status option_duration_ms(const char *text, int64_t *ret_ms);
/* "512", "64KiB", "80GiB", "1GB". */
MUST_CHECK struct status option_bytes(const char *text, int64_t *ret_bytes);

/* The entry of `words` (NULL-terminated) nearest to `text` by edits
 * (transpositions count one), within 2 or a third of its length and less than
 * all of it; else NULL. */
const char *option_nearest(const char *text, const char *const *words);

#endif
