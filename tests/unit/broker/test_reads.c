/* What jobs read, looked up in their texts. */
#include "support/test.h"

#include "broker/core/reads.h"
#include "common/memory.h"

#include <string.h>

static void test_urls_have_the_server_that_serves_them(void **state)
{
    static const char *const rows[][2] = {
        { "https://a.org/x/y.bin", "https://a.org" },
        { "HTTPS://A.org:443/x", "https://a.org" },
        { "http://a.org:80", "http://a.org" },
        { "https://a.org:80/", "https://a.org:80" },
        { "http://a.org:8080?q=/@b", "http://a.org:8080" },
        { "https://me:word@a.org/x", "https://a.org" },
        { "https://[::1]:8443/x", "https://[::1]:8443" },
        { "hf://org/name@rev/file", "hf://" },
        { "s3://bucket/prefix", "s3://bucket" },
        { "/a/path", "" },
    };
    char origin[READS_ORIGIN];
    char url[600];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        reads_origin(rows[i][0], strlen(rows[i][0]), origin);
        assert_string_equal(origin, rows[i][1]);
    }
    memset(url, 'a', sizeof url); /* one that is too long is cut */
    memcpy(url, "https://", strlen("https://"));
    reads_origin(url, sizeof url, origin);
    assert_int_equal(strlen(origin), READS_ORIGIN - 1);
}

static size_t sources(const char *params, struct read reads[READS_MOST])
{
    /* no byte behind it is there to be read */
    AUTO(free_pointer) char *copy = xcalloc(1, strlen(params) + 1);
    size_t count;

    memcpy(copy, params, strlen(params));
    count = reads_sources(copy, strlen(params), reads, 0);
    return reads_sort(reads, count);
}

static void test_remote_sources_of_parameters_are_found_once(void **state)
{
    struct read reads[READS_MOST];
    struct digest one = digest_of("https://h/a", strlen("https://h/a"));

    (void)state;
    assert_int_equal(
        sources("{\"m\":[{\"$source\":{\"url\":\"https://h/a\"}},{\"$source\":"
                "{\"sha256\":{\"url\":\"https://h/b\"},\"url\":\"https://h/"
                "a\"}},{\"$source\":{\"url\":\"file:///x\"}}]}",
                reads),
        1);
    assert_true(digest_equal(&reads[0].name, &one));
    assert_int_equal(sources("{}", reads), 0);
    assert_int_equal(sources("{\"$source\":{\"url\":\"/x\"}}", reads), 0);
    assert_int_equal(sources("{\"$source\":{\"url\":\"https://h", reads), 0);
    assert_int_equal(sources("{\"$source\":{\"\\", reads), 0);
    assert_int_equal(sources("{\"$source\":{", reads), 0);
    assert_int_equal(sources("{\"$source\":{\"url\":\"a://b\\n\"}}", reads), 0);
}

static void test_there_is_an_end_to_what_a_job_reads(void **state)
{
    static const char one[] = "{\"$source\":{\"url\":\"https://h/%03d\"}},";
    struct read reads[READS_MOST];
    AUTO(free_pointer) char *params = xcalloc(200, sizeof one);
    size_t used = 0;

    (void)state;
    for (int i = 0; i < 200; i++)
        used += (size_t)snprintf(params + used, sizeof one, one, i);
    assert_int_equal(reads_sources(params, used, reads, 3), READS_MOST);
}

static void test_the_artifact_of_a_result(void **state)
{
    static const char name[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    AUTO(free_pointer)
    char *flat = xasprintf("{\"artifact\":\"%s\",\"metrics\":{}}", name);
    AUTO(free_pointer)
    char *deep = xasprintf("{\"metrics\":{\"artifact\":\"%s\"}}", name);
    AUTO(free_pointer)
    char *hidden = xasprintf("{\"a\":\"\\\"artifact\\\":\\\"%s\"}", name);
    AUTO(free_pointer) char *other = xasprintf("{\"artifact\":\"Z%s\"}", name);
    struct digest digest;
    char text[DIGEST_TEXT];

    (void)state;
    assert_true(reads_artifact(flat, strlen(flat), &digest));
    digest_to_text(&digest, text);
    assert_string_equal(text, name);
    assert_false(reads_artifact(flat, 60, &digest));
    assert_false(reads_artifact(deep, strlen(deep), &digest));
    assert_false(reads_artifact(hidden, strlen(hidden), &digest));
    assert_false(reads_artifact(other, strlen(other), &digest));
    assert_false(reads_artifact("{}", 2, &digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_have_the_server_that_serves_them),
        cmocka_unit_test(test_remote_sources_of_parameters_are_found_once),
        cmocka_unit_test(test_there_is_an_end_to_what_a_job_reads),
        cmocka_unit_test(test_the_artifact_of_a_result),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
