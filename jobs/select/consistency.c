#include "jobs/select/consistency.h"

#include <stdlib.h>

#include "common/memory.h"

/* Open addressing, at most half full; 0 is an empty place. */
struct pairs {
    uint64_t *places;
    size_t room; /* a power of two, or 0 */
    size_t count;
};

struct consistency {
    bool singletons;
    struct pairs edges;
    uint8_t *known; /* [known_room] by concept */
    size_t known_room;
    size_t nodes;
};

struct consistency *consistency_new(bool singletons)
{
    struct consistency *g = xnew(struct consistency);

    g->singletons = singletons;
    return g;
}

void consistency_free(struct consistency *g)
{
    if (g == NULL)
        return;
    free(g->edges.places);
    free(g->known);
    free(g);
}

/* Never 0: the two differ. */
static uint64_t edge_of(uint32_t a, uint32_t b)
{
    return a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a;
}

/* Where it is, or where it would be; there is an empty place. */
static uint64_t *find_place(const struct pairs *p, uint64_t edge)
{
    size_t at = (size_t)((edge * 0x9E3779B97F4A7C15U) >> 32) & (p->room - 1);

    while (p->places[at] != 0 && p->places[at] != edge)
        at = (at + 1) & (p->room - 1);
    return &p->places[at];
}

MUST_CHECK static struct status pairs_grow(struct pairs *p)
{
    struct pairs wide = { .room = p->room == 0 ? 1024 : 2 * p->room,
                          .count = p->count };

    if (p->count >= CONSISTENCY_EDGES)
        return FAIL(STATUS_TOO_BIG,
                    "the concept graph has more than %d edges: select fewer "
                    "samples, or without conflicts",
                    CONSISTENCY_EDGES);
    wide.places = calloc(wide.room, sizeof(*wide.places));
    if (wide.places == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for %zu concept edges",
                    wide.room);
    for (size_t i = 0; i < p->room; i++)
        if (p->places[i] != 0)
            *find_place(&wide, p->places[i]) = p->places[i];
    free(p->places);
    *p = wide;
    return SUCCESS;
}

MUST_CHECK static struct status pairs_add(struct pairs *p, uint64_t edge)
{
    uint64_t *place;

    if (2 * (p->count + 1) > p->room)
        TRY_PLAIN(pairs_grow(p));
    place = find_place(p, edge);
    p->count += *place == 0;
    *place = edge;
    return SUCCESS;
}

bool consistency_has_node(const struct consistency *g, uint32_t concept)
{
    return concept < g->known_room && g->known[concept] != 0;
}

bool consistency_has_edge(const struct consistency *g, uint32_t a, uint32_t b)
{
    return a != b && g->edges.count > 0 &&
           *find_place(&g->edges, edge_of(a, b)) != 0;
}

bool consistency_check(const struct consistency *g, const uint32_t *concepts,
                       size_t count, struct consistency_conflict *ret_conflict)
{
    struct consistency_conflict c = { 0 };

    for (size_t i = 0; i < count; i++) {
        if (!consistency_has_node(g, concepts[i]))
            continue;
        for (size_t j = i + 1; j < count; j++) {
            if (!consistency_has_node(g, concepts[j]) ||
                consistency_has_edge(g, concepts[i], concepts[j]))
                continue;
            if (c.pairs++ == 0) {
                c.a = concepts[i];
                c.b = concepts[j];
            }
        }
    }
    *ret_conflict = c;
    return c.pairs == 0;
}

static void add_node(struct consistency *g, uint32_t concept)
{
    if (concept >= g->known_room) {
        size_t room = 2 * (size_t) concept + 64;

        g->known = xrealloc(g->known, room);
        for (size_t i = g->known_room; i < room; i++)
            g->known[i] = 0;
        g->known_room = room;
    }
    g->nodes += g->known[concept] == 0;
    g->known[concept] = 1;
}

struct status consistency_add(struct consistency *g, const uint32_t *concepts,
                              size_t count)
{
    if (count == 1 && !g->singletons)
        return SUCCESS;
    for (size_t i = 0; i < count; i++) {
        add_node(g, concepts[i]);
        for (size_t j = i + 1; j < count; j++)
            TRY_PLAIN(pairs_add(&g->edges, edge_of(concepts[i], concepts[j])));
    }
    return SUCCESS;
}

size_t consistency_nodes(const struct consistency *g)
{
    return g->nodes;
}

size_t consistency_edges(const struct consistency *g)
{
    return g->edges.count;
}
