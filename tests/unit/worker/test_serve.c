/* Two caches, of which one is served to the other, and a real nginx as the
 * origin and the depot of both. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/nginx.h"
#include "support/test.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/http.h"
#include "common/json.h"
#include "common/memory.h"
#include "sources/served.h"
#include "sources/source.h"
#include "worker/serve.h"

enum { SIZE = 1 << 20, LARGE = 32 << 20, BUSY = 32 };

struct place {
    char directory[128];
    char lender[160], borrower[160]; /* caches */
    char token[160], other_token[160];
    struct nginx nginx;
    struct serve *serve;
    char note[4096]; /* what the borrower said last */
};

static char *noise(size_t size)
{
    char *data = xcalloc(size, 1);
    uint32_t seed = 7;

    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525U + 1013904223U;
        data[i] = (char)(seed >> 24);
    }
    return data;
}

static void note(void *self, const char *line)
{
    struct place *p = self;

    (void)snprintf(p->note, sizeof p->note, "%s", line);
}

static void start_serving(struct place *p)
{
    const struct serve_settings settings = { .address = "127.0.0.1:0",
                                             .cache = p->lender,
                                             .token_file = p->token };

    assert_ok(serve_start(&settings, &p->serve));
}

static int set_up(void **state)
{
    static const char farm[] = "token-of-the-farm\n";
    static const char other[] = "token-of-another-farm\n";
    struct place *p = xnew(struct place);

    (void)snprintf(p->directory, sizeof p->directory,
                   "/tmp/sinter-test-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    (void)snprintf(p->lender, sizeof p->lender, "%s/lender", p->directory);
    (void)snprintf(p->borrower, sizeof p->borrower, "%s/borrower",
                   p->directory);
    (void)snprintf(p->token, sizeof p->token, "%s/token", p->directory);
    (void)snprintf(p->other_token, sizeof p->other_token, "%s/other",
                   p->directory);
    assert_ok(file_write(p->token, farm, strlen(farm)));
    assert_ok(file_write(p->other_token, other, strlen(other)));
    nginx_start(&p->nginx, p->directory, 0);
    start_serving(p);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;

    serve_stop(p->serve);
    nginx_stop(&p->nginx);
    assert_ok(file_remove_tree(p->directory));
    free(p);
    return 0;
}

/* What the origin publishes; its digest is given if `known`. */
static json_t *publish(struct place *p, size_t size, bool known)
{
    AUTO(free_pointer) char *path = xasprintf("%s/www/x.bin", p->directory);
    AUTO(free_pointer) char *url = xasprintf("%s/x.bin", p->nginx.url);
    AUTO(free_pointer) char *data = noise(size);
    const struct digest digest = digest_of(data, size);
    char text[DIGEST_TEXT];

    assert_ok(file_write(path, data, size));
    digest_to_text(&digest, text);
    return known ? json_pack("{s:s, s:s}", "sha256", text, "url", url)
                 : json_pack("{s:s}", "url", url);
}

static struct source_store *store(struct place *p, const char *cache,
                                  const char *token)
{
    const struct source_settings settings = {
        .directory = cache, .depot_token_file = token, .note = note, .self = p
    };

    return source_store_new(&settings);
}

static void set_peer(struct source_store *s, const char *name,
                     const char *address)
{
    const struct source_peer peer = { digest_of(name, strlen(name)), address,
                                      strlen(address) };

    source_set_peers(s, &peer, 1);
}

static void check_fetch(struct source_store *s, const json_t *source,
                        size_t size)
{
    AUTO(free_pointer) char *wanted = noise(size);
    AUTO(free_pointer) char *got = NULL;
    struct source_pin *pin = NULL;
    size_t got_size = 0;

    assert_ok(source_fetch(s, source, &pin));
    assert_ok(file_read(source_path(pin), size + 1, &got, &got_size));
    assert_int_equal(got_size, size);
    assert_memory_equal(got, wanted, size);
    source_unpin(pin);
}

static void fill_lender(struct place *p, const json_t *source, size_t size)
{
    struct source_store *s = store(p, p->lender, NULL);

    check_fetch(s, source, size);
    source_store_free(s);
}

static int from_origin(const struct place *p)
{
    return nginx_requests(&p->nginx, "GET", "/x.bin");
}

struct outcome {
    uint64_t pulled; /* files that came from the lender */
    uint64_t failed;
    int origin; /* times the origin was asked for the bytes, by anybody */
};

static void borrow(struct place *p, const json_t *source, const char *token,
                   const char *address, struct outcome wanted)
{
    struct source_store *s = store(p, p->borrower, token);
    struct source_pulls pulls;

    set_peer(s, json_text_or(source, "url", ""), address);
    check_fetch(s, source, SIZE);
    pulls = source_pulls(s);
    assert_int_equal(pulls.failed, wanted.failed);
    assert_int_equal(pulls.bytes, wanted.pulled * SIZE);
    assert_true(source_bytes(s) >= SIZE);
    assert_int_equal(from_origin(p), wanted.origin);
    source_store_free(s);
}

static void test_a_file_comes_from_who_has_it(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, SIZE, true);

    fill_lender(p, source, SIZE);
    borrow(p, source, p->token, serve_url(p->serve),
           (struct outcome){ .pulled = 1, .origin = 1 });
    assert_string_equal(p->note, "");
}

static void test_what_has_no_digest_is_not_asked_for(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, SIZE, false);

    fill_lender(p, source, SIZE);
    borrow(p, source, p->token, serve_url(p->serve),
           (struct outcome){ .origin = 2 });
}

static void test_a_wrong_token_opens_nothing(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, SIZE, true);

    fill_lender(p, source, SIZE);
    borrow(p, source, p->other_token, serve_url(p->serve),
           (struct outcome){ .failed = 1, .origin = 2 });
    assert_non_null(strstr(p->note, "401"));
}

/* The file of the lender; the caller frees. */
static char *lent_file(const struct place *p, const json_t *source)
{
    AUTO(free_pointer) char *text = json_canonical(source);
    const struct digest entry = digest_of(text, strlen(text));
    char name[DIGEST_TEXT];

    digest_to_text(&entry, name);
    return xasprintf("%s/sources/%s/files/x.bin", p->lender, name);
}

/* As a bad disk would: neither size nor time tell. */
static void damage(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat info;
    struct timespec times[2];
    char byte = 0;

    assert_true(fd >= 0 && fstat(fd, &info) == 0);
    assert_int_equal(pread(fd, &byte, 1, SIZE / 2), 1);
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(fd, &byte, 1, SIZE / 2), 1);
    times[0] = info.st_atim;
    times[1] = info.st_mtim;
    assert_int_equal(futimens(fd, times), 0);
    assert_int_equal(close(fd), 0);
}

static void test_damaged_bytes_are_caught(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, SIZE, true);
    AUTO(free_pointer) char *path = lent_file(p, source);
    struct digest digest;
    char got[DIGEST_TEXT];

    fill_lender(p, source, SIZE);
    damage(path);
    borrow(p, source, p->token, serve_url(p->serve),
           (struct outcome){ .failed = 1, .origin = 2 });
    assert_ok(digest_of_file(path, &digest));
    digest_to_text(&digest, got);
    assert_non_null(strstr(p->note, got));
}

static void test_who_does_not_have_it_says_so(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, SIZE, true);

    borrow(p, source, p->token, serve_url(p->serve),
           (struct outcome){ .failed = 1, .origin = 1 });
    assert_non_null(strstr(p->note, "404"));
}

static void test_who_is_gone_costs_nothing_but_time(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, SIZE, true);
    AUTO(free_pointer) char *url = xstrdup(serve_url(p->serve));

    fill_lender(p, source, SIZE);
    serve_stop(p->serve);
    p->serve = NULL;
    borrow(p, source, p->token, url,
           (struct outcome){ .failed = 1, .origin = 2 });
}

/* A server that has something else under that name, and leads elsewhere. */
static void test_another_size_or_a_redirect_is_not_taken(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, SIZE, true);
    AUTO(free_pointer) char *text = json_canonical(source);
    struct served_name name = { .entry = digest_of(text, strlen(text)) };
    AUTO(free_pointer) char *path = NULL;
    AUTO(free_pointer) char *folder = NULL;
    AUTO(free_pointer) char *data = noise(SIZE);
    char below[SERVED_PATH];

    name.file = digest_of(data, SIZE);
    served_path(&name, below);
    path = xasprintf("%s/www%s", p->directory, below);
    folder = xstrdup(path);
    *strrchr(folder, '/') = '\0';
    assert_ok(file_make_directories(folder));
    assert_ok(file_write(path, data, SIZE - 1));
    borrow(p, source, NULL, p->nginx.url,
           (struct outcome){ .failed = 1, .origin = 1 });
    assert_non_null(strstr(p->note, "should have"));
    assert_ok(file_remove_tree(p->borrower));
    assert_int_equal(unlink(path), 0);
    assert_ok(file_make_directories(path)); /* is sent on to PATH/ */
    borrow(p, source, NULL, p->nginx.url,
           (struct outcome){ .failed = 1, .origin = 2 });
}

static void test_an_address_that_is_none_is_not_asked(void **state)
{
    static const char *const odd[] = {
        "",
        "http://",
        "http://h",
        "http://:80",
        "http://h:80/",
        "http://h:80/../x",
        "http://u@h:80",
        "https://h:80",
        "file:///etc:80",
        "http://h:123456",
    };
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, SIZE, true);

    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        borrow(p, source, NULL, odd[i],
               (struct outcome){ .origin = (int)i + 1 });
        assert_ok(file_remove_tree(p->borrower));
    }
}

static void test_artifacts_come_from_who_has_them(void **state)
{
    struct place *p = *state;
    AUTO(free_pointer) char *made = xasprintf("%s/made", p->directory);
    AUTO(free_pointer) char *path = xasprintf("%s/model.bin", made);
    AUTO(free_pointer) char *data = noise(SIZE);
    struct source_store *lender = store(p, p->lender, NULL);
    struct source_store *borrower = store(p, p->borrower, p->token);
    struct source_pin *pin = NULL;
    struct source_peer peer = { .address = serve_url(p->serve) };
    char name[DIGEST_TEXT];

    assert_ok(file_make_directories(made));
    assert_ok(file_write(path, data, SIZE));
    assert_ok(source_put_artifact(lender, p->nginx.url, made, true, name));
    assert_true(digest_from_text(name, &peer.name));
    peer.address_size = strlen(peer.address);
    source_set_peers(borrower, &peer, 1);
    assert_ok(source_open_artifact(borrower, p->nginx.url, name, &pin));
    assert_int_equal(source_pulls(borrower).bytes, SIZE);
    assert_int_equal(source_pulls(borrower).failed, 0);
    assert_int_equal(nginx_requests(&p->nginx, "GET", "/depot/"), 1);
    source_unpin(pin);
    source_store_free(borrower);
    source_store_free(lender);
}

/* ---- workers that break off ---- */

/* Says that it has the file, and gives half of it. */
struct liar {
    enum { LEAVES, HANGS, DRIPS } then;

    char digest[DIGEST_TEXT]; /* of what it should give */
    char body[SIZE / 2];
    int listener;
    char url[64];
    pthread_t thread;
};

/* False: there is no more. */
static bool read_request(int fd, char text[2048])
{
    size_t used = 0;

    while (used < 2047 && recv(fd, text + used, 1, 0) == 1) {
        text[++used] = '\0';
        if (used >= 4 && strcmp(text + used - 4, "\r\n\r\n") == 0)
            return true;
    }
    return false;
}

static void answer(const struct liar *l, int fd)
{
    char request[2048];

    while (read_request(fd, request)) {
        (void)dprintf(fd,
                      "HTTP/1.1 200 OK\r\nETag: \"%s\"\r\n"
                      "Content-Length: %d\r\n\r\n",
                      l->digest, SIZE);
        if (request[0] == 'H')
            continue;
        (void)shutdown(l->listener, SHUT_RDWR);
        (void)send(fd, l->body, sizeof l->body, MSG_NOSIGNAL);
        while (l->then == DRIPS && send(fd, "", 1, MSG_NOSIGNAL) == 1)
            clock_sleep_ms(100);
        while (l->then == HANGS && recv(fd, request, 1, 0) > 0)
            ;
        return;
    }
}

static void *lie(void *self)
{
    const struct liar *l = self;
    int fd;

    while ((fd = accept(l->listener, NULL, NULL)) >= 0) {
        answer(l, fd);
        (void)close(fd);
    }
    return NULL;
}

static void liar_start(struct liar *l)
{
    AUTO(free_pointer) char *data = noise(SIZE);
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    struct digest digest;

    digest = digest_of(data, SIZE);
    digest_to_text(&digest, l->digest);
    memcpy(l->body, data, sizeof l->body);
    l->body[SIZE / 4] ^= 1;
    l->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(l->listener, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(l->listener, 8), 0);
    assert_int_equal(getsockname(l->listener, (struct sockaddr *)&at, &size),
                     0);
    (void)snprintf(l->url, sizeof l->url, "http://127.0.0.1:%d",
                   ntohs(at.sin_port));
    assert_int_equal(pthread_create(&l->thread, NULL, lie, l), 0);
}

static void liar_stop(struct liar *l)
{
    (void)shutdown(l->listener, SHUT_RDWR);
    assert_int_equal(pthread_join(l->thread, NULL), 0);
    assert_int_equal(close(l->listener), 0);
}

static void test_who_hangs_or_drips_is_left(void **state)
{
    static const char *const words[] = {
        [HANGS] = " s without a byte", [DRIPS] = "too slow"
    };
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, SIZE, true);
    AUTO(free_pointer) struct liar *l = xnew(struct liar);

    for (l->then = HANGS; l->then <= DRIPS; l->then++) {
        liar_start(l);
        borrow(p, source, NULL, l->url,
               (struct outcome){ .failed = 1, .origin = (int)l->then });
        liar_stop(l);
        assert_non_null(strstr(p->note, words[l->then]));
        assert_null(strstr(p->note, " 0 s without"));
        assert_ok(file_remove_tree(p->borrower));
    }
}

static void test_half_of_a_lie_is_not_held_against_the_next(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, SIZE, true);
    AUTO(free_pointer) struct liar *l = xnew(struct liar);
    struct source_store *s = store(p, p->borrower, p->token);
    const char *url = json_text_or(source, "url", "");
    struct source_peer peers[2];

    fill_lender(p, source, SIZE);
    liar_start(l);
    peers[0].name = peers[1].name = digest_of(url, strlen(url));
    peers[0].address = l->url;
    peers[1].address = serve_url(p->serve);
    for (size_t i = 0; i < COUNT_OF(peers); i++)
        peers[i].address_size = strlen(peers[i].address);
    source_set_peers(s, peers, COUNT_OF(peers));
    check_fetch(s, source, SIZE);
    assert_int_equal(source_pulls(s).failed, 1);
    assert_int_equal(source_pulls(s).bytes, SIZE);
    assert_int_equal(from_origin(p), 1);
    source_store_free(s);
    liar_stop(l);
}

/* ---- the port itself ---- */

static int connect_to(const struct place *p)
{
    const char *port = strrchr(serve_url(p->serve), ':') + 1;
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port =
                                  htons((uint16_t)strtol(port, NULL, 10)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int little = 4096;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Sends it and reads the first line of the answer. */
static int ask(const struct place *p, const char *method, const char *path,
               const char *more, char line[128])
{
    char token[DIGEST_TEXT];
    AUTO(free_pointer) char *request = NULL;
    int fd = connect_to(p);
    size_t used = 0;

    assert_ok(served_token(p->token, token));
    request = xasprintf("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                        "%s\r\n%s\r\n",
                        method, path, token, more);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    while (used < 127 && read(fd, line + used, 1) == 1 && line[used] != '\r')
        used++;
    line[used] = '\0';
    return fd;
}

static void check_answer(const struct place *p, const char *method,
                         const char *path, const char *more, const char *wanted)
{
    char line[128];
    int fd = ask(p, method, path, more, line);

    assert_int_equal(close(fd), 0);
    if (strncmp(line, "HTTP/1.1 ", 9) != 0 ||
        strncmp(line + 9, wanted, strlen(wanted)) != 0)
        fail_msg("%s %.80s %s: \"%s\", not %s", method, path, more, line,
                 wanted);
}

static char *path_of(const json_t *source, size_t size)
{
    AUTO(free_pointer) char *text = json_canonical(source);
    AUTO(free_pointer) char *data = noise(size);
    struct served_name name = { .entry = digest_of(text, strlen(text)),
                                .file = digest_of(data, size) };
    char path[SERVED_PATH];

    served_path(&name, path);
    return xstrdup(path);
}

static void test_only_files_of_the_cache_are_read(void **state)
{
    static const char *const odd[] = {
        "/",          "/../../etc/passwd", "/cache/../token",
        "/%2e%2e/x",  "/cache/sources/",   "/cache/sources/%2e%2e/%2e%2e/token",
        "/cache/..;", "/depot/x",          "//etc/passwd",
    };
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, SIZE, true);
    AUTO(free_pointer) char *path = path_of(source, SIZE);
    AUTO(free_pointer) char *upper = xstrdup(path);
    AUTO(free_pointer) char *lengthy = xcalloc(8000, 1);

    fill_lender(p, source, SIZE);
    for (size_t i = 0; i < COUNT_OF(odd); i++)
        check_answer(p, "GET", odd[i], "", "404");
    memset(lengthy, 'a', 7999);
    lengthy[0] = '/';
    check_answer(p, "GET", lengthy, "", "404");
    for (char *c = upper + strlen("/cache/sources/"); *c != '\0'; c++)
        *c = (char)(*c >= 'a' && *c <= 'f' ? *c - 'a' + 'A' : *c);
    check_answer(p, "GET", upper, "", "404");
    check_answer(p, "GET", path, "", "200");
    check_answer(p, "HEAD", path, "", "200");
    check_answer(p, "GET", path, "Range: bytes=7-9\r\n", "206");
    check_answer(p, "GET", path, "Range: bytes=9999999-\r\n", "416");
    check_answer(p, "POST", path, "Content-Length: 0\r\n", "405");
    check_answer(p, "PUT", path, "Content-Length: 1\r\n", "405");
    check_answer(p, "DELETE", path, "", "405");
}

static void test_a_port_is_a_number_that_there_is(void **state)
{
    static const char *const odd[] = {
        "127.0.0.1",       "127.0.0.1:",        "127.0.0.1:-1",
        "127.0.0.1:65536", "127.0.0.1:4295032", "127.0.0.1:http",
    };
    struct serve_settings settings = { .cache = "/nowhere" };
    struct serve *s = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        settings.address = odd[i];
        assert_fails(serve_start(&settings, &s), STATUS_INVALID, "HOST:PORT");
    }
}

static void test_so_many_are_served_at_a_time(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = publish(p, LARGE, true);
    AUTO(free_pointer) char *path = path_of(source, LARGE);
    int fds[BUSY];
    char line[128];

    fill_lender(p, source, LARGE);
    for (size_t i = 0; i < BUSY; i++) {
        fds[i] = ask(p, "GET", path, "", line);
        assert_non_null(strstr(line, " 200 "));
    }
    check_answer(p, "GET", path, "", "503");
    check_answer(p, "HEAD", path, "", "200");
    for (size_t i = 0; i < BUSY; i++)
        assert_int_equal(close(fds[i]), 0);
    do { /* it sees that they are gone */
        int fd = ask(p, "GET", path, "Range: bytes=0-0\r\n", line);

        assert_int_equal(close(fd), 0);
    } while (strstr(line, " 503 ") != NULL);
    assert_non_null(strstr(line, " 206 "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_file_comes_from_who_has_it,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_what_has_no_digest_is_not_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_wrong_token_opens_nothing,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_bytes_are_caught, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_who_does_not_have_it_says_so,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_is_gone_costs_nothing_but_time,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_another_size_or_a_redirect_is_not_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_an_address_that_is_none_is_not_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_artifacts_come_from_who_has_them,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_hangs_or_drips_is_left, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_half_of_a_lie_is_not_held_against_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_files_of_the_cache_are_read,
                                        set_up, tear_down),
        cmocka_unit_test(test_a_port_is_a_number_that_there_is),
        cmocka_unit_test_setup_teardown(test_so_many_are_served_at_a_time,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
