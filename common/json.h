/* json.h -- the one door to jansson: its types with our limits, checked
 * getters and the canonical text that keys are made of.
 *
 * Canonical: object names sorted by bytes, no blanks, shortest decimal that
 * reads back to the same double, integers without a point. A real that is a
 * whole number below 2^53 is written as an integer, so 1.0 and 1 are one. */
#ifndef SINTER_COMMON_JSON_H
#define SINTER_COMMON_JSON_H

#include "common/status.h"

#include <jansson.h>
#include <stdint.h>

/* Strict: no duplicate names, depth and size within limits. `what` begins
 * the message; line and column follow. */
MUST_CHECK struct status json_parse(const char *text, size_t size,
                                    const char *what, json_t **ret_json);
MUST_CHECK struct status json_parse_file(const char *path, size_t limit,
                                         json_t **ret_json);

/* Canonical text; the caller frees. NaN and infinities cannot occur in a
 * json_t. */
char *json_canonical(const json_t *json);
/* For people and --json: names in the order they came, reals in the fewest
 * digits that read back, with a point; indented, or one line. The caller
 * frees. */
char *json_shown(const json_t *json);
char *json_shown_line(const json_t *json);
/* Indented, for files: digests of models stand on these very bytes, so reals
 * keep their 17 digits. The caller frees. */
char *json_pretty(const json_t *json);

/* Members of an object; INVALID names the missing or mistyped one. Borrowed. */
MUST_CHECK struct status json_member_text(const json_t *object,
                                          const char *name,
                                          const char **ret_text);
MUST_CHECK struct status json_member_int(const json_t *object, const char *name,
                                         int64_t *ret_value);
MUST_CHECK struct status json_member_real(const json_t *object,
                                          const char *name, double *ret_value);
MUST_CHECK struct status json_member_object(const json_t *object,
                                            const char *name,
                                            json_t **ret_object);
MUST_CHECK struct status json_member_array(const json_t *object,
                                           const char *name,
                                           json_t **ret_array);

/* The same with a value for "absent"; a member of another type is absent. */
const char *json_text_or(const json_t *object, const char *name,
                         const char *otherwise);
int64_t json_int_or(const json_t *object, const char *name, int64_t otherwise);
double json_real_or(const json_t *object, const char *name, double otherwise);
bool json_bool_or(const json_t *object, const char *name, bool otherwise);

/* Shortest decimal text that reads back to `value`; `size` of at least 32. */
void json_format_real(double value, char *text, size_t size);

/* For AUTO(): json_decref(*json). */
void json_release(json_t **json);

#endif
