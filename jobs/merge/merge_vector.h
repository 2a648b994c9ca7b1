/* merge_vector.h -- vectors of the merge kernels. Sums stay in registers while
 * the models go by: MERGE_GROUP elements at a time, as vectors of a width that
 * every instruction set splits well. Left to itself the compiler unrolls such
 * loops into scalars. */
#ifndef SINTER_JOBS_MERGE_VECTOR_H
#define SINTER_JOBS_MERGE_VECTOR_H

#include "jobs/merge/merge_terms.h"
#include "tensor/isa.h"

#include <string.h>

enum { WIDTH = 4, VECTORS = MERGE_GROUP / WIDTH };

typedef float floats __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t masks __attribute__((vector_size(WIDTH * sizeof(int32_t))));
typedef double doubles __attribute__((vector_size(WIDTH * sizeof(double))));
typedef int64_t truths __attribute__((vector_size(WIDTH * sizeof(int64_t))));

#define LOAD(vector, row)  memcpy(&(vector), (row), sizeof(vector))
#define STORE(vector, row) memcpy((row), &(vector), sizeof(vector))
/* Element by element that is one instruction; of __builtin_convertvector()
 * gcc 12 makes four, by halves. */
#define WIDEN(x)                                                \
    ((doubles){ (double)(x)[0], (double)(x)[1], (double)(x)[2], \
                (double)(x)[3] })
_Static_assert(WIDTH == 4, "WIDEN names every element");
#define NARROW(vector) __builtin_convertvector((vector), floats)
/* The number where the comparison holds, else 0. */
#define WHERE(truth, number) \
    ((doubles)((truths)((doubles){ 0.0 } + (number)) & (truth)))

/* Inlined into each clone of a kernel (tensor/isa.h). */
#define INLINE static inline __attribute__((always_inline))

typedef uint16_t halves __attribute__((vector_size(sizeof(floats))));
typedef uint64_t pair __attribute__((vector_size(sizeof(floats))));

/* WIDTH elements of an input from `at` on, which is bfloat16 or float32. Of
 * bfloat16 what is `next` elements behind is fetched as well: turns of the
 * inputs are too short for the machine to see that by itself. */
INLINE void load_input(const void *input, size_t at, size_t next, bool bf16,
                       floats *ret_input)
{
    if (bf16) {
        const char *from = (const char *)input + at * sizeof(uint16_t);
        halves zero = { 0 };
        pair four = { 0, 0 };

        if (next > 0)
            __builtin_prefetch(from + next * sizeof(uint16_t));
        uint64_t raw;

        memcpy(&raw, from, sizeof raw);
        four[0] = raw;
        *ret_input = (floats)__builtin_shufflevector(zero, (halves)four, 0, 8,
                                                     1, 9, 2, 10, 3, 11);
    } else {
        LOAD(*ret_input, (const char *)input + at * sizeof(float));
    }
}

#endif
