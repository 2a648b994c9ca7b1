/* What is shown of sweeps, how often, and what follows when it is lost. */
#include "broker/progress.h"
#include "common/clock.h"
#include "common/memory.h"
#include "support/test.h"
#include "tests/sim/farm.h"

#include <stdlib.h>
#include <string.h>

/* A store that keeps the last view of one sweep as "name=value ". */
struct board {
    char text[512];
    size_t views;
    bool broken;
};

static bool view(void *self, const char *sweep,
                 const struct store_field *fields, size_t count)
{
    struct board *b = self;

    b->views++;
    b->text[0] = '\0';
    assert_int_equal(strncmp(sweep, "s-", 2), 0);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(b->text);

        if (strcmp(fields[i].name, "rate") != 0 &&
            strcmp(fields[i].name, "updated") != 0)
            (void)snprintf(b->text + size, sizeof b->text - size, "%s=%s ",
                           fields[i].name, fields[i].value);
    }
    return !b->broken;
}

static void look(struct progress *p, const struct farm *f, struct board *b)
{
    const struct store store = { .self = b, .view = view };

    progress_show(p, f->sched, &store,
                  (struct sched_time){ .now = f->now_ms * NS_PER_MS,
                                       .wall_ms = f->now_ms });
}

static void test_view_follows_the_sweep(void **state)
{
    struct farm *f = farm_new();
    AUTO(free_pointer) char *document = farm_document("two", 2, "");
    struct progress *p = progress_new();
    struct board b = { .views = 0 };

    (void)state;
    look(p, f, &b);
    assert_int_equal(b.views, 0);
    farm_submit(f, document);
    farm_advance(f, 200);
    look(p, f, &b);
    assert_string_equal(b.text, "name=two state=running total=2 done=0 "
                                "failed=0 cancelled=0 running=0 ");
    farm_hello(f, 0, 4);
    farm_advance(f, 10000);
    farm_done(f, 0, "two #1 base");
    farm_advance(f, 1);
    farm_done_with(f, 0, "two #2 e", 7);
    look(p, f, &b);
    assert_string_equal(b.text,
                        "name=two state=running total=2 done=1 failed=0 "
                        "cancelled=0 running=1 best=7 best_trial=2 ");
    assert_int_equal(b.views, 2);
    farm_ask(f, "pause", "{\"sweep\": \"two\"}");
    look(p, f, &b); /* too soon after the last */
    assert_int_equal(b.views, 2);
    farm_advance(f, 200);
    look(p, f, &b);
    assert_non_null(strstr(b.text, "state=paused"));
    farm_advance(f, 200);
    look(p, f, &b); /* nothing new */
    assert_int_equal(b.views, 3);
    progress_free(p);
    farm_free(f);
}

/* All is shown again once views can be shown again. */
static void test_lost_views_are_made_good(void **state)
{
    struct farm *f = farm_new();
    AUTO(free_pointer) char *one = farm_document("one", 1, "");
    AUTO(free_pointer) char *two = farm_document("two", 2, "");
    struct progress *p = progress_new();
    struct board b = { .views = 0 };

    (void)state;
    farm_submit(f, one);
    farm_submit(f, two);
    farm_advance(f, 200);
    look(p, f, &b);
    assert_int_equal(b.views, 2);
    b.broken = true;
    farm_ask(f, "cancel", "{\"sweep\": \"two\"}");
    farm_advance(f, 200);
    look(p, f, &b);
    assert_int_equal(b.views, 3);
    b.broken = false;
    farm_advance(f, 200);
    look(p, f, &b);
    assert_int_equal(b.views, 5);
    assert_non_null(strstr(b.text, "state=cancelled"));
    progress_free(p);
    farm_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_follows_the_sweep),
        cmocka_unit_test(test_lost_views_are_made_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
