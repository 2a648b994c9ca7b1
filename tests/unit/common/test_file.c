#include "support/folder.h"
#include "support/test.h"

#include "common/file.h"
#include "common/http_file.h"
#include "common/limits.h"
#include "common/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_what_is_written_is_read(void **state)
{
    AUTO(free_pointer) char *path = xasprintf("%s/a", folder);
    char *text;
    size_t size;

    (void)state;
    assert_false(file_exists(path));
    assert_ok(file_write(path, "one\0two", 7));
    assert_ok(file_write(path, "three", 5)); /* replaced as a whole */
    assert_true(file_exists(path));
    assert_ok(file_read(path, 5, &text, &size));
    assert_int_equal(size, 5);
    assert_string_equal(text, "three");
    free(text);
    assert_fails(file_read(path, 4, &text, &size), STATUS_TOO_BIG, path);
    assert_ok(file_write(path, "", 0));
    assert_ok(file_read(path, 0, &text, &size));
    assert_string_equal(text, "");
    free(text);
    assert_ok(file_sync_directory(folder));
}

static void test_trouble_is_said_with_the_path(void **state)
{
    AUTO(free_pointer) char *path = xasprintf("%s/none/b", folder);
    char *text;
    size_t size;

    (void)state;
    assert_fails(file_read(path, 1, &text, &size), STATUS_NOT_FOUND, path);
    assert_fails(file_write(path, "x", 1), STATUS_NOT_FOUND, path);
    assert_fails(file_read(folder, 1, &text, &size), STATUS_INVALID, folder);
    assert_fails(file_sync_directory(path), STATUS_NOT_FOUND, path);
    assert_fails(file_write("/sys/sinter", "x", 1), STATUS_DENIED, "/sys");
}

/* A job would find out later, behind those that it depends on. */
static void test_what_may_not_be_read_is_told_by_a_look(void **state)
{
    enum { NOBODY = 65534 };
    AUTO(free_pointer) char *path = xasprintf("%s/locked", folder);
    AUTO(free_pointer) char *url = xasprintf("file://%s", path);
    struct http_info info;
    struct status st;
    uid_t user = geteuid();

    (void)state;
    assert_ok(file_write(path, "x", 1));
    assert_int_equal(chmod(folder, 0711), 0);
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(user == 0 ? seteuid(NOBODY) : 0, 0);
    st = http_file_head(url, &info);
    assert_int_equal(seteuid(user), 0);
    assert_fails(st, STATUS_DENIED, path);
    assert_int_equal(unlink(path), 0);
}

static void test_a_failed_write_leaves_nothing_beside(void **state)
{
    AUTO(free_pointer) char *path = xasprintf("%s/taken", folder);
    AUTO(free_pointer)
    char *beside = xasprintf("%s.%ld.part", path, (long)getpid());
    struct status st;

    (void)state;
    assert_ok(file_make_directories(path));
    st = file_write(path, "x", 1); /* a folder cannot be replaced */
    assert_true(status_failed(&st));
    assert_false(file_exists(beside));
}

static void test_directories_are_made_and_removed_to_any_depth(void **state)
{
    AUTO(free_pointer) char *deep = xasprintf("%s/x/y/z", folder);
    AUTO(free_pointer) char *file = xasprintf("%s/f", deep);
    AUTO(free_pointer) char *below = xasprintf("%s/g", file);
    AUTO(free_pointer) char *top = xasprintf("%s/x", folder);
    AUTO(free_pointer) char *link = xasprintf("%s/x/link", folder);

    (void)state;
    assert_ok(file_make_directories(deep));
    assert_ok(file_make_directories(deep));
    assert_ok(file_write(file, "1", 1));
    assert_fails(file_make_directories(below), STATUS_NOT_FOUND, NULL);
    assert_int_equal(symlink("/tmp", link), 0); /* is not followed */
    assert_ok(file_remove_tree(top));
    assert_false(file_exists(top));
    assert_true(file_exists("/tmp"));
    assert_ok(file_remove_tree(top));
}

static void note_path(void *self, const char *path)
{
    char *seen = self;

    assert_int_equal(seen[0], '\0');
    (void)snprintf(seen, LIMIT_PATH, "%s", path);
}

static void test_each_thing_of_a_directory_is_visited_but_hidden_ones(
    void **state)
{
    AUTO(free_pointer) char *many = xasprintf("%s/many", folder);
    AUTO(free_pointer) char *shown = xasprintf("%s/shown", many);
    AUTO(free_pointer) char *hidden = xasprintf("%s/.hidden", many);
    char seen[LIMIT_PATH] = "";

    (void)state;
    file_each(many, note_path, seen); /* is not there */
    assert_string_equal(seen, "");
    assert_ok(file_make_directories(shown));
    assert_ok(file_write(hidden, "1", 1));
    file_each(many, note_path, seen);
    assert_string_equal(seen, shown);
}

static void test_errors_of_the_system_have_codes(void **state)
{
    (void)state;
    assert_int_equal(file_error(ENOENT), STATUS_NOT_FOUND);
    assert_int_equal(file_error(EROFS), STATUS_DENIED);
    assert_int_equal(file_error(EACCES), STATUS_DENIED);
    assert_int_equal(file_error(ENOSPC), STATUS_NO_SPACE);
    assert_int_equal(file_error(EDQUOT), STATUS_NO_SPACE);
    assert_int_equal(file_error(ENOMEM), STATUS_NO_MEMORY);
    assert_int_equal(file_error(EIO), STATUS_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_trouble_is_said_with_the_path),
        cmocka_unit_test(test_what_may_not_be_read_is_told_by_a_look),
        cmocka_unit_test(test_a_failed_write_leaves_nothing_beside),
        cmocka_unit_test(test_directories_are_made_and_removed_to_any_depth),
        cmocka_unit_test(
            test_each_thing_of_a_directory_is_visited_but_hidden_ones),
        cmocka_unit_test(test_errors_of_the_system_have_codes),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
