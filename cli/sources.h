/* sources.h -- the models and data a compiled sweep names, and a version for
 * each, so that a changed input is a new key. */
#ifndef SINTER_CLI_SOURCES_H
#define SINTER_CLI_SOURCES_H

#include "common/json.h"
#include "common/status.h"
#include "sources/source.h"

/* Every {"$source": {...}} inside `json`, as the inner object, in order. */
void sources_visit(json_t *json, void (*visit)(void *self, json_t *source),
                   void *self);

/* Give each source of `document` without "sha256" or "version" a "version".
 * What cannot be reached stays as it is: the trials that need it will say
 * so; `warn` is told. */
void sources_complete(struct source_store *store, json_t *document,
                      void (*warn)(void *self, const char *url,
                                   const struct status *st),
                      void *self);

#endif
