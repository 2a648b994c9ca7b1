/* json_scan.h -- a quick look at a JSON text that makes no tree. */
#ifndef SINTER_COMMON_JSON_SCAN_H
#define SINTER_COMMON_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* True for an object that json_parse() takes for certain: ASCII texts without
 * escapes, numbers of few digits, few names, little depth, which is what most
 * results are. False says nothing: ask json_parse(). */
bool json_is_plain_object(const char *text, size_t size);

/* The quotation mark that ends the text whose first byte is at `at`; NULL:
 * there is none before `end`. */
const char *json_end_of_text(const char *at, const char *end);

#endif
