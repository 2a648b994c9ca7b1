/* s3:// against an nginx that wants signed requests. Whether a signature is
 * right is for support/sigv4.py to say, which has it from the standard's text
 * and Python's library alone. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/source_place.h"
#include "support/test.h"

#include "common/file.h"
#include "common/json.h"
#include "common/memory.h"
#include "sources/source.h"

#define KEY    "AKIDEXAMPLE"
#define SECRET "wJalr/EXAMPLE:KEY"

/* Unsigned and unknown things are denied alike. */
static const char s3_locations[] =
    "access_log %s/s3.log all;\n"
    "error_page 404 =403 /denied;\n"
    "location = /settled { access_log off; return 204; }\n"
    "location /public/ { }\n"
    "location = /moved/x.bin { return 307 http://localhost/x.bin; }\n"
    "location /lab/ {\n"
    "  if ($http_authorization !~ \"^AWS4-HMAC-SHA256 Credential=" KEY
    "/\") {\n"
    "    return 403; } }\n";

static void write_file(const struct place *p, const char *name,
                       const char *text)
{
    AUTO(free_pointer) char *path = xasprintf("www/%s", name);

    place_put(p, path, text, strlen(text));
}

static void set_keys(const char *key, const char *secret, const char *session)
{
    (void)(key != NULL ? setenv("AWS_ACCESS_KEY_ID", key, 1)
                       : unsetenv("AWS_ACCESS_KEY_ID"));
    (void)(secret != NULL ? setenv("AWS_SECRET_ACCESS_KEY", secret, 1)
                          : unsetenv("AWS_SECRET_ACCESS_KEY"));
    (void)(session != NULL ? setenv("AWS_SESSION_TOKEN", session, 1)
                           : unsetenv("AWS_SESSION_TOKEN"));
}

static int set_up(void **state)
{
    struct place *p = place_new(2000);

    p->locations = xasprintf(s3_locations, p->directory);
    nginx_start_with(&p->nginx, p->directory, p->locations, "");
    assert_int_equal(setenv("AWS_ENDPOINT_URL", p->nginx.url, 1), 0);
    assert_int_equal(setenv("AWS_REGION", "eu-test-1", 1), 0);
    (void)unsetenv("AWS_ENDPOINT_URL_S3");
    set_keys(KEY, SECRET, NULL);
    place_open(p);
    *state = p;
    return 0;
}

static struct status fetch(struct place *p, const char *url,
                           struct source_pin **ret_pin)
{
    AUTO(json_release) json_t *source = json_pack("{s:s}", "url", url);

    return source_fetch(p->store, source, ret_pin);
}

/* Every request of the log is signed as it should be. */
static void check_signatures(const struct place *p)
{
    AUTO(free_pointer) char *log = xasprintf("%s/s3.log", p->directory);
    const char *const argv[] = { "python3", TEST_DATA "/support/sigv4.py",
                                 log,       KEY,
                                 SECRET,    "eu-test-1",
                                 NULL };
    int status = -1;
    pid_t pid;

    assert_int_equal(nginx_requests(&p->nginx, "GET", "/settled"), 0);
    pid = fork();
    if (pid == 0) {
        (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_every_request_is_signed(void **state)
{
    struct place *p = *state;
    struct source_pin *pin = NULL;
    AUTO(free_pointer) char *path = NULL;

    write_file(p, "lab/models/a b+c/model.safetensors", "weights");
    write_file(p, "lab/models/a b+c/config.json", "{}");
    assert_ok(fetch(p, "s3://lab/models/a b+c/", &pin));
    path = xasprintf("%s/model.safetensors", source_path(pin));
    assert_true(file_exists(path));
    source_unpin(pin);
    set_keys(KEY, SECRET, "session/token==");
    place_open(p);
    write_file(p, "lab/x.bin", "data");
    assert_ok(fetch(p, "s3://lab/x.bin", &pin));
    source_unpin(pin);
    check_signatures(p);
}

static void test_without_keys_only_what_is_public(void **state)
{
    struct place *p = *state;
    struct source_pin *pin = NULL;
    struct status st;

    write_file(p, "public/x.bin", "data");
    write_file(p, "lab/x.bin", "data");
    set_keys(NULL, NULL, NULL);
    place_open(p);
    assert_ok(fetch(p, "s3://public/x.bin", &pin));
    source_unpin(pin);
    assert_fails(fetch(p, "s3://lab/x.bin", &pin), STATUS_DENIED, "403");
    set_keys("wrong", SECRET, "hush");
    place_open(p);
    st = fetch(p, "s3://lab/x.bin", &pin);
    assert_int_equal(st.code, STATUS_DENIED);
    assert_non_null(strstr(st.message, "are the AWS keys"));
    assert_null(strstr(st.message, SECRET));
    assert_null(strstr(st.message, "hush"));
}

static void test_a_signed_request_follows_no_redirect(void **state)
{
    struct place *p = *state;
    struct source_pin *pin = NULL;

    assert_fails(fetch(p, "s3://moved/x.bin", &pin), STATUS_DENIED,
                 "and the region right?");
}

static void test_buckets_are_names(void **state)
{
    static const char *const bad[] = { "s3://", "s3:///x", "s3://a:b/x",
                                       "s3://a/x?y=1", "s3://.a/x" };
    struct place *p = *state;
    struct source_pin *pin = NULL;

    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_fails(fetch(p, bad[i], &pin), STATUS_INVALID,
                     "write s3://bucket/prefix");
}

#define IN_PLACE(test) \
    cmocka_unit_test_setup_teardown(test, set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(test_every_request_is_signed),
        IN_PLACE(test_without_keys_only_what_is_public),
        IN_PLACE(test_a_signed_request_follows_no_redirect),
        IN_PLACE(test_buckets_are_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
