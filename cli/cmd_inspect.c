#include "cli/command.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect_report.h"
#include "cli/inspect_stage.h"
#include "cli/interrupt.h"
#include "cli/model_store.h"
#include "common/memory.h"
#include "tensor/safetensors.h"

enum { GIVE_UP_MS = 20 * 1000 };

struct inspect_settings {
    struct inspect_stage stage;
    const char *base, *svg;
    int64_t threads;
    bool tensors;
};

#define AT(member) offsetof(struct inspect_settings, member)
static const struct option options[] = {
    { .name = "base",
      .type = OPTION_TEXT,
      .offset = AT(base),
      .value = "MODEL",
      .help = "What the models were fine-tuned from: compare them with it" },
    { .name = "tensors",
      .letter = 't',
      .type = OPTION_SWITCH,
      .offset = AT(tensors),
      .help = "A row for each tensor instead of each layer" },
    { .name = "svg",
      .type = OPTION_TEXT,
      .offset = AT(svg),
      .value = "FILE",
      .help = "Draw the norms of the task vectors as a heat map, or the "
              "samples of a selection" },
    { .name = "stage",
      .type = OPTION_TEXT,
      .offset = AT(stage.name),
      .value = "NAME",
      .help = "Of the trial MODEL: what its stage NAME selected" },
    { .name = "output",
      .letter = 'o',
      .type = OPTION_TEXT,
      .offset = AT(stage.output),
      .value = "DIR",
      .help = "Keep the files of that stage" },
    { .name = "threads",
      .letter = 'j',
      .type = OPTION_NUMBER,
      .offset = AT(threads),
      .otherwise = "1",
      .least = 1,
      .most = 256,
      .value = "N",
      .help = "Tensors looked at at once" },
    { .name = NULL },
};
#undef AT

/* A model and what was counted in it. */
struct opened {
    struct st_model *files;
    struct inspect_counts *counts;
    struct inspect_model model;
};

struct job {
    struct model_store store;
    struct opened base;
    struct opened *models;
    size_t count;
    struct inspect_diff diff;
    json_t *reports, *warnings;
    json_t *base_report, *compared; /* NULL: no base */
};

static void opened_release(struct opened *o)
{
    st_model_close(o->files);
    free(o->counts);
}

static void job_release(struct job *j)
{
    inspect_diff_release(&j->diff);
    for (size_t i = 0; i < j->count; i++)
        opened_release(&j->models[i]);
    opened_release(&j->base);
    model_store_release(&j->store);
    free(j->models);
    json_decref(j->reports);
    json_decref(j->warnings);
    json_decref(j->base_report);
    json_decref(j->compared);
}

static bool cancelled(void *self)
{
    (void)self;
    return interrupt_seen();
}

static struct inspect_runtime runtime_of(const struct cli *cli)
{
    const struct inspect_settings *settings = cli->settings;

    return (struct inspect_runtime){ .threads = (uint64_t)settings->threads,
                                     .cancelled = cancelled };
}

/* The last part of a path that has one. */
static const char *short_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL || slash[1] == '\0' ? path : slash + 1;
}

/* A short label if no other model has the same. */
static void set_label(struct job *j, struct opened *o)
{
    const char *name = short_name(o->model.path);
    size_t alike = 0;

    if (j->base.files != NULL)
        alike += strcmp(short_name(j->base.model.path), name) == 0;
    for (size_t i = 0; i < j->count; i++)
        alike += strcmp(short_name(j->models[i].model.path), name) == 0;
    o->model.label = alike > 1 ? o->model.path : name;
}

MUST_CHECK static struct status open_model(const struct cli *cli, struct job *j,
                                           const char *path, struct opened *o)
{
    const struct inspect_runtime runtime = runtime_of(cli);
    const char *here;

    o->model.path = path;
    TRY_PLAIN(model_store_path(&j->store, path, &here));
    TRY_PLAIN(st_model_open(here, &o->files));
    o->model.set = st_model_tensors(o->files);
    o->counts = xcalloc(o->model.set->count + 1, sizeof *o->counts);
    o->model.counts = o->counts;
    TRY(inspect_set(o->model.set, &runtime, o->counts), "%s", path);
    return SUCCESS;
}

/* The base may stand among the models, as in a merge's list. */
MUST_CHECK static struct status open_all(struct cli *cli, struct job *j)
{
    const struct inspect_settings *settings = cli->settings;

    j->models = xcalloc(cli->operand_count + 1, sizeof *j->models);
    if (settings->base != NULL)
        TRY_PLAIN(open_model(cli, j, settings->base, &j->base));
    for (size_t i = 0; i < cli->operand_count; i++) {
        const char *path = cli->operands[i];

        if (settings->base != NULL && strcmp(settings->base, path) == 0)
            continue;
        if (settings->base != NULL && j->count == INSPECT_MODELS)
            return FAIL(STATUS_TOO_BIG,
                        "at most %d models are compared with their base",
                        (int)INSPECT_MODELS);
        j->count++;
        TRY_PLAIN(open_model(cli, j, path, &j->models[j->count - 1]));
    }
    if (j->count == 0)
        return cli_usage(cli, "name a model beside the base");
    if (j->base.files != NULL)
        set_label(j, &j->base);
    for (size_t i = 0; i < j->count; i++)
        set_label(j, &j->models[i]);
    return SUCCESS;
}

MUST_CHECK static struct status compare(const struct cli *cli, struct job *j)
{
    const struct inspect_runtime runtime = runtime_of(cli);
    AUTO(free_pointer)
    struct inspect_model *models = xcalloc(j->count, sizeof *models);
    const struct tensor_set *sets[INSPECT_MODELS];
    const struct inspect_counts *counts[INSPECT_MODELS];

    for (size_t i = 0; i < j->count; i++) {
        models[i] = j->models[i].model;
        sets[i] = models[i].set;
        counts[i] = models[i].counts;
    }
    TRY_PLAIN(inspect_compare(j->base.model.set, j->base.counts, sets, counts,
                              j->count, &runtime, &j->diff));
    inspect_warn_diff(&j->base.model, models, &j->diff, j->warnings);
    j->compared = inspect_report_diff(&j->base.model, models, &j->diff);
    return SUCCESS;
}

static void tell_warnings(const struct cli *cli, const struct job *j)
{
    for (size_t i = 0; i < json_array_size(j->warnings); i++)
        cli_warn(cli, "%s", json_string_value(json_array_get(j->warnings, i)));
}

static void print_json(const struct cli *cli, const struct job *j)
{
    AUTO(json_release)
    json_t *body =
        json_pack("{s:O, s:O}", "models", j->reports, "warnings", j->warnings);

    if (j->base_report != NULL)
        (void)json_object_set(body, "base", j->base_report);
    if (j->compared != NULL)
        (void)json_object_set(body, "compared", j->compared);
    cli_print_document(cli, "inspect", body);
}

/* Beside a base it is the differences that are looked at. */
static void print_tables(const struct cli *cli, const struct job *j)
{
    const struct inspect_settings *settings = cli->settings;
    size_t reports = j->compared != NULL ? 0 : json_array_size(j->reports);

    if (j->compared != NULL)
        inspect_print_diff(cli, j->compared, settings->tensors);
    for (size_t i = 0; i < reports; i++) {
        if (i > 0)
            fprintf(cli->out.stream, "\n");
        inspect_print_model(cli, json_array_get(j->reports, i),
                            settings->tensors);
    }
    tell_warnings(cli, j);
}

MUST_CHECK static struct status work(struct cli *cli, struct job *j)
{
    const struct inspect_settings *settings = cli->settings;

    if (settings->svg != NULL && settings->base == NULL)
        return cli_usage(cli, "--svg draws differences from a --base");
    TRY_PLAIN(open_all(cli, j));
    for (size_t i = 0; i < j->count; i++) {
        inspect_warn_model(&j->models[i].model, j->warnings);
        (void)json_array_append_new(j->reports,
                                    inspect_report_model(&j->models[i].model));
    }
    if (j->base.files != NULL) {
        inspect_warn_model(&j->base.model, j->warnings);
        j->base_report = inspect_report_model(&j->base.model);
        TRY_PLAIN(compare(cli, j));
    }
    if (settings->svg != NULL)
        TRY_PLAIN(cli_here(cli, inspect_draw(j->compared, settings->svg)));
    if (cli->options->json)
        print_json(cli, j);
    else
        print_tables(cli, j);
    return SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    struct inspect_settings *settings = cli->settings;
    struct job j = { .reports = NULL };
    struct status st;

    settings->stage.svg = settings->svg;
    if (inspect_stage_is(cli, &settings->stage))
        return inspect_stage(cli, &settings->stage);
    j.reports = json_array();
    j.warnings = json_array();
    interrupt_catch();
    model_store_init(&j.store, cli, NULL, GIVE_UP_MS);
    st = work(cli, &j);
    job_release(&j);
    return st;
}

const struct command command_inspect = {
    .name = "inspect",
    .summary = "What models hold, how fine-tunes differ, what was selected",
    .usage = "MODEL...",
    .details =
        "  MODEL is a directory, a .safetensors file or an index, a URL, or "
        "org/name of the\n  hub; fetched models are kept in ~/.cache/sinter. "
        "With --base: norms of the task\n  vectors by layer, their angles, "
        "sign conflicts and quantiles, and warnings of\n  what a merge would "
        "trip over.\n"
        "  sinter inspect math code --base base --svg norms.svg\n  Of a stage "
        "`select`: its clusters, what was not selected and why, by its "
        "directory or by\n  a trial, the first such stage or the one of "
        "--stage:\n  sinter inspect @last/12 --stage chosen --svg "
        "plane.svg\n",
    .group = COMMAND_RESULTS,
    .options = options,
    .settings_size = sizeof(struct inspect_settings),
    .least = 1,
    .most = SIZE_MAX,
    .run = run,
};
