#include "broker/core/expect.h"

#include <assert.h>
#include <stddef.h>

static void prefetch_ended(const struct job *job)
{
    enum { LINE = 64 };

    for (size_t at = 0; at < offsetof(struct job, labels); at += LINE)
        __builtin_prefetch((const char *)job + at);
}

static void prefetch_ties(const struct job *job)
{
    if (job->uses != NULL)
        __builtin_prefetch(job->uses);
    if (job->needs != NULL)
        __builtin_prefetch(job->needs);
}

void expect_outcomes(const struct sched *s, const struct wire_outcome *outcomes,
                     size_t count)
{
    const struct job *jobs[EXPECT_MOST];

    assert(count <= EXPECT_MOST);
    for (size_t i = 0; i < count; i++)
        keys_prefetch(&s->jobs->keys, &outcomes[i].token.key);
    for (size_t i = 0; i < count; i++) {
        jobs[i] = table_guess(s->jobs, &outcomes[i].token.key);
        if (jobs[i] != NULL)
            prefetch_ended(jobs[i]);
    }
    for (size_t i = 0; i < count; i++)
        if (jobs[i] != NULL)
            prefetch_ties(jobs[i]);
}
