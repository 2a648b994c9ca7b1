#include "broker/http_internal.h"

#include "common/json.h"
#include "common/memory.h"

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
    return httpd_answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, text,
                             "application/json");
}
