#include "jobs/select/priority.h"

#include <math.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/select/choice.h"
#include "jobs/select/crew.h"

static const char *const cost_names[PRIORITY_COSTS] = {
    [PRIORITY_SQUARE] = "square",
    [PRIORITY_LINEAR] = "linear",
    [PRIORITY_NONE] = "none",
};

CHOICE(priority_cost, cost_names)

double priority_cost_of(enum priority_cost cost, size_t x, size_t y)
{
    double tokens = fmax((double)x + (double)y, 2.0);

    switch (cost) {
    case PRIORITY_SQUARE:
        return tokens * tokens;
    case PRIORITY_LINEAR:
        return tokens;
    default:
        return 1.0;
    }
}

double priority_score(enum priority_cost cost, double jsd, size_t x, size_t y)
{
    if (cost == PRIORITY_NONE)
        return jsd;
    return jsd / log(priority_cost_of(cost, x, y));
}

void priority_degradation(const double *jsd, const uint32_t *labels, size_t n,
                          size_t clusters, double *ret_means,
                          size_t *ret_counts)
{
    for (size_t k = 0; k < clusters; k++) {
        ret_means[k] = 0.0;
        ret_counts[k] = 0;
    }
    for (size_t i = 0; i < n; i++)
        if (isfinite(jsd[i])) {
            ret_means[labels[i]] += jsd[i];
            ret_counts[labels[i]]++;
        }
    for (size_t k = 0; k < clusters; k++)
        ret_means[k] = ret_counts[k] == 0
                           ? (double)NAN
                           : ret_means[k] / (double)ret_counts[k];
}

/* One step of a merge sort: runs of `size`, two by two. */
static void merge_runs(const double *scores, const uint32_t *from, uint32_t *to,
                       size_t count, size_t size)
{
    for (size_t first = 0; first < count; first += 2 * size) {
        size_t middle = first + size < count ? first + size : count;
        size_t end = first + 2 * size < count ? first + 2 * size : count;
        size_t a = first, b = middle;

        for (size_t at = first; at < end; at++) {
            bool left =
                a < middle && (b == end || scores[from[a]] >= scores[from[b]]);

            to[at] = from[left ? a++ : b++];
        }
    }
}

struct status priority_sort(const double *scores, uint32_t *order, size_t count)
{
    AUTO(free_pointer) void *memory = NULL;
    uint32_t *from = order, *to;

    TRY_PLAIN(crew_room(count, sizeof(*order), "an order", &memory));
    to = memory;
    for (size_t size = 1; size < count; size *= 2) {
        uint32_t *swap = from;

        merge_runs(scores, from, to, count, size);
        from = to;
        to = swap;
    }
    if (from != order)
        memcpy(order, from, count * sizeof(*order));
    return SUCCESS;
}
