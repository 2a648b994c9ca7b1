#include "broker/http_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/http_range.h"
#include "common/memory.h"

MUST_CHECK static struct status blob_name(const char *url,
                                          struct digest *ret_name)
{
    if (!digest_from_text(url + strlen(HTTP_DEPOT), ret_name))
        return FAIL(STATUS_INVALID, "a blob is named by 64 hex digits");
    return SUCCESS;
}

static enum MHD_Result answer_beyond(struct MHD_Connection *c, int fd,
                                     uint64_t size)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    char range[64];

    (void)close(fd);
    (void)snprintf(range, sizeof range, "bytes */%" PRIu64, size);
    if (r != NULL)
        (void)MHD_add_response_header(r, "Content-Range", range);
    return http_answer(c, MHD_HTTP_RANGE_NOT_SATISFIABLE, r, NULL);
}

/* The descriptor is closed by the response. */
static enum MHD_Result answer_blob(struct MHD_Connection *c, const char *url,
                                   int fd, uint64_t size)
{
    const char *wanted =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
    struct http_range range = http_range_parse(wanted, size);
    struct MHD_Response *r;
    char text[96];

    if (range.sort == RANGE_BEYOND)
        return answer_beyond(c, fd, size);
    r = MHD_create_response_from_fd_at_offset64(range.size, fd, range.first);
    if (r == NULL) {
        (void)close(fd);
        return MHD_NO;
    }
    (void)MHD_add_response_header(r, "Accept-Ranges", "bytes");
    (void)MHD_add_response_header(r, "Cache-Control",
                                  "public, max-age=31536000, immutable");
    (void)snprintf(text, sizeof text, "\"%s\"", url + strlen(HTTP_DEPOT));
    (void)MHD_add_response_header(r, "ETag", text);
    if (range.sort == RANGE_WHOLE)
        return http_answer(c, MHD_HTTP_OK, r, "application/octet-stream");
    (void)snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                   range.first, range.first + range.size - 1, size);
    (void)MHD_add_response_header(r, "Content-Range", text);
    return http_answer(c, MHD_HTTP_PARTIAL_CONTENT, r,
                       "application/octet-stream");
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
        return http_answer_failure(c, &st);
    return answer_blob(c, url, fd, size);
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
        return http_answer_failure(c, &q->trouble);
    return http_answer_text(c, MHD_HTTP_CREATED, xstrdup(""), NULL);
}
