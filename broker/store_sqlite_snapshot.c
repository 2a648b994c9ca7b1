#include "broker/store_sqlite.h"

#include <string.h>

#include "broker/store_group.h"

enum { TRIM_MOST = 64 }; /* entries: a few milliseconds */

MUST_CHECK static struct status read_position(struct sqlite_store *s,
                                              struct store_reader *reader)
{
    sqlite3_stmt *st = s->statements[SQL_POSITION];
    int result = sqlite3_step(st);
    struct status status = SUCCESS;

    if (result == SQLITE_ROW) {
        reader->epoch = (uint64_t)sqlite3_column_int64(st, 0);
        reader->sequence = (uint64_t)sqlite3_column_int64(st, 1);
    } else if (result != SQLITE_DONE) {
        status = sqlite_trouble(s, result);
    }
    (void)sqlite3_reset(st);
    return status;
}

MUST_CHECK static struct status visit_piece(const struct sqlite_store *s,
                                            const struct store_visitor *v,
                                            sqlite3_stmt *row)
{
    const char *name = (const char *)sqlite3_column_text(row, 0);
    struct wire_bytes data = { .data = sqlite3_column_blob(row, 1),
                               .size = (size_t)sqlite3_column_bytes(row, 1) };

    if (sqlite3_column_type(row, 1) == SQLITE_NULL)
        return FAIL(STATUS_CORRUPT,
                    "%s: piece %.80s of the snapshot is missing", s->path,
                    name);
    return v->piece(v->self, name, data);
}

MUST_CHECK static struct status visit_pieces(struct sqlite_store *s,
                                             const struct store_visitor *v)
{
    sqlite3_stmt *st = s->statements[SQL_PIECES];
    struct status status = SUCCESS;
    int result = SQLITE_DONE;

    while (!status_failed(&status) && (result = sqlite3_step(st)) == SQLITE_ROW)
        status = visit_piece(s, v, st);
    if (!status_failed(&status) && result != SQLITE_DONE)
        status = sqlite_trouble(s, result);
    (void)sqlite3_reset(st);
    return status;
}

MUST_CHECK static struct status visit_row(struct store_reader *reader,
                                          sqlite3_stmt *st)
{
    struct store_record r = {
        .epoch = (uint64_t)sqlite3_column_int64(st, 0),
        .sequence = (uint64_t)sqlite3_column_int64(st, 1),
        .data.data = sqlite3_column_blob(st, 3),
        .data.size = (size_t)sqlite3_column_bytes(st, 3),
    };

    if (sqlite3_column_int(st, 2) != 0)
        return store_reader_group(reader, r.epoch, r.sequence, r.data);
    return store_reader_record(reader, &r);
}

struct status sqlite_replay(void *self, const struct store_visitor *visitor)
{
    struct sqlite_store *s = self;
    struct store_reader reader = { .visitor = visitor };
    sqlite3_stmt *st = s->statements[SQL_REPLAY];
    struct status status = SUCCESS;
    int result;

    TRY_PLAIN(read_position(s, &reader));
    TRY_PLAIN(visit_pieces(s, visitor));
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        status = visit_row(&reader, st);
        if (status_failed(&status)) {
            status = status_wrap(status, "%s", s->path);
            break;
        }
    }
    if (!status_failed(&status) && result != SQLITE_DONE)
        status = sqlite_trouble(s, result);
    (void)sqlite3_reset(st);
    return status;
}

struct piece {
    struct sqlite_value name, data;
};

static struct sqlite_value text(const char *name)
{
    return (struct sqlite_value){ .data = name,
                                  .size = strlen(name),
                                  .is_text = true };
}

MUST_CHECK static struct status put(struct sqlite_store *s, void *argument)
{
    const struct piece *p = argument;
    const struct sqlite_value values[] = { p->name, p->data };
    int64_t listed = 0;
    int64_t same = 0;

    TRY_PLAIN(
        sqlite_step(s, sqlite_bind(s, SQL_IS_LISTED, values, 1), &listed));
    if (listed > 0) {
        TRY_PLAIN(
            sqlite_step(s, sqlite_bind(s, SQL_IS_SAME, values, 2), &same));
        if (same > 0)
            return SUCCESS;
        return FAIL(STATUS_INVALID,
                    "the published snapshot has other bytes of piece %s",
                    p->name.data);
    }
    return sqlite_step(s, sqlite_bind(s, SQL_PUT, values, COUNT_OF(values)),
                       NULL);
}

struct status sqlite_put(void *self, const char *name, struct wire_bytes data)
{
    struct sqlite_store *s = self;
    struct piece p = { .name = text(name),
                       .data = { .data = data.size == 0 ? "" : data.data,
                                 .size = data.size } };

    TRY_PLAIN(store_check_piece(name, data.size));
    return sqlite_transact(s, s->epoch, put, &p);
}

struct list {
    const char *const *names;
    size_t count;
    uint64_t epoch, sequence;
};

MUST_CHECK static struct status list_names(struct sqlite_store *s,
                                           const struct list *l)
{
    int64_t missing = 0;

    TRY_PLAIN(sqlite_step(s, s->statements[SQL_UNLIST], NULL));
    for (size_t i = 0; i < l->count; i++) {
        const struct sqlite_value name = text(l->names[i]);

        TRY_PLAIN(sqlite_step(s, sqlite_bind(s, SQL_LIST, &name, 1), NULL));
    }
    TRY_PLAIN(sqlite_step(s, s->statements[SQL_MISSING], &missing));
    if (missing > 0)
        return FAIL(STATUS_NOT_FOUND, "%s: %lld of %zu pieces are not there",
                    s->path, (long long)missing, l->count);
    return SUCCESS;
}

MUST_CHECK static struct status publish(struct sqlite_store *s, void *argument)
{
    const struct list *l = argument;
    const struct sqlite_value id[] = { { .number = l->epoch },
                                       { .number = l->sequence } };

    TRY_PLAIN(list_names(s, l));
    TRY_PLAIN(sqlite_step(s, sqlite_bind(s, SQL_PUBLISH, id, 2), NULL));
    return sqlite_step(s, s->statements[SQL_DELETE], NULL);
}

struct status sqlite_publish(void *self, const char *const *names, size_t count,
                             uint64_t epoch, uint64_t sequence)
{
    struct sqlite_store *s = self;
    struct list l = {
        .names = names, .count = count, .epoch = epoch, .sequence = sequence
    };

    TRY_PLAIN(store_check_publish(
        names, count,
        (struct store_record){ .epoch = epoch, .sequence = sequence },
        (struct store_record){ .epoch = s->epoch,
                               .sequence = s->acknowledged }));
    return sqlite_transact(s, s->epoch, publish, &l);
}

MUST_CHECK static struct status trim(struct sqlite_store *s, void *argument)
{
    const struct sqlite_value most = { .number = TRIM_MOST };
    bool *more = argument;

    TRY_PLAIN(sqlite_step(s, sqlite_bind(s, SQL_TRIM, &most, 1), NULL));
    *more = sqlite3_changes(s->db) == TRIM_MOST;
    return SUCCESS;
}

struct status sqlite_tidy(void *self, bool *ret_more)
{
    struct sqlite_store *s = self;

    *ret_more = false;
    return sqlite_transact(s, s->epoch, trim, ret_more);
}
