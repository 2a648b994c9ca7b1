/* A whole sweep file with the kinds of jobs/: what compiles is read again by
 * the broker's side, what does not has problems that can be printed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "sweep/compiled.h"
#include "sweep/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print(const struct spec_problems *problems,
                  const struct spec_input *input)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    assert(problems->count > 0);
    for (size_t i = 0; i < problems->count; i++) {
        json_t *json = spec_problem_json(&problems->items[i], input);

        assert(json != NULL);
        json_decref(json);
        spec_print_problem(&problems->items[i], input, i % 2 == 0, out);
    }
    (void)fclose(out);
    free(text);
}

static void run(const json_t *document)
{
    AUTO(free_pointer) char *text = json_canonical(document);
    struct compiled *c = NULL;
    struct status st = compiled_parse(text, strlen(text), &c);
    struct stage_jobs jobs;
    json_t *values = NULL;
    bool excluded;

    assert(!status_failed(&st));
    st = compiled_trial(c, compiled_trial_count(c) - 1, &values, &excluded);
    assert(!status_failed(&st));
    st = compiled_stages(c, values, &jobs);
    if (!status_failed(&st))
        stage_jobs_release(&jobs);
    json_decref(values);
    compiled_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct spec_input input = { .file = "fuzz.yaml",
                                      .text = (const char *)data,
                                      .size = size,
                                      .directory = "/data" };
    struct spec_problems problems;
    json_t *document = NULL;
    struct status st =
        spec_compile(&input, job_catalog(), &document, &problems);

    if (status_failed(&st))
        print(&problems, &input);
    else
        run(document);
    json_decref(document);
    return 0;
}
