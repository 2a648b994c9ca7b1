#include "broker/http_internal.h"

#include <string.h>

#include "common/memory.h"

MUST_CHECK static struct status blob_name(const char *url,
                                          struct digest *ret_name)
{
    if (!digest_from_text(url + strlen(HTTP_DEPOT), ret_name))
        return FAIL(STATUS_INVALID, "a blob is named by 64 hex digits");
    return SUCCESS;
}

enum MHD_Result http_blob_get(const struct http_server *s,
                              struct MHD_Connection *c, const char *url)
{
    struct digest name;
    uint64_t size = 0;
    int fd = -1;
    struct status st = blob_name(url, &name);

    if (!status_failed(&st))
        st = depot_find(s->depot, &name, &fd, &size);
    if (status_failed(&st))
        return httpd_answer_failure(c, &st);
    return httpd_answer_file(c, &name, fd, size);
}

void http_blob_begin(const struct http_server *s, const char *url,
                     struct http_request *q)
{
    struct digest name;

    q->trouble = blob_name(url, &name);
    if (!status_failed(&q->trouble))
        q->trouble = depot_begin(s->depot, &name, &q->upload);
}

/* Called again and again while bytes come in, and once when all are there.
 * After a failure the rest is read and dropped, so that the client gets to
 * see the answer. */
enum MHD_Result http_blob_put(struct MHD_Connection *c, struct http_request *q,
                              const char *data, size_t *size)
{
    if (*size > 0) {
        if (!status_failed(&q->trouble))
            q->trouble = depot_add(q->upload, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (!status_failed(&q->trouble)) {
        q->trouble = depot_commit(q->upload);
        q->upload = NULL;
    }
    if (status_failed(&q->trouble))
        return httpd_answer_failure(c, &q->trouble);
    return httpd_answer_text(c, MHD_HTTP_CREATED, xstrdup(""), NULL);
}
