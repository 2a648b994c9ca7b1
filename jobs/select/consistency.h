/* consistency.h -- the concept consistency graph (PASER, section 3.4): nodes
 * are concepts seen in accepted samples, edges say that an accepted sample had
 * both. A sample that joins two known concepts which no accepted sample has
 * joined is refused. */
#ifndef SINTER_JOBS_SELECT_CONSISTENCY_H
#define SINTER_JOBS_SELECT_CONSISTENCY_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONSISTENCY_EDGES = 1 << 26 }; /* at most: 1 GiB */

/* Opaque; 16 to 32 bytes an edge. */
struct consistency;

/* `singletons`: a sample of one concept adds its node. As released it adds
 * nothing, for only edges add nodes. */
struct consistency *consistency_new(bool singletons);
void consistency_free(struct consistency *g); /* NULL is fine */

struct consistency_conflict {
    uint32_t a, b; /* the first pair in the order of the sample's concepts */
    size_t pairs;  /* that conflict */
};

/* `concepts` [count]: numbers without repetition, in the order of their texts
 * (concepts.h). True: consistent. */
bool consistency_check(const struct consistency *g, const uint32_t *concepts,
                       size_t count, struct consistency_conflict *ret_conflict);
/* After the sample is accepted. TOO_BIG: more than CONSISTENCY_EDGES. */
MUST_CHECK struct status consistency_add(struct consistency *g,
                                         const uint32_t *concepts,
                                         size_t count);

size_t consistency_nodes(const struct consistency *g);
size_t consistency_edges(const struct consistency *g);
bool consistency_has_node(const struct consistency *g, uint32_t concept);
bool consistency_has_edge(const struct consistency *g, uint32_t a, uint32_t b);

#endif
