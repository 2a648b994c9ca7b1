#include "cli/terminal.h"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);

    return value != NULL && value[0] != '\0';
}

static bool wants_colour(const struct terminal *t, enum terminal_colour colour)
{
    const char *term = getenv("TERM");
    const char *force = getenv("CLICOLOR_FORCE");

    if (colour != COLOUR_AUTO)
        return colour == COLOUR_ALWAYS;
    if (is_set("NO_COLOR"))
        return false;
    if (force != NULL && force[0] != '\0' && strcmp(force, "0") != 0)
        return true;
    return t->tty && term != NULL && strcmp(term, "dumb") != 0;
}

void terminal_init(struct terminal *t, FILE *stream,
                   enum terminal_colour colour)
{
    const char *term = getenv("TERM");

    t->stream = stream;
    t->tty = isatty(fileno(stream)) == 1 && term != NULL &&
             strcmp(term, "dumb") != 0;
    t->colour = wants_colour(t, colour);
    t->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    terminal_measure(t);
}

void terminal_measure(struct terminal *t)
{
    enum { USUAL_WIDTH = 80, LEAST_WIDTH = 20 };
    struct winsize size = { .ws_col = 0 };

    if (!t->tty) {
        t->width = SIZE_MAX;
        return;
    }
    if (ioctl(fileno(t->stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        size.ws_col = USUAL_WIDTH;
    t->width = size.ws_col < LEAST_WIDTH ? LEAST_WIDTH : size.ws_col;
}

const char *terminal_bold(const struct terminal *t)
{
    return t->colour ? "\033[1m" : "";
}

const char *terminal_red(const struct terminal *t)
{
    return t->colour ? "\033[31m" : "";
}

const char *terminal_plain(const struct terminal *t)
{
    return t->colour ? "\033[0m" : "";
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

size_t terminal_text_width(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += is_continuation(*text) ? 0 : 1;
    return width;
}

size_t terminal_text_cut(const char *text, size_t width)
{
    size_t at = 0;
    size_t seen = 0;

    for (; text[at] != '\0'; at++) {
        if (is_continuation(text[at]))
            continue;
        if (seen == width)
            break;
        seen++;
    }
    return at;
}
