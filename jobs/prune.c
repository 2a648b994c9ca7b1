#include "jobs/prune.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/prune_inputs.h"
#include "tensor/isa.h"

enum {
    CHUNK = 1 << 16, /* elements at a time, where rows are not longer */
    WARNINGS = 8,
};

/* ---- scores --------------------------------------------------------------- */

ISA_CLONES
static void take_magnitudes(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = fabsf(x[i]);
}

/* Of one tensor, by one thread. */
struct reader {
    const struct prune_pass *pass;
    const struct tensor *tensor;
    const struct prune_target *target;
    size_t number;
    size_t chunk; /* elements */
    float *scores;
    uint8_t *keep;
    uint8_t *alive; /* [outputs] of the first point: has a weight left */
};

static void reader_release(struct reader *r)
{
    free(r->scores);
    free(r->keep);
    free(r->alive);
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
    if (least == 0 || least >= all)
        return all;
    return CHUNK < least ? least : CHUNK / least * least;
}

MUST_CHECK static struct status reader_init(struct reader *r,
                                            const struct prune_pass *p,
                                            size_t number)
{
    const struct prune_target *t = &p->targets[number];

    *r = (struct reader){
        .pass = p,
        .tensor = &p->set->items[number],
        .target = t,
        .number = number,
        .chunk = chunk_of(&p->points->how, &t->matrix),
    };
    /* Chunks of random draws begin at whole blocks. */
    r->scores = alloc_large((r->chunk + 4) * sizeof(float));
    r->keep = alloc_large(r->chunk + 1);
    r->alive = xcalloc(t->matrix.outputs + 1, 1);
    if (r->scores == NULL || r->keep == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for %zu scores of \"%s\"",
                    r->chunk, r->tensor->name);
    return SUCCESS;
}

static size_t size_at(const struct reader *r, uint64_t first)
{
    uint64_t left = r->tensor->count - first;

    return left < r->chunk ? (size_t)left : r->chunk;
}

MUST_CHECK static struct status check_finite(const struct reader *r,
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
static void draw(const struct reader *r, uint64_t first, size_t count)
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
            philox_uniform(key, first + head, count - head, r->scores + head);
        return;
    }
    philox_uniform(key, first, count, r->scores);
}

MUST_CHECK static struct status read_scores(const struct reader *r,
                                            uint64_t first, size_t count)
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

/* ---- what is decided over more than a row ---------------------------------- */

static void free_select(struct select **s)
{
    select_free(*s);
}

MUST_CHECK static struct status count_tensor(const struct prune_pass *p,
                                             size_t number, struct select *s)
{
    AUTO(reader_release) struct reader r = { .pass = p };

    TRY_PLAIN(reader_init(&r, p, number));
    for (uint64_t at = 0; at < r.tensor->count; at += r.chunk) {
        size_t size = size_at(&r, at);

        TRY_PLAIN(read_scores(&r, at, size));
        select_add(s, r.scores, size);
    }
    return SUCCESS;
}

/* The chosen tensors from `from` to `to`, without it. */
MUST_CHECK static struct status count_tensors(const struct prune_pass *p,
                                              size_t from, size_t to,
                                              struct select *s)
{
    for (size_t i = from; i < to; i++)
        if (p->targets[i].chosen)
            TRY_PLAIN(count_tensor(p, i, s));
    return SUCCESS;
}

/* Nothing goes: no score is below 0. */
static const struct prune_cut no_cut = { .below = 0.0F, .equal = 0 };

/* A cut for each point over those tensors, which are read as often as it
 * takes. */
MUST_CHECK static struct status find_cuts(const struct prune_pass *p,
                                          size_t from, size_t to,
                                          struct prune_cut *ret_cuts)
{
    AUTO(free_select) struct select *s = NULL;
    uint64_t ranks[SELECT_RANKS], count = 0;
    size_t of[SELECT_RANKS], wanted = 0;
    bool done = false;

    for (size_t i = from; i < to; i++)
        count += p->targets[i].chosen ? p->set->items[i].count : 0;
    for (size_t i = 0; i < p->count; i++) {
        ret_cuts[i] = no_cut;
        of[wanted] = i;
        wanted += prune_rank(&p->points[i].how, count, &ranks[wanted]);
    }
    if (wanted == 0)
        return SUCCESS;
    s = select_new(SELECT_MAGNITUDE);
    TRY_PLAIN(count_tensors(p, from, to, s));
    TRY_PLAIN(select_finish(s, ranks, wanted, &done));
    while (!done) {
        TRY_PLAIN(count_tensors(p, from, to, s));
        done = select_settle(s);
    }
    for (size_t i = 0; i < wanted; i++) {
        const struct select_found found = select_result(s, i);

        ret_cuts[of[i]] = prune_cut_at(&p->points[of[i]].how, count, &found);
    }
    return SUCCESS;
}

/* ---- one tensor ------------------------------------------------------------ */

static void note_alive(const struct reader *r, uint64_t first, size_t count)
{
    const struct prune_matrix *m = &r->target->matrix;

    if (m->turned) {
        for (size_t i = 0; i < count; i++)
            r->alive[(first + i) % m->outputs] |= r->keep[i];
        return;
    }
    for (size_t i = 0; i < count;) {
        size_t row = (size_t)((first + i) / m->inputs);
        size_t left = (size_t)((row + 1) * m->inputs - first - i);
        size_t size = left < count - i ? left : count - i;

        if (r->alive[row] == 0)
            r->alive[row] = memchr(r->keep + i, 1, size) != NULL;
        i += size;
    }
}

/* What went before does not come back. */
static void keep_gone(const struct reader *r, uint64_t first, size_t count)
{
    const uint8_t *mask =
        r->pass->masks == NULL ? NULL : r->pass->masks[r->number];

    for (size_t i = 0; mask != NULL && i < count; i++)
        r->keep[i] &= mask[(first + i) / 8] >> (first + i) % 8 & 1;
}

/* Of the rows, or groups of inputs, that make up the chunk. */
static void choose_piece(const struct reader *r, const struct prune_how *h,
                         size_t count)
{
    struct prune_matrix piece = r->target->matrix;

    if (piece.turned)
        piece.inputs = piece.outputs == 0 ? 0 : count / piece.outputs;
    else
        piece.outputs = piece.inputs == 0 ? 0 : count / piece.inputs;
    prune_choose(h, &piece, r->scores, r->keep);
}

MUST_CHECK static struct status put_chunk(const struct reader *r,
                                          struct prune_cut *cuts,
                                          uint64_t first, size_t count)
{
    const struct prune_pass *p = r->pass;

    for (size_t i = 0; i < p->count; i++) {
        if (cuts != NULL)
            prune_cut_apply(&cuts[i], r->scores, count, r->keep);
        else
            choose_piece(r, &p->points[i].how, count);
        keep_gone(r, first, count);
        if (i == 0)
            note_alive(r, first, count);
        TRY_PLAIN(p->put(p->self, i, r->number, first, r->keep, count));
    }
    return SUCCESS;
}

static bool by_cuts(const struct prune_pass *p)
{
    const struct prune_how *h = &p->points->how;

    return h->of == 0 && h->scope != PRUNE_ROW && h->rule != PRUNE_ALPHA;
}

static bool is_global(const struct prune_pass *p)
{
    return by_cuts(p) && p->points->how.scope == PRUNE_GLOBAL;
}

struct status prune_tensor(struct prune_pass *p, size_t tensor)
{
    AUTO(reader_release) struct reader r = { .pass = p };
    struct prune_cut own[SELECT_RANKS];
    struct prune_cut *cuts = by_cuts(p) ? own : NULL;

    assert(p->count <= SELECT_RANKS && p->targets[tensor].chosen);
    if (is_global(p))
        cuts = p->cuts;
    else if (cuts != NULL)
        TRY_PLAIN(find_cuts(p, tensor, tensor + 1, cuts));
    TRY_PLAIN(reader_init(&r, p, tensor));
    for (uint64_t at = 0; at < r.tensor->count; at += r.chunk) {
        size_t size = size_at(&r, at);

        TRY_PLAIN(read_scores(&r, at, size));
        TRY_PLAIN(put_chunk(&r, cuts, at, size));
    }
    for (size_t o = 0; o < r.target->matrix.outputs; o++)
        p->emptied[tensor] += r.alive[o] == 0;
    return SUCCESS;
}

/* ---- all of them ------------------------------------------------------------ */

/* Ties of tensors that are not asked for are used up. */
MUST_CHECK static struct status skip_tensor(struct prune_pass *p, size_t tensor)
{
    AUTO(reader_release) struct reader r = { .pass = p };

    TRY_PLAIN(reader_init(&r, p, tensor));
    for (uint64_t at = 0; at < r.tensor->count; at += r.chunk) {
        size_t size = size_at(&r, at);

        TRY_PLAIN(read_scores(&r, at, size));
        for (size_t i = 0; i < p->count; i++)
            prune_cut_apply(&p->cuts[i], r.scores, size, r.keep);
    }
    return SUCCESS;
}

struct status prune_begin(struct prune_pass *p, size_t first)
{
    p->emptied = xcalloc(p->set->count + 1, sizeof(*p->emptied));
    p->cuts = xcalloc(p->count, sizeof(*p->cuts));
    if (!is_global(p))
        return SUCCESS;
    TRY_PLAIN(find_cuts(p, 0, p->set->count, p->cuts));
    for (size_t i = 0; i < first; i++)
        if (p->targets[i].chosen)
            TRY_PLAIN(skip_tensor(p, i));
    return SUCCESS;
}

void prune_end(struct prune_pass *p)
{
    free(p->cuts);
    free(p->emptied);
    p->cuts = NULL;
    p->emptied = NULL;
}

void prune_warn(const struct prune_pass *p, struct job_context *context)
{
    size_t told = 0;
    char line[256];

    for (size_t i = 0; i < p->set->count; i++) {
        if (p->emptied[i] == 0 || told++ >= WARNINGS)
            continue;
        (void)snprintf(line, sizeof(line),
                       "warning: %" PRIu64 " of %zu outputs of \"%.120s\" "
                       "have no weight left",
                       p->emptied[i], p->targets[i].matrix.outputs,
                       p->set->items[i].name);
        context->log(context->self, line);
    }
    if (told <= WARNINGS)
        return;
    (void)snprintf(line, sizeof(line),
                   "warning: %zu more tensors have outputs without a weight",
                   told - WARNINGS);
    context->log(context->self, line);
}
