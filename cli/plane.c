#include "cli/plane.h"

#include <math.h>

#include "cli/canvas.h"
#include "common/macros.h"

#define GAP    CANVAS_GAP
#define LINE   CANVAS_LINE
#define SIDE   460.0 /* of the square that the points lie in */
#define INSIDE 12.0  /* from its border to the outermost point */
#define MARK   3.4   /* half the width of a mark of the legend */

static const double turn = 6.283185307179586;

/* Told apart without colour vision. Source: Okabe, Ito, "Color universal
 * design", 2008; black and yellow are left out. */
static const double colours[][3] = {
    { 0.00, 0.45, 0.70 }, { 0.84, 0.37, 0.00 }, { 0.00, 0.62, 0.45 },
    { 0.80, 0.47, 0.65 }, { 0.34, 0.71, 0.91 }, { 0.90, 0.62, 0.00 },
    { 0.40, 0.40, 0.40 },
};

struct drawing {
    const struct plane *plane;
    cairo_t *cr;
    double height;
    double left, low;     /* of the points */
    double across, along; /* units of a point of the page; 0: all are equal */
    double mark;
};

/* ---- marks ----------------------------------------------------------------- */

static void trace_circle(cairo_t *cr, double x, double y, double r)
{
    cairo_new_sub_path(cr);
    cairo_arc(cr, x, y, r, 0.0, turn);
}

static void trace_square(cairo_t *cr, double x, double y, double r)
{
    cairo_rectangle(cr, x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
}

static void trace_triangle(cairo_t *cr, double x, double y, double r)
{
    cairo_move_to(cr, x, y - 1.2 * r);
    cairo_line_to(cr, x + 1.1 * r, y + 0.8 * r);
    cairo_line_to(cr, x - 1.1 * r, y + 0.8 * r);
    cairo_close_path(cr);
}

static void trace_diamond(cairo_t *cr, double x, double y, double r)
{
    cairo_move_to(cr, x, y - 1.3 * r);
    cairo_line_to(cr, x + 1.3 * r, y);
    cairo_line_to(cr, x, y + 1.3 * r);
    cairo_line_to(cr, x - 1.3 * r, y);
    cairo_close_path(cr);
}

/* Another form when the colours are used up. */
static void (*const forms[])(cairo_t *cr, double x, double y, double r) = {
    trace_circle,
    trace_square,
    trace_triangle,
    trace_diamond,
};

static void draw_mark(const struct drawing *d, size_t cluster, bool filled,
                      double x, double y, double r)
{
    const double *c = colours[cluster % COUNT_OF(colours)];

    forms[cluster / COUNT_OF(colours) % COUNT_OF(forms)](d->cr, x, y, r);
    if (filled) {
        cairo_set_source_rgb(d->cr, c[0], c[1], c[2]);
        cairo_fill_preserve(d->cr);
        cairo_set_source_rgb(d->cr, 1.0, 1.0, 1.0);
        cairo_set_line_width(d->cr, 0.4);
    } else {
        cairo_set_source_rgba(d->cr, c[0], c[1], c[2], 0.45);
        cairo_set_line_width(d->cr, 0.7);
    }
    cairo_stroke(d->cr);
}

/* ---- how large it gets ----------------------------------------------------- */

static size_t note_count(const struct plane *p)
{
    size_t count = 0;

    while (p->notes[count] != NULL)
        count++;
    return count;
}

static double widest(cairo_t *cr, const char *const *texts, size_t count)
{
    double width = 0.0;

    for (size_t i = 0; i < count; i++)
        width = fmax(width, canvas_text_width(cr, texts[i]));
    return width;
}

static double range_of(const double *x, size_t count, double *ret_least)
{
    double least = (double)INFINITY, most = -(double)INFINITY;

    for (size_t i = 0; i < count; i++) {
        least = fmin(least, x[i]);
        most = fmax(most, x[i]);
    }
    *ret_least = least;
    return count == 0 ? 0.0 : most - least;
}

static void find_scale(struct drawing *d)
{
    const struct plane *p = d->plane;
    double room = SIDE - 2.0 * INSIDE;
    double width = range_of(p->x, p->count, &d->left);
    double height = range_of(p->y, p->count, &d->low);

    d->across = width > 0.0 ? room / width : 0.0;
    d->along = height > 0.0 ? room / height : 0.0;
    d->mark = p->count > 5000 ? 1.7 : (p->count > 1000 ? 2.3 : MARK);
}

static void measure(void *self, cairo_t *cr, double *ret_width,
                    double *ret_height)
{
    struct drawing *d = self;
    const struct plane *p = d->plane;
    double legend = LINE * (double)(p->cluster_count + 2);

    find_scale(d);
    *ret_width = SIDE + 5.0 * GAP + widest(cr, p->legends, p->cluster_count);
    *ret_width =
        fmax(*ret_width, 2.0 * GAP + widest(cr, p->notes, note_count(p)));
    *ret_height = CANVAS_TITLE + 3.0 * GAP + fmax(SIDE, legend) +
                  LINE * (double)note_count(p) + GAP;
    cairo_set_font_size(cr, CANVAS_TITLE);
    *ret_width = fmax(*ret_width, 2.0 * GAP + canvas_text_width(cr, p->title));
    d->height = *ret_height;
}

/* ---- drawing ------------------------------------------------------------------- */

static double top(void)
{
    return CANVAS_TITLE + 2.0 * GAP;
}

static void draw_point(const struct drawing *d, size_t i)
{
    const struct plane *p = d->plane;
    double x = d->across == 0.0 ? SIDE / 2.0
                                : INSIDE + (p->x[i] - d->left) * d->across;
    double y =
        d->along == 0.0 ? SIDE / 2.0 : INSIDE + (p->y[i] - d->low) * d->along;

    draw_mark(d, p->clusters[i], p->selected[i], GAP + x, top() + SIDE - y,
              d->mark);
}

/* Those that were selected lie above the others. */
static void draw_points(const struct drawing *d)
{
    const struct plane *p = d->plane;
    size_t step = 1 + (p->count - (p->count > 0)) / PLANE_POINTS;

    for (size_t i = 0; i < p->count; i += step)
        if (!p->selected[i])
            draw_point(d, i);
    for (size_t i = 0; i < p->count; i++)
        if (p->selected[i])
            draw_point(d, i);
}

static void draw_legend(const struct drawing *d)
{
    const struct plane *p = d->plane;
    double x = SIDE + 3.0 * GAP, y = top() + LINE / 2.0;

    for (size_t i = 0; i < p->cluster_count; i++) {
        draw_mark(d, i, true, x, y, MARK);
        cairo_set_source_rgb(d->cr, 0.0, 0.0, 0.0);
        canvas_text(d->cr, x + GAP, y + 4.0, p->legends[i]);
        y += LINE;
    }
    y += LINE / 2.0;
    cairo_set_source_rgb(d->cr, 0.0, 0.0, 0.0);
    canvas_text(d->cr, x - MARK, y + 4.0, "filled: selected");
}

static void draw(void *self, cairo_t *cr)
{
    struct drawing *d = self;
    size_t notes = note_count(d->plane);

    d->cr = cr;
    cairo_set_font_size(cr, CANVAS_TITLE);
    canvas_text(cr, GAP, GAP + CANVAS_TITLE - 2.0, d->plane->title);
    cairo_set_font_size(cr, CANVAS_LETTER);
    for (size_t i = 0; i < notes; i++)
        canvas_text(cr, GAP, d->height - GAP - LINE * (double)(notes - 1 - i),
                    d->plane->notes[i]);
    cairo_set_source_rgb(cr, 0.6, 0.6, 0.6);
    cairo_set_line_width(cr, 0.8);
    cairo_rectangle(cr, GAP, top(), SIDE, SIDE);
    cairo_stroke(cr);
    draw_points(d);
    draw_legend(d);
}

struct status plane_write(const struct plane *p, const char *path)
{
    struct drawing d = { .plane = p };
    const struct canvas_page page = { &d, measure, draw };

    return canvas_write(&page, path);
}
