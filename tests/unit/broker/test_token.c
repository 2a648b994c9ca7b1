#include "broker/token.h"
#include "common/file.h"
#include "common/macros.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READER "read-0123456789abcdef"
#define WRITER "write-0123456789abcdef"

static char path[64];

static int make_file(void **state)
{
    int fd;

    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/sinter-token-XXXXXX");
    fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static struct status load(const char *text, struct token_list **ret_list)
{
    assert_ok(file_write(path, text, strlen(text)));
    assert_int_equal(chmod(path, 0600), 0);
    return token_list_load(path, ret_list);
}

static void test_headers_are_judged(void **state)
{
    static const struct {
        const char *header;
        enum token_right right;
    } rows[] = {
        { NULL, TOKEN_NONE },
        { "", TOKEN_NONE },
        { "Bearer", TOKEN_NONE },
        { "Bearer ", TOKEN_NONE },
        { READER, TOKEN_NONE },
        { "Basic " READER, TOKEN_NONE },
        { "Bearer " READER, TOKEN_READ },
        { "bearer  " READER " ", TOKEN_READ },
        { "Bearer " READER " x", TOKEN_NONE },
        { "Bearer " READER "x", TOKEN_NONE },
        { "Bearer read", TOKEN_NONE },
        { "Bearer " WRITER, TOKEN_WRITE },
        { "Bearer lonely-0123456789abcdef", TOKEN_WRITE },
        { "Bearer #notes-0123456789abcdef", TOKEN_NONE },
    };
    struct token_list *list = NULL;

    (void)state;
    assert_ok(load("#notes-0123456789abcdef\n\nread " READER "\r\n"
                   "  write\t" WRITER "\nlonely-0123456789abcdef",
                   &list));
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(token_judge(list, rows[i].header), rows[i].right);
    token_list_free(list);
}

static void test_files_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        { "", "no token" },
        { "# nothing\n\n", "no token" },
        { "read short\n", "guessed" },
        { "write\n", "guessed" },
        { "admin 0123456789abcdef0123\n", "read TOKEN" },
        { "read 0123456789abcdef0123 more\n", "read TOKEN" },
    };
    struct token_list *list = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct status st = load(rows[i].text, &list);

        assert_fails(st, STATUS_INVALID, rows[i].words);
        assert_null(strstr(st.message, "0123456789")); /* tells no secret */
    }
}

static void test_file_for_all_eyes_is_refused(void **state)
{
    struct token_list *list = NULL;

    (void)state;
    assert_ok(load(WRITER, &list));
    token_list_free(list);
    assert_int_equal(chmod(path, 0644), 0);
    assert_fails(token_list_load(path, &list), STATUS_DENIED, "chmod 600");
    assert_fails(token_list_load("/no/such/file", &list), STATUS_NOT_FOUND,
                 "/no/such/file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_are_judged),
        cmocka_unit_test(test_files_that_make_no_sense_are_refused),
        cmocka_unit_test(test_file_for_all_eyes_is_refused),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
