/* context.h -- brokers that a person has given names to, with what it takes to
 * reach them: `sinter login` writes them, every command reads them. The file
 * holds paths of keys and tokens, never these. */
#ifndef SINTER_CLI_CONTEXT_H
#define SINTER_CLI_CONTEXT_H

#include "common/json.h"
#include "common/status.h"

#include <stdbool.h>

struct context {
    json_t *json; /* owned; the texts are of it */
    const char *name, *broker;
    const char *key, *broker_key, *http_token_file; /* NULL: none */
    bool plaintext;
};

/* {"current": "lab", "contexts": {"lab": {"broker", "key"? ...}}}; without a
 * file there are none. */
MUST_CHECK struct status context_load(json_t **ret_all);
MUST_CHECK struct status context_save(const json_t *all);

/* The one of that name (NOT_FOUND says which there are), or for NULL the
 * current one; all zero: there is none. */
MUST_CHECK struct status context_find(const char *name, struct context *ret);
void context_release(struct context *c); /* fine if all zero */

#endif
