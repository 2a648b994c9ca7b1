#include "support/st_text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/memory.h"
#include "support/test.h"

int st_text_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    char *path = xasprintf("%s/sinter-st-XXXXXX", base == NULL ? "/tmp" : base);

    if (mkdtemp(path) == NULL || chmod(path, 0755) != 0)
        return -1;
    *state = path;
    return 0;
}

int st_text_teardown(void **state)
{
    assert_ok(file_remove_tree(*state));
    free(*state);
    return 0;
}

const char *st_text_path(void **state, const char *name)
{
    enum { PATHS = 8 };
    static char paths[PATHS][512];
    static size_t next;
    char *path = paths[next++ % PATHS];

    (void)snprintf(path, sizeof paths[0], "%s/%s", (const char *)*state, name);
    return path;
}

void st_text_write_plain(const char *path, const void *data, size_t size)
{
    assert_ok(file_write(path, data, size));
}

void st_text_write_length(const char *path, uint64_t length, const char *header,
                          size_t data_size)
{
    size_t text = strlen(header);
    AUTO(free_pointer) uint8_t *file = xcalloc(8 + text + data_size, 1);

    for (size_t i = 0; i < 8; i++)
        file[i] = (uint8_t)(length >> (8 * i));
    memcpy(file + 8, header, text);
    for (size_t i = 0; i < data_size; i++)
        file[8 + text + i] = (uint8_t)i;
    st_text_write_plain(path, file, 8 + text + data_size);
}

void st_text_write(const char *path, const char *header, size_t data_size)
{
    st_text_write_length(path, strlen(header), header, data_size);
}

size_t st_text_entries(const char *path)
{
    DIR *directory = opendir(path);
    size_t count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count - 2;
}
