#include "common/roster.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum { ADDRESS_MOST = 256 }; /* bytes */

void roster_init(struct roster *r, const char *text)
{
    const char *end;

    *r = (struct roster){ .items = NULL };
    do {
        end = strchrnul(text, ',');
        r->items = xrealloc(r->items, (r->count + 1) * sizeof(char *));
        r->items[r->count++] = xasprintf("%.*s", (int)(end - text), text);
        text = end + 1;
    } while (*end != '\0');
}

void roster_release(struct roster *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->items[i]);
    free(r->items);
    free(r->now);
    free(r->told);
    *r = (struct roster){ .items = NULL };
}

const char *roster_current(const struct roster *r)
{
    return r->now != NULL ? r->now : r->items[r->at];
}

static bool find(const struct roster *r, const char *address, size_t *ret_at)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->items[i], address) == 0) {
            *ret_at = i;
            return true;
        }
    return false;
}

void roster_next(struct roster *r)
{
    char *told = r->told;

    r->told = NULL;
    free(r->now);
    r->now = NULL;
    if (told == NULL) {
        r->at = (r->at + 1) % r->count;
    } else if (find(r, told, &r->at)) {
        free(told);
    } else {
        r->now = told;
    }
}

bool roster_told(struct roster *r, const char *address, size_t size,
                 bool trusted)
{
    char text[ADDRESS_MOST + 1] = "";
    size_t at;

    free(r->told);
    r->told = NULL;
    if (size == 0 || size > ADDRESS_MOST || memchr(address, '\0', size) != NULL)
        return false;
    memcpy(text, address, size);
    if (!find(r, text, &at) && !trusted)
        return false;
    r->told = xstrdup(text);
    return true;
}
