/* http_part.h -- the file a download grows in, and what of it has arrived.
 *
 * `path`.part has the bytes, `path`.part.state says which of them are there:
 * the file is cut into pieces of one size, each filled from its beginning. A
 * state never claims bytes that are not on the disk. The part file is locked,
 * so of several processes one downloads and the others wait. */
#ifndef SINTER_COMMON_HTTP_PART_H
#define SINTER_COMMON_HTTP_PART_H

#include "common/digest.h"
#include "common/http.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

struct http_part {
    const char *path; /* borrowed: where the whole file is to be */
    char *part_path;
    char *state_path;
    int fd;
    char etag[128];
    int64_t size;        /* of the whole file; -1: not known yet */
    uint64_t piece_size; /* of all pieces but the last */
    size_t count;
    uint64_t *have;             /* bytes of each piece, from its beginning */
    uint64_t moved;             /* bytes written since the state was saved */
    struct digest_stream *hash; /* of the first `hashed` bytes */
    uint64_t hashed;
};

/* Open or create the part and lock it. `ret_busy`: another process has it;
 * close, wait, try again. */
MUST_CHECK struct status http_part_open(struct http_part *p, const char *path,
                                        bool *ret_busy);
void http_part_close(struct http_part *p); /* fine after a failed open */

/* Take up what is there if it belongs to this thing, else begin anew with
 * about `pieces` pieces (1 for a server without ranges). NO_SPACE if the disk
 * cannot hold the whole. */
MUST_CHECK struct status http_part_plan(struct http_part *p,
                                        const struct http_info *info,
                                        size_t pieces);
/* Forget all that has arrived. */
MUST_CHECK struct status http_part_reset(struct http_part *p);
/* The same for the first piece, the file being one piece. */
void http_part_rewind(struct http_part *p);

uint64_t http_part_first(const struct http_part *p, size_t piece);
/* UINT64_MAX if the size is not known. */
uint64_t http_part_length(const struct http_part *p, size_t piece);
bool http_part_has(const struct http_part *p, size_t piece);
uint64_t http_part_done(const struct http_part *p); /* bytes in all */

/* The next bytes of a piece. */
MUST_CHECK struct status http_part_write(struct http_part *p, size_t piece,
                                         const char *data, size_t size);
/* Hash up to `most` bytes more of the unbroken beginning. `ret_more`: there
 * are still some. */
MUST_CHECK struct status http_part_hash(struct http_part *p, uint64_t most,
                                        bool *ret_more);
MUST_CHECK struct status http_part_save(struct http_part *p);

/* All is there: check, sync, rename, drop the state. CORRUPT if the digest is
 * not `expected` (NULL: any); then nothing is left. */
MUST_CHECK struct status http_part_finish(struct http_part *p,
                                          const struct digest *expected,
                                          struct digest *ret_digest);

#endif
