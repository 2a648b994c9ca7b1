#include "cli/table.h"

#include <assert.h>
#include <string.h>

#include "cli/number.h"
#include "common/file.h"
#include "common/memory.h"

enum {
    GAP = 2,        /* blanks between columns */
    LEAST_TEXT = 6, /* columns of a text that is cut */
};

struct column {
    char *name;
    enum table_look look;
    int weight;
};

struct cell {
    char *text;  /* NULL: made of `raw` */
    json_t *raw; /* NULL: the text */
};

struct table {
    struct column *columns;
    size_t column_count;
    struct cell *cells; /* row by row */
    size_t cell_count, cell_room;
};

/* What print needs, worked out once. */
struct layout {
    char **texts; /* of all cells */
    size_t *widths;
    bool *shown;
};

static const char *const format_names[TABLE_FORMATS] = {
    [TABLE_PEOPLE] = "table",     [TABLE_JSON] = "json",
    [TABLE_JSON_LINES] = "jsonl", [TABLE_CSV] = "csv",
    [TABLE_TSV] = "tsv",          [TABLE_MARKDOWN] = "md",
    [TABLE_IDS] = "ids",
};

struct status table_write(const struct table *t, enum table_format format,
                          const char *path)
{
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;
    struct terminal out = { .width = SIZE_MAX, .utf8 = true };

    out.stream = open_memstream(&text, &size);
    if (out.stream == NULL)
        return FAIL(STATUS_FAILED, "%s: no memory for its text", path);
    table_print(t, format, &out, NULL);
    (void)fclose(out.stream);
    return file_write(path, text, size);
}

enum table_format table_format_find(const char *name)
{
    int format = 0;

    while (format < TABLE_FORMATS && strcmp(format_names[format], name) != 0)
        format++;
    return (enum table_format)format;
}

struct table *table_new(void)
{
    return xnew(struct table);
}

void table_free(struct table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->cell_count; i++) {
        free(t->cells[i].text);
        json_decref(t->cells[i].raw);
    }
    for (size_t i = 0; i < t->column_count; i++)
        free(t->columns[i].name);
    free(t->columns);
    free(t->cells);
    free(t);
}

void table_column(struct table *t, const char *name, enum table_look look,
                  int weight)
{
    struct column *c = NULL;

    assert(t->cell_count == 0);
    t->columns =
        xrealloc(t->columns, (t->column_count + 1) * sizeof *t->columns);
    c = &t->columns[t->column_count++];
    c->name = xstrdup(name);
    c->look = look;
    c->weight = weight;
}

static size_t row_count(const struct table *t)
{
    return t->column_count == 0 ? 0 : t->cell_count / t->column_count;
}

void table_add(struct table *t, const char *text, const json_t *raw)
{
    struct cell *cell = NULL;

    if (t->cell_count == t->cell_room) {
        t->cell_room = t->cell_room == 0 ? 64 : t->cell_room * 2;
        t->cells = xrealloc(t->cells, t->cell_room * sizeof *t->cells);
    }
    cell = &t->cells[t->cell_count++];
    cell->text = text == NULL ? NULL : xstrdup(text);
    cell->raw = raw == NULL ? NULL : json_deep_copy(raw);
}

void table_add_value(struct table *t, const json_t *raw)
{
    table_add(t, raw == NULL ? "" : NULL, raw);
}

/* One line whatever the text holds: control characters become blanks. */
static char *one_line(const char *text)
{
    char *line = xstrdup(text);

    for (char *at = line; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7F)
            *at = ' ';
    }
    return line;
}

/* A value in full, for programs. */
static char *full_text(const struct cell *cell)
{
    if (cell->raw == NULL || json_is_null(cell->raw))
        return xstrdup(cell->text == NULL ? "" : cell->text);
    if (json_is_string(cell->raw))
        return xstrdup(json_string_value(cell->raw));
    return json_canonical(cell->raw);
}

static char *shown_text(const struct cell *cell, enum table_look look,
                        int decimals)
{
    char number[NUMBER_TEXT];
    AUTO(free_pointer) char *full = NULL;

    if (cell->text != NULL)
        return one_line(cell->text);
    if (look == TABLE_MEASURED && json_is_number(cell->raw)) {
        number_fixed(json_number_value(cell->raw), decimals, number);
        return xstrdup(number);
    }
    full = full_text(cell);
    return one_line(full);
}

static int decimals_of(const struct table *t, size_t column)
{
    size_t rows = row_count(t);
    AUTO(free_pointer) double *values = xcalloc(rows + 1, sizeof *values);
    size_t count = 0;

    for (size_t i = 0; i < rows; i++) {
        const struct cell *cell = &t->cells[i * t->column_count + column];

        if (cell->raw != NULL && json_is_number(cell->raw))
            values[count++] = json_number_value(cell->raw);
    }
    return number_decimals(values, count);
}

static void fill_column(const struct table *t, size_t column, bool people,
                        struct layout *l)
{
    enum table_look look = t->columns[column].look;
    int decimals = look == TABLE_MEASURED ? decimals_of(t, column) : 0;
    size_t widest = terminal_text_width(t->columns[column].name);

    for (size_t i = column; i < t->cell_count; i += t->column_count) {
        size_t width = 0;

        l->texts[i] = people ? shown_text(&t->cells[i], look, decimals)
                             : full_text(&t->cells[i]);
        width = terminal_text_width(l->texts[i]);
        widest = width > widest ? width : widest;
    }
    l->widths[column] = widest;
    l->shown[column] = true;
}

static void layout_init(struct layout *l, const struct table *t, bool people)
{
    l->texts = xcalloc(t->cell_count + 1, sizeof *l->texts);
    l->widths = xcalloc(t->column_count + 1, sizeof *l->widths);
    l->shown = xcalloc(t->column_count + 1, sizeof *l->shown);
    for (size_t i = 0; i < t->column_count; i++)
        fill_column(t, i, people, l);
}

static void layout_release(struct layout *l, const struct table *t)
{
    for (size_t i = 0; i < t->cell_count; i++)
        free(l->texts[i]);
    free(l->texts);
    free(l->widths);
    free(l->shown);
}

static size_t total_width(const struct layout *l, const struct table *t)
{
    size_t total = 0;

    for (size_t i = 0; i < t->column_count; i++)
        total += l->shown[i] ? l->widths[i] + GAP : 0;
    return total;
}

/* The column to drop next; column_count if none may go. */
static size_t lightest(const struct layout *l, const struct table *t)
{
    size_t found = t->column_count;

    for (size_t i = 0; i < t->column_count; i++) {
        if (!l->shown[i] || t->columns[i].weight >= TABLE_ALWAYS)
            continue;
        if (found == t->column_count ||
            t->columns[i].weight <= t->columns[found].weight)
            found = i;
    }
    return found;
}

static size_t last_shown(const struct layout *l, const struct table *t)
{
    size_t last = 0;

    for (size_t i = 0; i < t->column_count; i++)
        last = l->shown[i] ? i : last;
    return last;
}

/* Texts between the first column, which names the row, and the last, which may
 * run over, get narrower: the widest first. */
static void shrink(struct layout *l, const struct table *t, size_t width)
{
    size_t last = last_shown(l, t);

    while (total_width(l, t) > width) {
        size_t widest = 0;

        for (size_t i = 1; i < last; i++) {
            if (l->shown[i] && t->columns[i].look == TABLE_TEXT &&
                (widest == 0 || l->widths[i] > l->widths[widest]))
                widest = i;
        }
        if (widest == 0 || l->widths[widest] <= LEAST_TEXT)
            return;
        l->widths[widest]--;
    }
}

static void fit(struct layout *l, const struct table *t, size_t width,
                struct buf *dropped)
{
    size_t column = lightest(l, t);

    for (; total_width(l, t) > width && column < t->column_count;
         column = lightest(l, t))
        l->shown[column] = false;
    shrink(l, t, width);
    for (size_t i = 0; i < t->column_count && dropped != NULL; i++) {
        struct status st = SUCCESS;

        if (!l->shown[i])
            st = buf_print(dropped, "%s%s", dropped->size == 0 ? "" : ", ",
                           t->columns[i].name);
        if (status_failed(&st))
            return; /* enough named */
    }
}

static void blanks(size_t count, FILE *out)
{
    while (count-- > 0)
        fputc(' ', out);
}

/* A line for people; nothing trails behind its last word. */
static void print_padded(const struct layout *l, const struct table *t,
                         char *const *texts, const struct terminal *terminal)
{
    size_t last = last_shown(l, t);

    fputc(' ', terminal->stream);
    for (size_t i = 0; i <= last; i++) {
        size_t room = i < last ? l->widths[i] : terminal->width;
        size_t size = terminal_text_cut(texts[i], room);
        size_t text = terminal_text_width(texts[i]);
        size_t width = text < room ? text : room;
        bool right = t->columns[i].look != TABLE_TEXT;

        if (!l->shown[i])
            continue;
        if (right)
            blanks(l->widths[i] - width, terminal->stream);
        fwrite(texts[i], 1, size, terminal->stream);
        if (i < last)
            blanks(GAP + (right ? 0 : l->widths[i] - width), terminal->stream);
    }
    fputc('\n', terminal->stream);
}

static char **names(const struct table *t)
{
    char **all = xcalloc(t->column_count + 1, sizeof *all);

    for (size_t i = 0; i < t->column_count; i++)
        all[i] = t->columns[i].name;
    return all;
}

static void print_markdown(const struct table *t, char *const *texts, FILE *out)
{
    for (size_t i = 0; i < t->column_count; i++) {
        fputs(i == 0 ? "| " : " | ", out);
        for (const char *at = texts[i]; *at != '\0'; at++) {
            if (*at == '|')
                fputc('\\', out);
            fputc(*at, out);
        }
    }
    fputs(" |\n", out);
}

static void print_csv_field(const char *text, FILE *out)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"')
            fputc('"', out);
        fputc(*at, out);
    }
    fputc('"', out);
}

static void print_csv(const struct table *t, char *const *texts, FILE *out)
{
    for (size_t i = 0; i < t->column_count; i++) {
        if (i > 0)
            fputc(',', out);
        print_csv_field(texts[i], out);
    }
    fputc('\n', out);
}

static void print_tsv(const struct table *t, char *const *texts, FILE *out)
{
    for (size_t i = 0; i < t->column_count; i++) {
        AUTO(free_pointer) char *line = one_line(texts[i]);

        fprintf(out, "%s%s", i == 0 ? "" : "\t", line);
    }
    fputc('\n', out);
}

static void print_json_line(const struct table *t, const struct cell *cells,
                            FILE *out)
{
    AUTO(json_release) json_t *row = json_object();
    AUTO(free_pointer) char *text = NULL;

    for (size_t i = 0; i < t->column_count; i++) {
        json_t *value = cells[i].raw != NULL ? json_incref(cells[i].raw)
                        : cells[i].text == NULL || cells[i].text[0] == '\0'
                            ? json_null()
                            : json_string(cells[i].text);

        (void)json_object_set_new(row, t->columns[i].name, value);
    }
    text = json_shown_line(row);
    fprintf(out, "%s\n", text);
}

static void print_line(const struct table *t, const struct layout *l,
                       enum table_format format,
                       const struct terminal *terminal, char *const *texts)
{
    if (format == TABLE_PEOPLE)
        print_padded(l, t, texts, terminal);
    else if (format == TABLE_MARKDOWN)
        print_markdown(t, texts, terminal->stream);
    else if (format == TABLE_CSV)
        print_csv(t, texts, terminal->stream);
    else if (format == TABLE_TSV)
        print_tsv(t, texts, terminal->stream);
    else
        fprintf(terminal->stream, "%s\n", texts[0]);
}

static void print_head(const struct table *t, const struct layout *l,
                       enum table_format format,
                       const struct terminal *terminal)
{
    AUTO(free_pointer) char **all = names(t);

    if (format == TABLE_IDS || format == TABLE_JSON_LINES)
        return;
    if (format == TABLE_PEOPLE)
        fputs(terminal_bold(terminal), terminal->stream);
    print_line(t, l, format, terminal, all);
    if (format == TABLE_PEOPLE)
        fputs(terminal_plain(terminal), terminal->stream);
    if (format != TABLE_MARKDOWN)
        return;
    for (size_t i = 0; i < t->column_count; i++)
        fprintf(terminal->stream, "|%s",
                t->columns[i].look == TABLE_TEXT ? " --- " : " ---: ");
    fputs("|\n", terminal->stream);
}

static void print_body(const struct table *t, const struct layout *l,
                       enum table_format format,
                       const struct terminal *terminal)
{
    for (size_t i = 0; i < t->cell_count; i += t->column_count) {
        if (format == TABLE_JSON_LINES)
            print_json_line(t, &t->cells[i], terminal->stream);
        else
            print_line(t, l, format, terminal, &l->texts[i]);
    }
}

void table_print(const struct table *t, enum table_format format,
                 const struct terminal *terminal, struct buf *ret_dropped)
{
    bool people = format == TABLE_PEOPLE || format == TABLE_MARKDOWN;
    struct layout l;

    layout_init(&l, t, people);
    if (format == TABLE_PEOPLE)
        fit(&l, t, terminal->width, ret_dropped);
    print_head(t, &l, format, terminal);
    print_body(t, &l, format, terminal);
    layout_release(&l, t);
}

void table_print_rows(const struct table *t, enum table_format format,
                      const struct terminal *terminal)
{
    struct layout l;

    layout_init(&l, t, format == TABLE_PEOPLE || format == TABLE_MARKDOWN);
    print_body(t, &l, format, terminal);
    layout_release(&l, t);
}
