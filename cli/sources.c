#include "cli/sources.h"

#include <string.h>

#include "common/digest.h"
#include "common/memory.h"
#include "sources/source_files.h"

/* Nodes still to be looked at, last first. */
struct pending {
    json_t **items;
    size_t count, room;
};

static void push(struct pending *p, json_t *node)
{
    if (!json_is_object(node) && !json_is_array(node))
        return;
    if (p->count == p->room) {
        p->room = p->room == 0 ? 64 : p->room * 2;
        p->items = xrealloc(p->items, p->room * sizeof(void *));
    }
    p->items[p->count++] = node;
}

static void push_children(struct pending *p, json_t *node)
{
    const char *name = NULL;
    json_t *child = NULL;
    size_t first = p->count;

    if (json_is_object(node)) {
        json_object_foreach(node, name, child)
        {
            push(p, child);
        }
    }
    for (size_t i = 0; i < json_array_size(node); i++)
        push(p, json_array_get(node, i));
    for (size_t i = first, j = p->count; i + 1 < j; i++, j--) {
        json_t *swap = p->items[i];

        p->items[i] = p->items[j - 1];
        p->items[j - 1] = swap;
    }
}

void sources_visit(json_t *json, void (*visit)(void *self, json_t *source),
                   void *self)
{
    struct pending p = { NULL, 0, 0 };

    push(&p, json);
    while (p.count > 0) {
        json_t *node = p.items[--p.count];
        json_t *source = json_object_get(node, "$source");

        if (json_is_object(source))
            visit(self, source);
        else
            push_children(&p, node);
    }
    free(p.items);
}

struct completion {
    struct source_store *store;
    json_t *versions; /* by URL; null: could not be reached */
    void (*warn)(void *self, const char *url, const struct status *st);
    void *self;
};

static json_t *version_of(struct completion *c, const char *url)
{
    struct source_files files;
    struct status st = source_list(c->store, url, &files);
    json_t *version;

    if (status_failed(&st)) {
        c->warn(c->self, url, &st);
        return json_null();
    }
    version = json_string(files.version); /* which slots then hold it to */
    source_files_release(&files);
    return version;
}

static void complete(void *self, json_t *source)
{
    struct completion *c = self;
    const char *url = json_text_or(source, "url", NULL);
    json_t *version = NULL;

    if (url == NULL || json_object_get(source, "sha256") != NULL ||
        json_object_get(source, "version") != NULL)
        return;
    version = json_object_get(c->versions, url);
    if (version == NULL) {
        version = version_of(c, url);
        (void)json_object_set_new(c->versions, url, version);
    }
    if (!json_is_null(version))
        (void)json_object_set(source, "version", version);
}

void sources_complete(struct source_store *store, json_t *document,
                      void (*warn)(void *self, const char *url,
                                   const struct status *st),
                      void *self)
{
    struct completion c = { .store = store, .warn = warn, .self = self };

    c.versions = json_object();
    sources_visit(document, complete, &c);
    json_decref(c.versions);
}
