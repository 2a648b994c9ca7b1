#include "model/layout.h"

#include "common/memory.h"

/* Takes pieces; lines of 64 bytes keep vectors aligned. */
static size_t cut(size_t *used, size_t count)
{
    size_t at = *used;

    *used += (count + 15) / 16 * 16;
    return at;
}

/* What is being laid out. */
struct cutter {
    struct layout *to;
    const struct graph *graph;
    const struct pass_room *room;
    uint32_t *starts; /* of the largest batch */
    size_t segments;
    size_t used;
};

bool room_trains(const struct pass_room *room, const struct graph *g,
                 size_t parameter)
{
    const struct graph_parameter *p = &g->parameters[parameter];

    if (room->alone && p->section != room->section)
        return false;
    return room->trained == NULL ? p->role != ROLE_STATISTIC
                                 : room->trained[parameter];
}

size_t room_first(const struct pass_room *room)
{
    return room->alone ? room->section : 0;
}

size_t room_last(const struct pass_room *room, const struct graph *g)
{
    return room->alone ? room->section + 1 : g->sections;
}

size_t room_end(const struct pass_room *room, const struct graph *g,
                size_t section)
{
    if (room->headless && section + 1 == g->sections)
        return g->values[g->logits].writer;
    return g->first_step[section + 1];
}

/* Steps that are computed: [first, last). */
static size_t first_step(const struct cutter *l)
{
    return l->graph->first_step[room_first(l->room)];
}

static size_t last_step(const struct cutter *l)
{
    return room_end(l->room, l->graph, room_last(l->room, l->graph) - 1);
}

static bool is_trained(const struct cutter *l, size_t parameter)
{
    return room_trains(l->room, l->graph, parameter);
}

/* Sequences as long as may be take the most memory. */
static void fill_starts(struct cutter *l)
{
    size_t whole = l->room->rows / l->room->longest;

    l->starts = xcalloc(whole + 2, sizeof(*l->starts));
    for (size_t i = 0; i < whole; i++)
        l->starts[i + 1] = (uint32_t)((i + 1) * l->room->longest);
    l->segments = whole;
    if (whole * l->room->longest < l->room->rows)
        l->starts[++l->segments] = (uint32_t)l->room->rows;
}

static size_t saved_size(const struct cutter *l, const struct graph_step *s)
{
    struct op_shape shape = graph_shape(l->graph, s, l->room->rows);
    struct op_sizes sizes = { 0 };

    shape.segments = l->segments;
    shape.starts = l->starts;
    shape.lean = !l->room->gradients;
    s->op->sizes(&shape, &sizes);
    return sizes.saved;
}

static size_t value_size(const struct cutter *l, int value)
{
    const struct graph_value *v = &l->graph->values[value];

    return v->fixed != 0 ? v->fixed : v->width * l->room->rows;
}

/* What lives as long as the pass: statistics of batches, and streams. Without
 * a backward two streams take turns. */
static void lay_lasting(struct cutter *l)
{
    const struct graph *g = l->graph;
    size_t last = room_last(l->room, g);
    size_t widest = 0;

    for (size_t i = first_step(l); i < last_step(l); i++)
        if (g->steps[i].op == &op_batch_norm)
            l->to->saved[i] = cut(&l->used, saved_size(l, &g->steps[i]));
    for (size_t i = room_first(l->room); i < last && g->streams[i] != 0; i++) {
        size_t size = value_size(l, g->streams[i]);

        widest = size > widest ? size : widest;
        if (l->room->gradients)
            l->to->values[g->streams[i]] = cut(&l->used, size);
    }
    if (l->room->gradients)
        return;
    for (size_t turn = 0; turn < 2; turn++) {
        size_t at = cut(&l->used, widest);

        for (size_t i = room_first(l->room) + turn;
             i < last && g->streams[i] != 0; i += 2)
            l->to->values[g->streams[i]] = at;
    }
}

/* Numbers that the makers of weights keep: never from forward to backward. */
static void lay_makers(struct cutter *l)
{
    const struct graph *g = l->graph;
    size_t most = 0, at;

    for (size_t i = 0; i < g->step_count; i++)
        if (g->values[g->steps[i].out].fixed != 0 &&
            saved_size(l, &g->steps[i]) > most)
            most = saved_size(l, &g->steps[i]);
    at = cut(&l->used, most);
    for (size_t i = 0; i < g->step_count; i++)
        if (g->values[g->steps[i].out].fixed != 0)
            l->to->saved[i] = at;
}

/* Made weights, one at a time: all share the largest one's place. */
static void lay_made(struct cutter *l, size_t *offsets)
{
    const struct graph *g = l->graph;
    size_t most = 0, at;

    for (size_t i = 1; i < g->value_count; i++)
        most = g->values[i].fixed > most ? g->values[i].fixed : most;
    at = cut(&l->used, most);
    for (size_t i = 1; i < g->value_count; i++)
        if (g->values[i].fixed != 0)
            offsets[i] = at;
}

/* The inside of sections, which share their memory or not. */
static void lay_values(struct cutter *l)
{
    const struct graph *g = l->graph;
    bool shared = !l->room->gradients || l->room->again;
    size_t begin = l->used, most = l->used;

    for (size_t section = room_first(l->room); section < room_last(l->room, g);
         section++) {
        if (shared)
            l->used = begin;
        for (size_t i = g->first_step[section];
             i < room_end(l->room, g, section); i++) {
            const struct graph_step *s = &g->steps[i];

            if (l->to->values[s->out] == LAYOUT_NONE)
                l->to->values[s->out] = cut(&l->used, value_size(l, s->out));
            if (l->to->saved[i] == LAYOUT_NONE)
                l->to->saved[i] = cut(&l->used, saved_size(l, s));
        }
        most = l->used > most ? l->used : most;
    }
    l->used = most;
}

/* Which values a trained parameter flows into. The caller frees. */
static bool *find_wanted(const struct cutter *l)
{
    const struct graph *g = l->graph;
    bool *wanted = xcalloc(g->value_count, sizeof(*wanted));

    for (size_t i = first_step(l); i < last_step(l); i++) {
        const struct graph_step *s = &g->steps[i];

        for (size_t k = 0; k < OP_INPUTS; k++) {
            if (s->in[k] < 0)
                wanted[s->out] |= is_trained(l, (size_t)(-1 - s->in[k]));
            if (s->in[k] > 0)
                wanted[s->out] |= wanted[s->in[k]];
        }
    }
    return wanted;
}

/* They take turns. */
static void lay_stream_slopes(struct cutter *l)
{
    const struct graph *g = l->graph;
    size_t first = room_first(l->room), last = room_last(l->room, g);
    size_t widest = 0;
    size_t streams[2];

    for (size_t i = first; i < last && g->streams[i] != 0; i++)
        if (value_size(l, g->streams[i]) > widest)
            widest = value_size(l, g->streams[i]);
    streams[0] = cut(&l->used, widest);
    streams[1] = cut(&l->used, widest);
    for (size_t i = first; i < last && g->streams[i] != 0; i++)
        l->to->slopes[g->streams[i]] = streams[i % 2];
}

/* Those inside of sections share memory. */
static void lay_slopes(struct cutter *l)
{
    const struct graph *g = l->graph;
    bool *wanted = find_wanted(l);
    size_t begin, most;

    lay_stream_slopes(l);
    lay_made(l, l->to->slopes);
    begin = most = l->used;
    for (size_t section = room_first(l->room); section < room_last(l->room, g);
         section++) {
        l->used = begin;
        for (size_t i = g->first_step[section]; i < g->first_step[section + 1];
             i++) {
            int out = g->steps[i].out;

            if (wanted[out] && l->to->slopes[out] == LAYOUT_NONE)
                l->to->slopes[out] = cut(&l->used, value_size(l, out));
        }
        most = l->used > most ? l->used : most;
    }
    l->used = most;
    for (size_t i = 1; i < g->value_count; i++)
        if (!wanted[i])
            l->to->slopes[i] = LAYOUT_NONE;
    free(wanted);
}

static void lay_gradients(struct cutter *l)
{
    const struct graph *g = l->graph;

    l->to->gradients_at = l->used;
    for (size_t i = 0; i < g->parameter_count; i++)
        if (is_trained(l, i)) {
            l->to->gradients[i] = l->to->gradients_at + l->to->gradients_size;
            l->to->gradients_size += g->parameters[i].count;
        }
    (void)cut(&l->used, l->to->gradients_size);
}

static size_t *new_offsets(size_t count)
{
    size_t *offsets = xcalloc(count + 1, sizeof(*offsets));

    for (size_t i = 0; i < count; i++)
        offsets[i] = LAYOUT_NONE;
    return offsets;
}

void layout_init(struct layout *p, const struct graph *g,
                 const struct model_config *c, const struct pass_room *room)
{
    struct cutter l = { .to = p, .graph = g, .room = room };

    *p = (struct layout){
        .values = new_offsets(g->value_count),
        .slopes = new_offsets(g->value_count),
        .saved = new_offsets(g->step_count),
        .gradients = new_offsets(g->parameter_count),
    };
    fill_starts(&l);
    p->table = cut(&l.used, op_rope_table_size(room->longest, c->rotary));
    lay_lasting(&l);
    lay_made(&l, p->values);
    lay_makers(&l);
    lay_values(&l);
    if (room->gradients) {
        lay_slopes(&l);
        lay_gradients(&l);
    }
    p->size = l.used;
    free(l.starts);
}

void layout_release(struct layout *p)
{
    free(p->values);
    free(p->slopes);
    free(p->saved);
    free(p->gradients);
}
