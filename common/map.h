/* map.h -- bytes to pointer, open addressing. Keys are copied; values are the
 * caller's. Iteration order is insertion order as long as nothing is removed
 * (a removal moves the last entry into the hole). */
#ifndef SINTER_COMMON_MAP_H
#define SINTER_COMMON_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct map; /* opaque */

struct map *map_new(void);
void map_free(struct map *m); /* NULL is fine; values are not freed */

size_t map_count(const struct map *m);
/* NULL if absent. */
void *map_get(const struct map *m, const void *key, size_t size);
/* Add or replace; returns the replaced value or NULL. */
void *map_put(struct map *m, const void *key, size_t size, void *value);
/* Returns the removed value or NULL. */
void *map_remove(struct map *m, const void *key, size_t size);

/* The i-th entry, i < map_count(). `ret_key` and `ret_size` may be NULL. */
void *map_at(const struct map *m, size_t i, const void **ret_key,
             size_t *ret_size);

/* The same with text keys, NUL excluded. */
void *map_get_text(const struct map *m, const char *key);
void *map_put_text(struct map *m, const char *key, void *value);
void *map_remove_text(struct map *m, const char *key);

#endif
