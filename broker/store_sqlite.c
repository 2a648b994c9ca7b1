/* store_sqlite.c -- log and snapshot in one SQLite file, for a broker without
 * Redis.
 *
 * WAL journal, synchronous=FULL: a transaction is on disk when COMMIT returns.
 * The epoch in `meta` fences: each write compares it inside its own
 * transaction, which holds the one write lock there is. */
#include "broker/store_sqlite.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store_group.h"
#include "common/memory.h"

enum { BUSY_MS = 3000 }; /* another program reads or checkpoints the file */

static const char *const texts[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_EPOCH] = "SELECT epoch FROM meta",
    [SQL_RAISE] = "UPDATE meta SET epoch = epoch + 1",
    [SQL_APPEND] = "INSERT INTO entries (epoch, sequence, packed, data)"
                   " VALUES (?, ?, 1, ?)",
    [SQL_LAST] = "SELECT sequence FROM entries WHERE id ="
                 " (SELECT MAX(id) FROM entries) AND epoch = ?",
    [SQL_REPLAY] =
        "SELECT epoch, sequence, packed, data FROM entries ORDER BY id",
    [SQL_IS_LISTED] = "SELECT COUNT(*) FROM listed WHERE name = ?",
    [SQL_IS_SAME] = "SELECT COUNT(*) FROM piece WHERE name = ? AND data = ?",
    [SQL_PUT] = "INSERT OR REPLACE INTO piece (name, data) VALUES (?, ?)",
    [SQL_POSITION] = "SELECT epoch, sequence FROM snapshot",
    [SQL_PIECES] = "SELECT listed.name, data FROM listed LEFT JOIN piece"
                   " USING (name) ORDER BY listed.id",
    [SQL_UNLIST] = "DELETE FROM listed",
    [SQL_LIST] = "INSERT INTO listed (name) VALUES (?)",
    [SQL_MISSING] = "SELECT COUNT(*) FROM listed WHERE name NOT IN"
                    " (SELECT name FROM piece)",
    [SQL_PUBLISH] = "INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?)",
    [SQL_TRIM] = "DELETE FROM entries WHERE id IN (SELECT id FROM"
                 " (SELECT id, epoch, sequence FROM entries ORDER BY id"
                 " LIMIT ?) AS first, snapshot WHERE"
                 " first.epoch < snapshot.epoch OR"
                 " (first.epoch = snapshot.epoch AND"
                 " first.sequence <= snapshot.sequence))",
    [SQL_DELETE] = "DELETE FROM piece WHERE name NOT IN"
                   " (SELECT name FROM listed)",
    [SQL_HOLDER] = "SELECT name, address, ends, ttl FROM leader",
    [SQL_HOLD] = "INSERT OR REPLACE INTO leader VALUES (1, ?, ?, ?, ?)",
    [SQL_RELEASE] = "DELETE FROM leader WHERE name = ?",
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta (only INTEGER PRIMARY KEY CHECK"
    " (only = 1), epoch INTEGER NOT NULL);"
    "INSERT OR IGNORE INTO meta VALUES (1, 0);"
    "CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY,"
    " epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    " packed INTEGER NOT NULL, data BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS piece (id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE, data BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS snapshot (only INTEGER PRIMARY KEY CHECK"
    " (only = 1), epoch INTEGER NOT NULL, sequence INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS listed (id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE IF NOT EXISTS leader (only INTEGER PRIMARY KEY CHECK"
    " (only = 1), name TEXT NOT NULL, address TEXT NOT NULL,"
    " ends INTEGER NOT NULL, ttl INTEGER NOT NULL);";

/* `log`, one record a row, is how a store looked before there were groups. */
static const char migration[] =
    "BEGIN IMMEDIATE;"
    "INSERT INTO entries (epoch, sequence, packed, data)"
    " SELECT epoch, sequence, 0, data FROM log ORDER BY epoch, sequence;"
    "DROP TABLE log;"
    "COMMIT;";

/* Few codes mean that the file is gone for good. */
static enum status_code code_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_FULL:
        return STATUS_NO_SPACE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return STATUS_CORRUPT;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
        return STATUS_DENIED;
    default:
        return STATUS_UNAVAILABLE;
    }
}

struct status sqlite_trouble(const struct sqlite_store *s, int result)
{
    const char *advice = code_of(result) == STATUS_NO_SPACE
                             ? "; free some space there, writes go on by "
                               "themselves"
                             : "";

    return FAIL(code_of(result), "%s: %s (SQLite %d)%s", s->path,
                sqlite3_errmsg(s->db), sqlite3_extended_errcode(s->db), advice);
}

sqlite3_stmt *sqlite_bind(const struct sqlite_store *s, enum sqlite_text which,
                          const struct sqlite_value *values, size_t count)
{
    sqlite3_stmt *st = s->statements[which];

    for (size_t i = 0; i < count; i++) {
        const struct sqlite_value *v = &values[i];
        int at = (int)i + 1;

        if (v->data == NULL)
            (void)sqlite3_bind_int64(st, at, (sqlite3_int64)v->number);
        else if (v->is_text)
            (void)sqlite3_bind_text(st, at, v->data, (int)v->size,
                                    SQLITE_STATIC);
        else
            (void)sqlite3_bind_blob64(st, at, v->data, v->size, SQLITE_STATIC);
    }
    return st;
}

struct status sqlite_step(const struct sqlite_store *s, sqlite3_stmt *st,
                          int64_t *ret_value)
{
    int result = sqlite3_step(st);
    struct status failure;

    if (result == SQLITE_ROW && ret_value != NULL)
        *ret_value = sqlite3_column_int64(st, 0);
    if (result == SQLITE_ROW || result == SQLITE_DONE) {
        (void)sqlite3_reset(st);
        return SUCCESS;
    }
    failure = sqlite_trouble(s, result);
    (void)sqlite3_reset(st);
    return failure;
}

/* A statement without values. */
MUST_CHECK static struct status run(const struct sqlite_store *s,
                                    enum sqlite_text which, int64_t *ret_value)
{
    return sqlite_step(s, s->statements[which], ret_value);
}

MUST_CHECK static struct status check_epoch(struct sqlite_store *s,
                                            uint64_t epoch)
{
    int64_t now = 0;

    if (epoch == 0)
        return SUCCESS;
    TRY_PLAIN(run(s, SQL_EPOCH, &now));
    if ((uint64_t)now == epoch)
        return SUCCESS;
    return FAIL(STATUS_STALE,
                "%s: another broker took over with epoch %lld, this one has "
                "%llu",
                s->path, (long long)now, (unsigned long long)epoch);
}

MUST_CHECK static struct status transact(
    struct sqlite_store *s, uint64_t epoch,
    struct status (*what)(struct sqlite_store *s, void *argument),
    void *argument)
{
    TRY_PLAIN(check_epoch(s, epoch));
    TRY_PLAIN(what(s, argument));
    return run(s, SQL_COMMIT, NULL);
}

struct status sqlite_transact(struct sqlite_store *s, uint64_t epoch,
                              struct status (*what)(struct sqlite_store *s,
                                                    void *argument),
                              void *argument)
{
    struct status st = run(s, SQL_BEGIN, NULL);

    if (status_failed(&st))
        return st;
    st = transact(s, epoch, what, argument);
    if (status_failed(&st) && sqlite3_get_autocommit(s->db) == 0) {
        struct status undone = run(s, SQL_ROLLBACK, NULL);

        (void)undone; /* the failure's story is the better one */
    }
    return st;
}

MUST_CHECK static struct status raise_epoch(struct sqlite_store *s,
                                            void *argument)
{
    TRY_PLAIN(run(s, SQL_RAISE, NULL));
    return run(s, SQL_EPOCH, argument);
}

MUST_CHECK static struct status begin(void *self, uint64_t *ret_epoch)
{
    struct sqlite_store *s = self;
    int64_t epoch = 0;

    TRY_PLAIN(sqlite_transact(s, 0, raise_epoch, &epoch));
    s->epoch = (uint64_t)epoch;
    s->acknowledged = 0;
    *ret_epoch = s->epoch;
    return SUCCESS;
}

struct run_of_records {
    const struct store_record *items;
    size_t count;
};

MUST_CHECK static struct status insert(struct sqlite_store *s,
                                       const struct store_group *g)
{
    const struct sqlite_value values[] = {
        { .number = g->epoch },
        { .number = g->last },
        { .data = g->data, .size = g->size },
    };

    return sqlite_step(s, sqlite_bind(s, SQL_APPEND, values, COUNT_OF(values)),
                       NULL);
}

MUST_CHECK static struct status append_all(struct sqlite_store *s,
                                           void *argument)
{
    const struct run_of_records *r = argument;
    const struct sqlite_value epoch = { .number = s->epoch };
    int64_t last = 0;
    size_t i = 0;

    /* A COMMIT that failed may yet have been carried out. */
    TRY_PLAIN(sqlite_step(s, sqlite_bind(s, SQL_LAST, &epoch, 1), &last));
    while (i < r->count && r->items[i].sequence <= (uint64_t)last)
        i++;
    while (i < r->count) {
        struct store_group g =
            store_group_pack(r->items + i, r->count - i, UINT64_MAX);
        struct status st = insert(s, &g);

        i += (size_t)(g.last - g.first + 1);
        store_group_release(&g);
        if (status_failed(&st))
            return st;
    }
    return SUCCESS;
}

MUST_CHECK static struct status append(void *self,
                                       const struct store_record *records,
                                       size_t count)
{
    struct sqlite_store *s = self;
    struct run_of_records r = { .items = records, .count = count };

    while (r.count > 0 && r.items[0].sequence <= s->acknowledged) {
        r.items++;
        r.count--;
    }
    if (r.count == 0)
        return check_epoch(s, s->epoch);
    assert(r.items[0].epoch == s->epoch);
    TRY_PLAIN(sqlite_transact(s, s->epoch, append_all, &r));
    s->acknowledged = records[count - 1].sequence;
    return SUCCESS;
}

/* Only Redis forgets what it had accepted. */
MUST_CHECK static struct status rebuild(void *self)
{
    const struct sqlite_store *s = self;

    return FAIL(STATUS_INVALID, "%s: a file has nothing to be rebuilt from",
                s->path);
}

static void close_store(void *self)
{
    struct sqlite_store *s = self;

    for (int i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_finalize(s->statements[i]);
    (void)sqlite3_close(s->db);
    free(s->path);
    free(s);
}

MUST_CHECK static struct status execute(struct sqlite_store *s, const char *sql)
{
    int result = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

    return result == SQLITE_OK ? SUCCESS : sqlite_trouble(s, result);
}

MUST_CHECK static struct status prepare(struct sqlite_store *s)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        int result =
            sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &s->statements[i], NULL);

        if (result != SQLITE_OK)
            return sqlite_trouble(s, result);
    }
    return SUCCESS;
}

MUST_CHECK static struct status set_up(struct sqlite_store *s)
{
    int result = sqlite3_open_v2(
        s->path, &s->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

    if (result != SQLITE_OK)
        return sqlite_trouble(s, result);
    (void)sqlite3_extended_result_codes(s->db, 1);
    (void)sqlite3_busy_timeout(s->db, BUSY_MS);
    TRY_PLAIN(execute(s, "PRAGMA journal_mode=WAL"));
    TRY_PLAIN(execute(s, "PRAGMA synchronous=FULL"));
    /* Debian's SQLite overwrites what is deleted: of the log, all of it. */
    TRY_PLAIN(execute(s, "PRAGMA secure_delete=OFF"));
    TRY_PLAIN(execute(s, schema));
    if (sqlite3_table_column_metadata(s->db, NULL, "log", NULL, NULL, NULL,
                                      NULL, NULL, NULL) == SQLITE_OK)
        TRY_PLAIN(execute(s, migration));
    return prepare(s);
}

struct status store_sqlite_open(const char *path, struct store *ret_store)
{
    struct sqlite_store *s = xnew(struct sqlite_store);
    struct status st;

    s->path = xstrdup(path);
    st = set_up(s);
    if (status_failed(&st)) {
        close_store(s);
        return st;
    }
    *ret_store = (struct store){ .self = s,
                                 .begin = begin,
                                 .replay = sqlite_replay,
                                 .append = append,
                                 .put = sqlite_put,
                                 .publish = sqlite_publish,
                                 .tidy = sqlite_tidy,
                                 .rebuild = rebuild,
                                 .acquire = sqlite_acquire,
                                 .extend = sqlite_extend,
                                 .release = sqlite_release,
                                 .close = close_store };
    return SUCCESS;
}
