/* picture.h -- heat maps: one description, drawn to files (picture.c) and in a
 * terminal (picture_text.c).
 *
 * The colours (viridis) go evenly from dark to light, so that they are told
 * apart without colour vision and on paper; the numbers stand in the cells.
 * All cells are equally large, whatever the distance of their labels. */
#ifndef SINTER_CLI_PICTURE_H
#define SINTER_CLI_PICTURE_H

#include "cli/terminal.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* One map; all maps of a picture have the same rows and columns. */
struct picture_panel {
    const char *title;    /* NULL: none */
    const char *legend;   /* what the colours mean */
    const double *values; /* row by row; NaN: there is nothing */
    double dark, light;   /* values at the ends of the scale */
    int decimals;         /* of the numbers; 0: three digits */
    /* A few letters for each cell below its number; NULL: none. */
    const char *const *marks;
};

struct picture {
    const char *title;
    const char *const *notes; /* lines below, ends with NULL; NULL: none */
    const char *rows_are, *columns_are;
    size_t rows, columns;
    const char *const *row_labels;
    const char *const *column_labels;
    bool columns_below; /* their labels; else above, upright */
    const struct picture_panel *panels;
    size_t panel_count;
    /* Region of each cell: lines are drawn between different ones; NULL:
     * none. */
    const uint8_t *regions;
};

enum { PICTURE_ROWS = 2000, PICTURE_COLUMNS = 500, PICTURE_NUMBER = 32 };

/* Writes a file, .svg, .pdf or .png by its name: whole or not at all. Equal
 * pictures give equal SVG in a fresh process with the same fonts. TOO_BIG
 * beyond the rows and columns. */
MUST_CHECK struct status picture_write(const struct picture *p,
                                       const char *path);
void picture_print(const struct picture *p, const struct terminal *t);

/* What both know. */
struct picture_colour {
    double red, green, blue; /* 0 ... 1 */
};
struct picture_colour picture_colour(const struct picture_panel *panel,
                                     double value);
bool picture_is_bright(struct picture_colour c); /* black is read on it */
void picture_number(const struct picture_panel *panel, double value,
                    char text[PICTURE_NUMBER]);
/* Do these two cells belong to different regions? */
bool picture_has_border(const struct picture *p, size_t a, size_t b);

#endif
