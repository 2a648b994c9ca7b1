#include "jobs/prune_scores.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/merge/merge_draw.h"
#include "jobs/prune_inputs.h"
#include "tensor/isa.h"

enum {
    CHUNK = 1 << 16,   /* elements at a time, where rows are not longer */
    STRETCH = 1 << 20, /* that a thread takes, about */
    BYTE = 8,          /* elements of a byte of a mask */
};

ISA_CLONES
static void take_magnitudes(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = fabsf(x[i]);
}

/* Whole rows where they belong together, whole groups of inputs where these
 * lie behind each other. */
static size_t chunk_of(const struct prune_how *h, const struct prune_matrix *m)
{
    size_t all = m->outputs * m->inputs;
    size_t least = m->inputs;

    if (h->of == 0 && h->rule == PRUNE_ALPHA)
        return all;
    if (h->of == 0 && h->scope != PRUNE_ROW)
        return CHUNK < all ? CHUNK : all;
    if (m->turned)
        least = h->of == 0 ? all : h->of * m->outputs;
    least *= BYTE;
    if (least == 0 || least >= all)
        return all;
    return CHUNK < least ? least : CHUNK / least * least;
}

uint64_t prune_stretch(const struct prune_pass *p, size_t number)
{
    uint64_t chunk = chunk_of(&p->points->how, &p->targets[number].matrix);

    return chunk == 0 || chunk >= STRETCH ? chunk : STRETCH / chunk * chunk;
}

struct status prune_scores_init(struct prune_scores *r,
                                const struct prune_pass *p, size_t number)
{
    const struct prune_target *t = &p->targets[number];

    *r = (struct prune_scores){
        .pass = p,
        .tensor = &p->set->items[number],
        .target = t,
        .number = number,
        .chunk = chunk_of(&p->points->how, &t->matrix),
    };
    /* Chunks of random draws begin at whole blocks. */
    r->scores = alloc_large((r->chunk + 4) * sizeof(float));
    if (r->scores == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for %zu scores of \"%s\"",
                    r->chunk, r->tensor->name);
    return SUCCESS;
}

void prune_scores_release(struct prune_scores *r)
{
    free(r->scores);
}

size_t prune_scores_size(const struct prune_scores *r, uint64_t first,
                         uint64_t end)
{
    uint64_t left = end - first;

    return left < r->chunk ? (size_t)left : r->chunk;
}

MUST_CHECK static struct status check_finite(const struct prune_scores *r,
                                             const void *data, uint64_t first,
                                             size_t count)
{
    const struct tensor *t = r->tensor;
    size_t bad = dtype_find_not_finite(t->dtype, data, count);

    if (bad < count)
        return FAIL(STATUS_CORRUPT,
                    "tensor \"%s\" has a NaN or infinity at element %" PRIu64
                    "%s%s",
                    t->name, first + bad, t->file == NULL ? "" : " of ",
                    t->file == NULL ? "" : t->file);
    return SUCCESS;
}

/* Draws are of blocks of four. */
static void draw(const struct prune_scores *r, uint64_t first, size_t count)
{
    const struct philox_key key = {
        .seed = r->pass->points->seed,
        .stream = philox_hash("prune.random"),
        .tensor = philox_hash64(r->tensor->name),
    };
    size_t before = (size_t)(first % 4);

    philox_uniform(key, first - before, count < 4 - before ? before + count : 4,
                   r->scores);
    if (before > 0) {
        size_t head = 4 - before < count ? 4 - before : count;

        memmove(r->scores, r->scores + before, head * sizeof(float));
        if (count > head)
            merge_draw(key, first + head, count - head, r->scores + head);
        return;
    }
    merge_draw(key, first, count, r->scores);
}

struct status prune_scores_read(const struct prune_scores *r, uint64_t first,
                                size_t count)
{
    const struct tensor *t = r->tensor;
    const char *data = (const char *)t->data + first * dtype_size(t->dtype);

    if (r->pass->cancelled(r->pass->self))
        return FAIL(STATUS_CANCELLED, "cancelled while pruning");
    TRY_PLAIN(check_finite(r, data, first, count));
    if (r->pass->points->method == PRUNE_RANDOM) {
        draw(r, first, count);
        return SUCCESS;
    }
    dtype_to_f32(t->dtype, data, r->scores, count);
    if (r->pass->points->method == PRUNE_WANDA)
        prune_norms_score(&r->target->matrix, r->pass->norms[r->number],
                          r->scores, first, count, r->scores);
    else
        take_magnitudes(r->scores, count);
    return SUCCESS;
}
