#include "sweep/catalog.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool catalog_refuse(struct catalog_problem *problem, const char *path,
                    const char *suggestion, const char *format, ...)
{
    va_list args;

    (void)snprintf(problem->path, sizeof(problem->path), "%s", path);
    (void)snprintf(problem->suggestion, sizeof(problem->suggestion), "%s",
                   suggestion);
    va_start(args, format);
    (void)vsnprintf(problem->message, sizeof(problem->message), format, args);
    va_end(args);
    return false;
}

bool catalog_refuse_below(struct catalog_problem *problem, const char *path)
{
    char whole[sizeof(problem->path)];

    (void)snprintf(whole, sizeof(whole), "%s%.128s", path, problem->path);
    (void)snprintf(problem->path, sizeof(problem->path), "%s", whole);
    return false;
}

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
