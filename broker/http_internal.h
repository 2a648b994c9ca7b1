/* http_internal.h -- what the files of the HTTP port share, for http*.c only.
 *
 * http.c listens, http_blob.c serves the depot, http_api.c what is asked of
 * the loop, http_refer.c sends on who asks a broker that does not lead. */
#ifndef SINTER_BROKER_HTTP_INTERNAL_H
#define SINTER_BROKER_HTTP_INTERNAL_H

#include "broker/http.h"

#include <pthread.h>
#include <stddef.h>

#include "httpd/httpd.h"

#define HTTP_DEPOT "/depot/"
#define HTTP_API   "/api/v1/"

struct http_server {
    struct MHD_Daemon *daemon;
    const struct depot *depot;
    struct hatch *hatch;
    pthread_mutex_t lock;      /* of `tokens` */
    struct token_list *tokens; /* NULL: none are asked for */
    char address[HTTPD_ADDRESS];
};

/* One request on its way; made at its first byte. */
struct http_request {
    struct depot_upload *upload; /* PUT */
    struct status trouble;       /* first failure of it */
};

/* This broker does not lead: who does, or "". */
enum MHD_Result http_refer(struct MHD_Connection *c, const char *url,
                           const char *leader);

/* GET and HEAD of a blob. */
enum MHD_Result http_blob_get(const struct http_server *s,
                              struct MHD_Connection *c, const char *url);
/* PUT: the first call of a request, and each of those that follow. */
void http_blob_begin(const struct http_server *s, const char *url,
                     struct http_request *q);
enum MHD_Result http_blob_put(struct MHD_Connection *c, struct http_request *q,
                              const char *data, size_t *size);

enum MHD_Result http_api_get(const struct http_server *s,
                             struct MHD_Connection *c, const char *url);
enum MHD_Result http_metrics_get(const struct http_server *s,
                                 struct MHD_Connection *c, const char *url);
enum MHD_Result http_livez_get(const struct http_server *s,
                               struct MHD_Connection *c, const char *url);
enum MHD_Result http_readyz_get(const struct http_server *s,
                                struct MHD_Connection *c, const char *url);
/* The same of a broker that does not lead: the leader is asked ... */
enum MHD_Result http_api_forward(struct MHD_Connection *c, const char *url,
                                 const char *leader);
/* ... and there is little to measure. */
enum MHD_Result http_metrics_standby(struct MHD_Connection *c, const char *url,
                                     const char *leader);

#endif
