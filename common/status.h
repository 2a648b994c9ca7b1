/* status.h -- a failure as a value with a place and a story.
 *
 * Codes are grouped by what the caller can do, not by where they arise.
 * Success writes only the code; nothing here allocates. */
#ifndef SINTER_COMMON_STATUS_H
#define SINTER_COMMON_STATUS_H

#include "common/macros.h"

#include <stdbool.h>

enum status_retry { RETRY_NEVER, RETRY_LATER };

/* code, name on the wire and in records, may the same call succeed later?
 * Append only: the numbers are stored. */
#define STATUS_CODES(X)                        \
    X(SUCCESS, "success", RETRY_NEVER)         \
    X(INVALID, "invalid", RETRY_NEVER)         \
    X(NOT_FOUND, "not_found", RETRY_NEVER)     \
    X(TOO_BIG, "too_big", RETRY_NEVER)         \
    X(CORRUPT, "corrupt", RETRY_NEVER)         \
    X(DENIED, "denied", RETRY_NEVER)           \
    X(NO_MEMORY, "no_memory", RETRY_LATER)     \
    X(NO_SPACE, "no_space", RETRY_LATER)       \
    X(UNAVAILABLE, "unavailable", RETRY_LATER) \
    X(TIMED_OUT, "timed_out", RETRY_LATER)     \
    X(LOST, "lost", RETRY_LATER)               \
    X(CANCELLED, "cancelled", RETRY_NEVER)     \
    X(STALE, "stale", RETRY_NEVER)             \
    X(FAILED, "failed", RETRY_NEVER)

#define STATUS_ENUM(name, text, retry) STATUS_##name,
enum status_code { STATUS_CODES(STATUS_ENUM) STATUS_COUNT };
#undef STATUS_ENUM

enum { STATUS_MESSAGE_SIZE = 384 };

struct status {
    enum status_code code;
    int line;         /* where the failure was first seen ... */
    const char *file; /* ... a string literal, never freed */
    char message[STATUS_MESSAGE_SIZE]; /* whole on failure, else undefined */
};

/* Make a failure here and now. The message names the thing (file, tensor,
 * worker) and says what to do; it is cut, never overrun. */
#ifndef __clang_analyzer__
#define FAIL(code, ...) status_make((code), __FILE__, __LINE__, __VA_ARGS__)
#else /* which cannot see that the code comes back */
#define FAIL(code_, ...) \
    status_known(status_make((code_), __FILE__, __LINE__, __VA_ARGS__), (code_))
#endif

/* Run `expr`; if it failed, return its status with "what: " put in front.
 * Only where nothing is left to release, or all of it is AUTO(). */
#define TRY(expr, ...)                             \
    do {                                           \
        struct status try_ = (expr);               \
        if (status_failed(&try_))                  \
            return status_wrap(try_, __VA_ARGS__); \
    } while (0)

/* TRY without a story of its own. */
#define TRY_PLAIN(expr)              \
    do {                             \
        struct status try_ = (expr); \
        if (status_failed(&try_))    \
            return try_;             \
    } while (0)

struct status status_make(enum status_code code, const char *file, int line,
                          const char *format, ...) PRINTF_LIKE(4, 5);
struct status status_wrap(struct status inner, const char *format, ...)
    PRINTF_LIKE(2, 3);

const char *status_name(enum status_code code);
/* STATUS_FAILED if no code has that name. */
enum status_code status_find(const char *name);
enum status_retry status_retry(enum status_code code);

static inline struct status status_known(struct status s, enum status_code code)
{
    s.code = code;
    return s;
}

static inline bool status_failed(const struct status *s)
{
    return s->code != STATUS_SUCCESS;
}

static inline struct status status_success(void)
{
    struct status s;

    s.code = STATUS_SUCCESS;
    /* cppcheck-suppress uninitvar ; only the code is read on success */
    return s;
}
#define SUCCESS status_success()

#endif
