#include "common/digest.h"

#include "common/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libcrypto owns the real type; ours only keeps its name out of the header. */
struct digest_stream *digest_begin(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    assert(context != NULL);
    if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        abort();
    return (struct digest_stream *)context;
}

void digest_add(struct digest_stream *s, const void *data, size_t size)
{
    if (EVP_DigestUpdate((EVP_MD_CTX *)s, data, size) != 1)
        abort();
}

struct digest digest_so_far(const struct digest_stream *s)
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();

    assert(copy != NULL);
    if (EVP_MD_CTX_copy_ex(copy, (const EVP_MD_CTX *)s) != 1)
        abort();
    return digest_end((struct digest_stream *)copy);
}

struct digest digest_end(struct digest_stream *s)
{
    struct digest d;
    unsigned size = 0;

    if (EVP_DigestFinal_ex((EVP_MD_CTX *)s, d.bytes, &size) != 1)
        abort();
    assert(size == DIGEST_SIZE);
    EVP_MD_CTX_free((EVP_MD_CTX *)s);
    return d;
}

struct digest digest_of(const void *data, size_t size)
{
    struct digest_stream *s = digest_begin();

    digest_add(s, data, size);
    return digest_end(s);
}

struct status digest_of_file(const char *path, struct digest *ret_digest)
{
    enum { CHUNK = 1 << 16 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct digest_stream *s;
    char chunk[CHUNK];
    ssize_t got;

    if (fd < 0)
        return FAIL(file_error(errno), "open %s: %s", path, strerror(errno));
    s = digest_begin();
    while ((got = read(fd, chunk, sizeof chunk)) > 0)
        digest_add(s, chunk, (size_t)got);
    *ret_digest = digest_end(s);
    (void)close(fd);
    if (got < 0)
        return FAIL(STATUS_UNAVAILABLE, "read %s: %s", path, strerror(errno));
    return SUCCESS;
}

void digest_to_text(const struct digest *d, char text[DIGEST_TEXT])
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        text[2 * i] = hex[d->bytes[i] >> 4];
        text[2 * i + 1] = hex[d->bytes[i] & 15];
    }
    text[DIGEST_TEXT - 1] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool digest_from_text(const char *text, struct digest *ret_digest)
{
    struct digest d;

    if (strnlen(text, DIGEST_TEXT) != 2 * (size_t)DIGEST_SIZE)
        return false;
    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        d.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_digest = d;
    return true;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}
