#include "support/store_case.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"

struct store_case store_case_new(enum store_back back)
{
    struct store_case c = { .back = back };

    scratch_make(c.directory);
    if (back == STORE_REDIS) {
        store_case_start(&c);
        c.url = xasprintf("redis+unix:%s/redis.sock", c.directory);
    } else {
        c.url = xasprintf("sqlite:%s/sinter.db", c.directory);
    }
    return c;
}

void store_case_release(struct store_case *c)
{
    store_case_kill(c);
    scratch_remove(c->directory);
    free(c->url);
}

void store_case_kill(struct store_case *c)
{
    (void)process_end(c->redis, SIGKILL);
    c->redis = 0;
}

void store_case_start(struct store_case *c)
{
    if (c->back != STORE_REDIS)
        return;
    c->redis = redis_start(c->directory, "always");
    assert_true(c->redis > 0);
}

struct store store_case_open(const struct store_case *c)
{
    static const struct store_options options = { 0 };
    struct store s;

    assert_ok(store_open(c->url, "test", &options, &s));
    return s;
}

static void run_cli(const struct store_case *c, const char *words,
                    const char *output)
{
    AUTO(free_pointer)
    char *command =
        xasprintf("redis-cli -e -s %s/redis.sock %s", c->directory, words);
    const char *const argv[] = { "sh", "-c", command, NULL };

    assert_int_equal(process_end(process_start(argv, output), 0), 0);
}

void store_case_cli(const struct store_case *c, const char *format, ...)
{
    char words[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(words, sizeof words, format, args);
    va_end(args);
    run_cli(c, words, "/dev/null");
}

char *store_case_ask(const struct store_case *c, const char *words)
{
    enum { MOST = 1 << 20 };
    AUTO(free_pointer) char *path = xasprintf("%s/said", c->directory);
    char *text = NULL;
    size_t size = 0;

    (void)unlink(path);
    run_cli(c, words, path);
    assert_ok(file_read(path, MOST, &text, &size));
    text[strcspn(text, "\n")] = '\0';
    return text;
}

void store_case_sql(const struct store_case *c, const char *sql)
{
    static const char script[] =
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]);"
        "d.executescript(sys.argv[2]); d.commit()";
    AUTO(free_pointer) char *path = xasprintf("%s/sinter.db", c->directory);
    const char *const argv[] = { "python3", "-c", script, path, sql, NULL };

    assert_int_equal(process_end(process_start(argv, "/dev/null"), 0), 0);
}

uint64_t store_case_begin(struct store *s)
{
    uint64_t epoch = 0;

    assert_ok(s->begin(s->self, &epoch));
    return epoch;
}

struct store_record store_case_record(uint64_t epoch, uint64_t sequence,
                                      const char *text)
{
    return (struct store_record){ .epoch = epoch,
                                  .sequence = sequence,
                                  .data = wire_text(text) };
}

struct status store_case_append(struct store *s, uint64_t epoch, uint64_t from,
                                uint64_t to)
{
    enum { NAME_SIZE = 24 };
    size_t count = (size_t)(to - from + 1);
    AUTO(free_pointer) char *names = xcalloc(count, NAME_SIZE);
    AUTO(free_pointer)
    struct store_record *records = xcalloc(count, sizeof *records);

    for (size_t i = 0; i < count; i++) {
        char *name = names + i * NAME_SIZE;

        (void)snprintf(name, NAME_SIZE, "r%" PRIu64, from + i);
        records[i] = store_case_record(epoch, from + i, name);
    }
    return s->append(s->self, records, count);
}

struct status store_case_put(struct store *s, const char *name,
                             const char *text)
{
    return s->put(s->self, name, wire_text(text));
}

static void note(struct store_history *h, const char *text)
{
    size_t size = strlen(h->text);

    (void)snprintf(h->text + size, sizeof h->text - size, "%s", text);
}

static struct status visit_record(void *self, const struct store_record *r)
{
    struct store_history *h = self;
    char text[64];

    if (status_failed(&h->fail_with))
        return h->fail_with;
    h->records++;
    h->last = r->sequence;
    (void)snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64 ":%.*s ", r->epoch,
                   r->sequence, r->data.size > 8 ? 8 : (int)r->data.size,
                   r->data.data);
    note(h, text);
    return SUCCESS;
}

static struct status visit_piece(void *self, const char *name,
                                 struct wire_bytes data)
{
    struct store_history *h = self;
    char text[96];

    assert_int_equal(h->records, 0);
    h->pieces++;
    (void)snprintf(text, sizeof text, "[%s:%.*s] ", name,
                   data.size > 8 ? 8 : (int)data.size, data.data);
    note(h, text);
    return SUCCESS;
}

struct store_visitor store_case_visitor(struct store_history *h)
{
    *h = (struct store_history){ .fail_with = SUCCESS };
    return (struct store_visitor){ .self = h,
                                   .piece = visit_piece,
                                   .record = visit_record };
}

void store_case_expect(struct store *s, const char *text)
{
    struct store_history h;
    struct store_visitor v = store_case_visitor(&h);

    assert_ok(s->replay(s->self, &v));
    assert_string_equal(h.text, text);
}
