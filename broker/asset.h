/* asset.h -- files of the dashboard, linked into the broker at build time
 * (dashboard/embed.cmake). */
#ifndef SINTER_BROKER_ASSET_H
#define SINTER_BROKER_ASSET_H

#include <stddef.h>

struct asset {
    const char *path; /* as asked for: "/app.js" */
    const unsigned char *bytes;
    size_t size;
};

extern const struct asset assets[]; /* ends with a NULL path */

#endif
