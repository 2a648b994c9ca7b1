/* hf:// against an nginx that does as the Hub does: an API that says what a
 * revision is, small files from itself, large ones by a redirect to another
 * host with their SHA-256 in headers, and a model that needs a token. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/source_place.h"
#include "support/test.h"

#include "common/file.h"
#include "common/json.h"
#include "common/memory.h"
#include "sources/source_files.h"

enum { LIMIT_LOG = 1 << 20 };

#define FIRST_COMMIT  "1111111111111111111111111111111111111111"
#define SECOND_COMMIT "2222222222222222222222222222222222222222"

/* A safetensors file of one tensor; the last byte is the revision's. */
static const char weights[] =
    "\x40\0\0\0\0\0\0\0"
    "{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}           "
    "abc";

enum { WEIGHTS = 8 + 64 + 4 };

static char token[160]; /* path */

/* The directory; the port of the store of large files. */
static const char hub_locations[] =
    "access_log %s/hub.log all;\n"
    "location /api/ { default_type application/json;\n"
    "  if ($denied) { return 401; } }\n"
    "location ~ ^/org/(?<name>[^/]+)/resolve/(?<file>.+[.]safetensors)$ {\n"
    "  if ($denied) { return 401; }\n"
    "  add_header X-Repo-Commit $commit;\n"
    "  add_header X-Linked-Size $linked_size;\n"
    "  add_header X-Linked-Etag '\"$linked_hash\"';\n"
    "  return 302 http://localhost:%d/$name/$file?X-Signature=hush; }\n"
    "location ~ /resolve/ {\n"
    "  if ($denied) { return 401; }\n"
    "  add_header X-Repo-Commit $commit;\n"
    "  rewrite ^/org/([^/]+)/resolve/(.*) /small/$1/$2 break;\n"
    "  rewrite ^/datasets/org/([^/]+)/resolve/(.*) /small/$1/$2 break; }\n";
/* The digests of both commits and a wrong one; port, directory, directory. */
static const char hub_servers[] =
    "map $uri $commit { ~/lying/ 3333333333333333333333333333333333333333;\n"
    "  ~/resolve/(?<revision>[^/]+)/ $revision; }\n"
    "map $uri $linked_size { default 76; ~/short/ 70; }\n"
    "map $uri $linked_hash { default %s; ~/resolve/2 %s; ~/wrong/ %s; }\n"
    "map \"$http_authorization $uri\" $denied { default 0;\n"
    "  \"~^Bearer hf_secret .*/gated/\" 0; \"~/gated/\" 1; }\n"
    "server { listen 127.0.0.1:%d; root %s/large;\n"
    "  access_log %s/cdn.log all;\n"
    "  if ($http_authorization) { return 400; } }\n";

static void hash_of(char revision, char text[DIGEST_TEXT])
{
    char bytes[WEIGHTS];
    struct digest d;

    memcpy(bytes, weights, WEIGHTS);
    bytes[WEIGHTS - 1] = revision;
    d = digest_of(bytes, sizeof bytes);
    digest_to_text(&d, text);
}

static void put_api(const struct place *p, const char *name,
                    const char *revision, const char *commit)
{
    AUTO(free_pointer)
    char *path = xasprintf("www/api/models/org/%s/revision/%s", name, revision);
    AUTO(free_pointer)
    char *text = xasprintf("{\"id\":\"org/%s\",\"sha\":\"%s\",\"siblings\":["
                           "{\"rfilename\":\".gitattributes\"},"
                           "{\"rfilename\":\"config.json\"},"
                           "{\"rfilename\":\"model.safetensors\"}]}",
                           name, commit);

    place_put(p, path, text, strlen(text));
}

/* The files of one commit, and what the API says of it. */
static void put_commit(const struct place *p, const char *name,
                       const char *commit)
{
    AUTO(free_pointer)
    char *large = xasprintf("large/%s/%s/model.safetensors", name, commit);
    AUTO(free_pointer)
    char *small = xasprintf("www/small/%s/%s/config.json", name, commit);
    char bytes[WEIGHTS];

    memcpy(bytes, weights, WEIGHTS);
    bytes[WEIGHTS - 1] = commit[0];
    place_put(p, large, bytes, WEIGHTS);
    place_put(p, small, commit, strlen(commit));
    put_api(p, name, commit, commit);
}

static void put_model(const struct place *p, const char *name)
{
    put_commit(p, name, FIRST_COMMIT);
    put_api(p, name, "main", FIRST_COMMIT);
}

static void start_hub(struct place *p)
{
    const int port = nginx_free_port();
    char hashes[3][DIGEST_TEXT];

    hash_of('1', hashes[0]);
    hash_of('2', hashes[1]);
    hash_of('x', hashes[2]);
    p->locations = xasprintf(hub_locations, p->directory, port);
    p->servers = xasprintf(hub_servers, hashes[0], hashes[1], hashes[2], port,
                           p->directory, p->directory);
    nginx_start_with(&p->nginx, p->directory, p->locations, p->servers);
}

static int set_up(void **state)
{
    struct place *p = place_new(3000);

    (void)snprintf(token, sizeof token, "%s/token", p->directory);
    place_put(p, "token", "hf_secret\n", 10);
    (void)unsetenv("HF_TOKEN");
    (void)unsetenv("HF_ENDPOINT");
    start_hub(p);
    p->settings.hub = p->nginx.url;
    place_open(p);
    *state = p;
    return 0;
}

static struct status fetch(struct place *p, const char *url,
                           const char *version, struct source_pin **ret_pin)
{
    AUTO(json_release) json_t *source = json_pack("{s:s}", "url", url);

    if (version != NULL)
        (void)json_object_set_new(source, "version", json_string(version));
    return source_fetch(p->store, source, ret_pin);
}

/* Weights and config of the commit that begins so. */
static void check_model(const char *path, char revision)
{
    AUTO(free_pointer) char *file = xasprintf("%s/model.safetensors", path);
    AUTO(free_pointer) char *config = xasprintf("%s/config.json", path);
    AUTO(free_pointer) char *text = NULL;
    AUTO(free_pointer) char *commit = NULL;
    size_t size;

    assert_ok(file_read(file, WEIGHTS, &text, &size));
    assert_int_equal(size, WEIGHTS);
    assert_int_equal(text[WEIGHTS - 1], revision);
    assert_ok(file_read(config, 100, &commit, &size));
    assert_int_equal(commit[0], revision);
}

static void fetch_and_check(struct place *p, const char *url,
                            const char *version, char revision)
{
    struct source_pin *pin = NULL;

    assert_ok(fetch(p, url, version, &pin));
    check_model(source_path(pin), revision);
    source_unpin(pin);
}

/* How often `words` stand in a log. */
static int logged(const struct place *p, const char *log, const char *words)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", p->directory, log);
    AUTO(free_pointer) char *text = NULL;
    size_t size;
    int count = 0;

    (void)nginx_requests(&p->nginx, "GET",
                         "/settled"); /* and then it is whole */
    assert_ok(file_read(path, LIMIT_LOG, &text, &size));
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

static void test_a_revision_is_one_commit_for_all_files(void **state)
{
    struct place *p = *state;

    put_model(p, "model");
    fetch_and_check(p, "hf://org/model", NULL, '1');
    assert_int_equal(logged(p, "hub.log", "/resolve/main/"), 0);
    assert_true(logged(p, "hub.log", "/resolve/" FIRST_COMMIT) > 1);
    assert_int_equal(logged(p, "hub.log", "tokenizer.json"), 0); /* no probes */
    assert_true(logged(p, "cdn.log", "X-Signature=hush") > 0);

    put_commit(p, "model", SECOND_COMMIT); /* main moves on */
    put_api(p, "model", "main", SECOND_COMMIT);
    fetch_and_check(p, "hf://org/model@main", NULL, '2');
    fetch_and_check(p, "hf://org/model@" FIRST_COMMIT, NULL, '1');
    fetch_and_check(p, "hf://org/model", FIRST_COMMIT, '1');
    nginx_stop(&p->nginx); /* commits that are there need no hub */
    fetch_and_check(p, "hf://org/model", FIRST_COMMIT, '1');
    fetch_and_check(p, "hf://org/model@" SECOND_COMMIT, NULL, '2');
}

static void test_the_token_is_the_hubs_alone(void **state)
{
    struct place *p = *state;
    struct source_pin *pin = NULL;
    struct status st;

    put_model(p, "gated");
    st = fetch(p, "hf://org/gated", NULL, &pin);
    assert_int_equal(st.code, STATUS_DENIED);
    assert_non_null(strstr(st.message, "HF_TOKEN"));

    p->settings.token_file = token;
    place_open(p);
    fetch_and_check(p, "hf://org/gated", NULL, '1');
    assert_true(logged(p, "hub.log", "|Bearer hf_secret") > 0);
    assert_true(logged(p, "cdn.log", "|-\n") > 0);
    assert_int_equal(logged(p, "cdn.log", "hf_secret"), 0);

    p->settings.token_file = NULL;
    assert_ok(file_remove_tree(p->cache));
    assert_int_equal(setenv("HF_TOKEN", "hf_secret", 1), 0);
    place_open(p);
    fetch_and_check(p, "hf://org/gated", NULL, '1');
    assert_int_equal(setenv("HF_TOKEN", "hf_wrong", 1), 0);
    place_open(p);
    st = fetch(p, "hf://org/gated", NULL, &pin);
    assert_int_equal(st.code, STATUS_DENIED);
    assert_null(strstr(st.message, "hf_wrong"));
    assert_int_equal(logged(p, "cdn.log", "Bearer"), 0);
}

static void test_a_token_for_another_server_is_not_the_hubs(void **state)
{
    struct place *p = *state;
    struct source_pin *pin = NULL;

    put_model(p, "gated");
    p->settings.token_file = token;
    p->settings.token_prefix = "https://models.lab/";
    place_open(p);
    assert_fails(fetch(p, "hf://org/gated", NULL, &pin), STATUS_DENIED, NULL);
    assert_int_equal(logged(p, "hub.log", "hf_secret"), 0);
}

static void test_what_the_hub_says_of_a_file_is_checked(void **state)
{
    struct place *p = *state;
    struct source_pin *pin = NULL;
    char right[DIGEST_TEXT];
    char wrong[DIGEST_TEXT];

    hash_of('1', right);
    hash_of('x', wrong);
    put_model(p, "wrong");
    put_model(p, "short");
    put_model(p, "lying");
    assert_fails(fetch(p, "hf://org/wrong", NULL, &pin), STATUS_CORRUPT, right);
    assert_fails(fetch(p, "hf://org/wrong", NULL, &pin), STATUS_CORRUPT, wrong);
    assert_fails(fetch(p, "hf://org/short", NULL, &pin), STATUS_CORRUPT,
                 "announced with 70 bytes and served with 76");
    assert_fails(fetch(p, "hf://org/lying", NULL, &pin), STATUS_CORRUPT,
                 "is of commit 3333");
}

static bool want_none(void *self, const char *name)
{
    (void)self;
    (void)name;
    return false;
}

static void test_headers_alone_by_ranges(void **state)
{
    static const struct source_choice none = { want_none, NULL };
    struct place *p = *state;
    AUTO(json_release)
    json_t *source = json_pack("{s:s}", "url", "hf://org/model");
    struct source_pin *pin = NULL;
    struct source_files files;
    struct st_header *header = NULL;

    put_model(p, "model");
    assert_ok(source_list(p->store, "hf://org/model", &files));
    assert_int_equal(files.count, 1);
    assert_int_equal(files.items[0].size, WEIGHTS);
    assert_string_equal(files.version, FIRST_COMMIT);
    assert_int_equal(strlen(files.items[0].version), 64);
    assert_ok(source_header(&files.items[0], &header));
    assert_int_equal(st_header_tensors(header)->count, 1);
    st_header_free(header);
    source_files_release(&files);
    assert_ok(source_fetch_tensors(p->store, source, &none, &pin));
    source_unpin(pin);
    assert_int_equal(logged(p, "cdn.log", " 200 76 "), 0);
    assert_int_equal(logged(p, "cdn.log", " 206 64 "), 2);
}

static void test_names_are_understood_or_refused(void **state)
{
    static const struct {
        const char *url;
        enum status_code code;
        const char *words;
    } rows[] = {
        { "hf://", STATUS_INVALID, "write hf://org/name" },
        { "hf://org/../x", STATUS_INVALID, "write hf://org/name" },
        { "hf://org/name@", STATUS_INVALID, "write hf://org/name" },
        { "hf://org/name?x=1", STATUS_INVALID, "write hf://org/name" },
        { "hf://org/none", STATUS_NOT_FOUND, "no such model or revision" },
        { "hf://org/model@none", STATUS_NOT_FOUND, "no such model" },
        { "hf://org/model/no.json", STATUS_NOT_FOUND, "no such file" },
        { "hf://datasets/org/data", STATUS_INVALID, "name a file" },
    };
    static const char data_api[] = "{\"sha\":\"" FIRST_COMMIT "\",\"siblings\":"
                                   "[{\"rfilename\":\"a/train.jsonl\"}]}";
    struct place *p = *state;
    struct source_pin *pin = NULL;

    put_model(p, "model");
    place_put(p, "www/api/datasets/org/data/revision/main", data_api,
              strlen(data_api));
    place_put(p, "www/api/datasets/org/data/revision/" FIRST_COMMIT, data_api,
              strlen(data_api));
    place_put(p, "www/small/data/" FIRST_COMMIT "/a/train.jsonl", "{}", 2);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_fails(fetch(p, rows[i].url, NULL, &pin), rows[i].code,
                     rows[i].words);
    assert_ok(fetch(p, "hf://org/model/config.json", NULL, &pin));
    assert_non_null(strstr(source_path(pin), "/config.json"));
    source_unpin(pin);
    assert_ok(fetch(p, "hf://datasets/org/data/a/train.jsonl", NULL, &pin));
    assert_non_null(strstr(source_path(pin), "/train.jsonl"));
    assert_true(file_exists(source_path(pin)));
    source_unpin(pin);
}

static void test_what_people_write_becomes_a_url(void **state)
{
    static const struct {
        const char *text, *url;
    } rows[] = {
        { "org/name", "hf://org/name" },
        { "org/name@v1.0", "hf://org/name@v1.0" },
        { "hf://a/b", "hf://a/b" },
        { "s3://a/b", "s3://a/b" },
        { "/tmp", "file:///tmp" },
        { "/no/such", "file:///no/such" },
        { "./org/name", "./org/name" },
        { "name", "name" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(free_pointer) char *url = source_url(rows[i].text);

        assert_string_equal(url, rows[i].url);
    }
}

#define IN_PLACE(test) \
    cmocka_unit_test_setup_teardown(test, set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(test_a_revision_is_one_commit_for_all_files),
        IN_PLACE(test_the_token_is_the_hubs_alone),
        IN_PLACE(test_a_token_for_another_server_is_not_the_hubs),
        IN_PLACE(test_what_the_hub_says_of_a_file_is_checked),
        IN_PLACE(test_headers_alone_by_ranges),
        IN_PLACE(test_names_are_understood_or_refused),
        cmocka_unit_test(test_what_people_write_becomes_a_url),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
