#include "broker/core/reads.h"

#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"

static const char between[] = "://"; /* scheme and host */

static bool begins(const char *at, const char *end, const char *words)
{
    size_t size = strlen(words);

    return (size_t)(end - at) >= size && memcmp(at, words, size) == 0;
}

/* A member of the object at `at` that is a text, as it is written; `name` is
 * what stands before it: "\"url\":\"". NULL: there is none. */
static const char *find_member(const char *at, const char *end,
                               const char *name, size_t *ret_size)
{
    int depth = 0;

    for (; at < end; at++) {
        if (depth == 1 && begins(at, end, name)) {
            const char *text = at + strlen(name);
            const char *close = json_end_of_text(text, end);

            *ret_size = close == NULL ? 0 : (size_t)(close - text);
            return close == NULL ? NULL : text;
        }
        if (*at == '"') {
            at = json_end_of_text(at + 1, end);
            if (at == NULL)
                return NULL;
        }
        depth += (*at == '{') - (*at == '}');
        if (depth == 0)
            return NULL;
    }
    return NULL;
}

/* What is escaped, nobody names so. */
static bool is_remote(const char *url, size_t size)
{
    return memmem(url, size, between, sizeof between - 1) != NULL &&
           memchr(url, '\\', size) == NULL &&
           !begins(url, url + size, "file://");
}

size_t reads_sources(const char *params, size_t size,
                     struct read reads[READS_MOST], size_t count)
{
    static const char mark[] = "\"$source\":{";
    const char *end = params + size;
    const char *at = params;

    while (count < READS_MOST && (at = memmem(at, (size_t)(end - at), mark,
                                              sizeof mark - 1)) != NULL) {
        struct read read = { .url_size = 0 };

        at += sizeof mark - 2; /* at its brace */
        read.url = find_member(at, end, "\"url\":\"", &read.url_size);
        if (read.url == NULL || !is_remote(read.url, read.url_size))
            continue;
        read.name = digest_of(read.url, read.url_size);
        reads[count++] = read;
    }
    return count;
}

bool reads_artifact(const char *result, size_t size, struct digest *ret_name)
{
    static const char member[] = "\"artifact\":\"";
    char text[DIGEST_TEXT];
    size_t length = 0;
    const char *name;

    if (size < sizeof member + sizeof text)
        return false; /* most are: what jobs measure */
    name = find_member(result, result + size, member, &length);
    if (name == NULL || length != sizeof text - 1)
        return false;
    memcpy(text, name, length);
    text[length] = '\0';
    return digest_from_text(text, ret_name);
}

static int by_name(const void *a, const void *b)
{
    return memcmp(((const struct read *)a)->name.bytes,
                  ((const struct read *)b)->name.bytes, DIGEST_SIZE);
}

size_t reads_sort(struct read *reads, size_t count)
{
    size_t kept = 0;

    qsort(reads, count, sizeof *reads, by_name);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || by_name(&reads[i], &reads[kept - 1]) != 0)
            reads[kept++] = reads[i];
    return kept;
}

/* ---- origins ----------------------------------------------------------- */

/* Adds the bytes in small letters, as far as there is room. */
static size_t add(char origin[READS_ORIGIN], size_t used, const char *at,
                  const char *end)
{
    for (; at < end && used < READS_ORIGIN - 1; at++)
        origin[used++] =
            (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
    origin[used] = '\0';
    return used;
}

/* "https://name:443" and "https://name" are one server. */
static void drop_usual_port(char *origin, size_t size)
{
    static const struct {
        const char *scheme, *port;
    } rows[] = { { "https://", ":443" }, { "http://", ":80" } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t port = strlen(rows[i].port);

        if (begins(origin, origin + size, rows[i].scheme) && size > port &&
            strcmp(origin + size - port, rows[i].port) == 0)
            origin[size - port] = '\0';
    }
}

void reads_origin(const char *url, size_t size, char ret_origin[READS_ORIGIN])
{
    const char *end = url + size;
    const char *host = memmem(url, size, between, sizeof between - 1);
    const char *at;
    size_t used;

    ret_origin[0] = '\0';
    if (host == NULL)
        return;
    host += sizeof between - 1;
    used = add(ret_origin, 0, url, host);
    if (strcmp(ret_origin, "hf://") == 0)
        return; /* an owner follows, not a host */
    for (at = host; at < end && *at != '/' && *at != '?' && *at != '#'; at++)
        if (*at == '@')
            host = at + 1; /* behind who asks */
    used = add(ret_origin, used, host, at);
    drop_usual_port(ret_origin, used);
}
