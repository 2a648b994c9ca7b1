#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "worker/kept.h"

enum { DAY = 24 * 3600 };

struct place {
    char cache[64];
    struct digest key;
};

static int setup(void **state)
{
    struct place *p = xnew(struct place);

    (void)snprintf(p->cache, sizeof p->cache, "/tmp/sinter-kept.XXXXXX");
    assert_non_null(mkdtemp(p->cache));
    p->key = digest_of("a job", 5);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;

    assert_ok(file_remove_tree(p->cache));
    free(p);
    return 0;
}

/* As a job that left a file there; the caller frees the path. */
static char *leave(const struct place *p, bool remove)
{
    struct kept *k;
    char *path;

    assert_ok(kept_open(p->cache, &p->key, &k));
    path = xasprintf("%s/half", kept_path(k));
    assert_ok(file_write(path, "x", 1));
    kept_close(k, remove);
    return path;
}

static void test_what_was_left_is_found_again(void **state)
{
    const struct place *p = *state;
    const struct digest other = digest_of("another", 7);
    AUTO(free_pointer) char *path = leave(p, false);
    struct kept *k, *o;

    assert_ok(kept_open(p->cache, &p->key, &k));
    assert_memory_equal(kept_path(k), path, strlen(kept_path(k)));
    assert_true(file_exists(path));
    assert_ok(kept_open(p->cache, &other, &o));
    assert_string_not_equal(kept_path(o), kept_path(k));
    kept_close(o, false);
    kept_close(k, false);
}

static void test_one_uses_it_at_a_time(void **state)
{
    const struct place *p = *state;
    struct kept *k, *second;

    assert_ok(kept_open(p->cache, &p->key, &k));
    assert_fails(kept_open(p->cache, &p->key, &second), STATUS_UNAVAILABLE,
                 "another process");
    kept_close(k, true);
    assert_ok(kept_open(p->cache, &p->key, &second));
    kept_close(second, false);
}

static void test_what_is_done_is_removed(void **state)
{
    const struct place *p = *state;
    AUTO(free_pointer) char *path = leave(p, true);

    assert_false(file_exists(path));
}

static void test_a_sweep_takes_the_old_and_unused(void **state)
{
    const struct place *p = *state;
    AUTO(free_pointer) char *path = leave(p, false);
    AUTO(free_pointer) char *place = xstrndup(path, strlen(path) - 5);
    struct timespec old[2] = { { 0 }, { 0 } };
    struct kept *k;

    old[0].tv_sec = old[1].tv_sec = time(NULL) - 8 * DAY;
    kept_sweep(p->cache, 7 * DAY);
    assert_true(file_exists(path));
    assert_ok(kept_open(p->cache, &p->key, &k)); /* young again */
    assert_int_equal(utimensat(AT_FDCWD, place, old, 0), 0);
    kept_sweep(p->cache, 7 * DAY); /* old, and in use */
    assert_true(file_exists(path));
    kept_close(k, false);
    assert_int_equal(utimensat(AT_FDCWD, place, old, 0), 0);
    kept_sweep(p->cache, 7 * DAY);
    assert_false(file_exists(place));
}

static void test_a_full_disk_takes_all_that_is_unused(void **state)
{
    const struct place *p = *state;
    AUTO(free_pointer) char *path = leave(p, false);

    kept_sweep("/nowhere", 0);
    kept_sweep(p->cache, 0);
    assert_false(file_exists(path));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_left_is_found_again),
        TEST(test_one_uses_it_at_a_time),
        TEST(test_what_is_done_is_removed),
        TEST(test_a_sweep_takes_the_old_and_unused),
        TEST(test_a_full_disk_takes_all_that_is_unused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
