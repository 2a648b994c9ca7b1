/* dtype.h -- element types of safetensors and their exact conversions. */
#ifndef SINTER_TENSOR_DTYPE_H
#define SINTER_TENSOR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype {
    DTYPE_F64,
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_I64,
    DTYPE_I32,
    DTYPE_I16,
    DTYPE_I8,
    DTYPE_U8,
    DTYPE_BOOL,
    DTYPE_U64,
    DTYPE_U32,
    DTYPE_U16,
    DTYPE_COUNT
};

size_t dtype_size(enum dtype d);      /* bytes of an element */
const char *dtype_name(enum dtype d); /* "BF16", as in safetensors */
bool dtype_is_float(enum dtype d);    /* can be merged */
/* `name` as in safetensors, or "float32", "bfloat16", "float16". */
bool dtype_find(const char *name, size_t size, enum dtype *ret_dtype);

/* Bytes in files need no alignment, so `source` and `target` of these have
 * none either. Widening is exact, NaN payloads included (F64 is rounded to
 * nearest even); only float types. */
void dtype_to_f32(enum dtype from, const void *source, float *target,
                  size_t count);
/* One rounding, to nearest even; NaN stays NaN, made quiet where it is cut;
 * overflow becomes infinity. */
void dtype_from_f32(enum dtype to, const float *source, void *target,
                    size_t count);

/* First NaN or infinity among `count` elements of a float type, or `count`. */
size_t dtype_find_not_finite(enum dtype d, const void *data, size_t count);

#endif
