#include "broker/http_internal.h"

#include "common/json.h"
#include "common/memory.h"

enum MHD_Result http_answer(struct MHD_Connection *c, unsigned code,
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

enum MHD_Result http_answer_text(struct MHD_Connection *c, unsigned code,
                                 char *text, const char *type)
{
    return http_answer(c, code,
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

enum MHD_Result http_answer_failure(struct MHD_Connection *c,
                                    const struct status *st)
{
    json_t *body = json_pack("{s:s, s:s}", "error", status_name(st->code),
                             "message", st->message);
    char *text = body == NULL ? xstrdup("{}") : json_dumps(body, JSON_COMPACT);

    json_decref(body);
    return http_answer_text(c, http_code(st->code), text, "application/json");
}

enum MHD_Result http_not_found(struct MHD_Connection *c, const char *url)
{
    struct status st =
        FAIL(STATUS_NOT_FOUND, "there is nothing at %.200s", url);

    return http_answer_failure(c, &st);
}

enum MHD_Result http_refer(struct MHD_Connection *c, const char *url,
                           const char *leader)
{
    json_t *body = json_pack(
        "{s:s, s:s, s:s}", "error", status_name(STATUS_UNAVAILABLE), "message",
        leader[0] == '\0' ? "this broker waits for the lead, and nobody has it"
                          : "another broker leads",
        "leader", leader);
    char *text = body == NULL ? xstrdup("{}") : json_dumps(body, JSON_COMPACT);

    (void)url;
    json_decref(body);
    return http_answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, text,
                            "application/json");
}
