/* data_records.h -- the objects of a .jsonl file, line by line, and a prompt
 * with its answer as one sequence of tokens. */
#ifndef SINTER_JOBS_DATA_RECORDS_H
#define SINTER_JOBS_DATA_RECORDS_H

#include "common/json.h"
#include "model/tokenizer.h"

#include <stddef.h>
#include <stdint.h>

enum { DATA_RECORDS_LIMIT = 1 << 30 }; /* bytes of a file */

struct data_record {
    const char *path;
    size_t line; /* from 1 */
    const json_t *object;
};

/* CORRUPT: "PATH, line N: WHAT". */
struct status data_record_wrong(const struct data_record *r, const char *what);
/* Calls `take` for each line that is not blank; CORRUPT or INVALID names the
 * line that is no JSON, or says what the file is instead. */
MUST_CHECK struct status data_records_read(
    const char *path, const char *text, size_t size,
    struct status (*take)(void *self, const struct data_record *r), void *self);

struct data_span {
    const char *bytes;
    size_t size;
};

/* {"prompt", "answer"}, whose prompt stands as it is, or {"instruction",
 * "input", "output"}, the input of which may be empty or absent: it stands
 * behind the instruction on a line of its own, as does the output. */
struct data_exchange {
    struct data_span instruction, input, output;
    bool lines;      /* newlines stand between them */
    bool unfinished; /* more may follow the answer: no end behind it */
};
/* Spans are the record's. False: it is something else. */
bool data_record_exchange(const struct data_record *r,
                          struct data_exchange *ret_exchange);

/* Where the parts of a sequence lie, from its first token on. */
struct data_places {
    size_t instruction, instruction_end;
    size_t answer; /* = tokens of the prompt */
    size_t end;
};
/* Parts are encoded each by itself, behind the tokens there are. `tokenizer`
 * NULL: bytes. */
MUST_CHECK struct status data_exchange_encode(const struct data_exchange *e,
                                              const struct tokenizer *tokenizer,
                                              int32_t **tokens, size_t *count,
                                              struct data_places *ret_places);

#endif
