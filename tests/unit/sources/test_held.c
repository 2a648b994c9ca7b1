/* Marks of what lies in the cache. */
#include "support/folder.h"
#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "sources/held.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct found {
    struct digest first;
    uint64_t bytes;
    size_t count;
};

static void note(void *self, const struct held *held)
{
    struct found *f = self;

    f->first = held->name;
    f->bytes = held->bytes;
    f->count++;
}

static struct found look(void)
{
    struct found f = { .count = 0 };

    held_each(folder, note, &f);
    return f;
}

static void test_marks_last_as_long_as_their_entries(void **state)
{
    static const char url[] = "https://hub/model";
    AUTO(free_pointer) char *entry = xasprintf("%s/sources/x", folder);
    AUTO(free_pointer) char *files = xasprintf("%s/files", entry);
    AUTO(free_pointer) char *lock = xasprintf("%s/lock", entry);
    struct digest name = digest_of(url, strlen(url));
    struct found f = look();

    (void)state;
    assert_int_equal(f.count, 0);
    assert_ok(file_make_directories(files));
    assert_ok(file_write(lock, "12345", 5));
    held_note(folder, url, files);
    held_note(folder, url, files);
    f = look();
    assert_int_equal(f.count, 1);
    assert_true(digest_equal(&f.first, &name));
    assert_int_equal(f.bytes, 12345);
    assert_ok(file_remove_tree(entry)); /* evicted */
    assert_int_equal(look().count, 0);
    assert_ok(file_make_directories(files)); /* and its mark is gone too */
    assert_int_equal(look().count, 0);
}

static void test_artifacts_are_held_when_they_are_whole(void **state)
{
    static const char name[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    AUTO(free_pointer) char *entry = xasprintf("%s/artifacts/%s", folder, name);
    AUTO(free_pointer) char *record = xasprintf("%s/entry.json", entry);
    AUTO(free_pointer) char *lock = xasprintf("%s/lock", entry);
    AUTO(free_pointer) char *other = xasprintf("%s/artifacts/x", folder);
    struct found f;
    char text[DIGEST_TEXT];

    (void)state;
    assert_ok(file_make_directories(entry));
    assert_ok(file_make_directories(other));
    assert_ok(file_write(lock, "77", 2));
    assert_int_equal(look().count, 0);
    assert_ok(file_write(record, "{}", 2));
    f = look();
    assert_int_equal(f.count, 1);
    assert_int_equal(f.bytes, 77);
    digest_to_text(&f.first, text);
    assert_string_equal(text, name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_last_as_long_as_their_entries),
        cmocka_unit_test(test_artifacts_are_held_when_they_are_whole),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
