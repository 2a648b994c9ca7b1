#include "common/http.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/http_file.h"
#include "common/http_internal.h"
#include "common/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_MOST = 16 << 20 }; /* bytes that one request asks for */

struct piece {
    uint64_t first, size;
    uint64_t have; /* from its beginning */
    bool is_taken; /* had, or a lane is at it */
};

/* One of the parallel connections; it fills piece after piece. */
struct lane {
    struct fetch *fetch;
    struct http_transfer transfer;
    struct piece *piece; /* NULL: idle */
    bool is_busy;
    uint64_t got;      /* bytes of this transfer */
    unsigned attempt;  /* tries in a row that brought nothing */
    int64_t resume_at; /* ns, after a failure */
};

struct fetch {
    struct http *http;
    const char *url;
    const char *shown; /* the same for people */
    const struct http_info *info;
    int fd;
    struct piece *pieces;
    size_t count;
    uint64_t total, done; /* bytes */
    struct lane *lanes;
    size_t lane_count;
    int64_t moved_at; /* when a byte last came, ns */
    enum http_ranges_end end;
    struct http_info now;
};

static void cut(struct fetch *f, const struct http_range *ranges, size_t count)
{
    size_t pieces = 0;

    for (size_t i = 0; i < count; i++)
        pieces += (size_t)(ranges[i].size / PIECE_MOST + 1);
    f->pieces = xcalloc(pieces + 1, sizeof *f->pieces);
    for (size_t i = 0; i < count; i++) {
        for (uint64_t at = 0; at < ranges[i].size; at += PIECE_MOST) {
            uint64_t left = ranges[i].size - at;

            f->pieces[f->count++] = (struct piece){
                .first = ranges[i].first + at,
                .size = left < PIECE_MOST ? left : PIECE_MOST,
            };
        }
        f->total += ranges[i].size;
    }
}

MUST_CHECK static struct status stop_at(struct fetch *f,
                                        enum http_ranges_end end)
{
    f->end = end;
    return FAIL(STATUS_CANCELLED, "%s: enough is known", f->shown);
}

static bool is_another(const struct fetch *f, const struct http_reply *reply)
{
    return (reply->etag[0] != '\0' && f->info->etag[0] != '\0' &&
            strcmp(reply->etag, f->info->etag) != 0) ||
           (reply->size >= 0 && f->info->size >= 0 &&
            reply->size != f->info->size);
}

/* Whether the answer is to the question; before its first byte is kept. */
MUST_CHECK static struct status check_reply(struct lane *lane,
                                            const struct http_reply *reply)
{
    struct fetch *f = lane->fetch;
    uint64_t at = lane->piece->first + lane->piece->have;

    if (is_another(f, reply)) {
        http_reply_info(reply, &f->now);
        return stop_at(f, HTTP_RANGES_CHANGED);
    }
    if (reply->code != 206)
        return stop_at(f, HTTP_RANGES_REFUSED);
    if (reply->first < 0 || (uint64_t)reply->first != at)
        return FAIL(STATUS_INVALID,
                    "%s: bytes from %llu on were asked for, those from %lld "
                    "on came",
                    f->shown, (unsigned long long)at, (long long)reply->first);
    return SUCCESS;
}

MUST_CHECK static struct status keep(const struct fetch *f, uint64_t at,
                                     const char *data, size_t size)
{
    while (size > 0) {
        ssize_t put = pwrite(f->fd, data, size, (off_t)at);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return FAIL(file_error(errno), "write what comes from %s: %s",
                        f->shown, strerror(errno));
        at += (uint64_t)put;
        data += put;
        size -= (size_t)put;
    }
    return SUCCESS;
}

static struct status take(void *self, const struct http_reply *reply,
                          const char *data, size_t size)
{
    struct lane *lane = self;
    struct fetch *f = lane->fetch;
    struct piece *p = lane->piece;

    if (lane->got == 0)
        TRY_PLAIN(check_reply(lane, reply));
    if (size > p->size - p->have)
        return FAIL(STATUS_CORRUPT, "%s sends more than was asked for",
                    f->shown);
    TRY_PLAIN(keep(f, p->first + p->have, data, size));
    p->have += size;
    lane->got += size;
    f->done += size;
    f->moved_at = clock_now();
    return SUCCESS;
}

static void start_lane(struct lane *lane)
{
    const struct fetch *f = lane->fetch;
    const struct piece *p = lane->piece;
    const unsigned long long first = p->first + p->have;
    const unsigned long long last = p->first + p->size - 1;
    char range[64];

    http_open(f->http, &lane->transfer, f->url);
    lane->transfer.sink = take;
    lane->transfer.self = lane;
    lane->is_busy = true;
    lane->got = 0;
    (void)snprintf(range, sizeof range, "%llu-%llu", first, last);
    (void)curl_easy_setopt(lane->transfer.easy, CURLOPT_RANGE, range);
    http_start(&lane->transfer);
}

static void stop_lane(struct lane *lane)
{
    if (lane->is_busy)
        http_close(&lane->transfer);
    lane->is_busy = false;
}

static struct piece *next_piece(const struct fetch *f)
{
    for (size_t i = 0; i < f->count; i++) {
        if (!f->pieces[i].is_taken) {
            f->pieces[i].is_taken = true;
            return &f->pieces[i];
        }
    }
    return NULL;
}

/* The same once more, later; given up when nothing has come for long. */
MUST_CHECK static struct status wait_lane(struct lane *lane, struct status st)
{
    const struct fetch *f = lane->fetch;

    TRY_PLAIN(http_keep_trying(f->http, f->moved_at, st));
    lane->attempt = lane->got > 0 ? 1 : lane->attempt + 1;
    lane->resume_at =
        clock_now() +
        http_backoff_ms(f->http, &lane->transfer.reply, lane->attempt) *
            NS_PER_MS;
    return SUCCESS;
}

/* Success also if the lane is to try again later. */
MUST_CHECK static struct status finish_lane(struct lane *lane)
{
    struct fetch *f = lane->fetch;
    const struct http_reply *reply = &lane->transfer.reply;
    bool again;
    struct status st = http_verdict(&lane->transfer, &again);

    if (reply->code == 416 && reply->is_ranged && is_another(f, reply)) {
        http_reply_info(reply, &f->now);
        st = stop_at(f, HTTP_RANGES_CHANGED);
    }
    if (!status_failed(&st) && lane->got == 0)
        st = check_reply(lane, reply); /* an answer without a body */
    if (!status_failed(&st) && lane->piece->have < lane->piece->size) {
        again = true;
        st = FAIL(STATUS_UNAVAILABLE, "%s: the answer ends too soon", f->shown);
    }
    stop_lane(lane);
    if (status_failed(&st))
        return again ? wait_lane(lane, st) : st;
    lane->piece = NULL;
    lane->attempt = 0;
    return SUCCESS;
}

MUST_CHECK static struct status tend_lane(struct lane *lane)
{
    if (lane->is_busy) {
        http_check_stall(&lane->transfer);
        if (lane->transfer.is_finished)
            TRY_PLAIN(finish_lane(lane));
    }
    if (lane->piece == NULL)
        lane->piece = next_piece(lane->fetch);
    if (lane->piece != NULL && !lane->is_busy && clock_now() >= lane->resume_at)
        start_lane(lane);
    return SUCCESS;
}

MUST_CHECK static struct status run(struct fetch *f)
{
    const struct http_settings *s = &f->http->settings;

    f->moved_at = clock_now();
    while (f->done < f->total) {
        for (size_t i = 0; i < f->lane_count; i++)
            TRY_PLAIN(tend_lane(&f->lanes[i]));
        TRY_PLAIN(http_turn(f->http, HTTP_TURN_MS));
        if (s->progress != NULL)
            s->progress(s->self, f->done, f->total);
    }
    return SUCCESS;
}

struct status http_get_ranges(struct http *h, const char *url,
                              const struct http_info *info,
                              const struct http_range *ranges, size_t count,
                              int fd, enum http_ranges_end *ret_end,
                              struct http_info *ret_now)
{
    AUTO(free_pointer) char *shown = http_shown(url);
    struct fetch f = { .http = h,
                       .url = url,
                       .shown = shown,
                       .info = info,
                       .fd = fd,
                       .lane_count = h->settings.connections };
    struct status st;

    if (http_file_is(url))
        return FAIL(STATUS_INVALID, "%s: ranges need http or https", shown);
    cut(&f, ranges, count);
    f.lanes = xcalloc(f.lane_count, sizeof *f.lanes);
    for (size_t i = 0; i < f.lane_count; i++)
        f.lanes[i].fetch = &f;
    st = run(&f);
    for (size_t i = 0; i < f.lane_count; i++)
        stop_lane(&f.lanes[i]);
    free(f.lanes);
    free(f.pieces);
    *ret_end = f.end;
    *ret_now = f.now;
    return f.end != HTTP_RANGES_HAD ? SUCCESS : st;
}
