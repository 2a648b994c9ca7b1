/* test.h -- cmocka with the headers it forgets, for all tests. */
#ifndef SINTER_TESTS_SUPPORT_TEST_H
#define SINTER_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/status.h"

#include <stdio.h>

/* Fails with the story of the status. */
#define assert_ok(expr)                                                    \
    do {                                                                   \
        struct status ok_ = (expr);                                        \
        if (status_failed(&ok_))                                           \
            fail_msg("%s: %s (%s:%d)", status_name(ok_.code), ok_.message, \
                     ok_.file, ok_.line);                                  \
    } while (0)

/* The exact code; `words` must stand in the message (NULL: any). */
#define assert_fails(expr, code_, words)                               \
    do {                                                               \
        struct status bad_ = (expr);                                   \
        const char *words_ = (words);                                  \
        if (bad_.code != (code_))                                      \
            fail_msg("%s instead of %s: %s", status_name(bad_.code),   \
                     status_name(code_),                               \
                     status_failed(&bad_) ? bad_.message : "");        \
        if (words_ != NULL && strstr(bad_.message, words_) == NULL)    \
            fail_msg("\"%s\" is not in \"%s\"", words_, bad_.message); \
    } while (0)

#endif
