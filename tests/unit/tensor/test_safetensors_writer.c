#include "tensor/safetensors.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/macros.h"
#include "common/memory.h"
#include "support/st_text.h"
#include "support/test.h"

static const struct tensor layout_items[] = {
    { .name = "a", .dtype = DTYPE_U8, .rank = 1, .shape = { 3 }, .count = 3 },
    { .name = "b",
      .dtype = DTYPE_F32,
      .rank = 2,
      .shape = { 2, 5 },
      .count = 10 },
    { .name = "c.\"quoted\"\n\xc3\xa9",
      .dtype = DTYPE_BF16,
      .rank = 3,
      .shape = { 4, 0, 2 },
      .count = 0 },
    { .name = "d", .dtype = DTYPE_F64, .rank = 0, .count = 1 },
    { .name = "e",
      .dtype = DTYPE_BF16,
      .rank = 1,
      .shape = { 20 },
      .count = 20 },
    { .name = "f", .dtype = DTYPE_I64, .rank = 1, .shape = { 0 }, .count = 0 },
};
static const struct tensor_set layout = { COUNT_OF(layout_items),
                                          layout_items };

enum { BYTES = 3 + 40 + 8 + 40 };

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 7 + 1);
}

static struct status add_all(struct st_writer *w, size_t piece)
{
    uint8_t data[BYTES];

    for (size_t i = 0; i < BYTES; i++)
        data[i] = byte_at(i);
    for (size_t i = 0; i < BYTES; i += piece)
        TRY_PLAIN(
            st_writer_add(w, data + i, BYTES - i < piece ? BYTES - i : piece));
    return SUCCESS;
}

static void write_model(const struct st_writer_settings *s, size_t piece)
{
    struct st_writer *w = NULL;

    assert_ok(st_writer_new(s, &layout, &w));
    assert_ok(add_all(w, piece));
    assert_false(file_exists(s->directory));
    assert_ok(st_writer_finish(w));
    st_writer_free(w);
}

static void check_model(const char *path)
{
    struct st_model *m = NULL;
    const struct tensor_set *set;
    size_t at = 0;

    assert_ok(st_model_open(path, &m));
    set = st_model_tensors(m);
    assert_int_equal(set->count, layout.count);
    for (size_t i = 0; i < set->count; i++) {
        const uint8_t *data = set->items[i].data;

        assert_string_equal(set->items[i].name, layout_items[i].name);
        assert_int_equal(set->items[i].dtype, layout_items[i].dtype);
        assert_true(tensor_same_shape(set->items + i, layout_items + i));
        for (size_t k = 0; k < tensor_bytes(set->items + i); k++)
            assert_int_equal(data[k], byte_at(at++));
    }
    st_model_close(m);
}

static void test_what_is_written_is_read(void **state)
{
    const struct st_writer_settings s = {
        .directory = st_text_path(state, "out"),
    };

    write_model(&s, BYTES);
    check_model(s.directory);
    assert_int_equal(st_text_entries(s.directory), 1);
    assert_int_equal(st_text_entries(*state), 1);
}

/* Sizes 3, 40, 0, 8, 40, 0; a shard breaks before what it cannot hold. */
static void test_shards_break_between_tensors(void **state)
{
    static const struct {
        uint64_t limit;
        size_t files; /* with the index */
    } rows[] = { { 0, 1 },  { 1, 5 },  { 8, 5 },  { 43, 4 },        { 48, 3 },
                 { 51, 3 }, { 90, 3 }, { 91, 1 }, { UINT64_MAX, 1 } };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char name[32];
        struct st_writer_settings s = { .shard_bytes = rows[i].limit };

        (void)snprintf(name, sizeof name, "out%zu", i);
        s.directory = st_text_path(state, name);
        write_model(&s, 1 + i);
        check_model(s.directory);
        assert_int_equal(st_text_entries(s.directory), rows[i].files);
    }
}

static char *read_text(const char *path, size_t *ret_size)
{
    char *text = NULL;

    assert_ok(file_read(path, 1 << 20, &text, ret_size));
    return text;
}

static void test_shards_have_the_usual_names_and_index(void **state)
{
    const struct st_writer_settings s = {
        .directory = st_text_path(state, "out"),
        .shard_bytes = 51,
    };
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;

    write_model(&s, 9);
    text = read_text(st_text_path(state, "out/model.safetensors.index.json"),
                     &size);
    assert_string_equal(text,
                        "{\n"
                        "  \"metadata\": {\n"
                        "    \"total_size\": 91\n"
                        "  },\n"
                        "  \"weight_map\": {\n"
                        "    \"a\": \"model-00001-of-00002.safetensors\",\n"
                        "    \"b\": \"model-00001-of-00002.safetensors\",\n"
                        "    \"c.\\\"quoted\\\"\\n\xc3\xa9\": "
                        "\"model-00001-of-00002.safetensors\",\n"
                        "    \"d\": \"model-00001-of-00002.safetensors\",\n"
                        "    \"e\": \"model-00002-of-00002.safetensors\",\n"
                        "    \"f\": \"model-00002-of-00002.safetensors\"\n"
                        "  }\n"
                        "}");
}

static void test_header_is_canonical_and_data_is_aligned(void **state)
{
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\",\"z\":\"1\"},"
        "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}";
    AUTO(json_release)
    json_t *metadata = json_pack("{s:s, s:s}", "z", "1", "format", "pt");
    const struct st_writer_settings s = {
        .directory = st_text_path(state, "out"),
        .metadata = metadata,
    };
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;
    uint64_t length = 0;

    write_model(&s, 1000);
    text = read_text(st_text_path(state, "out/model.safetensors"), &size);
    for (int i = 7; i >= 0; i--)
        length = length << 8 | (uint8_t)text[i];
    assert_int_equal(length % 8, 0);
    assert_int_equal(size, 8 + length + BYTES);
    assert_memory_equal(text + 8, header, strlen(header));
}

static void test_equal_models_give_equal_bytes(void **state)
{
    const struct st_writer_settings one = {
        .directory = st_text_path(state, "one"),
    };
    const struct st_writer_settings two = {
        .directory = st_text_path(state, "two"),
    };
    AUTO(free_pointer) char *a = NULL;
    AUTO(free_pointer) char *b = NULL;
    size_t a_size = 0;
    size_t b_size = 0;

    write_model(&one, 1);
    write_model(&two, BYTES);
    a = read_text(st_text_path(state, "one/model.safetensors"), &a_size);
    b = read_text(st_text_path(state, "two/model.safetensors"), &b_size);
    assert_int_equal(a_size, b_size);
    assert_memory_equal(a, b, a_size);
}

static void test_nothing_is_left_of_what_was_not_finished(void **state)
{
    const struct st_writer_settings s = {
        .directory = st_text_path(state, "out"),
        .shard_bytes = 1,
    };
    struct st_writer *w = NULL;

    assert_ok(st_writer_new(&s, &layout, &w));
    assert_ok(st_writer_add_file(w, "config.json", "{}", 2));
    assert_ok(st_writer_add(w, "1234", 4));
    assert_false(file_exists(s.directory));
    assert_fails(st_writer_finish(w), STATUS_INVALID,
                 "39 bytes of tensor \"b\" are missing");
    st_writer_free(w);
    assert_int_equal(st_text_entries(*state), 0);
    st_writer_free(NULL);
}

static void test_more_than_the_layout_is_refused(void **state)
{
    const struct st_writer_settings s = {
        .directory = st_text_path(state, "out"),
    };
    struct st_writer *w = NULL;

    assert_ok(st_writer_new(&s, &layout, &w));
    assert_ok(add_all(w, 17));
    assert_ok(st_writer_add(w, "", 0));
    assert_fails(st_writer_add(w, "x", 1), STATUS_INVALID,
                 "1 bytes more than the layout");
    assert_fails(st_writer_add(w, "x", 1), STATUS_INVALID, "failed before");
    assert_fails(st_writer_finish(w), STATUS_INVALID, "failed before");
    st_writer_free(w);
    assert_int_equal(st_text_entries(*state), 0);
}

static void test_other_files_come_along(void **state)
{
    const struct st_writer_settings s = {
        .directory = st_text_path(state, "out/"),
    };
    AUTO(free_pointer) char *text = NULL;
    struct st_writer *w = NULL;
    size_t size = 0;

    assert_ok(st_writer_new(&s, &layout, &w));
    assert_ok(st_writer_add_file(w, "config.json", "{}\n", 3));
    assert_fails(st_writer_add_file(w, "config.json", "{}", 2), STATUS_INVALID,
                 "\"config.json\" is added twice");
    assert_fails(st_writer_add_file(w, "model.safetensors", "", 0),
                 STATUS_INVALID, "no file \"model.safetensors\"");
    assert_fails(st_writer_add_file(w, "../x", "", 0), STATUS_INVALID, "../x");
    assert_fails(st_writer_add_file(w, "..", "", 0), STATUS_INVALID, "..");
    assert_fails(st_writer_add_file(w, "", "", 0), STATUS_INVALID, "\"\"");
    assert_ok(add_all(w, 50));
    assert_ok(st_writer_add_file(w, "empty.txt", NULL, 0));
    assert_ok(st_writer_finish(w));
    assert_fails(st_writer_finish(w), STATUS_INVALID, "has ended");
    assert_fails(st_writer_add(w, "", 0), STATUS_INVALID, "has ended");
    st_writer_free(w);
    text = read_text(st_text_path(state, "out/config.json"), &size);
    assert_string_equal(text, "{}\n");
    assert_int_equal(st_text_entries(s.directory), 3);
    check_model(s.directory);
}

static void check_refused(const struct st_writer_settings *s,
                          const struct tensor_set *set, enum status_code code,
                          const char *words)
{
    struct st_writer *w = NULL;

    assert_fails(st_writer_new(s, set, &w), code, words);
    assert_null(w);
}

static void test_places_that_cannot_be_written_are_named(void **state)
{
    struct st_writer_settings s = { .directory = *state };

    check_refused(&s, &layout, STATUS_INVALID, "exists; name another");
    s.directory = st_text_path(state, "none/out");
    check_refused(&s, &layout, STATUS_NOT_FOUND, "none/out");
    st_text_write_plain(st_text_path(state, "file"), "", 0);
    s.directory = st_text_path(state, "file/out");
    check_refused(&s, &layout, STATUS_NOT_FOUND, "file/out");
    assert_int_equal(st_text_entries(*state), 1);
}

/* Root may write anywhere, so it becomes nobody for a moment. */
static void test_read_only_directory_is_denied(void **state)
{
    enum { NOBODY = 65534 };
    const struct st_writer_settings s = {
        .directory = st_text_path(state, "shut/out"),
    };
    uid_t user = geteuid();

    assert_int_equal(mkdir(st_text_path(state, "shut"), 0555), 0);
    if (user == 0)
        assert_int_equal(seteuid(NOBODY), 0);
    check_refused(&s, &layout, STATUS_DENIED, "shut/out");
    assert_int_equal(seteuid(user), 0);
    assert_int_equal(st_text_entries(st_text_path(state, "shut")), 0);
}

/* Not every file system can promise room; then only writing tells. */
static bool can_reserve(const char *path)
{
    FILE *file = fopen(path, "wb");
    bool can;

    assert_non_null(file);
    can = fallocate(fileno(file), 0, 0, 1) == 0;
    (void)fclose(file);
    (void)unlink(path);
    return can;
}

/* A file size limit stands in for a disk without room: enough for the header,
 * a byte short of the data. */
static void test_full_disk_is_said_before_the_first_byte(void **state)
{
    struct st_writer_settings s = { .directory = st_text_path(state, "one") };
    struct stat info;
    struct rlimit old;
    struct rlimit low;

    if (!can_reserve(st_text_path(state, "probe")))
        skip();
    write_model(&s, BYTES);
    assert_int_equal(stat(st_text_path(state, "one/model.safetensors"), &info),
                     0);
    s.directory = st_text_path(state, "out");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)info.st_size - 1;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    check_refused(&s, &layout, STATUS_NO_SPACE, "reserve");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(st_text_entries(*state), 1);
}

static void test_disk_that_fills_up_later_leaves_nothing(void **state)
{
    const struct st_writer_settings s = {
        .directory = st_text_path(state, "out"),
    };
    AUTO(free_pointer) char *large = xcalloc(1, 1 << 16);
    struct st_writer *w = NULL;
    struct rlimit old;
    struct rlimit low;

    assert_ok(st_writer_new(&s, &layout, &w));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 4096;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_fails(st_writer_add_file(w, "tokenizer.json", large, 1 << 16),
                 STATUS_NO_SPACE, "tokenizer.json");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_fails(st_writer_finish(w), STATUS_INVALID, "failed before");
    st_writer_free(w);
    assert_int_equal(st_text_entries(*state), 0);
}

static void test_layouts_that_are_wrong_are_refused(void **state)
{
    const struct tensor swapped[] = { layout_items[1], layout_items[0] };
    const struct tensor twice[] = { layout_items[0], layout_items[0] };
    struct tensor bad = layout_items[1];
    struct tensor_set set = { 2, swapped };
    struct st_writer_settings s = { .directory = st_text_path(state, "out") };

    check_refused(&s, &set, STATUS_INVALID, "\"a\" follows \"b\"");
    set.items = twice;
    check_refused(&s, &set, STATUS_INVALID, "\"a\" follows \"a\"");
    set = (struct tensor_set){ 1, &bad };
    bad.count = 11;
    check_refused(&s, &set, STATUS_INVALID, "\"b\" does not have");
    bad = layout_items[1];
    bad.name = "__metadata__";
    check_refused(&s, &set, STATUS_INVALID, "__metadata__");
    bad.name = "\xff";
    check_refused(&s, &set, STATUS_INVALID, "UTF-8");
    {
        AUTO(json_release) json_t *number = json_pack("{s:i}", "n", 1);

        s.metadata = number;
        check_refused(&s, &layout, STATUS_INVALID, "metadata \"n\"");
    }
    assert_int_equal(st_text_entries(*state), 0);
}

static void test_model_without_tensors_is_a_file(void **state)
{
    const struct tensor_set none = { 0, NULL };
    const struct st_writer_settings s = {
        .directory = st_text_path(state, "out"),
    };
    struct st_writer *w = NULL;
    struct st_model *m = NULL;

    assert_ok(st_writer_new(&s, &none, &w));
    assert_ok(st_writer_finish(w));
    st_writer_free(w);
    assert_ok(st_model_open(s.directory, &m));
    assert_int_equal(st_model_tensors(m)->count, 0);
    st_model_close(m);
}

#define WITH_DIRECTORY(test) \
    cmocka_unit_test_setup_teardown(test, st_text_setup, st_text_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(test_what_is_written_is_read),
        WITH_DIRECTORY(test_shards_break_between_tensors),
        WITH_DIRECTORY(test_shards_have_the_usual_names_and_index),
        WITH_DIRECTORY(test_header_is_canonical_and_data_is_aligned),
        WITH_DIRECTORY(test_equal_models_give_equal_bytes),
        WITH_DIRECTORY(test_nothing_is_left_of_what_was_not_finished),
        WITH_DIRECTORY(test_more_than_the_layout_is_refused),
        WITH_DIRECTORY(test_other_files_come_along),
        WITH_DIRECTORY(test_places_that_cannot_be_written_are_named),
        WITH_DIRECTORY(test_read_only_directory_is_denied),
        WITH_DIRECTORY(test_full_disk_is_said_before_the_first_byte),
        WITH_DIRECTORY(test_disk_that_fills_up_later_leaves_nothing),
        WITH_DIRECTORY(test_layouts_that_are_wrong_are_refused),
        WITH_DIRECTORY(test_model_without_tensors_is_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
