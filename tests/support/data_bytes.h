/* data_bytes.h -- for tests that limit the memory of their own process. */
#ifndef SINTER_TESTS_SUPPORT_DATA_BYTES_H
#define SINTER_TESTS_SUPPORT_DATA_BYTES_H

#include "support/test.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sanitizers, as gcc and as clang tell them, take memory of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHADOWED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHADOWED
#endif
#endif

/* Of memory that is the process's own now, as RLIMIT_DATA counts it. */
static inline uint64_t data_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    unsigned long long kilobytes = 0;
    char line[256];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "VmData:", 7) == 0)
            kilobytes = strtoull(line + 7, NULL, 10);
    (void)fclose(file);
    assert_true(kilobytes > 0);
    return (uint64_t)kilobytes * 1024;
}

#endif
