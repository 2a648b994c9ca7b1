/* safetensors.h -- the file format: 8 bytes little-endian header length, a
 * JSON header, tensor bytes. Files are mapped, never copied.
 *
 * Every header is checked before it is believed: length against the file and
 * LIMIT_HEADER, UTF-8, duplicate names, known dtype, rank, shape x size =
 * bytes, offsets inside the file, in order without overlap or hole. Each
 * fault is CORRUPT naming file and tensor. */
#ifndef SINTER_TENSOR_SAFETENSORS_H
#define SINTER_TENSOR_SAFETENSORS_H

#include "common/digest.h"
#include "common/json.h"
#include "tensor/tensor.h"

/* What a header says, without data (data is NULL in the tensors). */
struct st_header; /* opaque */

/* Bytes of the header that follow the first 8; TOO_BIG, CORRUPT. */
MUST_CHECK struct status st_header_size(const uint8_t first[8],
                                        uint64_t file_size, const char *file,
                                        uint64_t *ret_size);
/* `text` is the JSON header; `file_size` of the whole file, UINT64_MAX if
 * unknown. Pure: this is the fuzz target, and what `plan` reads by HTTP. */
MUST_CHECK struct status st_header_parse(const char *text, size_t size,
                                         uint64_t file_size, const char *file,
                                         struct st_header **ret_header);
void st_header_free(struct st_header *h); /* NULL is fine */
const struct tensor_set *st_header_tensors(const struct st_header *h);
/* Offset of the i-th tensor's bytes behind the header. */
uint64_t st_header_offset(const struct st_header *h, size_t i);

/* A model: one file, or the shards an index names. */
struct st_model; /* opaque */

/* `path` is a .safetensors file, a model.safetensors.index.json, or a
 * directory holding model.safetensors or that index (or exactly one
 * *.safetensors). The index must name each tensor where it is. */
MUST_CHECK struct status st_model_open(const char *path,
                                       struct st_model **ret_model);
void st_model_close(struct st_model *m);    /* NULL is fine; unmaps */
void st_model_release(struct st_model **m); /* the same, for AUTO() */
/* Valid until close; data points into the mapping and is aligned to nothing:
 * read it through dtype_to_f32() or memcpy(). */
const struct tensor_set *st_model_tensors(const struct st_model *m);

/* Streaming writer of a model directory. The whole layout is told first (so
 * headers are written once and shards cut by size), then the bytes in that
 * order, in pieces of any size; finish syncs, writes the index when there is
 * more than one shard, and renames the directory into place.
 *
 * With a `recipe` what was not finished stays as "DIRECTORY.partial", locked
 * while it is written; the next writer with the same recipe, layout and
 * settings goes on behind the last checkpoint. The finished directory then
 * holds SHA256SUMS, as `sha256sum -c` reads it, of all other files. */
struct st_writer; /* opaque */

struct st_writer_settings {
    const char *directory;  /* appears whole or not at all; must not exist */
    uint64_t shard_bytes;   /* 0: one file. Shards break between tensors. */
    const json_t *metadata; /* texts for "__metadata__"; may be NULL */
    /* What the bytes depend on; NULL: not to be continued. */
    const struct digest *recipe;
    /* Called by st_writer_new() with the bytes, in order, of tensors that are
     * there already, before it is known that they are good: forget them if
     * st_writer_done() then says 0. A failure ends the writer. May be NULL. */
    MUST_CHECK struct status (*replay)(void *self, size_t tensor,
                                       const void *data, size_t size);
    void *self;
};

/* `layout` is written in order of name; data of its tensors is ignored.
 * NO_SPACE before a byte is written; UNAVAILABLE if another process writes
 * the same directory. */
MUST_CHECK struct status st_writer_new(const struct st_writer_settings *s,
                                       const struct tensor_set *layout,
                                       struct st_writer **ret_writer);
/* Tensors that are written whole: st_writer_add() goes on behind them. */
size_t st_writer_done(const struct st_writer *w);
/* Why an unfinished directory that was there could not be continued and was
 * begun anew, as a sentence; NULL: it was, or there was none. */
const char *st_writer_anew(const struct st_writer *w);
/* The next bytes of the running tensor; INVALID beyond the layout. */
MUST_CHECK struct status st_writer_add(struct st_writer *w, const void *data,
                                       size_t size);
/* All whole tensors are on the disk when it returns, and the journal says so:
 * what a writer that is killed later need not write again. Waits for the
 * disk. Nothing without a recipe. */
MUST_CHECK struct status st_writer_checkpoint(struct st_writer *w);
/* Another file of the directory: "config.json", "tokenizer.json". */
MUST_CHECK struct status st_writer_add_file(struct st_writer *w,
                                            const char *name, const void *data,
                                            size_t size);
/* All tensors the writer was made for, with their data. */
MUST_CHECK struct status st_writer_add_all(struct st_writer *w,
                                           const struct tensor_set *set);
/* INVALID if bytes are missing. On success the directory is in place. */
MUST_CHECK struct status st_writer_finish(struct st_writer *w);
/* Frees; removes what was not finished, unless there was a checkpoint. NULL
 * is fine. */
void st_writer_free(struct st_writer *w);
void st_writer_release(struct st_writer **w); /* the same, for AUTO() */

#endif
