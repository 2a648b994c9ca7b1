#include "broker/depot.h"
#include "common/file.h"
#include "common/memory.h"
#include "support/process.h"
#include "support/test.h"

#include <dirent.h>
#include <string.h>
#include <sys/resource.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_put_is_found_by_its_digest),
        cmocka_unit_test(test_wrong_bytes_are_not_kept),
        cmocka_unit_test(test_abandoned_upload_leaves_nothing),
        cmocka_unit_test(test_no_space_is_an_error_of_the_write),
        cmocka_unit_test(test_depot_in_a_place_that_cannot_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
