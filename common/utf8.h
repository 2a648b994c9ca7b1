/* utf8.h -- where well-formed UTF-8 begins and ends: no overlong forms, no
 * surrogates, nothing beyond U+10FFFF (RFC 3629). */
#ifndef SINTER_COMMON_UTF8_H
#define SINTER_COMMON_UTF8_H

#include <stddef.h>

/* Bytes of the sequence at `at`, of which `left` > 0 bytes may be read; 0:
 * none begins here. A NUL is a sequence of one byte. */
size_t utf8_sequence(const unsigned char *at, size_t left);

#endif
