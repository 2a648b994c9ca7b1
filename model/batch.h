/* batch.h -- sequences of tokens collected one behind the other, or images. */
#ifndef SINTER_MODEL_BATCH_H
#define SINTER_MODEL_BATCH_H

#include "model/pass.h"

struct batch {
    size_t segments, most_segments;
    size_t rows, most_rows;
    uint32_t *starts;         /* [most_segments + 1] */
    int32_t *tokens, *labels; /* [most_rows] */
    size_t image;             /* floats of one; 0: these are sequences */
    float *pixels;            /* [most_rows][image] */
};

void batch_init(struct batch *b, size_t segments, size_t rows);
/* Of at most `count` images of `pixels` floats each. */
void batch_init_images(struct batch *b, size_t count, size_t pixels);
void batch_release(struct batch *b);
void batch_clear(struct batch *b);

/* A sequence whose tokens from place `first` on are to be predicted, each
 * from those before it. False: it does not fit; nothing was added. */
bool batch_add(struct batch *b, const int32_t *tokens, size_t count,
               size_t first);
/* An image of class `label`: where its floats go. NULL: the batch is full. */
float *batch_add_image(struct batch *b, int32_t label);
/* Valid until the batch changes. */
struct pass_batch batch_view(const struct batch *b);

#endif
