/* ledger.c -- a segment is a version, then `order` and `at_ms` of its first
 * row, then rows. A row is
 *
 *     key                 32 bytes
 *     kind, worker        number of the name in this segment, from 1, twice;
 *                         one more if its size and text follow, as they do
 *                         the first time; 0: none
 *     order, at_ms, wall_ms
 *                         with the sign in the lowest bit; the first two less
 *                         those of the segment
 *     epoch, attempt, peak_bytes, bytes_read, bytes_fetched, model
 *     result, log         size and text
 *
 * All numbers are varints. */
#include "broker/core/ledger.h"

#include "common/limits.h"
#include "common/memory.h"
#include "common/varint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEGMENT_BYTES = 128 << 10, /* appends wait while a store takes one */
    VERSION = 1,
    VARINT_MOST = 10,
    NUMBERS = 13, /* varints of a row, sizes of texts and names with them */
    BLOCK = 1 << 14,
    STEP = 16, /* marks that are compared at once; divides BLOCK */
};

struct segment {
    char *data;
    size_t size, room;
    const char **names; /* interned */
    size_t name_count;
    uint64_t order;
    int64_t at_ms;
};

/* Where a row begins. */
struct place {
    uint32_t segment, offset;
};

/* Marks lie side by side: a snapshot looks at all of them, while nobody is
 * heard. */
struct block {
    struct place places[BLOCK];
    uint32_t marks[BLOCK];
};

struct ledger {
    const char *(*intern)(void *self, const char *text, size_t size);
    void *self;
    struct segment *segments;
    size_t segment_count, segment_room;
    struct block **blocks;
    size_t block_count, block_room;
    uint32_t count;
};

struct ledger *ledger_new(const char *(*intern)(void *self, const char *text,
                                                size_t size),
                          void *self)
{
    struct ledger *l = xnew(struct ledger);

    l->intern = intern;
    l->self = self;
    return l;
}

void ledger_free(struct ledger *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->segment_count; i++) {
        free(l->segments[i].data);
        free(l->segments[i].names);
    }
    for (size_t i = 0; i < l->block_count; i++)
        free(l->blocks[i]);
    free(l->segments);
    free(l->blocks);
    free(l);
}

uint32_t ledger_count(const struct ledger *l)
{
    return l->count;
}

static struct place *place_of(const struct ledger *l, uint32_t number)
{
    assert(number < l->count);
    return &l->blocks[number / BLOCK]->places[number % BLOCK];
}

static uint32_t *mark_of(const struct ledger *l, uint32_t number)
{
    assert(number < l->count);
    return &l->blocks[number / BLOCK]->marks[number % BLOCK];
}

uint32_t *ledger_mark(struct ledger *l, uint32_t number)
{
    return mark_of(l, number);
}

uint32_t ledger_mark_end(const struct ledger *l, uint32_t number)
{
    uint32_t marks[STEP];

    for (int i = 0; i < STEP; i++)
        marks[i] = *mark_of(l, number);
    while (number < l->count && *mark_of(l, number) == marks[0])
        if (number % STEP == 0 && l->count - number >= STEP &&
            memcmp(mark_of(l, number), marks, sizeof marks) == 0)
            number += STEP;
        else
            number++;
    return number;
}

/* Neither blocks nor segments are cleared: their pages come one by one then,
 * and not in one turn. */
static void add_place(struct ledger *l, size_t segment, size_t offset)
{
    if (l->count / BLOCK == l->block_count) {
        if (l->block_count == l->block_room) {
            l->block_room = l->block_room == 0 ? 16 : 2 * l->block_room;
            l->blocks =
                xrealloc(l->blocks, l->block_room * sizeof(struct block *));
        }
        l->blocks[l->block_count++] = xrealloc(NULL, sizeof(struct block));
    }
    l->count++;
    *mark_of(l, l->count - 1) = 0;
    *place_of(l, l->count - 1) = (struct place){ .segment = (uint32_t)segment,
                                                 .offset = (uint32_t)offset };
}

/* ---- writing ------------------------------------------------------------ */

/* `signed` numbers with the sign in the lowest bit. */
static uint64_t fold(int64_t n)
{
    return (uint64_t)n << 1 ^ (n < 0 ? UINT64_MAX : 0);
}

static int64_t unfold(uint64_t n)
{
    return (int64_t)(n >> 1 ^ (~(n & 1) + 1));
}

/* There is room: see begin_row(). */
static void put(struct segment *g, uint64_t number)
{
    while (number > 0x7f) {
        g->data[g->size++] = (char)(number | 0x80);
        number >>= 7;
    }
    g->data[g->size++] = (char)number;
}

static void put_text(struct segment *g, const char *text, size_t size)
{
    put(g, size);
    if (size > 0)
        memcpy(g->data + g->size, text, size);
    g->size += size;
}

static struct segment *new_segment(struct ledger *l, size_t room)
{
    struct segment *g;

    if (l->segment_count == l->segment_room) {
        l->segment_room = l->segment_room == 0 ? 16 : 2 * l->segment_room;
        l->segments =
            xrealloc(l->segments, l->segment_room * sizeof *l->segments);
    }
    assert(l->segments != NULL);
    g = &l->segments[l->segment_count++];
    *g = (struct segment){ .data = xrealloc(NULL, room), .room = room };
    return g;
}

static struct segment *start_segment(struct ledger *l, size_t room,
                                     const struct ledger_row *row)
{
    struct segment *g = new_segment(l, room);

    g->order = row->order;
    g->at_ms = row->at_ms;
    g->data[g->size++] = VERSION;
    put(g, g->order);
    put(g, fold(g->at_ms));
    return g;
}

static size_t name_size(const char *name)
{
    return name == NULL ? 0 : strlen(name);
}

/* The segment that the row goes into: one that has room for it. */
static struct segment *begin_row(struct ledger *l, const struct ledger_row *row)
{
    size_t most = DIGEST_SIZE + (size_t)NUMBERS * VARINT_MOST +
                  2 * (size_t)VARINT_MOST + name_size(row->kind) +
                  name_size(row->worker) + row->result.size + row->log.size;
    struct segment *last =
        l->segment_count == 0 ? NULL : &l->segments[l->segment_count - 1];
    size_t room = 1 + 2 * (size_t)VARINT_MOST + most;

    if (last != NULL && most <= last->room - last->size)
        return last;
    return start_segment(l, room < SEGMENT_BYTES ? SEGMENT_BYTES : room, row);
}

static size_t add_name(struct segment *g, const char *name)
{
    /* Room doubles at powers of two: the count tells it. */
    if ((g->name_count & (g->name_count - 1)) == 0)
        g->names =
            xrealloc(g->names, (g->name_count == 0 ? 1 : 2 * g->name_count) *
                                   sizeof(const char *));
    g->names[g->name_count++] = name;
    return g->name_count;
}

/* The newest names are asked for most. */
static void put_name(struct segment *g, const char *name)
{
    size_t i = g->name_count;

    if (name == NULL) {
        put(g, 0);
        return;
    }
    while (i > 0 && g->names[i - 1] != name)
        i--;
    if (i > 0) {
        put(g, 2 * i);
        return;
    }
    put(g, 2 * add_name(g, name) + 1);
    put_text(g, name, strlen(name));
}

uint32_t ledger_add(struct ledger *l, const struct ledger_row *row)
{
    struct segment *g = begin_row(l, row);

    add_place(l, l->segment_count - 1, g->size);
    memcpy(g->data + g->size, row->key.bytes, DIGEST_SIZE);
    g->size += DIGEST_SIZE;
    put_name(g, row->kind);
    put_name(g, row->worker);
    put(g, fold((int64_t)(row->order - g->order)));
    put(g, fold(row->at_ms - g->at_ms));
    put(g, fold(row->wall_ms));
    put(g, row->epoch);
    put(g, row->attempt);
    put(g, fold(row->peak_bytes));
    put(g, fold(row->bytes_read));
    put(g, fold(row->bytes_fetched));
    put(g, row->model);
    put_text(g, row->result.data, row->result.size);
    put_text(g, row->log.data, row->log.size);
    return l->count - 1;
}

/* ---- reading ------------------------------------------------------------ */

struct reader {
    struct ledger *l; /* NULL: the segment's names are known */
    struct segment *g;
    const char *at, *end;
    bool bad;
};

static uint64_t get(struct reader *r)
{
    uint64_t number = 0;

    if (!r->bad && !varint_get(&r->at, r->end, &number))
        r->bad = true;
    return number;
}

static struct wire_bytes get_text(struct reader *r)
{
    size_t size = (size_t)get(r);
    struct wire_bytes text = { r->at, size };

    if (r->bad || size > (size_t)(r->end - r->at)) {
        r->bad = true;
        return (struct wire_bytes){ NULL, 0 };
    }
    r->at += size;
    return text;
}

/* One that is new is learnt when the segment is loaded, and passed over at any
 * later time. */
static const char *get_name(struct reader *r)
{
    uint64_t head = get(r);
    uint64_t number = head >> 1;
    struct wire_bytes text = { NULL, 0 };

    if ((head & 1) != 0)
        text = get_text(r);
    if (r->l != NULL && (head & 1) != 0 && !r->bad) {
        r->bad = number != r->g->name_count + 1 || text.size > LIMIT_URL;
        if (!r->bad)
            (void)add_name(r->g,
                           r->l->intern(r->l->self, text.data, text.size));
    }
    r->bad = r->bad || number > r->g->name_count;
    return r->bad || number == 0 ? NULL : r->g->names[number - 1];
}

static struct ledger_row get_row(struct reader *r)
{
    struct ledger_row row = { .epoch = 0 };

    if (r->end - r->at < DIGEST_SIZE) {
        r->bad = true;
        return row;
    }
    memcpy(row.key.bytes, r->at, DIGEST_SIZE);
    r->at += DIGEST_SIZE;
    row.kind = get_name(r);
    row.worker = get_name(r);
    row.order = r->g->order + (uint64_t)unfold(get(r));
    row.at_ms = r->g->at_ms + unfold(get(r));
    row.wall_ms = unfold(get(r));
    row.epoch = get(r);
    row.attempt = get(r);
    row.peak_bytes = unfold(get(r));
    row.bytes_read = unfold(get(r));
    row.bytes_fetched = unfold(get(r));
    row.model = get(r);
    row.result = get_text(r);
    row.log = get_text(r);
    return row;
}

struct ledger_row ledger_read(const struct ledger *l, uint32_t number)
{
    const struct place *p = place_of(l, number);
    struct segment *g = &l->segments[p->segment];
    struct reader r = { .g = g,
                        .at = g->data + p->offset,
                        .end = g->data + g->size };
    struct ledger_row row = get_row(&r);

    assert(!r.bad);
    return row;
}

const struct digest *ledger_key(const struct ledger *l, uint32_t number)
{
    const struct place *p = place_of(l, number);

    return (const struct digest *)(l->segments[p->segment].data + p->offset);
}

struct wire_bytes ledger_result(const struct ledger *l, uint32_t number)
{
    return ledger_read(l, number).result;
}

/* ---- segments as a whole ------------------------------------------------- */

size_t ledger_segments(const struct ledger *l)
{
    return l->segment_count;
}

struct wire_bytes ledger_segment(const struct ledger *l, size_t i)
{
    return (struct wire_bytes){ l->segments[i].data, l->segments[i].size };
}

MUST_CHECK static struct status load_rows(struct ledger *l, struct segment *g)
{
    size_t segment = l->segment_count - 1;
    struct reader r = {
        .l = l, .g = g, .at = g->data, .end = g->data + g->size
    };

    if (*r.at++ != VERSION)
        return FAIL(STATUS_CORRUPT,
                    "results of version %d, this program "
                    "knows %d: was it written by a newer one?",
                    g->data[0], VERSION);
    g->order = get(&r);
    g->at_ms = unfold(get(&r));
    while (!r.bad && r.at < r.end) {
        size_t offset = (size_t)(r.at - g->data);

        (void)get_row(&r);
        if (!r.bad)
            add_place(l, segment, offset);
    }
    if (r.bad)
        return FAIL(STATUS_CORRUPT, "results: row %u cannot be read", l->count);
    return SUCCESS;
}

struct status ledger_load(struct ledger *l, const char *data, size_t size)
{
    size_t room = size < SEGMENT_BYTES ? SEGMENT_BYTES : size;
    struct segment *g;

    if (size == 0)
        return FAIL(STATUS_CORRUPT, "results: an empty piece");
    g = new_segment(l, room);
    memcpy(g->data, data, size);
    g->size = size;
    return load_rows(l, g);
}
