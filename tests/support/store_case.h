/* store_case.h -- a store of either back end with the real thing behind it, for
 * the tests of what store.h promises. */
#ifndef SINTER_TESTS_SUPPORT_STORE_CASE_H
#define SINTER_TESTS_SUPPORT_STORE_CASE_H

#include "broker/store.h"
#include "support/process.h"
#include "support/test.h"

#include <sys/types.h>

enum store_back { STORE_SQLITE, STORE_REDIS, STORE_BACKS };

struct store_case {
    enum store_back back;
    char directory[SCRATCH_SIZE];
    char *url;
    pid_t redis; /* 0 for SQLite */
};

struct store_case store_case_new(enum store_back back);
void store_case_release(struct store_case *c);
struct store store_case_open(const struct store_case *c);
/* Kill -9 and start again; SQLite has no process to kill. */
void store_case_kill(struct store_case *c);
void store_case_start(struct store_case *c);
/* redis-cli with these words, as a shell reads them. */
void store_case_cli(const struct store_case *c, const char *format, ...)
    PRINTF_LIKE(2, 3);
/* What that says; the caller frees. */
char *store_case_ask(const struct store_case *c, const char *words);
/* SQL on the file of a SQLite store. */
void store_case_sql(const struct store_case *c, const char *sql);

uint64_t store_case_begin(struct store *s);
struct store_record store_case_record(uint64_t epoch, uint64_t sequence,
                                      const char *text);
/* Append records from..to, named "r<sequence>". */
MUST_CHECK struct status store_case_append(struct store *s, uint64_t epoch,
                                           uint64_t from, uint64_t to);
MUST_CHECK struct status store_case_put(struct store *s, const char *name,
                                        const char *text);

/* "[piece:data] 1-1:a 1-2:b " */
struct store_history {
    char text[8192];
    size_t records, pieces;
    uint64_t last;           /* sequence */
    struct status fail_with; /* set before the replay */
};

struct store_visitor store_case_visitor(struct store_history *h);
/* The whole store, as a history says it. */
void store_case_expect(struct store *s, const char *text);

#endif
