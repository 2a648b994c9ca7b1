#include "jobs/merge_statistics.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/merge/merge_parts.h"

static const char file_name[] = "statistics";

struct status merge_statistics_read(const json_t *job,
                                    struct job_context *context,
                                    char **ret_bytes, size_t *ret_size)
{
    const char *key = json_text_or(job, "$job", "");
    const char *artifact = json_text_or(job, "$artifact", NULL);
    const char *directory;
    const json_t *result;
    char *path;
    struct status s;

    if (artifact == NULL) {
        TRY(context->input(context->self, key, &result), "job %.8s", key);
        TRY(json_member_text(result, "artifact", &artifact), "job %.8s", key);
    }
    TRY(context->open_artifact(context->self, artifact, &directory), "job %.8s",
        key);
    path = xasprintf("%s/%s", directory, file_name);
    s = file_read(path, MERGE_COUNTED, ret_bytes, ret_size);
    free_pointer(&path);
    return s;
}

struct status merge_statistics_write(const struct buf *bytes,
                                     struct job_context *context,
                                     json_t **ret_result)
{
    AUTO(free_pointer)
    char *directory = xasprintf("%s/counted", context->scratch);
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, file_name);
    char artifact[DIGEST_TEXT];

    TRY_PLAIN(file_make_directories(directory));
    TRY_PLAIN(file_write(path, bytes->data, bytes->size));
    TRY_PLAIN(context->put_artifact(context->self, directory, artifact));
    *ret_result = json_pack("{s:s, s:{s:I}}", "artifact", artifact, "metrics",
                            "bytes", (json_int_t)bytes->size);
    return SUCCESS;
}
