/* http_file.h -- file:// for http.c: the same questions, answered by stat() and
 * read(). */
#ifndef SINTER_COMMON_HTTP_FILE_H
#define SINTER_COMMON_HTTP_FILE_H

#include "common/http.h"

bool http_file_is(const char *url);
/* Open for reading; the caller closes. */
MUST_CHECK struct status http_file_open(const char *url, int *ret_fd);
/* The path in it. The caller frees. */
MUST_CHECK struct status http_file_path(const char *url, char **ret_path);

MUST_CHECK struct status http_file_head(const char *url,
                                        struct http_info *ret_info);
MUST_CHECK struct status http_file_get_range(const char *url, uint64_t first,
                                             size_t size, void *ret_data);

#endif
