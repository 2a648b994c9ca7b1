/* token.h -- bearer tokens of the HTTP port, from a file. Only their digests
 * are held. A line is "read TOKEN" or "write TOKEN"; one that is a single word
 * is a token that may write. */
#ifndef SINTER_BROKER_TOKEN_H
#define SINTER_BROKER_TOKEN_H

#include "common/status.h"

#include <stddef.h>

enum token_right {
    TOKEN_NONE,
    TOKEN_READ,  /* GET and HEAD of all that there is */
    TOKEN_WRITE, /* and PUT into the depot */
};

struct token_list; /* opaque */

/* DENIED when others than its owner could read it. INVALID: no token, or one
 * that could be guessed. */
MUST_CHECK struct status token_list_load(const char *path,
                                         struct token_list **ret_list);
void token_list_free(struct token_list *list); /* NULL is fine */

/* What the value of an Authorization header gives the right to; NULL: none
 * was sent. Takes as long for a near miss as for any other. */
enum token_right token_judge(const struct token_list *list, const char *header);

#endif
