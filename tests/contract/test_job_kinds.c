/* Every kind of job keeps the contract of jobs/job_kind.h. That each example
 * compiles is tests/contract/test_spec_good.c. */
#include "support/test.h"

#include "jobs/job_kind.h"

/* Names are unique along the keys of one map. */
static void check_names(const struct catalog_key *keys)
{
    for (const struct catalog_key *a = keys; a->name != NULL; a++) {
        for (const struct catalog_key *b = a + 1; b->name != NULL; b++) {
            if (strcmp(a->name, b->name) == 0)
                fail_msg("key %s stands twice", a->name);
        }
    }
}

static void check_default(const struct catalog_key *key)
{
    json_t *wrapped;
    char text[1024];

    if (key->otherwise == NULL)
        return;
    assert_false(key->required);
    (void)snprintf(text, sizeof text, "[%s]", key->otherwise);
    assert_ok(json_parse(text, strlen(text), key->name, &wrapped));
    json_decref(wrapped);
}

static void check_type(const struct catalog_key *key)
{
    static const enum key_type nested[] = { KEY_MAP, KEY_MAP_OF, KEY_LIST };

    if (key->type == KEY_WORD)
        assert_non_null(key->words);
    assert_true(key->least <= key->most);
    for (size_t i = 0; i < COUNT_OF(nested); i++) {
        if (key->type == nested[i])
            assert_non_null(key->keys);
    }
}

/* Deeper than any kind needs; a table that refers to itself ends here. */
enum { DEPTH = 9 };

static void check_keys(const struct catalog_key *keys, int depth)
{
    assert_true(depth < DEPTH);
    check_names(keys);
    for (const struct catalog_key *key = keys; key->name != NULL; key++) {
        if (key->help == NULL || key->help[0] == '\0')
            fail_msg("key %s has no help", key->name);
        assert_null(strchr(key->help, '\n'));
        check_default(key);
        check_type(key);
        if (key->keys != NULL)
            check_keys(key->keys, depth + 1);
    }
}

static void test_keys_are_whole(void **state)
{
    (void)state;
    for (const struct job_kind *const *kind = job_kinds; *kind != NULL;
         kind++) {
        assert_non_null((*kind)->catalog.keys);
        check_keys((*kind)->catalog.keys, 0);
    }
}

static void test_names_are_unique_and_found(void **state)
{
    (void)state;
    for (const struct job_kind *const *kind = job_kinds; *kind != NULL;
         kind++) {
        const struct catalog_kind *c = &(*kind)->catalog;

        assert_ptr_equal(job_kind_find(c->name), *kind);
        assert_ptr_equal(catalog_find(job_catalog(), c->name), c);
        assert_non_null(c->summary);
    }
    assert_null(job_kind_find("nothing"));
}

static void test_what_is_scheduled_runs_and_what_is_lazy_does_not(void **state)
{
    (void)state;
    for (const struct job_kind *const *kind = job_kinds; *kind != NULL;
         kind++) {
        if ((*kind)->catalog.sort == STAGE_LAZY)
            assert_null((*kind)->run);
        else
            assert_non_null((*kind)->run);
    }
}

static void test_evaluators_name_their_metrics_and_lazy_kinds_none(void **state)
{
    (void)state;
    for (const struct job_kind *const *kind = job_kinds; *kind != NULL;
         kind++) {
        if ((*kind)->catalog.sort == STAGE_VALUE)
            assert_non_null((*kind)->catalog.metrics);
        else if ((*kind)->catalog.sort == STAGE_LAZY)
            assert_null((*kind)->catalog.metrics);
    }
}

static bool has_key(const struct catalog_kind *kind, const char *name)
{
    for (const struct catalog_key *key = kind->keys; key->name != NULL; key++) {
        if (strcmp(key->name, name) == 0)
            return true;
    }
    return false;
}

static void test_structural_keys_are_keys_of_the_body(void **state)
{
    (void)state;
    for (const struct job_kind *const *kind = job_kinds; *kind != NULL;
         kind++) {
        const char *const *names = (*kind)->catalog.structural;

        for (; names != NULL && *names != NULL; names++)
            assert_true(has_key(&(*kind)->catalog, *names));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_whole),
        cmocka_unit_test(test_names_are_unique_and_found),
        cmocka_unit_test(test_what_is_scheduled_runs_and_what_is_lazy_does_not),
        cmocka_unit_test(
            test_evaluators_name_their_metrics_and_lazy_kinds_none),
        cmocka_unit_test(test_structural_keys_are_keys_of_the_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
