/* A sweep of a million points: they are not stored, only counted. */
#include "support/test.h"
#include "tests/sim/farm.h"

#include "common/memory.h"

#include <malloc.h>

enum {
    SIDE = 1000, /* squared */
    DONE = 100,
    POINT_BYTES = 32, /* at most, of one that waits */
};

/* What is allocated. Sanitizers have an allocator of their own, which does not
 * say. */
static size_t taken(void)
{
    const struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

/* A grid of `side` x `side` points that share a stage; the caller frees. */
static char *document(const char *name, int side)
{
    return xasprintf(
        "{\"sinter\":1,\"name\":\"%s\",\"parameters\":["
        "{\"name\":\"x\",\"from\":1,\"to\":%d,\"count\":%d,\"scale\":"
        "\"linear\"},{\"name\":\"y\",\"from\":1,\"to\":%d,\"count\":%d,"
        "\"scale\":\"linear\"}],\"strategy\":{\"method\":\"grid\"},"
        "\"stages\":[{\"name\":\"base\",\"kind\":\"train\",\"sort\":"
        "\"artifact\",\"variants\":[{\"params\":{\"size\":1}}]}],"
        "\"evaluate\":[{\"name\":\"e\",\"kind\":\"evaluate.noop\","
        "\"variants\":[{\"params\":{\"x\":{\"$param\":\"x\"},\"y\":"
        "{\"$param\":\"y\"},\"model\":{\"$stage\":\"base\"}}}],"
        "\"metrics\":[\"value\"]}]}",
        name, side, side, side, side);
}

/* Bytes that a sweep takes when it is submitted and some of it is done. */
static size_t cost(struct farm *f, const char *name, int side)
{
    AUTO(free_pointer) char *text = document(name, side);
    AUTO(free_pointer) char *base = xasprintf("%s #1 base", name);
    size_t before = taken();

    farm_submit(f, text);
    assert_int_equal(farm_count(f, name, "trials"), side * side);
    farm_hello(f, 0, 4);
    farm_done(f, 0, base);
    for (int i = 1; i <= DONE; i++) {
        AUTO(free_pointer) char *label = xasprintf("%s #%d e", name, i);

        farm_done(f, 0, label);
    }
    assert_int_equal(farm_count(f, name, "done"), DONE);
    return taken() - before;
}

/* So many are jobs at a time, whatever else there is to come. */
static void test_points_that_wait_take_no_room(void **state)
{
    struct farm *small;
    struct farm *large;
    size_t few;
    size_t many;

    (void)state;
    if (taken() == 0)
        skip();
    small = farm_new();
    large = farm_new();
    small->silent = large->silent = true;
    few = cost(small, "few", SIDE / 2);
    many = cost(large, "many", SIDE);
    assert_in_range(many, 0, few + (size_t)POINT_BYTES * (SIDE * SIDE * 3 / 4));
    farm_free(small);
    farm_free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_that_wait_take_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
