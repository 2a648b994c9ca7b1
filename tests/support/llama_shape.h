/* llama_shape.h -- small models with the names of a Llama, for merges: no
 * numbers that compute anything, but layers, an embedding and a head. */
#ifndef SINTER_TESTS_SUPPORT_LLAMA_SHAPE_H
#define SINTER_TESTS_SUPPORT_LLAMA_SHAPE_H

#include "support/small_model.h"

enum { LLAMA_LAYERS = 8, LLAMA_WIDTH = 8 };

/* float32; embedding and head have `rows` rows. */
struct small_model llama_shape_new(uint64_t rows, uint32_t seed);

#endif
