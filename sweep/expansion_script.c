/* expansion_script.c -- a template as a row of pieces: texts that are the same
 * for all trials, and holes between them. What template_write() finds out for
 * each trial (which commas, which quotes, in which order) is known here once. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/expansion_parts.h"
#include "sweep/template_parts.h"

enum piece_kind {
    PIECE_BYTES,
    PIECE_PARAM,      /* its bytes (a comma, a name), then the value; or
                         nothing where that is absent */
    PIECE_STAGE,      /* what stands for the stage */
    PIECE_TEXT,       /* as PIECE_PARAM: parts in quotes; they follow */
    PIECE_PART_BYTES, /* of a PIECE_TEXT, escaped */
    PIECE_PART_PARAM,
};

struct piece {
    enum piece_kind kind;
    /* The first byte is a comma, which is left out behind a bracket: whether
     * anything stands before it depends on the trial. */
    bool joins;
    uint32_t at, size; /* in the bytes of the script */
    int number;        /* of the parameter or stage */
    enum template_whose whose;
    uint32_t parts; /* of a PIECE_TEXT */
};

void text_release(struct text *t)
{
    free(t->bytes);
    *t = (struct text){ 0 };
}

/* For so many bytes more. */
static inline char *reserve(struct text *t, size_t more)
{
    enum { LEAST_ROOM = 256 };

    if (t->room - t->size < more) {
        t->room = 2 * (t->size + more) + LEAST_ROOM;
        t->bytes = xrealloc(t->bytes, t->room);
    }
    return t->bytes + t->size;
}

void text_add(struct text *t, const void *bytes, size_t size)
{
    char *at = reserve(t, size + 1);

    if (size > 0)
        memcpy(at, bytes, size);
    t->size += size;
}

void script_release(struct script *s)
{
    free(s->pieces);
    text_release(&s->bytes);
    *s = (struct script){ 0 };
}

/* ---- cutting ---------------------------------------------------------- */

struct cutter {
    struct script *s;
    bool blanked;
};

static struct piece *add_piece(struct script *s, enum piece_kind kind)
{
    if (s->count == s->room) {
        s->room = s->room == 0 ? 8 : 2 * s->room;
        s->pieces = xrealloc(s->pieces, s->room * sizeof *s->pieces);
    }
    assert(s->pieces != NULL);
    s->pieces[s->count] =
        (struct piece){ .kind = kind, .at = (uint32_t)s->bytes.size };
    return &s->pieces[s->count++];
}

/* To the last piece, if that may have more. */
static void add_bytes(struct script *s, const char *bytes, size_t size)
{
    struct piece *p = s->count > 0 ? &s->pieces[s->count - 1] : NULL;

    if (p == NULL || p->kind != PIECE_BYTES)
        p = add_piece(s, PIECE_BYTES);
    text_add(&s->bytes, bytes, size);
    p->size += (uint32_t)size;
}

/* Comma and name of a child. */
static void add_head(struct script *s, struct piece *p,
                     const struct template *child, bool comma)
{
    size_t before = s->bytes.size;

    if (comma)
        text_add(&s->bytes, ",", 1);
    if (child->name != NULL)
        text_add(&s->bytes, child->name, strlen(child->name));
    p->size += (uint32_t)(s->bytes.size - before);
}

/* Bare text as it stands in quotes. */
static void add_escaped(struct script *s, const char *bare)
{
    json_t *json = json_string(bare);
    AUTO(free_pointer) char *quoted = json_canonical(json);
    struct piece *p = add_piece(s, PIECE_PART_BYTES);

    json_decref(json);
    p->size = (uint32_t)strlen(quoted) - 2;
    text_add(&s->bytes, quoted + 1, p->size);
}

static void cut_text(struct script *s, const struct template *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->children[i]->hole == HOLE_PARAM)
            add_piece(s, PIECE_PART_PARAM)->number = t->children[i]->number;
        else
            add_escaped(s, t->children[i]->literal);
    }
}

static void cut(const struct cutter *c, const struct template *t);

/* A child that may be absent. */
static void cut_optional(struct script *s, const struct template *t, bool comma,
                         bool joins)
{
    bool is_text = t->hole == HOLE_TEXT;
    struct piece *p = add_piece(s, is_text ? PIECE_TEXT : PIECE_PARAM);

    p->joins = joins;
    p->number = t->number;
    p->parts = (uint32_t)t->count;
    add_head(s, p, t, comma);
    if (is_text)
        cut_text(s, t);
}

static void cut_row(const struct cutter *c, const struct template *t)
{
    bool is_object = t->hole == HOLE_OBJECT;
    bool sure = false; /* something stands before it in any trial */

    add_bytes(c->s, is_object ? "{" : "[", 1);
    for (size_t i = 0; i < t->count; i++) {
        const struct template *child = t->children[i];
        bool joins = i > 0 && !sure;

        if ((child->hole == HOLE_PARAM || child->hole == HOLE_TEXT) &&
            !(child->blank && c->blanked)) {
            cut_optional(c->s, child, i > 0, joins);
            continue;
        }
        if (joins)
            add_piece(c->s, PIECE_BYTES)->joins = true;
        else
            add_bytes(c->s, "", 0);
        add_head(c->s, &c->s->pieces[c->s->count - 1], child, i > 0);
        cut(c, child);
        sure = true;
    }
    add_bytes(c->s, is_object ? "}" : "]", 1);
}

static void add_stage(struct script *s, const struct template *t)
{
    struct piece *p = add_piece(s, PIECE_STAGE);

    p->number = t->number;
    p->whose = t->whose;
}

/* Not an optional one. Depth was checked when the template was made. */
static void cut(const struct cutter *c, const struct template *t)
{
    if (t->blank && c->blanked)
        add_bytes(c->s, "null", 4);
    else if (t->hole == HOLE_NONE)
        add_bytes(c->s, t->literal, strlen(t->literal));
    else if (t->hole == HOLE_STAGE)
        add_stage(c->s, t);
    else
        cut_row(c, t);
}

void script_make(struct script *s, const struct template *t, bool blanked)
{
    const struct cutter c = { s, blanked };

    *s = (struct script){ 0 };
    cut(&c, t);
}

/* ---- writing ---------------------------------------------------------- */

/* The bytes of the piece and room for `more`. */
static inline char *write_head(const struct script *s, const struct piece *p,
                               size_t more, struct text *out)
{
    char *to = reserve(out, p->size + more);
    const char *from = s->bytes.bytes + p->at;
    size_t size = p->size;

    if (p->joins && (to[-1] == '{' || to[-1] == '[')) {
        from++;
        size--;
    }
    memcpy(to, from, size);
    out->size += size;
    return to + size;
}

static inline void write_param(const struct script *s, const struct piece *p,
                               const struct space_value *v, struct text *out)
{
    if (v->text == NULL)
        return;
    memcpy(write_head(s, p, v->size, out), v->text, v->size);
    out->size += v->size;
}

/* Nothing if a part is absent. */
static void write_text(const struct script *s, const struct piece *p,
                       const struct space_value *values, struct text *out)
{
    for (uint32_t i = 1; i <= p->parts; i++) {
        if (p[i].kind == PIECE_PART_PARAM && values[p[i].number].text == NULL)
            return;
    }
    *write_head(s, p, 1, out) = '"';
    out->size++;
    for (uint32_t i = 1; i <= p->parts; i++) {
        const struct space_value *v = &values[p[i].number];

        if (p[i].kind == PIECE_PART_PARAM)
            text_add(out, v->inner, v->inner_size);
        else
            text_add(out, s->bytes.bytes + p[i].at, p[i].size);
    }
    text_add(out, "\"", 1);
}

bool script_write(const struct script *s, const struct script_scope *scope,
                  size_t most, struct text *out)
{
    const struct space_value *values = scope->values;
    const struct text *stage;

    for (size_t i = 0; i < s->count && out->size <= most; i++) {
        const struct piece *p = &s->pieces[i];

        switch (p->kind) {
        case PIECE_BYTES:
            (void)write_head(s, p, 0, out);
            break;
        case PIECE_PARAM:
            write_param(s, p, &values[p->number], out);
            break;
        case PIECE_STAGE:
            stage = scope->stage(scope->self,
                                 (struct template_ref){ p->number, p->whose });
            text_add(out, stage->bytes, stage->size);
            break;
        case PIECE_TEXT:
            write_text(s, p, values, out);
            break;
        default: /* a part, which its text has written */
            break;
        }
    }
    return out->size <= most;
}
