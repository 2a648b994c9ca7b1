/* example.h -- the files of examples/, linked in when built. */
#ifndef SINTER_CLI_EXAMPLE_H
#define SINTER_CLI_EXAMPLE_H

#include <stddef.h>

struct example {
    const char *name; /* of the file, without .yaml */
    const unsigned char *text;
    size_t size;
};

/* Sorted by name; ends with a NULL name. */
extern const struct example examples[];

#endif
