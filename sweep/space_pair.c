/* space_pair.c -- which two replicates of a point are compared. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/space_parts.h"

/* {"count": 1, "seeds": [3], "pair": [3, 7]}: the trial of one replicate and
 * the other one's seed, in order. */
struct status space_read_pair(struct space *s, const json_t *replicates)
{
    json_t *pair = json_object_get(replicates, "pair");
    json_t *first = json_array_get(pair, 0);
    json_t *second = json_array_get(pair, 1);

    if (pair == NULL)
        return SUCCESS;
    if (s->replicates != 1 || s->seed_slot == EXPR_UNBOUND)
        return FAIL(STATUS_INVALID,
                    "replicates: a \"pair\" stands beside one seed");
    if (json_array_size(pair) != 2 || !json_is_integer(first) ||
        !json_is_integer(second) || json_equal(first, second) ||
        (!json_equal(first, s->seeds[0]) && !json_equal(second, s->seeds[0])))
        return FAIL(STATUS_INVALID,
                    "replicates: a \"pair\" is the seed and another one");
    s->twin_comes_first = json_equal(second, s->seeds[0]) != 0;
    s->twin_seed = json_incref(s->twin_comes_first ? first : second);
    s->twin_choice = choice_of(s->twin_seed);
    return SUCCESS;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool has_same_seeds(const struct space *s)
{
    AUTO(free_pointer)
    const char **texts = xcalloc((size_t)s->replicates, sizeof *texts);

    for (uint64_t i = 0; i < s->replicates; i++)
        texts[i] = s->seed_choices[i].text;
    qsort(texts, (size_t)s->replicates, sizeof *texts, by_text);
    for (uint64_t i = 1; i < s->replicates; i++) {
        if (strcmp(texts[i], texts[i - 1]) == 0)
            return true;
    }
    return false;
}

static bool names_seed(const struct expr *e)
{
    for (size_t i = 0; e != NULL && i < expr_name_count(e); i++) {
        struct expr_name name = expr_name(e, i);

        if (!name.quoted && strcmp(name.text, "seed") == 0)
            return true;
    }
    return false;
}

static bool depends_on_seed(const struct space *s)
{
    bool found = false;

    for (size_t i = 0; i < s->axis_count; i++)
        found = found || names_seed(s->axes[i].when);
    for (size_t i = 0; i < s->derived_count; i++)
        found = found || names_seed(s->derived[i].expr);
    for (size_t i = 0; i < s->constraint_count; i++)
        found = found || names_seed(s->constraints[i]);
    return found;
}

struct status space_check_pairs(const struct space *s)
{
    if (depends_on_seed(s))
        return FAIL(STATUS_INVALID,
                    "replicates that are compared may differ in $seed of a "
                    "body only, but an expression names `seed`");
    if (s->twin_seed != NULL)
        return SUCCESS;
    if (s->replicates < 2 || s->seed_slot == EXPR_UNBOUND)
        return FAIL(STATUS_INVALID,
                    "there is only one replicate, so there is none to compare "
                    "it with");
    if (has_same_seeds(s))
        return FAIL(STATUS_INVALID,
                    "two replicates that are to be compared have one seed");
    return SUCCESS;
}

struct space_twin space_twin(const struct space *s, uint64_t replicate)
{
    struct space_twin twin = { .slot = s->seed_slot };
    uint64_t other = (replicate + 1) % s->replicates;

    assert(replicate < s->replicates);
    if (s->twin_seed != NULL) {
        twin.comes_first = s->twin_comes_first;
        space_set_choice(&twin.seed, &s->twin_choice);
        return twin;
    }
    twin.comes_first = other < replicate;
    space_set_choice(&twin.seed, &s->seed_choices[other]);
    return twin;
}

uint64_t space_replicate_of(const struct space *s, const json_t *seed)
{
    uint64_t i = 0;

    while (i < s->replicates && !json_equal(s->seeds[i], seed))
        i++;
    return i;
}
