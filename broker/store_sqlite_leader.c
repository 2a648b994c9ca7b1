#include "broker/store_sqlite.h"

#include <string.h>

#include "common/clock.h"

/* The row of the leader. `ends` is of the monotonic clock of this machine,
 * where all who share the file are; after a reboot it lies too far ahead. */
struct holding {
    const struct store_holder *me;
    int64_t ttl_ms;
    bool only_extend;
    struct store_holder *holder; /* out */
    bool mine;                   /* out */
};

static void copy(char to[STORE_HOLDER_MOST], sqlite3_stmt *st, int column)
{
    const unsigned char *text = sqlite3_column_text(st, column);

    (void)snprintf(to, STORE_HOLDER_MOST, "%s",
                   text == NULL ? "" : (const char *)text);
}

/* ret_holder: no name if nobody holds it now. */
MUST_CHECK static struct status read_holder(struct sqlite_store *s,
                                            struct store_holder *ret_holder)
{
    sqlite3_stmt *st = s->statements[SQL_HOLDER];
    int result = sqlite3_step(st);
    struct status status = SUCCESS;

    *ret_holder = (struct store_holder){ .name = "" };
    if (result == SQLITE_ROW) {
        int64_t left = sqlite3_column_int64(st, 2) - clock_now() / NS_PER_MS;

        if (left > 0 && left <= sqlite3_column_int64(st, 3)) {
            copy(ret_holder->name, st, 0);
            copy(ret_holder->address, st, 1);
        }
    } else if (result != SQLITE_DONE) {
        status = sqlite_trouble(s, result);
    }
    (void)sqlite3_reset(st);
    return status;
}

static struct sqlite_value text(const char *data)
{
    return (struct sqlite_value){ .data = data,
                                  .size = strlen(data),
                                  .is_text = true };
}

MUST_CHECK static struct status hold(struct sqlite_store *s, void *argument)
{
    struct holding *h = argument;
    int64_t ends = clock_now() / NS_PER_MS + h->ttl_ms;
    const struct sqlite_value row[] = {
        text(h->me->name),
        text(h->me->address),
        { .number = (uint64_t)ends },
        { .number = (uint64_t)h->ttl_ms },
    };

    TRY_PLAIN(read_holder(s, h->holder));
    h->mine = strcmp(h->holder->name, h->me->name) == 0;
    if (!h->mine && (h->only_extend || h->holder->name[0] != '\0'))
        return SUCCESS;
    h->mine = true;
    *h->holder = *h->me;
    return sqlite_step(s, sqlite_bind(s, SQL_HOLD, row, COUNT_OF(row)), NULL);
}

struct status sqlite_acquire(void *self, const struct store_holder *me,
                             int64_t ttl_ms, struct store_holder *ret_holder,
                             bool *ret_mine)
{
    struct holding h = { .me = me, .ttl_ms = ttl_ms, .holder = ret_holder };

    TRY_PLAIN(sqlite_transact(self, 0, hold, &h));
    *ret_mine = h.mine;
    return SUCCESS;
}

struct status sqlite_extend(void *self, const struct store_holder *me,
                            int64_t ttl_ms, bool *ret_mine)
{
    struct store_holder holder;
    struct holding h = {
        .me = me, .ttl_ms = ttl_ms, .only_extend = true, .holder = &holder
    };

    TRY_PLAIN(sqlite_transact(self, 0, hold, &h));
    *ret_mine = h.mine;
    return SUCCESS;
}

struct status sqlite_release(void *self, const struct store_holder *me)
{
    struct sqlite_store *s = self;
    const struct sqlite_value name = text(me->name);

    return sqlite_step(s, sqlite_bind(s, SQL_RELEASE, &name, 1), NULL);
}
