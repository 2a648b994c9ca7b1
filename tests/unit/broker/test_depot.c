#include "broker/depot.h"
#include "common/file.h"
#include "common/memory.h"
#include "support/process.h"
#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char hello[] = "hello, depot";

static struct digest name_of(const char *text)
{
    return digest_of(text, strlen(text));
}

/* Entries of a directory, "." and ".." left out. */
static int count_files(const char *path)
{
    DIR *dir = opendir(path);
    int count = -2;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

struct place {
    char directory[SCRATCH_SIZE];
    char *incoming;
    struct depot *depot;
};

static struct place open_place(void)
{
    struct place p = { 0 };

    scratch_make(p.directory);
    p.incoming = xasprintf("%s/incoming", p.directory);
    assert_ok(depot_open(p.directory, &p.depot));
    return p;
}

static void close_place(struct place *p)
{
    assert_int_equal(count_files(p->incoming), 0);
    depot_free(p->depot);
    scratch_remove(p->directory);
    free(p->incoming);
}

static void put(const struct place *p, const char *text)
{
    struct digest name = name_of(text);
    struct depot_upload *u = NULL;

    assert_ok(depot_begin(p->depot, &name, &u));
    assert_ok(depot_add(u, text, 3));
    assert_ok(depot_add(u, text + 3, strlen(text) - 3));
    assert_ok(depot_commit(u));
}

static void test_what_is_put_is_found_by_its_digest(void **state)
{
    struct place p = open_place();
    struct digest name = name_of(hello);
    char text[sizeof hello] = "";
    uint64_t size = 0;
    int fd = -1;

    (void)state;
    assert_fails(depot_find(p.depot, &name, &fd, &size), STATUS_NOT_FOUND,
                 "no such blob");
    put(&p, hello);
    put(&p, hello); /* twice is once */
    assert_ok(depot_find(p.depot, &name, &fd, &size));
    assert_int_equal(size, strlen(hello));
    assert_int_equal(read(fd, text, size), (ssize_t)size);
    assert_string_equal(text, hello);
    (void)close(fd);
    close_place(&p);
}

static void test_wrong_bytes_are_not_kept(void **state)
{
    struct place p = open_place();
    struct digest name = name_of(hello);
    struct depot_upload *u = NULL;
    uint64_t size = 0;
    int fd = -1;

    (void)state;
    assert_ok(depot_begin(p.depot, &name, &u));
    assert_ok(depot_add(u, "other", 5));
    assert_fails(depot_commit(u), STATUS_CORRUPT, "have SHA-256");
    assert_fails(depot_find(p.depot, &name, &fd, &size), STATUS_NOT_FOUND,
                 NULL);
    close_place(&p);
}

static void test_abandoned_upload_leaves_nothing(void **state)
{
    struct place p = open_place();
    struct digest name = name_of(hello);
    struct depot_upload *u = NULL;

    (void)state;
    assert_ok(depot_begin(p.depot, &name, &u));
    assert_ok(depot_add(u, "half", 4));
    depot_abandon(u);
    depot_abandon(NULL);
    close_place(&p);
}

/* The limit on the size of a file stands in for a full disk. */
static void test_no_space_is_an_error_of_the_write(void **state)
{
    struct place p = open_place();
    struct digest name = name_of(hello);
    struct depot_upload *u = NULL;
    struct rlimit saved;
    struct rlimit small;
    struct status st;

    (void)state;
    assert_ok(depot_begin(p.depot, &name, &u));
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)getrlimit(RLIMIT_FSIZE, &saved);
    small = saved;
    small.rlim_cur = 4;
    (void)setrlimit(RLIMIT_FSIZE, &small);
    st = depot_add(u, hello, strlen(hello));
    (void)setrlimit(RLIMIT_FSIZE, &saved);
    assert_true(status_failed(&st));
    depot_abandon(u);
    close_place(&p);
}

static void test_depot_in_a_place_that_cannot_be(void **state)
{
    struct depot *d = NULL;

    (void)state;
    assert_fails(depot_open("/proc/none", &d), STATUS_NOT_FOUND, "/proc");
}

static void count_blob(void *self, const struct depot_blob *blob)
{
    size_t *count = self;

    assert_int_equal(blob->size, strlen(hello));
    assert_true(blob->touched_ms > 0);
    (*count)++;
}

static size_t count_blobs(const struct place *p)
{
    size_t count = 0;

    for (unsigned fan = 0; fan < DEPOT_FANS; fan++)
        assert_ok(depot_list(p->depot, fan, count_blob, &count));
    return count;
}

/* As if nobody had touched it for an hour. */
static void make_old(const struct place *p, const struct digest *name)
{
    enum { HOUR = 3600 };
    struct timespec times[2] = { { .tv_sec = time(NULL) - HOUR },
                                 { .tv_sec = time(NULL) - HOUR } };
    char text[DIGEST_TEXT];
    AUTO(free_pointer) char *path = NULL;

    digest_to_text(name, text);
    path = xasprintf("%s/%.2s/%s", p->directory, text, text + 2);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_only_what_nobody_touched_is_removed(void **state)
{
    struct place p = open_place();
    struct digest name = name_of(hello);
    int64_t minute_ago = (int64_t)(time(NULL) - 60) * 1000;
    AUTO(free_pointer) char *text = NULL;
    uint64_t size = 0;
    size_t bytes = 0;
    bool removed = true;
    int fd = -1;

    (void)state;
    put(&p, hello);
    assert_int_equal(count_blobs(&p), 1);
    assert_ok(depot_read(p.depot, &name, 100, &text, &bytes));
    assert_string_equal(text, hello);
    assert_ok(depot_remove(p.depot, &name, minute_ago, &removed));
    assert_false(removed);
    make_old(&p, &name);
    assert_ok(depot_find(p.depot, &name, &fd, &size)); /* touches it */
    (void)close(fd);
    assert_ok(depot_remove(p.depot, &name, minute_ago, &removed));
    assert_false(removed);
    make_old(&p, &name);
    put(&p, hello); /* so does this */
    assert_ok(depot_remove(p.depot, &name, minute_ago, &removed));
    assert_false(removed);
    make_old(&p, &name);
    assert_ok(depot_remove(p.depot, &name, minute_ago, &removed));
    assert_true(removed);
    assert_int_equal(count_blobs(&p), 0);
    assert_ok(depot_remove(p.depot, &name, minute_ago, &removed));
    assert_false(removed);
    close_place(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_put_is_found_by_its_digest),
        cmocka_unit_test(test_wrong_bytes_are_not_kept),
        cmocka_unit_test(test_abandoned_upload_leaves_nothing),
        cmocka_unit_test(test_no_space_is_an_error_of_the_write),
        cmocka_unit_test(test_depot_in_a_place_that_cannot_be),
        cmocka_unit_test(test_only_what_nobody_touched_is_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
