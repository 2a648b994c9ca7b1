#include <string.h>

#include "sources/source_internal.h"

json_t *source_served(const struct http_info *info)
{
    const char *version = info->sha256[0] != '\0' ? info->sha256 : info->etag;

    return json_pack("{s:s, s:s, s:I}", "sha256", info->sha256, "version",
                     version, "size",
                     (json_int_t)(info->size < 0 ? 0 : info->size));
}

void source_version(json_t *names, char text[SOURCE_VERSION])
{
    struct digest_stream *hash = digest_begin();
    struct digest digest;
    char hex[DIGEST_TEXT];
    const char *name;
    const json_t *served;

    json_object_foreach(names, name, served)
    {
        const char *version = json_text_or(served, "version", "");
        uint64_t size = (uint64_t)json_int_or(served, "size", 0);

        digest_add(hash, name, strlen(name) + 1);
        digest_add(hash, version, strlen(version) + 1);
        digest_add(hash, &size, sizeof size);
    }
    digest = digest_end(hash);
    digest_to_text(&digest, hex);
    memcpy(text, hex, SOURCE_VERSION - 1);
    text[SOURCE_VERSION - 1] = '\0';
}

struct status source_match_version(const json_t *source, const char *now)
{
    const char *wanted = json_text_or(source, "version", "");

    if (strlen(wanted) != SOURCE_VERSION - 1 || /* a commit, or none */
        strcmp(wanted, now) == 0)
        return SUCCESS;
    return FAIL(STATUS_CORRUPT,
                "%s has changed since the sweep was submitted: submit it "
                "again, results of what it is now are new work",
                json_text_or(source, "url", ""));
}

struct status source_check_version(const json_t *source, json_t *names)
{
    char now[SOURCE_VERSION];

    source_version(names, now);
    return source_match_version(source, now);
}
