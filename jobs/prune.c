#include "jobs/prune.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/parallel.h"
#include "jobs/prune_cuts.h"

enum {
    WARNINGS = 8,
    SORTED = 4,      /* choices that a sort costs less than */
    HAND = 16 << 20, /* bytes that a thread takes, about */
    SHARE = 4,       /* of the memory is for them */
};

size_t prune_threads(const struct job_context *context)
{
    uint64_t most = (uint64_t)context->memory_bytes / SHARE / HAND;
    bool all = context->memory_bytes <= 0 || most > context->threads;

    return parallel_hands(all ? context->threads : most, PARALLEL_MOST);
}

/* ---- one tensor ------------------------------------------------------------ */

struct prune_work {
    struct prune_pass *pass;
    size_t tensor;
    struct prune_stretches stretches;
    struct prune_cut *own;  /* [stretches][points], or [points] if ... */
    struct prune_cut *cuts; /* own, or the pass's; NULL: rows decide */
    bool running;           /* ... one cut serves them all, in order */
    pthread_mutex_t lock;
    uint8_t *alive; /* [outputs] of the first point: has a weight left */
};

/* Of one stretch of it. */
struct reader {
    struct prune_scores scores;
    float *sorted;  /* the same, row by row; NULL: a few choices do without */
    uint8_t *keep;  /* of a chunk */
    uint8_t *alive; /* [outputs] */
};

static void reader_release(struct reader *r)
{
    prune_scores_release(&r->scores);
    free(r->sorted);
    free(r->keep);
    free(r->alive);
}

MUST_CHECK static struct status reader_init(struct reader *r,
                                            const struct prune_work *w)
{
    *r = (struct reader){ .keep = NULL };
    TRY_PLAIN(prune_scores_init(&r->scores, w->pass, w->tensor));
    r->alive = xcalloc(r->scores.target->matrix.outputs + 1, 1);
    r->keep = alloc_large(r->scores.chunk + 1);
    if (w->pass->count >= SORTED && prune_by_sorted(&w->pass->points->how))
        r->sorted = alloc_large((r->scores.chunk + 1) * sizeof(*r->sorted));
    if (r->keep == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for a mask of \"%s\"",
                    r->scores.tensor->name);
    return SUCCESS;
}

static void note_alive(const struct reader *r, uint64_t first, size_t count)
{
    const struct prune_matrix *m = &r->scores.target->matrix;

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
    const uint8_t *mask = r->scores.pass->masks == NULL
                              ? NULL
                              : r->scores.pass->masks[r->scores.number];

    for (size_t i = 0; mask != NULL && i < count; i++)
        r->keep[i] &= mask[(first + i) / 8] >> (first + i) % 8 & 1;
}

/* The rows, or groups of inputs, that make up the chunk. */
static struct prune_matrix piece_of(const struct reader *r, size_t count)
{
    struct prune_matrix piece = r->scores.target->matrix;

    if (piece.turned)
        piece.inputs = piece.outputs == 0 ? 0 : count / piece.outputs;
    else
        piece.outputs = piece.inputs == 0 ? 0 : count / piece.inputs;
    return piece;
}

static void choose(const struct reader *r, const struct prune_how *h,
                   const struct prune_matrix *piece)
{
    if (r->sorted != NULL)
        prune_choose_sorted(h, piece, r->scores.scores, r->sorted, r->keep);
    else
        prune_choose(h, piece, r->scores.scores, r->keep);
}

MUST_CHECK static struct status put_chunk(const struct reader *r,
                                          struct prune_cut *cuts,
                                          uint64_t first, size_t count)
{
    const struct prune_pass *p = r->scores.pass;
    const struct prune_matrix piece = piece_of(r, count);

    if (r->sorted != NULL)
        prune_sort_rows(&piece, r->scores.scores, r->sorted);
    for (size_t i = 0; i < p->count; i++) {
        if (cuts != NULL)
            prune_cut_apply(&cuts[i], r->scores.scores, count, r->keep);
        else
            choose(r, &p->points[i].how, &piece);
        keep_gone(r, first, count);
        if (i == 0)
            note_alive(r, first, count);
        TRY_PLAIN(p->put(p->self, i, r->scores.number, first, r->keep, count));
    }
    return SUCCESS;
}

static bool is_global(const struct prune_pass *p)
{
    return prune_by_cuts(p) && p->points->how.scope == PRUNE_GLOBAL;
}

/* Of the layer's scope. */
MUST_CHECK static struct status find_cuts(struct prune_work *w, size_t threads)
{
    const struct prune_pass *p = w->pass;
    AUTO(free_pointer)
    struct prune_cut *cuts = xcalloc(p->count, sizeof(*cuts));

    TRY_PLAIN(prune_cuts_find(p, &w->stretches, threads, cuts));
    if (threads > 1) {
        TRY_PLAIN(prune_cuts_spread(p, &w->stretches, threads, cuts, &w->own));
    } else {
        w->running = true;
        w->own = cuts;
        cuts = NULL;
    }
    w->cuts = w->own;
    return SUCCESS;
}

struct status prune_work_new(struct prune_pass *p, size_t tensor,
                             size_t threads, struct prune_work **ret_work)
{
    struct prune_work *w = xnew(struct prune_work);
    struct status st = SUCCESS;

    assert(p->count <= SELECT_RANKS && p->targets[tensor].chosen);
    w->pass = p;
    w->tensor = tensor;
    w->alive = xcalloc(p->targets[tensor].matrix.outputs + 1, 1);
    (void)pthread_mutex_init(&w->lock, NULL);
    prune_stretches_init(&w->stretches, p, tensor, tensor + 1);
    if (is_global(p))
        w->cuts = p->cuts + p->first_cuts[tensor];
    else if (prune_by_cuts(p))
        st = find_cuts(w, threads);
    if (status_failed(&st))
        prune_work_free(w);
    else
        *ret_work = w;
    return st;
}

size_t prune_work_stretches(const struct prune_work *w)
{
    return w->stretches.count;
}

uint64_t prune_work_first(const struct prune_work *w, size_t stretch)
{
    return stretch < w->stretches.count ? w->stretches.items[stretch].first
                                        : w->pass->set->items[w->tensor].count;
}

static void add_alive(struct prune_work *w, const struct reader *r)
{
    (void)pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < r->scores.target->matrix.outputs; i++)
        w->alive[i] |= r->alive[i];
    (void)pthread_mutex_unlock(&w->lock);
}

struct status prune_work_do(struct prune_work *w, size_t stretch)
{
    const struct prune_stretch_of *s = &w->stretches.items[stretch];
    struct prune_cut *cuts = w->cuts;
    AUTO(reader_release) struct reader r = { .keep = NULL };

    if (cuts != NULL && !w->running)
        cuts += stretch * w->pass->count;
    TRY_PLAIN(reader_init(&r, w));
    for (uint64_t at = s->first; at < s->end; at += r.scores.chunk) {
        size_t size = prune_scores_size(&r.scores, at, s->end);

        TRY_PLAIN(prune_scores_read(&r.scores, at, size));
        TRY_PLAIN(put_chunk(&r, cuts, at, size));
    }
    add_alive(w, &r);
    return SUCCESS;
}

void prune_work_free(struct prune_work *w)
{
    uint64_t *emptied;

    if (w == NULL)
        return;
    emptied = &w->pass->emptied[w->tensor];
    *emptied = 0;
    for (size_t o = 0; o < w->pass->targets[w->tensor].matrix.outputs; o++)
        *emptied += w->alive[o] == 0;
    prune_stretches_release(&w->stretches);
    (void)pthread_mutex_destroy(&w->lock);
    free(w->own);
    free(w->alive);
    free(w);
}

static void work_release(struct prune_work **w)
{
    prune_work_free(*w);
}

struct status prune_tensor(struct prune_pass *p, size_t tensor)
{
    AUTO(work_release) struct prune_work *w = NULL;

    TRY_PLAIN(prune_work_new(p, tensor, 1, &w));
    for (size_t i = 0; i < w->stretches.count; i++)
        TRY_PLAIN(prune_work_do(w, i));
    return SUCCESS;
}

/* ---- all of them ------------------------------------------------------------ */

/* One cut for all, as it stands where each stretch of each tensor begins. */
MUST_CHECK static struct status find_global(struct prune_pass *p)
{
    AUTO(prune_stretches_release) struct prune_stretches all;
    AUTO(free_pointer)
    struct prune_cut *cuts = xcalloc(p->count, sizeof(*cuts));

    prune_stretches_init(&all, p, 0, p->set->count);
    for (size_t i = all.count; i-- > 0;)
        p->first_cuts[all.items[i].tensor] = i * p->count;
    TRY_PLAIN(prune_cuts_find(p, &all, p->threads, cuts));
    return prune_cuts_spread(p, &all, p->threads, cuts, &p->cuts);
}

struct status prune_begin(struct prune_pass *p)
{
    p->emptied = xcalloc(p->set->count + 1, sizeof(*p->emptied));
    p->first_cuts = xcalloc(p->set->count + 1, sizeof(*p->first_cuts));
    return is_global(p) ? find_global(p) : SUCCESS;
}

void prune_end(struct prune_pass *p)
{
    free(p->cuts);
    free(p->first_cuts);
    free(p->emptied);
    p->cuts = NULL;
    p->first_cuts = NULL;
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
