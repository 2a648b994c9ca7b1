/* template_parts.h -- a template as template.c makes it; for that file and for
 * expansion_script.c, which cuts it into pieces. */
#ifndef SINTER_SWEEP_TEMPLATE_PARTS_H
#define SINTER_SWEEP_TEMPLATE_PARTS_H

#include "sweep/template.h"

enum hole {
    HOLE_NONE, /* `literal` is all of it */
    HOLE_PARAM,
    HOLE_STAGE,
    HOLE_TEXT,   /* children joined */
    HOLE_OBJECT, /* children are members */
    HOLE_LIST,
};

struct template
{
    enum hole hole;
    char *name;    /* of a member: canonical text and a colon; else NULL */
    char *literal; /* HOLE_NONE: canonical; inside HOLE_TEXT: the bare text */
    int number;    /* of the parameter or stage */
    enum template_whose whose; /* HOLE_STAGE */
    bool blank;                /* nothing stands here in the blanked text */
    struct template **children;
    size_t count;
    struct template_ref *stages; /* of the root only */
    size_t stage_count;
};

#endif
