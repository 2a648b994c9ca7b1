#include "support/test.h"

#include "cli/artifact.h"
#include "common/digest.h"
#include "common/file.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

static void test_names_stay_inside_the_directory(void **state)
{
    static const char *const good[] = { "config.json", "a/b.safetensors",
                                        "..hidden", "a..b" };
    static const char *const bad[] = { "",     "/etc/passwd", "..",  "a/../b",
                                       "a//b", "a/",          "./a", "a/." };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(artifact_name_is_safe(good[i]));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(artifact_name_is_safe(bad[i]));
}

struct depot {
    char root[64];
    char *url;
    char manifest[DIGEST_TEXT];
};

static void put(struct depot *d, const char *text, char ret_name[DIGEST_TEXT])
{
    struct digest digest = digest_of(text, strlen(text));
    AUTO(free_pointer) char *path = NULL;

    digest_to_text(&digest, ret_name);
    path = xasprintf("%s/depot/%s", d->root, ret_name);
    assert_ok(file_write(path, text, strlen(text)));
}

/* A depot in a directory: the client knows file:// as well. */
static void depot_init(struct depot *d, const char *path)
{
    char name[DIGEST_TEXT];
    AUTO(free_pointer) char *blobs = NULL;
    AUTO(free_pointer) char *manifest = NULL;

    (void)snprintf(d->root, sizeof d->root, "/tmp/sinter-test-XXXXXX");
    assert_non_null(mkdtemp(d->root));
    d->url = xasprintf("file://%s", d->root);
    blobs = xasprintf("%s/depot", d->root);
    assert_ok(file_make_directories(blobs));
    put(d, "{}\n", name);
    manifest = xasprintf("{\"files\":[{\"path\":\"%s\",\"sha256\":\"%s\","
                         "\"size\":3}],\"format\":1}",
                         path, name);
    put(d, manifest, d->manifest);
}

static void depot_release(struct depot *d)
{
    assert_ok(file_remove_tree(d->root));
    free(d->url);
}

static struct status download(const struct depot *d, const char *directory,
                              bool *ret_present)
{
    struct http *http = NULL;
    struct status st;

    assert_ok(http_new(&(struct http_settings){ .give_up_ms = 500 }, &http));
    st = artifact_download(http, d->url, d->manifest, directory, ret_present);
    http_free(http);
    return st;
}

static void test_a_directory_comes_whole_and_is_known_again(void **state)
{
    struct depot d;
    bool present = true;
    AUTO(free_pointer) char *target = NULL;
    AUTO(free_pointer) char *file = NULL;
    AUTO(free_pointer) char *part = NULL;

    (void)state;
    depot_init(&d, "sub/config.json");
    target = xasprintf("%s/model", d.root);
    file = xasprintf("%s/sub/config.json", target);
    part = xasprintf("%s.part", target);
    assert_ok(download(&d, target, &present));
    assert_false(present);
    assert_true(file_exists(file));
    assert_false(file_exists(part));
    assert_ok(download(&d, target, &present));
    assert_true(present);
    assert_ok(file_write(file, "[]\n", 3));
    assert_fails(download(&d, target, &present), STATUS_FAILED,
                 "holds something else");
    depot_release(&d);
}

static void test_a_blob_that_is_not_its_digest_is_refused(void **state)
{
    struct depot d;
    bool present = true;
    AUTO(free_pointer) char *target = NULL;
    AUTO(free_pointer) char *blob = NULL;
    struct digest digest = digest_of("{}\n", 3);
    char name[DIGEST_TEXT];

    (void)state;
    depot_init(&d, "config.json");
    target = xasprintf("%s/model", d.root);
    digest_to_text(&digest, name);
    blob = xasprintf("%s/depot/%s", d.root, name);
    assert_ok(file_write(blob, "{!\n", 3));
    assert_fails(download(&d, target, &present), STATUS_CORRUPT, NULL);
    assert_false(file_exists(target));
    depot_release(&d);
}

static void test_a_name_that_leaves_the_directory_is_refused(void **state)
{
    struct depot d;
    bool present = true;
    AUTO(free_pointer) char *target = NULL;

    (void)state;
    depot_init(&d, "../escaped");
    target = xasprintf("%s/model", d.root);
    assert_fails(download(&d, target, &present), STATUS_CORRUPT, "../escaped");
    depot_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_stay_inside_the_directory),
        cmocka_unit_test(test_a_directory_comes_whole_and_is_known_again),
        cmocka_unit_test(test_a_blob_that_is_not_its_digest_is_refused),
        cmocka_unit_test(test_a_name_that_leaves_the_directory_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
