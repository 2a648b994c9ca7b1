#include "httpd/httpd.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/memory.h"
#include "httpd/range.h"

enum MHD_Result httpd_answer(struct MHD_Connection *c, unsigned code,
                             struct MHD_Response *r, const char *type)
{
    enum MHD_Result result;

    if (r == NULL)
        return MHD_NO;
    if (type != NULL)
        (void)MHD_add_response_header(r, "Content-Type", type);
    (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(r, "Content-Security-Policy",
                                  "default-src 'self'; frame-ancestors 'none'");
    result = MHD_queue_response(c, code, r);
    MHD_destroy_response(r);
    return result;
}

enum MHD_Result httpd_answer_text(struct MHD_Connection *c, unsigned code,
                                  char *text, const char *type)
{
    return httpd_answer(c, code,
                        MHD_create_response_from_buffer(strlen(text), text,
                                                        MHD_RESPMEM_MUST_FREE),
                        type);
}

static const struct {
    enum status_code code;
    unsigned http;
} codes[] = {
    { STATUS_SUCCESS, MHD_HTTP_OK },
    { STATUS_INVALID, MHD_HTTP_BAD_REQUEST },
    { STATUS_CORRUPT, MHD_HTTP_BAD_REQUEST },
    { STATUS_NOT_FOUND, MHD_HTTP_NOT_FOUND },
    { STATUS_DENIED, MHD_HTTP_FORBIDDEN },
    { STATUS_NO_SPACE, MHD_HTTP_INSUFFICIENT_STORAGE },
    { STATUS_TOO_BIG, MHD_HTTP_CONTENT_TOO_LARGE },
    { STATUS_UNAVAILABLE, MHD_HTTP_SERVICE_UNAVAILABLE },
    { STATUS_TIMED_OUT, MHD_HTTP_SERVICE_UNAVAILABLE },
};

static unsigned http_code(enum status_code code)
{
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (codes[i].code == code)
            return codes[i].http;
    return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

enum MHD_Result httpd_answer_failure(struct MHD_Connection *c,
                                     const struct status *st)
{
    json_t *body = json_pack("{s:s, s:s}", "error", status_name(st->code),
                             "message", st->message);
    char *text = body == NULL ? xstrdup("{}") : json_dumps(body, JSON_COMPACT);

    json_decref(body);
    return httpd_answer_text(c, http_code(st->code), text, "application/json");
}

enum MHD_Result httpd_not_found(struct MHD_Connection *c, const char *url)
{
    struct status st =
        FAIL(STATUS_NOT_FOUND, "there is nothing at %.200s", url);

    return httpd_answer_failure(c, &st);
}

static enum MHD_Result answer_beyond(struct MHD_Connection *c, uint64_t size)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    char range[64];

    (void)snprintf(range, sizeof range, "bytes */%" PRIu64, size);
    if (r != NULL)
        (void)MHD_add_response_header(r, "Content-Range", range);
    return httpd_answer(c, MHD_HTTP_RANGE_NOT_SATISFIABLE, r, NULL);
}

static void describe(struct MHD_Response *r, const struct digest *digest)
{
    char name[DIGEST_TEXT];
    char tag[DIGEST_TEXT + 2];

    digest_to_text(digest, name);
    (void)snprintf(tag, sizeof tag, "\"%s\"", name);
    (void)MHD_add_response_header(r, "Accept-Ranges", "bytes");
    (void)MHD_add_response_header(r, "Cache-Control",
                                  "public, max-age=31536000, immutable");
    (void)MHD_add_response_header(r, "ETag", tag);
}

enum MHD_Result httpd_answer_file(struct MHD_Connection *c,
                                  const struct digest *digest, int fd,
                                  uint64_t size)
{
    const char *wanted =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
    struct httpd_range range = httpd_range_parse(wanted, size);
    struct MHD_Response *r;
    char text[96];

    if (range.sort == RANGE_BEYOND) {
        (void)close(fd);
        return answer_beyond(c, size);
    }
    /* it closes the descriptor */
    r = MHD_create_response_from_fd_at_offset64(range.size, fd, range.first);
    if (r == NULL) {
        (void)close(fd);
        return MHD_NO;
    }
    describe(r, digest);
    if (range.sort == RANGE_WHOLE)
        return httpd_answer(c, MHD_HTTP_OK, r, "application/octet-stream");
    (void)snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                   range.first, range.first + range.size - 1, size);
    (void)MHD_add_response_header(r, "Content-Range", text);
    return httpd_answer(c, MHD_HTTP_PARTIAL_CONTENT, r,
                        "application/octet-stream");
}
