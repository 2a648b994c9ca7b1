#include "broker/health.h"

#include <stdlib.h>
#include <string.h>

#include "common/endpoint.h"
#include "common/http.h"
#include "common/memory.h"

enum { PATIENCE_MS = 3000, WORDS_MOST = 1024 };

static char *url_of(const char *http)
{
    if (endpoint_is_everywhere(http))
        return xasprintf("http://127.0.0.1%s/readyz", strrchr(http, ':'));
    return xasprintf("http://%s/readyz", http);
}

struct status health_ask(const char *http, char **ret_words)
{
    static const struct http_settings settings = { .give_up_ms = PATIENCE_MS };
    AUTO(free_pointer) char *url = url_of(http);
    struct http *h = NULL;
    struct status st;
    size_t size = 0;

    TRY_PLAIN(http_new(&settings, &h));
    st = http_get(h, url, WORDS_MOST, ret_words, &size);
    http_free(h);
    if (status_failed(&st))
        return status_wrap(st, "the broker at %s is not ready", http);
    (*ret_words)[strcspn(*ret_words, "\n")] = '\0';
    return SUCCESS;
}
