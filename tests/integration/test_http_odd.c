/* common/http against servers that nginx is not: they cut, lie, change their
 * mind or do not know how much they have. Each test is a script of answers and
 * the requests that must have been made. */
#include "support/test.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/http.h"
#include "common/memory.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_TEXT = 64 << 10 };

struct server {
    pid_t pid;
    int port;
};

static char folder[] = "/tmp/sinter-odd-XXXXXX";
static char out[64], part[64], requests[64];

static int start(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(out, sizeof out, "%s/out", folder);
    (void)snprintf(part, sizeof part, "%s/out.part", folder);
    (void)snprintf(requests, sizeof requests, "%s/requests", folder);
    return 0;
}

static int stop(void **state)
{
    struct status st = file_remove_tree(folder);

    (void)state;
    return status_failed(&st);
}

/* Reads a request up to its blank line. */
static void read_request(int fd, struct buf *all)
{
    char text[4096];
    size_t size = 0;
    struct status st;
    ssize_t got;

    text[0] = '\0';
    while (strstr(text, "\r\n\r\n") == NULL && size < sizeof text - 1 &&
           (got = read(fd, text + size, sizeof text - 1 - size)) > 0) {
        size += (size_t)got;
        text[size] = '\0';
    }
    st = buf_add(all, text, size);
    if (status_failed(&st))
        abort();
}

/* One answer for each connection, in order; the last one stays. */
static void serve(int listener, const char *const *answers)
{
    struct buf all;

    buf_init(&all, LIMIT_TEXT);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        struct status st;

        if (fd < 0)
            abort();
        read_request(fd, &all);
        st = file_write(requests, all.data, all.size);
        if (status_failed(&st) || write(fd, *answers, strlen(*answers)) < 0)
            abort();
        (void)shutdown(fd, SHUT_WR);
        /* Without this the kernel may reset what is still on its way. */
        while (read(fd, &(char){ 0 }, 1) > 0)
            ;
        (void)close(fd);
        if (answers[1] != NULL)
            answers++;
    }
}

static struct server open_server(const char *const *answers)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct server s;

    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    s.port = ntohs(address.sin_port);
    s.pid = fork();
    assert_true(s.pid >= 0);
    if (s.pid == 0) {
        /* A failed test must not leave it behind. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fd, answers);
    }
    (void)close(fd);
    return s;
}

static void close_server(const struct server *s)
{
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
}

static char *url_of(const struct server *s)
{
    return xasprintf("http://127.0.0.1:%d/thing", s->port);
}

/* How often `words` stand in what was asked so far. */
static int asked(const char *words)
{
    char *text;
    size_t size;
    int count = 0;

    assert_ok(file_read(requests, LIMIT_TEXT, &text, &size));
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        count++;
    free(text);
    return count;
}

static struct http *client(void)
{
    const struct http_settings settings = { .give_up_ms = 5000,
                                            .connections = 1 };
    struct http *h;

    assert_ok(http_new(&settings, &h));
    return h;
}

static struct status download(const char *const *answers)
{
    struct server s = open_server(answers);
    AUTO(free_pointer) char *url = url_of(&s);
    struct http *h = client();
    struct status st;

    (void)unlink(out);
    (void)unlink(part);
    st = http_download(h, url, out, NULL, NULL, NULL);
    http_free(h);
    close_server(&s);
    return st;
}

static void check_out(const char *text)
{
    char *got;
    size_t size;

    assert_ok(file_read(out, LIMIT_TEXT, &got, &size));
    assert_string_equal(got, text);
    assert_false(file_exists(part));
    free(got);
}

#define OK_LINE    "HTTP/1.1 200 OK\r\nConnection: close\r\n"
#define RANGE_LINE "HTTP/1.1 206 Partial\r\nConnection: close\r\n"
#define TEN        "Content-Length: 10\r\n"

static void test_a_cut_answer_is_completed_by_a_range(void **state)
{
    static const char *const answers[] = {
        OK_LINE TEN "ETag: \"a\"\r\n\r\n",
        OK_LINE TEN "ETag: \"a\"\r\n\r\n0123",
        RANGE_LINE "Content-Range: bytes 4-9/10\r\nContent-Length: 6\r\n"
                   "ETag: \"a\"\r\n\r\n456789",
        NULL
    };

    (void)state;
    assert_ok(download(answers));
    check_out("0123456789");
    assert_int_equal(asked("Range: bytes=4-\r\n"), 1);
}

static void test_a_server_that_forgets_ranges_is_read_from_the_start(
    void **state)
{
    static const char *const answers[] = { OK_LINE TEN
                                           "Accept-Ranges: bytes\r\n\r\n",
                                           OK_LINE TEN "\r\n0123",
                                           OK_LINE TEN "\r\n0123456789", NULL };

    (void)state;
    assert_ok(download(answers));
    check_out("0123456789");
    assert_int_equal(asked("HEAD "), 1); /* nothing was begun anew */
}

static void test_a_range_that_was_not_asked_for_is_not_kept(void **state)
{
    static const char *const answers[] = {
        OK_LINE TEN "\r\n",
        OK_LINE TEN "\r\n0123",
        RANGE_LINE "Content-Range: bytes 3-8/10\r\nContent-Length: 6\r\n"
                   "\r\n345678",
        OK_LINE TEN "\r\n",
        OK_LINE TEN "\r\n0123456789",
        NULL
    };

    (void)state;
    assert_ok(download(answers));
    check_out("0123456789");
}

static void test_what_has_no_size_ends_with_its_answer(void **state)
{
    static const char *const answers[] = { OK_LINE "\r\n",
                                           OK_LINE "\r\nall of it", NULL };
    static const char *const nothing[] = { OK_LINE "\r\n", NULL };

    (void)state;
    assert_ok(download(answers));
    check_out("all of it");
    assert_ok(download(nothing));
    check_out("");
}

static void test_what_has_no_size_and_was_cut_behind_its_last_byte(void **state)
{
    static const char *const answers[] = {
        OK_LINE "\r\n",
        OK_LINE "Transfer-Encoding: chunked\r\n\r\n9\r\nall of it\r\n",
        "HTTP/1.1 416 No\r\nConnection: close\r\nContent-Length: 0\r\n"
        "Content-Range: bytes */9\r\n\r\n",
        NULL
    };

    (void)state;
    assert_ok(download(answers));
    check_out("all of it");
    assert_int_equal(asked("Range: bytes=9-\r\n"), 1);
}

static void test_a_thing_that_changes_is_begun_anew(void **state)
{
    static const char *const answers[] = {
        OK_LINE TEN "ETag: \"a\"\r\n\r\n",
        OK_LINE TEN "ETag: \"a\"\r\n\r\n0123",
        RANGE_LINE "Content-Range: bytes 4-9/10\r\nContent-Length: 6\r\n"
                   "ETag: \"b\"\r\n\r\nEFGHIJ",
        OK_LINE TEN "ETag: \"b\"\r\n\r\n",
        OK_LINE TEN "ETag: \"b\"\r\n\r\nABCDEFGHIJ",
        NULL
    };

    (void)state;
    assert_ok(download(answers));
    check_out("ABCDEFGHIJ");
}

static void test_a_server_that_cannot_decide_is_given_up(void **state)
{
    static const char *const other_size[] = {
        OK_LINE TEN "\r\n",
        OK_LINE "Content-Length: 11\r\n\r\n01234567890",
        OK_LINE TEN "\r\n",
        OK_LINE "\r\n0123", /* less */
        OK_LINE TEN "\r\n",
        OK_LINE "\r\n01234567890", /* more */
        OK_LINE TEN "\r\n",
        "HTTP/1.1 416 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        NULL
    };

    (void)state;
    assert_fails(download(other_size), STATUS_UNAVAILABLE,
                 "changes while it is downloaded");
    assert_false(file_exists(out));
}

static void test_a_server_is_asked_again_when_it_says(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 429 Slowly\r\nConnection: close\r\nRetry-After: 1\r\n"
        "Content-Length: 0\r\n\r\n",
        OK_LINE "Content-Length: 2\r\n\r\nok", NULL
    };
    struct server s = open_server(answers);
    AUTO(free_pointer) char *url = url_of(&s);
    AUTO(free_pointer) char *data = NULL;
    struct http *h = client();
    int64_t begin = clock_now();
    size_t size;

    (void)state;
    assert_ok(http_get(h, url, 10, &data, &size));
    assert_string_equal(data, "ok");
    assert_true(clock_now() - begin >= NS_PER_S);
    http_free(h);
    close_server(&s);
}

static int64_t cancel_at;

static bool is_cancelled(void *self)
{
    (void)self;
    return clock_now() > cancel_at;
}

static void test_waiting_for_another_try_can_be_cancelled(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 429 Slowly\r\nConnection: close\r\nRetry-After: 30\r\n"
        "Content-Length: 0\r\n\r\n",
        NULL
    };
    const struct http_settings settings = { .cancelled = is_cancelled };
    struct server s = open_server(answers);
    AUTO(free_pointer) char *url = url_of(&s);
    struct http *h;
    size_t size;
    char *data;

    (void)state;
    assert_ok(http_new(&settings, &h));
    cancel_at = clock_now() + 300 * NS_PER_MS;
    assert_fails(http_get(h, url, 10, &data, &size), STATUS_CANCELLED, NULL);
    assert_true(clock_now() < cancel_at + NS_PER_S);
    http_free(h);
    close_server(&s);
}

/* What the state beside the part claims is checked against what there is. */
static void test_a_state_that_cannot_be_is_not_believed(void **state)
{
    static const char *const rows[] = {
        "",
        "no json",
        "[]",
        "{\"etag\":\"%s\",\"size\":10}",
        "{\"etag\":\"%s\",\"size\":10,\"piece\":10,\"have\":[]}",
        "{\"etag\":\"%s\",\"size\":10,\"piece\":10,\"have\":7}",
        "{\"etag\":\"%s\",\"size\":10,\"piece\":0,\"have\":[4]}",
        "{\"etag\":\"%s\",\"size\":10,\"piece\":-1,\"have\":[4,4]}",
        "{\"etag\":\"%s\",\"size\":10,\"piece\":10,\"have\":[11]}",
        "{\"etag\":\"%s\",\"size\":10,\"piece\":10,\"have\":[-1]}",
        "{\"etag\":\"%s\",\"size\":10,\"piece\":10,\"have\":[6]}",
        "{\"etag\":\"%s\",\"size\":10,\"piece\":5,\"have\":[1,1,1]}",
        "{\"etag\":\"%s\",\"size\":10,\"piece\":3,\"have\":[1,1]}",
        "{\"etag\":\"%s\",\"size\":9,\"piece\":9,\"have\":[4]}",
        "{\"etag\":\"other %s\",\"size\":10,\"piece\":10,\"have\":[4]}",
    };
    AUTO(free_pointer) char *from = xasprintf("%s/from", folder);
    AUTO(free_pointer) char *url = xasprintf("file://%s", from);
    AUTO(free_pointer) char *saved = xasprintf("%s.state", part);
    struct http *h = client();
    struct http_info info;

    (void)state;
    assert_ok(file_write(from, "0123456789", 10));
    assert_ok(http_head(h, url, &info));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *hole = strstr(rows[i], "%s");
        /* A claim of 6 can only be wrong of a shorter part. */
        size_t part_size = strstr(rows[i], "[6]") != NULL ? 5 : 15;
        AUTO(free_pointer)
        char *text = hole == NULL ? xstrdup(rows[i])
                                  : xasprintf("%.*s%s%s", (int)(hole - rows[i]),
                                              rows[i], info.etag, hole + 2);

        assert_ok(file_write(part, "XXXXXXXXXXXXXXX", part_size));
        assert_ok(file_write(saved, text, strlen(text)));
        assert_ok(http_download(h, url, out, NULL, NULL, NULL));
        check_out("0123456789");
    }
    http_free(h);
}

/* The hub says it in the redirect to where the bytes are. */
static void test_the_digest_of_a_hub_is_read_from_its_redirect(void **state)
{
    static const char digest[] =
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    static const char *const answers[] = {
        "HTTP/1.1 302 There\r\nConnection: close\r\nLocation: /there\r\n"
        "X-Linked-Etag: \"ba7816bf8f01cfea414140de5dae2223"
        "b00361a396177a9cb410ff61f20015ad\"\r\n"
        "ETag: \"of the redirect\"\r\nContent-Length: 5\r\n\r\n",
        OK_LINE TEN "Accept-Ranges: bytes\r\nETag: W/\"x\"\r\n\r\n", NULL
    };
    struct server s = open_server(answers);
    AUTO(free_pointer) char *url = url_of(&s);
    struct http *h = client();
    struct http_info info;

    (void)state;
    assert_ok(http_head(h, url, &info));
    assert_string_equal(info.sha256, digest);
    assert_string_equal(info.etag, "W/\"x\"");
    assert_int_equal(info.size, 10);
    assert_true(info.ranges);
    http_free(h);
    close_server(&s);
}

static void test_a_redirect_to_a_file_is_not_followed(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 302 Here\r\nConnection: close\r\n"
        "Location: file:///etc/hostname\r\nContent-Length: 0\r\n\r\n",
        NULL
    };
    struct server s = open_server(answers);
    AUTO(free_pointer) char *url = url_of(&s);
    struct http *h = client();
    size_t size;
    char *data;

    (void)state;
    assert_fails(http_get(h, url, 1000, &data, &size), STATUS_INVALID, NULL);
    http_free(h);
    close_server(&s);
}

/* Nobody listens on port 9; this machine is reached all the same. */
static void test_loopback_is_never_asked_of_a_proxy(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        NULL
    };
    struct server s = open_server(answers);
    AUTO(free_pointer) char *url = url_of(&s);
    AUTO(free_pointer) char *data = NULL;
    struct http *h = client();
    size_t size = 0;

    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:9", 1), 0);
    assert_int_equal(setenv("no_proxy", "models.lab", 1), 0);
    assert_ok(http_get(h, url, 1000, &data, &size));
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(unsetenv("no_proxy"), 0);
    assert_int_equal(size, 2);
    http_free(h);
    close_server(&s);
}

/* Ranges of the thing "0123456789" with the ETag "a". */
static struct status get_ranges(const char *const *answers,
                                const struct http_range *ranges, size_t count,
                                enum http_ranges_end *ret_end, char text[11])
{
    static const struct http_info info = { .size = 10, .etag = "\"a\"" };
    struct http_settings settings = { .give_up_ms = 1500, .connections = 1 };
    struct server s = open_server(answers);
    AUTO(free_pointer) char *url = url_of(&s);
    struct http *h;
    struct http_info now;
    struct status st;
    int fd = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_ok(http_new(&settings, &h));
    st = http_get_ranges(h, url, &info, ranges, count, fd, ret_end, &now);
    memset(text, 0, 11);
    assert_true(pread(fd, text, 10, 0) >= 0);
    (void)close(fd);
    http_free(h);
    close_server(&s);
    return st;
}

#define PART(range, size, tag)                                   \
    RANGE_LINE "Content-Range: bytes " range "/10\r\nETag: " tag \
               "\r\nContent-Length: " size "\r\n\r\n"

static void test_ranges_that_end_too_soon_go_on(void **state)
{
    static const struct http_range ranges[] = { { 1, 4 }, { 8, 2 } };
    static const char *const answers[] = {
        PART("1-4", "4", "\"a\"") "12", /* cut */
        PART("3-3", "1", "\"a\"") "3",  /* shorter than asked for */
        PART("4-4", "1", "\"a\"") "4",  PART("8-9", "2", "\"a\"") "89", NULL,
    };
    enum http_ranges_end end;
    char text[11];

    (void)state;
    assert_ok(get_ranges(answers, ranges, 2, &end, text));
    assert_int_equal(end, HTTP_RANGES_HAD);
    assert_memory_equal(text, "\0001234\0\0\00089", 10);
    assert_int_equal(asked("Range: bytes=1-4\r\n"), 1);
    assert_int_equal(asked("Range: bytes=3-4\r\n"), 1);
    assert_int_equal(asked("Range: bytes=4-4\r\n"), 1);
}

static void test_odd_answers_to_ranges_have_names(void **state)
{
    static const struct http_range range = { 2, 3 };
    static const struct {
        const char *answer;
        enum status_code code;
        enum http_ranges_end end;
        const char *words;
    } rows[] = {
        { OK_LINE TEN "ETag: \"a\"\r\n\r\n0123456789", STATUS_SUCCESS,
          HTTP_RANGES_REFUSED, NULL },
        { PART("2-4", "3", "\"b\"") "234", STATUS_SUCCESS, HTTP_RANGES_CHANGED,
          NULL },
        { RANGE_LINE "Content-Range: bytes 2-4/11\r\nContent-Length: 3\r\n\r\n"
                     "234",
          STATUS_SUCCESS, HTTP_RANGES_CHANGED, NULL },
        { "HTTP/1.1 416 No\r\nConnection: close\r\nContent-Length: 0\r\n"
          "Content-Range: bytes */2\r\n\r\n",
          STATUS_SUCCESS, HTTP_RANGES_CHANGED, NULL },
        { "HTTP/1.1 416 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
          STATUS_INVALID, HTTP_RANGES_HAD, "416; it has no such range" },
        { PART("0-2", "3", "\"a\"") "012", STATUS_INVALID, HTTP_RANGES_HAD,
          "bytes from 2 on were asked for, those from 0 on came" },
        { PART("2-9", "8", "\"a\"") "23456789", STATUS_CORRUPT, HTTP_RANGES_HAD,
          "more than was asked for" },
        { PART("2-4", "3", "\"a\""), STATUS_UNAVAILABLE, HTTP_RANGES_HAD,
          "given up" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *const answers[] = { rows[i].answer, NULL };
        enum http_ranges_end end;
        char text[11];
        struct status st = get_ranges(answers, &range, 1, &end, text);

        assert_int_equal(st.code, rows[i].code);
        assert_int_equal(end, rows[i].end);
        if (rows[i].words != NULL)
            assert_non_null(strstr(st.message, rows[i].words));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cut_answer_is_completed_by_a_range),
        cmocka_unit_test(
            test_a_server_that_forgets_ranges_is_read_from_the_start),
        cmocka_unit_test(test_a_range_that_was_not_asked_for_is_not_kept),
        cmocka_unit_test(test_what_has_no_size_ends_with_its_answer),
        cmocka_unit_test(
            test_what_has_no_size_and_was_cut_behind_its_last_byte),
        cmocka_unit_test(test_a_thing_that_changes_is_begun_anew),
        cmocka_unit_test(test_a_server_that_cannot_decide_is_given_up),
        cmocka_unit_test(test_a_server_is_asked_again_when_it_says),
        cmocka_unit_test(test_waiting_for_another_try_can_be_cancelled),
        cmocka_unit_test(test_a_state_that_cannot_be_is_not_believed),
        cmocka_unit_test(test_the_digest_of_a_hub_is_read_from_its_redirect),
        cmocka_unit_test(test_a_redirect_to_a_file_is_not_followed),
        cmocka_unit_test(test_loopback_is_never_asked_of_a_proxy),
        cmocka_unit_test(test_ranges_that_end_too_soon_go_on),
        cmocka_unit_test(test_odd_answers_to_ranges_have_names),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
