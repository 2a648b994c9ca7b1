#include "tensor/elementary.h"

#include "tensor/elementary_vector.h"
#include "tensor/isa.h"

#define GROUP ELEMENTARY_GROUP

/* A function of each element, the last ones in a group of their own. */
#define ELEMENTARY(name)                                                      \
    ISA_CLONES                                                                \
    void elementary_##name(const double *x, double *y, size_t count)          \
    {                                                                         \
        size_t whole = count - count % GROUP;                                 \
        elementary_doubles group[ELEMENTARY_VECTORS];                         \
                                                                              \
        for (size_t i = 0; i < whole; i += GROUP) {                           \
            ELEMENTARY_EACH(v)                                                \
            memcpy(&group[v], x + i + v * ELEMENTARY_WIDTH, sizeof group[v]); \
            elementary_##name##_group(group, group);                          \
            ELEMENTARY_EACH(v)                                                \
            memcpy(y + i + v * ELEMENTARY_WIDTH, &group[v], sizeof group[v]); \
        }                                                                     \
        if (whole == count)                                                   \
            return;                                                           \
        memset(group, 0, sizeof group);                                       \
        memcpy(group, x + whole, (count - whole) * sizeof *x);                \
        elementary_##name##_group(group, group);                              \
        memcpy(y + whole, group, (count - whole) * sizeof *y);                \
    }
ELEMENTARY(exp)
ELEMENTARY(tanh)
#undef ELEMENTARY
