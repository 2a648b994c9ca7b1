#include "sweep/catalog.h"

#include <string.h>

const struct catalog_kind *catalog_find(const struct catalog *c,
                                        const char *name)
{
    for (size_t i = 0; c->kinds[i] != NULL; i++) {
        if (strcmp(c->kinds[i]->name, name) == 0)
            return c->kinds[i];
    }
    return NULL;
}

const struct catalog_kind *catalog_find_written(const struct catalog *c,
                                                const char *name)
{
    const struct catalog_kind *kind = catalog_find(c, name);

    return kind != NULL && kind->example != NULL ? kind : NULL;
}

const struct catalog_kind *catalog_find_body(const struct catalog *c,
                                             const char *name)
{
    const struct catalog_kind *kind = catalog_find_written(c, name);

    return kind != NULL && kind->sort != STAGE_VALUE &&
                   strchr(name, '.') == NULL
               ? kind
               : NULL;
}
