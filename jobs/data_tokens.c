/* data_tokens.c -- a text that was made tokens before: a .bin of numbers one
 * behind the other, or a .npy of one dimension. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/data_parts.h"

enum { TOKENS_LIMIT = 1 << 30, NPY_MAGIC = 6, NPY_HEAD = 10 };

struct packed {
    const char *path;
    const unsigned char *bytes;
    size_t size;
    size_t data;  /* where the numbers begin */
    size_t width; /* bytes of one: 2 or 4 */
};

/* 'KEY': VALUE of the header, which is a Python dictionary. */
static const char *field(const char *head, const char *key)
{
    const char *at = strstr(head, key);

    at = at == NULL ? NULL : strchr(at, ':');
    while (at != NULL && (*at == ':' || *at == ' '))
        at++;
    return at;
}

static struct status check_count(const struct packed *p,
                                 unsigned long long wanted)
{
    size_t count = (p->size - p->data) / p->width;

    if (wanted == count)
        return SUCCESS;
    return FAIL(STATUS_CORRUPT,
                "%s, byte %zu: its header says %llu numbers, and %zu follow%s",
                p->path, p->size, wanted, count,
                wanted > count ? "; it is truncated" : "");
}

static struct status read_type(struct packed *p, const char *head)
{
    static const struct {
        const char *descr;
        size_t width;
    } types[] = { { "'<u2'", 2 }, { "'<u4'", 4 }, { "'<i4'", 4 } };
    const char *descr = field(head, "'descr'");
    const char *order = field(head, "'fortran_order'");
    const char *shape = field(head, "'shape'");

    for (size_t i = 0; descr != NULL && i < COUNT_OF(types); i++)
        if (strncmp(descr, types[i].descr, 5) == 0)
            p->width = types[i].width;
    if (p->width == 0)
        return FAIL(STATUS_INVALID,
                    "%s: its numbers are not of the types uint16, uint32 or "
                    "int32",
                    p->path);
    if (order == NULL || strncmp(order, "False", 5) != 0 || shape == NULL ||
        *shape != '(' || strchr(shape, ',') == NULL ||
        strspn(strchr(shape, ',') + 1, " ") !=
            strcspn(strchr(shape, ',') + 1, ")"))
        return FAIL(STATUS_CORRUPT,
                    "%s: its header does not say one dimension; save it "
                    "with .reshape(-1)",
                    p->path);
    return check_count(p, strtoull(shape + 1, NULL, 10));
}

static struct status read_npy(struct packed *p)
{
    AUTO(free_pointer) char *head = NULL;
    size_t wide, size = 0;

    if (p->size < NPY_HEAD + 2)
        return FAIL(STATUS_CORRUPT, "%s, byte %zu: ends inside its header",
                    p->path, p->size);
    wide = p->bytes[NPY_MAGIC] > 1 ? 4 : 2;
    for (size_t i = wide; i-- > 0;)
        size = size << 8 | p->bytes[NPY_MAGIC + 2 + i];
    p->data = NPY_MAGIC + 2 + wide;
    if (size > p->size - p->data)
        return FAIL(STATUS_CORRUPT, "%s, byte %zu: ends inside its header",
                    p->path, p->size);
    head = xstrndup((const char *)p->bytes + p->data, size);
    p->data += size;
    return read_type(p, head);
}

static bool is_npy(const struct packed *p)
{
    static const unsigned char magic[NPY_MAGIC] = { 0x93, 'N', 'U',
                                                    'M',  'P', 'Y' };

    return p->size >= NPY_MAGIC && memcmp(p->bytes, magic, NPY_MAGIC) == 0;
}

static struct status unpack(const struct packed *p, struct data_tokens *t)
{
    size_t count = (p->size - p->data) / p->width;

    if ((p->size - p->data) % p->width != 0)
        return FAIL(STATUS_CORRUPT,
                    "%s, byte %zu: ends inside a number of %zu bytes", p->path,
                    p->size, p->width);
    if (count == 0)
        return FAIL(STATUS_INVALID, "%s has no tokens", p->path);
    t->tokens = xcalloc(count, sizeof(*t->tokens));
    for (size_t i = 0; i < count; i++) {
        const unsigned char *at = p->bytes + p->data + i * p->width;
        uint32_t token = (uint32_t)at[0] | (uint32_t)at[1] << 8;

        if (p->width == 4)
            token |= (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        if (token > INT32_MAX)
            return FAIL(STATUS_CORRUPT,
                        "%s, byte %zu: %u is no token: is the `type` right?",
                        p->path, p->data + i * p->width, token);
        t->tokens[t->count++] = (int32_t)token;
    }
    return SUCCESS;
}

static struct status open_tokens(const json_t *value,
                                 const struct data_use *use,
                                 struct job_context *context, struct data *d)
{
    const json_t *file = json_object_get(value, "file");
    const char *type = json_text_or(value, "type", "uint16");
    AUTO(free_pointer) char *bytes = NULL;
    struct packed p = { .width = 0 };

    TRY_PLAIN(data_read(file == NULL ? value : file, TOKENS_LIMIT, context,
                        &p.path, &bytes, &p.size));
    p.bytes = (const unsigned char *)bytes;
    if (is_npy(&p))
        TRY_PLAIN(read_npy(&p));
    else
        p.width = strcmp(type, "uint32") == 0 ? 4 : 2;
    TRY_PLAIN(unpack(&p, &d->tokens));
    d->tokens.begin = -1;
    return data_cut_windows(use, d);
}

const struct data_form data_form_tokens = {
    .name = "tokens",
    .keys = { "file", "type" },
    .open = open_tokens,
    .add = data_add_text,
    .draw = data_draw_text,
};
