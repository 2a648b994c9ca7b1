/* batch.h -- sequences of tokens collected one behind the other. */
#ifndef SINTER_MODEL_BATCH_H
#define SINTER_MODEL_BATCH_H

#include "model/pass.h"

struct batch {
    size_t segments, most_segments;
    size_t rows, most_rows;
    uint32_t *starts;         /* [most_segments + 1] */
    int32_t *tokens, *labels; /* [most_rows] */
};

void batch_init(struct batch *b, size_t segments, size_t rows);
void batch_release(struct batch *b);
void batch_clear(struct batch *b);

/* A sequence whose tokens from place `first` on are to be predicted, each
 * from those before it. False: it does not fit; nothing was added. */
bool batch_add(struct batch *b, const int32_t *tokens, size_t count,
               size_t first);
/* Valid until the batch changes. */
struct pass_batch batch_view(const struct batch *b);

#endif
