#include "common/json.h"

#include "common/buf.h"
#include "common/decimal.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Brackets inside of texts do not count; jansson sees to all else. */
static bool is_too_deep(const char *text, size_t size)
{
    bool is_inside = false;
    int depth = 0;

    for (size_t i = 0; i < size; i++) {
        if (is_inside && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            is_inside = !is_inside;
        else if (!is_inside && (text[i] == '[' || text[i] == '{'))
            depth++;
        else if (!is_inside && (text[i] == ']' || text[i] == '}'))
            depth--;
        if (depth > LIMIT_DEPTH)
            return true;
    }
    return false;
}

struct status json_parse(const char *text, size_t size, const char *what,
                         json_t **ret_json)
{
    json_error_t error;
    json_t *json;

    if (is_too_deep(text, size))
        return FAIL(STATUS_CORRUPT, "%s: nested deeper than %d", what,
                    LIMIT_DEPTH);
    json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        return FAIL(STATUS_CORRUPT, "%s: line %d, column %d: %s", what,
                    error.line, error.column, error.text);
    *ret_json = json;
    return SUCCESS;
}

struct status json_parse_file(const char *path, size_t limit, json_t **ret_json)
{
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;

    TRY_PLAIN(file_read(path, limit, &text, &size));
    return json_parse(text, size, path, ret_json);
}

void json_format_real(double value, char *text, size_t size)
{
    char shortest[DECIMAL_TEXT];

    (void)decimal_shortest(value, shortest);
    (void)snprintf(text, size, "%s", shortest);
}

static void must_add(struct buf *out, const char *text)
{
    struct status st = buf_add_text(out, text);

    assert(!status_failed(&st)); /* the buffer has no limit */
}

/* As jansson writes it; what nothing is to be said of, without its help. */
static void write_text(struct buf *out, const char *text)
{
    AUTO(json_release) json_t *json = NULL;
    AUTO(free_pointer) char *quoted = NULL;
    const char *at = text;

    while ((unsigned char)*at >= ' ' && *at != '"' && *at != '\\')
        at++;
    if (*at == '\0') {
        must_add(out, "\"");
        must_add(out, text);
        must_add(out, "\"");
        return;
    }
    json = json_string(text);
    quoted = json_dumps(json, JSON_ENCODE_ANY);
    assert(quoted != NULL);
    must_add(out, quoted);
}

struct member {
    const char *name;
    const json_t *value;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->name,
                  ((const struct member *)b)->name);
}

struct layout {
    bool is_canonical; /* names are sorted, 1.0 is 1 */
    int indent;        /* blanks a level; 0: one line without blanks */
};

static void write_any(struct buf *out, const json_t *json,
                      const struct layout *l, int level);

static void break_line(struct buf *out, const struct layout *l, int level)
{
    if (l->indent == 0)
        return;
    must_add(out, "\n");
    for (int i = 0; i < l->indent * level; i++)
        must_add(out, " ");
}

static void write_object(struct buf *out, const json_t *object,
                         const struct layout *l, int level)
{
    size_t count = json_object_size(object);
    struct member *members = xcalloc(count + 1, sizeof *members);
    const char *name;
    json_t *value;
    size_t i = 0;

    /* jansson's iteration wants a mutable object but changes nothing. */
    json_object_foreach((json_t *)(uintptr_t)object, name, value) members[i++] =
        (struct member){ name, value };
    if (l->is_canonical)
        qsort(members, count, sizeof *members, by_name);
    must_add(out, "{");
    for (i = 0; i < count; i++) {
        must_add(out, i == 0 ? "" : ",");
        break_line(out, l, level + 1);
        write_text(out, members[i].name);
        must_add(out, l->indent == 0 ? ":" : ": ");
        write_any(out, members[i].value, l, level + 1);
    }
    if (count > 0)
        break_line(out, l, level);
    must_add(out, "}");
    free(members);
}

static void write_array(struct buf *out, const json_t *array,
                        const struct layout *l, int level)
{
    size_t count = json_array_size(array);

    must_add(out, "[");
    for (size_t i = 0; i < count; i++) {
        must_add(out, i == 0 ? "" : ",");
        break_line(out, l, level + 1);
        write_any(out, json_array_get(array, i), l, level + 1);
    }
    if (count > 0)
        break_line(out, l, level);
    must_add(out, "]");
}

static void write_real(struct buf *out, double value, const struct layout *l)
{
    char number[32];

    json_format_real(value, number, sizeof number);
    must_add(out, number);
    if (!l->is_canonical && strpbrk(number, ".e") == NULL)
        must_add(out, ".0");
}

static void write_integer(struct buf *out, json_int_t value)
{
    char number[24];

    (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, value);
    must_add(out, number);
}

/* Depth is bounded: json_parse() and the spec reader refuse more than
 * LIMIT_DEPTH. */
static void write_any(struct buf *out, const json_t *json,
                      const struct layout *l, int level)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        write_object(out, json, l, level);
        break;
    case JSON_ARRAY:
        write_array(out, json, l, level);
        break;
    case JSON_REAL:
        write_real(out, json_real_value(json), l);
        break;
    case JSON_STRING:
        write_text(out, json_string_value(json));
        break;
    case JSON_INTEGER:
        write_integer(out, json_integer_value(json));
        break;
    case JSON_TRUE:
        must_add(out, "true");
        break;
    case JSON_FALSE:
        must_add(out, "false");
        break;
    case JSON_NULL:
        must_add(out, "null");
        break;
    }
}

static char *write_whole(const json_t *json, const struct layout *l)
{
    struct buf out;

    buf_init(&out, SIZE_MAX / 2);
    write_any(&out, json, l, 0);
    return buf_take(&out);
}

char *json_canonical(const json_t *json)
{
    return write_whole(json, &(struct layout){ .is_canonical = true });
}

char *json_shown(const json_t *json)
{
    return write_whole(json, &(struct layout){ .indent = 2 });
}

char *json_shown_line(const json_t *json)
{
    return write_whole(json, &(struct layout){ .indent = 0 });
}

char *json_pretty(const json_t *json)
{
    char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_INDENT(2) |
                                      JSON_REAL_PRECISION(17));

    assert(text != NULL);
    return text;
}

MUST_CHECK static struct status missing(const char *name, const char *type)
{
    return FAIL(STATUS_INVALID, "\"%s\" is missing or not %s", name, type);
}

struct status json_member_text(const json_t *object, const char *name,
                               const char **ret_text)
{
    const json_t *member = json_object_get(object, name);

    if (!json_is_string(member))
        return missing(name, "a text");
    *ret_text = json_string_value(member);
    return SUCCESS;
}

struct status json_member_int(const json_t *object, const char *name,
                              int64_t *ret_value)
{
    const json_t *member = json_object_get(object, name);

    if (!json_is_integer(member))
        return missing(name, "an integer");
    *ret_value = json_integer_value(member);
    return SUCCESS;
}

struct status json_member_real(const json_t *object, const char *name,
                               double *ret_value)
{
    const json_t *member = json_object_get(object, name);

    if (!json_is_number(member))
        return missing(name, "a number");
    *ret_value = json_number_value(member);
    return SUCCESS;
}

struct status json_member_object(const json_t *object, const char *name,
                                 json_t **ret_object)
{
    json_t *member = json_object_get(object, name);

    if (!json_is_object(member))
        return missing(name, "an object");
    *ret_object = member;
    return SUCCESS;
}

struct status json_member_array(const json_t *object, const char *name,
                                json_t **ret_array)
{
    json_t *member = json_object_get(object, name);

    if (!json_is_array(member))
        return missing(name, "an array");
    *ret_array = member;
    return SUCCESS;
}

const char *json_text_or(const json_t *object, const char *name,
                         const char *otherwise)
{
    const json_t *member = json_object_get(object, name);

    return json_is_string(member) ? json_string_value(member) : otherwise;
}

int64_t json_int_or(const json_t *object, const char *name, int64_t otherwise)
{
    const json_t *member = json_object_get(object, name);

    return json_is_integer(member) ? json_integer_value(member) : otherwise;
}

double json_real_or(const json_t *object, const char *name, double otherwise)
{
    const json_t *member = json_object_get(object, name);

    return json_is_number(member) ? json_number_value(member) : otherwise;
}

bool json_bool_or(const json_t *object, const char *name, bool otherwise)
{
    const json_t *member = json_object_get(object, name);

    return json_is_boolean(member) ? json_is_true(member) : otherwise;
}

void json_release(json_t **json)
{
    json_decref(*json);
}
