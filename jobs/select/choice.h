/* choice.h -- words that stand for the values of an enum. */
#ifndef SINTER_JOBS_SELECT_CHOICE_H
#define SINTER_JOBS_SELECT_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Which of `names` is `name`; false: none. */
static inline bool choice_find(const char *const *names, size_t count,
                               const char *name, size_t *ret_place)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) {
            *ret_place = i;
            return true;
        }
    return false;
}

/* Defines TYPE_name() and TYPE_find() of a header, given the names. */
#define CHOICE(type, names)                                     \
    const char *type##_name(enum type value)                    \
    {                                                           \
        return names[value];                                    \
    }                                                           \
                                                                \
    bool type##_find(const char *name, enum type *ret_value)    \
    {                                                           \
        size_t place;                                           \
                                                                \
        if (!choice_find(names, COUNT_OF(names), name, &place)) \
            return false;                                       \
        *ret_value = (enum type)place;                          \
        return true;                                            \
    }

#endif
