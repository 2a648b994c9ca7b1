#include "cli/selector.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_number(const char *text)
{
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (!isdigit((unsigned char)*text))
            return false;
    }
    return true;
}

MUST_CHECK static struct status parse_trial(const char *all, const char *text,
                                            struct selector *s)
{
    if (strcmp(text, "best") == 0) {
        s->best = true;
        return SUCCESS;
    }
    if (*text == '#')
        text++;
    errno = 0;
    if (is_number(text))
        s->trial = strtoull(text, NULL, 10);
    if (s->trial == 0 || errno != 0)
        return FAIL(STATUS_INVALID,
                    "`%s` names no trial: write SWEEP/12 or SWEEP/best", all);
    return SUCCESS;
}

struct status selector_parse(const char *text, struct selector *ret_selector)
{
    struct selector s = { .trial = 0 };
    const char *slash = strrchr(text, '/');
    const char *trial = slash == NULL ? NULL : slash + 1;
    size_t size = slash == NULL ? strlen(text) : (size_t)(slash - text);

    if (slash == NULL && (is_number(text) || *text == '#')) {
        trial = text;
        text = "@last";
        size = strlen(text);
    }
    if (size == 0 || size >= sizeof s.sweep)
        return FAIL(STATUS_INVALID,
                    "`%s` names no sweep: write an id, a name or @last", text);
    memcpy(s.sweep, text, size);
    s.sweep[size] = '\0';
    if (trial != NULL)
        TRY_PLAIN(parse_trial(text, trial, &s));
    *ret_selector = s;
    return SUCCESS;
}
