/* store_sqlite.h -- what the files of the SQLite store share; nobody else
 * needs it. */
#ifndef SINTER_BROKER_STORE_SQLITE_H
#define SINTER_BROKER_STORE_SQLITE_H

#include <sqlite3.h>

#include "broker/store.h"

enum sqlite_text {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_EPOCH,
    SQL_RAISE,
    SQL_APPEND,
    SQL_LAST,
    SQL_REPLAY,
    SQL_IS_LISTED,
    SQL_IS_SAME,
    SQL_PUT,
    SQL_POSITION,
    SQL_PIECES,
    SQL_UNLIST,
    SQL_LIST,
    SQL_MISSING,
    SQL_PUBLISH,
    SQL_TRIM,
    SQL_DELETE,
    SQL_HOLDER,
    SQL_HOLD,
    SQL_RELEASE,
    SQL_COUNT,
};

struct sqlite_store {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statements[SQL_COUNT];
    uint64_t epoch;
    uint64_t acknowledged; /* last sequence append() has answered for */
};

/* --- store_sqlite.c */

/* What SQLite said, as a failure. */
MUST_CHECK struct status sqlite_trouble(const struct sqlite_store *s,
                                        int result);
/* A statement with its first `count` values bound; a number or bytes. */
struct sqlite_value {
    const char *data; /* NULL: `number`; text if `is_text` */
    size_t size;
    uint64_t number;
    bool is_text;
};
sqlite3_stmt *sqlite_bind(const struct sqlite_store *s, enum sqlite_text which,
                          const struct sqlite_value *values, size_t count);
/* Runs what gives at most one row; its first column, or 0. */
MUST_CHECK struct status sqlite_step(const struct sqlite_store *s,
                                     sqlite3_stmt *st, int64_t *ret_value);
/* In one transaction: `what`, fenced unless the epoch is 0. */
MUST_CHECK struct status sqlite_transact(
    struct sqlite_store *s, uint64_t epoch,
    struct status (*what)(struct sqlite_store *s, void *argument),
    void *argument);

/* --- store_sqlite_snapshot.c */

MUST_CHECK struct status sqlite_replay(void *self,
                                       const struct store_visitor *visitor);
MUST_CHECK struct status sqlite_put(void *self, const char *name,
                                    struct wire_bytes data);
MUST_CHECK struct status sqlite_publish(void *self, const char *const *names,
                                        size_t count, uint64_t epoch,
                                        uint64_t sequence);
MUST_CHECK struct status sqlite_tidy(void *self, bool *ret_more);

/* --- store_sqlite_leader.c */

MUST_CHECK struct status sqlite_acquire(void *self,
                                        const struct store_holder *me,
                                        int64_t ttl_ms,
                                        struct store_holder *ret_holder,
                                        bool *ret_mine);
MUST_CHECK struct status sqlite_extend(void *self,
                                       const struct store_holder *me,
                                       int64_t ttl_ms, bool *ret_mine);
MUST_CHECK struct status sqlite_release(void *self,
                                        const struct store_holder *me);

#endif
