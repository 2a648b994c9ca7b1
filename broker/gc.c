#include "broker/gc.h"

#include "broker/core/collect.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/map.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    TRIALS = 2000,  /* marked at a step */
    MANIFESTS = 32, /* read at a step */
    OTHERWISE_MS = 24 * 3600 * 1000,
    MS_PER_S = 1000,
};

enum phase { IDLE, MARK, READ, WAIT, SWEEP };

struct gc {
    struct sched *sched;
    const struct depot *depot;
    int64_t least_ms; /* what is younger stays */
    enum phase phase;
    char *ticket; /* of the one that runs, or ran last; NULL: none did */
    bool deletes;
    int64_t before_ms;
    struct status trouble;   /* why the last one ended early */
    struct collect *collect; /* while MARK */
    struct map *live;        /* blobs that stay */
    struct digest *lists;    /* artifacts whose files are to be read */
    size_t list_count, list_room, list_at;
    unsigned fan;
    uint64_t results, blobs, bytes, kept, kept_bytes;
};

struct gc *gc_new(struct sched *sched, const struct depot *depot,
                  int64_t least_ms)
{
    struct gc *g = xnew(struct gc);

    g->sched = sched;
    g->depot = depot;
    g->least_ms = least_ms;
    g->trouble = SUCCESS;
    return g;
}

/* The end of a collection; its figures stay. */
static void end(struct gc *g, struct status st)
{
    collect_free(g->collect);
    g->collect = NULL;
    map_free(g->live);
    g->live = NULL;
    free(g->lists);
    g->lists = NULL;
    g->list_count = g->list_room = g->list_at = 0;
    g->trouble = st;
    if (status_failed(&st) && g->phase != IDLE)
        log_failure("gc ended early", &st);
    g->phase = IDLE;
}

void gc_free(struct gc *g)
{
    if (g == NULL)
        return;
    g->phase = IDLE;
    end(g, SUCCESS);
    free(g->ticket);
    free(g);
}

static json_t *report(const struct gc *g)
{
    return json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I}", "running",
                     g->phase != IDLE, "deleted", (int)g->deletes, "results",
                     (json_int_t)g->results, "blobs", (json_int_t)g->blobs,
                     "bytes", (json_int_t)g->bytes, "kept", (json_int_t)g->kept,
                     "kept_bytes", (json_int_t)g->kept_bytes);
}

static void begin(struct gc *g, const char *ticket, bool deletes,
                  int64_t before_ms)
{
    free(g->ticket);
    g->ticket = xstrdup(ticket);
    g->deletes = deletes;
    g->before_ms = before_ms;
    g->trouble = SUCCESS;
    g->results = g->blobs = g->bytes = g->kept = g->kept_bytes = 0;
    g->fan = 0;
    g->live = map_new();
    g->collect = collect_new(g->sched, before_ms);
    g->phase = MARK;
}

struct status gc_ask(struct gc *g, const json_t *arguments, struct sched_time t,
                     json_t **ret_body)
{
    const char *ticket = json_text_or(arguments, "ticket", "");
    int64_t older_ms = json_int_or(arguments, "older_ms", OTHERWISE_MS);
    bool same = g->ticket != NULL && strcmp(ticket, g->ticket) == 0;

    if (g->depot == NULL)
        return FAIL(STATUS_INVALID, "this broker serves no depot");
    if (ticket[0] == '\0' || strlen(ticket) > LIMIT_NAME)
        return FAIL(STATUS_INVALID, "gc needs a \"ticket\", any short text");
    if (older_ms < g->least_ms)
        return FAIL(STATUS_INVALID,
                    "what is younger than %lld s may be an upload that waits "
                    "for its commit (--gc-least of the broker): ask for older",
                    (long long)(g->least_ms / MS_PER_S));
    if (!same && g->phase != IDLE)
        return FAIL(STATUS_UNAVAILABLE, "another gc is under way");
    if (!same)
        begin(g, ticket, json_bool_or(arguments, "delete", false),
              t.wall_ms - older_ms);
    if (g->phase == IDLE && status_failed(&g->trouble))
        return g->trouble;
    *ret_body = report(g);
    return SUCCESS;
}

bool gc_is_busy(const struct gc *g)
{
    return g->phase != IDLE;
}

static bool stays(const struct gc *g, const struct digest *blob)
{
    return map_get(g->live, blob->bytes, DIGEST_SIZE) != NULL;
}

static void keep(struct gc *g, const char *text)
{
    static char mark;
    struct digest blob;

    if (digest_from_text(text, &blob))
        (void)map_put(g->live, blob.bytes, DIGEST_SIZE, &mark);
}

static void visit_artifact(void *self, const char *artifact, bool kept)
{
    struct gc *g = self;

    if (!kept) {
        g->results++;
        return;
    }
    keep(g, artifact);
    if (g->list_count == g->list_room) {
        g->list_room = g->list_room == 0 ? 64 : 2 * g->list_room;
        g->lists = xrealloc(g->lists, g->list_room * sizeof *g->lists);
    }
    if (digest_from_text(artifact, &g->lists[g->list_count]))
        g->list_count++;
}

static void mark(struct gc *g, struct sched_time t, struct outbox *out)
{
    if (!collect_mark(g->collect, TRIALS))
        return;
    collect_each(g->collect, visit_artifact, g);
    if (g->deletes)
        collect_forget(g->collect, t, out);
    collect_free(g->collect);
    g->collect = NULL;
    g->phase = READ;
}

/* The files of an artifact stay with it. One that is not there keeps none. */
MUST_CHECK static struct status read_list(struct gc *g,
                                          const struct digest *artifact)
{
    AUTO(free_pointer) char *text = NULL;
    AUTO(json_release) json_t *list = NULL;
    const json_t *files;
    size_t size = 0;
    struct status st =
        depot_read(g->depot, artifact, LIMIT_MANIFEST, &text, &size);

    if (st.code == STATUS_NOT_FOUND)
        return SUCCESS;
    TRY_PLAIN(st);
    TRY_PLAIN(json_parse(text, size, "the files of an artifact", &list));
    files = json_object_get(list, "files");
    for (size_t i = 0; i < json_array_size(files); i++)
        keep(g, json_text_or(json_array_get(files, i), "sha256", ""));
    return SUCCESS;
}

MUST_CHECK static struct status read_lists(struct gc *g)
{
    for (int i = 0; i < MANIFESTS && g->list_at < g->list_count; i++)
        TRY_PLAIN(read_list(g, &g->lists[g->list_at++]));
    if (g->list_at == g->list_count)
        g->phase = WAIT;
    return SUCCESS;
}

static void visit_blob(void *self, const struct depot_blob *blob)
{
    struct gc *g = self;
    bool removed = true;
    struct status st = SUCCESS;

    if (stays(g, &blob->name) || blob->touched_ms >= g->before_ms) {
        g->kept++;
        g->kept_bytes += blob->size;
        return;
    }
    if (g->deletes)
        st = depot_remove(g->depot, &blob->name, g->before_ms, &removed);
    if (status_failed(&st))
        g->trouble = st;
    g->blobs += removed;
    g->bytes += removed ? blob->size : 0;
}

MUST_CHECK static struct status sweep(struct gc *g)
{
    TRY_PLAIN(depot_list(g->depot, g->fan++, visit_blob, g));
    return g->trouble;
}

void gc_step(struct gc *g, struct sched_time t, bool durable,
             struct outbox *out)
{
    struct status st = SUCCESS;

    if (g->phase == MARK)
        mark(g, t, out);
    else if (g->phase == READ)
        st = read_lists(g);
    else if (g->phase == WAIT && durable)
        g->phase = SWEEP;
    else if (g->phase == SWEEP)
        st = sweep(g);
    if (status_failed(&st) || g->fan == DEPOT_FANS)
        end(g, st);
}
