#include "broker/zap.h"
#include "common/file.h"
#include "common/memory.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static struct curve_ring *ring;

static int load_ring(void **state)
{
    static const char list[] =
        "worker a " HEX_A "\nclient b " HEX_B "\nadmin c " HEX_C "\n";
    char path[] = "/tmp/sinter-zap-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    assert_ok(file_write(path, list, strlen(list)));
    assert_ok(curve_ring_load(path, &ring));
    return unlink(path);
}

static int free_ring(void **state)
{
    (void)state;
    curve_ring_free(ring);
    return 0;
}

static uint8_t shown[CURVE_BYTES];

/* A good one of the worker `a`. */
static void fill(struct zap_frame frames[ZAP_FRAMES])
{
    static const char *const texts[] = { "1.0",      "1", "sinter.workers",
                                         "10.0.0.7", "",  "CURVE" };

    memset(shown, 0xaa, sizeof shown);
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        frames[i] = (struct zap_frame){ texts[i], strlen(texts[i]) };
    frames[ZAP_FRAMES - 1] = (struct zap_frame){ shown, sizeof shown };
}

static void test_roles_belong_to_sockets(void **state)
{
    static const struct {
        uint8_t key;
        const char *domain, *name;
    } rows[] = {
        { 0xaa, "sinter.workers", "a" },  { 0xaa, "sinter.clients", NULL },
        { 0xbb, "sinter.clients", "b" },  { 0xbb, "sinter.workers", NULL },
        { 0xcc, "sinter.clients", "c" },  { 0xcc, "sinter.workers", NULL },
        { 0xdd, "sinter.clients", NULL }, { 0xdd, "sinter.workers", NULL },
    };
    struct zap_frame frames[ZAP_FRAMES];
    struct zap_request q;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct curve_key *key;

        fill(frames);
        memset(shown, rows[i].key, sizeof shown);
        frames[2] =
            (struct zap_frame){ rows[i].domain, strlen(rows[i].domain) };
        assert_ok(zap_decode(frames, ZAP_FRAMES, &q));
        assert_int_equal(q.address.size, 8);
        key = zap_judge(ring, &q);
        assert_true((key != NULL) == (rows[i].name != NULL));
        if (key != NULL)
            assert_string_equal(key->name, rows[i].name);
    }
}

static void test_what_is_odd_is_refused(void **state)
{
    static const char big[256];
    static const struct {
        size_t frame;
        const char *data;
        size_t size;
        const char *words;
    } rows[] = {
        { 0, "1.1", 3, "version" },   { 0, "", 0, "version" },
        { 1, big, sizeof big, "id" }, { 2, "", 0, "domain" },
        { 2, "sinter", 6, "domain" }, { 2, "sinter.workersx", 15, "domain" },
        { 5, "NULL", 4, "CURVE" },    { 5, "PLAIN", 5, "CURVE" },
        { 6, big, 31, "CURVE" },      { 6, big, 33, "CURVE" },
        { 6, "", 0, "CURVE" },
    };
    struct zap_frame frames[ZAP_FRAMES_MOST] = { { NULL, 0 } };
    struct zap_request q;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        fill(frames);
        frames[rows[i].frame] =
            (struct zap_frame){ rows[i].data, rows[i].size };
        assert_fails(zap_decode(frames, ZAP_FRAMES, &q), STATUS_INVALID,
                     rows[i].words);
        if (rows[i].frame != 6) /* else the key of nobody */
            assert_null(zap_judge(ring, &q));
    }
    fill(frames);
    for (size_t count = 0; count <= 300; count++)
        if (count != ZAP_FRAMES)
            assert_fails(zap_decode(frames, count, &q), STATUS_INVALID,
                         "frames");
}

static void test_key_is_the_user(void **state)
{
    char user[ZAP_USER];
    uint8_t key[CURVE_BYTES];

    (void)state;
    memset(shown, 0xaa, sizeof shown);
    zap_user(shown, user);
    assert_string_equal(user, HEX_A);
    assert_true(zap_user_key(user, key));
    assert_memory_equal(key, shown, sizeof key);
    assert_false(zap_user_key("", key));
    assert_false(zap_user_key("admin", key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles_belong_to_sockets),
        cmocka_unit_test(test_what_is_odd_is_refused),
        cmocka_unit_test(test_key_is_the_user),
    };

    return cmocka_run_group_tests(tests, load_ring, free_ring);
}
