/* macros.h -- the few words this program adds to C. */
#ifndef SINTER_COMMON_MACROS_H
#define SINTER_COMMON_MACROS_H

/* The result carries a failure that the caller may not drop. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Argument `f` is a printf format whose arguments start at `a`. */
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* Call `release(&variable)` when the variable leaves its scope. */
#define AUTO(release) __attribute__((cleanup(release)))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
