/* expansion_parts.h -- templates cut into pieces; for expansion*.c only. */
#ifndef SINTER_SWEEP_EXPANSION_PARTS_H
#define SINTER_SWEEP_EXPANSION_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sweep/compiled_parts.h"

/* Bytes that are written again and again and keep their memory. */
struct text {
    char *bytes;
    size_t size, room;
};
void text_release(struct text *t);
/* Behind what is there; makes room for one byte more. */
void text_add(struct text *t, const void *bytes, size_t size);

struct piece; /* see expansion_script.c */

/* A template as a row of bytes and holes. */
struct script {
    struct piece *pieces;
    size_t count, room;
    struct text bytes; /* of all pieces */
};

/* `blanked`: with the places of "fuse" blank. */
void script_make(struct script *s, const struct template *t, bool blanked);
void script_release(struct script *s);

/* What stands for a stage: borrowed. */
struct script_scope {
    const struct space_value *values;
    const struct text *(*stage)(const void *self, struct template_ref ref);
    const void *self;
};
/* Appends to `out`. False when it would hold more than `most` bytes: the text
 * is then cut somewhere. */
bool script_write(const struct script *s, const struct script_scope *scope,
                  size_t most, struct text *out);

#endif
