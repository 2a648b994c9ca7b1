#include "model/batch.h"

#include "common/memory.h"

void batch_init(struct batch *b, size_t segments, size_t rows)
{
    *b = (struct batch){ .most_segments = segments, .most_rows = rows };
    b->starts = xcalloc(segments + 1, sizeof(*b->starts));
    b->tokens = xcalloc(rows, sizeof(*b->tokens));
    b->labels = xcalloc(rows, sizeof(*b->labels));
}

void batch_init_images(struct batch *b, size_t count, size_t pixels)
{
    batch_init(b, 1, count);
    b->image = pixels;
    b->pixels = xcalloc(count * pixels, sizeof(*b->pixels));
}

void batch_release(struct batch *b)
{
    free(b->pixels);
    free(b->starts);
    free(b->tokens);
    free(b->labels);
}

void batch_clear(struct batch *b)
{
    b->segments = b->rows = 0;
}

bool batch_add(struct batch *b, const int32_t *tokens, size_t count,
               size_t first)
{
    if (b->segments == b->most_segments || count > b->most_rows - b->rows)
        return false;
    memcpy(b->tokens + b->rows, tokens, count * sizeof(*tokens));
    for (size_t i = 0; i < count; i++)
        b->labels[b->rows + i] =
            i + 1 < count && i + 1 >= first ? tokens[i + 1] : OP_NO_LABEL;
    b->rows += count;
    b->starts[++b->segments] = (uint32_t)b->rows;
    return true;
}

float *batch_add_image(struct batch *b, int32_t label)
{
    if (b->rows == b->most_rows)
        return NULL;
    b->labels[b->rows] = label;
    b->segments = 1;
    b->starts[1] = (uint32_t)(b->rows + 1);
    return b->pixels + b->rows++ * b->image;
}

struct pass_batch batch_view(const struct batch *b)
{
    struct pass_batch view = {
        .segments = b->segments,
        .starts = b->starts,
        .tokens = b->tokens,
        .labels = b->labels,
        .pixels = b->pixels,
    };

    return view;
}
