#include "tests/sim/world/keep_state.h"

#include "common/memory.h"
#include "tests/sim/world/brokers.h"
#include "tests/sim/world/coverage.h"
#include "tests/sim/world/oracle.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct keep_weather keep_weather;
struct keep_sabotage keep_sabotage;

static struct {
    struct keep_log log; /* all that is in it, also what a snapshot covers */
    size_t trimmed;      /* first ones that a snapshot covers */
    size_t synced;       /* first ones that no crash takes */
    uint64_t epoch;      /* raised by whoever takes over */
    uint64_t last_epoch, last_sequence; /* highest id there ever was */
    uint64_t snapshot_epoch, snapshot_sequence;
    const struct process *writer;
    struct keep_piece *pieces;
    bool gone;      /* flushed: there is no log */
    size_t missing; /* records lost, and not yet written again */
    struct store_holder holder;
    const struct process *key_process; /* of the holder */
    int64_t held_until;
} k;

static void sync_log(void *self, uint64_t unused)
{
    (void)self;
    (void)unused;
    k.synced = k.log.count;
    time_after(NS_PER_S, sync_log, NULL, 0);
}

void keep_begin(void)
{
    memset(&k, 0, sizeof k);
    keep_weather = (struct keep_weather){ .delay_most = NS_PER_MS };
    memset(&keep_sabotage, 0, sizeof keep_sabotage);
    sync_log(NULL, 0);
}

void keep_log_add(struct keep_log *log, struct keep_entry *e)
{
    if (log->count == log->room) {
        size_t room = log->room == 0 ? 64 : 2 * log->room;
        struct keep_entry **items =
            time_alloc(room * sizeof(struct keep_entry *));

        if (log->count > 0)
            memcpy(items, log->items, log->count * sizeof(struct keep_entry *));
        log->items = items;
        log->room = room;
    }
    log->items[log->count++] = e;
}

uint64_t keep_writer(void)
{
    return k.epoch;
}

const struct process *keep_writer_process(void)
{
    return k.writer;
}

size_t keep_tail(void)
{
    return k.log.count - k.trimmed;
}

bool keep_is_whole(void)
{
    return k.missing == 0 && !k.gone;
}

static bool is_fenced(const struct keep_handle *h)
{
    return k.epoch > h->epoch && !keep_sabotage.no_fence;
}

MUST_CHECK static struct status fenced(const struct keep_handle *h)
{
    coverage_fault(FAULT_FENCED);
    return FAIL(STATUS_STALE,
                "another broker took over with epoch %" PRIu64
                ", this one has %" PRIu64,
                k.epoch, h->epoch);
}

MUST_CHECK static struct status lost(void)
{
    return FAIL(STATUS_LOST, "the store lost the end of the log");
}

/* Nobody is left who could write it again: it is gone for good. */
static void give_up_missing(void)
{
    if (k.missing == 0)
        return;
    k.missing = 0;
    oracle_forget_log();
    for (size_t i = 0; i < k.log.count; i++)
        oracle_logged(&k.log.items[i]->record, k.log.items[i]->record.epoch);
}

/* Taking over is synced at once. */
struct status keep_do_begin(struct keep_handle *h, struct keep_call *c)
{
    if (k.writer != NULL)
        coverage_fault(FAULT_TAKEOVER);
    give_up_missing();
    k.epoch = k.epoch > k.last_epoch ? k.epoch + 1 : k.last_epoch + 1;
    k.last_epoch = k.epoch;
    k.last_sequence = 0;
    k.synced = k.log.count;
    k.writer = h->process;
    h->epoch = k.epoch;
    c->epoch = k.epoch;
    /* One that had the key and lost it again is as rude as one that never
     * waited. */
    oracle_taken_over(!brokers_has_waited(h->process) ||
                      k.key_process != h->process ||
                      time_now() >= k.held_until);
    time_tell("store: %s takes over, epoch %" PRIu64, h->process->name,
              k.epoch);
    return SUCCESS;
}

static void read_log(struct keep_log *to, size_t from)
{
    for (size_t i = from; i < k.log.count; i++) {
        if (keep_sabotage.forgets && i == k.log.count / 2)
            continue;
        keep_log_add(to, k.log.items[i]);
    }
}

static size_t count_listed(void)
{
    size_t count = 0;

    for (const struct keep_piece *p = k.pieces; p != NULL; p = p->next)
        count += p->listed;
    return count;
}

static struct keep_piece **listed(size_t *ret_count)
{
    struct keep_piece **list;

    *ret_count = count_listed();
    list = time_alloc((*ret_count + 1) * sizeof(struct keep_piece *));
    for (struct keep_piece *p = k.pieces; p != NULL; p = p->next)
        if (p->listed)
            list[p->place] = p;
    return list;
}

struct status keep_do_read(struct keep_handle *h, struct keep_call *c)
{
    (void)h;
    c->pieces = listed(&c->count);
    read_log(&c->log, k.trimmed);
    return SUCCESS;
}

static void log_record(struct keep_handle *h, struct keep_entry *e, bool again)
{
    if (keep_sabotage.alter != NULL)
        keep_sabotage.alter(&e->record);
    keep_log_add(&k.log, e);
    k.last_epoch = e->record.epoch;
    k.last_sequence = e->record.sequence;
    coverage_message(e->record.data.data, e->record.data.size);
    /* What had arrived and was forgotten is no news. */
    if (e->record.sequence > h->told || keep_sabotage.twice)
        oracle_logged(&e->record, k.epoch);
    if (h->told < e->record.sequence)
        h->told = e->record.sequence;
    e->at = time_now();
    if (!again &&
        (h->own.count == 0 ||
         h->own.items[h->own.count - 1]->record.sequence < e->record.sequence))
        keep_log_add(&h->own, e);
}

void keep_note_covered(struct keep_handle *h, struct keep_entry *e)
{
    const struct keep_log *own = &h->own;

    if (own->count > 0 &&
        own->items[own->count - 1]->record.sequence >= e->record.sequence)
        return;
    h->told = e->record.sequence;
    keep_log_add(&h->own, e);
    keep_log_add(&k.log, e);
    k.trimmed = k.synced = k.log.count;
    oracle_logged(&e->record, k.epoch);
}

/* What was forgotten is written again, if memory reaches back so far. */
MUST_CHECK static struct status heal(struct keep_handle *h)
{
    uint64_t have = k.last_epoch == h->epoch ? k.last_sequence : 0;
    size_t from = 0;

    k.missing = 0; /* nobody was told of the others */
    if (have >= h->acknowledged)
        return SUCCESS;
    while (from < h->own.count && h->own.items[from]->record.sequence <= have)
        from++;
    if (from < h->own.count &&
        time_now() - h->own.items[from]->at > KEEP_RETAIN_S * NS_PER_S)
        return lost();
    for (; from < h->own.count; from++)
        log_record(h, h->own.items[from], true);
    return SUCCESS;
}

/* How many of them are carried out before something goes wrong. */
static size_t prefix(size_t count)
{
    if (!time_chance(keep_weather.prefix) || count == 0)
        return count;
    coverage_fault(FAULT_STORE_PREFIX);
    return time_draw(count);
}

/* Ids decide: an older epoch is refused, what is there is not appended. */
struct status keep_do_append(struct keep_handle *h, struct keep_call *c)
{
    size_t most = prefix(c->count);

    if (k.gone)
        return lost();
    if (is_fenced(h))
        return fenced(h);
    TRY_PLAIN(heal(h));
    if (c->count > 0 && time_chance(keep_weather.full)) {
        coverage_fault(FAULT_STORE_FULL);
        return FAIL(STATUS_NO_SPACE, "the disk of the store is full");
    }
    for (size_t i = 0; i < c->count; i++) {
        struct keep_entry *e = c->entries[i];

        if (i == most)
            return FAIL(STATUS_UNAVAILABLE, "the store died half-way");
        if (e->record.epoch == k.last_epoch &&
            e->record.sequence <= k.last_sequence && !keep_sabotage.twice)
            continue; /* an earlier try got so far */
        log_record(h, e, false);
        if (!keep_weather.everysec)
            k.synced = k.log.count;
    }
    return SUCCESS;
}

static struct keep_piece *find(struct keep_piece *list, const char *name)
{
    while (list != NULL && strcmp(list->name, name) != 0)
        list = list->next;
    return list;
}

struct status keep_do_put(struct keep_handle *h, struct keep_call *c)
{
    struct keep_piece **list = h->rebuilding ? &h->new : &k.pieces;
    struct keep_piece *p = find(*list, c->names[0]);

    if (k.gone && !h->rebuilding)
        return lost();
    if (is_fenced(h))
        return fenced(h);
    if (p != NULL && p->listed)
        return p->data.size == c->data.size &&
                       memcmp(p->data.data, c->data.data, c->data.size) == 0
                   ? SUCCESS
                   : FAIL(STATUS_INVALID, "piece %s has other bytes", p->name);
    if (p == NULL) {
        p = time_alloc(sizeof *p);
        (void)snprintf(p->name, sizeof p->name, "%s", c->names[0]);
        p->next = *list;
        *list = p;
    }
    p->data = c->data;
    return SUCCESS;
}

/* All of them there? Then they are the snapshot, and the others go. */
static bool list_pieces(struct keep_piece **list, const struct keep_call *c)
{
    struct keep_piece **at = list;

    for (size_t i = 0; i < c->count; i++)
        if (find(*list, c->names[i]) == NULL)
            return false;
    for (struct keep_piece *p = *list; p != NULL; p = p->next)
        p->listed = false;
    for (size_t i = 0; i < c->count; i++) {
        struct keep_piece *p = find(*list, c->names[i]);

        p->listed = true;
        p->place = i;
    }
    while (*at != NULL)
        if ((*at)->listed)
            at = &(*at)->next;
        else
            *at = (*at)->next;
    return true;
}

static bool is_covered(const struct store_record *r, const struct keep_call *c)
{
    return r->epoch < c->epoch ||
           (r->epoch == c->epoch && r->sequence <= c->sequence);
}

/* A store that was emptied becomes the snapshot. */
static void take_over_rebuilt(struct keep_handle *h, const struct keep_call *c)
{
    coverage_fault(FAULT_REBUILD);
    k.pieces = h->new;
    h->new = NULL;
    h->rebuilding = false;
    k.gone = false;
    k.missing = 0;
    while (k.log.count > 0 &&
           !is_covered(&k.log.items[k.log.count - 1]->record, c)) {
        k.log.count--; /* until its writer writes it again */
        k.missing++;
    }
    k.last_epoch = c->epoch;
    k.last_sequence = c->sequence;
    if (h->acknowledged < c->sequence)
        h->acknowledged = c->sequence;
}

struct status keep_do_publish(struct keep_handle *h, struct keep_call *c)
{
    struct keep_piece **list = h->rebuilding ? &h->new : &k.pieces;

    if (k.gone && !h->rebuilding)
        return lost();
    if (is_fenced(h))
        return fenced(h);
    if (!h->rebuilding)
        TRY_PLAIN(heal(h));
    if (!list_pieces(list, c))
        return FAIL(STATUS_NOT_FOUND, "a piece is not there");
    if (h->rebuilding)
        take_over_rebuilt(h, c);
    while (k.trimmed < k.log.count && !keep_sabotage.never_trims &&
           is_covered(&k.log.items[k.trimmed]->record, c))
        k.trimmed++;
    k.snapshot_epoch = c->epoch;
    k.snapshot_sequence = c->sequence;
    k.synced = k.log.count;
    coverage_fault(FAULT_SNAPSHOT);
    for (const struct keep_piece *p = k.pieces; p != NULL; p = p->next)
        coverage_piece(p->data.data, p->data.size);
    return SUCCESS;
}

struct status keep_do_rebuild(struct keep_handle *h, struct keep_call *c)
{
    (void)c;
    if (is_fenced(h))
        return fenced(h);
    h->rebuilding = true;
    h->new = NULL;
    return SUCCESS;
}

/* ---- the leader's key ----------------------------------------------------- */

static bool is_mine(const struct keep_call *c)
{
    return time_now() < k.held_until && strcmp(k.holder.name, c->me.name) == 0;
}

static void hold(struct keep_call *c)
{
    k.holder = c->me;
    k.held_until = time_now() + c->ttl_ms * NS_PER_MS;
    k.key_process = c->handle->process;
    c->holder = c->me;
    c->mine = true;
}

struct status keep_do_acquire(struct keep_handle *h, struct keep_call *c)
{
    (void)h;
    if (time_now() < k.held_until && !is_mine(c))
        c->holder = k.holder;
    else
        hold(c);
    return SUCCESS;
}

struct status keep_do_extend(struct keep_handle *h, struct keep_call *c)
{
    (void)h;
    if (is_mine(c))
        hold(c);
    return SUCCESS;
}

struct status keep_do_release(struct keep_handle *h, struct keep_call *c)
{
    (void)h;
    if (is_mine(c))
        k.held_until = 0;
    return SUCCESS;
}

/* ---- accidents ------------------------------------------------------------ */

bool keep_may_lose(void)
{
    return keep_is_whole() && k.writer != NULL && !k.writer->dead &&
           !k.writer->ended && !k.writer->stopped && k.last_epoch == k.epoch &&
           k.synced < k.log.count;
}

/* Pieces that are in no snapshot yet go as well. */
static void forget_pieces(void)
{
    struct keep_piece **at = &k.pieces;

    while (*at != NULL)
        if ((*at)->listed) {
            at = &(*at)->next;
        } else {
            coverage_fault(FAULT_STORE_PIECES);
            *at = (*at)->next;
        }
}

void keep_lose(void)
{
    size_t kept = k.synced + time_draw(k.log.count - k.synced);
    const struct store_record *last;

    time_tell("store: forgets %zu records", k.log.count - kept);
    k.missing = k.log.count - kept;
    k.log.count = kept;
    last = kept == 0 ? NULL : &k.log.items[kept - 1]->record;
    k.last_sequence =
        last == NULL || last->epoch != k.epoch ? 0 : last->sequence;
    if (k.snapshot_epoch == k.epoch && k.last_sequence < k.snapshot_sequence)
        k.last_sequence = k.snapshot_sequence;
    forget_pieces();
}

void keep_flush(void)
{
    time_tell("store: emptied");
    k.gone = true;
    k.pieces = NULL;
    k.held_until = 0;
}

MUST_CHECK static struct status visit(const struct store_visitor *visitor,
                                      const struct keep_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        TRY_PLAIN(visitor->record(visitor->self, &log->items[i]->record));
    return SUCCESS;
}

struct status keep_read(const struct store_visitor *visitor, bool all)
{
    struct keep_log log = { .count = 0 };
    size_t count;
    struct keep_piece **pieces = listed(&count);

    for (size_t i = 0; i < count && !all; i++)
        TRY_PLAIN(
            visitor->piece(visitor->self, pieces[i]->name, pieces[i]->data));
    read_log(&log, all ? 0 : k.trimmed);
    return visit(visitor, &log);
}
