/* prose.h -- text without end, made from a seed: a language with words of its
 * own, most of them rare, a small grammar, and documents that keep to a topic.
 *
 *     The mains of Per wakor. No boleme afis without mafus. Trailin ...
 *
 * The language is a function of the seed, a document one of (seed, split,
 * number), so no document of one split is one of the other. */
#ifndef SINTER_MODEL_PROSE_H
#define SINTER_MODEL_PROSE_H

#include "model/tasks.h"

#include <stddef.h>
#include <stdint.h>

enum { PROSE_MOST = 4096 }; /* bytes of a document, with a NUL behind it */

/* Its size; sentences in one line. */
size_t prose_document(uint32_t seed, enum task_split split, uint64_t number,
                      char ret_text[PROSE_MOST]);

#endif
