#include "jobs/select_remark.h"

#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/data_parts.h"
#include "jobs/data_records.h"
#include "jobs/select/spectrum.h"

/* Lines that are not empty; 0: nobody knows before the file is fetched. */
static size_t count_lines(const char *url)
{
    static const char local[] = "file://";
    const char *path = strncmp(url, local, sizeof(local) - 1) == 0
                           ? url + sizeof(local) - 1
                           : url;
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0, count = 0;
    struct status s;

    if (*path != '/')
        return 0;
    s = file_read(path, DATA_RECORDS_LIMIT, &text, &size);
    if (status_failed(&s))
        return 0;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - text) - at;

        count += length > 0;
        at += length + 1;
    }
    return count;
}

static size_t count_samples(const json_t *data)
{
    if (json_object_get(data, "builtin") != NULL)
        return (size_t)json_int_or(data, "items", 0);
    return count_lines(data_form_url(data));
}

static const char *describe(enum spectrum_route route)
{
    static const char *const texts[SPECTRUM_ROUTES] = {
        [SPECTRUM_DENSE] = "dense, all distances and LAPACK",
        [SPECTRUM_KNN] = "knn, a graph of nearest neighbours and ARPACK",
        [SPECTRUM_BY_LANDMARKS] = "landmarks, which the others follow",
    };

    return texts[route];
}

void select_remark(const json_t *params, char *ret_text, size_t size)
{
    const char *word = json_text_or(params, "graph", "auto");
    size_t count = count_samples(json_object_get(params, "data"));
    enum spectrum_route asked;

    if (json_object_get(params, "clusters") == NULL ||
        !spectrum_route_find(word, &asked))
        return;
    if (asked != SPECTRUM_AUTO)
        (void)snprintf(ret_text, size, "spectrum by the route %s",
                       describe(asked));
    else if (count > 0)
        (void)snprintf(ret_text, size,
                       "spectrum of up to %zu samples by the route %s", count,
                       describe(spectrum_route_for(asked, count)));
    else
        (void)snprintf(ret_text, size,
                       "spectrum by the route dense up to %d samples, knn up "
                       "to %d, landmarks beyond",
                       (int)SPECTRUM_DENSE_MOST, (int)SPECTRUM_KNN_MOST);
}
