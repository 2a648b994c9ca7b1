/* problem.h -- every mistake a sweep file can hold, with its code. Codes are
 * stable: never reused, never renumbered; docs/errors.md explains each. */
#ifndef SINTER_SWEEP_PROBLEM_H
#define SINTER_SWEEP_PROBLEM_H

#include "sweep/spec.h"
#include "sweep/yaml.h"

#include <stdarg.h>

/* name in code, code in print, is it only a warning?, meaning */
#define PROBLEM_CODES(X)                                                     \
    X(SYNTAX, "S001", false, "the text is not YAML, or beyond a limit")      \
    X(TWICE, "S002", false, "a key stands twice in one map")                 \
    X(UNKNOWN_KEY, "S003", false, "a key has no meaning here")               \
    X(MISSING_KEY, "S004", false, "a required key is missing")               \
    X(LATER, "S005", false, "not in this version")                           \
    X(WRONG_TYPE, "S006", false, "a value has the wrong type")               \
    X(BRACES, "S007", false, "${name} inside { }")                           \
    X(OUT_OF_RANGE, "S008", false, "a number is out of range")               \
    X(BAD_NAME, "S009", false, "a name that cannot be one")                  \
    X(DECLARED_TWICE, "S010", false, "a name is declared twice")             \
    X(TOO_MANY, "S011", false, "more than a limit allows")                   \
    X(BAD_UNIT, "S012", false, "not a duration or a size")                   \
    X(BAD_VERSION, "S013", false, "another format than `sinter: 1`")         \
    X(UNKNOWN_WORD, "S014", false, "a word that is none of the known ones")  \
    X(BAD_BODY, "S015", false, "a body that does not fit together")          \
    X(NO_BODY, "S016", false, "no body, or more than one")                   \
    X(UNKNOWN_KIND, "S017", false, "there is no such kind of stage")         \
    X(NOT_TOGETHER, "S018", false, "keys that exclude each other")           \
    X(BAD_SOURCE, "S020", false, "not a source this version can fetch")      \
    X(UNDECLARED, "S021", false, "a $name that is not declared")             \
    X(UNKNOWN_STAGE, "S022", false, "$stages.NAME without such a stage")     \
    X(CYCLE, "S023", false, "stages or values that depend on each other")    \
    X(BAD_REFERENCE, "S024", false, "a reference where none may stand")      \
    X(BAD_SPACE, "S030", false, "a parameter that makes no sense")           \
    X(ENDLESS_GRID, "S031", false, "a grid over an interval never ends")     \
    X(NO_TRIALS, "S032", false, "a random strategy without an end")          \
    X(NO_POINTS, "S033", false, "no point is left to run")                   \
    X(EXPONENTS, "S034", false, "bounds of W&B's log_uniform are exponents") \
    X(BAD_EXPRESSION, "S035", false, "an expression that cannot be read")    \
    X(WRONG_EXPRESSION, "S036", false, "an expression over the wrong types") \
    X(UNUSED, "S037", false, "a parameter that nothing uses")                \
    X(BAD_OVERRIDE, "S038", false, "a --set that names nothing")             \
    X(NOT_MEASURED, "S041", false, "a metric that nothing measures")         \
    X(BAD_VALUES, "S042", false, "values of a trial that do not fit")        \
    X(NO_PAIR, "S043", false, "replicates that cannot be compared")          \
    X(BAD_REPORT, "S044", false, "a report that does not fit the sweep")     \
    X(UNUSED_SOURCE, "W001", true, "a source or variable nothing uses")      \
    X(UNUSED_STAGE, "W002", true, "a stage that nothing needs")              \
    X(SAME_SEEDS, "W003", true, "replicates, but nothing draws")             \
    X(LOST_POINTS, "W004", true, "a derived value that is no number")

#define PROBLEM_ENUM(name, code, warning, meaning) PROBLEM_##name,
enum problem_code { PROBLEM_CODES(PROBLEM_ENUM) PROBLEM_COUNT };
#undef PROBLEM_ENUM

struct problem_row {
    const char *code;
    bool warning;
    const char *meaning;
};
extern const struct problem_row problem_rows[PROBLEM_COUNT];

/* Add one unless the same code stands at the same place already; beyond
 * SPEC_PROBLEMS it is only counted. The answer is where suggestion and note
 * go (never NULL). */
struct spec_problem *problem_add(struct spec_problems *problems,
                                 enum problem_code code,
                                 struct yaml_place place, const char *format,
                                 ...) PRINTF_LIKE(4, 5);
/* A ? for each byte that is of no UTF-8 character: what was cut, or never was
 * text. */
void problem_mend(char *text);
/* In order of line and column. */
void problem_sort(struct spec_problems *problems);
bool problem_is_error(const struct spec_problems *problems);

/* Into `suggestion` or `note`, cut where it ends. */
void problem_suggest(struct spec_problem *p, const char *format, ...)
    PRINTF_LIKE(2, 3);
void problem_note(struct spec_problem *p, const char *format, ...)
    PRINTF_LIKE(2, 3);
/* "did you mean `x`?" if `words` has one near `text`. */
void problem_nearest(struct spec_problem *p, const char *text,
                     const char *const *words);
/* "known: a, b, c", as far as the note has room. */
void problem_known(struct spec_problem *p, const char *const *words);

#endif
