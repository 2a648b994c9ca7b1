/* common/http against a real nginx: what arrives, what is said when it does
 * not, and what a kill at any time leaves behind. */
#include "support/test.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/http.h"
#include "common/memory.h"
#include "support/web.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static struct web web;

static int start(void **state)
{
    (void)state;
    return web_start(&web) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    web_release(&web);
    return 0;
}

/* Bytes that repeat nowhere near. */
static struct digest make_file(const char *name, size_t size, uint64_t seed)
{
    AUTO(free_pointer) char *below = xasprintf("www/%s", name);
    AUTO(free_pointer) char *path = web_path(&web, below);
    AUTO(free_pointer) char *data = xcalloc(1, size + 8);

    for (size_t i = 0; i < size; i += 8) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
        memcpy(data + i, &seed, 8);
    }
    assert_ok(file_write(path, data, size));
    return digest_of(data, size);
}

static struct http *client(struct http_settings settings)
{
    struct http *h = NULL;

    if (settings.give_up_ms == 0)
        settings.give_up_ms = 20 * 1000;
    assert_ok(http_new(&settings, &h));
    return h;
}

static void check_file(const char *path, const struct digest *expected)
{
    AUTO(free_pointer) char *part = xasprintf("%s.part", path);
    AUTO(free_pointer) char *state = xasprintf("%s.part.state", path);
    struct digest got;

    assert_ok(digest_of_file(path, &got));
    assert_true(digest_equal(&got, expected));
    assert_false(file_exists(part));
    assert_false(file_exists(state));
}

/* Each test downloads to a file of its own. */
static char *target(const char *name)
{
    AUTO(free_pointer) char *below = xasprintf("out/%s", name);

    return web_path(&web, below);
}

static void test_a_small_file_is_got_whole(void **state)
{
    struct digest d = make_file("small", 1000, 1);
    AUTO(free_pointer) char *url = web_url(&web, "/files/small");
    AUTO(free_pointer) char *moved = web_url(&web, "/moved/small");
    AUTO(free_pointer) char *data = NULL;
    struct http *h = client((struct http_settings){ 0 });
    struct http_info info;
    struct digest got;
    size_t size;

    (void)state;
    assert_ok(http_get(h, url, 1000, &data, &size));
    assert_int_equal(size, 1000);
    got = digest_of(data, size);
    assert_true(digest_equal(&got, &d));
    free(data);
    data = NULL;
    assert_fails(http_get(h, url, 999, &data, &size), STATUS_TOO_BIG, url);
    assert_ok(http_get(h, moved, 1000, &data, &size));
    assert_ok(http_head(h, moved, &info));
    assert_int_equal(info.size, 1000);
    assert_true(info.ranges);
    assert_true(info.etag[0] != '\0');
    assert_string_equal(info.sha256, "");
    http_free(h);
}

static void test_a_range_is_exactly_what_was_asked_for(void **state)
{
    AUTO(free_pointer) char *url = web_url(&web, "/files/ranged");
    AUTO(free_pointer) char *no = web_url(&web, "/norange/ranged");
    AUTO(free_pointer) char *all = NULL;
    struct http *h = client((struct http_settings){ 0 });
    struct http_info info;
    char part[500];
    size_t size;

    (void)state;
    (void)make_file("ranged", 1000, 2);
    assert_ok(http_get(h, url, 1000, &all, &size));
    assert_ok(http_get_range(h, url, 300, 500, part));
    assert_memory_equal(part, all + 300, 500);
    assert_ok(http_get_range(h, url, 999, 1, part));
    assert_memory_equal(part, all + 999, 1);
    assert_ok(http_get_range(h, url, 5000, 0, part));
    assert_fails(http_get_range(h, url, 900, 200, part), STATUS_INVALID,
                 "ends after 100 of 200");
    assert_fails(http_get_range(h, url, 1000, 1, part), STATUS_INVALID, "416");
    assert_fails(http_get_range(h, no, 300, 500, part), STATUS_INVALID,
                 "does not answer ranges");
    assert_ok(http_head(h, no, &info));
    assert_false(info.ranges);
    http_free(h);
}

static void test_head_is_asked_for_in_another_way_where_it_is_refused(
    void **state)
{
    AUTO(free_pointer) char *url = web_url(&web, "/nohead/headless");
    struct http *h = client((struct http_settings){ 0 });
    struct http_info info;

    (void)state;
    (void)make_file("headless", 4321, 3);
    assert_ok(http_head(h, url, &info));
    assert_int_equal(info.size, 4321);
    assert_true(info.ranges);
    http_free(h);
}

static void test_refusals_have_codes_and_name_the_url(void **state)
{
    static const struct {
        const char *path;
        enum status_code code;
        const char *words;
    } rows[] = {
        { "/files/none", STATUS_NOT_FOUND, "/files/none: the server answers" },
        { "/private/small", STATUS_DENIED, "401" },
        { "/loop", STATUS_INVALID, "redirects" },
        { "/files/none?signature=hush", STATUS_NOT_FOUND, "/files/none:" },
    };
    AUTO(free_pointer)
    char *secret =
        xasprintf("http://me:hush@127.0.0.1:%d/files/none", web.port);
    AUTO(free_pointer) char *out = target("none");
    struct http *h = client((struct http_settings){ 0 });
    struct status st;
    size_t size;
    char *data;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(free_pointer) char *url = web_url(&web, rows[i].path);

        assert_fails(http_get(h, url, 100, &data, &size), rows[i].code,
                     rows[i].words);
        st = http_download(h, url, out, NULL, NULL, NULL);
        assert_int_equal(st.code, rows[i].code);
        assert_null(strstr(st.message, "hush"));
        assert_false(file_exists(out));
    }
    st = http_get(h, secret, 100, &data, &size);
    assert_int_equal(st.code, STATUS_NOT_FOUND);
    assert_null(strstr(st.message, "hush"));
    assert_non_null(strstr(st.message, "/files/none"));
    assert_fails(http_get(h, "gopher://127.0.0.1/", 1, &data, &size),
                 STATUS_INVALID, NULL);
    assert_fails(http_get(h, "no url at all", 1, &data, &size), STATUS_INVALID,
                 NULL);
    http_free(h);
}

static void test_a_busy_server_is_asked_again_and_given_up_in_time(void **state)
{
    AUTO(free_pointer) char *url = web_url(&web, "/busy");
    struct http *h = client((struct http_settings){ .give_up_ms = 1000 });
    int64_t begin = clock_now();
    size_t size;
    char *data;

    (void)state;
    assert_fails(http_get(h, url, 100, &data, &size), STATUS_UNAVAILABLE,
                 "503: come back later");
    assert_true(clock_now() - begin < 3 * NS_PER_S);
    assert_true(web_count(&web, "GET /busy 503") > 1);
    http_free(h);
}

/* Accepts connections and never says a word. */
static int mute_server(int *ret_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void test_a_mute_server_times_out(void **state)
{
    int port;
    int fd = mute_server(&port);
    AUTO(free_pointer) char *url = xasprintf("http://127.0.0.1:%d/x", port);
    struct http *h =
        client((struct http_settings){ .stall_ms = 300, .give_up_ms = 1000 });
    int64_t begin = clock_now();
    size_t size;
    char *data;

    (void)state;
    assert_fails(http_get(h, url, 100, &data, &size), STATUS_TIMED_OUT,
                 "given up after");
    assert_true(clock_now() - begin < 3 * NS_PER_S);
    (void)close(fd);
    assert_fails(http_get(h, url, 100, &data, &size), STATUS_UNAVAILABLE,
                 "onnect");
    http_free(h);
}

static int64_t cancel_at;

static bool is_cancelled(void *self)
{
    (void)self;
    return clock_now() > cancel_at;
}

static void test_a_cancelled_download_ends_soon_and_can_go_on(void **state)
{
    struct digest d = make_file("cancelled", 6 * MIB, 4);
    AUTO(free_pointer) char *url = web_url(&web, "/slow/cancelled");
    AUTO(free_pointer) char *fast = web_url(&web, "/files/cancelled");
    AUTO(free_pointer) char *out = target("cancelled");
    struct http *h =
        client((struct http_settings){ .cancelled = is_cancelled });

    (void)state;
    cancel_at = clock_now() + 800 * NS_PER_MS;
    assert_fails(http_download(h, url, out, &d, NULL, NULL), STATUS_CANCELLED,
                 NULL);
    assert_true(clock_now() < cancel_at + 500 * NS_PER_MS);
    assert_false(file_exists(out));
    cancel_at = INT64_MAX;
    assert_ok(http_download(h, fast, out, &d, NULL, NULL));
    check_file(out, &d);
    assert_int_equal(web_count(&web, "GET /files/cancelled 206"), 1);
    http_free(h);
}

static uint64_t seen_done, seen_total;

static void on_progress(void *self, uint64_t done, uint64_t total)
{
    (void)self;
    assert_true(done >= seen_done);
    seen_done = done;
    seen_total = total;
}

static void test_a_large_file_comes_over_several_connections(void **state)
{
    struct digest d = make_file("large", 40 * MIB + 123, 5);
    AUTO(free_pointer) char *url = web_url(&web, "/files/large");
    AUTO(free_pointer) char *out = target("large");
    struct http *h = client((struct http_settings){ .progress = on_progress });
    struct http_info info;
    struct digest got;

    (void)state;
    assert_ok(http_download(h, url, out, &d, &got, &info));
    assert_true(digest_equal(&got, &d));
    check_file(out, &d);
    assert_int_equal(info.size, 40 * MIB + 123);
    assert_int_equal(seen_total, 40 * MIB + 123);
    assert_int_equal(seen_done, seen_total);
    assert_true(web_count(&web, "GET /files/large 206") >= 4);
    assert_int_equal(web_count(&web, "GET /files/large 200"), 0);
    http_free(h);
}

static void test_servers_without_ranges_give_the_same_bytes(void **state)
{
    struct digest d = make_file("plain", 20 * MIB + 7, 6);
    AUTO(free_pointer) char *no = web_url(&web, "/norange/plain");
    AUTO(free_pointer) char *liar = web_url(&web, "/liar/plain");
    AUTO(free_pointer) char *out = target("plain");
    AUTO(free_pointer) char *empty = web_url(&web, "/files/empty");
    struct http *h = client((struct http_settings){ 0 });
    struct digest none = make_file("empty", 0, 0);

    (void)state;
    assert_ok(http_download(h, no, out, NULL, NULL, NULL));
    check_file(out, &d);
    assert_ok(http_download(h, liar, out, &d, NULL, NULL));
    check_file(out, &d);
    assert_ok(http_download(h, empty, out, &none, NULL, NULL));
    check_file(out, &none);
    http_free(h);
}

static void test_a_wrong_digest_is_said_and_nothing_is_left(void **state)
{
    struct digest d = make_file("wrong", 10 * MIB, 7);
    AUTO(free_pointer) char *url = web_url(&web, "/files/wrong");
    AUTO(free_pointer) char *out = target("wrong");
    AUTO(free_pointer) char *part = xasprintf("%s.part", out);
    struct http *h = client((struct http_settings){ 0 });
    struct digest other = d;
    char want[DIGEST_TEXT];
    char have[DIGEST_TEXT];
    struct status st;

    (void)state;
    other.bytes[0] ^= 1;
    digest_to_text(&other, want);
    digest_to_text(&d, have);
    st = http_download(h, url, out, &other, NULL, NULL);
    assert_int_equal(st.code, STATUS_CORRUPT);
    assert_non_null(strstr(st.message, want));
    assert_non_null(strstr(st.message, have));
    assert_non_null(strstr(st.message, url));
    assert_false(file_exists(out));
    assert_false(file_exists(part));
    http_free(h);
}

/* A process of its own that downloads; its exit status is the code. */
static pid_t download_in_child(const char *url, const char *out,
                               const struct digest *d)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct http *h = client((struct http_settings){ 0 });
        struct status st = http_download(h, url, out, d, NULL, NULL);

        if (status_failed(&st))
            (void)fprintf(stderr, "child: %s\n", st.message);
        _exit((int)st.code);
    }
    return pid;
}

static int wait_for(pid_t pid)
{
    int result;

    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_true(WIFEXITED(result));
    return WEXITSTATUS(result);
}

static void wait_for_file(const char *path)
{
    int64_t end = clock_now() + 20 * NS_PER_S;

    while (!file_exists(path)) {
        assert_true(clock_now() < end);
        clock_sleep_ms(20);
    }
}

static void check_resume(const char *name, size_t size, uint64_t seed,
                         long long least_kept)
{
    struct digest d = make_file(name, size, seed);
    AUTO(free_pointer) char *slow_path = xasprintf("/slow/%s", name);
    AUTO(free_pointer) char *fast_path = xasprintf("/files/%s", name);
    AUTO(free_pointer) char *slow = web_url(&web, slow_path);
    AUTO(free_pointer) char *fast = web_url(&web, fast_path);
    AUTO(free_pointer) char *words = xasprintf("GET %s ", fast_path);
    AUTO(free_pointer) char *anew = xasprintf("GET %s 200", fast_path);
    AUTO(free_pointer) char *out = target(name);
    AUTO(free_pointer) char *state = xasprintf("%s.part.state", out);
    struct http *h = client((struct http_settings){ 0 });
    pid_t pid = download_in_child(slow, out, &d);

    wait_for_file(state);
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(file_exists(out));
    assert_ok(http_download(h, fast, out, &d, NULL, NULL));
    check_file(out, &d);
    assert_int_equal(web_count(&web, anew), 0);
    assert_true(web_bytes(&web, words) > 0);
    assert_true(web_bytes(&web, words) <= (long long)size - least_kept);
    http_free(h);
}

static void test_a_killed_download_resumes(void **state)
{
    (void)state;
    check_resume("single", 8 * MIB, 8, 2 * MIB);
}

static void test_a_killed_parallel_download_resumes_in_every_range(void **state)
{
    (void)state;
    check_resume("parallel", 40 * MIB, 9, 8 * MIB);
}

static void test_a_file_that_changed_meanwhile_is_got_anew(void **state)
{
    struct digest d = make_file("changing", 8 * MIB, 10);
    AUTO(free_pointer) char *slow = web_url(&web, "/slow/changing");
    AUTO(free_pointer) char *fast = web_url(&web, "/files/changing");
    AUTO(free_pointer) char *out = target("changing");
    AUTO(free_pointer) char *saved = xasprintf("%s.part.state", out);
    struct http *h = client((struct http_settings){ 0 });
    pid_t pid = download_in_child(slow, out, NULL);

    (void)state;
    wait_for_file(saved);
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    d = make_file("changing", 8 * MIB, 11);
    assert_ok(http_download(h, fast, out, NULL, NULL, NULL));
    check_file(out, &d);
    http_free(h);
}

static void test_a_download_outlives_its_server(void **state)
{
    struct digest d = make_file("outlive", 20 * MIB, 12);
    AUTO(free_pointer) char *url = web_url(&web, "/slow/outlive");
    AUTO(free_pointer) char *out = target("outlive");
    pid_t pid = download_in_child(url, out, &d);

    (void)state;
    clock_sleep_ms(700);
    web_stop(&web);
    clock_sleep_ms(700);
    web_again(&web);
    assert_int_equal(wait_for(pid), STATUS_SUCCESS);
    check_file(out, &d);
}

static void test_of_two_processes_one_downloads_and_both_have_it(void **state)
{
    struct digest d = make_file("shared", 3 * MIB, 13);
    AUTO(free_pointer) char *url = web_url(&web, "/slow/shared");
    AUTO(free_pointer) char *out = target("shared");
    pid_t first = download_in_child(url, out, &d);
    pid_t second = download_in_child(url, out, &d);

    (void)state;
    assert_int_equal(wait_for(first), STATUS_SUCCESS);
    assert_int_equal(wait_for(second), STATUS_SUCCESS);
    check_file(out, &d);
    assert_int_equal(web_count(&web, "GET /slow/shared"), 1);
}

static void test_a_full_disk_is_said_before_the_download(void **state)
{
    AUTO(free_pointer) char *url = web_url(&web, "/files/full");
    AUTO(free_pointer) char *out = target("full");
    pid_t pid;

    (void)state;
    (void)make_file("full", 3 * MIB, 14);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit most = { 2 * MIB, 2 * MIB };
        struct http *h = client((struct http_settings){ 0 });

        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &most);
        _exit((int)http_download(h, url, out, NULL, NULL, NULL).code);
    }
    assert_int_equal(wait_for(pid), STATUS_NO_SPACE);
    assert_int_equal(web_count(&web, "GET /files/full"), 0);
}

static void test_a_folder_that_cannot_be_written_is_denied(void **state)
{
    AUTO(free_pointer) char *url = web_url(&web, "/files/small");
    struct http *h = client((struct http_settings){ 0 });

    (void)state;
    assert_fails(http_download(h, url, "/sys/sinter", NULL, NULL, NULL),
                 STATUS_DENIED, "/sys/sinter");
    assert_fails(
        http_download(h, url, "/tmp/no such folder/x", NULL, NULL, NULL),
        STATUS_NOT_FOUND, "no such folder");
    http_free(h);
}

static void expect_whoami(struct http *h, const char *url, const char *answer)
{
    AUTO(free_pointer) char *data = NULL;
    size_t size;

    assert_ok(http_get(h, url, 100, &data, &size));
    assert_string_equal(data, answer);
}

static void test_the_token_goes_only_where_it_belongs(void **state)
{
    AUTO(free_pointer) char *token = web_path(&web, "token");
    AUTO(free_pointer) char *prefix = web_url(&web, "");
    AUTO(free_pointer) char *here = web_url(&web, "/whoami");
    AUTO(free_pointer) char *near = web_url(&web, "/near/whoami");
    AUTO(free_pointer) char *away = web_url(&web, "/away/whoami");
    AUTO(free_pointer) char *below = web_url(&web, "/models");
    AUTO(free_pointer) char *up = web_url(&web, "/models/../whoami");
    AUTO(free_pointer) char *file = web_url(&web, "/private/small");
    AUTO(free_pointer)
    char *other = xasprintf("http://localhost:%d/whoami", web.port);
    AUTO(free_pointer) char *beside = web_url(&web, "/who");
    struct http_settings settings = { .token_file = token,
                                      .token_prefix = prefix };
    struct http_info info;
    struct http *h;

    (void)state;
    assert_ok(file_write(token, "secret\n", 7));
    h = client(settings);
    expect_whoami(h, here, "<Bearer secret>");
    expect_whoami(h, near, "<Bearer secret>"); /* a redirect to itself */
    expect_whoami(h, away, "<>");
    expect_whoami(h, other, "<>");
    assert_ok(http_head(h, file, &info));
    http_free(h);
    settings.token_prefix = below;
    h = client(settings);
    expect_whoami(h, here, "<>");
    expect_whoami(h, up, "<>");
    http_free(h);
    /* .../whoami does not lie below .../who. */
    settings.token_prefix = beside;
    h = client(settings);
    expect_whoami(h, here, "<>");
    http_free(h);
}

static void test_a_wrong_token_is_denied_and_not_printed(void **state)
{
    AUTO(free_pointer) char *token = web_path(&web, "bad-token");
    AUTO(free_pointer) char *prefix = web_url(&web, "");
    AUTO(free_pointer) char *file = web_url(&web, "/private/small");
    struct http_settings settings = { .token_file = token,
                                      .token_prefix = prefix };
    struct http_info info;
    struct http *h = NULL;
    struct status st;

    (void)state;
    assert_fails(http_new(&settings, &h), STATUS_NOT_FOUND, token);
    assert_ok(file_write(token, "\n", 1));
    assert_fails(http_new(&settings, &h), STATUS_INVALID, "no token");
    assert_ok(file_write(token, "stolen", 6));
    h = client(settings);
    st = http_head(h, file, &info);
    assert_int_equal(st.code, STATUS_DENIED);
    assert_null(strstr(st.message, "stolen"));
    http_free(h);
}

static void test_what_is_put_is_there(void **state)
{
    struct digest d = make_file("upload", 5 * MIB, 15);
    AUTO(free_pointer) char *path = web_path(&web, "www/upload");
    AUTO(free_pointer) char *url = web_url(&web, "/dav/a/b");
    AUTO(free_pointer) char *bytes = web_url(&web, "/dav/c");
    AUTO(free_pointer) char *no = web_url(&web, "/files/no");
    AUTO(free_pointer) char *stored = web_path(&web, "dav/a/b");
    AUTO(free_pointer) char *data = NULL;
    struct http *h = client((struct http_settings){ 0 });
    size_t size;

    (void)state;
    assert_ok(http_put_file(h, url, path));
    check_file(stored, &d);
    assert_ok(http_put_file(h, url, path)); /* again is the same */
    assert_ok(http_put(h, bytes, "abc", 3));
    assert_ok(http_get(h, bytes, 3, &data, &size));
    assert_string_equal(data, "abc");
    assert_ok(http_put(h, bytes, "", 0));
    assert_fails(http_put(h, no, "abc", 3), STATUS_INVALID, "405");
    assert_fails(http_put_file(h, url, "/no/such/file"), STATUS_NOT_FOUND,
                 "/no/such/file");
    assert_fails(http_put(h, "file:///tmp/x", "abc", 3), STATUS_INVALID,
                 "PUT needs http");
    http_free(h);
}

static void test_files_are_read_through_the_same_calls(void **state)
{
    struct digest d = make_file("a file%", 3 * MIB + 1, 16);
    AUTO(free_pointer)
    char *url = xasprintf("file://%s/www/a%%20file%%", web.folder);
    AUTO(free_pointer)
    char *local = xasprintf("file://localhost%s/www/a file%%25", web.folder);
    AUTO(free_pointer) char *path = web_path(&web, "www/a file%");
    AUTO(free_pointer) char *out = target("file");
    AUTO(free_pointer) char *data = NULL;
    struct http *h = client((struct http_settings){ 0 });
    struct http_info info;
    struct digest got;
    char part[100];
    size_t size;

    (void)state;
    assert_ok(http_head(h, local, &info));
    assert_int_equal(info.size, 3 * MIB + 1);
    assert_true(info.ranges && info.etag[0] != '\0');
    assert_ok(http_get(h, url, 4 * MIB, &data, &size));
    assert_int_equal(size, 3 * MIB + 1);
    assert_ok(http_get_range(h, url, 1000, 100, part));
    assert_memory_equal(part, data + 1000, 100);
    assert_fails(http_get_range(h, url, 3 * MIB, 2, part), STATUS_INVALID,
                 "ends before");
    assert_ok(http_download(h, url, out, &d, &got, &info));
    check_file(out, &d);
    assert_true(digest_equal(&got, &d));
    assert_fails(http_download(h, "file:///no/such", out, NULL, NULL, NULL),
                 STATUS_NOT_FOUND, "/no/such");
    assert_fails(http_get(h, "file://host/x", 1, &data, &size), STATUS_INVALID,
                 "absolute path");
    assert_fails(http_head(h, "file:///tmp", &info), STATUS_INVALID,
                 "not a file");
    got.bytes[5] ^= 1;
    assert_fails(http_download(h, url, out, &got, NULL, NULL), STATUS_CORRUPT,
                 "expected sha256");
    check_file(out, &d); /* the old one still stands */
    http_free(h);
    assert_true(file_exists(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_file_is_got_whole),
        cmocka_unit_test(test_a_range_is_exactly_what_was_asked_for),
        cmocka_unit_test(
            test_head_is_asked_for_in_another_way_where_it_is_refused),
        cmocka_unit_test(test_refusals_have_codes_and_name_the_url),
        cmocka_unit_test(
            test_a_busy_server_is_asked_again_and_given_up_in_time),
        cmocka_unit_test(test_a_mute_server_times_out),
        cmocka_unit_test(test_a_cancelled_download_ends_soon_and_can_go_on),
        cmocka_unit_test(test_a_large_file_comes_over_several_connections),
        cmocka_unit_test(test_servers_without_ranges_give_the_same_bytes),
        cmocka_unit_test(test_a_wrong_digest_is_said_and_nothing_is_left),
        cmocka_unit_test(test_a_killed_download_resumes),
        cmocka_unit_test(
            test_a_killed_parallel_download_resumes_in_every_range),
        cmocka_unit_test(test_a_file_that_changed_meanwhile_is_got_anew),
        cmocka_unit_test(test_a_download_outlives_its_server),
        cmocka_unit_test(test_of_two_processes_one_downloads_and_both_have_it),
        cmocka_unit_test(test_a_full_disk_is_said_before_the_download),
        cmocka_unit_test(test_a_folder_that_cannot_be_written_is_denied),
        cmocka_unit_test(test_the_token_goes_only_where_it_belongs),
        cmocka_unit_test(test_a_wrong_token_is_denied_and_not_printed),
        cmocka_unit_test(test_what_is_put_is_there),
        cmocka_unit_test(test_files_are_read_through_the_same_calls),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
