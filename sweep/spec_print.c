#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/problem.h"

static const char *const bold = "\033[1m";
static const char *const red = "\033[1;31m";
static const char *const yellow = "\033[1;33m";
static const char *const blue = "\033[1;34m";
static const char *const plain = "\033[0m";

enum { MOST_CARETS = 120 };

struct printer {
    FILE *out;
    bool colour;
    int gutter; /* columns of the line number */
};

static void paint(const struct printer *p, const char *colour)
{
    if (p->colour)
        (void)fputs(colour, p->out);
}

/* The text a problem is in: a line of the file, or an override, which has
 * line 0 and its number as column. */
static const char *source_line(const struct spec_problem *problem,
                               const struct spec_input *input,
                               size_t *ret_length)
{
    size_t i = problem->column - 1;

    if (problem->line > 0)
        return yaml_line(input->text, input->size, problem->line, ret_length);
    *ret_length =
        i < input->override_count ? strlen(input->overrides[i].text) : 0;
    return i < input->override_count ? input->overrides[i].text : "";
}

/* Blanks for tabs and control characters, so that the caret stands right. */
static void print_line(FILE *out, const char *line, size_t length)
{
    AUTO(free_pointer) char *text = xstrndup(line, length);

    for (char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7F)
            *at = ' ';
    }
    problem_mend(text);
    (void)fputs(text, out);
}

static void print_bar(const struct printer *p, uint32_t line)
{
    paint(p, blue);
    if (line > 0)
        (void)fprintf(p->out, "%*u |", p->gutter, line);
    else
        (void)fprintf(p->out, "%*s |", p->gutter, "");
    paint(p, plain);
}

static void print_source(const struct printer *p,
                         const struct spec_problem *problem,
                         const struct spec_input *input)
{
    bool in_file = problem->line > 0;
    uint32_t column = in_file ? problem->column : 1;
    size_t length = 0;
    const char *line = source_line(problem, input, &length);
    uint32_t carets = in_file ? problem->length : (uint32_t)length;

    print_bar(p, 0);
    (void)fputc('\n', p->out);
    print_bar(p, problem->line);
    (void)fputc(' ', p->out);
    print_line(p->out, line, length);
    (void)fputc('\n', p->out);
    print_bar(p, 0);
    (void)fprintf(p->out, " %*s", (int)column - 1, "");
    paint(p, problem->warning ? yellow : red);
    for (uint32_t i = 0; i == 0 || (i < carets && i < MOST_CARETS); i++)
        (void)fputc('^', p->out);
    if (problem->suggestion[0] != '\0')
        (void)fprintf(p->out, " %s", problem->suggestion);
    paint(p, plain);
    (void)fputc('\n', p->out);
}

static int digits_of(uint32_t line)
{
    int digits = 2; /* as for most files, so that carets stand alike */

    for (line /= 100; line > 0; line /= 10)
        digits++;
    return digits;
}

void spec_print_problem(const struct spec_problem *problem,
                        const struct spec_input *input, bool colour, FILE *out)
{
    struct printer p = { .out = out,
                         .colour = colour,
                         .gutter = digits_of(problem->line) };

    paint(&p, problem->warning ? yellow : red);
    (void)fprintf(out, "%s[%s]", problem->warning ? "warning" : "error",
                  problem->code);
    paint(&p, plain);
    paint(&p, bold);
    (void)fprintf(out, ": %s\n", problem->message);
    paint(&p, plain);
    paint(&p, blue);
    (void)fprintf(out, "%*s--> ", p.gutter, "");
    paint(&p, plain);
    if (problem->line > 0)
        (void)fprintf(out, "%s:%u:%u\n", input->file, problem->line,
                      problem->column);
    else
        (void)fprintf(out, "--set\n");
    print_source(&p, problem, input);
    if (problem->note[0] != '\0')
        (void)fprintf(out, "%*s = %s\n", p.gutter, "", problem->note);
}

json_t *spec_problem_json(const struct spec_problem *problem,
                          const struct spec_input *input)
{
    /* The name of a file need not be UTF-8. */
    json_t *file = json_string(problem->line > 0 ? input->file : "--set");
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:o, s:i, s:i, s:i}", "code", problem->code,
        "severity", problem->warning ? "warning" : "error", "message",
        problem->message, "file", file != NULL ? file : json_string("?"),
        "line", (int)problem->line, "column", (int)problem->column, "length",
        (int)problem->length);

    if (json != NULL && problem->suggestion[0] != '\0')
        (void)json_object_set_new(json, "suggest",
                                  json_string(problem->suggestion));
    if (json != NULL && problem->note[0] != '\0')
        (void)json_object_set_new(json, "note", json_string(problem->note));
    return json;
}
