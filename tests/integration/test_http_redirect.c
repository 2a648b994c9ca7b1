/* Where redirects may lead, and what goes along; over TLS and without, against
 * a real nginx with a certificate of its own, made for the run. */
#include "support/test.h"

#include "common/file.h"
#include "common/http.h"
#include "common/memory.h"
#include "support/nginx.h"
#include "support/process.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/sinter-redirect-XXXXXX";
static char *servers;
static char *locations;
static struct nginx nginx;
static int secure;

/* From https to wherever the first part of the path says. */
static const char secure_server[] =
    "server { listen 127.0.0.1:%d ssl; access_log off;\n"
    "  ssl_certificate %s/localhost.crt;\n"
    "  ssl_certificate_key %s/localhost.key;\n"
    "  location /plain { return 302 http://127.0.0.1:$arg_port/file; }\n"
    "  location /disk { return 302 file:///etc/hostname; }\n"
    "  location /loop { return 302 /loop; }\n"
    "  location /same { return 302 /file; }\n"
    "  location /whoami { return 200 \"<$http_authorization>\"; }\n"
    "  location /file { return 200 secure; } }\n";
static const char plain_locations[] =
    "location /up { return 302 https://localhost:%d/file; }\n"
    "location /away { return 302 https://localhost:%d/whoami; }\n"
    "location /file { return 200 plain; }\n";

/* No key lies in the tree. */
static int make_certificate(void)
{
    AUTO(free_pointer) char *key = xasprintf("%s/localhost.key", folder);
    AUTO(free_pointer)
    char *certificate = xasprintf("%s/localhost.crt", folder);
    AUTO(free_pointer) char *output = xasprintf("%s/openssl.log", folder);
    const char *const argv[] = { "openssl",
                                 "req",
                                 "-x509",
                                 "-newkey",
                                 "ec",
                                 "-pkeyopt",
                                 "ec_paramgen_curve:prime256v1",
                                 "-nodes",
                                 "-days",
                                 "2",
                                 "-subj",
                                 "/CN=localhost",
                                 "-addext",
                                 "subjectAltName=DNS:localhost,IP:127.0.0.1",
                                 "-keyout",
                                 key,
                                 "-out",
                                 certificate,
                                 NULL };

    if (process_end(process_start(argv, output), 0) != 0)
        return -1;
    return setenv("SSL_CERT_FILE", certificate, 1);
}

static int start(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL || make_certificate() != 0)
        return -1;
    secure = nginx_free_port();
    servers = xasprintf(secure_server, secure, folder, folder);
    locations = xasprintf(plain_locations, secure, secure);
    nginx_start_with(&nginx, folder, locations, servers);
    return 0;
}

static int stop(void **state)
{
    struct status st;

    (void)state;
    nginx_stop(&nginx);
    free(servers);
    free(locations);
    st = file_remove_tree(folder);
    return status_failed(&st) ? -1 : 0;
}

static struct status get(const struct http_settings *settings, const char *url,
                         char **ret_text)
{
    struct http *h = NULL;
    struct status st;
    size_t size;

    assert_ok(http_new(settings, &h));
    st = http_get(h, url, 1000, ret_text, &size);
    http_free(h);
    return st;
}

static void test_from_https_to_https_only(void **state)
{
    static const struct http_settings settings = { .give_up_ms = 2000 };
    static const struct {
        const char *path;
        enum status_code code;
        const char *words;
    } rows[] = {
        { "/same", STATUS_SUCCESS, "secure" },
        { "/plain?port=%d", STATUS_INVALID, "a redirect may lead to https" },
        { "/disk", STATUS_INVALID, "a redirect may lead to https" },
        { "/loop", STATUS_INVALID, "redirects" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(free_pointer)
        char *path = i == 1 ? xasprintf("/plain?port=%d", nginx.port)
                            : xstrdup(rows[i].path);
        AUTO(free_pointer)
        char *url = xasprintf("https://localhost:%d%s", secure, path);
        AUTO(free_pointer) char *text = NULL;
        struct status st = get(&settings, url, &text);

        assert_int_equal(st.code, rows[i].code);
        assert_non_null(
            strstr(status_failed(&st) ? st.message : text, rows[i].words));
    }
    assert_int_equal(nginx_requests(&nginx, "GET", "/file"), 0);
}

static void test_from_http_to_https_as_well(void **state)
{
    static const struct http_settings settings = { .give_up_ms = 2000 };
    AUTO(free_pointer) char *up = xasprintf("%s/up", nginx.url);
    AUTO(free_pointer) char *text = NULL;

    (void)state;
    assert_ok(get(&settings, up, &text));
    assert_string_equal(text, "secure");
}

static void test_a_token_stays_where_it_was_meant_for(void **state)
{
    AUTO(free_pointer) char *away = xasprintf("%s/away", nginx.url);
    AUTO(free_pointer)
    char *here = xasprintf("https://localhost:%d/whoami", secure);
    AUTO(free_pointer) char *prefix = xasprintf("https://localhost:%d", secure);
    AUTO(free_pointer) char *text = NULL;
    struct http_settings settings = { .token = "hush",
                                      .token_prefix = nginx.url,
                                      .give_up_ms = 2000 };

    (void)state;
    assert_ok(get(&settings, away, &text));
    assert_string_equal(text, "<>");
    free(text);
    text = NULL;
    settings.token_prefix = prefix;
    assert_ok(get(&settings, here, &text));
    assert_string_equal(text, "<Bearer hush>");
}

static void test_a_certificate_of_nobody_is_refused(void **state)
{
    static const struct http_settings settings = { .give_up_ms = 2000 };
    AUTO(free_pointer)
    char *url = xasprintf("https://localhost:%d/file", secure);
    char *text = NULL;

    (void)state;
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
    assert_fails(get(&settings, url, &text), STATUS_DENIED, "not trusted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_https_to_https_only),
        cmocka_unit_test(test_from_http_to_https_as_well),
        cmocka_unit_test(test_a_token_stays_where_it_was_meant_for),
        cmocka_unit_test(test_a_certificate_of_nobody_is_refused),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
