/* picture_text.c -- heat maps in a terminal: numbers on colours where there
 * are colours, lines between regions in any case. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/picture.h"
#include "common/memory.h"

enum {
    LEAST_CELL = 5,
    GAP = 3,
    ABREAST = 2,
    USUAL_WIDTH = 110,
    CELL = 2 * PICTURE_NUMBER, /* bytes of a number and its mark */
};

struct page {
    const struct picture *p;
    const struct terminal *t;
    size_t label, cell;        /* widths */
    const char *down, *across; /* of borders */
};

static size_t widest(const char *const *texts, size_t count)
{
    size_t width = 0;

    for (size_t i = 0; i < count; i++) {
        size_t own = terminal_text_width(texts[i]);

        width = own > width ? own : width;
    }
    return width;
}

static void pad(const struct page *g, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fputc(' ', g->t->stream);
}

static void put_left(const struct page *g, const char *text, size_t width)
{
    size_t bytes = terminal_text_cut(text, width);
    AUTO(free_pointer) char *cut = xstrndup(text, bytes);

    fputs(cut, g->t->stream);
    pad(g, width - terminal_text_width(cut));
}

static void put_right(const struct page *g, const char *text, size_t width)
{
    size_t own = terminal_text_width(text);

    pad(g, own < width ? width - own : 0);
    fputs(text, g->t->stream);
}

static void cell_text(const struct picture_panel *panel, size_t cell,
                      char text[CELL])
{
    char number[PICTURE_NUMBER] = "-";
    const char *mark = panel->marks == NULL ? "" : panel->marks[cell];

    if (!isnan(panel->values[cell]))
        picture_number(panel, panel->values[cell], number);
    (void)snprintf(text, CELL, "%s%s%s", number, *mark == '\0' ? "" : " ",
                   mark);
}

static size_t cell_width(const struct picture *p)
{
    size_t width = widest(p->column_labels, p->columns);

    width = width > LEAST_CELL ? width : LEAST_CELL;
    for (size_t i = 0; i < p->panel_count; i++) {
        for (size_t j = 0; j < p->rows * p->columns; j++) {
            char text[CELL];

            cell_text(&p->panels[i], j, text);
            width = strlen(text) > width ? strlen(text) : width;
        }
    }
    return width + 1;
}

static size_t panel_width(const struct page *g)
{
    return g->label + 1 + g->p->columns * (g->cell + 1);
}

static void put_title(const struct page *g, const struct picture_panel *panel)
{
    fputs(terminal_bold(g->t), g->t->stream);
    put_left(g, panel->title == NULL ? "" : panel->title, panel_width(g));
    fputs(terminal_plain(g->t), g->t->stream);
}

static void put_head(const struct page *g)
{
    put_left(g, g->p->rows_are, g->label + 1);
    for (size_t i = 0; i < g->p->columns; i++) {
        put_right(g, g->p->column_labels[i], g->cell);
        pad(g, 1);
    }
}

/* 256 colours: the cube of 6 steps each. */
static int cube_of(struct picture_colour c)
{
    return 16 + 36 * (int)lround(5.0 * c.red) + 6 * (int)lround(5.0 * c.green) +
           (int)lround(5.0 * c.blue);
}

static void put_cell(const struct page *g, const struct picture_panel *panel,
                     size_t cell)
{
    struct picture_colour c = { 0.0, 0.0, 0.0 };
    bool coloured = g->t->colour && !isnan(panel->values[cell]);
    char text[CELL];

    cell_text(panel, cell, text);
    if (coloured) {
        c = picture_colour(panel, panel->values[cell]);
        fprintf(g->t->stream, "\033[48;5;%d;38;5;%dm", cube_of(c),
                picture_is_bright(c) ? 16 : 231);
    }
    put_right(g, text, g->cell);
    fputs(coloured ? "\033[0m" : "", g->t->stream);
}

static void put_row(const struct page *g, const struct picture_panel *panel,
                    size_t row)
{
    const struct picture *p = g->p;

    put_right(g, p->row_labels[row], g->label);
    pad(g, 1);
    for (size_t j = 0; j < p->columns; j++) {
        size_t cell = row * p->columns + j;
        bool border =
            j + 1 < p->columns && picture_has_border(p, cell, cell + 1);

        put_cell(g, panel, cell);
        fputs(border ? g->down : " ", g->t->stream);
    }
}

static bool has_line_below(const struct picture *p, size_t row)
{
    bool found = false;

    for (size_t j = 0; row + 1 < p->rows && j < p->columns; j++)
        found = found || picture_has_border(p, row * p->columns + j,
                                            (row + 1) * p->columns + j);
    return found;
}

static void put_line(const struct page *g, size_t row)
{
    const struct picture *p = g->p;

    pad(g, g->label + 1);
    for (size_t j = 0; j < p->columns; j++) {
        size_t cell = row * p->columns + j;
        bool border = picture_has_border(p, cell, cell + p->columns);

        for (size_t i = 0; i < g->cell; i++)
            fputs(border ? g->across : " ", g->t->stream);
        pad(g, 1);
    }
}

/* Panels beside each other, line by line. */
static void print_abreast(const struct page *g, size_t first, size_t count)
{
    const struct picture *p = g->p;
    size_t rows = 2 + 2 * p->rows;

    for (size_t line = 0; line < rows; line++) {
        size_t row = line < 2 ? 0 : (line - 2) / 2;
        bool is_gap = line >= 2 && line % 2 == 1;

        if (is_gap && !has_line_below(p, row))
            continue;
        for (size_t i = 0; i < count; i++) {
            pad(g, i > 0 ? GAP : 0);
            if (line == 0)
                put_title(g, &p->panels[first + i]);
            else if (line == 1)
                put_head(g);
            else if (is_gap)
                put_line(g, row);
            else
                put_row(g, &p->panels[first + i], row);
        }
        fputc('\n', g->t->stream);
    }
    fputc('\n', g->t->stream);
}

void picture_print(const struct picture *p, const struct terminal *t)
{
    struct page g = {
        .p = p,
        .t = t,
        .label = widest(p->row_labels, p->rows),
        .cell = cell_width(p),
        .down = t->utf8 ? "\342\224\202" : "|",
        .across = t->utf8 ? "\342\224\200" : "-",
    };
    size_t width = t->width == SIZE_MAX ? USUAL_WIDTH : t->width;
    size_t abreast;

    if (terminal_text_width(p->rows_are) > g.label)
        g.label = terminal_text_width(p->rows_are);
    abreast = ABREAST * panel_width(&g) + GAP <= width ? ABREAST : 1;
    fprintf(t->stream, "%s%s%s\n\n", terminal_bold(t), p->title,
            terminal_plain(t));
    for (size_t i = 0; i < p->panel_count; i += abreast)
        print_abreast(
            &g, i, p->panel_count - i < abreast ? p->panel_count - i : abreast);
    for (size_t i = 0; p->notes != NULL && p->notes[i] != NULL; i++)
        fprintf(t->stream, "%s\n", p->notes[i]);
}
