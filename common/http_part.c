#include "common/http_part.h"

#include "common/file.h"
#include "common/json.h"
#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIECE_LEAST = 1 << 20,
    PIECE_MOST = 32 << 20,
    PIECES_MOST = 1 << 20,
    LIMIT_STATE = 32 << 20,
    READ_SIZE = 256 << 10,
};

MUST_CHECK static struct status failure(const char *verb, const char *path)
{
    return FAIL(file_error(errno), "%s %s: %s", verb, path, strerror(errno));
}

/* Whether the locked file is still the one of that name: a holder before us
 * may have renamed it. */
static bool is_in_place(const struct http_part *p)
{
    struct stat held;
    struct stat named;

    return fstat(p->fd, &held) == 0 && stat(p->part_path, &named) == 0 &&
           held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

struct status http_part_open(struct http_part *p, const char *path,
                             bool *ret_busy)
{
    *p = (struct http_part){ .path = path, .size = -1 };
    p->part_path = xasprintf("%s.part", path);
    p->state_path = xasprintf("%s.part.state", path);
    *ret_busy = false;
    p->fd = open(p->part_path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (p->fd < 0)
        return failure("open", p->part_path);
    if (flock(p->fd, LOCK_EX | LOCK_NB) != 0) {
        *ret_busy = errno == EWOULDBLOCK || errno == EINTR;
        return *ret_busy ? SUCCESS : failure("lock", p->part_path);
    }
    *ret_busy = !is_in_place(p);
    return SUCCESS;
}

static void drop_hash(struct http_part *p)
{
    if (p->hash != NULL)
        (void)digest_end(p->hash);
    p->hash = NULL;
    p->hashed = 0;
}

void http_part_close(struct http_part *p)
{
    drop_hash(p);
    if (p->fd >= 0)
        (void)close(p->fd);
    p->fd = -1;
    free(p->have);
    p->have = NULL;
    free(p->part_path);
    free(p->state_path);
    p->part_path = NULL;
    p->state_path = NULL;
}

uint64_t http_part_first(const struct http_part *p, size_t piece)
{
    return piece * p->piece_size;
}

uint64_t http_part_length(const struct http_part *p, size_t piece)
{
    if (p->size < 0)
        return UINT64_MAX;
    return piece + 1 < p->count ? p->piece_size
                                : (uint64_t)p->size - http_part_first(p, piece);
}

bool http_part_has(const struct http_part *p, size_t piece)
{
    return p->have[piece] == http_part_length(p, piece);
}

uint64_t http_part_done(const struct http_part *p)
{
    uint64_t done = 0;

    for (size_t i = 0; i < p->count; i++)
        done += p->have[i];
    return done;
}

/* The layout of a state that another program may have written is believed
 * only if it is possible. */
static bool use_layout(struct http_part *p, uint64_t piece_size,
                       const json_t *have)
{
    const uint64_t size = p->size < 0 ? 0 : (uint64_t)p->size;
    struct stat info;

    p->piece_size = piece_size;
    p->count = json_array_size(have);
    if (p->count == 0 || p->count > PIECES_MOST || piece_size == 0 ||
        (p->count > 1 && (piece_size > size / (p->count - 1) ||
                          (p->count - 1) * piece_size >= size)))
        return false;
    if (p->count > 1 && size - (p->count - 1) * piece_size > piece_size)
        return false;
    if (fstat(p->fd, &info) != 0)
        return false;
    p->have = xcalloc(p->count, sizeof *p->have);
    for (size_t i = 0; i < p->count; i++) {
        json_int_t bytes = json_integer_value(json_array_get(have, i));

        if (bytes < 0 || (uint64_t)bytes > http_part_length(p, i) ||
            (bytes > 0 &&
             http_part_first(p, i) + (uint64_t)bytes > (uint64_t)info.st_size))
            return false;
        p->have[i] = (uint64_t)bytes;
    }
    return true;
}

/* Whether there is a state of the thing that `info` describes. Anything wrong
 * with it only means that there is none. */
static bool load_state(struct http_part *p, const struct http_info *info)
{
    AUTO(json_release) json_t *state = NULL;
    struct status st = json_parse_file(p->state_path, LIMIT_STATE, &state);

    if (status_failed(&st) || json_int_or(state, "size", -2) != info->size ||
        strcmp(json_text_or(state, "etag", ""), info->etag) != 0)
        return false;
    if (use_layout(p, (uint64_t)json_int_or(state, "piece", 0),
                   json_object_get(state, "have")))
        return true;
    free(p->have);
    p->have = NULL;
    return false;
}

static void new_layout(struct http_part *p, size_t pieces)
{
    uint64_t size = p->size < 0 ? 0 : (uint64_t)p->size;
    uint64_t piece = size;

    if (pieces > 1 && size > 0) {
        piece = (size + pieces - 1) / pieces;
        piece = (piece + PIECE_LEAST - 1) / PIECE_LEAST * PIECE_LEAST;
        if (piece > PIECE_MOST)
            piece = PIECE_MOST;
        if (size / piece >= PIECES_MOST)
            piece = size / (PIECES_MOST / 2);
    }
    p->piece_size = piece > 0 ? piece : 1;
    p->count = size > 0 ? (size + p->piece_size - 1) / p->piece_size : 1;
    p->have = xcalloc(p->count, sizeof *p->have);
}

/* A full disk is to be said before hours of download, not after. File systems
 * that cannot reserve are believed to have room. */
MUST_CHECK static struct status reserve(const struct http_part *p)
{
    if (p->size <= 0 || fallocate(p->fd, 0, 0, p->size) == 0 ||
        (errno != ENOSPC && errno != EFBIG && errno != EDQUOT))
        return SUCCESS;
    return FAIL(STATUS_NO_SPACE, "%lld bytes for %s: %s", (long long)p->size,
                p->path, strerror(errno));
}

struct status http_part_plan(struct http_part *p, const struct http_info *info,
                             size_t pieces)
{
    p->size = info->size;
    memcpy(p->etag, info->etag, sizeof p->etag);
    drop_hash(p);
    p->hash = digest_begin();
    free(p->have);
    p->have = NULL;
    if (load_state(p, info))
        return reserve(p);
    TRY_PLAIN(http_part_reset(p));
    new_layout(p, pieces);
    return reserve(p);
}

struct status http_part_reset(struct http_part *p)
{
    (void)unlink(p->state_path);
    if (ftruncate(p->fd, 0) != 0)
        return failure("truncate", p->part_path);
    return SUCCESS;
}

void http_part_rewind(struct http_part *p)
{
    p->have[0] = 0;
    if (p->hashed > 0) {
        drop_hash(p);
        p->hash = digest_begin();
    }
}

struct status http_part_write(struct http_part *p, size_t piece,
                              const char *data, size_t size)
{
    uint64_t at = http_part_first(p, piece) + p->have[piece];

    while (size > 0) {
        ssize_t put = pwrite(p->fd, data, size, (off_t)at);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return failure("write", p->part_path);
        if (at == p->hashed) { /* while it is in the cache */
            digest_add(p->hash, data, (size_t)put);
            p->hashed += (uint64_t)put;
        }
        at += (uint64_t)put;
        data += put;
        size -= (size_t)put;
        p->have[piece] += (uint64_t)put;
        p->moved += (uint64_t)put;
    }
    return SUCCESS;
}

/* Where the unbroken beginning ends. */
static uint64_t unbroken(const struct http_part *p)
{
    size_t i = (size_t)(p->hashed / p->piece_size);

    if (i >= p->count)
        i = p->count - 1;
    while (i + 1 < p->count && http_part_has(p, i))
        i++;
    return http_part_first(p, i) + p->have[i];
}

struct status http_part_hash(struct http_part *p, uint64_t most, bool *ret_more)
{
    const uint64_t end = unbroken(p);
    const uint64_t stop = end - p->hashed > most ? p->hashed + most : end;
    AUTO(free_pointer) char *chunk = NULL;

    *ret_more = stop < end;
    if (p->hashed == stop)
        return SUCCESS;
    chunk = xcalloc(1, READ_SIZE);
    while (p->hashed < stop) {
        uint64_t left = stop - p->hashed;
        ssize_t got =
            pread(p->fd, chunk, left < READ_SIZE ? (size_t)left : READ_SIZE,
                  (off_t)p->hashed);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failure("read", p->part_path);
        if (got == 0)
            return FAIL(STATUS_LOST, "%s became shorter", p->part_path);
        digest_add(p->hash, chunk, (size_t)got);
        p->hashed += (uint64_t)got;
    }
    return SUCCESS;
}

struct status http_part_save(struct http_part *p)
{
    AUTO(json_release) json_t *state = NULL;
    AUTO(free_pointer) char *text = NULL;
    json_t *have;

    if (p->moved == 0)
        return SUCCESS;
    state = json_pack("{s:s, s:I, s:I, s:[]}", "etag", p->etag, "size",
                      (json_int_t)p->size, "piece", (json_int_t)p->piece_size,
                      "have");
    have = json_object_get(state, "have");
    for (size_t i = 0; i < p->count; i++)
        (void)json_array_append_new(have, json_integer((json_int_t)p->have[i]));
    /* The order matters: first the bytes, then the claim. */
    if (fdatasync(p->fd) != 0)
        return failure("sync", p->part_path);
    text = json_canonical(state);
    TRY_PLAIN(file_write(p->state_path, text, strlen(text)));
    p->moved = 0;
    return SUCCESS;
}

MUST_CHECK static struct status mismatch(const struct http_part *p,
                                         const struct digest *expected,
                                         const struct digest *got)
{
    char want[DIGEST_TEXT];
    char have[DIGEST_TEXT];

    digest_to_text(expected, want);
    digest_to_text(got, have);
    (void)unlink(p->part_path);
    (void)unlink(p->state_path);
    return FAIL(STATUS_CORRUPT, "expected sha256 %s, got %s: %s", want, have,
                p->path); /* what is long comes last */
}

MUST_CHECK static struct status put_in_place(const struct http_part *p)
{
    AUTO(free_pointer) char *folder = xstrdup(p->path);
    char *slash = strrchr(folder, '/');

    if (ftruncate(p->fd, (off_t)http_part_done(p)) != 0)
        return failure("truncate", p->part_path);
    if (fsync(p->fd) != 0)
        return failure("sync", p->part_path);
    if (rename(p->part_path, p->path) != 0)
        return failure("rename", p->part_path);
    (void)unlink(p->state_path);
    if (slash != NULL)
        slash[slash == folder ? 1 : 0] = '\0';
    return file_sync_directory(slash != NULL ? folder : ".");
}

struct status http_part_finish(struct http_part *p,
                               const struct digest *expected,
                               struct digest *ret_digest)
{
    struct digest digest;
    bool more;

    TRY_PLAIN(http_part_hash(p, UINT64_MAX, &more));
    digest = digest_end(p->hash);
    p->hash = NULL;
    if (expected != NULL && !digest_equal(&digest, expected))
        return mismatch(p, expected, &digest);
    TRY_PLAIN(put_in_place(p));
    if (ret_digest != NULL)
        *ret_digest = digest;
    return SUCCESS;
}
