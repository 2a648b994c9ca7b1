#include "broker/progress.h"

#include "broker/core/report.h"
#include "common/clock.h"
#include "common/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAUSE_MS = 200,  /* between two views */
    LOOK_MOST = 512, /* sweeps of one view, in turn */
    FIELDS = 12,
    VALUE_SIZE = 32,
};

struct progress {
    int64_t next;                  /* ns */
    size_t at;                     /* sweep to begin with */
    struct report_progress *shown; /* by number of the sweep */
    size_t count;
};

struct progress *progress_new(void)
{
    return xnew(struct progress);
}

void progress_free(struct progress *p)
{
    if (p != NULL)
        free(p->shown);
    free(p);
}

static bool is_same(const struct report_progress *a,
                    const struct report_progress *b)
{
    return a->state == b->state && a->total == b->total && a->done == b->done &&
           a->failed == b->failed && a->cancelled == b->cancelled &&
           a->running == b->running && a->has_best == b->has_best &&
           a->best == b->best && a->best_trial == b->best_trial;
}

/* The fields of a view, with the memory of their values. */
struct view {
    struct store_field fields[FIELDS];
    char values[FIELDS][VALUE_SIZE];
    size_t count;
};

static void add_text(struct view *v, const char *name, const char *value)
{
    v->fields[v->count++] = (struct store_field){ name, value };
}

static void add_count(struct view *v, const char *name, uint64_t value)
{
    char *text = v->values[v->count];

    (void)snprintf(text, VALUE_SIZE, "%" PRIu64, value);
    add_text(v, name, text);
}

static void add_real(struct view *v, const char *name, int digits, double value)
{
    char *text = v->values[v->count];

    (void)snprintf(text, VALUE_SIZE, "%.*g", digits, value);
    add_text(v, name, text);
}

MUST_CHECK static bool show(const struct store *store,
                            const struct report_progress *now, int64_t wall_ms)
{
    enum { ALL = 17, FEW = 4 };
    char updated[VALUE_SIZE];
    struct view v = { .count = 0 };

    clock_format(wall_ms, updated, sizeof updated);
    add_text(&v, "name", now->name);
    add_text(&v, "state", now->state);
    add_count(&v, "total", now->total);
    add_count(&v, "done", now->done);
    add_count(&v, "failed", now->failed);
    add_count(&v, "cancelled", now->cancelled);
    add_count(&v, "running", now->running);
    add_real(&v, "rate", FEW, now->rate);
    if (now->has_best) {
        add_real(&v, "best", ALL, now->best);
        add_count(&v, "best_trial", now->best_trial);
    }
    add_text(&v, "updated", updated);
    return store->view(store->self, now->id, v.fields, v.count);
}

void progress_show(struct progress *p, const struct sched *sched,
                   const struct store *store, struct sched_time t)
{
    size_t count = report_count(sched);

    if (store->view == NULL || t.now < p->next)
        return;
    p->next = t.now + PAUSE_MS * NS_PER_MS;
    if (count > p->count) {
        p->shown = xrealloc(p->shown, count * sizeof *p->shown);
        memset(p->shown + p->count, 0, (count - p->count) * sizeof *p->shown);
        p->count = count;
    }
    for (size_t i = 0; i < count && i < LOOK_MOST; i++) {
        size_t number = (p->at + i) % count;
        struct report_progress now = report_progress(sched, number);

        if (is_same(&now, &p->shown[number]))
            continue;
        if (!show(store, &now, t.wall_ms)) { /* then all of them again */
            memset(p->shown, 0, count * sizeof *p->shown);
            return;
        }
        p->shown[number] = now;
    }
    p->at += LOOK_MOST;
}
