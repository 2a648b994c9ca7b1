/* method_help.h -- the table of merge methods as text for people. */
#ifndef SINTER_CLI_METHOD_HELP_H
#define SINTER_CLI_METHOD_HELP_H

#include <stdbool.h>
#include <stdio.h>

/* All variants of a method, or all methods if `name` is NULL: what each
 * merges, its formula, what it takes, and what one read can serve. False if
 * there is no such method. */
bool method_help(const char *name, FILE *out);

#endif
