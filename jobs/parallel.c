#include "jobs/parallel.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

struct run {
    struct status (*work)(void *self, size_t hand, size_t piece);
    void *self;
    size_t pieces;
    atomic_size_t next;   /* piece that nobody has taken */
    atomic_size_t hands;  /* that have begun */
    pthread_mutex_t lock; /* of the failure: the lowest piece's */
    size_t failed;        /* SIZE_MAX: none */
    struct status failure;
};

size_t parallel_hands(uint64_t threads, size_t pieces)
{
    size_t most = pieces < PARALLEL_MOST ? pieces : PARALLEL_MOST;

    if (threads < most)
        most = (size_t)threads;
    return most < 1 ? 1 : most;
}

static void note_failure(struct run *r, size_t piece, const struct status *st)
{
    (void)pthread_mutex_lock(&r->lock);
    if (piece < r->failed) {
        r->failed = piece;
        r->failure = *st;
    }
    (void)pthread_mutex_unlock(&r->lock);
}

static bool in_vain(struct run *r, size_t piece)
{
    bool vain;

    (void)pthread_mutex_lock(&r->lock);
    vain = piece > r->failed;
    (void)pthread_mutex_unlock(&r->lock);
    return vain;
}

static void take_pieces(struct run *r, size_t hand)
{
    size_t piece;

    while ((piece = atomic_fetch_add(&r->next, 1)) < r->pieces) {
        struct status st;

        if (in_vain(r, piece))
            continue;
        st = r->work(r->self, hand, piece);
        if (status_failed(&st))
            note_failure(r, piece, &st);
    }
}

static void *begin(void *self)
{
    struct run *r = self;

    take_pieces(r, atomic_fetch_add(&r->hands, 1));
    return NULL;
}

struct status parallel_run(size_t hands, size_t pieces,
                           struct status (*work)(void *self, size_t hand,
                                                 size_t piece),
                           void *self)
{
    struct run r = { .work = work,
                     .self = self,
                     .pieces = pieces,
                     .hands = 1,
                     .failed = SIZE_MAX };
    pthread_t threads[PARALLEL_MOST];
    size_t started = 0;
    sigset_t all, before;

    assert(hands >= 1 && hands <= PARALLEL_MOST);
    (void)pthread_mutex_init(&r.lock, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started + 1 < hands &&
           pthread_create(&threads[started], NULL, begin, &r) == 0)
        started++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    take_pieces(&r, 0);
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_mutex_destroy(&r.lock);
    return r.failed == SIZE_MAX ? SUCCESS : r.failure;
}
