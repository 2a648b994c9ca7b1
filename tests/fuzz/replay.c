/* replay.c -- main() for a fuzz target without libFuzzer: runs it over every
 * file of the folders (or single files) given. No file at all is a failure, so
 * that a corpus cannot vanish unseen. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/memory.h"

enum { LIMIT_INPUT = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    char *data = NULL;
    size_t size = 0;
    struct status st = file_read(path, LIMIT_INPUT, &data, &size);
    uint8_t *exact;

    if (status_failed(&st)) {
        (void)fprintf(stderr, "%s\n", st.message);
        return -1;
    }
    /* Of the exact size, for ASan to see a read beyond it. */
    exact = malloc(size > 0 ? size : 1);
    if (exact == NULL)
        abort();
    memcpy(exact, data, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    free(data);
    return 1;
}

/* The number of files, -1 on trouble. */
static int replay(const char *path)
{
    struct stat info;
    struct dirent *entry;
    DIR *folder;
    int count = 0;

    if (stat(path, &info) == 0 && S_ISREG(info.st_mode))
        return replay_file(path);
    folder = opendir(path);
    if (folder == NULL) {
        (void)fprintf(stderr, "open %s: %s\n", path, strerror(errno));
        return -1;
    }
    while (count >= 0 && (entry = readdir(folder)) != NULL) {
        char *name;

        if (entry->d_name[0] == '.')
            continue;
        name = xasprintf("%s/%s", path, entry->d_name);
        count = replay_file(name) < 0 ? -1 : count + 1;
        free(name);
    }
    (void)closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        int more = replay(argv[i]);

        if (more < 0)
            return EXIT_FAILURE;
        count += more;
    }
    (void)printf("%d inputs\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
