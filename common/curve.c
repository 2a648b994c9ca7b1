#include "common/curve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zmq.h>

#include "common/digest.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/words.h"

enum {
    Z85 = 41,
    FILE_MOST = 16 << 20,
    WORDS = 4,
};

static const char *const roles[CURVE_ROLES] = { "broker", "worker", "client",
                                                "admin" };

const char *curve_role_name(enum curve_role role)
{
    return roles[role];
}

struct status curve_role_find(const char *name, enum curve_role *ret_role)
{
    for (size_t i = 0; i < CURVE_ROLES; i++)
        if (strcmp(roles[i], name) == 0) {
            *ret_role = (enum curve_role)i;
            return SUCCESS;
        }
    return FAIL(STATUS_INVALID,
                "a role is broker, worker, client or admin, not \"%.40s\"",
                name);
}

static bool is_name(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

    return name[0] != '\0' && name[0] != '.' && name[0] != '-' &&
           strlen(name) <= LIMIT_NAME && strspn(name, good) == strlen(name);
}

MUST_CHECK static struct status check_name(const char *name)
{
    if (!is_name(name))
        return FAIL(STATUS_INVALID,
                    "\"%.80s\" cannot be the name of a key: take up to %d "
                    "letters, digits and -_.",
                    name, (int)LIMIT_NAME);
    return SUCCESS;
}

/* Keys as text: struct digest is 32 bytes too, and knows how. */

static void to_hex(const uint8_t key[CURVE_BYTES], char text[DIGEST_TEXT])
{
    struct digest d;

    memcpy(d.bytes, key, CURVE_BYTES);
    digest_to_text(&d, text);
    explicit_bzero(&d, sizeof d);
}

static bool from_hex(const char *text, uint8_t ret_key[CURVE_BYTES])
{
    struct digest d;

    if (!digest_from_text(text, &d))
        return false;
    memcpy(ret_key, d.bytes, CURVE_BYTES);
    explicit_bzero(&d, sizeof d);
    return true;
}

struct status curve_make(enum curve_role role, const char *name,
                         struct curve_key *ret_key)
{
    char open[Z85];
    char secret[Z85];

    TRY_PLAIN(check_name(name));
    *ret_key = (struct curve_key){ .role = role };
    (void)snprintf(ret_key->name, sizeof ret_key->name, "%s", name);
    if (zmq_curve_keypair(open, secret) != 0)
        return FAIL(STATUS_FAILED, "this libzmq makes no CURVE keys: %s",
                    zmq_strerror(zmq_errno()));
    (void)zmq_z85_decode(ret_key->open, open);
    (void)zmq_z85_decode(ret_key->secret, secret);
    explicit_bzero(secret, sizeof secret);
    return SUCCESS;
}

void curve_forget(struct curve_key *key)
{
    explicit_bzero(key, sizeof *key);
}

/* Writing. */

MUST_CHECK static struct status write_new(const char *path, mode_t mode,
                                          const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    ssize_t size = (ssize_t)strlen(text);
    bool written;

    if (fd < 0 && errno == EEXIST)
        return FAIL(STATUS_INVALID,
                    "%s is there already and is not written over: move it "
                    "away, or take another name",
                    path);
    if (fd < 0)
        return FAIL(file_error(errno), "%s: %s", path, strerror(errno));
    written = write(fd, text, (size_t)size) == size && fsync(fd) == 0;
    if (close(fd) == 0 && written)
        return SUCCESS;
    (void)unlink(path);
    return FAIL(file_error(errno), "write %s: %s", path, strerror(errno));
}

struct status curve_save(const struct curve_key *key, const char *directory)
{
    const char *role = roles[key->role];
    AUTO(free_pointer)
    char *secret_path = xasprintf("%s/%s.key", directory, key->name);
    AUTO(free_pointer)
    char *open_path = xasprintf("%s/%s.pub", directory, key->name);
    char hex[2][DIGEST_TEXT];
    char *text;
    struct status st;

    TRY_PLAIN(file_make_directories(directory));
    if (file_exists(open_path))
        return FAIL(STATUS_INVALID,
                    "%s is there already and is not written over: move it "
                    "away, or take another name",
                    open_path);
    to_hex(key->open, hex[0]);
    to_hex(key->secret, hex[1]);
    text = xasprintf("# secret key of a sinter %s: keep it to yourself\n"
                     "%s %s %s %s\n",
                     role, role, key->name, hex[0], hex[1]);
    st = write_new(secret_path, S_IRUSR | S_IWUSR, text);
    explicit_bzero(text, strlen(text));
    explicit_bzero(hex[1], sizeof hex[1]);
    free(text);
    TRY_PLAIN(st);
    text = xasprintf("%s %s %s\n", role, key->name, hex[0]);
    st = write_new(open_path, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH, text);
    free(text);
    if (status_failed(&st))
        (void)unlink(secret_path);
    return status_failed(&st) ? st : file_sync_directory(directory);
}

/* Reading. */

/* What is wrong is not repeated: a secret may stand where none belongs. */
MUST_CHECK static struct status read_line(char *line, struct curve_key *ret_key,
                                          bool *ret_secret)
{
    char *words[WORDS] = { NULL };
    size_t count = words_split(line, words, WORDS);
    struct status st;

    *ret_key = (struct curve_key){ .role = CURVE_BROKER };
    *ret_secret = count == WORDS;
    if (count != WORDS - 1 && count != WORDS)
        return FAIL(STATUS_INVALID, "a key is a line \"ROLE NAME KEY\"");
    st = curve_role_find(words[0], &ret_key->role);
    if (status_failed(&st) || !is_name(words[1]))
        return FAIL(STATUS_INVALID,
                    "a line does not begin with a role and a name");
    (void)snprintf(ret_key->name, sizeof ret_key->name, "%s", words[1]);
    if (!from_hex(words[2], ret_key->open) ||
        (*ret_secret && !from_hex(words[3], ret_key->secret)))
        return FAIL(STATUS_INVALID, "the key of %s is not 64 hex digits",
                    ret_key->name);
    return SUCCESS;
}

/* The next line of `*at` that holds something; NULL: none. */
static char *next_line(char **at)
{
    char *line;

    while ((line = strsep(at, "\n")) != NULL)
        if (line[0] != '#' && line[strspn(line, " \t\r")] != '\0')
            return line;
    return NULL;
}

MUST_CHECK static struct status load(const char *path, bool want_secret,
                                     struct curve_key *ret_key)
{
    struct status st = SUCCESS;
    bool has_secret = false;
    char *text = NULL;
    size_t size = 0;
    char *line;
    char *at;

    TRY_PLAIN(file_read(path, FILE_MOST, &text, &size));
    at = text;
    line = next_line(&at);
    st = line == NULL ? FAIL(STATUS_INVALID, "there is no key in it")
                      : read_line(line, ret_key, &has_secret);
    explicit_bzero(text, size);
    free(text);
    if (!status_failed(&st) && has_secret != want_secret)
        st = want_secret ? FAIL(STATUS_INVALID, "that is a public key; the "
                                                "secret one ends in .key")
                         : FAIL(STATUS_INVALID, "that is a secret key; the "
                                                "public one ends in .pub");
    if (status_failed(&st))
        curve_forget(ret_key);
    return status_failed(&st) ? status_wrap(st, "%s", path) : SUCCESS;
}

struct status curve_load_secret(const char *path, struct curve_key *ret_key)
{
    TRY_PLAIN(file_check_secret(path));
    return load(path, true, ret_key);
}

struct status curve_load_public(const char *path, struct curve_key *ret_key)
{
    return load(path, false, ret_key);
}

/* Rings. */

struct curve_ring {
    struct curve_key *keys; /* by their public halves */
    size_t count, room;
    struct status trouble; /* the first of a directory's files */
};

static void add(struct curve_ring *r, const struct curve_key *key)
{
    if (key->role == CURVE_BROKER)
        return;
    if (r->count == r->room) {
        r->room = r->room == 0 ? 16 : 2 * r->room;
        r->keys = xrealloc(r->keys, r->room * sizeof *r->keys);
    }
    r->keys[r->count++] = *key;
}

MUST_CHECK static struct status add_file(struct curve_ring *r, const char *path)
{
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;
    char *line;
    char *at;

    TRY_PLAIN(file_read(path, FILE_MOST, &text, &size));
    at = text;
    while ((line = next_line(&at)) != NULL) {
        struct curve_key key;
        bool secret = false;

        TRY(read_line(line, &key, &secret), "%s", path);
        if (secret)
            return FAIL(STATUS_INVALID,
                        "%s: the secret key of %s does not belong in a list of "
                        "whom to let in",
                        path, key.name);
        add(r, &key);
    }
    return SUCCESS;
}

static void add_public(void *self, const char *path)
{
    struct curve_ring *r = self;
    size_t size = strlen(path);

    if (size < 4 || strcmp(path + size - 4, ".pub") != 0 ||
        status_failed(&r->trouble))
        return;
    r->trouble = add_file(r, path);
}

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct curve_key *)a)->open,
                  ((const struct curve_key *)b)->open, CURVE_BYTES);
}

MUST_CHECK static struct status fill(struct curve_ring *r, const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return FAIL(file_error(errno), "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        file_each(path, add_public, r);
    else
        r->trouble = add_file(r, path);
    TRY_PLAIN(r->trouble);
    if (r->count == 0)
        return FAIL(STATUS_INVALID,
                    "%s names nobody to let in (`sinter keygen` makes keys)",
                    path);
    qsort(r->keys, r->count, sizeof *r->keys, by_key);
    for (size_t i = 1; i < r->count; i++)
        if (by_key(&r->keys[i - 1], &r->keys[i]) == 0)
            return FAIL(STATUS_INVALID, "%s: %s and %s have the same key", path,
                        r->keys[i - 1].name, r->keys[i].name);
    return SUCCESS;
}

struct status curve_ring_load(const char *path, struct curve_ring **ret_ring)
{
    struct curve_ring *r = xnew(struct curve_ring);
    struct status st;

    r->trouble = SUCCESS;
    st = fill(r, path);
    if (status_failed(&st)) {
        curve_ring_free(r);
        return st;
    }
    *ret_ring = r;
    return SUCCESS;
}

void curve_ring_free(struct curve_ring *ring)
{
    if (ring == NULL)
        return;
    free(ring->keys);
    free(ring);
}

size_t curve_ring_count(const struct curve_ring *ring)
{
    return ring->count;
}

const struct curve_key *curve_ring_find(const struct curve_ring *ring,
                                        const uint8_t open[CURVE_BYTES])
{
    struct curve_key wanted = { 0 };

    memcpy(wanted.open, open, CURVE_BYTES);
    return ring->count == 0 ? NULL
                            : bsearch(&wanted, ring->keys, ring->count,
                                      sizeof *ring->keys, by_key);
}
