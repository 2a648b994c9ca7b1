#include "jobs/select/budget.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/select/choice.h"

static const char *const mode_names[BUDGET_MODES] = {
    [BUDGET_CAPPED] = "capped",
    [BUDGET_REMAINDER] = "remainder",
    [BUDGET_FLOOR] = "floor",
};

CHOICE(budget_mode, mode_names)

size_t budget_of_fraction(double fraction, size_t n)
{
    return (size_t)(fraction * (double)n);
}

struct split {
    size_t count;
    double *weights;   /* [count] not negative */
    size_t *room;      /* [count] what each can still give */
    bool *fixed;       /* [count] gives no more in later rounds */
    double *fractions; /* [count] */
    size_t *shares;    /* [count] of a round */
    bool zero_total;
};

static void split_release(struct split *s)
{
    free(s->weights);
    free(s->room);
    free(s->fixed);
    free(s->fractions);
    free(s->shares);
}

MUST_CHECK static struct status split_init(struct split *s, size_t count,
                                           const double *weights,
                                           const size_t *sizes)
{
    double total = 0.0;

    s->count = count;
    s->weights = xcalloc(count + 1, sizeof(*s->weights));
    s->room = xcalloc(count + 1, sizeof(*s->room));
    s->fixed = xcalloc(count + 1, sizeof(*s->fixed));
    s->fractions = xcalloc(count + 1, sizeof(*s->fractions));
    s->shares = xcalloc(count + 1, sizeof(*s->shares));
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(weights[i]))
            return FAIL(STATUS_INVALID,
                        "cluster %zu has a mean degradation of %g: no budget "
                        "can be split by that",
                        i, weights[i]);
        s->weights[i] = weights[i] > 0.0 ? weights[i] : 0.0;
        s->room[i] = sizes[i];
        total += s->weights[i];
    }
    if (!isfinite(total))
        return FAIL(STATUS_INVALID,
                    "the degradations of %zu clusters have no finite sum",
                    count);
    s->zero_total = total <= 0.0;
    return SUCCESS;
}

/* Fills `shares` and `fractions` of those that are not fixed; returns what is
 * left over. */
static size_t share_floor(struct split *s, size_t budget, bool equal_if_zero)
{
    double total = 0.0;
    size_t others = 0, given = 0;

    for (size_t i = 0; i < s->count; i++)
        if (!s->fixed[i]) {
            total += s->weights[i];
            others++;
        }
    for (size_t i = 0; i < s->count; i++) {
        double exact = 0.0;

        if (!s->fixed[i] && total > 0.0)
            exact = (double)budget * (s->weights[i] / total);
        else if (!s->fixed[i] && equal_if_zero)
            exact = (double)budget * (1.0 / (double)others);
        s->shares[i] = (size_t)exact;
        s->fractions[i] = s->fixed[i] ? -1.0 : exact - floor(exact);
        given += s->shares[i];
    }
    return budget > given ? budget - given : 0;
}

/* What floor leaves is below the number of clusters. */
static void share_rest(struct split *s, size_t rest)
{
    for (; rest > 0; rest--) {
        size_t best = s->count;

        for (size_t i = 0; i < s->count; i++)
            if (s->fractions[i] >= 0.0 &&
                (best == s->count || s->fractions[i] > s->fractions[best]))
                best = i;
        if (best == s->count)
            return;
        s->shares[best]++;
        s->fractions[best] = -1.0;
    }
}

static void add_shares(const struct split *s, size_t *counts)
{
    for (size_t i = 0; i < s->count; i++)
        if (!s->fixed[i])
            counts[i] += s->shares[i];
}

/* Gives all of a cluster whose share is more than it has; returns how much
 * that takes of the budget. */
static size_t fix_full(struct split *s, size_t *counts, bool *ret_some)
{
    size_t taken = 0;

    *ret_some = false;
    for (size_t i = 0; i < s->count; i++) {
        if (s->fixed[i] || s->shares[i] <= s->room[i])
            continue;
        s->fixed[i] = true;
        counts[i] += s->room[i];
        taken += s->room[i];
        *ret_some = true;
    }
    return taken;
}

static void split_capped(struct split *s, size_t budget, size_t *counts)
{
    bool some = true;

    while (some) {
        share_rest(s, share_floor(s, budget, true));
        budget -= fix_full(s, counts, &some);
    }
    add_shares(s, counts);
}

/* The least that each gets; returns what is left of the budget. */
static size_t give_least(struct split *s, size_t least, size_t budget,
                         size_t *counts)
{
    for (size_t turn = 0; turn < least && budget > 0; turn++) {
        bool *served = s->fixed; /* all false before and after */
        size_t before = budget;

        for (size_t step = 0; step < s->count && budget > 0; step++) {
            size_t best = s->count;

            for (size_t i = 0; i < s->count; i++)
                if (!served[i] && s->room[i] > 0 &&
                    (best == s->count || s->weights[i] > s->weights[best]))
                    best = i;
            if (best == s->count)
                break;
            served[best] = true;
            s->room[best]--;
            counts[best]++;
            budget--;
        }
        memset(served, 0, s->count * sizeof(*served));
        if (before == budget)
            break;
    }
    return budget;
}

struct status budget_split(const struct budget_how *how, size_t count,
                           const double *weights, const size_t *sizes,
                           size_t *ret_counts, struct budget_result *ret_result)
{
    AUTO(split_release) struct split s = { 0 };
    size_t budget, rest;

    TRY_PLAIN(split_init(&s, count, weights, sizes));
    memset(ret_counts, 0, count * sizeof(*ret_counts));
    budget = give_least(&s, how->min_per_cluster, how->budget, ret_counts);
    if (how->mode == BUDGET_CAPPED) {
        split_capped(&s, budget, ret_counts);
    } else {
        rest = share_floor(&s, budget, how->mode == BUDGET_REMAINDER);
        if (how->mode == BUDGET_REMAINDER)
            share_rest(&s, rest);
        add_shares(&s, ret_counts);
    }
    ret_result->zero_total = s.zero_total;
    ret_result->unspent = how->budget;
    for (size_t i = 0; i < count; i++)
        ret_result->unspent -= ret_counts[i] < ret_result->unspent
                                   ? ret_counts[i]
                                   : ret_result->unspent;
    return SUCCESS;
}
