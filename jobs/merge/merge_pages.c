#include "jobs/merge/merge_pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/memory.h"

/* A fault maps what else of the file is in memory around it, as far as one
 * table of pages or one large page reaches; that goes as well. */
enum { AROUND = 2 << 20 };

/* Bytes of one file that tensors lie in. */
struct span {
    uintptr_t first, end;
    const char *file;
};

struct merge_pages {
    uintptr_t page;
    size_t count;
    struct span *spans; /* by address */
};

static int by_address(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

static void add_set(struct merge_pages *p, const struct tensor_set *set)
{
    if (set == NULL)
        return;
    p->spans =
        xrealloc(p->spans, (p->count + set->count + 1) * sizeof *p->spans);
    for (size_t i = 0; i < set->count; i++) {
        const struct tensor *t = &set->items[i];
        uintptr_t first = (uintptr_t)t->data;

        if (t->data != NULL && t->count > 0)
            p->spans[p->count++] =
                (struct span){ first, first + tensor_bytes(t), t->file };
    }
}

static bool same_file(const struct span *a, const struct span *b)
{
    return a->file == b->file || (a->file != NULL && b->file != NULL &&
                                  strcmp(a->file, b->file) == 0);
}

/* Tensors that touch become one span: between them there is nothing else. */
static void join(struct merge_pages *p)
{
    size_t kept = 0;

    qsort(p->spans, p->count, sizeof *p->spans, by_address);
    for (size_t i = 1; i < p->count; i++) {
        struct span *last = &p->spans[kept];
        const struct span *next = &p->spans[i];

        if (next->first > last->end + p->page || !same_file(last, next))
            p->spans[++kept] = *next;
        else if (next->end > last->end)
            last->end = next->end;
    }
    p->count = p->count == 0 ? 0 : kept + 1;
}

struct merge_pages *merge_pages_new(const struct merge_inputs *inputs,
                                    size_t models)
{
    struct merge_pages *p = xnew(struct merge_pages);

    p->page = (uintptr_t)sysconf(_SC_PAGESIZE);
    add_set(p, inputs->base);
    for (size_t i = 0; i < models; i++)
        add_set(p, inputs->tasks[i]);
    join(p);
    return p;
}

void merge_pages_free(struct merge_pages *p)
{
    if (p != NULL)
        free(p->spans);
    free(p);
}

/* The last one that begins at or before the address; NULL: it is in none. */
static const struct span *span_of(const struct merge_pages *p, uintptr_t at)
{
    size_t low = 0;
    size_t high = p->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (p->spans[middle].first <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 || p->spans[low - 1].end <= at ? NULL : &p->spans[low - 1];
}

void merge_pages_drop(const struct merge_pages *p, const void *data,
                      uint64_t size)
{
    uintptr_t first = (uintptr_t)data / AROUND * AROUND;
    uintptr_t end = ((uintptr_t)data + size + AROUND - 1) / AROUND * AROUND;
    const struct span *span = span_of(p, (uintptr_t)data);

    if (span == NULL || size == 0)
        return;
    /* Pages of the file are its own, but others may lie beside them. */
    first = first > span->first ? first : span->first / p->page * p->page;
    if (end > span->end)
        end = (span->end + p->page - 1) / p->page * p->page;
    /* Advice: if it is not taken, memory is used as without it. */
    (void)madvise((void *)first, end - first, MADV_DONTNEED); // NOLINT
}
