#include "support/test.h"

#include "common/digest.h"
#include "common/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* FIPS 180-4 and its published examples. */
static const struct {
    const char *text;
    const char *digest;
} known[] = {
    { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc",
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

static void test_known_answers(void **state)
{
    char text[DIGEST_TEXT];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        struct digest d = digest_of(known[i].text, strlen(known[i].text));

        digest_to_text(&d, text);
        assert_string_equal(text, known[i].digest);
    }
}

static void test_a_stream_gives_what_the_whole_gives(void **state)
{
    struct digest_stream *s = digest_begin();
    struct digest whole;
    struct digest parts;

    (void)state;
    for (const char *c = known[2].text; *c != '\0'; c++)
        digest_add(s, c, 1);
    parts = digest_end(s);
    whole = digest_of(known[2].text, strlen(known[2].text));
    assert_true(digest_equal(&whole, &parts));
    parts.bytes[31] ^= 1;
    assert_false(digest_equal(&whole, &parts));
}

static void test_one_stream_makes_many_digests(void **state)
{
    struct digest_stream *s = digest_begin();
    struct digest_stream *start = digest_begin();
    struct digest whole = digest_of("abcd", 4);
    struct digest empty = digest_of("", 0);

    (void)state;
    digest_add(start, "ab", 2);
    for (int i = 0; i < 3; i++) {
        struct digest d;

        digest_copy(s, start);
        digest_add(s, "cd", 2);
        d = digest_stop(s);
        assert_true(digest_equal(&d, &whole));
        digest_again(s);
        d = digest_stop(s);
        assert_true(digest_equal(&d, &empty));
    }
    (void)digest_end(start);
    (void)digest_end(s);
}

static void test_a_file_is_hashed_to_its_end(void **state)
{
    char path[] = "/tmp/sinter-digest-XXXXXX";
    int fd = mkstemp(path);
    size_t size = 200 * 1000 + 1;
    char *data = calloc(1, size);
    struct digest whole = digest_of(data, size);
    struct digest file;

    (void)state;
    assert_true(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    assert_ok(digest_of_file(path, &file));
    assert_true(digest_equal(&whole, &file));
    (void)close(fd);
    (void)unlink(path);
    free(data);
    assert_fails(digest_of_file(path, &file), STATUS_NOT_FOUND, path);
}

static void test_only_64_hex_digits_are_a_digest(void **state)
{
    struct digest d;
    struct digest e;
    char text[DIGEST_TEXT + 1];

    (void)state;
    assert_true(digest_from_text(known[1].digest, &d));
    digest_to_text(&d, text);
    assert_string_equal(text, known[1].digest);
    for (size_t i = 0; i < 64; i++)
        if (text[i] >= 'a')
            text[i] = (char)(text[i] - 'a' + 'A');
    assert_true(digest_from_text(text, &e));
    assert_true(digest_equal(&d, &e));
    text[64] = '0';
    text[65] = '\0';
    assert_false(digest_from_text(text, &e));
    text[63] = '\0';
    assert_false(digest_from_text(text, &e));
    assert_false(digest_from_text("", &e));
    memcpy(text, known[1].digest, 65);
    text[10] = 'g';
    assert_false(digest_from_text(text, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_a_stream_gives_what_the_whole_gives),
        cmocka_unit_test(test_one_stream_makes_many_digests),
        cmocka_unit_test(test_a_file_is_hashed_to_its_end),
        cmocka_unit_test(test_only_64_hex_digits_are_a_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
