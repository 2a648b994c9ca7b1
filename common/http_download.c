#include "common/http.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/http_file.h"
#include "common/http_internal.h"
#include "common/http_part.h"
#include "common/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PARALLEL_LEAST = 8 << 20, /* smaller files are not worth two connections */
    PIECES_PER_LANE = 4,      /* so that no lane has much alone at the end */
    HASH_STEP = 4 << 20,      /* between two looks at the sockets */
    SAVE_MS = 2000,
    MOST_RESTARTS = 3,
};

/* One of the parallel connections; it fills piece after piece. */
struct lane {
    struct download *download;
    struct http_transfer transfer;
    bool is_busy;
    size_t piece;
    uint64_t got;      /* bytes of this transfer */
    unsigned attempt;  /* tries in a row that brought nothing */
    int64_t resume_at; /* ns, after a failure */
};

struct download {
    struct http *http;
    const char *url;
    const char *shown; /* the same for people */
    struct http_info info;
    int64_t wanted; /* its size; -1: any */
    struct http_part part;
    struct lane *lanes;
    size_t lane_count;
    int64_t moved_at; /* when a byte last came, ns */
    int64_t saved_at;
    bool has_changed; /* the thing is another than the one begun */
    bool no_ranges;   /* the server claimed ranges and has none */
};

MUST_CHECK static struct status changed(struct download *d)
{
    d->has_changed = true;
    return FAIL(STATUS_UNAVAILABLE,
                "%s changes while it is downloaded, or its server gives "
                "different sizes; try again later",
                d->shown);
}

/* Whether the answer is to the question; before its first byte is kept. */
MUST_CHECK static struct status check_reply(struct lane *lane,
                                            const struct http_reply *reply)
{
    struct download *d = lane->download;
    struct http_part *p = &d->part;
    uint64_t at = http_part_first(p, lane->piece) + p->have[lane->piece];

    if (reply->etag[0] != '\0' && p->etag[0] != '\0' &&
        strcmp(reply->etag, p->etag) != 0)
        return changed(d);
    if (reply->size >= 0 && p->size >= 0 && reply->size != p->size)
        return changed(d);
    if (reply->code == 206 && reply->first >= 0 && (uint64_t)reply->first == at)
        return SUCCESS;
    if (reply->code != 206 && p->count == 1) {
        http_part_rewind(p); /* all of it comes, whatever was asked for */
        return SUCCESS;
    }
    d->no_ranges = true;
    return FAIL(STATUS_INVALID, "%s: ranges are not answered as asked", d->url);
}

static struct status take(void *self, const struct http_reply *reply,
                          const char *data, size_t size)
{
    struct lane *lane = self;
    struct download *d = lane->download;
    struct http_part *p = &d->part;

    if (lane->got == 0)
        TRY_PLAIN(check_reply(lane, reply));
    if (size > http_part_length(p, lane->piece) - p->have[lane->piece])
        return changed(d);
    lane->got += size;
    d->moved_at = clock_now();
    return http_part_write(p, lane->piece, data, size);
}

static void start_lane(struct lane *lane, size_t piece)
{
    struct download *d = lane->download;
    const struct http_part *p = &d->part;
    uint64_t first = http_part_first(p, piece);
    uint64_t at = first + p->have[piece];
    char range[64];

    http_open(d->http, &lane->transfer, d->url);
    lane->transfer.sink = take;
    lane->transfer.self = lane;
    lane->is_busy = true;
    lane->piece = piece;
    lane->got = 0;
    if (p->count > 1)
        (void)snprintf(
            range, sizeof range, "%llu-%llu", (unsigned long long)at,
            (unsigned long long)(first + http_part_length(p, piece) - 1));
    else
        (void)snprintf(range, sizeof range, "%llu-", (unsigned long long)at);
    if (p->count > 1 || at > 0)
        (void)curl_easy_setopt(lane->transfer.easy, CURLOPT_RANGE, range);
    http_start(&lane->transfer);
}

static void stop_lane(struct lane *lane)
{
    if (lane->is_busy)
        http_close(&lane->transfer);
    lane->is_busy = false;
}

/* SIZE_MAX if every piece is there or being filled. */
static size_t next_piece(const struct download *d)
{
    for (size_t i = 0; i < d->part.count; i++) {
        bool is_taken = http_part_has(&d->part, i);

        for (size_t l = 0; l < d->lane_count && !is_taken; l++)
            is_taken = d->lanes[l].is_busy && d->lanes[l].piece == i;
        if (!is_taken)
            return i;
    }
    return SIZE_MAX;
}

/* The answer is over. What makes a thing of unknown size complete is its end;
 * a resumed one that was complete already is answered with 416. */
MUST_CHECK static struct status end_of_answer(struct lane *lane)
{
    struct download *d = lane->download;
    const struct http_reply *reply = &lane->transfer.reply;
    struct http_part *p = &d->part;

    if (reply->code == 416)
        return p->size < 0 && (uint64_t)reply->size == p->have[0]
                   ? (p->size = reply->size, SUCCESS)
                   : changed(d);
    if (lane->got == 0 && !http_part_has(p, lane->piece))
        TRY_PLAIN(check_reply(lane, reply));
    if (p->size < 0)
        p->size = (int64_t)p->have[0];
    if (reply->code != 206 && !http_part_has(p, lane->piece))
        return changed(d);
    return SUCCESS;
}

MUST_CHECK static struct status wait_lane(struct lane *lane,
                                          const struct http_reply *reply,
                                          struct status st)
{
    const struct download *d = lane->download;

    TRY_PLAIN(http_keep_trying(d->http, d->moved_at, st));
    lane->attempt = lane->got > 0 ? 1 : lane->attempt + 1;
    lane->resume_at =
        clock_now() +
        http_backoff_ms(d->http, reply, lane->attempt) * NS_PER_MS;
    return SUCCESS;
}

/* Success also if the lane is to try again later. */
MUST_CHECK static struct status finish_lane(struct lane *lane)
{
    const struct download *d = lane->download;
    const struct http_reply reply = lane->transfer.reply;
    bool again;
    struct status st = http_verdict(&lane->transfer, &again);

    if (!status_failed(&st) || reply.code == 416) {
        st = end_of_answer(lane);
        again = !status_failed(&st) && lane->got == 0 &&
                !http_part_has(&d->part, lane->piece);
        if (again)
            st = FAIL(STATUS_UNAVAILABLE, "%s: empty answer", d->shown);
    }
    stop_lane(lane);
    if (status_failed(&st) && again)
        return wait_lane(lane, &reply, st);
    return st;
}

MUST_CHECK static struct status tend_lane(struct lane *lane)
{
    struct download *d = lane->download;

    if (lane->is_busy) {
        http_check_stall(&lane->transfer);
        if (lane->transfer.is_finished)
            TRY_PLAIN(finish_lane(lane));
    }
    if (!lane->is_busy && clock_now() >= lane->resume_at) {
        size_t piece = next_piece(d);

        if (piece != SIZE_MAX)
            start_lane(lane, piece);
    }
    return SUCCESS;
}

MUST_CHECK static struct status save_at_times(struct download *d)
{
    const struct http_settings *s = &d->http->settings;

    if (s->progress != NULL)
        s->progress(s->self, http_part_done(&d->part),
                    d->part.size > 0 ? (uint64_t)d->part.size : 0);
    if (clock_now() - d->saved_at < SAVE_MS * NS_PER_MS)
        return SUCCESS;
    d->saved_at = clock_now();
    return http_part_save(&d->part);
}

static bool is_whole(const struct http_part *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (!http_part_has(p, i))
            return false;
    return true;
}

MUST_CHECK static struct status run_lanes(struct download *d)
{
    bool more = false;

    d->moved_at = clock_now();
    while (!is_whole(&d->part)) {
        for (size_t i = 0; i < d->lane_count; i++)
            TRY_PLAIN(tend_lane(&d->lanes[i]));
        TRY_PLAIN(http_turn(d->http, more ? 0 : HTTP_TURN_MS));
        TRY_PLAIN(http_part_hash(&d->part, HASH_STEP, &more));
        TRY_PLAIN(save_at_times(d));
    }
    return SUCCESS;
}

/* A file is read as if its bytes came in. */
MUST_CHECK static struct status copy_file(struct download *d, int fd)
{
    AUTO(free_pointer) char *chunk = xcalloc(1, HTTP_PIECE);
    struct http_part *p = &d->part;

    while (!is_whole(p)) {
        ssize_t got = pread(fd, chunk, HTTP_PIECE, (off_t)p->have[0]);

        if (got < 0 && errno != EINTR)
            return FAIL(file_error(errno), "read %s: %s", d->shown,
                        strerror(errno));
        if (got == 0 ||
            (got > 0 && (uint64_t)got > (uint64_t)p->size - p->have[0]))
            return changed(d);
        if (got > 0)
            TRY_PLAIN(http_part_write(p, 0, chunk, (size_t)got));
        TRY_PLAIN(http_turn(d->http, 0));
        TRY_PLAIN(save_at_times(d));
    }
    return SUCCESS;
}

MUST_CHECK static struct status check_size(const struct download *d)
{
    if (d->wanted < 0 || d->info.size == d->wanted)
        return SUCCESS;
    return FAIL(STATUS_CORRUPT, "%s has %lld bytes, it should have %lld",
                d->shown, (long long)d->info.size, (long long)d->wanted);
}

/* One go with one description of the thing. */
MUST_CHECK static struct status fetch(struct download *d)
{
    const struct http_settings *s = &d->http->settings;
    bool is_file = http_file_is(d->url);
    struct status st;
    size_t pieces = 1;
    int fd;

    TRY_PLAIN(http_head(d->http, d->url, &d->info));
    TRY_PLAIN(check_size(d));
    if (d->info.size == 0 && !is_file)
        d->info.size = -1; /* some servers say so of what they make up */
    if (d->info.ranges && !d->no_ranges && !is_file && s->connections > 1 &&
        d->info.size > PARALLEL_LEAST)
        pieces = s->connections * PIECES_PER_LANE;
    d->has_changed = false;
    TRY_PLAIN(http_part_plan(&d->part, &d->info, pieces));
    d->saved_at = clock_now();
    if (is_file) {
        TRY_PLAIN(http_file_open(d->url, &fd));
        st = copy_file(d, fd);
        (void)close(fd);
        return st;
    }
    st = run_lanes(d);
    for (size_t i = 0; i < d->lane_count; i++)
        stop_lane(&d->lanes[i]);
    return st;
}

MUST_CHECK static struct status fetch_until_whole(struct download *d)
{
    for (int restarts = 0;; restarts++) {
        struct status st = fetch(d);
        struct status saved;

        if (!status_failed(&st))
            return SUCCESS;
        if ((!d->has_changed && !d->no_ranges) || restarts == MOST_RESTARTS) {
            saved = d->part.have != NULL ? http_part_save(&d->part) : SUCCESS;
            (void)saved; /* the first failure is the one to tell */
            return st;
        }
        TRY_PLAIN(http_part_reset(&d->part));
    }
}

/* ret_waited: another process had the part meanwhile. */
MUST_CHECK static struct status lock_part(struct download *d, const char *path,
                                          bool *ret_waited)
{
    bool is_busy;

    *ret_waited = false;
    for (;;) {
        TRY_PLAIN(http_part_open(&d->part, path, &is_busy));
        if (!is_busy)
            return SUCCESS;
        *ret_waited = true;
        http_part_close(&d->part);
        TRY_PLAIN(http_turn(d->http, 0));
        clock_sleep_ms(HTTP_TURN_MS);
    }
}

/* Somebody else has just put it there. */
MUST_CHECK static struct status take_over(struct download *d,
                                          const struct digest *expected,
                                          struct digest *ret_digest,
                                          bool *ret_is_good)
{
    struct digest digest;

    TRY_PLAIN(digest_of_file(d->part.path, &digest));
    *ret_is_good = expected == NULL || digest_equal(&digest, expected);
    if (!*ret_is_good)
        return SUCCESS;
    (void)unlink(d->part.part_path);
    if (ret_digest != NULL)
        *ret_digest = digest;
    return http_head(d->http, d->url, &d->info);
}

MUST_CHECK static struct status download(struct download *d, const char *path,
                                         const struct digest *expected,
                                         struct digest *ret_digest)
{
    bool waited;
    bool is_good = false;

    TRY_PLAIN(lock_part(d, path, &waited));
    if (waited && file_exists(path))
        TRY_PLAIN(take_over(d, expected, ret_digest, &is_good));
    if (is_good)
        return SUCCESS;
    TRY_PLAIN(fetch_until_whole(d));
    TRY(http_part_finish(&d->part, expected, ret_digest), "%s", d->shown);
    return SUCCESS;
}

MUST_CHECK static struct status run_download(struct http *h, const char *url,
                                             const char *path, int64_t wanted,
                                             const struct digest *expected,
                                             struct digest *ret_digest,
                                             struct http_info *ret_info)
{
    AUTO(free_pointer) char *shown = http_shown(url);
    struct download d = { .http = h,
                          .url = url,
                          .shown = shown,
                          .wanted = wanted,
                          .part = { .fd = -1 },
                          .lane_count = h->settings.connections };
    struct status st;

    d.lanes = xcalloc(d.lane_count, sizeof *d.lanes);
    for (size_t i = 0; i < d.lane_count; i++)
        d.lanes[i].download = &d;
    st = download(&d, path, expected, ret_digest);
    http_part_close(&d.part);
    free(d.lanes);
    if (!status_failed(&st) && ret_info != NULL)
        *ret_info = d.info;
    return st;
}

struct status http_download(struct http *h, const char *url, const char *path,
                            const struct digest *expected,
                            struct digest *ret_digest,
                            struct http_info *ret_info)
{
    return run_download(h, url, path, -1, expected, ret_digest, ret_info);
}

struct status http_download_exactly(struct http *h, const char *url,
                                    const char *path,
                                    const struct digest *expected,
                                    uint64_t size)
{
    return run_download(h, url, path, (int64_t)size, expected, NULL, NULL);
}
