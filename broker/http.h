/* http.h -- the broker's HTTP port: depot, JSON, metrics, health, dashboard.
 *
 *     GET|HEAD|PUT /depot/<64 hex>      blobs, with Range
 *     GET /api/v1/sweeps[/ID[/trials|/spec]], /api/v1/{workers,scaling}
 *     GET /metrics, /livez, /readyz, and the page at /
 *
 * A broker that does not lead asks the leader what it is asked at /api/v1, and
 * sends those who want the depot there.
 *
 * It has threads of its own, which touch the depot's directory and ask the
 * loop for everything else. */
#ifndef SINTER_BROKER_HTTP_H
#define SINTER_BROKER_HTTP_H

#include "broker/depot.h"
#include "broker/hatch.h"
#include "broker/token.h"
#include "common/status.h"

#include <stdint.h>

struct http_server; /* opaque */

/* `address`: "127.0.0.1:7422", "[::]:7422", "localhost:0" (any free port).
 * Depot and hatch are borrowed until http_server_free(). `tokens` (taken, also
 * by a failure) are asked for by all but health and the page's own files;
 * NULL: everybody may do all. */
MUST_CHECK struct status http_server_new(const char *address,
                                         const struct depot *depot,
                                         struct hatch *hatch,
                                         struct token_list *tokens,
                                         struct http_server **ret_server);
/* From now on these; taken. Any thread. */
void http_server_set_tokens(struct http_server *server,
                            struct token_list *tokens);
/* "127.0.0.1:7422" with the real port. */
const char *http_server_address(const struct http_server *server);
/* Ends all connections. NULL is fine. */
void http_server_free(struct http_server *server);

#endif
