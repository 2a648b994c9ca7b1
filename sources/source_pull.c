/* From other workers, before the origin or the depot is asked. Only what has a
 * digest and a size that are known beforehand; whatever is wrong with one of
 * them, the next is asked, and then where the file is from. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/endpoint.h"
#include "common/file.h"
#include "common/memory.h"
#include "sources/source_internal.h"

enum {
    CONNECT_MS = 2000,
    STALL_MS = 5000,
    WINDOW_MS = 10 * 1000,  /* in each there come at least ... */
    WINDOW_BYTES = 1 << 20, /* ... so many, or it is too slow */
};

struct lender {
    struct digest name; /* of the source or artifact it has */
    char *url;
    struct http *http; /* NULL: not asked yet */
    bool is_bad;       /* not asked any more */
};

static void release(struct source_store *s)
{
    for (size_t i = 0; i < s->lender_count; i++) {
        struct lender *l = &s->lenders[i];

        s->forgotten += l->http != NULL ? http_received(l->http) : 0;
        http_free(l->http);
        free(l->url);
    }
    free(s->lenders);
    s->lenders = NULL;
    s->lender_count = 0;
}

void source_set_peers(struct source_store *s, const struct source_peer *peers,
                      size_t count)
{
    release(s);
    s->lenders = xcalloc(count + 1, sizeof *s->lenders);
    for (size_t i = 0; i < count; i++) {
        if (!endpoint_is_http(peers[i].address, peers[i].address_size))
            continue;
        s->lenders[s->lender_count++] = (struct lender){
            .name = peers[i].name,
            .url = xstrndup(peers[i].address, peers[i].address_size),
        };
    }
}

struct source_pulls source_pulls(const struct source_store *s)
{
    return s->pulls;
}

uint64_t source_pull_received(const struct source_store *s)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < s->lender_count; i++)
        bytes +=
            s->lenders[i].http != NULL ? http_received(s->lenders[i].http) : 0;
    return bytes;
}

static bool is_cancelled(const struct source_store *s)
{
    return s->settings.cancelled != NULL &&
           s->settings.cancelled(s->settings.self);
}

/* Also for one that drips. */
static bool has_enough(void *self)
{
    struct source_store *s = self;
    int64_t now = clock_now();

    if (now - s->window_at >= WINDOW_MS * NS_PER_MS) {
        s->is_slow = s->pull_done < s->window_done + WINDOW_BYTES;
        s->window_at = now;
        s->window_done = s->pull_done;
    }
    return s->is_slow || is_cancelled(s);
}

static void note_progress(void *self, uint64_t done, uint64_t total)
{
    struct source_store *s = self;

    s->pull_done = done;
    if (s->settings.progress != NULL)
        s->settings.progress(s->settings.self, done, total);
}

static bool follow_nowhere(void *rules, const char *url)
{
    (void)rules;
    (void)url;
    return false;
}

/* One client for all that a worker lends. */
MUST_CHECK static struct status open_client(struct source_store *s,
                                            struct lender *l)
{
    char token[DIGEST_TEXT];
    struct http_settings settings = { .may_follow = follow_nowhere,
                                      .connect_ms = CONNECT_MS,
                                      .stall_ms = STALL_MS,
                                      .give_up_ms = 1,
                                      .connections = 1,
                                      .is_direct = true,
                                      .cancelled = has_enough,
                                      .progress = note_progress,
                                      .self = s };
    struct status st;

    if (l->http != NULL)
        return SUCCESS;
    if (s->settings.depot_token_file != NULL) {
        TRY_PLAIN(served_token(s->settings.depot_token_file, token));
        settings.token = token;
        settings.token_prefix = l->url;
    }
    st = http_new(&settings, &l->http);
    explicit_bzero(token, sizeof token);
    return st;
}

/* The first row of the same worker stands for it. */
static struct lender *worker_of(const struct source_store *s,
                                const struct lender *l)
{
    size_t i = 0;

    while (strcmp(s->lenders[i].url, l->url) != 0)
        i++;
    return &s->lenders[i];
}

MUST_CHECK static struct status pull_from(struct source_store *s,
                                          struct lender *l, const char *path,
                                          const struct source_want *w)
{
    struct served_name name = s->entry;
    AUTO(free_pointer) char *url = NULL;
    char below[SERVED_PATH];
    struct status st;

    name.file = *w->expected;
    served_path(&name, below);
    url = xasprintf("%s%s", l->url, below);
    TRY_PLAIN(open_client(s, l));
    s->window_at = clock_now();
    s->window_done = s->pull_done = 0;
    s->is_slow = false;
    st = http_download_exactly(l->http, url, path, w->expected, w->size);
    if (st.code == STATUS_CANCELLED && s->is_slow)
        return FAIL(STATUS_TIMED_OUT, "%s: it is too slow", l->url);
    return st;
}

/* One that lacks it, or has too much to do, may have the next. */
static void note_failure(struct source_store *s, struct lender *l,
                         const struct source_want *w, const struct status *st)
{
    AUTO(free_pointer)
    char *line = xasprintf("%s from another worker: %s", w->name, st->message);

    s->pulls.failed++;
    l->is_bad = st->code != STATUS_NOT_FOUND &&
                st->code != STATUS_UNAVAILABLE && st->code != STATUS_NO_SPACE;
    if (s->settings.note != NULL)
        s->settings.note(s->settings.self, line);
}

void source_forget_pull(const char *path)
{
    static const char *const ends[] = { ".lent", ".lent.part",
                                        ".lent.part.state" };

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        AUTO(free_pointer) char *left = xasprintf("%s%s", path, ends[i]);

        (void)unlink(left);
    }
}

bool source_pull(struct source_store *s, const char *path,
                 const struct source_want *w)
{
    AUTO(free_pointer) char *beside = xasprintf("%s.lent", path);
    AUTO(free_pointer) char *state = xasprintf("%s.part.state", beside);

    if (w->expected == NULL || w->size < SERVED_LEAST)
        return false;
    for (size_t i = 0; i < s->lender_count && !is_cancelled(s); i++) {
        struct lender *l = worker_of(s, &s->lenders[i]);
        struct status st;
        bool is_begun;

        if (!digest_equal(&s->lenders[i].name, &s->asked) || l->is_bad)
            continue;
        is_begun = file_exists(state);
        st = pull_from(s, l, beside, w);
        if (st.code == STATUS_CORRUPT && is_begun) /* by another, perhaps */
            st = pull_from(s, l, beside, w);
        if (!status_failed(&st) && rename(beside, path) == 0) {
            s->pulls.bytes += w->size;
            return true;
        }
        if (status_failed(&st) && st.code != STATUS_CANCELLED)
            note_failure(s, l, w, &st);
    }
    return false;
}
