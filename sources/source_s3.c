#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sources/source_internal.h"

static const char scheme[] = "s3://";

/* The first of these variables that says anything; NULL: none does. */
static const char *environment(const char *first, const char *second)
{
    const char *value = getenv(first);

    if (value == NULL || value[0] == '\0')
        value = second != NULL ? getenv(second) : NULL;
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *region_of(void)
{
    const char *region = environment("AWS_REGION", "AWS_DEFAULT_REGION");

    return region != NULL ? region : "us-east-1";
}

/* Without keys requests go unsigned, as public buckets want them. */
const struct http_signing *source_s3_signing(struct http_signing *signing)
{
    *signing = (struct http_signing){
        .region = region_of(),
        .key = environment("AWS_ACCESS_KEY_ID", NULL),
        .secret = environment("AWS_SECRET_ACCESS_KEY", NULL),
        .session = environment("AWS_SESSION_TOKEN", NULL),
    };
    return signing->key != NULL && signing->secret != NULL ? signing : NULL;
}

static bool is_bucket(const char *name)
{
    size_t size = strlen(name);

    for (size_t i = 0; i < size; i++) {
        if (!isalnum((unsigned char)name[i]) && strchr("-._", name[i]) == NULL)
            return false;
    }
    return size > 0 && name[0] != '.';
}

/* Of AWS a bucket is a host, if its name can be one; of other servers, and
 * with a dot in the name, for which no certificate stands, a folder. */
static char *bucket_url(const char *bucket)
{
    const char *endpoint =
        environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
    size_t size;

    if (endpoint == NULL && strchr(bucket, '.') == NULL)
        return xasprintf("https://%s.s3.%s.amazonaws.com", bucket, region_of());
    if (endpoint == NULL)
        return xasprintf("https://s3.%s.amazonaws.com/%s", region_of(), bucket);
    size = strlen(endpoint);
    while (size > 0 && endpoint[size - 1] == '/')
        size--;
    return xasprintf("%.*s/%s", (int)size, endpoint, bucket);
}

struct status source_s3_open(struct source_store *s, const json_t *source,
                             struct source_origin *o)
{
    const char *rest = o->url + strlen(scheme);
    AUTO(free_pointer) char *bucket = xstrndup(rest, strcspn(rest, "/"));
    AUTO(free_pointer) char *place = NULL;
    AUTO(free_pointer) char *prefix = NULL;
    size_t size;

    (void)source;
    if (!is_bucket(bucket) || strpbrk(rest, "?#") != NULL)
        return FAIL(STATUS_INVALID, "%s: write s3://bucket/prefix", o->url);
    TRY_PLAIN(source_open_client(s, CLIENT_S3, &o->http));
    prefix = source_escape(rest + strlen(bucket));
    size = strlen(prefix);
    while (size > 0 && prefix[size - 1] == '/')
        prefix[--size] = '\0';
    place = bucket_url(bucket);
    o->base = xasprintf("%s%s", place, prefix);
    o->file_url = xstrdup(o->base);
    return SUCCESS;
}
