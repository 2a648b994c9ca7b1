#include "common/curve.h"
#include "common/digest.h"
#include "common/file.h"
#include "common/memory.h"
#include "support/folder.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *in_folder(const char *name)
{
    return xasprintf("%s/%s", folder, name);
}

static void put(const char *name, const char *text)
{
    AUTO(free_pointer) char *path = in_folder(name);

    assert_ok(file_write(path, text, strlen(text)));
}

static void test_pair_is_saved_and_read(void **state)
{
    AUTO(free_pointer) char *secret = in_folder("node-7.key");
    AUTO(free_pointer) char *open = in_folder("node-7.pub");
    struct curve_key made;
    struct curve_key read;
    struct stat info;

    (void)state;
    assert_ok(curve_make(CURVE_WORKER, "node-7", &made));
    assert_ok(curve_save(&made, folder));
    assert_int_equal(stat(secret, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_ok(curve_load_secret(secret, &read));
    assert_int_equal(read.role, CURVE_WORKER);
    assert_string_equal(read.name, "node-7");
    assert_memory_equal(read.open, made.open, CURVE_BYTES);
    assert_memory_equal(read.secret, made.secret, CURVE_BYTES);
    assert_ok(curve_load_public(open, &read));
    assert_memory_equal(read.open, made.open, CURVE_BYTES);
    assert_fails(curve_load_public(secret, &read), STATUS_INVALID, ".pub");
    assert_int_equal(chmod(open, 0600), 0);
    assert_fails(curve_load_secret(open, &read), STATUS_INVALID, ".key");
}

static void test_no_key_is_written_over(void **state)
{
    struct curve_key made;
    AUTO(free_pointer) char *open = in_folder("once.pub");

    (void)state;
    assert_ok(curve_make(CURVE_ADMIN, "once", &made));
    assert_ok(curve_save(&made, folder));
    assert_fails(curve_save(&made, folder), STATUS_INVALID, "once.pub");
    assert_int_equal(unlink(open), 0);
    assert_fails(curve_save(&made, folder), STATUS_INVALID, "once.key");
    assert_false(file_exists(open));
}

static void test_secret_that_others_can_read_is_refused(void **state)
{
    struct curve_key key;
    AUTO(free_pointer) char *secret = in_folder("loose.key");

    (void)state;
    assert_ok(curve_make(CURVE_CLIENT, "loose", &key));
    assert_ok(curve_save(&key, folder));
    assert_int_equal(chmod(secret, 0640), 0);
    assert_fails(curve_load_secret(secret, &key), STATUS_DENIED, "chmod 600");
    assert_int_equal(chmod(secret, 0604), 0);
    assert_fails(curve_load_secret(secret, &key), STATUS_DENIED, "chmod 600");
    assert_int_equal(chmod(secret, 0400), 0);
    assert_ok(curve_load_secret(secret, &key));
}

static void test_names_cannot_lead_elsewhere(void **state)
{
    static const char *const bad[] = { "",      "../x", "a/b",  ".hidden",
                                       "-flag", "a b",  "a\nb", "caf\xc3\xa9" };
    AUTO(free_pointer) char *big = xcalloc(LIMIT_NAME + 2, 1);
    struct curve_key key;

    (void)state;
    memset(big, 'a', LIMIT_NAME + 1);
    assert_fails(curve_make(CURVE_WORKER, big, &key), STATUS_INVALID, "name");
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_fails(curve_make(CURVE_WORKER, bad[i], &key), STATUS_INVALID,
                     "name");
}

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void test_list_is_a_file_of_lines(void **state)
{
    AUTO(free_pointer) char *path = in_folder("list");
    uint8_t key[CURVE_BYTES];
    struct curve_ring *ring = NULL;

    (void)state;
    put("list", "# who may come in\n\n  worker one " HEX_A "\r\n"
                "admin\ttwo " HEX_B "\n"
                "broker not-me cccccccccccccccccccccccccccccccc"
                "cccccccccccccccccccccccccccccccc");
    assert_ok(curve_ring_load(path, &ring));
    assert_int_equal(curve_ring_count(ring), 2);
    memset(key, 0xaa, sizeof key);
    assert_int_equal(curve_ring_find(ring, key)->role, CURVE_WORKER);
    memset(key, 0xbb, sizeof key);
    assert_string_equal(curve_ring_find(ring, key)->name, "two");
    memset(key, 0xcc, sizeof key);
    assert_null(curve_ring_find(ring, key));
    curve_ring_free(ring);
}

static void test_list_is_a_directory_of_public_files(void **state)
{
    AUTO(free_pointer) char *directory = in_folder("keys");
    struct curve_ring *ring = NULL;
    struct curve_key keys[3];

    (void)state;
    assert_fails(curve_ring_load(directory, &ring), STATUS_NOT_FOUND, "keys");
    assert_ok(curve_make(CURVE_BROKER, "broker", &keys[0]));
    assert_ok(curve_save(&keys[0], directory));
    assert_fails(curve_ring_load(directory, &ring), STATUS_INVALID, "nobody");
    assert_ok(curve_make(CURVE_WORKER, "worker", &keys[1]));
    assert_ok(curve_save(&keys[1], directory));
    assert_ok(curve_make(CURVE_CLIENT, "me", &keys[2]));
    assert_ok(curve_save(&keys[2], directory));
    assert_ok(curve_ring_load(directory, &ring));
    assert_int_equal(curve_ring_count(ring), 2);
    for (int i = 0; i < 3; i++) {
        const struct curve_key *found = curve_ring_find(ring, keys[i].open);
        static const uint8_t none[CURVE_BYTES];

        assert_true((found != NULL) == (i > 0));
        if (found != NULL)
            assert_memory_equal(found->secret, none, CURVE_BYTES);
    }
    curve_ring_free(ring);
}

static void test_lists_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        { "", "nobody" },
        { "worker one\n", "ROLE NAME KEY" },
        { "boss one " HEX_A "\n", "a role" },
        { "worker ../one " HEX_A "\n", "a name" },
        { "worker one " HEX_A "a\n", "hex" },
        { "worker one zz\n", "hex" },
        { "worker one " HEX_A "\nclient two " HEX_A "\n", "same key" },
        { "worker one " HEX_A " " HEX_B "\n", "secret key of one" },
        { "worker one " HEX_A " " HEX_B " x\n", "ROLE NAME KEY" },
    };
    AUTO(free_pointer) char *path = in_folder("odd");
    struct curve_ring *ring = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        put("odd", cases[i].text);
        assert_fails(curve_ring_load(path, &ring), STATUS_INVALID,
                     cases[i].words);
    }
}

/* What is refused is not repeated: it may have been a secret. */
static void test_stories_tell_no_keys(void **state)
{
    AUTO(free_pointer) char *path = in_folder("typo.key");
    struct curve_key key;
    struct status st;

    (void)state;
    put("typo.key", "worker one " HEX_A " " HEX_B "b\n");
    assert_int_equal(chmod(path, 0600), 0);
    st = curve_load_secret(path, &key);
    assert_int_equal(st.code, STATUS_INVALID);
    assert_null(strstr(st.message, "bbbb"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair_is_saved_and_read),
        cmocka_unit_test(test_no_key_is_written_over),
        cmocka_unit_test(test_secret_that_others_can_read_is_refused),
        cmocka_unit_test(test_names_cannot_lead_elsewhere),
        cmocka_unit_test(test_list_is_a_file_of_lines),
        cmocka_unit_test(test_list_is_a_directory_of_public_files),
        cmocka_unit_test(test_lists_that_make_no_sense_are_refused),
        cmocka_unit_test(test_stories_tell_no_keys),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
