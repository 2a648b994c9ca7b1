/* The mark of a worker that is alive. */
#include "support/folder.h"
#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "worker/health.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* As if it had been made so long ago. */
static void age(void *self, const char *path)
{
    const int64_t *by_s = self;
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
    struct stat info;

    assert_int_equal(stat(path, &info), 0);
    times[1].tv_sec = info.st_mtim.tv_sec - *by_s;
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void age_all(int64_t by_s)
{
    AUTO(free_pointer) char *alive = xasprintf("%s/alive", folder);

    file_each(alive, age, &by_s);
}

/* Its size stays. */
static void empty(void *self, const char *path)
{
    (void)self;
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(truncate(path, 8), 0);
}

static void test_a_worker_is_alive_while_it_leaves_its_mark(void **state)
{
    (void)state;
    assert_fails(health_check(folder, NULL, false), STATUS_UNAVAILABLE,
                 "no worker runs with");
    health_mark(folder, "a/../b", "");
    health_mark(folder, "c", "");
    assert_ok(health_check(folder, "a/../b", false));
    assert_ok(health_check(folder, NULL, false));
    assert_true(health_has(folder, "c"));
    assert_false(health_has(folder, "d"));
    assert_fails(health_check(folder, "d", false), STATUS_UNAVAILABLE,
                 "no worker d runs");
    age_all(100);
    assert_fails(health_check(folder, "c", false), STATUS_UNAVAILABLE,
                 "no sign for 10");
    assert_fails(health_check(folder, NULL, false), STATUS_UNAVAILABLE,
                 "no sign");
    health_mark(folder, "c", "nobody knows it"); /* it goes on */
    assert_ok(health_check(folder, "c", false));
    assert_ok(health_check(folder, NULL, false));
    assert_fails(health_check(folder, "c", true), STATUS_UNAVAILABLE,
                 "can do no jobs: nobody knows it");
    health_mark(folder, "c", "");
    assert_ok(health_check(folder, "c", true));
    assert_ok(health_check(folder, NULL, true));
    health_end(folder, "c");
    assert_fails(health_check(folder, "c", false), STATUS_UNAVAILABLE,
                 "no worker c");
}

/* A sentence of any length; on a full disk its size only. */
static void test_an_obstacle_is_said(void **state)
{
    AUTO(free_pointer) char *alive = xasprintf("%s/alive", folder);
    char words[2 * STATUS_MESSAGE_SIZE];

    (void)state;
    (void)memset(words, 'x', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    health_mark(folder, "e", words);
    assert_fails(health_check(folder, "e", true), STATUS_UNAVAILABLE, "xxx");
    file_each(alive, empty, NULL);
    assert_fails(health_check(folder, "e", true), STATUS_UNAVAILABLE,
                 "can do no jobs: its log says why");
    health_mark(folder, "e", "");
    assert_ok(health_check(folder, "e", true));
    health_end(folder, "e");
}

/* Where nothing can be written, a worker ends for another reason. */
static void test_a_cache_that_is_not_there_has_no_worker(void **state)
{
    (void)state;
    health_mark("/sys/kernel/sinter", "a", "");
    assert_fails(health_check("/sys/kernel/sinter", "a", false),
                 STATUS_UNAVAILABLE, "no worker a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_is_alive_while_it_leaves_its_mark),
        cmocka_unit_test(test_an_obstacle_is_said),
        cmocka_unit_test(test_a_cache_that_is_not_there_has_no_worker),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
