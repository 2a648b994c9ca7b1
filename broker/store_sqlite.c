/* store_sqlite.c -- the log in one SQLite file, for a broker without Redis.
 *
 * WAL journal, synchronous=FULL: a transaction is on disk when COMMIT returns.
 * The epoch in `meta` fences: each append compares it inside its own
 * transaction, which holds the one write lock there is. */
#include "broker/store.h"

#include <assert.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "common/memory.h"

enum { BUSY_MS = 3000 }; /* another program reads or checkpoints the file */

enum statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_EPOCH,
    SQL_RAISE,
    SQL_APPEND,
    SQL_REPLAY,
    SQL_COUNT,
};

static const char *const texts[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_EPOCH] = "SELECT epoch FROM meta",
    [SQL_RAISE] = "UPDATE meta SET epoch = epoch + 1",
    [SQL_APPEND] = "INSERT OR IGNORE INTO log VALUES (?, ?, ?)",
    [SQL_REPLAY] =
        "SELECT epoch, sequence, data FROM log ORDER BY epoch, sequence",
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS log (epoch INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, data BLOB NOT NULL,"
    " PRIMARY KEY (epoch, sequence)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS meta (only INTEGER PRIMARY KEY CHECK"
    " (only = 1), epoch INTEGER NOT NULL);"
    "INSERT OR IGNORE INTO meta VALUES (1, 0);";

struct sqlite_store {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statements[SQL_COUNT];
    uint64_t epoch;
};

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

MUST_CHECK static struct status trouble(const struct sqlite_store *s,
                                        int result)
{
    return FAIL(code_of(result), "%s: %s (SQLite %d)", s->path,
                sqlite3_errmsg(s->db), sqlite3_extended_errcode(s->db));
}

/* Runs a statement that gives at most one row; its first column, or 0. */
MUST_CHECK static struct status run(struct sqlite_store *s,
                                    enum statement which, int64_t *ret_value)
{
    sqlite3_stmt *st = s->statements[which];
    int result = sqlite3_step(st);
    struct status failure;

    if (result == SQLITE_ROW && ret_value != NULL)
        *ret_value = sqlite3_column_int64(st, 0);
    if (result == SQLITE_ROW || result == SQLITE_DONE) {
        (void)sqlite3_reset(st);
        return SUCCESS;
    }
    failure = trouble(s, result);
    (void)sqlite3_reset(st);
    return failure;
}

/* After a failure inside a transaction: its story, not the rollback's. */
MUST_CHECK static struct status roll_back(struct sqlite_store *s,
                                          struct status why)
{
    if (sqlite3_get_autocommit(s->db) == 0) {
        struct status st = run(s, SQL_ROLLBACK, NULL);

        (void)st;
    }
    return why;
}

MUST_CHECK static struct status raise_epoch(struct sqlite_store *s)
{
    int64_t epoch = 0;

    TRY_PLAIN(run(s, SQL_RAISE, NULL));
    TRY_PLAIN(run(s, SQL_EPOCH, &epoch));
    TRY_PLAIN(run(s, SQL_COMMIT, NULL));
    s->epoch = (uint64_t)epoch;
    return SUCCESS;
}

MUST_CHECK static struct status begin(void *self, uint64_t *ret_epoch)
{
    struct sqlite_store *s = self;
    struct status st;

    TRY_PLAIN(run(s, SQL_BEGIN, NULL));
    st = raise_epoch(s);
    if (status_failed(&st))
        return roll_back(s, st);
    *ret_epoch = s->epoch;
    return SUCCESS;
}

MUST_CHECK static struct status replay(
    void *self,
    struct status (*visit)(void *visitor, const struct store_record *r),
    void *visitor)
{
    struct sqlite_store *s = self;
    sqlite3_stmt *st = s->statements[SQL_REPLAY];
    struct status status = SUCCESS;
    int result = sqlite3_step(st);

    for (; result == SQLITE_ROW; result = sqlite3_step(st)) {
        struct store_record r = {
            .epoch = (uint64_t)sqlite3_column_int64(st, 0),
            .sequence = (uint64_t)sqlite3_column_int64(st, 1),
            .data.data = sqlite3_column_blob(st, 2),
            .data.size = (size_t)sqlite3_column_bytes(st, 2),
        };

        status = visit(visitor, &r);
        if (status_failed(&status))
            break;
    }
    if (!status_failed(&status) && result != SQLITE_DONE)
        status = trouble(s, result);
    (void)sqlite3_reset(st);
    return status;
}

MUST_CHECK static struct status insert(struct sqlite_store *s,
                                       const struct store_record *r)
{
    sqlite3_stmt *st = s->statements[SQL_APPEND];

    (void)sqlite3_bind_int64(st, 1, (sqlite3_int64)r->epoch);
    (void)sqlite3_bind_int64(st, 2, (sqlite3_int64)r->sequence);
    (void)sqlite3_bind_blob64(st, 3, r->data.data, r->data.size, SQLITE_STATIC);
    return run(s, SQL_APPEND, NULL);
}

MUST_CHECK static struct status append_all(struct sqlite_store *s,
                                           const struct store_record *records,
                                           size_t count)
{
    int64_t epoch = 0;

    TRY_PLAIN(run(s, SQL_EPOCH, &epoch));
    for (size_t i = 0; i < count; i++) {
        if (records[i].epoch != (uint64_t)epoch)
            return FAIL(STATUS_STALE,
                        "%s: another broker took over with "
                        "epoch %lld, this one has %llu",
                        s->path, (long long)epoch,
                        (unsigned long long)records[i].epoch);
        TRY_PLAIN(insert(s, &records[i]));
    }
    return run(s, SQL_COMMIT, NULL);
}

MUST_CHECK static struct status append(void *self,
                                       const struct store_record *records,
                                       size_t count)
{
    struct sqlite_store *s = self;
    struct status st;

    if (count == 0)
        return SUCCESS;
    TRY_PLAIN(run(s, SQL_BEGIN, NULL));
    st = append_all(s, records, count);
    return status_failed(&st) ? roll_back(s, st) : SUCCESS;
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

    return result == SQLITE_OK ? SUCCESS : trouble(s, result);
}

MUST_CHECK static struct status set_up(struct sqlite_store *s)
{
    int result = sqlite3_open_v2(
        s->path, &s->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

    if (result != SQLITE_OK)
        return trouble(s, result);
    (void)sqlite3_extended_result_codes(s->db, 1);
    (void)sqlite3_busy_timeout(s->db, BUSY_MS);
    TRY_PLAIN(execute(s, "PRAGMA journal_mode=WAL"));
    TRY_PLAIN(execute(s, "PRAGMA synchronous=FULL"));
    TRY_PLAIN(execute(s, schema));
    for (int i = 0; i < SQL_COUNT; i++) {
        result =
            sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &s->statements[i], NULL);
        if (result != SQLITE_OK)
            return trouble(s, result);
    }
    return SUCCESS;
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
                                 .replay = replay,
                                 .append = append,
                                 .close = close_store };
    return SUCCESS;
}
