#include "common/digest.h"

#include "common/file.h"
#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The plain functions and not EVP, whose set-up for each hash costs more than
 * the hash of a job's key; both run the same code of libcrypto. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

struct digest_stream {
    SHA256_CTX context;
};

static void must(int done)
{
    if (done != 1)
        abort();
}

struct digest_stream *digest_begin(void)
{
    struct digest_stream *s = xnew(struct digest_stream);

    digest_again(s);
    return s;
}

void digest_again(struct digest_stream *s)
{
    must(SHA256_Init(&s->context));
}

void digest_copy(struct digest_stream *to, const struct digest_stream *from)
{
    *to = *from;
}

void digest_add(struct digest_stream *s, const void *data, size_t size)
{
    must(SHA256_Update(&s->context, data, size));
}

struct digest digest_so_far(const struct digest_stream *s)
{
    struct digest_stream copy = *s;

    return digest_stop(&copy);
}

struct digest digest_stop(struct digest_stream *s)
{
    struct digest d;

    must(SHA256_Final(d.bytes, &s->context));
    return d;
}

struct digest digest_end(struct digest_stream *s)
{
    struct digest d = digest_stop(s);

    free(s);
    return d;
}

struct digest digest_of(const void *data, size_t size)
{
    struct digest_stream s;

    digest_again(&s);
    digest_add(&s, data, size);
    return digest_stop(&s);
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

bool digest_equal_secretly(const struct digest *a, const struct digest *b)
{
    return CRYPTO_memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}
