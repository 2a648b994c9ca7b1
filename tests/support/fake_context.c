#include "support/fake_context.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "support/test.h"
#include "tensor/safetensors.h"

static bool cancelled(void *self)
{
    struct fake_context *f = self;

    f->polls++;
    return f->cancel_at > 0 && f->polls >= f->cancel_at;
}

static void progress(void *self, uint64_t done, uint64_t total,
                     const char *unit)
{
    struct fake_context *f = self;

    (void)unit;
    f->done = done;
    f->total = total;
}

static void add_log(void *self, const char *line)
{
    struct fake_context *f = self;
    size_t used = strlen(f->log);

    (void)snprintf(f->log + used, sizeof f->log - used, "%s\n", line);
}

static struct status fetch(void *self, const json_t *source,
                           const char **ret_path)
{
    struct fake_context *f = self;
    const char *url;

    TRY_PLAIN(json_member_text(source, "url", &url));
    f->fetches++;
    (void)snprintf(f->path, sizeof f->path, "%s", url);
    if (!file_exists(url))
        return FAIL(STATUS_NOT_FOUND, "%s is not there", url);
    *ret_path = f->path;
    return SUCCESS;
}

static struct status input(void *self, const char *key,
                           const json_t **ret_result)
{
    const struct fake_context *f = self;

    *ret_result = json_object_get(f->inputs, key);
    if (*ret_result == NULL)
        return FAIL(STATUS_NOT_FOUND, "no result of job %s", key);
    return SUCCESS;
}

static struct status open_artifact(void *self, const char *digest,
                                   const char **ret_path)
{
    struct fake_context *f = self;

    (void)snprintf(f->path, sizeof f->path, "%s/artifacts/%s", f->root, digest);
    if (!file_exists(f->path))
        return FAIL(STATUS_NOT_FOUND, "no artifact %s", digest);
    *ret_path = f->path;
    return SUCCESS;
}

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Names and contents in order of name. */
static struct digest digest_directory(const char *path)
{
    struct digest_stream *stream = digest_begin();
    struct dirent **entries;
    int count = scandir(path, &entries, is_file, alphasort);

    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        char *file = xasprintf("%s/%s", path, entries[i]->d_name);
        struct digest digest;

        assert_ok(digest_of_file(file, &digest));
        digest_add(stream, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
        digest_add(stream, &digest, sizeof digest);
        free(file);
        free(entries[i]);
    }
    free(entries);
    return digest_end(stream);
}

static void link_directory(const char *from, const char *to)
{
    struct dirent **entries;
    int count = scandir(from, &entries, is_file, alphasort);

    assert_ok(file_make_directories(to));
    for (int i = 0; i < count; i++) {
        char *source = xasprintf("%s/%s", from, entries[i]->d_name);
        char *target = xasprintf("%s/%s", to, entries[i]->d_name);

        /* The same bytes may be an artifact already. */
        assert_true(link(source, target) == 0 || errno == EEXIST);
        free(source);
        free(target);
        free(entries[i]);
    }
    free(entries);
}

static struct status put_artifact(void *self, const char *path,
                                  char ret_digest[DIGEST_TEXT])
{
    struct fake_context *f = self;
    struct digest digest = digest_directory(path);
    char *target;

    digest_to_text(&digest, ret_digest);
    target = xasprintf("%s/artifacts/%s", f->root, ret_digest);
    link_directory(path, target);
    free(target);
    return SUCCESS;
}

struct fake_context *fake_context_new(void)
{
    struct fake_context *f = xnew(struct fake_context);

    (void)snprintf(f->root, sizeof f->root, "/tmp/sinter-job-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    (void)snprintf(f->scratch, sizeof f->scratch, "%s/scratch", f->root);
    assert_ok(file_make_directories(f->scratch));
    f->inputs = json_object();
    f->context = (struct job_context){
        .self = f,
        .cancelled = cancelled,
        .progress = progress,
        .log = add_log,
        .fetch = fetch,
        .input = input,
        .open_artifact = open_artifact,
        .put_artifact = put_artifact,
        .scratch = f->scratch,
        .threads = 1,
        .memory_bytes = INT64_C(1) << 30,
        .token = "1/1",
    };
    return f;
}

void fake_context_free(struct fake_context *f)
{
    if (f == NULL)
        return;
    assert_ok(file_remove_tree(f->root));
    json_decref(f->inputs);
    free(f);
}

static const char *keep(void *self)
{
    const struct fake_context *f = self;

    return f->keep;
}

void fake_context_keeps(struct fake_context *f)
{
    (void)snprintf(f->keep, sizeof f->keep, "%s/keep", f->root);
    assert_ok(file_make_directories(f->keep));
    f->context.keep = keep;
}

void fake_context_set_job(struct fake_context *f, const char *key,
                          const char *artifact)
{
    (void)json_object_set_new(f->inputs, key,
                              json_pack("{s:s}", "artifact", artifact));
}

const char *fake_context_path(struct fake_context *f, const char *name)
{
    static char paths[8][1024];
    static size_t next;
    char *path = paths[next++ % COUNT_OF(paths)];

    (void)snprintf(path, sizeof paths[0], "%s/%s", f->root, name);
    return path;
}

json_t *fake_context_source(struct fake_context *f, const char *name)
{
    return json_pack("{s:{s:s}}", "$source", "url", fake_context_path(f, name));
}

void fake_context_write_model(struct fake_context *f, const char *name,
                              const struct tensor_set *set, const char *config)
{
    const struct st_writer_settings settings = { .directory = fake_context_path(
                                                     f, name) };
    struct st_writer *w;

    assert_ok(st_writer_new(&settings, set, &w));
    for (size_t i = 0; i < set->count; i++)
        assert_ok(st_writer_add(w, set->items[i].data,
                                (size_t)tensor_bytes(&set->items[i])));
    if (config != NULL)
        assert_ok(st_writer_add_file(w, "config.json", config, strlen(config)));
    assert_ok(st_writer_finish(w));
    st_writer_free(w);
}
