/* range.h -- the Range header of a request, against a size. Pure. */
#ifndef SINTER_HTTPD_RANGE_H
#define SINTER_HTTPD_RANGE_H

#include <stdint.h>

struct httpd_range {
    enum {
        RANGE_WHOLE,  /* none asked, or one we do not serve: send all */
        RANGE_PART,   /* 206 */
        RANGE_BEYOND, /* 416 */
    } sort;

    uint64_t first, size;
};

/* `header` may be NULL. One range of bytes is served; several, or nonsense,
 * are ignored as RFC 9110 allows. */
struct httpd_range httpd_range_parse(const char *header, uint64_t size);

#endif
