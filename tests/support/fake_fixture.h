/* fake_fixture.h -- a slot of its own for each test of a file, which includes
 * this once: as `fake`, and as what cmocka hands to the test. */
#ifndef SINTER_TESTS_SUPPORT_FAKE_FIXTURE_H
#define SINTER_TESTS_SUPPORT_FAKE_FIXTURE_H

#include "jobs/recipe.h"
#include "support/fake_context.h"

static struct fake_context *fake;

static int set_up(void **state)
{
    *state = fake = fake_context_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    recipe_cache_free(fake->context.cache);
    fake_context_free(fake);
    return 0;
}

#endif
