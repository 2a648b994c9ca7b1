/* recipe_cache.h -- models realised in memory, kept by a slot from job to
 * job. For recipe*.c; everyone else has recipe.h.
 *
 * Memory is handed on from model to model instead of being returned: a page
 * that comes fresh from the system costs as much as writing 25 KB. */
#ifndef SINTER_JOBS_RECIPE_CACHE_H
#define SINTER_JOBS_RECIPE_CACHE_H

#include "jobs/merge/merge_files.h"
#include "jobs/recipe.h"

/* A realised model. */
struct recipe_entry {
    struct recipe_entry *next; /* in the cache */
    struct digest key;         /* of the recipe's canonical text */
    struct tensor_set set;
    struct tensor *tensors; /* set.items; names are ours */
    void *memory;           /* all tensors, one behind the other */
    size_t size;
    void *extra; /* what else lies there, behind them */
    /* [set.count], in `extra`: a bit for each element, 0 where it is pruned,
     * the lowest first; NULL: dense. */
    uint8_t **masks;
    struct merge_files files; /* beside the tensors */
    uint64_t users;           /* models open on it */
    uint64_t wanted; /* siblings that will ask for it: kept the longest */
    bool fresh;      /* made for a sibling, not used yet */
    uint64_t last_use;
};

/* Room for every tensor of the layout and `extra` bytes, from the cache's
 * spare memory if that fits. NO_MEMORY. `c`: NULL if there is no cache. */
MUST_CHECK struct status recipe_entry_new(struct recipe_cache *c,
                                          const struct tensor_set *layout,
                                          uint64_t extra,
                                          struct recipe_entry **ret_entry);
void recipe_entry_free(struct recipe_entry *e); /* NULL is fine */
/* Where the tensors begin; the caller frees the array. */
void **recipe_entry_targets(const struct recipe_entry *e);
/* What such an entry takes. */
uint64_t recipe_entry_size(const struct tensor_set *layout, uint64_t extra);

/* NULL if it is not there, or there is no cache. */
struct recipe_entry *recipe_cache_find(const struct recipe_cache *c,
                                       const struct digest *key);
/* Takes the entry. */
void recipe_cache_add(struct recipe_cache *c, struct recipe_entry *e);
/* Forget what siblings want: they are counted anew. */
void recipe_cache_unwant(struct recipe_cache *c);
/* How many more models of this size may be kept for siblings, at most `most`.
 * Those nobody waits for leave their memory to them and to one in use. */
size_t recipe_cache_make_room(struct recipe_cache *c, uint64_t size,
                              size_t most);
/* Somebody uses it, or does so no more. */
void recipe_cache_hold(struct recipe_cache *c, struct recipe_entry *e);
void recipe_cache_let_go(struct recipe_cache *c, struct recipe_entry *e);

#endif
