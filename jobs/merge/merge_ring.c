#include "jobs/merge/merge_ring.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/memory.h"

enum {
    /* One is filled, one handed out, and of the one before the last piece may
     * still be in the writer's hands. */
    WINDOWS = 3,
    WINDOW_BYTES = 32 << 20, /* of all */
    ALIGN = 64,
};

struct piece {
    size_t tensor, size;
    const char *data;
};

struct merge_ring {
    const struct merge_sink *sink;
    size_t window; /* bytes of each */
    char *memory;
    /* What is in the window that is filled; worker 0's. */
    struct piece *pieces;
    size_t count, room;
};

static size_t aligned(uint64_t bytes)
{
    return (size_t)(bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* Of the longest chunk: it must fit. */
static uint64_t least_window(const struct merge_work *work)
{
    const struct tensor_set *layout = &work->plan->layout;
    uint64_t most = ALIGN;

    for (size_t i = 0; i < layout->count; i++) {
        uint64_t unit = merge_unit(work, i);
        uint64_t count = layout->items[i].count;
        uint64_t bytes =
            (count < unit ? count : unit) * dtype_size(layout->items[i].dtype);

        most = bytes > most ? bytes : most;
    }
    return most;
}

struct status merge_ring_new(const struct merge_work *work,
                             const struct merge_sink *sink,
                             struct merge_ring **ret_ring)
{
    uint64_t asked = work->runtime->window;
    uint64_t window = (asked == 0 ? WINDOW_BYTES : asked) / WINDOWS;
    uint64_t least = least_window(work);
    struct merge_ring *r = xnew(struct merge_ring);

    r->sink = sink;
    r->window = aligned(window > least ? window : least);
    r->memory = aligned_alloc(ALIGN, WINDOWS * r->window);
    if (r->memory == NULL) {
        size_t bytes = WINDOWS * r->window;

        merge_ring_free(r);
        return FAIL(STATUS_NO_MEMORY,
                    "merge: no %zu bytes for tensors on their way out", bytes);
    }
    *ret_ring = r;
    return SUCCESS;
}

void merge_ring_free(struct merge_ring *r)
{
    if (r == NULL)
        return;
    free(r->memory);
    free(r->pieces);
    free(r);
}

size_t merge_ring_window(const struct merge_ring *r)
{
    return r->window;
}

static void add_piece(struct merge_ring *r, struct piece piece)
{
    if (r->count == r->room) {
        r->room = 2 * r->room + ALIGN;
        r->pieces = xrealloc(r->pieces, r->room * sizeof *r->pieces);
    }
    r->pieces[r->count++] = piece;
}

/* What was made after something went wrong is not handed out. */
static void hand_out(struct merge_work *work)
{
    struct merge_ring *r = work->ring;

    for (size_t i = 0; i < r->count && !atomic_load(&work->stopped) &&
                       atomic_load(&work->fault) == SIZE_MAX;
         i++) {
        const struct piece *p = &r->pieces[i];
        struct status s =
            r->sink->write(r->sink->self, p->tensor, p->data, p->size);

        if (status_failed(&s)) {
            work->failure = s;
            atomic_store(&work->stopped, true);
        }
    }
    r->count = 0;
}

static void turn(struct merge_worker *w)
{
    merge_meet(w);
    if (w->index == 0)
        hand_out(w->work);
    w->window = (w->window + 1) % WINDOWS;
    w->used = 0;
}

struct merge_part merge_ring_take(struct merge_worker *w, size_t tensor,
                                  uint64_t first, bool whole)
{
    struct merge_ring *r = w->work->ring;
    const struct tensor *t = &w->work->plan->layout.items[tensor];
    size_t size = dtype_size(t->dtype);
    uint64_t left = t->count - first;
    uint64_t unit = merge_unit(w->work, tensor);
    uint64_t least = whole || left < unit ? left : unit;
    uint64_t room;

    if (least > (r->window - w->used) / size)
        turn(w);
    room = (r->window - w->used) / size;
    room = room < left ? room - room % unit : left;
    w->span = r->memory + w->window * r->window + w->used;
    w->span_first = first;
    w->used += aligned(room * size);
    if (w->index == 0)
        add_piece(r, (struct piece){ tensor, (size_t)room * size, w->span });
    return (struct merge_part){ first, first + room };
}

void merge_ring_end(struct merge_worker *w)
{
    turn(w);
}
