/* prune_walk.h -- samples of some data on their way through a model, one
 * section after the other: of the model one section is in memory, what lies
 * between two sections is in a file of the job's scratch that is mapped. */
#ifndef SINTER_JOBS_PRUNE_WALK_H
#define SINTER_JOBS_PRUNE_WALK_H

#include "jobs/data.h"
#include "model/pass.h"
#include "tensor/tensor.h"

/* Keys of `calibration`. */
extern const struct catalog_key prune_calibration_keys[];

/* What lies between two sections, [rows][width] of all samples. */
struct prune_stream {
    float *data;
    size_t size;
};

struct prune_walk {
    struct job_context *context; /* borrowed, as is the model */
    const struct model *model;
    struct data data;
    size_t samples, rows;
    size_t most_rows; /* that go together */
    size_t longest;   /* rows of a sample */
    uint32_t *starts; /* [samples + 1] rows */
    int32_t *tokens;  /* [rows] of text */
    float *pixels;    /* [rows][graph's pixels] of images */
    struct prune_stream read, written;
    struct pass *pass;    /* of the section */
    uint32_t *group;      /* starts of those that go together */
    uint64_t done, total; /* samples, for the progress */
};

/* `calibration`: {data, samples, length, seed}. `tokenizer` as of data_open(). The model needs no parameters
 * yet; `sections` will be walked. INVALID, NO_MEMORY. To be released. */
MUST_CHECK struct status prune_walk_open(struct prune_walk *w,
                                         const json_t *calibration,
                                         const struct tokenizer *tokenizer,
                                         const struct model *model,
                                         size_t sections,
                                         struct job_context *context);
void prune_walk_release(struct prune_walk *w);

/* A section, whose parameters are there, may be entered. Sections come in
 * order. */
MUST_CHECK struct status prune_walk_enter(struct prune_walk *w, size_t section);
/* All samples through it. `look` (NULL: nobody) sees the pass after each group
 * of them; `leave`: what they leave is what the next section reads. FAILED if
 * that is not finite. */
MUST_CHECK struct status prune_walk_through(
    struct prune_walk *w, size_t section, bool leave,
    struct status (*look)(void *self, const struct pass *pass, size_t rows,
                          size_t samples),
    void *self);
/* After the last walk through it. */
void prune_walk_leave(struct prune_walk *w);
/* What section `section` will read, a view. */
struct tensor prune_walk_stream(const struct prune_walk *w, size_t section,
                                const char *name);
/* Begins with section `section`, which reads what was there then. INVALID if
 * it is not of these samples. */
MUST_CHECK struct status prune_walk_resume(struct prune_walk *w, size_t section,
                                           const struct tensor *stream);
/* Bytes that samples and a pass of the section take. */
size_t prune_walk_bytes(const struct prune_walk *w, size_t section);

#endif
