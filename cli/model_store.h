/* model_store.h -- models that a command reads by itself, without a farm: by
 * path, URL or name on the hub, kept in this user's cache. */
#ifndef SINTER_CLI_MODEL_STORE_H
#define SINTER_CLI_MODEL_STORE_H

#include "cli/cli.h"
#include "cli/meter.h"
#include "common/status.h"
#include "sources/source.h"

struct model_store {
    struct meter meter;
    char *cache;
    struct source_store *store;
    struct source_pins pins; /* held until the release */
};

/* Fetched models are kept in `cache`; NULL: $XDG_CACHE_HOME/sinter, or
 * ~/.cache/sinter. `give_up_ms` without an
 * answer of a server; 0: that of source.h. It must stay where it is. */
void model_store_init(struct model_store *s, struct cli *cli, const char *cache,
                      int64_t give_up_ms);
void model_store_release(struct model_store *s); /* fine if all zero */
/* The file or directory of a model; what is there is used where it is. Valid
 * until the release. */
MUST_CHECK struct status model_store_path(struct model_store *s,
                                          const char *text,
                                          const char **ret_path);
/* The same of a {"url", ...}; `choice` (source.h) may be NULL: all of it. */
MUST_CHECK struct status model_store_fetch(struct model_store *s,
                                           const json_t *source,
                                           const struct source_choice *choice,
                                           const char **ret_path);

#endif
