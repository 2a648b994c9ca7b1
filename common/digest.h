/* digest.h -- SHA-256 of bytes as they stream by (libcrypto). */
#ifndef SINTER_COMMON_DIGEST_H
#define SINTER_COMMON_DIGEST_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

enum {
    DIGEST_SIZE = 32,
    DIGEST_TEXT = 65, /* 64 lower-case hex digits and a NUL */
};

struct digest {
    uint8_t bytes[DIGEST_SIZE];
};

/* A running hash; one digest_end() for each digest_begin(). */
struct digest_stream; /* opaque */
struct digest_stream *digest_begin(void);
void digest_add(struct digest_stream *s, const void *data, size_t size);
/* What digest_end() would give; `s` goes on. */
struct digest digest_so_far(const struct digest_stream *s);
struct digest digest_end(struct digest_stream *s); /* frees `s` */

/* One stream for many hashes: the digest without the end, then a new start,
 * or one from where another stream stands. */
struct digest digest_stop(struct digest_stream *s);
void digest_again(struct digest_stream *s);
void digest_copy(struct digest_stream *to, const struct digest_stream *from);

struct digest digest_of(const void *data, size_t size);
MUST_CHECK struct status digest_of_file(const char *path,
                                        struct digest *ret_digest);

void digest_to_text(const struct digest *d, char text[DIGEST_TEXT]);
/* False unless `text` begins with 64 hex digits and ends there. */
bool digest_from_text(const char *text, struct digest *ret_digest);
bool digest_equal(const struct digest *a, const struct digest *b);
/* The same, in a time that does not tell where they differ. */
bool digest_equal_secretly(const struct digest *a, const struct digest *b);

#endif
