/* table.h -- rows and columns for people and programs. */
#ifndef SINTER_CLI_TABLE_H
#define SINTER_CLI_TABLE_H

#include "cli/terminal.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/status.h"

#include <stddef.h>
#include <stdio.h>

enum table_format {
    TABLE_PEOPLE,
    TABLE_JSON, /* for the caller: one document */
    TABLE_JSON_LINES,
    TABLE_CSV, /* RFC 4180, numbers in full */
    TABLE_TSV,
    TABLE_MARKDOWN,
    TABLE_IDS, /* for the caller: the first column alone */
    TABLE_FORMATS
};

/* How a column shows numbers to people. */
enum table_look {
    TABLE_TEXT,     /* to the left, as it is */
    TABLE_RIGHT,    /* to the right, as it is */
    TABLE_MEASURED, /* to the right, one number of decimals a column */
};

enum { TABLE_ALWAYS = 1000 }; /* weight of columns that are never dropped */

struct table; /* opaque */

struct table *table_new(void);
void table_free(struct table *t); /* NULL is fine */

/* Columns first. On a narrow terminal those of least weight go first, of
 * equal ones the last. */
void table_column(struct table *t, const char *name, enum table_look look,
                  int weight);

/* The next cell, from left to right, row by row. `text` is for people, `raw`
 * (NULL: the text) for programs; both are copied or referenced. */
void table_add(struct table *t, const char *text, const json_t *raw);
void table_add_value(struct table *t, const json_t *raw); /* NULL: empty */

/* Names of what was dropped for want of room go to `ret_dropped` ("" if
 * nothing); NULL: do not tell. */
void table_print(const struct table *t, enum table_format format,
                 const struct terminal *terminal, struct buf *ret_dropped);
/* Rows without the head line, for tables printed page by page. */
void table_print_rows(const struct table *t, enum table_format format,
                      const struct terminal *terminal);

/* The whole table as a file: whole or not at all. */
MUST_CHECK struct status table_write(const struct table *t,
                                     enum table_format format,
                                     const char *path);

/* TABLE_FORMATS when there is no such name. */
enum table_format table_format_find(const char *name);

#endif
