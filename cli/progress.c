#include "cli/progress.h"

#include <stdarg.h>
#include <string.h>

#include "cli/number.h"
#include "common/clock.h"
#include "common/memory.h"

enum {
    STEPS = 20,  /* a plain line each 5 % ... */
    LINE_S = 30, /* ... or after so long, if anything changed */
    STUCK_S = 2, /* so long a start or a restart may take */
    BAR_WIDTH = 40,
    BAR_LEAST = 8,
    BESIDE_BAR = 36, /* columns of what stands behind the bar */
    STAGE_LINES = 6,
    LINE_SIZE = 1024,
};

void progress_init(struct progress *p, struct terminal *terminal, bool silent)
{
    memset(p, 0, sizeof *p);
    p->terminal = terminal;
    p->silent = silent;
    p->steps = -1;
}

/* printf to the end of `text`, cut at LINE_SIZE. */
PRINTF_LIKE(2, 3)
static void append(char *text, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text + used, LINE_SIZE - used, format, args);
    va_end(args);
}

static void append_value(char *text, size_t size, const char *name,
                         const json_t *value)
{
    AUTO(free_pointer) char *canonical = json_canonical(value);
    const char *shown =
        json_is_string(value) ? json_string_value(value) : canonical;
    size_t used = strlen(text);

    (void)snprintf(text + used, size - used, "%s%s=%s", used == 0 ? "" : " ",
                   name, shown);
}

void progress_values(const json_t *values, char *text, size_t size)
{
    const char *name = NULL;
    json_t *value = NULL;

    text[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)values, name, value)
    {
        if (!json_is_null(value))
            append_value(text, size, name, value);
    }
}

void progress_score(const json_t *best, bool utf8, char text[NUMBER_TEXT])
{
    double value = json_real_or(best, "value", 0.0);
    double error = json_real_or(best, "error", 0.0);

    if (error > 0.0)
        number_with_error(value, error, utf8, text);
    else
        number_short(value, text);
}

void progress_best(const json_t *best, bool utf8, char *text, size_t size)
{
    AUTO(json_release)
    json_t *point = json_copy(json_object_get(best, "values"));
    int64_t replicates = json_int_or(best, "replicates", 1);
    char number[NUMBER_TEXT];
    char of[NUMBER_TEXT] = "";
    char values[LINE_SIZE];

    (void)json_object_del(point, "seed"); /* a point has several, or one */
    progress_values(point, values, sizeof values);
    progress_score(best, utf8, number);
    if (replicates > 1)
        (void)snprintf(of, sizeof of, " (mean of %lld)", (long long)replicates);
    (void)snprintf(text, size, "%s%s  #%lld  %s", number, of,
                   (long long)json_int_or(best, "trial", 0), values);
}

static void format_best(const json_t *status, char *text)
{
    const json_t *best = json_object_get(status, "best");
    char number[NUMBER_TEXT];

    if (!json_is_object(best))
        return;
    progress_score(best, false, number);
    append(text, " best=%s (#%lld)", number,
           (long long)json_int_or(best, "trial", 0));
}

/* The line without its time. */
static void format_line(const json_t *status, char text[LINE_SIZE])
{
    static const char *const counts[] = { "running", "failed", "cancelled" };
    const json_t *jobs = json_object_get(status, "jobs");
    const json_t *eta = json_object_get(status, "eta_s");
    char number[NUMBER_TEXT];

    text[0] = '\0';
    append(text, "%s %s %lld/%lld jobs=%lld/%lld",
           json_text_or(status, "id", "?"), progress_state(status),
           (long long)json_int_or(status, "done", 0),
           (long long)json_int_or(status, "trials", 0),
           (long long)json_int_or(jobs, "done", 0),
           (long long)json_int_or(jobs, "total", 0));
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        int64_t count = json_int_or(status, counts[i], 0);

        if (count > 0)
            append(text, " %s=%lld", counts[i], (long long)count);
    }
    format_best(status, text);
    if (json_is_number(eta)) {
        number_duration((int64_t)(json_number_value(eta) * 1000.0), number);
        append(text, " eta=%s", number);
    }
}

static void print_line(struct progress *p, const char *line)
{
    char at[32];

    clock_format(clock_wall_ms(), at, sizeof at);
    fprintf(p->terminal->stream, "%s %s\n", at, line);
    (void)fflush(p->terminal->stream);
    (void)snprintf(p->last, sizeof p->last, "%s", line);
}

static int64_t twentieths(const json_t *status)
{
    const json_t *jobs = json_object_get(status, "jobs");
    int64_t total = json_int_or(jobs, "total", 0);

    return total <= 0 ? 0 : json_int_or(jobs, "done", 0) * STEPS / total;
}

/* What keeps the sweep from going on; NULL: nothing. */
static const char *obstacle_of(const json_t *status)
{
    const char *store = json_text_or(status, "store_error", NULL);

    return store != NULL ? store : json_text_or(status, "obstacle", NULL);
}

/* Has something been in the way for long enough to be told? */
static bool is_stuck(struct progress *p, const json_t *status, int64_t now)
{
    if (obstacle_of(status) == NULL) {
        p->stuck_at = 0;
        p->told_stuck = false;
        return false;
    }
    if (p->stuck_at == 0)
        p->stuck_at = now;
    return now - p->stuck_at >= STUCK_S * NS_PER_S;
}

static void show_plain(struct progress *p, const json_t *status, int64_t now)
{
    char line[LINE_SIZE];
    int64_t steps = twentieths(status);
    bool stuck = is_stuck(p, status, now);
    bool is_due = p->shown_at == 0 || steps != p->steps ||
                  stuck != p->told_stuck ||
                  now - p->shown_at >= LINE_S * NS_PER_S;

    if (!is_due)
        return;
    format_line(status, line);
    if (stuck)
        append(line, " waits: %s", obstacle_of(status));
    if (strncmp(line, p->last, sizeof p->last - 1) != 0)
        print_line(p, line);
    p->shown_at = now;
    p->steps = steps;
    p->told_stuck = stuck;
}

/* One line of the block, cut to the terminal; the rest of the old one goes. */
static void block_line(struct progress *p, const char *text)
{
    size_t room = p->terminal->width > 1 ? p->terminal->width - 1 : 1;

    fwrite(text, 1, terminal_text_cut(text, room), p->terminal->stream);
    fputs("\033[K\n", p->terminal->stream);
    p->lines++;
}

static size_t bar_width(const struct terminal *t)
{
    if (t->width >= BAR_WIDTH + BESIDE_BAR)
        return BAR_WIDTH;
    if (t->width <= BAR_LEAST + BESIDE_BAR)
        return BAR_LEAST;
    return t->width - BESIDE_BAR;
}

void progress_bar(const struct terminal *t, double share,
                  char text[PROGRESS_BAR])
{
    static const char *const eighths[] = { " ", "▏", "▎", "▍",
                                           "▌", "▋", "▊", "▉" };
    size_t width = bar_width(t);
    int64_t parts = (int64_t)(share * (double)(width * 8));
    size_t used = 0;

    for (size_t i = 0; i < width; i++) {
        int64_t part = parts - (int64_t)i * 8;
        const char *sign = part >= 8 ? "█" : part > 0 ? eighths[part] : " ";

        if (!t->utf8)
            sign = part >= 8 ? "#" : ".";
        used += (size_t)snprintf(text + used, PROGRESS_BAR - used, "%s", sign);
    }
}

static void block_head(struct progress *p, const json_t *status)
{
    char line[LINE_SIZE] = "";

    append(line, "%s  %s  %s  workers %lld", json_text_or(status, "name", "?"),
           json_text_or(status, "id", "?"), progress_state(status),
           (long long)json_int_or(status, "workers", 0));
    block_line(p, line);
}

static void block_bar(struct progress *p, const json_t *status)
{
    char line[LINE_SIZE] = " ";
    char bar[PROGRESS_BAR];
    char left[NUMBER_TEXT];
    const json_t *jobs = json_object_get(status, "jobs");
    const json_t *eta = json_object_get(status, "eta_s");
    int64_t done = json_int_or(jobs, "done", 0);
    int64_t total = json_int_or(jobs, "total", 0);

    progress_bar(p->terminal, total <= 0 ? 0.0 : (double)done / (double)total,
                 bar);
    append(line, "%s  %lld%%  trials %lld/%lld", bar,
           (long long)(total <= 0 ? 0 : done * 100 / total),
           (long long)json_int_or(status, "done", 0),
           (long long)json_int_or(status, "trials", 0));
    if (json_is_number(eta)) {
        number_duration((int64_t)(json_number_value(eta) * 1000.0), left);
        append(line, "  %s left", left);
    }
    block_line(p, line);
}

static void format_stage(const json_t *stage, char *text, size_t size)
{
    int64_t running = json_int_or(stage, "running", 0);
    char more[NUMBER_TEXT] = "";

    if (running > 0)
        (void)snprintf(more, sizeof more, " (%lld running)",
                       (long long)running);
    (void)snprintf(text, size, " %s %lld/%lld%s",
                   json_text_or(stage, "name", "?"),
                   (long long)json_int_or(stage, "done", 0),
                   (long long)json_int_or(stage, "total", 0), more);
}

/* Side by side as far as they fit, on a few lines. */
static void block_stages(struct progress *p, const json_t *status)
{
    const json_t *stages = json_object_get(status, "stages");
    size_t most = p->lines + STAGE_LINES;
    char line[LINE_SIZE] = "";
    char text[LINE_SIZE / 4];

    for (size_t i = 0; i < json_array_size(stages); i++) {
        format_stage(json_array_get(stages, i), text, sizeof text);
        if (line[0] != '\0' && p->lines + 1 < most &&
            strlen(line) + strlen(text) + 2 > p->terminal->width) {
            block_line(p, line);
            line[0] = '\0';
        }
        append(line, "%s%s", line[0] == '\0' ? "" : " ", text);
    }
    if (line[0] != '\0')
        block_line(p, line);
}

static void block_best(struct progress *p, const json_t *status)
{
    const json_t *best = json_object_get(status, "best");
    char line[LINE_SIZE] = "";
    char text[LINE_SIZE];

    if (!json_is_object(best))
        return;
    progress_best(best, p->terminal->utf8, text, sizeof text);
    append(line, " best %s", text);
    block_line(p, line);
}

static void block_trouble(struct progress *p, const json_t *status)
{
    const json_t *first = json_object_get(status, "first_failure");
    const char *store = json_text_or(status, "store_error", NULL);
    const char *obstacle = json_text_or(status, "obstacle", NULL);
    char line[LINE_SIZE] = "";
    int64_t failed = json_int_or(status, "failed", 0);

    if (json_bool_or(status, "paused", false)) {
        append(line, " paused: `sinter resume %s` goes on",
               json_text_or(status, "id", "@last"));
        block_line(p, line);
        line[0] = '\0';
    }
    if (obstacle != NULL) {
        append(line, " waits: %s", obstacle);
        block_line(p, line);
        line[0] = '\0';
    }
    if (json_is_object(first)) {
        append(line, " ! %lld failed, first #%lld: %s", (long long)failed,
               (long long)json_int_or(first, "trial", 0),
               json_text_or(first, "message", "?"));
        block_line(p, line);
    }
    if (store != NULL) {
        line[0] = '\0';
        append(line, " ! the store is away: %s", store);
        block_line(p, line);
    }
}

static void show_block(struct progress *p, const json_t *status)
{
    terminal_measure(p->terminal);
    if (p->lines > 0)
        fprintf(p->terminal->stream, "\033[%zuA\r", p->lines);
    p->lines = 0;
    block_head(p, status);
    block_bar(p, status);
    block_stages(p, status);
    block_best(p, status);
    block_trouble(p, status);
    fputs("\033[J", p->terminal->stream);
    (void)fflush(p->terminal->stream);
}

void progress_show(struct progress *p, const json_t *status, int64_t now)
{
    if (p->silent)
        return;
    if (p->terminal->tty)
        show_block(p, status);
    else
        show_plain(p, status, now);
}

void progress_end(struct progress *p, const json_t *status)
{
    char line[LINE_SIZE];

    if (p->silent || p->terminal->tty || p->shown_at == 0)
        return;
    format_line(status, line);
    if (strncmp(line, p->last, sizeof p->last - 1) != 0)
        print_line(p, line);
}

const char *progress_state(const json_t *status)
{
    return json_bool_or(status, "paused", false)
               ? "paused"
               : json_text_or(status, "state", "?");
}
