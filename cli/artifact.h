/* artifact.h -- a directory of the depot, as files here. */
#ifndef SINTER_CLI_ARTIFACT_H
#define SINTER_CLI_ARTIFACT_H

#include "common/http.h"
#include "common/status.h"

/* Download the directory artifact `digest` of the depot at `depot` (base URL)
 * to `directory`, which appears whole or not at all; every byte is checked.
 * FAILED if it exists, unless it holds these very files: then `ret_present`
 * is true and nothing was done. */
MUST_CHECK struct status artifact_download(struct http *http, const char *depot,
                                           const char *digest,
                                           const char *directory,
                                           bool *ret_present);

/* Checks a name of a manifest: relative, no "..", no empty part. */
bool artifact_name_is_safe(const char *path);

#endif
