/* select_report.c -- a selection as files, for people and for the data form
 * `selected`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/memory.h"
#include "jobs/select/concepts.h"
#include "jobs/select_choose.h"
#include "jobs/select_table.h"

static void set_real(json_t *object, const char *key, double value)
{
    if (isfinite(value))
        (void)json_object_set_new(object, key, json_real(value));
}

/* What is known of a kept sample, whatever becomes of it. */
static json_t *sample_json(const struct selection *s, size_t place)
{
    const struct pick_sample *p = &s->pick.samples[place];
    uint32_t number = s->kept[place];
    json_t *json = json_pack("{sI ss}", "id", (json_int_t)number, "reason",
                             pick_reason_name(p->reason));

    if (s->line[number] > 0)
        (void)json_object_set_new(json, "line",
                                  json_integer((json_int_t)s->line[number]));
    if (s->labels != NULL)
        (void)json_object_set_new(json, "cluster",
                                  json_integer((json_int_t)s->labels[place]));
    if (s->damage != NULL)
        set_real(json, s->method->ifd ? "ifd" : "jsd", s->damage[place]);
    if (p->cost > 0.0)
        set_real(json, "cost", p->cost);
    set_real(json, "score", p->score);
    return json;
}

MUST_CHECK static struct status add_line(struct buf *out, json_t *taken)
{
    AUTO(json_release) json_t *json = taken;
    AUTO(free_pointer) char *text = json_canonical(json);

    TRY_PLAIN(buf_add_text(out, text));
    return buf_add_text(out, "\n");
}

/* A sample goes into a file of lines and into the table of all. */
struct files {
    struct buf lines, *table;
};

MUST_CHECK static struct status add_sample(struct files *f, json_t *taken,
                                           size_t place)
{
    AUTO(json_release) json_t *json = taken;

    TRY_PLAIN(select_table_add(f->table, json, place));
    return add_line(&f->lines, json_incref(json));
}

MUST_CHECK static struct status write_buf(const struct buf *b,
                                          const char *directory,
                                          const char *name)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, name);

    return file_write(path, b->size == 0 ? "" : b->data, b->size);
}

static void files_release(struct files *f)
{
    buf_release(&f->lines);
}

MUST_CHECK static struct status write_selected(const struct selection *s,
                                               const char *directory,
                                               struct buf *table)
{
    AUTO(files_release) struct files out = { .table = table };

    buf_init(&out.lines, SIZE_MAX);
    for (size_t i = 0; i < s->pick.count; i++)
        TRY_PLAIN(add_sample(&out, sample_json(s, s->pick.selected[i]), i + 1));
    return write_buf(&out.lines, directory, "selection.jsonl");
}

/* ---- those that are not in it --------------------------------------------------- */

/* Texts of concepts, found by number. */
struct names {
    char *bytes;
    const char **texts;
    size_t count;
};

static void names_release(struct names *n)
{
    free(n->bytes);
    free(n->texts);
}

MUST_CHECK static struct status open_names(const struct selection *s,
                                           struct names *n)
{
    size_t size, room = 0;
    void *data;

    if (s->concepts == NULL)
        return SUCCESS;
    TRY_PLAIN(select_take(&s->pool, "names", DTYPE_U8, 1, &data, &size));
    n->bytes = data;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(n->bytes + at, '\0', size - at);

        if (end == NULL)
            return FAIL(STATUS_CORRUPT, "the names of concepts are cut off");
        if (n->count == room) {
            room = room == 0 ? 1024 : 2 * room;
            n->texts = xrealloc(n->texts, room * sizeof(*n->texts));
        }
        n->texts[n->count++] = n->bytes + at;
        at = (size_t)(end - n->bytes) + 1;
    }
    return SUCCESS;
}

static json_t *refused_json(const struct selection *s, size_t place,
                            const struct names *names)
{
    const struct pick_sample *p = &s->pick.samples[place];
    json_t *json = sample_json(s, place);

    if (p->reason == PICK_CONFLICT && p->a < names->count &&
        p->b < names->count) {
        (void)json_object_set_new(
            json, "pair",
            json_pack("[ss]", names->texts[p->a], names->texts[p->b]));
        (void)json_object_set_new(json, "pairs",
                                  json_integer((json_int_t)p->pairs));
    }
    if (p->reason == PICK_INVALID)
        (void)json_object_set_new(
            json, "why",
            json_string(s->answer != NULL && s->answer[place] == 0
                            ? "no token of its answer is left"
                            : "the models' numbers are not finite"));
    return json;
}

/* Those that were not even looked at. */
static json_t *left_out_json(const struct selection *s, size_t number,
                             const char *reason)
{
    json_t *json =
        json_pack("{sI ss}", "id", (json_int_t)number, "reason", reason);

    if (s->line[number] > 0)
        (void)json_object_set_new(json, "line",
                                  json_integer((json_int_t)s->line[number]));
    return json;
}

MUST_CHECK static struct status add_duplicates(const struct selection *s,
                                               struct files *out)
{
    for (size_t i = 0; i < s->count; i++) {
        json_t *json;

        if (s->same[i] == i)
            continue;
        json = left_out_json(s, i, "duplicate");
        (void)json_object_set_new(json, "of",
                                  json_integer((json_int_t)s->same[i]));
        TRY_PLAIN(add_sample(out, json, 0));
    }
    return SUCCESS;
}

MUST_CHECK static struct status add_invalid(const struct selection *s,
                                            struct files *out)
{
    const json_t *list = json_object_get(s->pool.notes, "invalid");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        size_t number = (size_t)json_integer_value(json_array_get(one, 0));
        json_t *json;

        if (number >= s->count)
            continue;
        json = left_out_json(s, number, "invalid");
        (void)json_object_set(json, "why", json_array_get(one, 1));
        TRY_PLAIN(add_sample(out, json, 0));
    }
    return SUCCESS;
}

MUST_CHECK static struct status write_rejected(const struct selection *s,
                                               const char *directory,
                                               struct buf *table)
{
    AUTO(names_release) struct names names = { .count = 0 };
    AUTO(files_release) struct files out = { .table = table };

    buf_init(&out.lines, SIZE_MAX);
    TRY_PLAIN(open_names(s, &names));
    for (size_t i = 0; i < s->kept_count; i++)
        if (s->pick.samples[i].reason != PICK_SELECTED)
            TRY_PLAIN(add_sample(&out, refused_json(s, i, &names), 0));
    TRY_PLAIN(add_duplicates(s, &out));
    TRY_PLAIN(add_invalid(s, &out));
    return write_buf(&out.lines, directory, "rejected.jsonl");
}

/* ---- the whole --------------------------------------------------------------- */

static size_t covered(const struct selection *s)
{
    size_t count = 0;

    for (size_t i = 0; i < s->pick.clusters; i++)
        count += s->pick.by_label[i].taken > 0;
    return count;
}

static double coverage(const struct selection *s)
{
    return s->pick.clusters == 0
               ? 0.0
               : (double)covered(s) / (double)s->pick.clusters;
}

json_t *select_report_metrics(const struct selection *s)
{
    json_t *metrics =
        json_pack("{sI sI}", "selected", (json_int_t)s->pick.count, "rejected",
                  (json_int_t)(s->count - s->pick.count));
    const json_t *gap = json_object_get(s->cluster_notes, "gap");

    if (!s->method->clusters)
        return metrics;
    (void)json_object_set_new(metrics, "clusters",
                              json_integer((json_int_t)s->pick.clusters));
    if (json_is_number(gap))
        (void)json_object_set_new(metrics, "gap",
                                  json_real(json_number_value(gap)));
    (void)json_object_set_new(metrics, "coverage", json_real(coverage(s)));
    return metrics;
}

static json_t *clusters_json(const struct selection *s)
{
    json_t *list =
        json_deep_copy(json_object_get(s->cluster_notes, "clusters"));

    for (size_t i = 0; i < s->pick.clusters; i++) {
        const struct pick_cluster *c = &s->pick.by_label[i];
        json_t *json = json_array_get(list, i);
        double share = s->pick.budget == 0
                           ? 0.0
                           : (double)c->budget / (double)s->pick.budget;

        (void)json_object_update_new(
            json, json_pack("{sI sI sI sI sf}", "valid", (json_int_t)c->valid,
                            "budget", (json_int_t)c->budget, "taken",
                            (json_int_t)c->taken, "conflicts",
                            (json_int_t)c->conflicts, "share", share));
        set_real(json, "degradation", c->degradation);
    }
    return list;
}

static json_t *reasons_json(const struct selection *s)
{
    json_t *json = json_object();
    size_t invalid = json_array_size(json_object_get(s->pool.notes, "invalid"));

    for (size_t i = 0; i < PICK_REASONS; i++) {
        size_t count = s->pick.reasons[i] + (i == PICK_INVALID ? invalid : 0);

        if (count > 0 && i != PICK_SELECTED)
            (void)json_object_set_new(json,
                                      pick_reason_name((enum pick_reason)i),
                                      json_integer((json_int_t)count));
    }
    if (s->count > s->kept_count + invalid)
        (void)json_object_set_new(
            json, "duplicate",
            json_integer((json_int_t)(s->count - s->kept_count - invalid)));
    return json;
}

static void add_note(json_t *notes, const json_t *of)
{
    if (json_object_get(of, "note") != NULL)
        (void)json_array_append(notes, json_object_get(of, "note"));
}

static json_t *notes_json(const struct selection *s)
{
    json_t *notes = json_array();

    add_note(notes, json_object_get(s->cluster_notes, "spectrum"));
    add_note(notes, s->cluster_notes);
    if (s->pick.zero_total)
        (void)json_array_append_new(
            notes, json_string("the models predict the same: clusters have "
                               "equal shares of the budget"));
    return notes;
}

/* Numbers and words of the file, and how divergences were reduced. */
static json_t *settings_json(const struct selection *s)
{
    static const char *const names[] = {
        "budget",        "budget_mode", "min_per_cluster", "cost", "conflicts",
        "cluster_order", "seed",
    };
    json_t *json = json_object();

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        json_t *value = json_object_get(s->params, names[i]);

        if (value != NULL)
            (void)json_object_set(json, names[i], value);
    }
    if (s->damage_notes != NULL)
        (void)json_object_update(json, s->damage_notes);
    return json;
}

MUST_CHECK static struct status write_json(json_t *taken, const char *directory,
                                           const char *name)
{
    AUTO(json_release) json_t *json = taken;
    AUTO(buf_release) struct buf out;

    buf_init(&out, SIZE_MAX);
    TRY_PLAIN(add_line(&out, json_incref(json)));
    return write_buf(&out, directory, name);
}

static json_t *whole_json(const struct selection *s)
{
    json_t *json = json_pack(
        "{si ss sO sI sI sI sI sI sI so so so}", "sinter_selection", 1,
        "method", s->method->name, "data", json_object_get(s->params, "data"),
        "samples", (json_int_t)s->count, "kept", (json_int_t)s->kept_count,
        "budget", (json_int_t)s->pick.budget, "selected",
        (json_int_t)s->pick.count, "rejected",
        (json_int_t)(s->count - s->pick.count), "unspent",
        (json_int_t)s->pick.unspent, "reasons", reasons_json(s), "notes",
        notes_json(s), "settings", settings_json(s));

    if (!s->method->clusters)
        return json;
    (void)json_object_set_new(json, "clusters", clusters_json(s));
    (void)json_object_set(json, "k", json_object_get(s->cluster_notes, "k"));
    (void)json_object_set(json, "gap",
                          json_object_get(s->cluster_notes, "gap"));
    (void)json_object_set(json, "spectrum",
                          json_object_get(s->cluster_notes, "spectrum"));
    (void)json_object_set_new(json, "coverage", json_real(coverage(s)));
    (void)json_object_set_new(json, "graph",
                              json_pack("{sI sI}", "concepts",
                                        (json_int_t)s->pick.nodes, "pairs",
                                        (json_int_t)s->pick.edges));
    return json;
}

static json_t *plane_json(const struct selection *s)
{
    json_t *id = json_array(), *x = json_array(), *y = json_array();
    json_t *cluster = json_array(), *selected = json_array();

    for (size_t i = 0; i < s->kept_count; i++) {
        bool taken = s->pick.samples[i].reason == PICK_SELECTED;

        (void)json_array_append_new(id, json_integer((json_int_t)s->kept[i]));
        (void)json_array_append_new(x, json_real((double)s->plane[2 * i]));
        (void)json_array_append_new(y, json_real((double)s->plane[2 * i + 1]));
        (void)json_array_append_new(cluster,
                                    json_integer((json_int_t)s->labels[i]));
        (void)json_array_append_new(selected, json_boolean(taken));
    }
    return json_pack("{so so so so so}", "id", id, "x", x, "y", y, "cluster",
                     cluster, "selected", selected);
}

struct status select_report(const struct selection *s, const char *directory)
{
    AUTO(buf_release) struct buf table;

    buf_init(&table, SIZE_MAX);
    TRY_PLAIN(select_table_begin(&table));
    TRY_PLAIN(write_selected(s, directory, &table));
    TRY_PLAIN(write_rejected(s, directory, &table));
    TRY_PLAIN(write_buf(&table, directory, "selection.csv"));
    TRY_PLAIN(write_json(whole_json(s), directory, "selection.json"));
    if (s->method->clusters)
        TRY_PLAIN(write_json(plane_json(s), directory, "plane.json"));
    return SUCCESS;
}
