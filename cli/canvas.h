/* canvas.h -- a page that is drawn to a file, .svg, .pdf or .png by its name;
 * with canvas.c the door to cairo. */
#ifndef SINTER_CLI_CANVAS_H
#define SINTER_CLI_CANVAS_H

#include "common/status.h"

#include <cairo.h>

/* Points; one is a pixel on most screens. */
#define CANVAS_LETTER 11.0
#define CANVAS_LINE   16.0 /* from one line of text to the next */
#define CANVAS_TITLE  15.0
#define CANVAS_GAP    10.0

struct canvas_page {
    void *self;
    /* How large it gets: `cr` draws nothing, but measures letters. */
    void (*measure)(void *self, cairo_t *cr, double *ret_width,
                    double *ret_height);
    void (*draw)(void *self, cairo_t *cr); /* on white */
};

/* Whole or not at all. */
MUST_CHECK struct status canvas_write(const struct canvas_page *page,
                                      const char *path);

double canvas_text_width(cairo_t *cr, const char *text);
void canvas_text(cairo_t *cr, double x, double y, const char *text);

#endif
