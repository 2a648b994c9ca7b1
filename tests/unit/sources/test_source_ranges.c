/* Tensors of a model fetched by ranges from a real nginx: only their bytes,
 * once, and what happens when the server cannot, will not, or changes. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/source_place.h"
#include "support/test.h"

#include "common/file.h"
#include "common/json.h"
#include "common/memory.h"
#include "sources/source.h"
#include "sources/source_files.h"
#include "tensor/safetensors.h"

enum { ROWS = 1024, TENSOR = ROWS * 256 * 4, TENSORS = 4, FIRST = 8 };

/* What the server is made to do. */
static const char locations[] =
    "location /norange/ { max_ranges 0; rewrite ^/norange/(.*) /$1 break; }\n"
    "location /none/ { if ($http_range) { return 416; }\n"
    "  rewrite ^/none/(.*) /$1 break; }\n"
    "location /moody/ { rewrite ^/moody/(.*) /$1 break; etag off;\n"
    "  add_header ETag \"$request_id\"; }\n";

static int set_up(void **state)
{
    struct place *p = place_new(3000);

    nginx_start_with(&p->nginx, p->directory, locations, "");
    place_open(p);
    *state = p;
    return 0;
}

/* Of tensor i of the model `seed`. */
static uint8_t byte_of(uint32_t seed, size_t i, size_t at)
{
    return (uint8_t)(1 + (seed * 31 + i * 7 + at % 251) % 255); /* never 0 */
}

/* Each file is of another second: of such are nginx's ETags. */
static void write_file(const struct place *p, const char *name,
                       const void *data, size_t size)
{
    static time_t second = 1000 * 1000 * 1000;
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { 0 } };
    AUTO(free_pointer) char *path = xasprintf("%s/www/%s", p->directory, name);

    place_put(p, path + strlen(p->directory) + 1, data, size);
    times[1].tv_sec = ++second;
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Tensors "t0" to "t3" of one MiB each; the size of 8 bytes and header. */
static size_t put_file(const struct place *p, const char *name, uint32_t seed)
{
    AUTO(free_pointer) char *all = xcalloc(1, TENSORS * TENSOR + 4096);
    size_t head = FIRST;
    uint64_t size;

    for (size_t i = 0; i < TENSORS; i++)
        head += (size_t)snprintf(
            all + head, 512,
            "%s\"t%zu\":{\"dtype\":\"F32\",\"shape\":[%d,256],"
            "\"data_offsets\":[%zu,%zu]}",
            i == 0 ? "{" : ",", i, (int)ROWS, i * TENSOR, (i + 1) * TENSOR);
    all[head++] = '}';
    size = head - FIRST;
    memcpy(all, &size, sizeof size);
    for (size_t i = 0; i < TENSORS; i++) {
        for (size_t at = 0; at < TENSOR; at++)
            all[head + i * TENSOR + at] = (char)byte_of(seed, i, at);
    }
    write_file(p, name, all, head + TENSORS * TENSOR);
    return head;
}

static json_t *source_of(const struct place *p, const char *name)
{
    AUTO(free_pointer) char *url = xasprintf("%s/%s", p->nginx.url, name);

    return json_pack("{s:s}", "url", url);
}

/* "0 3": tensors t0 and t3. */
static bool is_wanted(void *self, const char *name)
{
    return strchr(self, name[1]) != NULL;
}

static struct status fetch(struct place *p, const char *name,
                           const char *tensors, struct source_pin **ret_pin)
{
    AUTO(json_release) json_t *source = source_of(p, name);
    const struct source_choice choice = { is_wanted,
                                          (void *)(uintptr_t)tensors };

    return source_fetch_tensors(p->store, source, &choice, ret_pin);
}

static bool is_zero(const struct tensor *t)
{
    const uint8_t *bytes = t->data;

    return bytes[0] == 0 && memcmp(bytes, bytes + 1, TENSOR - 1) == 0;
}

static bool is_right(const struct tensor *t, uint32_t seed)
{
    const uint8_t *bytes = t->data;
    size_t i = (size_t)(t->name[1] - '0');

    for (size_t at = 0; at < TENSOR; at++) {
        if (bytes[at] != byte_of(seed, i, at))
            return false;
    }
    return true;
}

/* The wanted ones are right, the others holes (`holes`) or right as well. */
static void check(const char *path, const char *tensors, uint32_t seed,
                  const char *holes)
{
    struct st_model *m = NULL;
    const struct tensor_set *set;

    assert_ok(st_model_open(path, &m));
    set = st_model_tensors(m);
    assert_int_equal(set->count, TENSORS);
    for (size_t i = 0; i < set->count; i++) {
        const struct tensor *t = &set->items[i];

        if (strchr(tensors, t->name[1]) != NULL)
            assert_true(is_right(t, seed));
        if (strchr(holes, t->name[1]) != NULL)
            assert_true(is_zero(t));
    }
    st_model_close(m);
}

static void fetch_and_check(struct place *p, const char *name,
                            const char *tensors, uint32_t seed,
                            const char *holes)
{
    struct source_pin *pin = NULL;

    assert_ok(fetch(p, name, tensors, &pin));
    check(source_path(pin), tensors, seed, holes);
    source_unpin(pin);
}

static void test_only_the_bytes_of_the_chosen_are_fetched(void **state)
{
    struct place *p = *state;
    int64_t head = (int64_t)put_file(p, "m/model.safetensors", 1);
    uint64_t had;

    write_file(p, "m/config.json", "{}", 2);
    fetch_and_check(p, "m/", "1", 1, "023");
    assert_int_equal(nginx_sent(&p->nginx, "model.safetensors"), head + TENSOR);
    assert_true(source_bytes(p->store) >= TENSOR);
    assert_true(source_bytes(p->store) < TENSOR + 4096);

    had = source_bytes(p->store);
    fetch_and_check(p, "m/", "1", 1, "023"); /* nothing more */
    assert_int_equal(source_bytes(p->store), had);

    fetch_and_check(p, "m/", "13", 1, "02"); /* what is not there yet */
    assert_int_equal(nginx_sent(&p->nginx, "model.safetensors"),
                     head + 2 * TENSOR);
    place_open(p); /* also by a later process, and without the server */
    nginx_stop(&p->nginx);
    fetch_and_check(p, "m/", "13", 1, "02");
    fetch_and_check(p, "m/", "", 1, "02");
}

/* As it was submitted, and written anew since: results of what it is now would
 * stand under the key of what it was. */
static void expect_change_is_told(struct place *p, const char *url, bool is_all)
{
    AUTO(source_files_release) struct source_files files = { .items = NULL };
    char tensors[] = "1";
    const struct source_choice choice = { is_wanted, tensors };
    AUTO(json_release) json_t *source = json_pack("{s:s}", "url", url);
    struct source_pin *pin = NULL;

    assert_ok(source_list(p->store, url, &files));
    (void)json_object_set_new(source, "version", json_string(files.version));
    (void)put_file(p, "m/model.safetensors", 2);
    assert_fails(is_all ? source_fetch(p->store, source, &pin)
                        : source_fetch_tensors(p->store, source, &choice, &pin),
                 STATUS_CORRUPT, "has changed since the sweep was submitted");
    source_files_release(&files);
    assert_ok(source_list(p->store, url, &files));
    (void)json_object_set_new(source, "version", json_string(files.version));
    assert_ok(is_all ? source_fetch(p->store, source, &pin)
                     : source_fetch_tensors(p->store, source, &choice, &pin));
    source_unpin(pin);
}

static void test_a_change_since_submit_is_told(void **state)
{
    struct place *p = *state;
    AUTO(free_pointer) char *served = xasprintf("%s/m/", p->nginx.url);
    AUTO(free_pointer) char *here = xasprintf("file://%s/www/m", p->directory);

    (void)put_file(p, "m/model.safetensors", 1);
    expect_change_is_told(p, served, false);
    expect_change_is_told(p, served, true);
    expect_change_is_told(p, here, true);
}

static void test_shards_and_single_files(void **state)
{
    static const char index_text[] =
        "{\"weight_map\":{\"t0\":\"one.safetensors\"}}";
    struct place *p = *state;
    int64_t head = (int64_t)put_file(p, "x.safetensors", 2);

    fetch_and_check(p, "x.safetensors", "0", 2, "123");
    assert_int_equal(nginx_sent(&p->nginx, "x.safetensors"), head + TENSOR);
    (void)put_file(p, "s/one.safetensors", 3);
    write_file(p, "s/model.safetensors.index.json", index_text,
               strlen(index_text));
    nginx_stop(&p->nginx); /* anew, for the counters */
    nginx_restart(&p->nginx);
    {
        struct source_pin *pin = NULL;

        assert_ok(fetch(p, "s/", "0", &pin));
        source_unpin(pin);
    }
    assert_int_equal(nginx_sent(&p->nginx, "one.safetensors"), head + TENSOR);
}

static void test_holders_keep_what_they_opened(void **state)
{
    struct place *p = *state;
    struct source_pin *pin = NULL;
    struct st_model *m = NULL;

    (void)put_file(p, "m/model.safetensors", 4);
    assert_ok(fetch(p, "m/", "0", &pin));
    assert_ok(st_model_open(source_path(pin), &m));
    fetch_and_check(p, "m/", "2", 4, "13"); /* while it is held */
    assert_true(is_right(&st_model_tensors(m)->items[0], 4));
    (void)put_file(p, "m/model.safetensors", 5);
    fetch_and_check(p, "m/", "1", 5, "023"); /* begun anew */
    assert_true(is_right(&st_model_tensors(m)->items[0], 4));
    check(source_path(pin), "02", 4, "13"); /* by its path, too */
    st_model_close(m);
    source_unpin(pin);
}

static void test_a_source_that_never_stays_the_same_is_refused(void **state)
{
    struct place *p = *state;
    struct source_pin *pin = NULL;

    (void)put_file(p, "m/model.safetensors", 6);
    assert_fails(fetch(p, "moody/m/", "1", &pin), STATUS_UNAVAILABLE,
                 "/moody/m/model.safetensors changes while it is read");
    assert_fails(fetch(p, "moody/m/", "1", &pin), STATUS_UNAVAILABLE, "ETag");
}

static void test_servers_without_ranges_are_read_whole(void **state)
{
    struct place *p = *state;

    (void)put_file(p, "m/model.safetensors", 7);
    fetch_and_check(p, "norange/m/", "1", 7, "");
    fetch_and_check(p, "norange/m/", "0123", 7, "");
    assert_int_equal(nginx_requests(&p->nginx, "HEAD", "m/model.safetensors "),
                     3); /* by ranges, then whole */
}

static void test_a_refusal_of_a_range_is_said(void **state)
{
    struct place *p = *state;
    struct source_pin *pin = NULL;

    (void)put_file(p, "m/model.safetensors", 8);
    assert_fails(fetch(p, "none/m/", "1", &pin), STATUS_INVALID,
                 "416; it has no such range");
}

static void test_digests_and_large_choices_need_all_of_it(void **state)
{
    struct place *p = *state;
    size_t size = put_file(p, "m/model.safetensors", 9) + TENSORS * TENSOR;
    AUTO(free_pointer)
    char *path = xasprintf("%s/www/m/model.safetensors", p->directory);
    AUTO(json_release) json_t *source = source_of(p, "m/");
    const struct source_choice choice = { is_wanted, (void *)(uintptr_t) "1" };
    struct source_pin *pin = NULL;
    char hex[DIGEST_TEXT];
    struct digest d;

    fetch_and_check(p, "m/", "0123", 9, "");
    assert_int_equal(nginx_requests(&p->nginx, "GET", "m/model.safetensors"),
                     3); /* length, header, all */
    assert_int_equal(nginx_sent(&p->nginx, "m/model.safetensors"),
                     (int64_t)(size + size - TENSORS * TENSOR));
    assert_ok(digest_of_file(path, &d));
    digest_to_text(&d, hex);
    (void)json_object_set_new(source, "sha256",
                              json_pack("{s:s}", "model.safetensors", hex));
    assert_ok(source_fetch_tensors(p->store, source, &choice, &pin));
    check(source_path(pin), "0123", 9, "");
    source_unpin(pin);
}

static void test_header_bombs_are_refused(void **state)
{
    static const uint64_t lengths[] = { UINT64_C(1) << 60, 101 << 20, 5 };
    struct place *p = *state;
    AUTO(free_pointer)
    char *path = xasprintf("%s/www/m/model.safetensors", p->directory);
    struct source_pin *pin = NULL;

    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct status st;

        write_file(p, "m/model.safetensors", &lengths[i], sizeof lengths[i]);
        assert_int_equal(truncate(path, 128 << 20), 0);
        st = fetch(p, "m/", "1", &pin);
        assert_true(st.code == STATUS_TOO_BIG || st.code == STATUS_CORRUPT);
        assert_non_null(strstr(st.message, p->nginx.url));
    }
    assert_true(source_bytes(p->store) < 4096);
    assert_ok(file_write(path, "abc", 3));
    assert_ok(fetch(p, "m/", "1", &pin)); /* all of it: not ours to judge */
    source_unpin(pin);
}

static void test_a_damaged_part_is_not_believed(void **state)
{
    struct place *p = *state;
    struct source_pin *pin = NULL;
    AUTO(free_pointer) char *path = NULL;

    (void)put_file(p, "x.safetensors", 10);
    assert_ok(fetch(p, "x.safetensors", "1", &pin));
    path = xstrdup(source_path(pin));
    source_unpin(pin);
    assert_int_equal(truncate(path, 100), 0);
    fetch_and_check(p, "x.safetensors", "1", 10, "023");
    assert_int_equal(nginx_requests(&p->nginx, "HEAD", "x.safetensors"), 2);
}

/* Two processes that want different tensors at once. */
static void test_processes_share_what_they_fetch(void **state)
{
    struct place *p = *state;
    int64_t head = (int64_t)put_file(p, "m/model.safetensors", 11);
    struct source_pin *pin = NULL;
    struct status st;
    int status = -1;
    pid_t pid;

    nginx_stop(&p->nginx);
    p->nginx.rate_kib = 4096;
    nginx_restart(&p->nginx);
    pid = fork();
    if (pid == 0) {
        st = fetch(p, "m/", "01", &pin);
        _exit(status_failed(&st));
    }
    fetch_and_check(p, "m/", "12", 11, "3");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fetch_and_check(p, "m/", "012", 11, "3");
    assert_int_equal(nginx_sent(&p->nginx, "model.safetensors"),
                     head + 3 * TENSOR);
}

#define IN_PLACE(test) \
    cmocka_unit_test_setup_teardown(test, set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(test_only_the_bytes_of_the_chosen_are_fetched),
        IN_PLACE(test_a_change_since_submit_is_told),
        IN_PLACE(test_shards_and_single_files),
        IN_PLACE(test_holders_keep_what_they_opened),
        IN_PLACE(test_a_source_that_never_stays_the_same_is_refused),
        IN_PLACE(test_servers_without_ranges_are_read_whole),
        IN_PLACE(test_a_refusal_of_a_range_is_said),
        IN_PLACE(test_digests_and_large_choices_need_all_of_it),
        IN_PLACE(test_header_bombs_are_refused),
        IN_PLACE(test_a_damaged_part_is_not_believed),
        IN_PLACE(test_processes_share_what_they_fetch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
