/* tokenizer_fixture.h -- a slot of its own and the tokenizer of
 * tiny_tokenizer.h for each test of a file, which includes this once. */
#ifndef SINTER_TESTS_SUPPORT_TOKENIZER_FIXTURE_H
#define SINTER_TESTS_SUPPORT_TOKENIZER_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "support/fake_context.h"
#include "support/test.h"
#include "support/tiny_tokenizer.h"

static struct fake_context *fake;
static struct tokenizer *gpt2;

static int set_up(void **state)
{
    json_t *json = tiny_tokenizer();
    char *text = json_canonical(json);

    (void)state;
    fake = fake_context_new();
    assert_ok(tokenizer_parse(text, strlen(text), "tokenizer.json", &gpt2));
    json_decref(json);
    free(text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_context_free(fake);
    tokenizer_free(gpt2);
    return 0;
}

#endif
