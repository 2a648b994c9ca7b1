#include "jobs/inspect.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tensor/elementwise.h"
#include "tensor/reduce.h"
#include "tensor/select.h"

enum { MOST_THREADS = 256 };

const double inspect_quantiles[INSPECT_QUANTILES] = { 0.5, 0.9, 0.99, 0.999,
                                                      1.0 };

/* --- tensors handed to threads --------------------------------------------
 */

/* One look at all tensors: each is one thread's, so that its sums are made in
 * one order. */
struct pass {
    const struct inspect_runtime *runtime;
    size_t tensors;
    atomic_size_t next;
    atomic_bool stopped;
    void (*look)(void *self, size_t thread, size_t tensor);
    void *self;
};

struct hand {
    struct pass *pass;
    size_t number;
    pthread_t thread;
};

static void *work(void *argument)
{
    const struct hand *h = argument;
    struct pass *p = h->pass;
    size_t tensor;

    while (!atomic_load(&p->stopped) &&
           (tensor = atomic_fetch_add(&p->next, 1)) < p->tensors) {
        p->look(p->self, h->number, tensor);
        if (h->number == 0 && p->runtime->cancelled != NULL &&
            p->runtime->cancelled(p->runtime->self))
            atomic_store(&p->stopped, true);
    }
    return NULL;
}

static size_t threads_of(const struct inspect_runtime *r)
{
    if (r->threads == 0)
        return 1;
    return r->threads > MOST_THREADS ? MOST_THREADS : (size_t)r->threads;
}

MUST_CHECK static struct status pass_run(struct pass *p)
{
    size_t count = threads_of(p->runtime);
    AUTO(free_pointer) struct hand *hands = xcalloc(count, sizeof *hands);
    size_t started = 1;

    atomic_store(&p->next, 0);
    for (size_t i = 0; i < count; i++)
        hands[i] = (struct hand){ .pass = p, .number = i };
    while (started < count && pthread_create(&hands[started].thread, NULL, work,
                                             &hands[started]) == 0)
        started++; /* fewer threads take longer and find the same */
    (void)work(&hands[0]);
    for (size_t i = 1; i < started; i++)
        (void)pthread_join(hands[i].thread, NULL);
    if (atomic_load(&p->stopped))
        return FAIL(STATUS_CANCELLED, "interrupted");
    return SUCCESS;
}

/* --- one model ------------------------------------------------------------
 */

void inspect_counts_init(struct inspect_counts *c)
{
    *c = (struct inspect_counts){ .first_bad = UINT64_MAX,
                                  .least = (double)INFINITY,
                                  .most = -(double)INFINITY };
}

void inspect_counts_add(struct inspect_counts *sum,
                        const struct inspect_counts *c)
{
    sum->elements += c->elements;
    sum->zeros += c->zeros;
    sum->not_finite += c->not_finite;
    sum->least = fmin(sum->least, c->least);
    sum->most = fmax(sum->most, c->most);
    sum->squares += c->squares;
}

/* What is not finite is counted and then put to zero. */
static void count_bad(struct inspect_counts *c, uint64_t first, float *x,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (isfinite(x[i]))
            continue;
        if (c->not_finite == 0)
            c->first_bad = first + i;
        c->not_finite++;
        x[i] = 0.0F;
    }
}

static void count_floats(struct inspect_counts *c, const float *x, size_t count)
{
    double least = c->least, most = c->most;

    for (size_t i = 0; i < count; i++) {
        double value = (double)x[i];

        c->zeros += x[i] == 0.0F;
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    c->least = least;
    c->most = most;
    c->squares += reduce_chunk(REDUCE_SQUARES, x, NULL, count);
}

static uint64_t zero_integers(const unsigned char *data, uint64_t count,
                              size_t size)
{
    static const unsigned char zero[8];
    uint64_t zeros = 0;

    for (uint64_t i = 0; i < count; i++)
        zeros += memcmp(data + i * size, zero, size) == 0;
    return zeros;
}

static size_t chunk_of(const struct tensor *t, uint64_t at)
{
    return t->count - at < REDUCE_CHUNK ? (size_t)(t->count - at)
                                        : REDUCE_CHUNK;
}

static void load(const struct tensor *t, uint64_t at, float *x, size_t count)
{
    const unsigned char *data = t->data;

    dtype_to_f32(t->dtype, data + at * dtype_size(t->dtype), x, count);
}

static void count_tensor(const struct tensor *t, struct inspect_counts *c)
{
    float x[REDUCE_CHUNK];

    inspect_counts_init(c);
    c->elements = t->count;
    if (!dtype_is_float(t->dtype)) {
        c->zeros = zero_integers(t->data, t->count, dtype_size(t->dtype));
        return;
    }
    for (uint64_t at = 0; at < t->count; at += REDUCE_CHUNK) {
        size_t count = chunk_of(t, at);
        uint64_t bad = c->not_finite;

        load(t, at, x, count);
        count_bad(c, at, x, count);
        count_floats(c, x, count);
        c->zeros -= c->not_finite - bad; /* they were put there by us */
    }
}

struct set_look {
    const struct tensor_set *set;
    struct inspect_counts *counts;
};

static void look_at_set(void *self, size_t thread, size_t tensor)
{
    const struct set_look *l = self;

    (void)thread;
    count_tensor(&l->set->items[tensor], &l->counts[tensor]);
}

struct status inspect_set(const struct tensor_set *set,
                          const struct inspect_runtime *runtime,
                          struct inspect_counts *ret_counts)
{
    struct set_look l = { set, ret_counts };
    struct pass p = { .runtime = runtime,
                      .tensors = set->count,
                      .look = look_at_set,
                      .self = &l };

    return pass_run(&p);
}

/* --- fine-tunes beside their base -----------------------------------------
 */

/* What one thread needs to look at a tensor. */
struct bench {
    float *base;             /* a chunk */
    float *deltas;           /* a chunk for each model */
    double *dots;            /* of the running tensor */
    struct select **selects; /* one for each model */
};

struct compare {
    struct inspect_diff *diff;
    const struct tensor **tensors; /* of the models; NULL: not compared */
    double *dots;                  /* models^2 for each tensor of the base */
    struct bench *benches;
    size_t threads;
    bool second; /* quantiles are narrowed; all else is counted already */
};

static enum inspect_match match(const struct tensor *base,
                                const struct inspect_counts *base_counts,
                                const struct tensor *task,
                                const struct inspect_counts *counts)
{
    if (task == NULL)
        return INSPECT_MISSING;
    if (!dtype_is_float(base->dtype) || !dtype_is_float(task->dtype))
        return INSPECT_NO_FLOAT;
    if (!tensor_same_shape(base, task))
        return INSPECT_SHAPE;
    if (base_counts->not_finite > 0 || counts->not_finite > 0)
        return INSPECT_NOT_FINITE;
    return INSPECT_COMPARED;
}

static void match_model(struct compare *c, size_t model,
                        const struct inspect_counts *base_counts,
                        const struct tensor_set *set,
                        const struct inspect_counts *counts)
{
    struct inspect_diff *d = c->diff;

    for (size_t t = 0; t < d->base->count; t++) {
        const struct tensor *task = tensor_find(set, d->base->items[t].name);
        size_t at = t * d->models + model;

        d->matches[at] =
            match(&d->base->items[t], &base_counts[t], task,
                  task == NULL ? NULL : &counts[task - set->items]);
        if (d->matches[at] == INSPECT_COMPARED)
            c->tensors[at] = task;
    }
}

static void count_delta(struct inspect_delta *d, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        d->zeros += x[i] == 0.0F;
        d->large += fabsf(x[i]) > INSPECT_LARGE;
    }
    d->elements += count;
    d->squares += reduce_chunk(REDUCE_SQUARES, x, NULL, count);
}

/* Of the models that have the tensor. */
static void count_crowd(struct inspect_crowd *crowd, const float *const *deltas,
                        size_t models, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t up = 0, down = 0;

        for (size_t m = 0; m < models; m++) {
            up += deltas[m][i] > 0.0F;
            down += deltas[m][i] < 0.0F;
        }
        crowd->moved += up + down >= 2;
        crowd->conflicts += up > 0 && down > 0;
    }
}

static void count_dots(const struct compare *c, const struct tensor *const *row,
                       const struct bench *b, size_t count)
{
    size_t models = c->diff->models;

    for (size_t i = 0; i < models; i++) {
        for (size_t j = i; j < models && row[i] != NULL; j++) {
            if (row[j] != NULL)
                b->dots[i * models + j] +=
                    reduce_chunk(REDUCE_DOT, b->deltas + i * REDUCE_CHUNK,
                                 b->deltas + j * REDUCE_CHUNK, count);
        }
    }
}

static void look_at_chunk(struct compare *c, size_t tensor, struct bench *b,
                          size_t count)
{
    struct inspect_diff *d = c->diff;
    const struct tensor *const *row = &c->tensors[tensor * d->models];
    const float *present[INSPECT_MODELS];
    size_t models = 0;

    for (size_t m = 0; m < d->models; m++) {
        if (row[m] == NULL)
            continue;
        present[models++] = b->deltas + m * REDUCE_CHUNK;
        count_delta(&d->deltas[tensor * d->models + m],
                    b->deltas + m * REDUCE_CHUNK, count);
    }
    count_crowd(&d->crowds[tensor], present, models, count);
    count_dots(c, row, b, count);
    d->crowds[tensor].elements += count;
    d->crowds[tensor].squares +=
        reduce_chunk(REDUCE_SQUARES, b->base, NULL, count);
}

static bool load_deltas(const struct compare *c, size_t tensor, uint64_t at,
                        size_t count, struct bench *b)
{
    const struct inspect_diff *d = c->diff;
    const struct tensor *const *row = &c->tensors[tensor * d->models];
    bool any = false;

    for (size_t m = 0; m < d->models; m++) {
        float *delta = b->deltas + m * REDUCE_CHUNK;

        if (row[m] == NULL)
            continue;
        if (!any)
            load(&d->base->items[tensor], at, b->base, count);
        any = true;
        load(row[m], at, delta, count);
        elementwise_subtract(delta, b->base, delta, count);
        select_add(b->selects[m], delta, count);
    }
    return any;
}

static void look_at_diff(void *self, size_t thread, size_t tensor)
{
    struct compare *c = self;
    const struct tensor *t = &c->diff->base->items[tensor];
    size_t pairs = c->diff->models * c->diff->models;
    struct bench *b = &c->benches[thread];

    memset(b->dots, 0, pairs * sizeof *b->dots);
    for (uint64_t at = 0; at < t->count; at += REDUCE_CHUNK) {
        size_t count = chunk_of(t, at);

        if (!load_deltas(c, tensor, at, count, b))
            return;
        if (!c->second)
            look_at_chunk(c, tensor, b, count);
    }
    if (!c->second)
        memcpy(c->dots + tensor * pairs, b->dots, pairs * sizeof *b->dots);
}

static void benches_init(struct compare *c)
{
    size_t models = c->diff->models;

    c->benches = xcalloc(c->threads, sizeof *c->benches);
    for (size_t i = 0; i < c->threads; i++) {
        struct bench *b = &c->benches[i];

        b->base = xcalloc(REDUCE_CHUNK, sizeof *b->base);
        b->deltas = xcalloc(models * REDUCE_CHUNK, sizeof *b->deltas);
        b->dots = xcalloc(models * models, sizeof *b->dots);
        b->selects = xcalloc(models, sizeof(void *));
        for (size_t m = 0; m < models; m++)
            b->selects[m] = select_new(SELECT_MAGNITUDE);
    }
}

static void compare_release(struct compare *c)
{
    for (size_t i = 0; i < c->threads && c->benches != NULL; i++) {
        struct bench *b = &c->benches[i];

        for (size_t m = 0; m < c->diff->models; m++)
            select_free(b->selects[m]);
        free(b->selects);
        free(b->base);
        free(b->deltas);
        free(b->dots);
    }
    free(c->benches);
    free(c->tensors);
    free(c->dots);
}

/* Counts of all threads come together in the first one's. */
static struct select *gather(const struct compare *c, size_t model)
{
    struct select *first = c->benches[0].selects[model];

    for (size_t i = 1; i < c->threads; i++)
        select_merge(first, c->benches[i].selects[model]);
    return first;
}

MUST_CHECK static struct status narrow(struct compare *c, size_t model)
{
    struct select *first = gather(c, model);
    uint64_t count = select_count(first);
    uint64_t ranks[INSPECT_QUANTILES];

    for (size_t q = 0; q < INSPECT_QUANTILES && count > 0; q++) {
        ranks[q] = (uint64_t)((double)count * inspect_quantiles[q]);
        if (ranks[q] >= count)
            ranks[q] = count - 1;
    }
    if (count == 0)
        return SUCCESS;
    TRY_PLAIN(select_narrow(first, ranks, INSPECT_QUANTILES));
    for (size_t i = 1; i < c->threads; i++)
        select_follow(c->benches[i].selects[model], first);
    return SUCCESS;
}

static void take_quantiles(const struct compare *c, size_t model, bool any)
{
    const struct select *first = any ? gather(c, model) : NULL;

    for (size_t q = 0; q < INSPECT_QUANTILES && any; q++)
        c->diff->quantiles[model][q] = (double)select_result(first, q).value;
}

static void add_dots(const struct compare *c)
{
    size_t models = c->diff->models;
    double *sum = c->diff->dots;

    for (size_t t = 0; t < c->diff->base->count; t++)
        for (size_t i = 0; i < models * models; i++)
            sum[i] += c->dots[t * models * models + i];
    for (size_t i = 0; i < models; i++)
        for (size_t j = 0; j < i; j++)
            sum[i * models + j] = sum[j * models + i];
}

/* Everything but quantiles in the first pass, these in the second. */
MUST_CHECK static struct status look_twice(struct compare *c,
                                           const struct inspect_runtime *r)
{
    struct pass p = { .runtime = r,
                      .tensors = c->diff->base->count,
                      .look = look_at_diff,
                      .self = c };
    bool any[INSPECT_MODELS];

    TRY_PLAIN(pass_run(&p));
    add_dots(c);
    for (size_t m = 0; m < c->diff->models; m++) {
        struct inspect_delta sum = { 0 };

        for (size_t t = 0; t < c->diff->base->count; t++)
            inspect_delta_add(&sum, &c->diff->deltas[t * c->diff->models + m]);
        any[m] = sum.elements > 0;
        TRY_PLAIN(narrow(c, m));
    }
    c->second = true;
    TRY_PLAIN(pass_run(&p));
    for (size_t m = 0; m < c->diff->models; m++)
        take_quantiles(c, m, any[m]);
    return SUCCESS;
}

struct status inspect_compare(const struct tensor_set *base,
                              const struct inspect_counts *base_counts,
                              const struct tensor_set *const *models,
                              const struct inspect_counts *const *counts,
                              size_t count,
                              const struct inspect_runtime *runtime,
                              struct inspect_diff *ret_diff)
{
    struct inspect_diff d = { .base = base, .models = count };
    size_t cells = base->count * count;
    AUTO(compare_release) struct compare c = { .diff = &d };
    struct status st;

    assert(count <= INSPECT_MODELS);
    d.matches = xcalloc(cells + 1, sizeof *d.matches);
    d.deltas = xcalloc(cells + 1, sizeof *d.deltas);
    d.crowds = xcalloc(base->count + 1, sizeof *d.crowds);
    c.tensors = xcalloc(cells + 1, sizeof(void *));
    c.dots = xcalloc(cells * count + 1, sizeof *c.dots);
    c.threads = threads_of(runtime);
    benches_init(&c);
    for (size_t m = 0; m < count; m++)
        match_model(&c, m, base_counts, models[m], counts[m]);
    st = look_twice(&c, runtime);
    if (status_failed(&st))
        inspect_diff_release(&d);
    else
        *ret_diff = d;
    return st;
}

void inspect_diff_release(struct inspect_diff *d)
{
    free(d->matches);
    free(d->deltas);
    free(d->crowds);
    d->matches = NULL;
    d->deltas = NULL;
    d->crowds = NULL;
}

void inspect_delta_add(struct inspect_delta *sum, const struct inspect_delta *d)
{
    sum->elements += d->elements;
    sum->zeros += d->zeros;
    sum->large += d->large;
    sum->squares += d->squares;
}

void inspect_crowd_add(struct inspect_crowd *sum, const struct inspect_crowd *c)
{
    sum->elements += c->elements;
    sum->moved += c->moved;
    sum->conflicts += c->conflicts;
    sum->squares += c->squares;
}

double inspect_cosine(const struct inspect_diff *d, size_t i, size_t j)
{
    double a = d->dots[i * d->models + i];
    double b = d->dots[j * d->models + j];

    if (a <= 0.0 || b <= 0.0)
        return 0.0;
    return i == j ? 1.0 : d->dots[i * d->models + j] / sqrt(a) / sqrt(b);
}

/* The first part of a name that is a number, with a name before and behind
 * it; NULL if there is none. */
static const char *find_number(const char *name, const char **ret_end)
{
    const char *part = strchr(name, '.');

    while (part != NULL) {
        const char *dot = strchr(++part, '.');
        size_t digits = strspn(part, "0123456789");

        if (dot != NULL && digits > 0 && digits < 10 && part + digits == dot) {
            *ret_end = dot + 1;
            return part;
        }
        part = dot;
    }
    return NULL;
}

static void copy_name(const char *from, size_t size, char to[INSPECT_NAME])
{
    size = size >= INSPECT_NAME ? INSPECT_NAME - 1 : size;
    memcpy(to, from, size);
    to[size] = '\0';
}

struct inspect_place inspect_place(const char *tensor)
{
    static const char end[] = ".weight";
    struct inspect_place place = { .layer = -1 };
    size_t size = strlen(tensor);
    const char *kind = tensor;
    const char *number = find_number(tensor, &kind);

    if (size > strlen(end) && strcmp(tensor + size - strlen(end), end) == 0)
        size -= strlen(end);
    if (number == NULL) {
        copy_name(tensor, size, place.group);
        return place;
    }
    place.layer = (int64_t)strtoll(number, NULL, 10);
    copy_name(tensor, (size_t)(number - tensor) - 1, place.group);
    if (tensor + size < kind) /* "norms.3.weight" */
        size = strlen(tensor);
    copy_name(kind, (size_t)(tensor + size - kind), place.kind);
    return place;
}
