/* phase_draw.h -- a phase diagram as a picture of up to four maps. */
#ifndef SINTER_CLI_PHASE_DRAW_H
#define SINTER_CLI_PHASE_DRAW_H

#include "cli/phase.h"
#include "cli/picture.h"

struct phase_drawn; /* opaque: a picture and what it borrows */

/* `p` must outlive it. */
struct phase_drawn *phase_draw(const struct phase *p, const char *title);
void phase_drawn_free(struct phase_drawn *d); /* NULL is fine */
const struct picture *phase_picture(const struct phase_drawn *d);

#endif
