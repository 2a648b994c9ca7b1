#include "sweep/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/memory.h"
#include "sweep/template_parts.h"

struct builder {
    const struct template_names *names;
    struct template *root;
    size_t depth;
};

MUST_CHECK static struct status build(struct builder *b, const json_t *json,
                                      struct template **ret);

static struct template *new_child(struct template *parent, size_t room)
{
    if (parent->children == NULL)
        parent->children = xcalloc(room, sizeof(struct template *));
    parent->children[parent->count] = xnew(struct template);
    return parent->children[parent->count++];
}

MUST_CHECK static struct status build_param(struct builder *b,
                                            const json_t *json,
                                            struct template *t)
{
    const char *name = json_string_value(json);

    t->hole = HOLE_PARAM;
    t->number = name == NULL ? -1 : b->names->param(b->names->self, name);
    if (t->number < 0)
        return FAIL(STATUS_INVALID, "$param \"%.60s\" is not declared",
                    name == NULL ? "?" : name);
    return SUCCESS;
}

static void note_stage(struct template *root, struct template_ref ref)
{
    for (size_t i = 0; i < root->stage_count; i++) {
        if (root->stages[i].stage == ref.stage &&
            root->stages[i].whose == ref.whose)
            return;
    }
    root->stages =
        xrealloc(root->stages, (root->stage_count + 1) * sizeof *root->stages);
    root->stages[root->stage_count++] = ref;
}

MUST_CHECK static struct status build_stage_of(struct builder *b,
                                               const json_t *json,
                                               enum template_whose whose,
                                               struct template *t)
{
    const char *name = json_string_value(json);

    t->hole = HOLE_STAGE;
    t->whose = whose;
    t->number = name == NULL ? -1 : b->names->stage(b->names->self, name);
    if (t->number < 0)
        return FAIL(STATUS_INVALID, "$stage \"%.60s\" does not exist",
                    name == NULL ? "?" : name);
    note_stage(b->root, (struct template_ref){ t->number, whose });
    return SUCCESS;
}

MUST_CHECK static struct status build_stage(struct builder *b,
                                            const json_t *json,
                                            struct template *t)
{
    return build_stage_of(b, json, WHOSE_OWN, t);
}

MUST_CHECK static struct status build_lower(struct builder *b,
                                            const json_t *json,
                                            struct template *t)
{
    return build_stage_of(b, json, WHOSE_LOWER, t);
}

MUST_CHECK static struct status build_higher(struct builder *b,
                                             const json_t *json,
                                             struct template *t)
{
    return build_stage_of(b, json, WHOSE_HIGHER, t);
}

MUST_CHECK static struct status build_text(struct builder *b,
                                           const json_t *json,
                                           struct template *t)
{
    size_t count = json_array_size(json);

    t->hole = HOLE_TEXT;
    if (!json_is_array(json))
        return FAIL(STATUS_INVALID, "$text is not a list");
    for (size_t i = 0; i < count; i++) {
        const json_t *part = json_array_get(json, i);
        const json_t *param = json_object_get(part, "$param");
        struct template *child = new_child(t, count);

        if (json_is_string(part))
            child->literal = xstrdup(json_string_value(part));
        else if (param != NULL && json_object_size(part) == 1)
            TRY_PLAIN(build_param(b, param, child));
        else
            return FAIL(STATUS_INVALID,
                        "a part of $text is neither a text nor a $param");
    }
    return SUCCESS;
}

struct form {
    const char *name;
    struct status (*build)(struct builder *b, const json_t *json,
                           struct template *t);
};

static const struct form forms[] = {
    { "$param", build_param }, { "$stage", build_stage },
    { "$lower", build_lower }, { "$higher", build_higher },
    { "$text", build_text },
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char *canonical_name(const char *name)
{
    json_t *json = json_string(name);
    char *text = json_canonical(json);
    char *with_colon = xasprintf("%s:", text);

    free(text);
    json_decref(json);
    return with_colon;
}

MUST_CHECK static struct status build_members(struct builder *b,
                                              const json_t *json,
                                              struct template *t,
                                              const char **names, size_t count)
{
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        struct template *child = NULL;

        if (names[i][0] == '$')
            return FAIL(STATUS_INVALID, "\"%.60s\" has no meaning", names[i]);
        TRY(build(b, json_object_get(json, names[i]), &child), "%.60s",
            names[i]);
        if (t->children == NULL)
            t->children = xcalloc(count, sizeof(struct template *));
        child->name = canonical_name(names[i]);
        t->children[t->count++] = child;
    }
    return SUCCESS;
}

MUST_CHECK static struct status build_object(struct builder *b,
                                             const json_t *json,
                                             struct template *t)
{
    size_t count = json_object_size(json);
    AUTO(free_pointer) const char **names = xcalloc(count + 1, sizeof *names);
    const char *name;
    json_t *member;
    size_t n = 0;

    json_object_foreach((json_t *)(uintptr_t)json, name, member)
    {
        names[n++] = name;
        for (size_t i = 0; count == 1 && i < COUNT_OF(forms); i++) {
            if (strcmp(name, forms[i].name) == 0)
                return forms[i].build(b, member, t);
        }
        if (count == 1 && strcmp(name, "$source") == 0) {
            t->literal = json_canonical(json);
            return SUCCESS;
        }
    }
    t->hole = HOLE_OBJECT;
    return build_members(b, json, t, names, count);
}

MUST_CHECK static struct status build_list(struct builder *b,
                                           const json_t *json,
                                           struct template *t)
{
    size_t count = json_array_size(json);

    t->hole = HOLE_LIST;
    t->children = xcalloc(count + 1, sizeof(struct template *));
    for (size_t i = 0; i < count; i++) {
        TRY(build(b, json_array_get(json, i), &t->children[t->count]), "[%zu]",
            i);
        t->count++;
    }
    return SUCCESS;
}

/* Without holes inside, the whole thing is one literal. */
static void fold(struct template *t, const json_t *json)
{
    if (t->hole != HOLE_OBJECT && t->hole != HOLE_LIST)
        return;
    for (size_t i = 0; i < t->count; i++) {
        if (t->children[i]->hole != HOLE_NONE)
            return;
    }
    for (size_t i = 0; i < t->count; i++)
        template_free(t->children[i]);
    free(t->children);
    t->children = NULL;
    t->count = 0;
    t->hole = HOLE_NONE;
    t->literal = json_canonical(json);
}

MUST_CHECK static struct status build_any(struct builder *b, const json_t *json,
                                          struct template *t)
{
    struct status st;

    if (!json_is_object(json) && !json_is_array(json)) {
        t->literal = json_canonical(json);
        return SUCCESS;
    }
    if (b->depth == LIMIT_DEPTH)
        return FAIL(STATUS_TOO_BIG, "nested deeper than %d", LIMIT_DEPTH);
    b->depth++;
    st = json_is_object(json) ? build_object(b, json, t)
                              : build_list(b, json, t);
    b->depth--;
    if (!status_failed(&st))
        fold(t, json);
    return st;
}

MUST_CHECK static struct status build(struct builder *b, const json_t *json,
                                      struct template **ret)
{
    struct template *t = xnew(struct template);
    struct status st = build_any(b, json, t);

    if (status_failed(&st)) {
        template_free(t);
        return st;
    }
    *ret = t;
    return SUCCESS;
}

struct status template_new(const json_t *json,
                           const struct template_names *names,
                           struct template **ret_template)
{
    struct template *root = xnew(struct template);
    struct builder b = { .names = names, .root = root };
    struct status st = build_any(&b, json, root);

    if (!status_failed(&st) && !json_is_object(json))
        st = FAIL(STATUS_INVALID, "is not an object");
    if (status_failed(&st)) {
        template_free(root);
        return st;
    }
    *ret_template = root;
    return SUCCESS;
}

void template_free(struct template *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        template_free(t->children[i]);
    free(t->children);
    free(t->name);
    free(t->literal);
    free(t->stages);
    free(t);
}

/* The child under a member's name or a list's index; NULL: none. */
static struct template *child_at(const struct template *t, const char *name,
                                 size_t size)
{
    AUTO(free_pointer) char *bare = xstrndup(name, size);
    AUTO(free_pointer) char *member = canonical_name(bare);

    if (t->hole != HOLE_OBJECT && t->hole != HOLE_LIST)
        return NULL;
    for (size_t i = 0; i < t->count; i++) {
        char index[24];

        (void)snprintf(index, sizeof index, "%zu", i);
        if (t->hole == HOLE_LIST ? strcmp(bare, index) == 0
                                 : strcmp(t->children[i]->name, member) == 0)
            return t->children[i];
    }
    return NULL;
}

/* A part without holes is one literal and has no places inside. */
struct status template_blank(struct template *t, const char *pointer)
{
    const char *at = pointer;

    while (*at == '/' && t != NULL) {
        size_t size = strcspn(at + 1, "/");

        t = child_at(t, at + 1, size);
        at += 1 + size;
    }
    if (t == NULL || at == pointer || *at != '\0')
        return FAIL(STATUS_INVALID, "no parameter stands at \"%.100s\"",
                    pointer);
    t->blank = true;
    return SUCCESS;
}

size_t template_stage_count(const struct template *t)
{
    return t->stage_count;
}

struct template_ref template_stage(const struct template *t, size_t i)
{
    return t->stages[i];
}

/* ---- writing ---------------------------------------------------------- */

static bool is_absent(const struct template *t, const struct template_values *v)
{
    if (t->blank && v->blanked)
        return false;
    if (t->hole == HOLE_PARAM)
        return v->texts[t->number] == NULL;
    for (size_t i = 0; t->hole == HOLE_TEXT && i < t->count; i++) {
        if (is_absent(t->children[i], v))
            return true;
    }
    return false;
}

MUST_CHECK static struct status put(const struct template *t,
                                    const struct template_values *v,
                                    struct buf *out);

MUST_CHECK static struct status write_text(const struct template *t,
                                           const struct template_values *v,
                                           struct buf *out)
{
    struct buf joined;
    struct status st = SUCCESS;

    buf_init(&joined, LIMIT_PARAMS);
    for (size_t i = 0; i < t->count && !status_failed(&st); i++) {
        const struct template *part = t->children[i];
        const char *text = part->literal;

        if (part->hole == HOLE_PARAM) {
            text = json_string_value(v->values[part->number]);
            text = text != NULL ? text : v->texts[part->number];
        }
        st = buf_add_text(&joined, text);
    }
    if (!status_failed(&st)) {
        json_t *json =
            json_stringn(joined.size > 0 ? joined.data : "", joined.size);
        AUTO(free_pointer) char *canonical = json_canonical(json);

        json_decref(json);
        st = buf_add_text(out, canonical);
    }
    buf_release(&joined);
    return st;
}

MUST_CHECK static struct status write_row(const struct template *t,
                                          const struct template_values *v,
                                          struct buf *out)
{
    bool is_object = t->hole == HOLE_OBJECT;
    bool first = true;

    TRY_PLAIN(buf_add(out, is_object ? "{" : "[", 1));
    for (size_t i = 0; i < t->count; i++) {
        const struct template *child = t->children[i];

        if (is_absent(child, v))
            continue;
        if (!first)
            TRY_PLAIN(buf_add(out, ",", 1));
        first = false;
        if (is_object)
            TRY_PLAIN(buf_add_text(out, child->name));
        TRY_PLAIN(put(child, v, out));
    }
    return buf_add(out, is_object ? "}" : "]", 1);
}

/* Depth was checked when the template was made. */
MUST_CHECK static struct status put(const struct template *t,
                                    const struct template_values *v,
                                    struct buf *out)
{
    if (t->blank && v->blanked)
        return buf_add_text(out, "null");
    switch (t->hole) {
    case HOLE_NONE:
        return buf_add_text(out, t->literal);
    case HOLE_PARAM:
        return buf_add_text(out, v->texts[t->number]);
    case HOLE_STAGE:
        return v->stage(v->self, (struct template_ref){ t->number, t->whose },
                        out);
    case HOLE_TEXT:
        return write_text(t, v, out);
    default:
        return write_row(t, v, out);
    }
}

struct status template_write(const struct template *t,
                             const struct template_values *values,
                             struct buf *out)
{
    return put(t, values, out);
}
