/* source_files.h -- what a source consists of, before a byte of weights is
 * fetched: its files, their sizes and versions, and what their headers say. */
#ifndef SINTER_SOURCES_SOURCE_FILES_H
#define SINTER_SOURCES_SOURCE_FILES_H

#include "sources/source.h"
#include "tensor/safetensors.h"

struct http;

struct source_file {
    struct http *http; /* of the store, to ask for it */
    char *name;        /* "model-00001-of-00002.safetensors" */
    char *url;         /* as it is asked for: http, https or file */
    uint64_t size;     /* bytes; 0 if the server does not tell */
    char version[128]; /* digest, ETag, or modification time and size */
};

struct source_files {
    struct source_file *items;
    size_t count;
    /* The commit of a hub's model, else a digest of names, versions, sizes. */
    char version[DIGEST_TEXT];
};

/* Is it a model (a directory or *.safetensors), or one file of data? */
bool source_is_model(const char *url);
/* Is it a path of this machine? */
bool source_is_here(const char *url);

/* The weights of a model, or the one file. NOT_FOUND, UNAVAILABLE ... name
 * the URL. */
MUST_CHECK struct status source_list(struct source_store *s, const char *url,
                                     struct source_files *ret_files);
void source_files_release(struct source_files *files);

/* The header of a safetensors file, by ranges. */
MUST_CHECK struct status source_header(const struct source_file *file,
                                       struct st_header **ret_header);

#endif
