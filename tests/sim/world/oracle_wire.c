/* oracle_wire.c -- what brokers say and what workers run. */
#include "tests/sim/world/oracle_state.h"

#include "common/memory.h"
#include "tests/sim/world/brokers.h"
#include "tests/sim/world/keep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIFFER_MOST = 8,  /* heartbeats in a row, when all is calm */
    LATE_MS = 100,    /* by clocks that do not run alike */
    FORCED_MS = 8000, /* who is driven out finds out within */
    TYPE_AT = 3,      /* in a message */
    VIEWS = 64,
};

/* One run of a job. */
struct run {
    struct wire_token token;
    const struct process *holder;
    bool begun;    /* by a slot, ever */
    bool runs;     /* in a slot, as far as anybody knows */
    bool unwanted; /* the broker has said so */
    struct run *next;
    char sweep[24];
};

struct told {
    struct told *next;
    enum { TOLD_RUN, TOLD_SWEEP, TOLD_COMMAND } what;
    struct wire_token token;
    char *verb, *subject;
};

static struct {
    struct map *runs;   /* token -> struct run */
    struct map *newest; /* key -> struct run */
    struct map *ran;    /* sweep -> int64_t, when */
    struct run *all;
    struct told *told;
    int64_t calm;
    int64_t taken_over, forced; /* last */
    uint64_t answers;

    struct view {
        const struct process *worker;
        unsigned differs;
    } views[VIEWS];
} w;

void oracle_wire_begin(void)
{
    memset(&w, 0, sizeof w);
    w.runs = map_new();
    w.newest = map_new();
    w.ran = map_new();
    w.calm = TIME_NEVER;
}

void oracle_wire_end(void)
{
    map_free(w.runs);
    map_free(w.newest);
    map_free(w.ran);
}

void oracle_calm(int64_t at)
{
    w.calm = at;
}

void oracle_taken_over(bool by_force)
{
    w.taken_over = time_now();
    if (by_force)
        w.forced = time_now();
}

static struct run *find(const struct wire_token *t)
{
    return map_get(w.runs, t, sizeof *t);
}

const struct process *oracle_holder(const struct wire_token *t)
{
    const struct run *r = find(t);

    return r == NULL ? NULL : r->holder;
}

bool oracle_is_newest(const struct wire_token *t)
{
    const struct run *r = map_get(w.newest, t->key.bytes, DIGEST_SIZE);

    return r == NULL || r->token.epoch > keep_writer() ||
           wire_token_equal(&r->token, t) || r->token.epoch < keep_writer();
}

int64_t oracle_ran_last(const char *sweep)
{
    const int64_t *at = map_get_text(w.ran, sweep);

    for (const struct run *r = w.all; r != NULL; r = r->next)
        if (r->runs && !r->holder->dead && strcmp(r->sweep, sweep) == 0)
            return time_now();
    return at == NULL ? 0 : *at;
}

static void note_ran(const struct run *r)
{
    int64_t *at = map_get_text(w.ran, r->sweep);

    if (at == NULL) {
        at = time_alloc(sizeof *at);
        (void)map_put_text(w.ran, r->sweep, at);
    }
    *at = time_now();
}

void oracle_slot(const struct process *worker, const struct wire_token *t,
                 bool begun)
{
    struct run *r = find(t);

    if (r == NULL) {
        oracle_break(INVARIANT_I5, "%s runs, and was given to nobody",
                     oracle_token(t));
        return;
    }
    if (begun && (r->begun || r->holder != worker))
        oracle_break(INVARIANT_I5, "%s runs at %s and at %s", oracle_token(t),
                     r->holder->name, worker->name);
    r->begun = r->begun || begun;
    r->runs = begun;
    note_ran(r);
    if (time_tells)
        time_tell("%s: %s %s", worker->name, begun ? "begins" : "ends",
                  oracle_token(t));
}

static bool runs_beside(const struct run *r, const struct run *other)
{
    return other->holder == r->holder && other->runs && !other->unwanted &&
           !digest_equal(&other->token.key, &r->token.key);
}

bool oracle_runs_beside(const struct wire_token *t)
{
    const struct run *r = find(t);

    for (const struct run *o = w.all; o != NULL && r != NULL; o = o->next)
        if (runs_beside(r, o)) {
            time_tell("%s runs %s", o->holder->name, oracle_token(&o->token));
            return true;
        }
    return false;
}

/* ---- what brokers say ----------------------------------------------------- */

static void give(const struct connection *c, const struct wire_assignment *a)
{
    const struct run *newest =
        map_get(w.newest, a->token.key.bytes, DIGEST_SIZE);
    struct run *r = time_alloc(sizeof *r);

    if (find(&a->token) != NULL)
        oracle_break(INVARIANT_I5, "%s is given twice",
                     oracle_token(&a->token));
    else if (newest != NULL && newest->token.epoch == a->token.epoch &&
             newest->token.attempt >= a->token.attempt)
        oracle_break(INVARIANT_I5, "%s is given after %s",
                     oracle_token(&a->token), oracle_token(&newest->token));
    for (size_t i = 0; i < a->inputs.count && keep_is_whole(); i++)
        if (!oracle_is_done(&a->inputs.items[i].key))
            oracle_break(INVARIANT_I3,
                         "%s is given with a result that is not "
                         "on record",
                         oracle_token(&a->token));
    *r = (struct run){ .token = a->token, .holder = c->speaker, .next = w.all };
    (void)snprintf(r->sweep, sizeof r->sweep, "%.*s",
                   (int)strcspn(a->label.data, " "), a->label.data);
    w.all = r;
    if (time_tells)
        time_tell("%s is given %s", c->speaker->name, oracle_token(&r->token));
    (void)map_put(w.runs, &r->token, sizeof r->token, r);
    (void)map_put(w.newest, r->token.key.bytes, DIGEST_SIZE, r);
}

static struct told *tell(void)
{
    struct told *t = time_alloc(sizeof *t);

    t->next = w.told;
    w.told = t;
    return t;
}

static void commit(const struct wire_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++) {
        struct told *t;

        if (!oracle_has_verdict(&tokens->items[i]))
            oracle_break(INVARIANT_I3, "%s is committed, and not on record",
                         oracle_token(&tokens->items[i]));
        t = tell();
        t->what = TOLD_RUN;
        t->token = tokens->items[i];
    }
}

static void refuse(const struct wire_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++) {
        struct run *r = find(&tokens->items[i]);

        if (r == NULL)
            continue;
        r->unwanted = true;
        if (time_tells)
            time_tell("%s is to forget %s", r->holder->name,
                      oracle_token(&r->token));
    }
}

/* A difference that stays. */
static void compare(const struct connection *c, bool differs)
{
    size_t i = 0;

    while (i < VIEWS - 1 && w.views[i].worker != NULL &&
           w.views[i].worker != c->speaker)
        i++;
    w.views[i].worker = c->speaker;
    w.views[i].differs =
        differs && time_now() > w.calm ? w.views[i].differs + 1 : 0;
    if (w.views[i].differs == DIFFER_MOST)
        oracle_break(INVARIANT_VIEWS,
                     "%s and its broker do not agree, %d heartbeats in a row",
                     c->speaker->name, DIFFER_MOST);
}

/* One who was taken over answers nothing that it hears since, unless the store
 * is away for it alone. What it had heard before it may answer late. */
static void check_speaker(const struct connection *c)
{
    const struct process *p = c->router->process;
    if (p == keep_writer_process() || brokers_store_is_away(p) ||
        c->heard - w.taken_over <= LATE_MS * NS_PER_MS ||
        (w.forced > 0 && c->heard - w.forced <= FORCED_MS * NS_PER_MS))
        return;
    oracle_break(INVARIANT_FENCE, "%s speaks, and %s has taken over", p->name,
                 keep_writer_process()->name);
}

/* Each so many that may be the status of a sweep: to look is dear. */
static void look_at_answer(const struct connection *c, struct wire_bytes body)
{
    enum { ONE_IN = 8 };
    AUTO(json_release) json_t *status = NULL;
    struct status st;

    if (body.size == 0 || w.answers++ % ONE_IN != 0)
        return;
    st = json_parse(body.data, body.size, "answer", &status);
    if (!status_failed(&st) && json_object_get(status, "done") != NULL)
        oracle_check_read(c->router->process, status);
}

static void look(const struct connection *c, const struct wire_message *m)
{
    switch ((int)m->type) {
    case WIRE_ASSIGN:
        for (size_t i = 0; i < m->assign.jobs.count; i++)
            give(c, &m->assign.jobs.items[i]);
        break;
    case WIRE_COMMITTED:
        commit(&m->committed.tokens);
        break;
    case WIRE_STALE:
        refuse(&m->stale.tokens);
        break;
    case WIRE_CANCEL:
        refuse(&m->cancel.tokens);
        break;
    case WIRE_WELCOME:
        refuse(&m->welcome.drop);
        break;
    case WIRE_ANSWER:
        look_at_answer(c, m->answer.body);
        break;
    case WIRE_HEARTBEAT_ACK:
        compare(c, m->heartbeat_ack.say_hello != 0);
        break;
    default:
        break;
    }
}

bool oracle_sent(const struct connection *c, enum direction to,
                 struct wire_bytes *bytes)
{
    struct wire_decoded d;
    struct status st;

    if (time_tells)
        time_tell(
            "%s %s %s: %s",
            to == TO_ROUTER ? c->speaker->name : c->router->process->name, "->",
            to == TO_ROUTER ? c->router->process->name : c->speaker->name,
            wire_name((enum wire_type)(unsigned char)bytes->data[TYPE_AT]));
    if (to == TO_ROUTER || bytes->data[TYPE_AT] == WIRE_NOT_LEADER)
        return true;
    check_speaker(c);
    if (c->peer.side == PEER_CLIENT && bytes->data[TYPE_AT] != WIRE_ANSWER)
        return true;
    st = wire_decode(bytes->data, bytes->size, &d);
    if (status_failed(&st))
        return true;
    look(c, &d.message);
    wire_release(&d);
    return true;
}

/* ---- what clients were told ----------------------------------------------- */

void oracle_told_sweep(const char *id)
{
    struct told *t = tell();

    t->what = TOLD_SWEEP;
    t->subject = time_copy(id, strlen(id));
    if (!oracle_has_sweep(id))
        oracle_break(INVARIANT_I3, "sweep %s is accepted, and not on record",
                     id);
}

void oracle_told_command(const char *verb, const char *subject)
{
    struct told *t = tell();

    t->what = TOLD_COMMAND;
    t->verb = time_copy(verb, strlen(verb));
    t->subject = time_copy(subject, strlen(subject));
    if (!oracle_has_command(verb, subject))
        oracle_break(INVARIANT_I3, "%s %s is answered, and not on record", verb,
                     subject);
}

static bool is_on_record(const struct told *t)
{
    switch (t->what) {
    case TOLD_RUN:
        return oracle_has_verdict(&t->token);
    case TOLD_SWEEP:
        return oracle_has_sweep(t->subject);
    case TOLD_COMMAND:
    default:
        return oracle_has_command(t->verb, t->subject);
    }
}

void oracle_check_told(void)
{
    for (const struct told *t = w.told; t != NULL; t = t->next)
        if (!is_on_record(t))
            oracle_break(INVARIANT_I3, "%s %s was acknowledged and is gone",
                         t->what == TOLD_RUN       ? oracle_token(&t->token)
                         : t->what == TOLD_COMMAND ? t->verb
                                                   : "sweep",
                         t->what == TOLD_RUN ? "" : t->subject);
}
