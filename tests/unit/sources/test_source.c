/* Fetching, caching and artifacts against a real nginx. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/source_place.h"
#include "support/test.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/json.h"
#include "common/memory.h"
#include "sources/source.h"

enum { LARGE = 12 << 20, SMALL = 100 << 10 };

static bool cancel;
static int progress_calls;

static bool cancelled(void *self)
{
    (void)self;
    return cancel;
}

static void progress(void *self, uint64_t done, uint64_t total)
{
    (void)self;
    (void)done;
    (void)total;
    progress_calls++;
}

/* Bytes that depend on the seed and on their place. */
static char *noise(size_t size, uint32_t seed)
{
    char *data = xcalloc(size, 1);

    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525U + 1013904223U;
        data[i] = (char)(seed >> 24);
    }
    return data;
}

static void put(const struct place *p, const char *name, size_t size,
                uint32_t seed)
{
    AUTO(free_pointer) char *path = xasprintf("www/%s", name);
    AUTO(free_pointer) char *data = noise(size, seed);

    place_put(p, path, data, size);
}

static void put_text(const struct place *p, const char *name, const char *text)
{
    AUTO(free_pointer) char *path = xasprintf("www/%s", name);

    place_put(p, path, text, strlen(text));
}

static void check_file(const char *path, size_t size, uint32_t seed)
{
    AUTO(free_pointer) char *wanted = noise(size, seed);
    AUTO(free_pointer) char *text = NULL;
    size_t got;

    assert_ok(file_read(path, LARGE, &text, &got));
    assert_int_equal(got, size);
    assert_memory_equal(text, wanted, size);
}

static void hex_of(size_t size, uint32_t seed, char text[DIGEST_TEXT])
{
    AUTO(free_pointer) char *data = noise(size, seed);
    const struct digest d = digest_of(data, size);

    digest_to_text(&d, text);
}

static int set_up(void **state)
{
    struct place *p = place_new(0);

    cancel = false;
    nginx_start(&p->nginx, p->directory, 0);
    p->settings.cancelled = cancelled;
    p->settings.progress = progress;
    place_open(p);
    *state = p;
    return 0;
}

static json_t *source_of(const struct place *p, const char *name)
{
    AUTO(free_pointer) char *url = xasprintf("%s/%s", p->nginx.url, name);

    return json_pack("{s:s}", "url", url);
}

/* Fetch, check one file of it, and let go. */
static void fetch_and_check(struct place *p, const json_t *source,
                            const char *below, size_t size, uint32_t seed)
{
    struct source_pin *pin = NULL;
    AUTO(free_pointer) char *path = NULL;

    assert_ok(source_fetch(p->store, source, &pin));
    path = xasprintf("%s%s", source_path(pin), below);
    check_file(path, size, seed);
    source_unpin(pin);
}

static void slow_down(struct place *p, int rate_kib)
{
    nginx_stop(&p->nginx);
    p->nginx.rate_kib = rate_kib;
    nginx_restart(&p->nginx);
}

static const char index_text[] =
    "{\"metadata\":{},\"weight_map\":{\"a\":\"one.safetensors\","
    "\"b\":\"two.safetensors\",\"c\":\"one.safetensors\"}}";

static void put_sharded(const struct place *p)
{
    put_text(p, "m/model.safetensors.index.json", index_text);
    put_text(p, "m/config.json", "{}");
    put(p, "m/one.safetensors", SMALL, 1);
    put(p, "m/two.safetensors", SMALL, 2);
}

static void test_a_sharded_model_is_fetched_once(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "m/");
    struct source_pin *pin = NULL;
    AUTO(free_pointer) char *config = NULL;

    put_sharded(p);
    fetch_and_check(p, source, "/one.safetensors", SMALL, 1);
    fetch_and_check(p, source, "/two.safetensors", SMALL, 2);
    assert_int_equal(nginx_requests(&p->nginx, "GET", "/one"), 1);
    nginx_stop(&p->nginx);
    assert_ok(source_fetch(p->store, source, &pin));
    config = xasprintf("%s/config.json", source_path(pin));
    assert_true(file_exists(config));
    source_unpin(pin);
}

static void test_a_model_of_one_file(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "single?key=1");

    put(p, "single/model.safetensors", SMALL, 3);
    fetch_and_check(p, source, "/model.safetensors", SMALL, 3);
}

static void test_a_single_file_with_its_digest(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "x.safetensors");
    char hex[DIGEST_TEXT];

    put(p, "x.safetensors", SMALL, 4);
    hex_of(SMALL, 4, hex);
    (void)json_object_set_new(source, "sha256",
                              json_pack("{s:s}", "x.safetensors", hex));
    fetch_and_check(p, source, "", SMALL, 4);
}

static void test_a_wrong_digest_names_both(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "x.safetensors");
    struct source_pin *pin = NULL;
    char right[DIGEST_TEXT];
    char wrong[DIGEST_TEXT];

    put(p, "x.safetensors", SMALL, 4);
    hex_of(SMALL, 4, right);
    hex_of(SMALL, 5, wrong);
    (void)json_object_set_new(source, "sha256", json_string(wrong));
    assert_fails(source_fetch(p->store, source, &pin), STATUS_CORRUPT, right);
    assert_fails(source_fetch(p->store, source, &pin), STATUS_CORRUPT, wrong);
    assert_fails(source_fetch(p->store, source, &pin), STATUS_CORRUPT,
                 "x.safetensors");
}

static void test_what_is_not_there_is_named(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *file = source_of(p, "no.safetensors");
    AUTO(json_release) json_t *model = source_of(p, "nothing");
    AUTO(json_release) json_t *lacking = source_of(p, "m");
    struct source_pin *pin = NULL;

    put_sharded(p);
    (void)json_object_set_new(lacking, "sha256",
                              json_pack("{s:s}", "three.safetensors", ""));
    assert_fails(source_fetch(p->store, file, &pin), STATUS_NOT_FOUND,
                 "/no.safetensors");
    assert_fails(source_fetch(p->store, model, &pin), STATUS_NOT_FOUND,
                 "/nothing");
    assert_fails(source_fetch(p->store, lacking, &pin), STATUS_INVALID,
                 "three.safetensors");
}

static void test_an_index_may_not_point_outside(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "evil");
    struct source_pin *pin = NULL;

    put_text(p, "evil/model.safetensors.index.json",
             "{\"weight_map\":{\"a\":\"../../x.safetensors\"}}");
    assert_fails(source_fetch(p->store, source, &pin), STATUS_CORRUPT,
                 "tensor a");
}

static void test_only_allowed_urls_are_fetched(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *good = source_of(p, "ok/x.bin");
    AUTO(json_release) json_t *other = source_of(p, "okay/x.bin");
    AUTO(json_release) json_t *climbing = source_of(p, "ok/../okay/x.bin");
    AUTO(json_release) json_t *local = json_pack("{s:s}", "url", "/etc/x.bin");
    AUTO(free_pointer) char *prefix = xasprintf("%s/ok", p->nginx.url);
    const char *prefixes[] = { prefix };
    struct source_pin *pin = NULL;

    put(p, "ok/x.bin", SMALL, 6);
    put(p, "okay/x.bin", SMALL, 7);
    p->settings.prefixes = prefixes;
    p->settings.prefix_count = 1;
    place_open(p);
    fetch_and_check(p, good, "", SMALL, 6);
    assert_fails(source_fetch(p->store, other, &pin), STATUS_DENIED,
                 "--allow-url");
    assert_fails(source_fetch(p->store, climbing, &pin), STATUS_DENIED, NULL);
    assert_fails(source_fetch(p->store, local, &pin), STATUS_DENIED, NULL);
}

/* A server that was allowed cannot lead a worker to one that was not; long
 * lines, as of signed addresses, are looked at as well. */
static void test_redirects_are_held_to_the_list(void **state)
{
    enum { LONG = 3000 };
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "moved/x.bin");
    AUTO(json_release) json_t *signed_source = source_of(p, "signed/x.bin");
    AUTO(free_pointer) char *from = xasprintf("%s/moved/", p->nginx.url);
    AUTO(free_pointer) char *signing = xasprintf("%s/signed/", p->nginx.url);
    AUTO(free_pointer) char *to = xasprintf("%s/ok/", p->nginx.url);
    AUTO(free_pointer) char *signature = xcalloc(LONG + 1, 1);
    AUTO(free_pointer) char *locations = NULL;
    const char *prefixes[] = { from, signing, to };
    struct source_pin *pin = NULL;

    memset(signature, 's', LONG);
    locations = xasprintf("absolute_redirect off;\n"
                          "location /moved/ { return 302 /ok/x.bin; }\n"
                          "location /signed/ { return 302 /ok/x.bin?%s; }\n",
                          signature);
    put(p, "ok/x.bin", SMALL, 6);
    nginx_stop(&p->nginx);
    p->nginx.locations = locations;
    nginx_restart(&p->nginx);
    p->settings.prefixes = prefixes;
    p->settings.prefix_count = 2;
    place_open(p);
    assert_fails(source_fetch(p->store, source, &pin), STATUS_INVALID,
                 "/ok/x.bin, which no --allow-url");
    assert_fails(source_fetch(p->store, signed_source, &pin), STATUS_INVALID,
                 "/ok/x.bin, which no --allow-url");
    assert_int_equal(nginx_requests(&p->nginx, "GET", "/ok/") +
                         nginx_requests(&p->nginx, "HEAD", "/ok/"),
                     0);
    p->settings.prefix_count = 3;
    place_open(p);
    fetch_and_check(p, source, "", SMALL, 6);
    fetch_and_check(p, signed_source, "", SMALL, 6);
    p->nginx.locations = ""; /* it is borrowed */
}

static void test_local_sources_are_used_in_place(void **state)
{
    struct place *p = *state;
    AUTO(free_pointer)
    char *url = xasprintf("file://%s/www/x.bin", p->directory);
    AUTO(json_release) json_t *source = json_pack("{s:s}", "url", url);
    AUTO(json_release)
    json_t *absent = json_pack("{s:s}", "url", "file:///no/such/file.bin");
    struct source_pin *pin = NULL;
    char hex[DIGEST_TEXT];

    put(p, "x.bin", SMALL, 8);
    fetch_and_check(p, source, "", SMALL, 8);
    assert_false(file_exists(p->cache)); /* not even the directory */
    hex_of(SMALL, 8, hex);
    (void)json_object_set_new(source, "sha256",
                              json_pack("{s:s}", "x.bin", hex));
    assert_ok(source_fetch(p->store, source, &pin));
    assert_string_equal(source_path(pin), url + strlen("file://"));
    source_unpin(pin);
    put(p, "x.bin", SMALL, 9); /* it is read again, having changed */
    assert_fails(source_fetch(p->store, source, &pin), STATUS_CORRUPT, hex);
    assert_fails(source_fetch(p->store, absent, &pin), STATUS_NOT_FOUND,
                 "file:///no/such/file.bin");
}

/* A child that fetches the source and ends with 0 if all went well. */
static pid_t fetch_in_child(struct place *p, const json_t *source)
{
    struct source_pin *pin = NULL;
    struct status st;
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    st = source_fetch(p->store, source, &pin);
    if (status_failed(&st))
        (void)fprintf(stderr, "child: %s\n", st.message);
    _exit(status_failed(&st) ? 1 : 0);
}

static void test_a_server_that_restarts_does_not_matter(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "large.safetensors");
    int status = -1;
    pid_t pid;

    put(p, "large.safetensors", LARGE, 10);
    slow_down(p, 2048);
    pid = fetch_in_child(p, source);
    clock_sleep_ms(500);
    slow_down(p, 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fetch_and_check(p, source, "", LARGE, 10);
    assert_true(nginx_sent(&p->nginx, "large") < LARGE + LARGE / 2);
}

static void test_two_processes_fetch_once(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "large.safetensors");
    int status = -1;
    pid_t pid;

    put(p, "large.safetensors", LARGE, 11);
    slow_down(p, 4096);
    pid = fetch_in_child(p, source);
    clock_sleep_ms(300);
    progress_calls = 0;
    fetch_and_check(p, source, "", LARGE, 11);
    assert_true(progress_calls > 0); /* waiting is no stall */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(nginx_sent(&p->nginx, "large") < LARGE + (1 << 20));
}

static void test_a_wait_can_be_cancelled(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "large.safetensors");
    struct source_pin *pin = NULL;
    pid_t pid;

    put(p, "large.safetensors", LARGE, 11);
    slow_down(p, 1024);
    pid = fetch_in_child(p, source);
    clock_sleep_ms(300);
    cancel = true;
    assert_fails(source_fetch(p->store, source, &pin), STATUS_CANCELLED, NULL);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static void test_a_killed_fetch_is_taken_up_again(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "large.safetensors");
    pid_t pid;

    put(p, "large.safetensors", LARGE, 12);
    slow_down(p, 1024);
    for (int i = 0; i < 2; i++) { /* the second one leaves much */
        pid = fetch_in_child(p, source);
        clock_sleep_ms(100 + 2500 * i);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    slow_down(p, 0);
    fetch_and_check(p, source, "", LARGE, 12);
    assert_true(nginx_sent(&p->nginx, "large") < LARGE + LARGE / 2);
}

static void test_a_damaged_entry_is_fetched_again(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "x.bin");
    struct source_pin *pin = NULL;
    AUTO(free_pointer) char *path = NULL;

    put(p, "x.bin", SMALL, 13);
    assert_ok(source_fetch(p->store, source, &pin));
    path = xstrdup(source_path(pin));
    source_unpin(pin);
    assert_int_equal(truncate(path, SMALL / 2), 0);
    fetch_and_check(p, source, "", SMALL, 13);
    assert_ok(file_write(path, "same size?", 10));
    fetch_and_check(p, source, "", SMALL, 13);
    assert_int_equal(nginx_requests(&p->nginx, "GET", "x.bin"), 3);
}

/* What is fetched after `limit` is set, in the order given; then the server
 * is stopped and what is left can be had. */
static bool is_cached(struct place *p, const char *name)
{
    AUTO(json_release) json_t *source = source_of(p, name);
    struct source_pin *pin = NULL;
    struct status st;

    cancel = true; /* do not ask the server that is gone for long */
    st = source_fetch(p->store, source, &pin);
    cancel = false;
    source_unpin(pin);
    return !status_failed(&st);
}

static void test_the_longest_unused_goes_but_never_one_in_use(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *a = source_of(p, "a.bin");
    AUTO(json_release) json_t *b = source_of(p, "b.bin");
    AUTO(json_release) json_t *c = source_of(p, "c.bin");
    AUTO(json_release) json_t *d = source_of(p, "d.bin");
    struct source_pin *pinned = NULL;
    struct source_pin *pin = NULL;

    put(p, "a.bin", SMALL, 1);
    put(p, "b.bin", SMALL, 2);
    put(p, "c.bin", SMALL, 3);
    put(p, "d.bin", 3 * SMALL, 4);
    p->settings.size_limit = 2 * SMALL + SMALL / 2;
    place_open(p);
    assert_ok(source_fetch(p->store, a, &pinned));
    fetch_and_check(p, b, "", SMALL, 2);
    fetch_and_check(p, c, "", SMALL, 3);
    assert_fails(source_fetch(p->store, d, &pin), STATUS_NO_SPACE,
                 "--cache-size");
    nginx_stop(&p->nginx);
    assert_true(is_cached(p, "a.bin"));
    assert_false(is_cached(p, "b.bin"));
    check_file(source_path(pinned), SMALL, 1);
    source_unpin(pinned);
}

static void test_a_place_that_cannot_be_written_is_named(void **state)
{
    struct place *p = *state;
    AUTO(json_release) json_t *source = source_of(p, "x.bin");
    struct source_pin *pin = NULL;

    put(p, "x.bin", SMALL, 1);
    p->settings.directory = "/sys/kernel/sinter";
    place_open(p);
    assert_fails(source_fetch(p->store, source, &pin), STATUS_DENIED,
                 "/sys/kernel/sinter");
}

static void make_artifact(const struct place *p, char *path, size_t size)
{
    put_text(p, "made/config.json", "{\"a\":1}");
    put(p, "made/model.safetensors", SMALL, 20);
    put(p, "made/more/notes.txt", 10, 21);
    (void)snprintf(path, size, "%s/www/made", p->directory);
}

static void test_an_artifact_goes_up_once_and_comes_down_whole(void **state)
{
    struct place *p = *state;
    char made[160];
    char first[DIGEST_TEXT];
    char again[DIGEST_TEXT];
    struct source_pin *pin = NULL;
    AUTO(free_pointer) char *path = NULL;

    make_artifact(p, made, sizeof made);
    assert_ok(source_put_artifact(p->store, p->nginx.url, made, false, first));
    assert_ok(source_put_artifact(p->store, p->nginx.url, made, false, again));
    assert_string_equal(first, again);
    assert_int_equal(nginx_requests(&p->nginx, "PUT", "/depot/"), 4 + 1);
    assert_ok(source_open_artifact(p->store, p->nginx.url, first, &pin));
    path = xasprintf("%s/more/notes.txt", source_path(pin));
    check_file(path, 10, 21);
    source_unpin(pin);
    nginx_stop(&p->nginx);
    assert_ok(source_open_artifact(p->store, "", first, &pin));
    source_unpin(pin);
}

/* What was made here need not come back from the depot. */
static void test_an_artifact_that_was_put_may_be_kept(void **state)
{
    struct place *p = *state;
    AUTO(free_pointer) char *notes = NULL;
    struct source_pin *pin = NULL;
    char made[160];
    char name[DIGEST_TEXT];

    make_artifact(p, made, sizeof made);
    assert_ok(source_put_artifact(p->store, p->nginx.url, made, true, name));
    assert_ok(source_put_artifact(p->store, p->nginx.url, made, true, name));
    nginx_stop(&p->nginx);
    assert_ok(file_remove_tree(made)); /* as a slot does behind a job */
    assert_ok(source_open_artifact(p->store, "", name, &pin));
    notes = xasprintf("%s/more/notes.txt", source_path(pin));
    check_file(notes, 10, 21);
    source_unpin(pin);
}

/* One that does not fit into the cache is none of its. */
static void test_an_artifact_larger_than_the_cache_is_put_only(void **state)
{
    struct place *p = *state;
    struct source_pin *pin = NULL;
    char made[160];
    char name[DIGEST_TEXT];

    p->settings.size_limit = SMALL / 2;
    place_open(p);
    make_artifact(p, made, sizeof made);
    assert_ok(source_put_artifact(p->store, p->nginx.url, made, true, name));
    assert_fails(source_open_artifact(p->store, p->nginx.url, name, &pin),
                 STATUS_NO_SPACE, "cache");
}

/* To the depot that was told, and to nobody else. */
static void test_the_token_is_shown_to_the_depot(void **state)
{
    static const char secret[] = "tttt-0123456789abcdef";
    struct place *p = *state;
    AUTO(free_pointer) char *file = xasprintf("%s/token", p->directory);
    AUTO(free_pointer) char *locations = NULL;
    AUTO(free_pointer) char *elsewhere = NULL;
    struct source_pin *pin = NULL;
    char made[160];
    char name[DIGEST_TEXT];

    assert_ok(file_write(file, secret, strlen(secret)));
    locations = xasprintf("location /depot/ { if ($http_authorization != "
                          "\"Bearer %s\") { return 401; } }\n"
                          "location /other/ { if ($http_authorization) "
                          "{ return 403; } }\n",
                          secret);
    nginx_stop(&p->nginx);
    p->nginx.locations = locations;
    nginx_restart(&p->nginx);
    make_artifact(p, made, sizeof made);
    assert_fails(source_put_artifact(p->store, p->nginx.url, made, false, name),
                 STATUS_DENIED, "token");
    p->settings.depot_token_file = file;
    place_open(p);
    assert_ok(source_put_artifact(p->store, p->nginx.url, made, false, name));
    elsewhere = xasprintf("http://localhost:%d", p->nginx.port);
    assert_ok(source_put_artifact(p->store, elsewhere, made, false, name));
    assert_ok(source_open_artifact(p->store, elsewhere, name, &pin));
    source_unpin(pin);
    put(p, "other/x.bin", SMALL, 6);
    {
        AUTO(json_release) json_t *other = source_of(p, "other/x.bin");

        fetch_and_check(p, other, "", SMALL, 6);
    }
    p->nginx.locations = "";
}

static void test_a_damaged_artifact_is_refused(void **state)
{
    struct place *p = *state;
    char made[160];
    char name[DIGEST_TEXT];
    char blob[DIGEST_TEXT];
    AUTO(free_pointer) char *path = NULL;
    struct source_pin *pin = NULL;

    make_artifact(p, made, sizeof made);
    assert_ok(source_put_artifact(p->store, p->nginx.url, made, false, name));
    hex_of(SMALL, 20, blob);
    path = xasprintf("depot/%s", blob);
    put(p, path, SMALL, 22);
    assert_fails(source_open_artifact(p->store, p->nginx.url, name, &pin),
                 STATUS_CORRUPT, blob);
    free(path);
    path = xasprintf("depot/%s", name);
    put_text(p, path, "{\"files\":[],\"format\":1}");
    assert_fails(source_open_artifact(p->store, p->nginx.url, name, &pin),
                 STATUS_CORRUPT, name);
    assert_fails(source_open_artifact(p->store, p->nginx.url, "../x", &pin),
                 STATUS_INVALID, "../x");
}

static void test_artifacts_are_plain_files(void **state)
{
    struct place *p = *state;
    char made[160];
    char name[DIGEST_TEXT];
    AUTO(free_pointer) char *link_path = NULL;
    AUTO(free_pointer) char *empty = xasprintf("%s/empty", p->directory);

    make_artifact(p, made, sizeof made);
    link_path = xasprintf("%s/passwd", made);
    assert_int_equal(symlink("/etc/passwd", link_path), 0);
    assert_fails(source_put_artifact(p->store, p->nginx.url, made, false, name),
                 STATUS_INVALID, "passwd");
    assert_ok(file_make_directories(empty));
    assert_fails(
        source_put_artifact(p->store, p->nginx.url, empty, false, name),
        STATUS_INVALID, "no files");
}

int main(void)
{
#define SHARDS_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        SHARDS_TEST(test_a_sharded_model_is_fetched_once),
        SHARDS_TEST(test_a_model_of_one_file),
        SHARDS_TEST(test_a_single_file_with_its_digest),
        SHARDS_TEST(test_a_wrong_digest_names_both),
        SHARDS_TEST(test_what_is_not_there_is_named),
        SHARDS_TEST(test_an_index_may_not_point_outside),
        SHARDS_TEST(test_only_allowed_urls_are_fetched),
        SHARDS_TEST(test_redirects_are_held_to_the_list),
        SHARDS_TEST(test_local_sources_are_used_in_place),
        SHARDS_TEST(test_a_server_that_restarts_does_not_matter),
        SHARDS_TEST(test_two_processes_fetch_once),
        SHARDS_TEST(test_a_wait_can_be_cancelled),
        SHARDS_TEST(test_a_killed_fetch_is_taken_up_again),
        SHARDS_TEST(test_a_damaged_entry_is_fetched_again),
        SHARDS_TEST(test_the_longest_unused_goes_but_never_one_in_use),
        SHARDS_TEST(test_a_place_that_cannot_be_written_is_named),
        SHARDS_TEST(test_an_artifact_goes_up_once_and_comes_down_whole),
        SHARDS_TEST(test_an_artifact_that_was_put_may_be_kept),
        SHARDS_TEST(test_an_artifact_larger_than_the_cache_is_put_only),
        SHARDS_TEST(test_the_token_is_shown_to_the_depot),
        SHARDS_TEST(test_a_damaged_artifact_is_refused),
        SHARDS_TEST(test_artifacts_are_plain_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
