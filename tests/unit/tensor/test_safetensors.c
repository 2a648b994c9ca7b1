#include "tensor/safetensors.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/macros.h"
#include "support/st_text.h"
#include "support/test.h"

#define ONE(name) \
    "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}"

static void make_directory(const char *path)
{
    assert_int_equal(mkdir(path, 0755), 0);
}

static void write_text(const char *path, const char *text)
{
    st_text_write_plain(path, text, strlen(text));
}

static void check_fails(const char *path, enum status_code code,
                        const char *words)
{
    struct st_model *m = NULL;

    assert_fails(st_model_open(path, &m), code, words);
    assert_null(m);
}

static void check_opens(const char *path, const char *name)
{
    static const uint8_t bytes[] = { 0, 1, 2, 3 };
    struct st_model *m = NULL;
    const struct tensor *t;

    assert_ok(st_model_open(path, &m));
    t = tensor_find(st_model_tensors(m), name);
    assert_non_null(t);
    assert_memory_equal(t->data, bytes, sizeof bytes);
    assert_non_null(strstr(t->file, ".safetensors"));
    st_model_close(m);
}

static void test_a_file_and_its_directory_are_the_same_model(void **state)
{
    const char *file = st_text_path(state, "model.safetensors");

    st_text_write(file, ONE("w"), 4);
    check_opens(file, "w");
    check_opens(*state, "w");
    write_text(st_text_path(state, "config.json"), "{}");
    st_text_write(st_text_path(state, "other.safetensors"), ONE("x"), 4);
    check_opens(*state, "w");
}

static void test_a_directory_with_one_other_file_is_that(void **state)
{
    const char *other = st_text_path(state, "adapter.safetensors");

    check_fails(*state, STATUS_NOT_FOUND, "holds no model.safetensors");
    st_text_write(other, ONE("x"), 4);
    check_opens(*state, "x");
    st_text_write(st_text_path(state, "b.safetensors"), ONE("y"), 4);
    check_fails(*state, STATUS_INVALID, "several .safetensors files");
}

static void test_files_that_are_none_are_named(void **state)
{
    const char *file = st_text_path(state, "m.safetensors");
    const char *directory = st_text_path(state, "d.safetensors");

    check_fails(file, STATUS_NOT_FOUND, "m.safetensors");
    write_text(file, "");
    check_fails(file, STATUS_CORRUPT, "m.safetensors: 0 bytes are too few");
    write_text(file, "1234567");
    check_fails(file, STATUS_CORRUPT, "m.safetensors: 7 bytes are too few");
    write_text(file, "<html>404 not here</html>");
    check_fails(file, STATUS_CORRUPT, "m.safetensors: a header of");
    make_directory(directory);
    check_fails(directory, STATUS_NOT_FOUND, "holds no model.safetensors");
}

static void test_truncated_files_name_the_tensor_that_is_cut(void **state)
{
    const char *file = st_text_path(state, "m.safetensors");
    struct stat info;

    st_text_write(file, ONE("w"), 4);
    assert_int_equal(stat(file, &info), 0);
    assert_int_equal(truncate(file, info.st_size - 1), 0);
    check_fails(file, STATUS_CORRUPT, "tensor \"w\" ends at byte 4 of 3");
    for (off_t size = 0; size < info.st_size; size++) {
        st_text_write(file, ONE("w"), 4);
        assert_int_equal(truncate(file, size), 0);
        check_fails(file, STATUS_CORRUPT, "m.safetensors");
    }
}

static void test_header_beyond_the_limit_is_too_big(void **state)
{
    const char *file = st_text_path(state, "m.safetensors");

    st_text_write_length(file, (uint64_t)LIMIT_HEADER + 1, "{", 0);
    assert_int_equal(truncate(file, (off_t)LIMIT_HEADER + 4096), 0);
    check_fails(file, STATUS_TOO_BIG, "the header has");
}

static void write_index(void **state, const char *weights)
{
    char text[1024];

    (void)snprintf(text, sizeof text,
                   "{\"metadata\":{\"total_size\":8},\"weight_map\":%s}",
                   weights);
    write_text(st_text_path(state, "model.safetensors.index.json"), text);
}

static void write_shards(void **state)
{
    st_text_write(st_text_path(state, "1.safetensors"), ONE("b"), 4);
    st_text_write(st_text_path(state, "2.safetensors"), ONE("a"), 4);
}

static void test_shards_are_one_set_in_order_of_name(void **state)
{
    const struct tensor_set *set;
    struct st_model *m = NULL;

    write_shards(state);
    write_index(state, "{\"b\":\"1.safetensors\",\"a\":\"2.safetensors\"}");
    assert_ok(st_model_open(*state, &m));
    set = st_model_tensors(m);
    assert_int_equal(set->count, 2);
    assert_string_equal(set->items[0].name, "a");
    assert_string_equal(set->items[1].name, "b");
    assert_non_null(strstr(set->items[0].file, "/2.safetensors"));
    st_model_close(m);
    st_model_close(NULL);
    check_opens(st_text_path(state, "model.safetensors.index.json"), "a");
}

static void test_shards_may_lie_in_directories_below(void **state)
{
    make_directory(st_text_path(state, "deep"));
    st_text_write(st_text_path(state, "deep/..1.safetensors"), ONE("a"), 4);
    write_index(state, "{\"a\":\"deep/..1.safetensors\"}");
    check_opens(*state, "a");
}

/* What an index says wrongly, and what must be said of that. */
static const struct {
    const char *weights;
    enum status_code code;
    const char *words;
} indexes[] = {
    { "{\"b\":\"1.safetensors\"}", STATUS_SUCCESS, NULL },
    { "{\"a\":\"1.safetensors\"}", STATUS_CORRUPT,
      "tensor \"a\" is said to be in \"1.safetensors\", but is not there" },
    { "{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}", STATUS_CORRUPT,
      "but is not there" },
    { "{\"b\":\"1.safetensors\",\"a\":\"2.safetensors\","
      "\"c\":\"2.safetensors\"}",
      STATUS_CORRUPT, "tensor \"c\" is said to be in \"2.safetensors\"" },
    { "{\"b\":\"1.safetensors\",\"a\":\"3.safetensors\"}", STATUS_CORRUPT,
      "tensor \"b\" stands in this file and in" },
    { "{\"a\":\"3.safetensors\"}", STATUS_CORRUPT, "tensor \"b\" of" },
    { "{\"b\":\"4.safetensors\"}", STATUS_NOT_FOUND, "4.safetensors" },
    { "{\"b\":\"../1.safetensors\"}", STATUS_CORRUPT,
      "tensor \"b\" is said to be in \"../1.safetensors\", outside" },
    { "{\"b\":\"deep/../1.safetensors\"}", STATUS_CORRUPT, "outside" },
    { "{\"b\":\"deep/..\"}", STATUS_CORRUPT, "outside" },
    { "{\"b\":\"..\"}", STATUS_CORRUPT, "outside" },
    { "{\"b\":\"/etc/passwd\"}", STATUS_CORRUPT, "outside" },
    { "{\"b\":\"\"}", STATUS_CORRUPT, "outside" },
    { "{\"b\":\".\"}", STATUS_INVALID, "is not a file" },
    { "{\"b\":7}", STATUS_CORRUPT, "file of tensor \"b\" is not a text" },
    { "{\"b\":\"1.safetensors\",\"b\":\"1.safetensors\"}", STATUS_CORRUPT,
      "duplicate" },
    { "{}", STATUS_CORRUPT, "no \"weight_map\"" },
    { "[]", STATUS_CORRUPT, "no \"weight_map\"" },
    { "", STATUS_CORRUPT, "index.json: line" },
};

static void test_the_index_must_say_where_everything_is(void **state)
{
    write_shards(state);
    st_text_write(st_text_path(state, "3.safetensors"),
                  "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],"
                  "\"data_offsets\":[0,2]},"
                  "\"b\":{\"dtype\":\"U8\",\"shape\":[2],"
                  "\"data_offsets\":[2,4]}}",
                  4);
    for (size_t i = 0; i < COUNT_OF(indexes); i++) {
        write_index(state, indexes[i].weights);
        if (indexes[i].code == STATUS_SUCCESS)
            check_opens(*state, "b");
        else
            check_fails(*state, indexes[i].code, indexes[i].words);
    }
}

static void test_a_corrupt_shard_is_named_with_its_index(void **state)
{
    write_shards(state);
    st_text_write(st_text_path(state, "2.safetensors"), ONE("a"), 3);
    write_index(state, "{\"b\":\"1.safetensors\",\"a\":\"2.safetensors\"}");
    check_fails(*state, STATUS_CORRUPT, "2.safetensors: tensor \"a\" ends");
    check_fails(*state, STATUS_CORRUPT, "model.safetensors.index.json: ");
}

/* First and last four bytes of the tensors of a set made elsewhere. */
static const struct {
    const char *name;
    const char *shape;
    uint8_t first[4];
    uint8_t last[4];
} golden[] = {
    { "lm_head.weight",
      "63x24",
      { 0xca, 0x4f, 0x5b, 0x3d },
      { 0x9a, 0xd5, 0x2d, 0xbd } },
    { "model.embed_tokens.weight",
      "63x24",
      { 0x26, 0x1a, 0xfa, 0xbb },
      { 0x01, 0xd8, 0xbc, 0x3c } },
    { "model.gate",
      "1",
      { 0xb9, 0x27, 0x3b, 0x3d },
      { 0xb9, 0x27, 0x3b, 0x3d } },
    { "model.layers.0.conv.weight",
      "6x5x3",
      { 0x24, 0x1a, 0x6d, 0x3a },
      { 0xb4, 0x6d, 0x68, 0x3d } },
    { "model.layers.0.input_layernorm.weight",
      "55",
      { 0x0a, 0xaf, 0xbd, 0x3c },
      { 0xaf, 0xa1, 0xee, 0x39 } },
    { "model.layers.0.mlp.down_proj.weight",
      "50x31",
      { 0xda, 0x73, 0x8d, 0x3d },
      { 0xf1, 0x42, 0xd5, 0x3b } },
    { "model.layers.0.self_attn.q_proj.weight",
      "37x55",
      { 0x64, 0x12, 0x4f, 0xbd },
      { 0xbc, 0xf0, 0x1f, 0x3c } },
    { "model.norm.bias",
      "7",
      { 0xce, 0x06, 0x58, 0x3b },
      { 0x2d, 0x9a, 0xbc, 0x3c } },
};

static void test_files_made_by_others_are_read(void **state)
{
    const struct tensor_set *set;
    struct st_model *m = NULL;

    (void)state;
    assert_ok(st_model_open(TEST_DATA "/golden/safetensors/c", &m));
    set = st_model_tensors(m);
    assert_int_equal(set->count, COUNT_OF(golden));
    for (size_t i = 0; i < set->count; i++) {
        const struct tensor *t = set->items + i;
        const uint8_t *data = t->data;
        char shape[64];

        assert_string_equal(t->name, golden[i].name);
        assert_int_equal(t->dtype, DTYPE_F32);
        assert_string_equal(tensor_shape_text(t, shape, sizeof shape),
                            golden[i].shape);
        assert_memory_equal(data, golden[i].first, 4);
        assert_memory_equal(data + tensor_bytes(t) - 4, golden[i].last, 4);
    }
    st_model_close(m);
}

#define WITH_DIRECTORY(test) \
    cmocka_unit_test_setup_teardown(test, st_text_setup, st_text_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(test_a_file_and_its_directory_are_the_same_model),
        WITH_DIRECTORY(test_a_directory_with_one_other_file_is_that),
        WITH_DIRECTORY(test_files_that_are_none_are_named),
        WITH_DIRECTORY(test_truncated_files_name_the_tensor_that_is_cut),
        WITH_DIRECTORY(test_header_beyond_the_limit_is_too_big),
        WITH_DIRECTORY(test_shards_are_one_set_in_order_of_name),
        WITH_DIRECTORY(test_shards_may_lie_in_directories_below),
        WITH_DIRECTORY(test_the_index_must_say_where_everything_is),
        WITH_DIRECTORY(test_a_corrupt_shard_is_named_with_its_index),
        cmocka_unit_test(test_files_made_by_others_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
