#include "sources/held.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"

static bool is_proven(const char *files)
{
    AUTO(free_pointer) char *record = xasprintf("%s/../entry.json", files);
    AUTO(free_pointer) char *mark = xasprintf("%s/../proven", files);

    return file_exists(record) && file_exists(mark);
}

/* Another entry of the source, and one that others can be given. */
static bool is_better(const char *path, const char *files)
{
    AUTO(free_pointer) char *noted = NULL;
    size_t size = 0;
    struct status st = file_read(path, LIMIT_PATH, &noted, &size);

    return status_failed(&st) ||
           (strcmp(noted, files) != 0 && is_proven(files));
}

void held_note(const char *cache, const char *url, const char *files)
{
    struct digest name = digest_of(url, strlen(url));
    char text[DIGEST_TEXT];
    AUTO(free_pointer) char *folder = xasprintf("%s/held", cache);
    AUTO(free_pointer) char *path = NULL;
    struct status st;

    digest_to_text(&name, text);
    path = xasprintf("%s/%s", folder, text);
    if (file_exists(path) && !is_better(path, files))
        return;
    st = file_make_directories(folder);
    if (!status_failed(&st))
        st = file_write(path, files, strlen(files));
    (void)st; /* best effort */
}

struct look {
    void (*visit)(void *self, const struct held *held);
    void *self;
};

/* What the lock of the entry says that it may take. */
static uint64_t bytes_of(const char *entry)
{
    AUTO(free_pointer) char *path = xasprintf("%s/lock", entry);
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;
    struct status st = file_read(path, LIMIT_PATH, &text, &size);

    return status_failed(&st) ? 0 : strtoull(text, NULL, 10);
}

static void look_at(void *self, const char *path)
{
    const struct look *look = self;
    AUTO(free_pointer) char *files = NULL;
    AUTO(free_pointer) char *entry = NULL;
    const char *name = strrchr(path, '/') + 1;
    struct held held;
    size_t size = 0;
    struct status st = file_read(path, LIMIT_PATH, &files, &size);

    if (status_failed(&st))
        return;
    entry = xasprintf("%s/..", files);
    if (!digest_from_text(name, &held.name) || !file_exists(files)) {
        (void)unlink(path);
        return;
    }
    held.bytes = bytes_of(entry);
    held.is_proven = is_proven(files);
    look->visit(look->self, &held);
}

/* An entry of an artifact has its name, and is whole if it has its record. */
static void look_at_artifact(void *self, const char *entry)
{
    const struct look *look = self;
    AUTO(free_pointer) char *record = xasprintf("%s/entry.json", entry);
    struct held held = { .is_proven = true };

    if (!digest_from_text(strrchr(entry, '/') + 1, &held.name) ||
        !file_exists(record))
        return;
    held.bytes = bytes_of(entry);
    look->visit(look->self, &held);
}

void held_each(const char *cache,
               void (*visit)(void *self, const struct held *held), void *self)
{
    AUTO(free_pointer) char *marks = xasprintf("%s/held", cache);
    AUTO(free_pointer) char *artifacts = xasprintf("%s/artifacts", cache);
    struct look look = { visit, self };

    file_each(marks, look_at, &look);
    file_each(artifacts, look_at_artifact, &look);
}
