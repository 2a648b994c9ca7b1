/* reads.h -- what a job reads, as its parameters and the results of its inputs
 * say. Looked up in the text: no tree is made of it. */
#ifndef SINTER_BROKER_CORE_READS_H
#define SINTER_BROKER_CORE_READS_H

#include "common/digest.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    READS_MOST = 64, /* of one job */
    READS_ORIGIN = 128,
};

struct read {
    /* Of a source that of its URL, of an artifact its own. */
    struct digest name;
    const char *url; /* in the parameters; NULL: an artifact of the depot */
    size_t url_size;
};

/* Adds the remote sources that parameters name to the `count` that are there;
 * returns how many there are then. Files of the machine are not fetched. */
size_t reads_sources(const char *params, size_t size,
                     struct read reads[READS_MOST], size_t count);
/* The artifact that a result says was made. */
bool reads_artifact(const char *result, size_t size, struct digest *ret_name);
/* In order of their names, none twice; returns how many are left. */
size_t reads_sort(struct read *reads, size_t count);

/* Who serves the URL: "https://host:8080"; "hf://" is the Hub. */
void reads_origin(const char *url, size_t size, char ret_origin[READS_ORIGIN]);

#endif
