#include "cli/command.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/export.h"
#include "cli/interrupt.h"
#include "cli/local.h"
#include "cli/meter.h"
#include "cli/model_store.h"
#include "cli/number.h"
#include "cli/sources.h"
#include "cli/sweep_file.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/stream_model.h"
#include "sources/source.h"

struct merge_settings {
    const char *directory, *variant, *dtype, *seed, *cache;
    int64_t threads, memory, shard_bytes, checkpoint;
};

#define AT(member) offsetof(struct merge_settings, member)
static const struct option options[] = {
    { .name = "output",
      .letter = 'o',
      .type = OPTION_TEXT,
      .offset = AT(directory),
      .value = "DIR",
      .help = "Directory to make; must not exist" },
    { .name = "variant",
      .type = OPTION_TEXT,
      .offset = AT(variant),
      .value = "NAME",
      .help = "Whose form of the method, in place of the file's" },
    { .name = "dtype",
      .type = OPTION_TEXT,
      .offset = AT(dtype),
      .value = "TYPE",
      .help = "Of the weights written, in place of the file's" },
    { .name = "seed",
      .type = OPTION_TEXT,
      .offset = AT(seed),
      .value = "N",
      .help = "Of random drops, in place of the file's; 0 if neither" },
    { .name = "shard-size",
      .type = OPTION_BYTES,
      .offset = AT(shard_bytes),
      .otherwise = "5GB",
      .least = 0,
      .most = INT64_MAX,
      .value = "SIZE",
      .help = "Split the weights into files of at most this size; 0: one" },
    { .name = "threads",
      .type = OPTION_NUMBER,
      .offset = AT(threads),
      .otherwise = "0",
      .least = 0,
      .most = 256,
      .value = "N",
      .help = "Kernels use so many; 0: all processors" },
    { .name = "memory",
      .type = OPTION_BYTES,
      .offset = AT(memory),
      .otherwise = "256MiB",
      .least = 1 << 20,
      .most = INT64_MAX,
      .value = "SIZE",
      .help = "Take at most so much beside mapped files" },
    { .name = "checkpoint",
      .type = OPTION_BYTES,
      .offset = AT(checkpoint),
      .otherwise = "256MiB",
      .least = 1,
      .most = INT64_MAX,
      .value = "SIZE",
      .help = "Note what is done, synced, after every SIZE of output" },
    { .name = "cache",
      .type = OPTION_TEXT,
      .offset = AT(cache),
      .value = "DIR",
      .help = "Where fetched models are kept; else ~/.cache/sinter" },
    { .name = NULL },
};
#undef AT

/* A merge while it runs: what a slot is to a job, without a broker. */
struct local_merge {
    struct cli *cli;
    struct model_store models;
};

static void local_merge_release(struct local_merge *m)
{
    model_store_release(&m->models);
}

/* ---- the context ------------------------------------------------------- */

static bool cancelled(void *self)
{
    (void)self;
    return interrupt_seen();
}

static void show_merge(void *self, uint64_t done, uint64_t total,
                       const char *unit)
{
    struct local_merge *m = self;

    (void)unit;
    meter_show(&m->models.meter, "merged", done, total, clock_now());
}

static void tell(void *self, const char *line)
{
    struct local_merge *m = self;

    meter_end(&m->models.meter);
    cli_note(m->cli, "%s", line);
}

MUST_CHECK static struct status fetch(void *self, const json_t *source,
                                      const char **ret_path)
{
    struct local_merge *m = self;

    return model_store_fetch(&m->models, source, NULL, ret_path);
}

MUST_CHECK static struct status fetch_tensors(void *self, const json_t *source,
                                              bool (*wanted)(void *chooser,
                                                             const char *name),
                                              void *chooser,
                                              const char **ret_path)
{
    const struct source_choice choice = { wanted, chooser };
    struct local_merge *m = self;

    return model_store_fetch(&m->models, source, &choice, ret_path);
}

MUST_CHECK static struct status no_input(void *self, const char *key,
                                         const json_t **ret_result)
{
    (void)self;
    (void)ret_result;
    return FAIL(STATUS_INVALID, "there is no job %.12s without a farm", key);
}

MUST_CHECK static struct status no_artifact(void *self, const char *digest,
                                            const char **ret_path)
{
    (void)self;
    (void)ret_path;
    return FAIL(STATUS_INVALID, "there is no artifact %.12s without a farm",
                digest);
}

MUST_CHECK static struct status no_depot(void *self, const char *path,
                                         char ret_digest[DIGEST_TEXT])
{
    (void)self;
    (void)ret_digest;
    return FAIL(STATUS_INVALID, "%s: there is no depot without a farm", path);
}

/* ---- the file ---------------------------------------------------------- */

static void add_override(struct option_list *list, const char *name,
                         const char *value)
{
    if (value != NULL)
        list->items[list->count++] = xasprintf("merge.%s=%s", name, value);
}

MUST_CHECK static struct status read_file(struct cli *cli,
                                          struct sweep_file *ret_file)
{
    const struct merge_settings *settings = cli->settings;
    const char *items[3] = { NULL };
    struct option_list list = { .items = items, .count = 0 };
    struct status st;

    add_override(&list, "variant", settings->variant);
    add_override(&list, "out_dtype", settings->dtype);
    add_override(&list, "seed", settings->seed);
    st = sweep_file_body(cli, cli->operands[0], "merge", &list, ret_file);
    for (size_t i = 0; i < list.count; i++)
        free_pointer(&items[i]);
    return st;
}

/* No replicate gives the seed here; ranges that depend on each other. */
MUST_CHECK static struct status complete(struct cli *cli,
                                         const struct sweep_file *file)
{
    const struct catalog_kind *kind = &job_kind_find("merge")->catalog;
    struct catalog_problem wrong = { .path = "" };

    if (json_is_object(json_object_get(file->document, "seed")))
        (void)json_object_set_new(file->document, "seed", json_integer(0));
    if (kind->check == NULL || kind->check(file->document, &wrong))
        return SUCCESS;
    cli->failure_exit = CLI_SPEC;
    return FAIL(STATUS_INVALID, "%s: %s", file->input.file, wrong.message);
}

/* ---- the models -------------------------------------------------------- */

/* The merge will say so. */
static void no_version(void *self, const char *url, const struct status *st)
{
    (void)self;
    (void)url;
    (void)st;
}

/* What the bytes depend on: the file, and the state of the models. */
static json_t *identity_of(const struct local_merge *m, const json_t *model)
{
    json_t *identity = json_deep_copy(model);

    sources_complete(m->models.store, identity, no_version, NULL);
    return identity;
}

/* ---- the directory ----------------------------------------------------- */

MUST_CHECK static struct status check_directory(struct cli *cli)
{
    const struct merge_settings *settings = cli->settings;

    if (settings->directory == NULL)
        return cli_usage(cli, "where to? say -o DIR");
    if (file_exists(settings->directory))
        return cli_here(cli,
                        FAIL(STATUS_INVALID,
                             "%s exists; remove it or name another directory",
                             settings->directory));
    return cli_here(cli, export_check(settings->directory));
}

MUST_CHECK static struct status make_parent(const char *directory)
{
    AUTO(free_pointer) char *path = xstrdup(directory);
    char *slash;
    size_t size = strlen(path);

    while (size > 1 && path[size - 1] == '/')
        path[--size] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return SUCCESS;
    *slash = '\0';
    return file_make_directories(path);
}

/* What is begun stays: say how to go on. */
static void tell_rest(const struct cli *cli)
{
    const struct merge_settings *settings = cli->settings;
    AUTO(free_pointer) char *partial = NULL;
    size_t size = strlen(settings->directory);

    while (size > 1 && settings->directory[size - 1] == '/')
        size--;
    partial = xasprintf("%.*s.partial", (int)size, settings->directory);
    if (file_exists(partial))
        cli_note(cli, "%s holds what is done; the same command goes on",
                 partial);
}

static void report_json(const struct cli *cli, const struct stream_outcome *o,
                        double seconds)
{
    const struct merge_settings *settings = cli->settings;
    AUTO(json_release)
    json_t *body = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:f}", "directory", settings->directory,
        "model_digest", o->digest, "tensors", (json_int_t)o->tensors, "bytes",
        (json_int_t)o->bytes, "bytes_kept", (json_int_t)o->bytes_kept,
        "bytes_read", (json_int_t)o->bytes_read, "seconds", seconds);

    cli_print_document(cli, "merge", body);
}

static void report(const struct cli *cli, const struct stream_outcome *o,
                   double seconds)
{
    const struct merge_settings *settings = cli->settings;
    char bytes[NUMBER_TEXT];
    char took[NUMBER_TEXT];
    char rate[NUMBER_TEXT];

    fprintf(cli->out.stream, "%s\n", settings->directory);
    number_bytes(o->bytes, bytes);
    number_duration((int64_t)(seconds * 1000.0), took);
    number_bytes((uint64_t)((double)o->bytes_read / seconds), rate);
    cli_note(cli, "written: %s in %s, inputs read at %s/s", bytes, took, rate);
    cli_note(cli,
             "model digest %.12s; recipe.json and SHA256SUMS lie beside the "
             "weights",
             o->digest);
}

MUST_CHECK static struct status write_model(struct local_merge *m,
                                            const json_t *model,
                                            const json_t *identity)
{
    struct cli *cli = m->cli;
    const struct merge_settings *settings = cli->settings;
    AUTO(json_release) json_t *metadata = json_pack("{s:s}", "format", "pt");
    const struct stream_wish wish = {
        .model = model,
        .directory = settings->directory,
        .shard_bytes = (uint64_t)settings->shard_bytes,
        .metadata = metadata,
        .checkpoint = (uint64_t)settings->checkpoint,
        .identity = identity,
    };
    struct job_context context = {
        .self = m,
        .cancelled = cancelled,
        .progress = show_merge,
        .log = tell,
        .fetch = fetch,
        .fetch_tensors = fetch_tensors,
        .input = no_input,
        .open_artifact = no_artifact,
        .put_artifact = no_depot,
        .threads = settings->threads > 0 ? (uint64_t)settings->threads
                                         : local_processors(),
        .memory_bytes = settings->memory,
    };
    struct stream_outcome outcome;
    int64_t began = clock_now();
    double seconds;

    TRY_PLAIN(make_parent(settings->directory));
    TRY_PLAIN(stream_model(&wish, &context, &outcome));
    meter_end(&m->models.meter);
    seconds = (double)(clock_now() - began + 1) / (double)NS_PER_S;
    if (cli->options->json)
        report_json(cli, &outcome, seconds);
    else
        report(cli, &outcome, seconds);
    return SUCCESS;
}

MUST_CHECK static struct status merge(struct cli *cli, const json_t *params)
{
    const struct merge_settings *settings = cli->settings;
    AUTO(json_release)
    json_t *model = json_pack("{s:{s:s, s:O}}", "$recipe", "kind", "merge",
                              "params", params);
    AUTO(json_release) json_t *identity = NULL;
    AUTO(local_merge_release) struct local_merge m = { .cli = cli };
    struct status st;

    model_store_init(&m.models, cli, settings->cache, 0);
    identity = identity_of(&m, model);
    st = write_model(&m, model, identity);
    meter_end(&m.models.meter);
    if (!status_failed(&st))
        return SUCCESS;
    tell_rest(cli);
    if (st.code == STATUS_NOT_FOUND || st.code == STATUS_DENIED)
        return st; /* a model: it has an exit code of its own */
    return cli_here(cli, st);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    AUTO(sweep_file_release) struct sweep_file file = { .text = NULL };

    interrupt_catch();
    TRY_PLAIN(check_directory(cli));
    TRY_PLAIN(read_file(cli, &file));
    TRY_PLAIN(complete(cli, &file));
    return merge(cli, file.document);
}

const struct command command_merge = {
    .name = "merge",
    .summary = "Merge models on this machine as a mergekit file says",
    .usage = "CONFIG",
    .details =
        "  CONFIG is a mergekit YAML file; \"-\" is standard input. Models are "
        "paths\n  (from the file, or from here), org/name of the hub, or "
        "https://, hf://, s3://.\n  No broker is needed. DIR appears whole or "
        "not at all; until then DIR.partial\n  grows, and after an "
        "interruption the same command goes on with it. DIR holds\n  the "
        "weights, config and tokenizer, recipe.json, and SHA256SUMS.\n"
        "  Exit: 0 written, 1 it cannot be, 3 CONFIG has errors, 5 no such "
        "model,\n  130 interrupted.\n",
    .group = COMMAND_START,
    .options = options,
    .settings_size = sizeof(struct merge_settings),
    .least = 1,
    .most = 1,
    .run = run,
};
