/* What other workers may read of a cache. */
#include "support/folder.h"
#include "support/test.h"

#include "common/file.h"
#include "common/json.h"
#include "common/memory.h"
#include "sources/cache.h"
#include "sources/held.h"
#include "sources/served.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define A32 "0123456789abcdef0123456789abcdef"
#define A64 A32 A32
#define B64 "fedcba9876543210fedcba9876543210" A32

static void test_only_one_spelling_of_a_name_is_read(void **state)
{
    static const char *const good[] = {
        "/cache/sources/" A64 "/" B64,
        "/cache/artifacts/" A64 "/" B64,
    };
    static const char *const bad[] = {
        "",
        "/",
        "/cache",
        "/cache/sources/" A64,
        "/cache/sources/" A64 "/",
        "/cache/sources/" A64 "/" A32,
        "/cache/sources/" A64 "/" B64 "/",
        "/cache/sources/" A64 "/" B64 "0",
        "/cache/sources/" A64 "/" B64 "?x",
        "/cache/sources/" A64 "//" B64,
        "//cache/sources/" A64 "/" B64,
        "/cache/places/" A64 "/" B64,
        "/cache/parts/" A64 "/" B64,
        "/cache/sources/../sources/" A64 "/" B64,
        "/cache/sources/%2e%2e/" A64 "/" B64,
        "/cache/sources/" A64 "/../" A32 B64,
        "/cache/sources/" A64 "/..%2f..%2fentry.json",
        "/cache/sources/" A64 "/entry.json",
        "/cache/sources/0123456789ABCDEF0123456789abcdef" A32 "/" B64,
        "/CACHE/sources/" A64 "/" B64,
        "/cache/sources/" A64 "\\" B64,
        "/depot/" A64,
    };
    char path[SERVED_PATH];
    struct served_name name;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(served_parse(good[i], &name));
        assert_int_equal(name.is_artifact, i == 1);
        served_path(&name, path);
        assert_string_equal(path, good[i]);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (served_parse(bad[i], &name))
            fail_msg("\"%s\" is taken for a name", bad[i]);
}

static void test_a_long_name_is_none(void **state)
{
    enum { LONG = 1 << 20 };
    AUTO(free_pointer) char *path = xcalloc(LONG + 1, 1);
    struct served_name name;

    (void)state;
    memset(path, 'a', LONG);
    memcpy(path, "/cache/sources/", strlen("/cache/sources/"));
    assert_false(served_parse(path, &name));
}

/* An entry with a large file and a small one; its name is that of the large
 * one's bytes. */
static struct served_name fill(const char *text, bool proven)
{
    const struct cache_settings settings = { .directory = folder };
    AUTO(free_pointer) char *large = xcalloc(SERVED_LEAST + 1, 1);
    AUTO(free_pointer) char *path = NULL;
    struct served_name name = { .is_artifact = false };
    struct cache *cache;
    struct cache_entry *e;
    char shelf[DIGEST_TEXT];

    memset(large, text[0], SERVED_LEAST);
    name.file = name.entry = digest_of(large, SERVED_LEAST);
    digest_to_text(&name.entry, shelf);
    assert_ok(cache_new(&settings, &cache));
    assert_ok(cache_open(cache, "sources", shelf, NULL, &e));
    path = xasprintf("%s/model.bin", cache_files(e));
    assert_ok(file_write(path, large, SERVED_LEAST));
    assert_ok(cache_add(e, "model.bin", &name.file, proven));
    assert_ok(cache_finish(cache, e));
    held_note(folder, text, cache_files(e));
    cache_close(e);
    cache_free(cache);
    return name;
}

static char *path_of(const struct served_name *name, const char *below)
{
    char text[DIGEST_TEXT];

    digest_to_text(&name->entry, text);
    return xasprintf("%s/sources/%s/%s", folder, text, below);
}

static void check_absent(const struct served_name *name)
{
    uint64_t size = 0;
    int fd = -1;

    assert_fails(served_open(folder, name, &fd, &size), STATUS_NOT_FOUND,
                 "this cache has no such");
}

static void check_there(const struct served_name *name)
{
    uint64_t size = 0;
    int fd = -1;

    assert_ok(served_open(folder, name, &fd, &size));
    assert_int_equal(size, SERVED_LEAST);
    assert_int_equal(close(fd), 0);
}

static void test_files_are_opened_as_they_were_recorded(void **state)
{
    struct served_name name = fill("x", true);
    AUTO(free_pointer) char *file = path_of(&name, "files/model.bin");
    AUTO(free_pointer) char *aside = path_of(&name, "aside");
    AUTO(free_pointer) char *record = path_of(&name, "entry.json");
    struct served_name other = name;
    struct timespec times[2] = { { 1, 0 }, { 1, 0 } };

    (void)state;
    check_there(&name);
    other.entry.bytes[0] ^= 1;
    check_absent(&other);
    other = name;
    other.file.bytes[0] ^= 1;
    check_absent(&other);
    other = name;
    other.is_artifact = true;
    check_absent(&other);
    assert_int_equal(rename(file, aside), 0); /* a link is not followed */
    assert_int_equal(symlink("../aside", file), 0);
    check_absent(&name);
    assert_int_equal(rename(aside, file), 0);
    check_there(&name);
    assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
    check_absent(&name); /* somebody wrote to it, perhaps */
    name = fill("y", true);
    check_there(&name);
    free(record);
    record = path_of(&name, "entry.json");
    assert_int_equal(unlink(record), 0);
    check_absent(&name);
}

static void test_a_record_that_leads_out_leads_nowhere(void **state)
{
    static const char text[] =
        "{\"files\":[{\"modified\":0,\"path\":\"../../../secret\",\"sha256\":"
        "\"" A64 "\",\"size\":1}]}";
    struct served_name name = fill("z", true);
    AUTO(free_pointer) char *record = path_of(&name, "entry.json");
    AUTO(free_pointer) char *secret = xasprintf("%s/secret", folder);

    (void)state;
    assert_ok(file_write(record, text, strlen(text)));
    assert_ok(file_write(secret, "x", 1));
    assert_true(digest_from_text(A64, &name.file));
    check_absent(&name);
}

struct seen {
    struct digest wanted;
    bool found, proven;
};

static void see(void *self, const struct held *held)
{
    struct seen *s = self;

    if (!digest_equal(&held->name, &s->wanted))
        return;
    s->found = true;
    s->proven = held->is_proven;
}

static void test_only_what_can_be_proved_is_offered(void **state)
{
    struct seen proven = { .wanted = digest_of("p", 1) };
    struct seen other = { .wanted = digest_of("q", 1) };

    (void)state;
    (void)fill("p", true);
    (void)fill("q", false);
    held_each(folder, see, &proven);
    held_each(folder, see, &other);
    assert_true(proven.found && proven.proven);
    assert_true(other.found && !other.proven);
}

static void test_the_token_is_made_of_the_farms(void **state)
{
    AUTO(free_pointer) char *path = xasprintf("%s/token", folder);
    char tokens[3][DIGEST_TEXT];

    (void)state;
    assert_ok(file_write(path, "secret-of-the-farm\nmore\n", 24));
    assert_ok(served_token(path, tokens[0]));
    assert_ok(file_write(path, "secret-of-the-farm", 18));
    assert_ok(served_token(path, tokens[1]));
    assert_ok(file_write(path, "secret-of-the-farn\n", 19));
    assert_ok(served_token(path, tokens[2]));
    assert_string_equal(tokens[0], tokens[1]);
    assert_string_not_equal(tokens[0], tokens[2]);
    assert_int_equal(strlen(tokens[0]), DIGEST_TEXT - 1);
    assert_ok(file_write(path, "\n", 1));
    assert_fails(served_token(path, tokens[0]), STATUS_INVALID, "no token");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_one_spelling_of_a_name_is_read),
        cmocka_unit_test(test_a_long_name_is_none),
        cmocka_unit_test(test_files_are_opened_as_they_were_recorded),
        cmocka_unit_test(test_a_record_that_leads_out_leads_nowhere),
        cmocka_unit_test(test_only_what_can_be_proved_is_offered),
        cmocka_unit_test(test_the_token_is_made_of_the_farms),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
