#include "jobs/recipe_cache.h"

#include <assert.h>
#include <stdlib.h>

#include "common/memory.h"

enum { ALIGN = 64 }; /* of each tensor */

struct spare {
    struct spare *next;
    void *memory;
    size_t size;
};

struct recipe_cache {
    uint64_t limit; /* of what is kept and not in use, with the spares while
                       a model is in use */
    uint64_t uses;
    struct recipe_entry *entries;
    struct spare *spares; /* of models dropped */
};

struct recipe_cache *recipe_cache_new(uint64_t limit)
{
    struct recipe_cache *c = xnew(struct recipe_cache);

    c->limit = limit;
    return c;
}

void recipe_entry_free(struct recipe_entry *e)
{
    if (e == NULL)
        return;
    for (size_t i = 0; i < e->set.count; i++)
        free_pointer(&e->tensors[i].name);
    free(e->tensors);
    free(e->masks);
    free(e->memory);
    merge_files_release(&e->files);
    free(e);
}

static void drop_spare(struct recipe_cache *c)
{
    struct spare *s = c->spares;

    c->spares = s->next;
    free(s->memory);
    free(s);
}

void recipe_cache_free(struct recipe_cache *c)
{
    if (c == NULL)
        return;
    while (c->entries != NULL) {
        struct recipe_entry *e = c->entries;

        c->entries = e->next;
        recipe_entry_free(e);
    }
    while (c->spares != NULL)
        drop_spare(c);
    free(c);
}

static uint64_t idle_bytes(const struct recipe_cache *c)
{
    uint64_t bytes = 0;

    for (const struct recipe_entry *e = c->entries; e != NULL; e = e->next)
        bytes += e->users == 0 ? e->size : 0;
    return bytes;
}

static uint64_t spare_bytes(const struct recipe_cache *c)
{
    uint64_t bytes = 0;

    for (const struct spare *s = c->spares; s != NULL; s = s->next)
        bytes += s->size;
    return bytes;
}

/* Of two that are not in use: which goes first? */
static bool goes_before(const struct recipe_entry *a,
                        const struct recipe_entry *b)
{
    if ((a->wanted > 0) != (b->wanted > 0))
        return a->wanted == 0;
    return a->last_use < b->last_use;
}

/* The one to go first, taken out; NULL if all are in use. */
static struct recipe_entry *take_first(struct recipe_cache *c)
{
    struct recipe_entry **found = NULL;
    struct recipe_entry *e;

    for (struct recipe_entry **at = &c->entries; *at != NULL;
         at = &(*at)->next) {
        if ((*at)->users == 0 && (found == NULL || goes_before(*at, *found)))
            found = at;
    }
    if (found == NULL)
        return NULL;
    e = *found;
    *found = e->next;
    return e;
}

/* One of this size that nobody waits for, the longest unused, taken out;
 * NULL: there is none. */
static struct recipe_entry *take_unwanted(struct recipe_cache *c, uint64_t size)
{
    struct recipe_entry **found = NULL;
    struct recipe_entry *e;

    for (struct recipe_entry **at = &c->entries; *at != NULL;
         at = &(*at)->next) {
        if ((*at)->users == 0 && (*at)->wanted == 0 && (*at)->size == size &&
            (found == NULL || goes_before(*at, *found)))
            found = at;
    }
    if (found == NULL)
        return NULL;
    e = *found;
    *found = e->next;
    return e;
}

/* Its memory becomes a spare. */
static void evict(struct recipe_cache *c, struct recipe_entry *e)
{
    struct spare *s = xnew(struct spare);

    *s = (struct spare){ c->spares, e->memory, e->size };
    c->spares = s;
    e->memory = NULL;
    recipe_entry_free(e);
}

static void trim_spares(struct recipe_cache *c)
{
    uint64_t idle = idle_bytes(c);

    while (c->spares != NULL && idle + spare_bytes(c) > c->limit)
        drop_spare(c);
}

static void *take_spare(struct recipe_cache *c, size_t size)
{
    for (struct spare **at = &c->spares; *at != NULL; at = &(*at)->next) {
        struct spare *s = *at;
        void *memory = s->memory;

        if (s->size != size)
            continue;
        *at = s->next;
        free(s);
        return memory;
    }
    return NULL;
}

static uint64_t padded(uint64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

uint64_t recipe_entry_size(const struct tensor_set *layout, uint64_t extra)
{
    uint64_t size = ALIGN + extra;

    for (size_t i = 0; i < layout->count; i++)
        size += padded(tensor_bytes(&layout->items[i]));
    return size;
}

MUST_CHECK static struct status take_memory(struct recipe_cache *c, size_t size,
                                            void **ret_memory)
{
    *ret_memory = c == NULL ? NULL : take_spare(c, size);
    if (*ret_memory != NULL)
        return SUCCESS;
    while (c != NULL && c->spares != NULL)
        drop_spare(c);
    *ret_memory = alloc_large(size);
    if (*ret_memory == NULL)
        return FAIL(STATUS_NO_MEMORY, "no %zu bytes for a realised model",
                    size);
    return SUCCESS;
}

struct status recipe_entry_new(struct recipe_cache *c,
                               const struct tensor_set *layout, uint64_t extra,
                               struct recipe_entry **ret_entry)
{
    size_t size = (size_t)recipe_entry_size(layout, extra);
    struct recipe_entry *e;
    void *memory = NULL;
    char *at;

    TRY_PLAIN(take_memory(c, size, &memory));
    e = xnew(struct recipe_entry);
    e->memory = memory;
    e->size = size;
    e->tensors = xcalloc(layout->count + 1, sizeof *e->tensors);
    e->masks = xcalloc(layout->count + 1, sizeof(*e->masks));
    e->set = (struct tensor_set){ layout->count, e->tensors };
    at = memory;
    for (size_t i = 0; i < layout->count; i++) {
        e->tensors[i] = layout->items[i];
        e->tensors[i].name = xstrdup(layout->items[i].name);
        e->tensors[i].file = "a realised model";
        e->tensors[i].data = at;
        at += padded(tensor_bytes(&layout->items[i]));
    }
    e->extra = at;
    *ret_entry = e;
    return SUCCESS;
}

void **recipe_entry_targets(const struct recipe_entry *e)
{
    void **targets = xcalloc(e->set.count + 1, sizeof *targets);
    char *at = e->memory;

    for (size_t i = 0; i < e->set.count; i++) {
        targets[i] = at;
        at += padded(tensor_bytes(&e->set.items[i]));
    }
    return targets;
}

struct recipe_entry *recipe_cache_find(const struct recipe_cache *c,
                                       const struct digest *key)
{
    struct recipe_entry *e = c == NULL ? NULL : c->entries;

    while (e != NULL && !digest_equal(&e->key, key))
        e = e->next;
    return e;
}

void recipe_cache_add(struct recipe_cache *c, struct recipe_entry *e)
{
    e->last_use = ++c->uses;
    e->next = c->entries;
    c->entries = e;
}

void recipe_cache_unwant(struct recipe_cache *c)
{
    for (struct recipe_entry *e = c->entries; e != NULL; e = e->next)
        e->wanted = 0;
}

size_t recipe_cache_make_room(struct recipe_cache *c, uint64_t size,
                              size_t most)
{
    uint64_t kept = 0;
    size_t room;

    for (const struct recipe_entry *e = c->entries; e != NULL; e = e->next)
        kept += e->users == 0 && e->wanted > 0 ? e->size : 0;
    room = kept < c->limit ? (size_t)((c->limit - kept) / size) : 0;
    room = room < most ? room : most;
    /* Old memory is better than fresh, for the model in use as well. */
    for (size_t i = 0; i < room + 1; i++) {
        struct recipe_entry *e = take_unwanted(c, size);

        if (e != NULL)
            evict(c, e);
    }
    while (room > 0 && idle_bytes(c) + room * size > c->limit)
        evict(c, take_first(c));
    return room;
}

void recipe_cache_hold(struct recipe_cache *c, struct recipe_entry *e)
{
    e->users++;
    e->fresh = false;
    if (c == NULL)
        return;
    e->wanted -= e->wanted > 0;
    e->last_use = ++c->uses;
    trim_spares(c);
}

void recipe_cache_let_go(struct recipe_cache *c, struct recipe_entry *e)
{
    assert(e->users > 0);
    e->users--;
    if (c == NULL) {
        recipe_entry_free(e);
        return;
    }
    while (idle_bytes(c) > c->limit)
        evict(c, take_first(c));
    /* Spares stay as they are: the next model most likely fits one. */
}
