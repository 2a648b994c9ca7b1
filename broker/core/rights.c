#include "broker/core/rights.h"

#include <stddef.h>

/* The orders a client may give: about sweeps, for they say what it wants
 * computed. All others are the admin's: what concerns the workers, what takes
 * from others, and what a newer version may bring. */
static const char *const of_clients[] = { "cancel", "retry",  "pause",
                                          "resume", "extend", NULL };

static bool is_for_clients(struct wire_bytes verb)
{
    for (const char *const *v = of_clients; *v != NULL; v++)
        if (wire_is(verb, *v))
            return true;
    return false;
}

struct status rights_check(enum curve_role role, const struct wire_message *m)
{
    if (m->type != WIRE_QUERY || role == CURVE_ADMIN ||
        (role == CURVE_CLIENT && is_for_clients(m->query.verb)))
        return SUCCESS;
    return FAIL(STATUS_DENIED,
                "\"%.*s\" is for the keys of admins, and this is one of a %s",
                m->query.verb.size > LIMIT_NAME ? LIMIT_NAME
                                                : (int)m->query.verb.size,
                m->query.verb.data, curve_role_name(role));
}
