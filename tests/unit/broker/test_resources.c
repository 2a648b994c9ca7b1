/* What jobs ask for and workers have; what is said when they have not. */
#include "support/test.h"

#include "broker/core/order.h"
#include "broker/core/resources.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

static const char kind[] = "evaluate.noop";

struct shop {
    struct sched s;
    struct session workers[3];
    size_t count;
};

static void add(struct shop *shop, const char *labels, uint64_t slots,
                uint64_t cpus, int64_t memory)
{
    struct session *w = &shop->workers[shop->count++];

    *w = (struct session){
        .sched = &shop->s, .slots = slots, .cpus = cpus, .memory_bytes = memory
    };
    w->labels = xstrdup(labels);
    (void)map_put(shop->s.sessions, &shop->count, sizeof shop->count, w);
}

static struct shop *shop_new(void)
{
    struct shop *shop = xnew(struct shop);

    shop->s.sessions = map_new();
    return shop;
}

static void shop_free(struct shop *shop)
{
    for (size_t i = 0; i < shop->count; i++) {
        resources_forget(&shop->workers[i]);
        free(shop->workers[i].labels);
    }
    resources_free_all(&shop->s);
    map_free(shop->s.sessions);
    free(shop);
}

static void expect(struct shop *shop, struct group g, const char *obstacle)
{
    AUTO(free_pointer) char *said = NULL;
    bool any = false;

    g.kind = kind;
    said = resources_obstacle(&shop->s, &g);
    for (size_t i = 0; i < shop->count; i++) {
        bool serves = resources_serve(&shop->workers[i], &g);

        assert_int_equal(serves, resources_has(&shop->workers[i], &g));
        assert_int_equal(serves, resources_serve(&shop->workers[i], &g));
        any = any || serves;
    }
    if (obstacle == NULL)
        assert_null(said);
    else
        assert_string_equal(said, obstacle);
    assert_int_equal(any, obstacle == NULL);
}

static void test_all_that_is_asked_for_must_be_there(void **state)
{
    struct shop *shop = shop_new();

    (void)state;
    add(shop, "zone=a disk=ssd", 4, 8, 1 << 30);
    add(shop, "zone=b", 2, 2, INT64_C(4) << 30);
    expect(shop, (struct group){ 0 }, NULL);
    expect(shop, (struct group){ .labels = "disk=ssd,zone=a", .cpus = 8 },
           NULL);
    expect(shop, (struct group){ .labels = "disk=ssd,zone=b" },
           "a evaluate.noop job asks for a worker with the labels "
           "disk=ssd,zone=b, and none that can run it has disk=ssd");
    expect(shop, (struct group){ .labels = "zone" },
           "a evaluate.noop job asks for a worker with the labels zone, and "
           "none that can run it has zone");
    expect(shop, (struct group){ .cpus = 9 },
           "a evaluate.noop job asks for 9 cpus, the largest worker has 8");
    expect(shop, (struct group){ .labels = "zone=b", .cpus = 8 },
           "a evaluate.noop job asks for 8 cpus, the largest worker with its "
           "labels has 2");
    expect(shop, (struct group){ .memory_bytes = INT64_C(8) << 30 },
           "a evaluate.noop job asks for 8192 MiB of memory, the largest "
           "worker has 4096 MiB");
    expect(shop, (struct group){ .memory_bytes = INT64_C(2) << 30, .cpus = 4 },
           "a evaluate.noop job asks for 2048 MiB of memory, the largest "
           "worker that has the rest has 1024 MiB");
    shop_free(shop);
}

static void test_closed_workers_are_said(void **state)
{
    struct shop *shop = shop_new();
    const struct group g = { .kind = kind };
    AUTO(free_pointer) char *said = NULL;

    (void)state;
    add(shop, "", 1, 0, 0);
    shop->workers[0].cordoned = true;
    said = resources_obstacle(&shop->s, &g);
    assert_string_equal(
        said, "every worker that can run evaluate.noop is cordoned or drains; "
              "`sinter workers --uncordon NAME` opens a cordoned one");
    shop_free(shop);
}

static void test_cpus_are_worth_slots(void **state)
{
    static const struct {
        uint64_t slots, cpus;
        int64_t asked;
        uint64_t takes;
    } rows[] = {
        { 8, 8, 0, 1 }, { 8, 8, 1, 1 },  { 8, 8, 3, 3 },  { 8, 8, 8, 8 },
        { 2, 8, 4, 1 }, { 2, 8, 5, 2 },  { 2, 8, 99, 2 }, { 4, 0, 3, 3 },
        { 8, 4, 2, 4 }, { 1, 16, 7, 1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct session w = { .slots = rows[i].slots,
                                   .cpus = rows[i].cpus };

        assert_int_equal(resources_slots(&w, rows[i].asked), rows[i].takes);
    }
}

/* Whatever comes and goes, the smallest is first. */
static void test_an_order_is_in_order(void **state)
{
    enum { ENTRIES = 50 };
    struct order_entry entries[ENTRIES] = { { 0 } };
    struct order o = { 0 };
    uint32_t chance = 1;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        struct order_entry *e;

        chance = chance * 1664525U + 1013904223U;
        e = &entries[(chance >> 8) % ENTRIES];
        if (e->place != 0) {
            order_remove(&o, e);
        } else {
            e->key = (chance >> 16) % 7;
            e->tie = (uint64_t)i;
            order_add(&o, e);
        }
        for (size_t k = 0; k < o.count; k++) {
            assert_int_equal(o.items[k]->place, k + 1);
            assert_false(order_before(o.items[k], order_first(&o)));
        }
    }
    order_release(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_is_asked_for_must_be_there),
        cmocka_unit_test(test_closed_workers_are_said),
        cmocka_unit_test(test_cpus_are_worth_slots),
        cmocka_unit_test(test_an_order_is_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
