/* spec.h -- a sweep file read, checked and compiled. Pure: text in, document
 * or problems out. Sources are named, not opened. */
#ifndef SINTER_SWEEP_SPEC_H
#define SINTER_SWEEP_SPEC_H

#include "common/json.h"
#include "common/status.h"
#include "sweep/catalog.h"

#include <stdint.h>
#include <stdio.h>

/* One thing wrong (or doubtful) in a file. Lines and columns from 1. */
struct spec_problem {
    char code[8]; /* "S014", "W012": stable, docs/errors.md lists them */
    bool warning;
    uint32_t line, column, length;
    char message[256];
    char suggestion[192]; /* "did you mean `dare_ties`?"; "" if none */
    char note[256];       /* further line: "known: ..."; "" if none */
};

enum { SPEC_PROBLEMS = 20 }; /* reported at most */

struct spec_problems {
    struct spec_problem items[SPEC_PROBLEMS + 1]; /* the last one is scratch */
    size_t count;
    size_t more;   /* not kept */
    size_t errors; /* of all, kept or not, that are no warnings */
};

struct spec_override {
    const char *text; /* "NAME=VALUE": variable, parameter or key path */
};

struct spec_input {
    const char *file; /* as the user named it */
    const char *text;
    size_t size;
    /* Directory against which ./ and relative paths of sources are taken;
     * absolute. NULL: such sources are errors. */
    const char *directory;
    const struct spec_override *overrides;
    size_t override_count;
    /* What a text that stands for a model means, as a URL that the caller
     * frees. NULL: as in a sweep file, where `sources` gives names. */
    char *(*locate)(void *self, const char *text);
    void *self;
};

/* INVALID when there are errors: `ret_problems` has them. On success warnings
 * may be in it, `ret_document` is the compiled sweep (compiled.h), to which
 * the caller may add what it learnt of the sources (digest, version). */
MUST_CHECK struct status spec_compile(const struct spec_input *input,
                                      const struct catalog *catalog,
                                      json_t **ret_document,
                                      struct spec_problems *ret_problems);

/* The same for a file that holds the body of one stage and nothing else:
 * `ret_params` are its parameters. Overrides are paths that begin with
 * `kind`. What the stage would draw its seed from is {"$param": "seed"}. */
MUST_CHECK struct status spec_compile_body(const struct spec_input *input,
                                           const struct catalog *catalog,
                                           const char *kind,
                                           json_t **ret_params,
                                           struct spec_problems *ret_problems);

/* One problem with place, source line, caret and suggestion.
 * `colour`: with ANSI colours. */
void spec_print_problem(const struct spec_problem *problem,
                        const struct spec_input *input, bool colour, FILE *out);
/* The same as one JSON object. */
json_t *spec_problem_json(const struct spec_problem *problem,
                          const struct spec_input *input);

#endif
