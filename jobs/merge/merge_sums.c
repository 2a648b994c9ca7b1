#include "jobs/merge/merge_sums.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* Pieces first ... first + 2^level - 1, `first` a multiple of their number. A
 * run in order is a list that first grows in level, then falls. */
struct node {
    uint64_t first;
    unsigned level;
};

enum { NODES = 2 * 64 };

struct merge_sums {
    size_t width;
    size_t count, room;
    double *values; /* [room][width] */
    struct node nodes[NODES];
};

struct merge_sums *merge_sums_new(void)
{
    return xnew(struct merge_sums);
}

void merge_sums_free(struct merge_sums *s)
{
    if (s == NULL)
        return;
    free(s->values);
    free(s);
}

void merge_sums_clear(struct merge_sums *s, size_t width)
{
    if (width != s->width) {
        free(s->values);
        s->values = NULL;
        s->room = 0;
    }
    s->width = width;
    s->count = 0;
}

static double *row_of(const struct merge_sums *s, size_t node)
{
    return s->values + node * s->width;
}

/* Whether b is the other half of a's parent. */
static bool are_pair(const struct node *a, const struct node *b)
{
    return a->level == b->level && (a->first >> a->level) % 2 == 0;
}

static void add_pairs(struct merge_sums *s)
{
    while (s->count >= 2 &&
           are_pair(&s->nodes[s->count - 2], &s->nodes[s->count - 1])) {
        double *left = row_of(s, s->count - 2);
        const double *right = row_of(s, s->count - 1);

        assert(s->nodes[s->count - 1].first ==
               s->nodes[s->count - 2].first +
                   (UINT64_C(1) << s->nodes[s->count - 2].level));
        for (size_t i = 0; i < s->width; i++)
            left[i] += right[i];
        s->nodes[s->count - 2].level++;
        s->count--;
    }
}

static double *push(struct merge_sums *s, struct node node)
{
    add_pairs(s);
    if (s->count == s->room) {
        s->room = s->room == 0 ? 4 : 2 * s->room;
        s->values =
            xrealloc(s->values, (s->room * s->width + 1) * sizeof *s->values);
    }
    assert(s->count < NODES);
    s->nodes[s->count++] = node;
    return row_of(s, s->count - 1);
}

double *merge_sums_piece(struct merge_sums *s, uint64_t piece)
{
    double *row = push(s, (struct node){ .first = piece });

    memset(row, 0, s->width * sizeof *row);
    return row;
}

void merge_sums_join(struct merge_sums *s, struct merge_sums *later)
{
    assert(later->count == 0 || later->width == s->width);
    add_pairs(later);
    for (size_t i = 0; i < later->count; i++) {
        double *row = push(s, later->nodes[i]);

        memcpy(row, row_of(later, i), s->width * sizeof *row);
    }
}

void merge_sums_total(struct merge_sums *s, double *ret_sums)
{
    memset(ret_sums, 0, s->width * sizeof *ret_sums);
    add_pairs(s);
    for (size_t node = s->count; node-- > 0;) {
        const double *row = row_of(s, node);

        for (size_t i = 0; i < s->width; i++)
            ret_sums[i] = row[i] + ret_sums[i];
    }
}
