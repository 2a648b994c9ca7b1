#include "broker/token.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/digest.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/words.h"

enum {
    FILE_MOST = 64 << 10,
    TOKENS_MOST = 1000,
    TOKEN_LEAST = 16, /* characters */
    WORDS = 2,
};

struct token {
    struct digest digest;
    enum token_right right;
};

struct token_list {
    size_t count;
    struct token items[TOKENS_MOST];
};

/* What is wrong is not repeated: it may be a secret. */
MUST_CHECK static struct status add_line(struct token_list *list, char *line)
{
    char *words[WORDS] = { NULL };
    size_t count = words_split(line, words, WORDS);
    const char *token = words[count == WORDS];
    enum token_right right = TOKEN_WRITE;

    if (count == 0)
        return SUCCESS;
    if (count == WORDS && strcmp(words[0], "read") == 0)
        right = TOKEN_READ;
    else if (count > WORDS ||
             (count == WORDS && strcmp(words[0], "write") != 0))
        return FAIL(STATUS_INVALID,
                    "a line is \"read TOKEN\" or \"write TOKEN\"");
    if (strlen(token) < TOKEN_LEAST)
        return FAIL(STATUS_INVALID,
                    "a token of fewer than %d characters can be guessed: take "
                    "one of `openssl rand -hex 32`",
                    (int)TOKEN_LEAST);
    if (list->count == TOKENS_MOST)
        return FAIL(STATUS_TOO_BIG, "more than %d tokens", (int)TOKENS_MOST);
    list->items[list->count++] =
        (struct token){ digest_of(token, strlen(token)), right };
    return SUCCESS;
}

MUST_CHECK static struct status add_lines(struct token_list *list, char *text)
{
    char *line;

    while ((line = strsep(&text, "\n")) != NULL)
        if (line[0] != '#')
            TRY_PLAIN(add_line(list, line));
    if (list->count == 0)
        return FAIL(STATUS_INVALID, "there is no token in it");
    return SUCCESS;
}

struct status token_list_load(const char *path, struct token_list **ret_list)
{
    struct token_list *list;
    struct status st;
    char *text = NULL;
    size_t size = 0;

    TRY_PLAIN(file_check_secret(path));
    TRY_PLAIN(file_read(path, FILE_MOST, &text, &size));
    list = xnew(struct token_list);
    st = add_lines(list, text);
    explicit_bzero(text, size);
    free(text);
    if (status_failed(&st)) {
        token_list_free(list);
        return status_wrap(st, "%s", path);
    }
    *ret_list = list;
    return SUCCESS;
}

void token_list_free(struct token_list *list)
{
    free(list);
}

enum token_right token_judge(const struct token_list *list, const char *header)
{
    static const char scheme[] = "Bearer ";
    enum token_right right = TOKEN_NONE;
    struct digest shown;
    size_t size;

    if (header == NULL || strncasecmp(header, scheme, strlen(scheme)) != 0)
        return TOKEN_NONE;
    header += strlen(scheme);
    header += strspn(header, " ");
    size = strcspn(header, " \t");
    if (header[size + strspn(header + size, " \t")] != '\0')
        return TOKEN_NONE;
    shown = digest_of(header, size);
    for (size_t i = 0; i < list->count; i++) /* all of them, found or not */
        if (digest_equal_secretly(&shown, &list->items[i].digest) &&
            list->items[i].right > right)
            right = list->items[i].right;
    return right;
}
