#include "cli/picture.h"

#include <math.h>

#include "cli/canvas.h"
#include "common/macros.h"

/* Points. */
#define CELL_WIDTH  58.0
#define CELL_HEIGHT 20.0
#define MARK_HEIGHT 14.0 /* more, for a line of marks */
#define GAP         CANVAS_GAP
#define LETTER      CANVAS_LETTER
#define SMALL       9.5
#define TITLE       CANVAS_TITLE
#define LINE        CANVAS_LINE
#define BAR_WIDTH   232.0
#define BAR_HEIGHT  12.0

enum { BAR_STEPS = 58, ABREAST = 2 };

struct drawing {
    const struct picture *picture;
    cairo_t *cr;
    double cell_height;
    double left, above, below;        /* of the cells of a panel */
    double panel_width, panel_height; /* with its labels and its scale */
    double top;                       /* of the first panel */
    double width, height;             /* of the whole picture */
};

/* The corner of the first cell of the panel that is drawn. */
struct corner {
    double x, y;
};

static double widest(cairo_t *cr, const char *const *texts, size_t count)
{
    double width = 0.0;

    for (size_t i = 0; i < count; i++)
        width = fmax(width, canvas_text_width(cr, texts[i]));
    return width;
}

static void set_colour(cairo_t *cr, struct picture_colour c)
{
    cairo_set_source_rgb(cr, c.red, c.green, c.blue);
}

/* ---- how large it gets ------------------------------------------------- */

static size_t note_count(const struct picture *p)
{
    size_t count = 0;

    while (p->notes != NULL && p->notes[count] != NULL)
        count++;
    return count;
}

static bool has_marks(const struct picture *p)
{
    bool found = false;

    for (size_t i = 0; i < p->panel_count; i++)
        found = found || p->panels[i].marks != NULL;
    return found;
}

static void measure_panel(struct drawing *d)
{
    const struct picture *p = d->picture;
    double labels = p->columns_below
                        ? LINE
                        : widest(d->cr, p->column_labels, p->columns) + GAP;
    double legend = 0.0;

    d->cell_height = CELL_HEIGHT + (has_marks(p) ? MARK_HEIGHT : 0.0);
    for (size_t i = 0; i < p->panel_count; i++)
        legend = fmax(legend, canvas_text_width(d->cr, p->panels[i].legend));
    d->left = 2.0 * GAP + fmax(widest(d->cr, p->row_labels, p->rows),
                               canvas_text_width(d->cr, p->rows_are));
    d->above = LINE + (p->panels[0].title != NULL ? LINE + GAP : 0.0) +
               (p->columns_below ? 0.0 : labels);
    d->below = GAP + (p->columns_below ? labels + LINE : 0.0) + BAR_HEIGHT +
               2.0 * LETTER;
    d->panel_width = d->left + CELL_WIDTH * (double)p->columns + GAP;
    d->panel_width =
        fmax(d->panel_width, d->left + BAR_WIDTH + 2.0 * GAP + legend);
    d->panel_height =
        d->above + d->cell_height * (double)p->rows + d->below + GAP;
}

static void measure(void *self, cairo_t *cr, double *ret_width,
                    double *ret_height)
{
    struct drawing *d = self;
    const struct picture *p = d->picture;
    size_t abreast = p->panel_count < ABREAST ? p->panel_count : ABREAST;
    size_t high = (p->panel_count + ABREAST - 1) / ABREAST;

    d->cr = cr;
    measure_panel(d);
    d->top = 2.0 * GAP + TITLE;
    d->width = d->panel_width * (double)abreast + GAP;
    d->height = d->top + d->panel_height * (double)high +
                LINE * (double)note_count(p) + GAP;
    d->width =
        fmax(d->width, 2.0 * GAP + widest(d->cr, p->notes, note_count(p)));
    cairo_set_font_size(d->cr, TITLE);
    d->width = fmax(d->width, 2.0 * GAP + canvas_text_width(d->cr, p->title));
    cairo_set_font_size(d->cr, LETTER);
    *ret_width = d->width;
    *ret_height = d->height;
}

/* ---- one panel --------------------------------------------------------- */

/* Nothing to be seen is not zero: a stroke through the cell. */
static void draw_absent(const struct drawing *d, double x, double y)
{
    cairo_set_source_rgb(d->cr, 0.75, 0.75, 0.75);
    cairo_set_line_width(d->cr, 0.8);
    cairo_move_to(d->cr, x + 4.0, y + d->cell_height - 4.0);
    cairo_line_to(d->cr, x + CELL_WIDTH - 5.0, y + 3.0);
    cairo_stroke(d->cr);
}

static void write_in_cell(const struct drawing *d, double x, double y,
                          const char *text)
{
    canvas_text(d->cr, x + (CELL_WIDTH - canvas_text_width(d->cr, text)) / 2.0,
                y, text);
}

static void draw_mark(const struct drawing *d, double x, double y,
                      const char *mark)
{
    cairo_set_font_size(d->cr, SMALL);
    write_in_cell(d, x, y + d->cell_height - 5.0, mark);
    cairo_set_font_size(d->cr, LETTER);
}

static void draw_cell(const struct drawing *d,
                      const struct picture_panel *panel, size_t cell,
                      struct corner at)
{
    double value = panel->values[cell];
    bool is_low = has_marks(d->picture);
    struct picture_colour c;
    char text[PICTURE_NUMBER];

    if (isnan(value)) {
        draw_absent(d, at.x, at.y);
    } else {
        c = picture_colour(panel, value);
        set_colour(d->cr, c);
        cairo_rectangle(d->cr, at.x, at.y, CELL_WIDTH - 1.0,
                        d->cell_height - 1.0);
        cairo_fill(d->cr);
        if (picture_is_bright(c))
            cairo_set_source_rgb(d->cr, 0.0, 0.0, 0.0);
        else
            cairo_set_source_rgb(d->cr, 1.0, 1.0, 1.0);
        picture_number(panel, value, text);
        write_in_cell(d, at.x,
                      at.y + (is_low && panel->marks == NULL
                                  ? d->cell_height / 2.0 + LETTER / 2.0 - 2.0
                                  : CELL_HEIGHT - 6.0),
                      text);
    }
    if (panel->marks != NULL)
        draw_mark(d, at.x, at.y, panel->marks[cell]);
}

static void draw_cells(const struct drawing *d,
                       const struct picture_panel *panel, struct corner first)
{
    const struct picture *p = d->picture;

    for (size_t i = 0; i < p->rows; i++) {
        for (size_t j = 0; j < p->columns; j++)
            draw_cell(d, panel, i * p->columns + j,
                      (struct corner){
                          first.x + CELL_WIDTH * (double)j,
                          first.y + d->cell_height * (double)i,
                      });
    }
}

/* The lines between regions, as a path. */
static void trace_borders(const struct drawing *d, struct corner first)
{
    const struct picture *p = d->picture;

    for (size_t i = 0; i < p->rows; i++) {
        for (size_t j = 0; j < p->columns; j++) {
            size_t cell = i * p->columns + j;
            double x = first.x + CELL_WIDTH * (double)j - 0.5;
            double y = first.y + d->cell_height * (double)i - 0.5;

            if (j > 0 && picture_has_border(p, cell - 1, cell)) {
                cairo_move_to(d->cr, x, y);
                cairo_line_to(d->cr, x, y + d->cell_height);
            }
            if (i > 0 && picture_has_border(p, cell - p->columns, cell)) {
                cairo_move_to(d->cr, x, y);
                cairo_line_to(d->cr, x + CELL_WIDTH, y);
            }
        }
    }
}

/* Black in white: seen on every colour. */
static void draw_borders(const struct drawing *d, struct corner first)
{
    cairo_set_line_cap(d->cr, CAIRO_LINE_CAP_SQUARE);
    trace_borders(d, first);
    cairo_set_source_rgb(d->cr, 1.0, 1.0, 1.0);
    cairo_set_line_width(d->cr, 5.0);
    cairo_stroke_preserve(d->cr);
    cairo_set_source_rgb(d->cr, 0.0, 0.0, 0.0);
    cairo_set_line_width(d->cr, 2.2);
    cairo_stroke(d->cr);
}

static void draw_columns_below(const struct drawing *d, struct corner first)
{
    const struct picture *p = d->picture;
    double y = first.y + d->cell_height * (double)p->rows + LETTER + 2.0;
    double width = CELL_WIDTH * (double)p->columns;

    for (size_t i = 0; i < p->columns; i++)
        write_in_cell(d, first.x + CELL_WIDTH * (double)i, y,
                      p->column_labels[i]);
    canvas_text(d->cr,
                first.x +
                    (width - canvas_text_width(d->cr, p->columns_are)) / 2.0,
                y + LINE, p->columns_are);
}

static void draw_columns_above(const struct drawing *d, struct corner first)
{
    const struct picture *p = d->picture;

    canvas_text(d->cr, first.x,
                first.y - widest(d->cr, p->column_labels, p->columns) - GAP,
                p->columns_are);
    for (size_t i = 0; i < p->columns; i++) {
        cairo_save(d->cr);
        cairo_translate(d->cr, first.x + CELL_WIDTH * ((double)i + 0.5) + 4.0,
                        first.y - 4.0);
        cairo_rotate(d->cr, -1.5707963267948966);
        canvas_text(d->cr, 0.0, 0.0, p->column_labels[i]);
        cairo_restore(d->cr);
    }
}

static void draw_labels(const struct drawing *d,
                        const struct picture_panel *panel, struct corner first)
{
    const struct picture *p = d->picture;
    double end = first.x - GAP;

    cairo_set_source_rgb(d->cr, 0.0, 0.0, 0.0);
    if (panel->title != NULL) {
        cairo_set_font_size(d->cr, LETTER + 2.0);
        canvas_text(d->cr, first.x, first.y - d->above + LINE, panel->title);
        cairo_set_font_size(d->cr, LETTER);
    }
    canvas_text(d->cr, end - canvas_text_width(d->cr, p->rows_are),
                first.y - 6.0, p->rows_are);
    for (size_t i = 0; i < p->rows; i++)
        canvas_text(d->cr, end - canvas_text_width(d->cr, p->row_labels[i]),
                    first.y + d->cell_height * ((double)i + 0.5) + 4.0,
                    p->row_labels[i]);
    if (p->columns_below)
        draw_columns_below(d, first);
    else
        draw_columns_above(d, first);
}

static void draw_scale(const struct drawing *d,
                       const struct picture_panel *panel, struct corner first)
{
    double range = panel->light - panel->dark;
    double y = first.y + d->cell_height * (double)d->picture->rows + d->below -
               BAR_HEIGHT - 2.0 * LETTER;
    char text[PICTURE_NUMBER];

    for (int i = 0; i < BAR_STEPS; i++) {
        double share = ((double)i + 0.5) / BAR_STEPS;

        set_colour(d->cr, picture_colour(panel, panel->dark + share * range));
        cairo_rectangle(d->cr, first.x + BAR_WIDTH / BAR_STEPS * i, y,
                        BAR_WIDTH / BAR_STEPS + 0.3, BAR_HEIGHT);
        cairo_fill(d->cr);
    }
    cairo_set_source_rgb(d->cr, 0.0, 0.0, 0.0);
    for (int i = 0; i <= 2; i++) {
        picture_number(panel, panel->dark + range * 0.5 * i, text);
        canvas_text(d->cr,
                    first.x +
                        (BAR_WIDTH - canvas_text_width(d->cr, text)) * 0.5 * i,
                    y + BAR_HEIGHT + LETTER + 2.0, text);
    }
    canvas_text(d->cr, first.x + BAR_WIDTH + GAP, y + BAR_HEIGHT - 2.0,
                panel->legend);
}

/* ---- all of it --------------------------------------------------------- */

static void draw_notes(const struct drawing *d)
{
    size_t count = note_count(d->picture);

    cairo_set_source_rgb(d->cr, 0.0, 0.0, 0.0);
    for (size_t i = 0; i < count; i++)
        canvas_text(d->cr, GAP,
                    d->height - GAP - LINE * (double)(count - 1 - i),
                    d->picture->notes[i]);
}

static void draw(void *self, cairo_t *cr)
{
    struct drawing *d = self;
    const struct picture *p = d->picture;

    d->cr = cr;
    cairo_set_font_size(d->cr, TITLE);
    canvas_text(d->cr, GAP, GAP + TITLE, p->title);
    cairo_set_font_size(d->cr, LETTER);
    for (size_t i = 0; i < p->panel_count; i++) {
        size_t row = i / ABREAST;
        const struct corner first = {
            d->left + d->panel_width * (double)(i % ABREAST),
            d->top + d->above + d->panel_height * (double)row,
        };

        draw_labels(d, &p->panels[i], first);
        draw_cells(d, &p->panels[i], first);
        if (p->regions != NULL)
            draw_borders(d, first);
        draw_scale(d, &p->panels[i], first);
    }
    draw_notes(d);
}

struct status picture_write(const struct picture *p, const char *path)
{
    struct drawing d = { .picture = p };
    const struct canvas_page page = { &d, measure, draw };

    if (p->rows > PICTURE_ROWS || p->columns > PICTURE_COLUMNS)
        return FAIL(STATUS_TOO_BIG,
                    "%s: a picture of %zu rows and %zu columns; at most %d and "
                    "%d are drawn",
                    path, p->rows, p->columns, (int)PICTURE_ROWS,
                    (int)PICTURE_COLUMNS);
    return canvas_write(&page, path);
}
