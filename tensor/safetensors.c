#include "tensor/safetensors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/map.h"
#include "common/memory.h"

enum { PREFIX = 8 }; /* bytes of the header's length */

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";
static const char suffix[] = ".safetensors";

/* A mapped file. */
struct shard {
    char *path;
    void *map;
    size_t size;
    const uint8_t *data; /* behind the header */
    struct st_header *header;
};

struct st_model {
    struct map *shards; /* by the name the index uses */
    struct tensor_set set;
    struct tensor *items;
};

static void shard_free(struct shard *s)
{
    st_header_free(s->header);
    if (s->map != NULL)
        (void)munmap(s->map, s->size);
    free(s->path);
    free(s);
}

MUST_CHECK static struct status map_file(struct shard *s)
{
    AUTO(file_close) int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    void *map;

    if (fd < 0)
        return FAIL_ERRNO("open", s->path);
    if (fstat(fd, &info) != 0)
        return FAIL_ERRNO("stat", s->path);
    if (!S_ISREG(info.st_mode))
        return FAIL(STATUS_INVALID, "%s is not a file", s->path);
    s->size = (size_t)info.st_size;
    if (s->size < PREFIX)
        return FAIL(STATUS_CORRUPT,
                    "%s: %zu bytes are too few for a "
                    "safetensors file; it is truncated",
                    s->path, s->size);
    map = mmap(NULL, s->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return FAIL_ERRNO("map", s->path);
    s->map = map;
    return SUCCESS;
}

MUST_CHECK static struct status shard_load(struct shard *s)
{
    uint64_t size = 0;

    TRY_PLAIN(map_file(s));
    TRY_PLAIN(st_header_size(s->map, s->size, s->path, &size));
    TRY_PLAIN(st_header_parse((const char *)s->map + PREFIX, (size_t)size,
                              s->size, s->path, &s->header));
    s->data = (const uint8_t *)s->map + PREFIX + size;
    return SUCCESS;
}

/* `name` as the index writes it, `path` is taken over. */
MUST_CHECK static struct status add_shard(struct st_model *m, const char *name,
                                          char *path)
{
    struct shard *s = xnew(struct shard);

    s->path = path;
    (void)map_put_text(m->shards, name, s);
    if (map_count(m->shards) > LIMIT_SHARDS)
        return FAIL(STATUS_TOO_BIG, "%s: more than %d shards", path,
                    LIMIT_SHARDS);
    return shard_load(s);
}

static const struct shard *shard_at(const struct st_model *m, size_t i)
{
    return map_at(m->shards, i, NULL, NULL);
}

static void take_tensors(struct st_model *m, const struct shard *s)
{
    const struct tensor_set *set = st_header_tensors(s->header);

    for (size_t i = 0; i < set->count; i++) {
        struct tensor *t = m->items + m->set.count++;

        *t = set->items[i];
        t->data = s->data + st_header_offset(s->header, i);
    }
}

/* Puts the tensors of all shards into one set. */
MUST_CHECK static struct status gather(struct st_model *m)
{
    size_t count = 0;

    for (size_t i = 0; i < map_count(m->shards); i++)
        count += st_header_tensors(shard_at(m, i)->header)->count;
    if (count > LIMIT_TENSORS)
        return FAIL(STATUS_TOO_BIG, "%s: %zu tensors, at most %d are read",
                    shard_at(m, 0)->path, count, LIMIT_TENSORS);
    m->items = xcalloc(count + 1, sizeof *m->items);
    m->set = (struct tensor_set){ .count = 0, .items = m->items };
    for (size_t i = 0; i < map_count(m->shards); i++)
        take_tensors(m, shard_at(m, i));
    return SUCCESS;
}

static int by_tensor_name(const void *a, const void *b)
{
    const struct tensor *x = a;
    const struct tensor *y = b;

    return strcmp(x->name, y->name);
}

MUST_CHECK static struct status sort_tensors(struct st_model *m)
{
    qsort(m->items, m->set.count, sizeof *m->items, by_tensor_name);
    for (size_t i = 0; i < m->set.count; i++) {
        const struct tensor *t = m->items + i;

        if (i > 0 && strcmp(t[-1].name, t->name) == 0)
            return FAIL(STATUS_CORRUPT,
                        "%s: tensor \"%s\" stands in this file and in %s",
                        t->file, t->name, t[-1].file);
    }
    return SUCCESS;
}

/* A path that stays in the index's directory. */
static bool is_inside(const char *path)
{
    if (path[0] == '/' || path[0] == '\0')
        return false;
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return false;
    }
    return true;
}

static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* Every shard the index names, once. */
MUST_CHECK static struct status open_shards(struct st_model *m,
                                            const char *index, json_t *weights)
{
    const char *name;
    json_t *value;

    json_object_foreach(weights, name, value)
    {
        const char *file = json_string_value(value);

        if (file == NULL)
            return FAIL(STATUS_CORRUPT,
                        "%s: the file of tensor \"%s\" is not a text", index,
                        name);
        if (map_get_text(m->shards, file) != NULL)
            continue;
        if (!is_inside(file))
            return FAIL(STATUS_CORRUPT,
                        "%s: tensor \"%s\" is said to be in \"%s\", outside "
                        "the model's directory",
                        index, name, file);
        TRY(add_shard(
                m, file,
                xasprintf("%.*s%s", (int)directory_length(index), index, file)),
            "%s", index);
    }
    return SUCCESS;
}

/* No tensor of a shard is missing in the index. */
MUST_CHECK static struct status check_complete(const struct st_model *m,
                                               const char *index,
                                               const json_t *weights)
{
    for (size_t i = 0; i < m->set.count; i++) {
        if (json_object_get(weights, m->items[i].name) == NULL)
            return FAIL(STATUS_CORRUPT,
                        "%s: tensor \"%s\" of %s is not in the index", index,
                        m->items[i].name, m->items[i].file);
    }
    return SUCCESS;
}

/* Each tensor of the index is where it is said to be. */
MUST_CHECK static struct status check_entries(const struct st_model *m,
                                              const char *index,
                                              json_t *weights)
{
    const char *name;
    json_t *file;

    json_object_foreach(weights, name, file)
    {
        const struct shard *s =
            map_get_text(m->shards, json_string_value(file));

        if (tensor_find(st_header_tensors(s->header), name) == NULL)
            return FAIL(STATUS_CORRUPT,
                        "%s: tensor \"%s\" is said to be in \"%s\", but is "
                        "not there",
                        index, name, json_string_value(file));
    }
    return SUCCESS;
}

MUST_CHECK static struct status open_index(struct st_model *m, const char *path)
{
    AUTO(json_release) json_t *index = NULL;
    json_t *weights;

    TRY_PLAIN(json_parse_file(path, LIMIT_INDEX, &index));
    weights = json_object_get(index, "weight_map");
    if (!json_is_object(weights) || json_object_size(weights) == 0)
        return FAIL(STATUS_CORRUPT, "%s: no \"weight_map\" of tensors to files",
                    path);
    TRY_PLAIN(open_shards(m, path, weights));
    TRY_PLAIN(check_entries(m, path, weights));
    TRY_PLAIN(gather(m));
    TRY_PLAIN(sort_tensors(m));
    return check_complete(m, path, weights);
}

MUST_CHECK static struct status open_single(struct st_model *m,
                                            const char *path)
{
    TRY_PLAIN(add_shard(m, path, xstrdup(path)));
    TRY_PLAIN(gather(m));
    return sort_tensors(m);
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);

    return size >= strlen(end) && strcmp(text + size - strlen(end), end) == 0;
}

static void close_directory(DIR **directory)
{
    if (*directory != NULL)
        (void)closedir(*directory);
}

/* The only *.safetensors of a directory. */
MUST_CHECK static struct status find_only(const char *path, char **ret_file)
{
    AUTO(free_pointer) char *found = NULL;
    AUTO(close_directory) DIR *directory = opendir(path);
    const struct dirent *entry;

    if (directory == NULL)
        return FAIL_ERRNO("open directory", path);
    while ((entry = readdir(directory)) != NULL) {
        if (!ends_with(entry->d_name, suffix))
            continue;
        if (found != NULL)
            return FAIL(STATUS_INVALID,
                        "%s holds several .safetensors files and no %s; name "
                        "one of them",
                        path, index_name);
        found = xasprintf("%s/%s", path, entry->d_name);
    }
    if (found == NULL)
        return FAIL(STATUS_NOT_FOUND,
                    "%s holds no %s, no %s and no other %s "
                    "file",
                    path, single_name, index_name, suffix);
    *ret_file = found;
    found = NULL;
    return SUCCESS;
}

MUST_CHECK static struct status open_directory(struct st_model *m,
                                               const char *path)
{
    AUTO(free_pointer) char *single = xasprintf("%s/%s", path, single_name);
    AUTO(free_pointer) char *index = xasprintf("%s/%s", path, index_name);
    AUTO(free_pointer) char *only = NULL;

    if (file_exists(single))
        return open_single(m, single);
    if (file_exists(index))
        return open_index(m, index);
    TRY_PLAIN(find_only(path, &only));
    return open_single(m, only);
}

MUST_CHECK static struct status open_any(struct st_model *m, const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return FAIL_ERRNO("open", path);
    if (S_ISDIR(info.st_mode))
        return open_directory(m, path);
    return ends_with(path, ".json") ? open_index(m, path)
                                    : open_single(m, path);
}

struct status st_model_open(const char *path, struct st_model **ret_model)
{
    struct st_model *m = xnew(struct st_model);
    struct status st;

    m->shards = map_new();
    st = open_any(m, path);
    if (status_failed(&st))
        st_model_close(m);
    else
        *ret_model = m;
    return st;
}

void st_model_close(struct st_model *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < map_count(m->shards); i++)
        shard_free(map_at(m->shards, i, NULL, NULL));
    map_free(m->shards);
    free(m->items);
    free(m);
}

void st_model_release(struct st_model **m)
{
    st_model_close(*m);
}

const struct tensor_set *st_model_tensors(const struct st_model *m)
{
    return &m->set;
}
