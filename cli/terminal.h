/* terminal.h -- what the other end of a stream can show. */
#ifndef SINTER_CLI_TERMINAL_H
#define SINTER_CLI_TERMINAL_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum terminal_colour { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };

/* Colour and box characters only where they are understood; a word or sign
 * always says the same. */
struct terminal {
    FILE *stream;
    bool tty; /* redrawing is possible */
    bool colour;
    bool utf8;
    size_t width; /* columns; SIZE_MAX when it is no terminal */
};

void terminal_init(struct terminal *t, FILE *stream,
                   enum terminal_colour colour);
/* Ask again: people resize windows. */
void terminal_measure(struct terminal *t);

/* ANSI sequences; "" without colour. */
const char *terminal_bold(const struct terminal *t);
const char *terminal_red(const struct terminal *t);
const char *terminal_plain(const struct terminal *t);

/* Columns `text` takes (UTF-8, no wide characters). */
size_t terminal_text_width(const char *text);
/* Bytes of `text` that fill at most `width` columns. */
size_t terminal_text_cut(const char *text, size_t width);

#endif
