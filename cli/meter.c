#include "cli/meter.h"

#include <string.h>

#include "cli/number.h"
#include "cli/progress.h"
#include "common/clock.h"

enum {
    REDRAW_MS = 100,
    TENTHS = 10, /* a plain line each 10 % ... */
    LINE_S = 30, /* ... or after so long ... */
    QUICK_S = 1, /* ... but at most one in so long */
    LINE_SIZE = 512,
};

void meter_init(struct meter *m, struct terminal *terminal, bool silent)
{
    *m = (struct meter){ .terminal = terminal, .silent = silent };
}

/* "5.1 GB of 13.5 GB  310 MB/s  28s left" */
static void describe(const struct meter *m, uint64_t done, uint64_t total,
                     int64_t now, char text[LINE_SIZE])
{
    double seconds = (double)(now - m->began) / (double)NS_PER_S;
    double rate = seconds > 0.0 ? (double)(done - m->first) / seconds : 0.0;
    char at[NUMBER_TEXT];
    char of[NUMBER_TEXT];
    char speed[NUMBER_TEXT];
    char left[NUMBER_TEXT];
    size_t used;

    number_bytes(done, at);
    number_bytes(total, of);
    used = (size_t)snprintf(text, LINE_SIZE, "%s of %s", at, of);
    if (rate < 1.0)
        return;
    number_bytes((uint64_t)rate, speed);
    number_duration((int64_t)((double)(total - done) / rate * 1000.0), left);
    (void)snprintf(text + used, LINE_SIZE - used, "  %s/s  %s left", speed,
                   left);
}

static void show_line(struct meter *m, uint64_t done, uint64_t total,
                      int64_t now)
{
    double share = (double)done / (double)total;
    char bar[PROGRESS_BAR];
    char numbers[LINE_SIZE];
    char line[2 * LINE_SIZE];

    if (m->shown_at != 0 && now - m->shown_at < REDRAW_MS * NS_PER_MS)
        return;
    terminal_measure(m->terminal);
    progress_bar(m->terminal, share, bar);
    describe(m, done, total, now, numbers);
    (void)snprintf(line, sizeof line, " %s  %3d%%  %s", bar,
                   (int)(share * 100.0), numbers);
    fputc('\r', m->terminal->stream);
    fwrite(line, 1,
           terminal_text_cut(
               line, m->terminal->width > 1 ? m->terminal->width - 1 : 1),
           m->terminal->stream);
    fputs("\033[K", m->terminal->stream);
    (void)fflush(m->terminal->stream);
    m->on_line = true;
    m->shown_at = now;
}

static void show_plain(struct meter *m, uint64_t done, uint64_t total,
                       int64_t now)
{
    uint64_t tenths = (uint64_t)((double)done / (double)total * TENTHS);
    char numbers[LINE_SIZE];

    if (m->shown_at < m->began) /* the first line comes with the first tenth */
        m->shown_at = m->began;
    if (now - m->began < QUICK_S * NS_PER_S ||
        now - m->shown_at < QUICK_S * NS_PER_S ||
        (tenths == m->tenths && now - m->shown_at < LINE_S * NS_PER_S))
        return;
    describe(m, done, total, now, numbers);
    fprintf(m->terminal->stream, "%s %s\n", m->what, numbers);
    (void)fflush(m->terminal->stream);
    m->tenths = tenths;
    m->shown_at = now;
}

void meter_show(struct meter *m, const char *what, uint64_t done,
                uint64_t total, int64_t now)
{
    if (m->silent || total == 0 || done > total)
        return;
    if (m->what == NULL || strcmp(m->what, what) != 0 || done < m->first) {
        m->what = what;
        m->began = now;
        m->first = done;
        m->tenths = 0;
    }
    if (m->terminal->tty)
        show_line(m, done, total, now);
    else
        show_plain(m, done, total, now);
}

void meter_end(struct meter *m)
{
    if (m->on_line)
        fputs("\r\033[K", m->terminal->stream);
    (void)fflush(m->terminal->stream);
    m->on_line = false;
}
