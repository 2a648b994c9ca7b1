#include "support/source_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "support/test.h"

struct place *place_new(int64_t give_up_ms)
{
    struct place *p = xnew(struct place);

    (void)snprintf(p->directory, sizeof p->directory,
                   "/tmp/sinter-test-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    (void)snprintf(p->cache, sizeof p->cache, "%s/cache", p->directory);
    p->settings = (struct source_settings){ .directory = p->cache,
                                            .give_up_ms = give_up_ms };
    return p;
}

void place_open(struct place *p)
{
    source_store_free(p->store);
    p->store = source_store_new(&p->settings);
}

int place_tear_down(void **state)
{
    struct place *p = *state;

    source_store_free(p->store);
    nginx_stop(&p->nginx);
    assert_ok(file_remove_tree(p->directory));
    free(p->locations);
    free(p->servers);
    free(p);
    return 0;
}

void place_put(const struct place *p, const char *name, const void *data,
               size_t size)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", p->directory, name);
    AUTO(free_pointer) char *directory = xstrdup(path);

    *strrchr(directory, '/') = '\0';
    assert_ok(file_make_directories(directory));
    assert_ok(file_write(path, data, size));
}
