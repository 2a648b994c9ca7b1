#include "cli/picture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cairo-svg.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/macros.h"

/* Points; one is a pixel on most screens. */
#define CELL_WIDTH  58.0
#define CELL_HEIGHT 20.0
#define GAP         10.0
#define LETTER      11.0
#define TITLE       15.0
#define BAR_WIDTH   232.0
#define BAR_HEIGHT  12.0

enum { BAR_STEPS = 58, PICTURE_BYTES = 1 << 28, NUMBER = 32 };

struct colour {
    double red, green, blue;
};

/* viridis at 0, 1/8 ... 1. */
static const struct colour scale[] = {
    { 0.267, 0.005, 0.329 }, { 0.278, 0.173, 0.478 }, { 0.231, 0.318, 0.545 },
    { 0.173, 0.443, 0.557 }, { 0.129, 0.565, 0.553 }, { 0.153, 0.678, 0.506 },
    { 0.361, 0.784, 0.388 }, { 0.667, 0.863, 0.196 }, { 0.993, 0.906, 0.144 },
};

struct drawing {
    const struct picture_map *map;
    cairo_t *cr;
    double left, top;     /* corner of the first cell */
    double width, height; /* of the whole picture */
    double most;          /* largest value */
};

static struct colour colour_of(double share)
{
    enum { LAST = COUNT_OF(scale) - 2 }; /* beginning of the last step */
    double at = share * (LAST + 1);
    size_t i = at >= LAST ? LAST : (size_t)at;
    double part = at - (double)i;
    const struct colour *a = &scale[i], *b = &scale[i + 1];

    return (struct colour){ a->red + part * (b->red - a->red),
                            a->green + part * (b->green - a->green),
                            a->blue + part * (b->blue - a->blue) };
}

/* Of a colour as the eye weighs it. */
static double brightness(const struct colour *c)
{
    return 0.2126 * c->red + 0.7152 * c->green + 0.0722 * c->blue;
}

static double text_width(cairo_t *cr, const char *text)
{
    cairo_text_extents_t extents;

    cairo_text_extents(cr, text, &extents);
    return extents.x_advance;
}

static double widest(cairo_t *cr, const char *const *texts, size_t count)
{
    double width = 0.0;

    for (size_t i = 0; i < count; i++)
        width = fmax(width, text_width(cr, texts[i]));
    return width;
}

static void set_colour(cairo_t *cr, struct colour c)
{
    cairo_set_source_rgb(cr, c.red, c.green, c.blue);
}

static void write_at(cairo_t *cr, double x, double y, const char *text)
{
    cairo_move_to(cr, x, y);
    cairo_show_text(cr, text);
}

static void number_text(double value, char text[NUMBER])
{
    (void)snprintf(text, NUMBER, value == 0.0 ? "0" : "%.3g", value);
}

static void measure(struct drawing *d)
{
    const struct picture_map *m = d->map;
    double legend = BAR_WIDTH + GAP + text_width(d->cr, m->legend);

    d->most = 0.0;
    for (size_t i = 0; i < m->rows * m->columns; i++)
        d->most = fmax(d->most, m->values[i]); /* fmax() passes by NaN */
    d->left = 2.0 * GAP + fmax(widest(d->cr, m->row_labels, m->rows),
                               text_width(d->cr, m->rows_are));
    d->top = 3.0 * GAP + TITLE + LETTER +
             widest(d->cr, m->column_labels, m->columns);
    d->width = d->left + CELL_WIDTH * (double)m->columns + GAP;
    d->width = fmax(d->width, d->left + legend + GAP);
    cairo_set_font_size(d->cr, TITLE);
    d->width = fmax(d->width, 2.0 * GAP + text_width(d->cr, m->title));
    cairo_set_font_size(d->cr, LETTER);
    d->height = d->top + CELL_HEIGHT * (double)m->rows + 2.0 * GAP +
                BAR_HEIGHT + 2.0 * LETTER + GAP;
}

/* Nothing to be seen is not zero: a stroke through the cell. */
static void draw_absent(const struct drawing *d, double x, double y)
{
    cairo_set_source_rgb(d->cr, 0.75, 0.75, 0.75);
    cairo_set_line_width(d->cr, 0.8);
    cairo_move_to(d->cr, x + 4.0, y + CELL_HEIGHT - 4.0);
    cairo_line_to(d->cr, x + CELL_WIDTH - 5.0, y + 3.0);
    cairo_stroke(d->cr);
}

static void draw_cell(const struct drawing *d, size_t row, size_t column)
{
    double value = d->map->values[row * d->map->columns + column];
    double x = d->left + CELL_WIDTH * (double)column;
    double y = d->top + CELL_HEIGHT * (double)row;
    struct colour c;
    char text[NUMBER];

    if (isnan(value)) {
        draw_absent(d, x, y);
        return;
    }
    c = colour_of(d->most > 0.0 ? value / d->most : 0.0);
    set_colour(d->cr, c);
    cairo_rectangle(d->cr, x, y, CELL_WIDTH - 1.0, CELL_HEIGHT - 1.0);
    cairo_fill(d->cr);
    number_text(value, text);
    if (brightness(&c) > 0.45)
        cairo_set_source_rgb(d->cr, 0.0, 0.0, 0.0);
    else
        cairo_set_source_rgb(d->cr, 1.0, 1.0, 1.0);
    write_at(d->cr, x + (CELL_WIDTH - text_width(d->cr, text)) / 2.0,
             y + CELL_HEIGHT - 6.0, text);
}

static void draw_labels(const struct drawing *d)
{
    const struct picture_map *m = d->map;

    cairo_set_source_rgb(d->cr, 0.0, 0.0, 0.0);
    cairo_set_font_size(d->cr, TITLE);
    write_at(d->cr, GAP, GAP + TITLE, m->title);
    cairo_set_font_size(d->cr, LETTER);
    write_at(d->cr, d->left - GAP - text_width(d->cr, m->rows_are),
             d->top - 4.0, m->rows_are);
    write_at(d->cr, d->left, 2.0 * GAP + TITLE + LETTER, m->columns_are);
    for (size_t i = 0; i < m->rows; i++)
        write_at(d->cr, d->left - GAP - text_width(d->cr, m->row_labels[i]),
                 d->top + CELL_HEIGHT * (double)i + CELL_HEIGHT - 6.0,
                 m->row_labels[i]);
    for (size_t i = 0; i < m->columns; i++) {
        cairo_save(d->cr);
        cairo_translate(d->cr, d->left + CELL_WIDTH * ((double)i + 0.5) + 4.0,
                        d->top - 4.0);
        cairo_rotate(d->cr, -1.5707963267948966);
        write_at(d->cr, 0.0, 0.0, m->column_labels[i]);
        cairo_restore(d->cr);
    }
}

static void draw_legend(const struct drawing *d)
{
    double y = d->top + CELL_HEIGHT * (double)d->map->rows + 2.0 * GAP;
    char text[NUMBER];

    for (int i = 0; i < BAR_STEPS; i++) {
        set_colour(d->cr, colour_of(((double)i + 0.5) / BAR_STEPS));
        cairo_rectangle(d->cr, d->left + BAR_WIDTH / BAR_STEPS * i, y,
                        BAR_WIDTH / BAR_STEPS + 0.3, BAR_HEIGHT);
        cairo_fill(d->cr);
    }
    cairo_set_source_rgb(d->cr, 0.0, 0.0, 0.0);
    for (int i = 0; i <= 2; i++) {
        number_text(d->most * 0.5 * i, text);
        write_at(d->cr,
                 d->left + (BAR_WIDTH - text_width(d->cr, text)) * 0.5 * i,
                 y + BAR_HEIGHT + LETTER + 2.0, text);
    }
    write_at(d->cr, d->left + BAR_WIDTH + GAP, y + BAR_HEIGHT - 2.0,
             d->map->legend);
}

static void draw(const struct drawing *d)
{
    cairo_set_source_rgb(d->cr, 1.0, 1.0, 1.0);
    cairo_paint(d->cr);
    draw_labels(d);
    for (size_t i = 0; i < d->map->rows; i++) {
        for (size_t j = 0; j < d->map->columns; j++)
            draw_cell(d, i, j);
    }
    draw_legend(d);
}

static cairo_status_t collect(void *self, const unsigned char *data,
                              unsigned size)
{
    struct status st = buf_add(self, data, size);

    return status_failed(&st) ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}

static cairo_t *context_of(cairo_surface_t *surface)
{
    cairo_t *cr = cairo_create(surface);

    cairo_surface_destroy(surface); /* the context holds it */
    cairo_select_font_face(cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                           CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, LETTER);
    return cr;
}

/* How large it gets is known when the labels were measured. */
static void size_up(struct drawing *d)
{
    d->cr = context_of(
        cairo_recording_surface_create(CAIRO_CONTENT_COLOR_ALPHA, NULL));
    measure(d);
    cairo_destroy(d->cr);
}

MUST_CHECK static struct status render(struct drawing *d, struct buf *out)
{
    cairo_surface_t *surface = NULL;
    cairo_status_t status;

    size_up(d);
    surface =
        cairo_svg_surface_create_for_stream(collect, out, d->width, d->height);
    d->cr = context_of(cairo_surface_reference(surface));
    draw(d);
    status = cairo_status(d->cr);
    cairo_destroy(d->cr);
    cairo_surface_finish(surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    if (status != CAIRO_STATUS_SUCCESS)
        return FAIL(STATUS_FAILED, "cannot draw: %s",
                    cairo_status_to_string(status));
    return SUCCESS;
}

struct status picture_write_svg(const struct picture_map *map, const char *path)
{
    struct drawing d = { .map = map };
    struct buf out;
    struct status st;

    if (map->rows > PICTURE_ROWS || map->columns > PICTURE_COLUMNS)
        return FAIL(STATUS_TOO_BIG,
                    "%s: a picture of %zu rows and %zu columns; at most %d and "
                    "%d are drawn",
                    path, map->rows, map->columns, (int)PICTURE_ROWS,
                    (int)PICTURE_COLUMNS);
    buf_init(&out, PICTURE_BYTES);
    st = render(&d, &out);
    if (!status_failed(&st))
        st = file_write(path, out.data, out.size);
    buf_release(&out);
    return status_failed(&st) ? status_wrap(st, "%s", path) : SUCCESS;
}
