/* st_text.h -- safetensors files written by hand, right and wrong, in a
 * directory that goes away with the test. */
#ifndef SINTER_TESTS_SUPPORT_ST_TEXT_H
#define SINTER_TESTS_SUPPORT_ST_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* For setup and teardown: *state is the directory's path. */
int st_text_setup(void **state);
int st_text_teardown(void **state);

/* "directory/name"; valid until the next call but seven. */
const char *st_text_path(void **state, const char *name);

/* The length, the header's text, then `data_size` bytes 0, 1, 2 ... */
void st_text_write(const char *path, const char *header, size_t data_size);
/* The same with a length that may lie about the text. */
void st_text_write_length(const char *path, uint64_t length, const char *header,
                          size_t data_size);
void st_text_write_plain(const char *path, const void *data, size_t size);
/* Entries of a directory, "." and ".." not counted. */
size_t st_text_entries(const char *path);

#endif
