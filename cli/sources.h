/* sources.h -- the models and data a compiled sweep names: their files, and a
 * version for each, so that a changed input is a new key. */
#ifndef SINTER_CLI_SOURCES_H
#define SINTER_CLI_SOURCES_H

#include "common/http.h"
#include "common/json.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* One file of a source. */
struct source_file {
    char *name; /* "model-00001-of-00002.safetensors" */
    char *url;
    uint64_t size;     /* bytes; 0 if the server does not tell */
    char version[128]; /* ETag, or modification time and size */
};

struct source_files {
    struct source_file *items;
    size_t count;
};

/* Is it a model (a directory or *.safetensors), or one file of data? */
bool source_is_model(const char *url);

/* The weights of a model, or the one file. NOT_FOUND, UNAVAILABLE ... name
 * the URL. */
MUST_CHECK struct status source_list(struct http *http, const char *url,
                                     struct source_files *ret_files);
void source_files_release(struct source_files *files);

/* Every {"$source": {...}} inside `json`, as the inner object, in order. */
void sources_visit(json_t *json, void (*visit)(void *self, json_t *source),
                   void *self);

/* Give each source of `document` without "sha256" or "version" a "version".
 * What cannot be reached stays as it is: the trials that need it will say
 * so; `warn` is told. */
void sources_complete(struct http *http, json_t *document,
                      void (*warn)(void *self, const char *url,
                                   const struct status *st),
                      void *self);

#endif
