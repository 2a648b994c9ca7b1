/* What the HTTP port reads itself of a request: Range, Authorization and the
 * name of a blob. Input: 8 bytes, the size of a blob; then the three texts,
 * with zeros between. */
#include "broker/token.h"
#include "common/digest.h"
#include "common/file.h"
#include "common/memory.h"
#include "httpd/range.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define READER "read-0123456789ab"
#define WRITER "write-0123456789a"

static struct token_list *load_tokens(void)
{
    static const char text[] = "read " READER "\nwrite " WRITER "\n";
    char path[] = "/tmp/sinter-fuzz-XXXXXX";
    int fd = mkstemp(path);
    struct token_list *list = NULL;
    struct status st;

    if (fd < 0)
        abort();
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    (void)close(fd);
    st = token_list_load(path, &list);
    (void)unlink(path);
    if (status_failed(&st))
        abort();
    return list;
}

/* The next text, in a block of its own: ASan sees its end. */
static char *next(const uint8_t **data, size_t *left)
{
    size_t size = strnlen((const char *)*data, *left);
    char *text = xcalloc(size + 1, 1);

    if (size > 0)
        memcpy(text, *data, size);
    size += size < *left; /* the zero */
    *data += size;
    *left -= size;
    return text;
}

static void check_range(const char *header, uint64_t size)
{
    struct httpd_range r = httpd_range_parse(header, size);

    if (r.sort == RANGE_WHOLE && (r.first != 0 || r.size != size))
        abort();
    if (r.sort == RANGE_PART &&
        (r.size == 0 || r.first >= size || r.size > size - r.first))
        abort();
    if (strncmp(header, "bytes=", 6) != 0 && r.sort != RANGE_WHOLE)
        abort();
}

static void check_token(const struct token_list *list, const char *header)
{
    enum token_right right = token_judge(list, header);
    const char *token = right == TOKEN_WRITE ? WRITER : READER;

    if (right != TOKEN_NONE && (strstr(header, token) == NULL ||
                                strncasecmp(header, "bearer ", 7) != 0))
        abort();
}

static void check_blob(const char *name)
{
    char text[DIGEST_TEXT];
    struct digest d;

    if (!digest_from_text(name, &d))
        return;
    digest_to_text(&d, text);
    if (strcasecmp(text, name) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct token_list *tokens;
    uint64_t blob = 0;
    char *texts[3];

    if (size < sizeof blob)
        return 0;
    if (tokens == NULL)
        tokens = load_tokens();
    memcpy(&blob, data, sizeof blob);
    data += sizeof blob;
    size -= sizeof blob;
    for (int i = 0; i < 3; i++)
        texts[i] = next(&data, &size);
    check_range(texts[0], blob & INT64_MAX); /* a file has no more */
    check_token(tokens, texts[1]);
    check_blob(texts[2]);
    for (int i = 0; i < 3; i++)
        free(texts[i]);
    return 0;
}
