#include "broker/core/retract.h"

#include "broker/core/dispatch.h"
#include "broker/core/family.h"
#include "broker/core/fleet.h"
#include "broker/core/jobs.h"
#include "broker/core/resources.h"

enum {
    EVERY_MS = 100,        /* between two looks at all workers */
    WORTH_US = 100 * 1000, /* work ahead of a slot that is worth a message */
};

/* Jobs there that no slot can have begun and nobody has asked for. */
static uint64_t left_to_ask(const struct session *w)
{
    uint64_t queued = unit_queued(w);

    return queued > w->retracting ? queued - w->retracting : 0;
}

/* Alone in its slot, or what is left of a batch there: begun, most likely. */
static bool has_begun(const struct session *w, const struct job *job)
{
    return w->units <= w->slots && (job->unit == NULL || job->unit->left == 1);
}

static void ask_for(struct session *w, struct job *job)
{
    token_list_add(&w->retract, jobs_token(job));
    job->retracting = true;
    w->retracting++;
    fleet_speak(w);
}

void retract_all(struct session *session)
{
    for (struct job *job = session->last; job != NULL; job = job->prev)
        if (!job->retracting)
            ask_for(session, job);
}

/* The newest half of what waits there, as far as the idle one can run it. */
static void ask(struct session *victim, struct session *idle)
{
    uint64_t most = (left_to_ask(victim) + 1) / 2;
    uint64_t asked = 0;

    for (struct job *job = victim->last; job != NULL && asked < most;
         job = job->prev) {
        if (job->retracting || job->group == NULL || has_begun(victim, job) ||
            !resources_serve(idle, job->group))
            continue;
        ask_for(victim, job);
        asked++;
    }
}

static bool may_ask(const struct session *w)
{
    return w->connected && !w->suspect && left_to_ask(w) > 0 &&
           w->expected / (int64_t)w->slots >= WORTH_US;
}

/* The one whose slots have most ahead of them; NULL: none is worth it. */
static struct session *busiest(const struct sched *s)
{
    struct session *best = NULL;

    for (size_t i = 0; i < map_count(s->sessions); i++) {
        struct session *w = map_at(s->sessions, i, NULL, NULL);

        if (may_ask(w) &&
            (best == NULL || w->expected / (int64_t)w->slots >
                                 best->expected / (int64_t)best->slots))
            best = w;
    }
    return best;
}

static struct session *next_idle(const struct sched *s, size_t *at)
{
    while (*at < map_count(s->sessions)) {
        struct session *w = map_at(s->sessions, (*at)++, NULL, NULL);

        if (dispatch_is_idle(w))
            return w;
    }
    return NULL;
}

void retract_run(struct sched *s)
{
    enum { PAIRS = 8 }; /* each a look at all workers */
    struct session *idle = NULL;
    size_t at = 0;

    if (s->queued == 0 || s->t.now < s->next_retract)
        return;
    s->next_retract = s->t.now + EVERY_MS * NS_PER_MS;
    for (int i = 0; i < PAIRS && (idle = next_idle(s, &at)) != NULL; i++) {
        struct session *victim = busiest(s);

        if (victim == NULL)
            break;
        ask(victim, idle);
    }
}

int64_t retract_deadline(const struct sched *s)
{
    return s->queued > 0 && s->recovery_ends == 0 ? s->next_retract : INT64_MAX;
}

void retract_take(struct sched *s, struct session *session,
                  const struct wire_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++) {
        const struct wire_token *t = &tokens->items[i];
        struct job *job = jobs_find(s, &t->key);

        if (job == NULL || job->session != session || job->epoch != t->epoch ||
            job->attempt != t->attempt)
            continue;
        share_refund(s, job);
        jobs_take_away(job);
        jobs_requeue(s, job, 0);
    }
    session->changed_at = s->t.now;
}
