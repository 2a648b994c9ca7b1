/* noop.c -- an evaluator that needs no model: what tests and bench/dispatch
 * run when they look at the farm and not at its work. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/memory.h"
#include "jobs/job_kind.h"

static const struct catalog_key model_rows[] = {
    { .name = "*", .type = KEY_MODEL, .help = "one of the two" },
    { .name = NULL },
};

static const struct catalog_key keys[] = {
    { .name = "value",
      .type = KEY_NUMBER,
      .otherwise = "0",
      .help = "the number it gives" },
    { .name = "sleep",
      .type = KEY_DURATION,
      .otherwise = "0",
      .help = "how long it takes" },
    { .name = "take",
      .type = KEY_BYTES,
      .otherwise = "0",
      .help = "memory it takes meanwhile" },
    { .name = "models",
      .type = KEY_LIST,
      .keys = model_rows,
      .help = "what it waits for" },
    { .name = "fail",
      .type = KEY_TEXT,
      .help =
          "how it ends instead: failed, unavailable, corrupt, crash, hang" },
    { .name = NULL },
};

static json_t *metrics(const json_t *body)
{
    (void)body;
    return json_pack("[s]", "value");
}

/* In naps, so that a cancel is seen in time. */
static struct status nap(struct job_context *context, int64_t sleep_ms)
{
    enum { NAP_MS = 20, NS_PER_MS = 1000 * 1000 };
    int64_t left = sleep_ms;

    while (left > 0) {
        int64_t now = left < NAP_MS ? left : NAP_MS;
        const struct timespec ts = { .tv_nsec = (long)(now * NS_PER_MS) };

        if (context->cancelled(context->self))
            return FAIL(STATUS_CANCELLED, "noop cancelled");
        (void)nanosleep(&ts, NULL);
        left -= now;
        context->progress(context->self, (uint64_t)(sleep_ms - left),
                          (uint64_t)sleep_ms, "ms");
    }
    return SUCCESS;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    const char *fail = json_text_or(params, "fail", "");
    size_t take = (size_t)json_int_or(params, "take", 0);
    AUTO(free_pointer) char *taken = xcalloc(take + 1, 1);

    memset(taken, 1, take);
    while (strcmp(fail, "hang") == 0)
        (void)pause();
    if (strcmp(fail, "crash") == 0)
        abort();
    TRY_PLAIN(nap(context, json_int_or(params, "sleep", 0)));
    if (fail[0] != '\0')
        return FAIL(status_find(fail), "noop was told to fail with \"%s\"",
                    fail);
    *ret_result = json_pack("{s:{s:f}}", "metrics", "value",
                            json_real_or(params, "value", 0.0));
    return SUCCESS;
}

extern const struct job_kind job_evaluate_noop;
const struct job_kind job_evaluate_noop = {
    .catalog = { .name = "evaluate.noop",
                 .summary = "gives a number without any work",
                 .example = "value: 3\nsleep: 5ms\n",
                 .sort = STAGE_VALUE,
                 .keys = keys,
                 .metrics = metrics },
    .run = run,
};
