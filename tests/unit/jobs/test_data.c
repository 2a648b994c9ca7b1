#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/data.h"
#include "support/fake_fixture.h"
#include "support/tiny_llama.h"

#include <math.h>
#include <string.h>

static struct status open_data(json_t *value, struct data *d)
{
    const struct data_use use = { .window = 0 };
    struct status st = data_open(value, &use, &fake->context, d);

    json_decref(value);
    return st;
}

/* JSON with ' for ", in which @NAME is a source ROOT/NAME. */
static json_t *value_of(const char *text)
{
    json_t *value = tiny_json("%s", text);
    const char *key;
    json_t *one, *item;
    size_t i;

    json_object_foreach(value, key, one)
    {
        const char *name = json_string_value(one);

        if (name != NULL && *name == '@')
            (void)json_object_set_new(value, key,
                                      fake_context_source(fake, name + 1));
        json_array_foreach(one, i, item)
        {
            name = json_string_value(item);
            if (name != NULL && *name == '@')
                (void)json_array_set_new(one, i,
                                         fake_context_source(fake, name + 1));
        }
    }
    return value;
}

static void write_bytes(const char *name, const void *bytes, size_t size)
{
    assert_ok(file_write(fake_context_path(fake, name), bytes, size));
}

/* --- batches of images ------------------------------------------------------ */

static struct data teacher(const char *more)
{
    struct data d;

    assert_ok(open_data(tiny_json("{'builtin':'teacher10k'%s}", more), &d));
    return d;
}

static void fill(struct data *d, uint32_t seed, uint64_t first, struct batch *b)
{
    batch_clear(b);
    for (uint64_t i = 0; i < d->together; i++) {
        bool added;

        assert_ok(data_draw(d, seed, first + i, b, &added));
        assert_true(added);
    }
}

/* Which image of the data each of the batch is: they are all different. */
static size_t find_image(const struct data *d, const float *pixels)
{
    size_t size = images_pixels(&d->images);

    for (size_t i = 0; i < d->images.count; i++)
        if (memcmp(d->images.pixels + i * size, pixels,
                   size * sizeof(*pixels)) == 0)
            return i;
    fail_msg("no such image");
    return 0;
}

static void test_an_epoch_draws_whole_batches(void **state)
{
    struct data d = teacher(",'items':100");
    struct batch b;
    bool seen[3][100] = { { false } };

    (void)state;
    assert_int_equal(d.items, 100);
    assert_ok(data_batch(&d, 32, &b));
    for (uint64_t batch = 0; batch < 9; batch++) {
        struct pass_batch view;

        fill(&d, 5, batch * 32, &b);
        view = batch_view(&b);
        assert_int_equal(view.segments, 1);
        assert_int_equal(view.starts[1], 32);
        for (size_t i = 0; i < 32; i++) {
            size_t at = find_image(&d, view.pixels + i * 64);

            assert_in_range(at, 0, 99);
            assert_int_equal(view.labels[i], d.images.labels[at]);
            assert_false(seen[batch / 3][at]);
            seen[batch / 3][at] = true;
        }
    }
    assert_true(memcmp(seen[0], seen[1], sizeof(seen[0])) != 0);
    batch_release(&b);
    data_release(&d);
}

static void test_drawing_is_a_function_of_seed_and_index(void **state)
{
    struct data d = teacher(",'augment':true"), plain = teacher("");
    struct batch one, two;

    (void)state;
    assert_ok(data_batch(&d, 8, &one));
    assert_ok(data_batch(&d, 8, &two));
    fill(&d, 1, 800, &one);
    fill(&d, 1, 800, &two);
    assert_memory_equal(one.pixels, two.pixels, 8 * 64 * sizeof(float));
    fill(&d, 2, 800, &two);
    assert_memory_not_equal(one.pixels, two.pixels, 8 * 64 * sizeof(float));
    batch_release(&two);
    assert_ok(data_batch(&plain, 8, &two));
    fill(&plain, 1, 800, &two);
    assert_memory_equal(one.labels, two.labels, 8 * sizeof(int32_t));
    assert_memory_not_equal(one.pixels, two.pixels, 8 * 64 * sizeof(float));
    batch_release(&one);
    batch_release(&two);
    data_release(&d);
    data_release(&plain);
}

static void test_a_batch_larger_than_the_data_is_refused(void **state)
{
    struct data d = teacher(",'items':100");
    struct batch b;

    (void)state;
    assert_fails(data_batch(&d, 101, &b), STATUS_INVALID,
                 "101 cannot be filled from 100 images");
    data_release(&d);
}

static void test_images_must_fit_the_model(void **state)
{
    static const struct {
        const char *config, *words;
    } cases[] = {
        { "{'model_type':'mlp','sizes':[49,8,10]}",
          "the model, which takes 49" },
        { "{'model_type':'mlp','sizes':[64,8,9]}", "the model has 9" },
        { "{'model_type':'mlp','sizes':[64,8,10]}", NULL },
    };
    struct data d = teacher(",'items':10");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *json = tiny_json("%s", cases[i].config);
        struct model_config c;
        struct model *m;

        assert_ok(model_config_read(json, &c));
        assert_ok(model_new(&c, 0, &m));
        if (cases[i].words == NULL)
            assert_ok(data_check(&d, m));
        else
            assert_fails(data_check(&d, m), STATUS_INVALID, cases[i].words);
        model_free(m);
        json_decref(json);
    }
    data_release(&d);
}

/* --- files of images -------------------------------------------------------- */

/* Three images of 2 x 2, and their labels. */
static const uint8_t idx_images[] = { 0, 0, 8, 3, 0,   0,  0, 3, 0, 0,
                                      0, 2, 0, 0, 0,   2,  0, 1, 2, 3,
                                      4, 5, 6, 7, 255, 51, 0, 1 };
static const uint8_t idx_labels[] = { 0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 9 };

static const char idx_value[] =
    "{'format':'idx','file':'@x','labels':'@y','mean':[0.2],'std':[0.5]}";

static void test_idx_files_are_read(void **state)
{
    struct data d;
    float pixels[4];

    (void)state;
    write_bytes("x", idx_images, sizeof(idx_images));
    write_bytes("y", idx_labels, sizeof(idx_labels));
    assert_ok(open_data(value_of(idx_value), &d));
    assert_int_equal(d.items, 3);
    assert_int_equal(d.images.height, 2);
    assert_int_equal(d.images.classes, 10);
    assert_int_equal(d.images.labels[2], 9);
    images_take(&d.images, 2, pixels);
    assert_true(fabsf(pixels[0] - 1.6F) < 1e-6F); /* (1 - 0.2) / 0.5 */
    assert_true(fabsf(pixels[1]) < 1e-6F);
    assert_true(fabsf(pixels[2] + 0.4F) < 1e-6F);
    data_release(&d);
}

struct fault {
    char file;   /* which one is changed, */
    size_t size; /* cut to so many bytes (0: not), */
    size_t at;   /* and at that place */
    uint8_t byte;
    const char *words;
};

static const struct fault idx_faults[] = {
    { 'x', 27, 0, 0, "x, byte 27: ends too early" },
    { 'x', 3, 0, 0, "x, byte 3: ends inside its magic" },
    { 'x', 10, 0, 0, "x, byte 10: ends inside its sizes" },
    { 'x', 0, 0, 1, "x, byte 0: 01000803 is not the magic" },
    { 'x', 0, 2, 0x0D, "x, byte 2: elements of type 0x0d" },
    { 'x', 0, 3, 1, "x, byte 3: 1 dimensions; images have 3" },
    { 'y', 0, 3, 3, "y, byte 3: 3 dimensions; labels have 1" },
    { 'x', 0, 7, 2, "x, byte 24: 4 bytes too many" },
    { 'x', 0, 4, 255, "ends too early" },
    { 'x', 0, 11, 0, "x, byte 8: a size of 0" },
    { 'x', 0, 8, 255, "x, byte 8: a size of 4278190082" },
    { 'y', 0, 9, 10, "y, byte 9: label 10; there are 10 classes" },
    { 'y', 10, 7, 2, "3 images" },
};

static void test_faults_of_idx_files_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(idx_faults); i++) {
        const struct fault *f = &idx_faults[i];
        uint8_t x[sizeof(idx_images)], y[sizeof(idx_labels)];
        struct data d;

        memcpy(x, idx_images, sizeof(x));
        memcpy(y, idx_labels, sizeof(y));
        if (f->at != 0 || f->byte != 0)
            (f->file == 'x' ? x : y)[f->at] = f->byte;
        write_bytes("x", x,
                    f->file == 'x' && f->size != 0 ? f->size : sizeof(x));
        write_bytes("y", y,
                    f->file == 'y' && f->size != 0 ? f->size : sizeof(y));
        assert_fails(open_data(value_of(idx_value), &d), STATUS_CORRUPT,
                     f->words);
    }
}

static void test_packed_and_empty_files_are_refused(void **state)
{
    static const uint8_t packed[] = { 0x1F, 0x8B, 8, 0, 0 };
    struct data d;

    (void)state;
    write_bytes("y", idx_labels, sizeof(idx_labels));
    write_bytes("x", packed, sizeof(packed));
    assert_fails(open_data(value_of(idx_value), &d), STATUS_INVALID, "gunzip");
    write_bytes("x", packed, 0);
    assert_fails(open_data(value_of(idx_value), &d), STATUS_INVALID,
                 "x is empty");
}

enum { CIFAR10 = 3073, CIFAR100 = 3074 };

/* A file of `count` records whose labels are `first`, `first` + 1 ... */
static void write_cifar(const char *name, size_t record, size_t count,
                        uint8_t first)
{
    uint8_t *bytes = xcalloc(count, record);

    for (size_t i = 0; i < count; i++) {
        memset(bytes + i * record, (int)(100 + first + i), record);
        bytes[i * record] = (uint8_t)(record == CIFAR10 ? first + i : 19);
        if (record == CIFAR100)
            bytes[i * record + 1] = (uint8_t)(first + i);
    }
    write_bytes(name, bytes, count * record);
    free(bytes);
}

static void test_cifar_files_come_one_behind_the_other(void **state)
{
    struct data d;
    float pixels[3072];

    (void)state;
    write_cifar("a", CIFAR10, 2, 0);
    write_cifar("b", CIFAR10, 3, 5);
    assert_ok(open_data(value_of("{'format':'cifar10','files':['@a','@b'],"
                                 "'mean':[0.5,0.4,0.3],'std':[0.25]}"),
                        &d));
    assert_int_equal(d.items, 5);
    assert_int_equal(d.images.labels[1], 1);
    assert_int_equal(d.images.labels[4], 7);
    images_take(&d.images, 4, pixels);
    assert_true(fabsf(pixels[0] - (107.0F / 255.0F - 0.5F) * 4.0F) < 1e-5F);
    assert_true(fabsf(pixels[3071] - (107.0F / 255.0F - 0.3F) * 4.0F) < 1e-5F);
    data_release(&d);
    write_cifar("c", CIFAR100, 2, 98);
    assert_ok(open_data(value_of("{'format':'cifar100','file':'@c'}"), &d));
    assert_int_equal(d.images.classes, 100);
    assert_int_equal(d.images.labels[1], 99);
    data_release(&d);
}

static void test_faults_of_cifar_files_are_named(void **state)
{
    static const char value[] = "{'format':'cifar10','file':'@a'}";
    uint8_t half[CIFAR10 + 100] = { 0 };
    struct data d;

    (void)state;
    write_cifar("a", CIFAR10, 3, 8);
    assert_fails(open_data(value_of(value), &d), STATUS_CORRUPT,
                 "a, byte 6146: label 10; there are 10 classes");
    write_bytes("a", half, sizeof(half));
    assert_fails(open_data(value_of(value), &d), STATUS_CORRUPT,
                 "a, byte 3173: ends inside a record, which has 3073 bytes");
    write_cifar("a", CIFAR10, 1, 0);
    assert_fails(open_data(value_of("{'format':'cifar10','file':'@a',"
                                    "'mean':[0.1,0.2]}"),
                           &d),
                 STATUS_INVALID, "3 channels");
}

static void test_memory_for_a_file_is_asked_for_first(void **state)
{
    struct data d;

    (void)state;
    write_cifar("a", CIFAR10, 3, 0);
    fake->context.memory_bytes = 5000;
    assert_fails(open_data(value_of("{'format':'cifar10','file':'@a'}"), &d),
                 STATUS_NO_MEMORY, "9219 bytes");
}

/* --- what the sweep compiler is told ---------------------------------------- */

static const struct {
    const char *data, *path, *words;
} refusals[] = {
    { "{'split':'test'}", "/data", "needs `builtin` or `file`" },
    { "{'builtin':'teacher10k','longest':4}", "/data/longest",
      "means nothing to data of the form `teacher10k`" },
    { "{'builtin':'tasks','augment':true}", "/data/augment", "means nothing" },
    { "{'builtin':'tasks','format':'idx'}", "/data/format", "no format" },
    { "{'format':'idx','file':'@x'}", "/data", "need `labels`" },
    { "{'format':'cifar10','file':'@x','files':['@x']}", "/data/files",
      "exclude" },
    { "{'format':'text','file':'@x','mean':[0.5]}", "/data/mean",
      "means nothing" },
    { "{'builtin':{'$param':'a'}}", "/data/builtin", "cannot vary" },
    { "{'format':'text','file':'@x','split':'test'}", "/data/split",
      "without `held_out`" },
};

static void test_keys_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        json_t *body = json_pack("{so}", "data", value_of(refusals[i].data));
        struct catalog_problem problem;

        assert_false(data_normalise(body, "train", &problem));
        assert_string_equal(problem.path, refusals[i].path);
        if (strstr(problem.message, refusals[i].words) == NULL)
            fail_msg("%s: %s", refusals[i].data, problem.message);
        json_decref(body);
    }
}

static void test_equal_data_has_one_form(void **state)
{
    static const char *const pairs[][2] = {
        { "{'builtin':'teacher10k','augment':true}",
          "{'builtin':'teacher10k','split':'test','seed':0}" },
        { "{'format':'idx','file':'@x','labels':'@y'}",
          "{'format':'idx','file':'@x','labels':'@y','classes':10,"
          "'mean':[0.5],'std':[0.5]}" },
        { "{'file':'@x'}", "{'file':'@x','format':'text'}" },
        { "{'file':'@x','held_out':0.1}",
          "{'file':'@x','format':'text','held_out':0.1,'split':'test'}" },
        { "{'builtin':'text'}",
          "{'builtin':'text','split':'test','seed':0,'items':256}" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        json_t *body = json_pack("{so}", "data", value_of(pairs[i][0]));
        json_t *wanted = value_of(pairs[i][1]);
        struct catalog_problem problem;

        assert_true(data_normalise(body, "test", &problem));
        assert_true(json_equal(json_object_get(body, "data"), wanted));
        json_decref(body);
        json_decref(wanted);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest all[] = {
        CASE(test_an_epoch_draws_whole_batches),
        CASE(test_drawing_is_a_function_of_seed_and_index),
        CASE(test_a_batch_larger_than_the_data_is_refused),
        CASE(test_images_must_fit_the_model),
        CASE(test_idx_files_are_read),
        CASE(test_faults_of_idx_files_are_named),
        CASE(test_packed_and_empty_files_are_refused),
        CASE(test_cifar_files_come_one_behind_the_other),
        CASE(test_faults_of_cifar_files_are_named),
        CASE(test_memory_for_a_file_is_asked_for_first),
        CASE(test_keys_that_mean_nothing_are_refused),
        CASE(test_equal_data_has_one_form),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}
