#include "cli/phase_draw.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/number.h"
#include "common/memory.h"

enum { LABEL = 16, TITLE = 128, NOTES = 6, NOTE = 200, PANELS = 4 };

struct phase_drawn {
    const struct phase *p;
    struct picture picture;
    struct picture_panel panels[PANELS];
    double *values[PANELS];
    char titles[PANELS][TITLE];
    char **rows, **columns;
    char (*labels)[LABEL];
    const char **marks;
    uint8_t *regions;
    char rows_are[TITLE];
    char notes[NOTES][NOTE];
    const char *lines[NOTES + 1];
    size_t note_count;
};

/* The panels: which number, of which map, and what its title says. */
static const struct {
    enum phase_map map;
    bool above_best;
    const char *what, *hint;
} kinds[PANELS] = {
    { PHASE_ERROR, false, "error", "" },
    { PHASE_ERROR, true, "error minus the best of its column", "" },
    { PHASE_LMC, false, "LMC", ": 0 is connected" },
    { PHASE_CKA, false, "CKA", ": 1 is alike" },
};

static char **labels_of(const json_t *values)
{
    size_t count = json_array_size(values);
    char **labels = xcalloc(count + 1, sizeof(char *));

    for (size_t i = 0; i < count; i++)
        labels[i] = number_value_text(json_array_get(values, i));
    return labels;
}

/* ---- one panel --------------------------------------------------------- */

static double value_of(const struct phase_cell *cell, size_t panel)
{
    const struct estimate *e = &cell->maps[kinds[panel].map];

    if (kinds[panel].above_best)
        return cell->above_best;
    return e->count == 0 ? (double)NAN : e->mean;
}

/* Light is good in all of them. */
static void scale_panel(const struct phase *p, size_t number,
                        struct picture_panel *panel)
{
    double least = (double)NAN, most = (double)NAN;

    for (size_t i = 0; i < p->rows * p->columns; i++) {
        if (p->row[i / p->columns].too_hot)
            continue; /* it would leave no colours for the others */
        least = fmin(least, panel->values[i]);
        most = fmax(most, panel->values[i]);
    }
    panel->light = isnan(least) ? 0.0 : least;
    panel->dark = isnan(most) ? 1.0 : most;
    if (kinds[number].above_best)
        panel->light = 0.0;
    if (kinds[number].map == PHASE_LMC) {
        /* What is connected must not look like a border. */
        panel->light = 0.0;
        panel->dark = fmin(least, -2.0 * p->limits.lmc);
    }
    if (kinds[number].map == PHASE_CKA) {
        panel->light = 1.0;
        panel->dark = fmin(least, p->limits.cka);
    }
}

static void fill_panel(struct phase_drawn *d, size_t number)
{
    const struct phase *p = d->p;
    const char *metric = p->maps[kinds[number].map];
    struct picture_panel *panel = &d->panels[number];

    d->values[number] = xcalloc(p->rows * p->columns + 1, sizeof(double));
    for (size_t i = 0; i < p->rows * p->columns; i++)
        d->values[number][i] = value_of(&p->cells[i], number);
    if (kinds[number].above_best)
        (void)snprintf(d->titles[number], TITLE, "%s", kinds[number].what);
    else
        (void)snprintf(d->titles[number], TITLE, "%s (%.80s)%s",
                       kinds[number].what, metric, kinds[number].hint);
    *panel = (struct picture_panel){
        .title = d->titles[number],
        .legend = "light is better",
        .values = d->values[number],
        .decimals = 3,
        .marks = number == 0 ? d->marks : NULL,
    };
    scale_panel(p, number, panel);
}

/* ---- regimes ----------------------------------------------------------- */

static void fill_regions(struct phase_drawn *d)
{
    const struct phase *p = d->p;
    size_t cells = p->rows * p->columns;
    bool any = false;

    d->regions = xcalloc(cells + 1, 1);
    d->labels = xcalloc(cells + 1, LABEL);
    d->marks = xcalloc(cells + 1, sizeof(char *));
    for (size_t i = 0; i < cells; i++) {
        size_t row = i / p->columns;

        d->regions[i] = (uint8_t)(p->row[row].too_hot ? REGIME_NONE + 1
                                                      : p->cells[i].regime);
        phase_label(p, row, i % p->columns, d->labels[i]);
        d->marks[i] = d->labels[i];
        any = any || d->labels[i][0] != '\0';
    }
    if (!any) {
        free(d->marks);
        d->marks = NULL;
    }
}

/* The next line below the maps. */
static char *new_note(struct phase_drawn *d)
{
    char *note = d->notes[d->note_count];

    d->lines[d->note_count++] = note;
    return note;
}

struct tally {
    size_t labels, doubtful, unknown, alone, hot, failed;
};

static struct tally tally_of(const struct phase *p)
{
    struct tally t = { 0 };

    for (size_t i = 0; i < p->rows * p->columns; i++) {
        const struct phase_cell *cell = &p->cells[i];
        bool labelled = cell->regime != REGIME_NONE;

        t.labels += labelled;
        t.doubtful += labelled && cell->certainty == CERTAINTY_DOUBTFUL;
        t.unknown += labelled && cell->certainty == CERTAINTY_UNKNOWN;
        t.alone += labelled && cell->certainty != CERTAINTY_UNKNOWN &&
                   cell->maps[PHASE_LMC].count == 1;
        t.failed += cell->failed;
    }
    for (size_t i = 0; i < p->rows; i++)
        t.hot += p->row[i].too_hot;
    return t;
}

static void fill_notes(struct phase_drawn *d)
{
    const struct regime_limits *l = &d->p->limits;
    struct tally t = tally_of(d->p);

    if (t.labels > 0)
        (void)snprintf(new_note(d), NOTE,
                       "I: not connected (LMC below -%g)   II-A: connected, "
                       "outputs differ (CKA below %g)   II-B: connected and "
                       "alike",
                       l->lmc, l->cka);
    if (t.doubtful > 0)
        (void)snprintf(new_note(d), NOTE,
                       "?: one standard error away the label is another%s",
                       t.alone > 0 ? "; of one pair of replicates a cell that "
                                     "is how far it lies off its neighbours"
                                   : "");
    if (t.unknown > 0)
        (void)snprintf(new_note(d), NOTE,
                       "one pair of replicates a cell: how sure the labels are "
                       "is not known (replicates: 3 makes three pairs)");
    if (t.hot > 0)
        (void)snprintf(new_note(d), NOTE,
                       "too hot: the dense model's error is %g or more",
                       l->too_hot);
    if (t.failed > 0)
        (void)snprintf(new_note(d), NOTE, "%zu trials failed", t.failed);
}

/* ---- all of it --------------------------------------------------------- */

struct phase_drawn *phase_draw(const struct phase *p, const char *title)
{
    struct phase_drawn *d = xnew(struct phase_drawn);
    size_t panels = p->maps[PHASE_LMC] == NULL   ? 2
                    : p->maps[PHASE_CKA] == NULL ? 3
                                                 : PANELS;

    d->p = p;
    d->rows = labels_of(p->ys);
    d->columns = labels_of(p->xs);
    fill_regions(d);
    for (size_t i = 0; i < panels; i++)
        fill_panel(d, i);
    fill_notes(d);
    (void)snprintf(d->rows_are, TITLE, "%.100s, hot first", p->y);
    d->picture = (struct picture){
        .title = title,
        .notes = d->lines,
        .rows_are = d->rows_are,
        .columns_are = p->x,
        .rows = p->rows,
        .columns = p->columns,
        .row_labels = (const char *const *)d->rows,
        .column_labels = (const char *const *)d->columns,
        .columns_below = true,
        .panels = d->panels,
        .panel_count = panels,
        .regions = d->regions,
    };
    return d;
}

void phase_drawn_free(struct phase_drawn *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < PANELS; i++)
        free(d->values[i]);
    for (size_t i = 0; i < d->picture.rows; i++)
        free(d->rows[i]);
    for (size_t i = 0; i < d->picture.columns; i++)
        free(d->columns[i]);
    free(d->rows);
    free(d->columns);
    free(d->labels);
    free(d->marks);
    free(d->regions);
    free(d);
}

const struct picture *phase_picture(const struct phase_drawn *d)
{
    return &d->picture;
}
