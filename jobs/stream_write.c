#include "jobs/stream_write.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/memory.h"
#include "jobs/model_digest.h"

enum {
    CHECKPOINT = 256 << 20, /* bytes */
    HANDS = 2,              /* threads */
};

struct piece {
    size_t tensor;
    const void *data;
    size_t size;
};

/* One of the threads, and what it does with a piece. */
struct hand {
    struct stream_write *stream;
    pthread_t thread;
    bool started;
    struct status (*work)(struct stream_write *s, const struct piece *p);
    uint64_t done; /* pieces */
};

struct stream_write {
    const struct tensor_set *layout;
    struct job_context *context;
    struct st_writer *writer;
    struct model_digest *digest; /* of all pieces and what was there */
    uint64_t checkpoint;         /* after so many bytes */
    uint64_t unsafe;             /* bytes since the last one */
    uint64_t replayed, total;    /* bytes */

    struct hand hands[HANDS];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    struct piece piece;
    uint64_t given; /* pieces */
    bool ending;
    bool failed;
    struct status failure;
};

/* ---- what the threads do ----------------------------------------------- */

static struct status write_piece(struct stream_write *s, const struct piece *p)
{
    TRY_PLAIN(st_writer_add(s->writer, p->data, p->size));
    s->unsafe += p->size;
    if (s->unsafe < s->checkpoint)
        return SUCCESS;
    s->unsafe = 0;
    return st_writer_checkpoint(s->writer);
}

static struct status hash_piece(struct stream_write *s, const struct piece *p)
{
    model_digest_add(s->digest, p->tensor, p->data, p->size);
    return SUCCESS;
}

/* The next piece; false: there will be none. */
static bool take_piece(struct hand *h, struct piece *ret_piece)
{
    struct stream_write *s = h->stream;
    bool got;

    (void)pthread_mutex_lock(&s->lock);
    while (h->done == s->given && !s->ending)
        (void)pthread_cond_wait(&s->changed, &s->lock);
    got = h->done < s->given;
    *ret_piece = s->piece;
    (void)pthread_mutex_unlock(&s->lock);
    return got;
}

static void put_back(struct hand *h, const struct status *st)
{
    struct stream_write *s = h->stream;

    (void)pthread_mutex_lock(&s->lock);
    h->done++;
    if (status_failed(st) && !s->failed) {
        s->failed = true;
        s->failure = *st;
    }
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

static void *run(void *self)
{
    struct hand *h = self;
    struct piece piece;

    while (take_piece(h, &piece)) {
        struct status st = h->work(h->stream, &piece);

        put_back(h, &st);
    }
    return NULL;
}

/* Signals are the caller's: they would cut a write short. */
MUST_CHECK static struct status start(struct stream_write *s)
{
    static struct status (*const works[HANDS])(
        struct stream_write * s, const struct piece *p) = { write_piece,
                                                            hash_piece };
    sigset_t all;
    sigset_t before;
    int error = 0;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < HANDS && error == 0; i++) {
        struct hand *h = &s->hands[i];

        h->stream = s;
        h->work = works[i];
        error = pthread_create(&h->thread, NULL, run, h);
        h->started = error == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return FAIL(STATUS_NO_MEMORY, "start a thread that writes: error %d",
                    error);
    return SUCCESS;
}

/* ---- begin ------------------------------------------------------------- */

static struct status replay(void *self, size_t tensor, const void *data,
                            size_t size)
{
    struct stream_write *s = self;

    if (s->context->cancelled(s->context->self))
        return FAIL(STATUS_CANCELLED, "cancelled while reading what is there");
    model_digest_add(s->digest, tensor, data, size);
    s->replayed += size;
    s->context->progress(s->context->self, s->replayed, s->total, "byte");
    return SUCCESS;
}

MUST_CHECK static struct status open_writer(
    struct stream_write *s, const struct st_writer_settings *settings)
{
    struct st_writer_settings own = *settings;

    own.replay = replay;
    own.self = s;
    for (size_t i = 0; i < s->layout->count; i++)
        s->total += tensor_bytes(&s->layout->items[i]);
    s->digest = model_digest_begin(s->layout);
    TRY_PLAIN(st_writer_new(&own, s->layout, &s->writer));
    if (st_writer_done(s->writer) == 0) { /* what was read was no good */
        (void)model_digest_end(s->digest);
        s->digest = model_digest_begin(s->layout);
    }
    return SUCCESS;
}

struct status stream_write_new(const struct st_writer_settings *settings,
                               const struct tensor_set *layout,
                               uint64_t checkpoint, struct job_context *context,
                               struct stream_write **ret_stream)
{
    struct stream_write *s = xnew(struct stream_write);
    struct status st;

    s->layout = layout;
    s->checkpoint = checkpoint > 0 ? checkpoint : CHECKPOINT;
    s->context = context;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
    st = open_writer(s, settings);
    if (!status_failed(&st))
        st = start(s);
    if (status_failed(&st))
        stream_write_free(s);
    else
        *ret_stream = s;
    return st;
}

size_t stream_write_first(const struct stream_write *s)
{
    return st_writer_done(s->writer);
}

struct st_writer *stream_write_writer(const struct stream_write *s)
{
    return s->writer;
}

/* ---- piece by piece ---------------------------------------------------- */

static bool is_idle(const struct stream_write *s)
{
    for (size_t i = 0; i < HANDS; i++) {
        if (s->hands[i].started && s->hands[i].done < s->given)
            return false;
    }
    return true;
}

/* Until the piece in hand is done; then give the next one, or end. */
MUST_CHECK static struct status hand_over(struct stream_write *s,
                                          const struct piece *next)
{
    struct status st = SUCCESS;

    (void)pthread_mutex_lock(&s->lock);
    while (!is_idle(s))
        (void)pthread_cond_wait(&s->changed, &s->lock);
    if (s->failed) {
        st = s->failure;
    } else if (next != NULL) {
        s->piece = *next;
        s->given++;
    }
    s->ending = s->ending || next == NULL;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    return st;
}

struct status stream_write_add(void *self, size_t tensor, const void *data,
                               size_t size)
{
    const struct piece next = { .tensor = tensor, .data = data, .size = size };

    return hand_over(self, &next);
}

static struct status join(struct stream_write *s)
{
    struct status st = hand_over(s, NULL);

    for (size_t i = 0; i < HANDS; i++) {
        if (s->hands[i].started)
            (void)pthread_join(s->hands[i].thread, NULL);
        s->hands[i].started = false;
    }
    return st;
}

struct status stream_write_end(struct stream_write *s,
                               struct digest *ret_digest)
{
    TRY_PLAIN(join(s));
    *ret_digest = model_digest_end(s->digest);
    s->digest = NULL;
    return SUCCESS;
}

void stream_write_free(struct stream_write *s)
{
    struct status st;

    if (s == NULL)
        return;
    st = join(s);
    if (!status_failed(&st) && s->writer != NULL && s->unsafe > 0)
        st = st_writer_checkpoint(s->writer);
    /* What failed was told already, or the last checkpoint stands. */
    if (s->digest != NULL)
        (void)model_digest_end(s->digest);
    st_writer_free(s->writer);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}
