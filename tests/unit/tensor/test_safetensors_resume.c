/* A model directory that is written in more than one go. */
#include "tensor/safetensors.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/digest.h"
#include "common/file.h"
#include "common/macros.h"
#include "common/memory.h"
#include "support/st_text.h"
#include "support/test.h"

static const struct tensor layout_items[] = {
    { .name = "a", .dtype = DTYPE_U8, .rank = 1, .shape = { 3 }, .count = 3 },
    { .name = "b",
      .dtype = DTYPE_F32,
      .rank = 1,
      .shape = { 10 },
      .count = 10 },
    { .name = "c", .dtype = DTYPE_BF16, .rank = 1, .shape = { 0 }, .count = 0 },
    { .name = "d", .dtype = DTYPE_F64, .rank = 0, .count = 1 },
    { .name = "e", .dtype = DTYPE_I64, .rank = 1, .shape = { 0 }, .count = 0 },
};
static const struct tensor_set layout = { COUNT_OF(layout_items),
                                          layout_items };

enum { BYTES = 3 + 40 + 8 };

/* Whole tensors in the first bytes. */
static size_t whole(size_t bytes)
{
    return bytes < 3 ? 0 : bytes < 43 ? 1 : bytes < BYTES ? 3 : 5;
}

/* Bytes of them. */
static size_t whole_bytes(size_t bytes)
{
    return bytes < 3 ? 0 : bytes < 43 ? 3 : bytes < BYTES ? 43 : BYTES;
}

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 7 + 1);
}

/* What st_writer_new() gave back of the tensors that were there. */
struct seen {
    uint8_t data[BYTES];
    size_t size;
    size_t last; /* tensor */
    bool refuse;
};

static struct status replay(void *self, size_t tensor, const void *data,
                            size_t size)
{
    struct seen *s = self;

    if (s->refuse)
        return FAIL(STATUS_CANCELLED, "no more");
    assert_true(tensor >= s->last && size <= BYTES - s->size);
    s->last = tensor;
    memcpy(s->data + s->size, data, size);
    s->size += size;
    return SUCCESS;
}

static struct st_writer_settings settings(void **state, uint64_t shard_bytes,
                                          const struct digest *recipe,
                                          struct seen *seen)
{
    *seen = (struct seen){ .size = 0 };
    return (struct st_writer_settings){ .directory = st_text_path(state, "out"),
                                        .shard_bytes = shard_bytes,
                                        .recipe = recipe,
                                        .replay = replay,
                                        .self = seen };
}

static struct digest recipe_of(const char *text)
{
    return digest_of(text, strlen(text));
}

static void add(struct st_writer *w, size_t from, size_t end)
{
    uint8_t data[BYTES];

    for (size_t i = from; i < end; i++)
        data[i] = byte_at(i);
    assert_ok(st_writer_add(w, data + from, end - from));
}

static void finish(struct st_writer *w, size_t from)
{
    add(w, from, BYTES);
    assert_ok(st_writer_add_file(w, "config.json", "{}", 2));
    assert_ok(st_writer_finish(w));
    st_writer_free(w);
}

/* The first bytes, a checkpoint, and some that it does not cover. */
static void write_part(const struct st_writer_settings *s, size_t safe,
                       size_t more)
{
    struct st_writer *w = NULL;

    assert_ok(st_writer_new(s, &layout, &w));
    assert_int_equal(st_writer_done(w), 0);
    add(w, 0, safe);
    assert_ok(st_writer_checkpoint(w));
    add(w, safe, more);
    st_writer_free(w);
}

static char *read_file(const char *directory, const char *name, size_t *size)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, name);
    char *text = NULL;

    assert_ok(file_read(path, 1 << 20, &text, size));
    return text;
}

/* Every file of `one` is in `two`, byte for byte, and the other way round. */
static void check_same(const char *one, const char *two)
{
    DIR *d = opendir(one);

    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        AUTO(free_pointer) char *a = NULL;
        AUTO(free_pointer) char *b = NULL;
        size_t a_size = 0;
        size_t b_size = 0;

        if (e->d_name[0] == '.')
            continue;
        a = read_file(one, e->d_name, &a_size);
        b = read_file(two, e->d_name, &b_size);
        assert_int_equal(a_size, b_size);
        assert_memory_equal(a, b, a_size);
    }
    (void)closedir(d);
    assert_int_equal(st_text_entries(one), st_text_entries(two));
}

/* SHA256SUMS holds each other file once, in order of name. */
static void check_sums(const char *directory)
{
    size_t size = 0;
    size_t lines = 0;
    AUTO(free_pointer) char *text = read_file(directory, "SHA256SUMS", &size);
    char before[256] = "";
    char *rest = text;

    for (char *line = strsep(&rest, "\n"); rest != NULL;
         line = strsep(&rest, "\n")) {
        AUTO(free_pointer) char *path = NULL;
        char hex[DIGEST_TEXT];
        struct digest digest;

        assert_true(strlen(line) > 66);
        path = xasprintf("%s/%s", directory, line + 66);
        assert_ok(digest_of_file(path, &digest));
        digest_to_text(&digest, hex);
        assert_memory_equal(line, hex, 64);
        assert_memory_equal(line + 64, "  ", 2);
        assert_true(strcmp(before, line + 66) < 0);
        (void)snprintf(before, sizeof before, "%s", line + 66);
        lines++;
    }
    assert_int_equal(lines + 1, st_text_entries(directory));
}

/* The same in one go, in the directory "whole". */
static void write_whole(void **state, uint64_t shard_bytes,
                        const struct digest *recipe)
{
    struct seen seen;
    struct st_writer_settings s = settings(state, shard_bytes, recipe, &seen);
    struct st_writer *w = NULL;

    s.directory = st_text_path(state, "whole");
    assert_ok(file_remove_tree(s.directory));
    assert_ok(st_writer_new(&s, &layout, &w));
    assert_null(st_writer_anew(w));
    finish(w, 0);
    check_sums(s.directory);
}

/* Open again, see that `done` tensors are there, and write the rest. */
static void check_goes_on(void **state, const struct st_writer_settings *s,
                          size_t done, size_t bytes)
{
    const struct seen *seen = s->self;
    struct st_writer *w = NULL;

    assert_ok(st_writer_new(s, &layout, &w));
    assert_null(st_writer_anew(w));
    assert_int_equal(st_writer_done(w), done);
    assert_int_equal(seen->size, bytes);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(seen->data[i], byte_at(i));
    finish(w, bytes);
    check_same(s->directory, st_text_path(state, "whole"));
    assert_ok(file_remove_tree(s->directory));
}

static const uint64_t limits[] = { 0, 1, 43 };

static void test_a_cut_anywhere_goes_on_to_the_same_bytes(void **state)
{
    const struct digest recipe = recipe_of("one");

    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        write_whole(state, limits[i], &recipe);
        for (size_t safe = 3; safe <= BYTES; safe++) {
            struct seen seen;
            struct st_writer_settings s =
                settings(state, limits[i], &recipe, &seen);

            write_part(&s, safe, safe + (BYTES - safe) / 2);
            assert_false(file_exists(s.directory));
            check_goes_on(state, &s, whole(safe), whole_bytes(safe));
        }
    }
}

static void test_a_second_cut_is_no_different(void **state)
{
    const struct digest recipe = recipe_of("one");

    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        struct seen seen;
        struct st_writer_settings s =
            settings(state, limits[i], &recipe, &seen);
        struct st_writer *w = NULL;

        write_whole(state, limits[i], &recipe);
        write_part(&s, 3, 20);
        assert_ok(st_writer_new(&s, &layout, &w));
        add(w, 3, 44);
        assert_ok(st_writer_checkpoint(w));
        st_writer_free(w);
        s = settings(state, limits[i], &recipe, &seen);
        check_goes_on(state, &s, 3, 43);
    }
}

static void test_before_a_tensor_is_whole_nothing_stays(void **state)
{
    const struct digest recipe = recipe_of("one");

    for (size_t safe = 0; safe < 3; safe++) {
        struct seen seen;
        const struct st_writer_settings s = settings(state, 0, &recipe, &seen);

        write_part(&s, safe, safe);
        assert_int_equal(st_text_entries(*state), 0);
    }
}

/* All behind the mark is torn: overwritten, and the file cut or too long. */
static void tear(void **state, const char *name, size_t data_from, size_t cut)
{
    AUTO(free_pointer)
    char *path = xasprintf("%s/%s", st_text_path(state, "out.partial"), name);
    FILE *file = fopen(path, "r+be");
    struct stat info;
    long begin;

    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &info), 0);
    begin = (long)info.st_size - BYTES;
    assert_int_equal(fseek(file, begin + (long)data_from, SEEK_SET), 0);
    for (size_t i = data_from; i < BYTES + 5; i++)
        (void)fputc(0xEE, file);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(ftruncate(fileno(file), begin + (long)cut), 0);
    (void)fclose(file);
}

static void test_torn_data_behind_the_checkpoint_does_not_matter(void **state)
{
    static const size_t cuts[] = { 3, 4, 43, BYTES, BYTES + 5 };
    const struct digest recipe = recipe_of("one");

    write_whole(state, 0, &recipe);
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        struct seen seen;
        const struct st_writer_settings s = settings(state, 0, &recipe, &seen);

        write_part(&s, 3, BYTES);
        tear(state, "model.safetensors", 3, cuts[i]);
        check_goes_on(state, &s, 1, 3);
    }
}

/* What is there is of no use: it is said, and all is written again. */
static void check_begins_anew(void **state, const struct st_writer_settings *s,
                              const char *words)
{
    struct st_writer *w = NULL;

    assert_ok(st_writer_new(s, &layout, &w));
    assert_int_equal(st_writer_done(w), 0);
    if (words == NULL) {
        assert_null(st_writer_anew(w));
    } else {
        assert_non_null(st_writer_anew(w));
        assert_non_null(strstr(st_writer_anew(w), words));
    }
    finish(w, 0);
    check_same(s->directory, st_text_path(state, "whole"));
    assert_ok(file_remove_tree(s->directory));
    assert_int_equal(st_text_entries(*state), 1);
}

static void test_another_recipe_begins_anew(void **state)
{
    const struct digest one = recipe_of("one");
    const struct digest two = recipe_of("two");
    struct seen seen;
    struct st_writer_settings s = settings(state, 0, &one, &seen);

    write_whole(state, 0, &two);
    write_part(&s, 43, 50);
    s = settings(state, 0, &two, &seen);
    check_begins_anew(state, &s, "another recipe");
}

static void test_another_cut_into_files_begins_anew(void **state)
{
    const struct digest recipe = recipe_of("one");
    struct seen seen;
    struct st_writer_settings s = settings(state, 1, &recipe, &seen);

    write_whole(state, 0, &recipe);
    write_part(&s, 43, 50);
    s = settings(state, 0, &recipe, &seen);
    check_begins_anew(state, &s, "another recipe or layout");
}

static void write_journal(void **state, const char *text)
{
    st_text_write_plain(st_text_path(state, "out.partial/partial.json"), text,
                        strlen(text));
}

static void test_a_journal_that_cannot_be_read_begins_anew(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"sinter_partial\": 2}",
        "{\"sinter_partial\": 1}",
        "{\"sinter_partial\": 1, \"tensors\": 1, \"plan\": \"x\"}",
    };
    const struct digest recipe = recipe_of("one");

    write_whole(state, 0, &recipe);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct seen seen;
        const struct st_writer_settings s = settings(state, 0, &recipe, &seen);

        write_part(&s, 43, 50);
        write_journal(state, texts[i]);
        check_begins_anew(state, &s, "another recipe");
    }
}

/* The journal of the running directory with another count of tensors. */
static void change_count(void **state, int64_t tensors)
{
    const char *path = st_text_path(state, "out.partial/partial.json");
    AUTO(json_release) json_t *journal = NULL;
    AUTO(free_pointer) char *text = NULL;

    assert_ok(json_parse_file(path, 4096, &journal));
    (void)json_object_set_new(journal, "tensors", json_integer(tensors));
    text = json_pretty(journal);
    write_journal(state, text);
}

static void test_a_journal_that_lies_begins_anew(void **state)
{
    static const struct {
        int64_t tensors;
        const char *words;
    } rows[] = { { 0, "not what" }, { 1, "not what" },       { 2, "not what" },
                 { 4, "not what" }, { 5, "not what" },       { 6, "not what" },
                 { -1, "another" }, { INT64_MAX, "another" } };
    const struct digest recipe = recipe_of("one");

    for (size_t k = 0; k < COUNT_OF(limits); k++) {
        write_whole(state, limits[k], &recipe);
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct seen seen;
            const struct st_writer_settings s =
                settings(state, limits[k], &recipe, &seen);

            write_part(&s, 43, 50);
            change_count(state, rows[i].tensors);
            check_begins_anew(state, &s, rows[i].words);
        }
    }
}

static void test_damage_before_the_mark_begins_anew(void **state)
{
    const struct digest recipe = recipe_of("one");
    struct seen seen;
    struct st_writer_settings s = settings(state, 0, &recipe, &seen);

    write_whole(state, 0, &recipe);
    write_part(&s, 43, 50);
    tear(state, "model.safetensors", 42, BYTES);
    check_begins_anew(state, &s, "not what their journal says");
    s = settings(state, 0, &recipe, &seen);
    write_part(&s, 43, 50);
    tear(state, "model.safetensors", BYTES, 30);
    check_begins_anew(state, &s, "not what their journal says");
    s = settings(state, 0, &recipe, &seen);
    write_part(&s, 43, 50);
    assert_int_equal(
        unlink(st_text_path(state, "out.partial/model.safetensors")), 0);
    check_begins_anew(state, &s, "not what their journal says");
}

/* Killed before the first checkpoint, or between the removal of the journal
 * and the rename: files without a journal. */
static void test_files_without_a_journal_are_written_again(void **state)
{
    const struct digest recipe = recipe_of("one");
    struct seen seen;
    const struct st_writer_settings s = settings(state, 0, &recipe, &seen);

    write_whole(state, 0, &recipe);
    write_part(&s, 43, BYTES);
    assert_int_equal(unlink(st_text_path(state, "out.partial/partial.json")),
                     0);
    check_begins_anew(state, &s, NULL);
}

static void test_files_of_a_former_try_do_not_stay(void **state)
{
    const struct digest recipe = recipe_of("one");
    struct seen seen;
    struct st_writer_settings s = settings(state, 0, &recipe, &seen);
    struct st_writer *w = NULL;

    write_whole(state, 0, &recipe);
    assert_ok(st_writer_new(&s, &layout, &w));
    add(w, 0, 43);
    assert_ok(st_writer_add_file(w, "config.json", "old", 3));
    assert_ok(st_writer_add_file(w, "stray.json", "old", 3));
    assert_ok(st_writer_checkpoint(w));
    st_writer_free(w);
    st_text_write_plain(st_text_path(state, "out.partial/partial.json.9.part"),
                        "x", 1);
    s = settings(state, 0, &recipe, &seen);
    check_goes_on(state, &s, 3, 43);
}

static void test_a_directory_has_one_writer(void **state)
{
    const struct digest recipe = recipe_of("one");
    struct seen seen;
    const struct st_writer_settings s = settings(state, 0, &recipe, &seen);
    struct st_writer *first = NULL;
    struct st_writer *second = NULL;

    write_whole(state, 0, &recipe);
    assert_ok(st_writer_new(&s, &layout, &first));
    add(first, 0, 10);
    assert_fails(st_writer_new(&s, &layout, &second), STATUS_UNAVAILABLE,
                 "being written by another process");
    assert_null(second);
    finish(first, 10);
    check_same(s.directory, st_text_path(state, "whole"));
    assert_fails(st_writer_new(&s, &layout, &second), STATUS_INVALID,
                 "exists; name another");
    assert_int_equal(st_text_entries(*state), 2);
}

static void test_an_end_while_reading_again_loses_nothing(void **state)
{
    const struct digest recipe = recipe_of("one");
    struct seen seen;
    struct st_writer_settings s = settings(state, 0, &recipe, &seen);
    struct st_writer *w = NULL;

    write_whole(state, 0, &recipe);
    write_part(&s, 43, 50);
    seen.refuse = true;
    assert_fails(st_writer_new(&s, &layout, &w), STATUS_CANCELLED, "no more");
    s = settings(state, 0, &recipe, &seen);
    check_goes_on(state, &s, 3, 43);
}

/* A file size limit stands in for a disk that fills up. */
static void test_a_disk_that_fills_up_loses_nothing(void **state)
{
    const struct digest recipe = recipe_of("one");
    AUTO(free_pointer) char *large = xcalloc(1, 1 << 16);
    struct seen seen;
    struct st_writer_settings s = settings(state, 0, &recipe, &seen);
    struct st_writer *w = NULL;
    struct rlimit old;
    struct rlimit low;

    write_whole(state, 0, &recipe);
    assert_ok(st_writer_new(&s, &layout, &w));
    add(w, 0, 43);
    assert_ok(st_writer_checkpoint(w));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old;
    low.rlim_cur = 4096;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    assert_fails(st_writer_add_file(w, "tokenizer.json", large, 1 << 16),
                 STATUS_NO_SPACE, "tokenizer.json");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    st_writer_free(w);
    s = settings(state, 0, &recipe, &seen);
    check_goes_on(state, &s, 3, 43);
}

static void test_more_than_the_disk_holds_is_said_at_once(void **state)
{
    const struct digest recipe = recipe_of("one");
    const struct tensor huge = { .name = "a",
                                 .dtype = DTYPE_U8,
                                 .rank = 1,
                                 .shape = { UINT64_C(1) << 55 },
                                 .count = UINT64_C(1) << 55 };
    const struct tensor_set set = { 1, &huge };
    struct seen seen;
    const struct st_writer_settings s = settings(state, 0, &recipe, &seen);
    struct st_writer *w = NULL;

    assert_fails(st_writer_new(&s, &set, &w), STATUS_NO_SPACE,
                 "more bytes, the disk has");
    assert_int_equal(st_text_entries(*state), 0);
}

static void test_names_of_our_own_are_refused(void **state)
{
    static const char *const names[] = { "SHA256SUMS", "partial.json",
                                         "model.safetensors", "a\nb", "a\\b" };
    const struct digest recipe = recipe_of("one");
    struct seen seen;
    const struct st_writer_settings s = settings(state, 0, &recipe, &seen);
    struct st_writer *w = NULL;

    assert_ok(st_writer_new(&s, &layout, &w));
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_fails(st_writer_add_file(w, names[i], "", 0), STATUS_INVALID,
                     "can be added");
    st_writer_free(w);
}

#define WITH_DIRECTORY(test) \
    cmocka_unit_test_setup_teardown(test, st_text_setup, st_text_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(test_a_cut_anywhere_goes_on_to_the_same_bytes),
        WITH_DIRECTORY(test_a_second_cut_is_no_different),
        WITH_DIRECTORY(test_before_a_tensor_is_whole_nothing_stays),
        WITH_DIRECTORY(test_torn_data_behind_the_checkpoint_does_not_matter),
        WITH_DIRECTORY(test_another_recipe_begins_anew),
        WITH_DIRECTORY(test_another_cut_into_files_begins_anew),
        WITH_DIRECTORY(test_a_journal_that_cannot_be_read_begins_anew),
        WITH_DIRECTORY(test_a_journal_that_lies_begins_anew),
        WITH_DIRECTORY(test_damage_before_the_mark_begins_anew),
        WITH_DIRECTORY(test_files_without_a_journal_are_written_again),
        WITH_DIRECTORY(test_files_of_a_former_try_do_not_stay),
        WITH_DIRECTORY(test_a_directory_has_one_writer),
        WITH_DIRECTORY(test_an_end_while_reading_again_loses_nothing),
        WITH_DIRECTORY(test_a_disk_that_fills_up_loses_nothing),
        WITH_DIRECTORY(test_more_than_the_disk_holds_is_said_at_once),
        WITH_DIRECTORY(test_names_of_our_own_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
