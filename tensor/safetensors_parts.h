/* safetensors_parts.h -- a model directory while it is written; for
 * safetensors_*.c only. */
#ifndef SINTER_TENSOR_SAFETENSORS_PARTS_H
#define SINTER_TENSOR_SAFETENSORS_PARTS_H

#include "common/buf.h"
#include "common/digest.h"
#include "tensor/safetensors.h"

#include <stdio.h>

/* ---- safetensors_layout.c: what stands where -------------------------- */

/* One file: tensors first ... end - 1 of the layout. */
struct st_shard {
    size_t first;
    size_t end;
    uint64_t bytes;  /* of their data */
    uint64_t header; /* bytes before the data */
};

struct st_layout {
    json_t *metadata;
    struct tensor *items; /* with names of our own */
    size_t count;
    struct st_shard *shards;
    size_t shard_count;
};

/* INVALID and TOO_BIG begin with the directory. */
MUST_CHECK struct status st_layout_init(struct st_layout *l,
                                        const struct st_writer_settings *s,
                                        const struct tensor_set *set);
void st_layout_release(struct st_layout *l);

/* "model-00001-of-00003.safetensors"; the caller frees. */
char *st_layout_name(const struct st_layout *l, size_t shard);
/* The bytes before the data: equal layouts have equal headers. */
MUST_CHECK struct status st_layout_header(const struct st_layout *l,
                                          size_t shard, struct buf *text);
/* model.safetensors.index.json; the caller frees. */
char *st_layout_index(const struct st_layout *l);
/* Of recipe, names of files and headers: what makes two unfinished
 * directories the same. */
MUST_CHECK struct status st_layout_digest(const struct st_layout *l,
                                          const struct digest *recipe,
                                          struct digest *ret_digest);

/* ---- safetensors_partial.c: the directory beside ---------------------- */

struct st_partial {
    char *directory; /* the final name */
    char *path;      /* where it grows; NULL once it is in place */
    int lock;        /* of `path`; -1: nobody else knows its name */
    bool keep;       /* there is something to go on with */
};

/* What a journal promises: these tensors are on the disk. */
struct st_mark {
    size_t tensors;
    struct digest data; /* of all files up to there */
};

enum st_found {
    ST_FOUND_NOTHING,
    ST_FOUND_OTHER, /* of another recipe or layout, or not readable */
    ST_FOUND_MARK,
};

/* `shared`: under a name that the next writer finds again, locked; else under
 * one of its own. INVALID if the directory exists, UNAVAILABLE if another
 * process holds the lock. */
MUST_CHECK struct status st_partial_open(struct st_partial *p,
                                         const char *directory, bool shared);
/* Frees; removes the directory unless it is in place or kept. */
void st_partial_close(struct st_partial *p);

/* "path/name"; the caller frees. */
char *st_partial_file(const struct st_partial *p, const char *name);
enum st_found st_partial_read_mark(const struct st_partial *p,
                                   const struct digest *plan,
                                   struct st_mark *ret_mark);
MUST_CHECK struct status st_partial_write_mark(struct st_partial *p,
                                               const struct digest *plan,
                                               const struct st_mark *mark);
/* Remove all files but those `stays` says yes to. */
MUST_CHECK struct status st_partial_clear(struct st_partial *p,
                                          bool (*stays)(const void *self,
                                                        const char *name),
                                          const void *self);
/* Under its final name, and all of it on the disk. */
MUST_CHECK struct status st_partial_place(struct st_partial *p);

/* ---- safetensors_out.c: one file --------------------------------------- */

/* A file that is written from its begin to its end. */
struct st_out {
    char *path;
    FILE *file;
    char *buffer;
    struct digest_stream *hash; /* of all that was written; NULL: not kept */
    uint64_t size;              /* written */
    uint64_t told;              /* of it the disk was told to write */
};

void st_out_release(struct st_out *out);
/* The path is taken over. `hashed`: all that is written from now on. */
MUST_CHECK struct status st_out_open(struct st_out *out, char *path,
                                     const char *mode, bool hashed);
MUST_CHECK struct status st_out_write(struct st_out *out, const void *data,
                                      size_t size);
/* On the disk, and no longer in memory: what follows needs the room. */
MUST_CHECK struct status st_out_sync(struct st_out *out);
/* On the disk. */
MUST_CHECK struct status st_out_close(struct st_out *out);

/* ---- names of files ---------------------------------------------------- */

extern const char st_index_name[];   /* model.safetensors.index.json */
extern const char st_sums_name[];    /* SHA256SUMS */
extern const char st_journal_name[]; /* in an unfinished directory only */

#endif
