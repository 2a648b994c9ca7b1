#include "cli/command.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "cli/follow.h"
#include "cli/model_survey.h"
#include "cli/number.h"
#include "cli/passes.h"
#include "cli/prepare.h"
#include "cli/session.h"
#include "cli/sweep_file.h"
#include "cli/table.h"
#include "cli/trial_table.h"
#include "jobs/job_kind.h"
#include "sweep/plan.h"

struct plan_settings {
    bool points, detailed;
    struct option_list set;
};

#define AT(member) offsetof(struct plan_settings, member)
static const struct option options[] = {
    { .name = "points",
      .type = OPTION_SWITCH,
      .offset = AT(points),
      .help = "List every trial with its values" },
    { .name = "detailed-exitcode",
      .type = OPTION_SWITCH,
      .offset = AT(detailed),
      .help = "Exit 0 if all is known already, 10 if there is work" },
    SWEEP_FILE_SET(AT(set)),
    { .name = NULL },
};
#undef AT

/* All that is found out, for people or for --json. */
struct findings {
    struct plan plan;
    struct model_survey survey;
    struct passes_farm farm;
    int64_t known, jobs; /* -1: nobody was asked */
};

static void findings_release(struct findings *f)
{
    plan_release(&f->plan);
    model_survey_release(&f->survey);
}

/* The entry of the document that a row of the plan stands for. */
static json_t *stage_of(const json_t *document, const char *name)
{
    static const char *const lists[] = { "stages", "evaluate" };

    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        const json_t *list = json_object_get(document, lists[i]);

        for (size_t j = 0; j < json_array_size(list); j++) {
            json_t *stage = json_array_get(list, j);

            if (strcmp(json_text_or(stage, "name", ""), name) == 0)
                return stage;
        }
    }
    return NULL;
}

static const char *sort_name(enum stage_sort sort)
{
    static const char *const names[] = {
        [STAGE_LAZY] = "in memory",
        [STAGE_ARTIFACT] = "artifact",
        [STAGE_VALUE] = "numbers",
    };

    return names[sort];
}

static void print_stages(const struct cli *cli, const struct findings *f,
                         const json_t *document)
{
    struct table *t = table_new();
    char text[NUMBER_TEXT];

    table_column(t, "stage", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "kind", TABLE_TEXT, 20);
    table_column(t, "gives", TABLE_TEXT, 10);
    table_column(t, "runs", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "shared by", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "reads", TABLE_RIGHT, TABLE_ALWAYS);
    for (size_t i = 0; i < f->plan.stage_count; i++) {
        const struct plan_stage *s = &f->plan.stages[i];
        uint64_t bytes =
            model_survey_reads(&f->survey, stage_of(document, s->name));

        table_add(t, s->name, NULL);
        table_add(t, s->kind, NULL);
        table_add(t, sort_name(s->sort), NULL);
        (void)snprintf(text, sizeof text, "%" PRIu64, s->runs);
        table_add(t, text, NULL);
        (void)snprintf(text, sizeof text, "%.3g",
                       s->runs == 0 ? 0.0
                                    : (double)s->trials / (double)s->runs);
        table_add(t, text, NULL);
        number_bytes(bytes, text);
        table_add(t, bytes == 0 ? "-" : text, NULL);
    }
    table_print(t, TABLE_PEOPLE, &cli->out, NULL);
    table_free(t);
}

enum { REMARK = 512 };

/* What its kind says of a stage; "": nothing. */
static void find_remark(const struct plan_stage *s, char text[REMARK])
{
    const struct catalog_kind *kind = catalog_find(job_catalog(), s->kind);

    text[0] = '\0';
    if (kind != NULL && kind->remark != NULL && s->fullest != NULL)
        kind->remark(s->fullest, text, REMARK);
}

static void print_remarks(const struct cli *cli, const struct plan *p)
{
    char text[REMARK];

    for (size_t i = 0; i < p->stage_count; i++) {
        find_remark(&p->stages[i], text);
        if (text[0] != '\0')
            fprintf(cli->out.stream, "  %s: %s\n", p->stages[i].name, text);
    }
}

static void note_remark(const struct plan_stage *s, json_t *stage)
{
    char text[REMARK];

    find_remark(s, text);
    if (text[0] != '\0')
        (void)json_object_set_new(stage, "remark", json_string(text));
}

static void print_pass(struct table *t, const char *stage,
                       const struct passes *p)
{
    char text[NUMBER_TEXT];

    table_add(t, stage, NULL);
    (void)snprintf(text, sizeof text, "%" PRIu64, p->points);
    table_add(t, text, NULL);
    (void)snprintf(text, sizeof text, "%" PRIu64, p->passes);
    table_add(t, text, NULL);
    number_bytes(p->bytes, text);
    table_add(t, p->bytes == 0 ? "-" : text, NULL);
    number_bytes(p->bytes_alone, text);
    table_add(t, p->bytes == 0 ? "-" : text, NULL);
}

/* Merges that differ in fusable numbers share passes over their models. */
static void print_passes(const struct cli *cli, const struct findings *f)
{
    struct table *t = table_new();
    char keep[NUMBER_TEXT];
    bool any = false;

    table_column(t, "merge", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "points", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "passes", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "reads in all", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "without sharing", TABLE_RIGHT, TABLE_ALWAYS);
    for (size_t i = 0; i < f->plan.stage_count; i++) {
        struct passes p = passes_of(&f->plan.stages[i], &f->survey, &f->farm);

        any = any || p.points > 0;
        if (p.points > 0)
            print_pass(t, f->plan.stages[i].name, &p);
    }
    if (any) {
        number_bytes(f->farm.keep, keep);
        fputc('\n', cli->out.stream);
        table_print(t, TABLE_PEOPLE, &cli->out, NULL);
        fprintf(cli->out.stream,
                "  on this machine: %" PRIu64 " slot%s, %s each for merged "
                "models\n",
                f->farm.slots, f->farm.slots == 1 ? "" : "s", keep);
    }
    table_free(t);
}

static uint64_t sum_bytes(const struct findings *f, bool local)
{
    uint64_t bytes = 0;
    const char *url = NULL;
    json_t *entry = NULL;

    json_object_foreach(f->survey.sources, url, entry)
    {
        if (json_bool_or(entry, "local", false) == local)
            bytes += (uint64_t)json_int_or(entry, "bytes", 0);
    }
    return bytes;
}

/* Was a broker named, that is to be asked what is known? */
static bool has_broker(const struct cli *cli)
{
    return cli->options->broker != NULL || cli->options->context != NULL;
}

/* What cannot be read here no job can read either, unless a farm runs it. */
static bool lacks_file(const struct cli *cli, const json_t *entry)
{
    return !has_broker(cli) && json_bool_or(entry, "local", false) &&
           json_object_get(entry, "error") != NULL;
}

static void print_sources(const struct cli *cli, const struct findings *f)
{
    FILE *out = cli->out.stream;
    char far[NUMBER_TEXT];
    char near[NUMBER_TEXT];
    const char *url = NULL;
    json_t *entry = NULL;

    number_bytes(sum_bytes(f, false), far);
    number_bytes(sum_bytes(f, true), near);
    fprintf(out, "\n  download %s; %s are files of this machine\n", far, near);
    json_object_foreach(f->survey.sources, url, entry)
    {
        const char *error = json_text_or(entry, "error", NULL);

        if (error != NULL && !lacks_file(cli, entry))
            fprintf(out, "  unknown: %s\n", error);
    }
}

static bool lacks_files(const struct cli *cli, const struct findings *f)
{
    const char *url = NULL;
    json_t *entry = NULL;

    json_object_foreach(f->survey.sources, url, entry)
    {
        if (lacks_file(cli, entry))
            return true;
    }
    return false;
}

static void print_lacking(const struct cli *cli, const struct findings *f)
{
    const char *url = NULL;
    json_t *entry = NULL;

    json_object_foreach(f->survey.sources, url, entry)
    {
        if (lacks_file(cli, entry))
            fprintf(cli->err.stream, "%serror%s: %s\n", terminal_red(&cli->err),
                    terminal_plain(&cli->err),
                    json_text_or(entry, "error", ""));
    }
}

static void print_head(const struct cli *cli, const struct sweep_file *file,
                       const struct plan *p)
{
    const json_t *strategy = json_object_get(file->document, "strategy");
    FILE *out = cli->out.stream;

    fprintf(out, "%s%s%s   %s   %" PRIu64 " point%s", terminal_bold(&cli->out),
            compiled_name(file->compiled), terminal_plain(&cli->out),
            json_text_or(strategy, "method", "grid"), p->points,
            number_plural(p->points));
    if (p->replicates > 1)
        fprintf(out, " x %" PRIu64 " seeds", p->replicates);
    fprintf(out, " = %" PRIu64 " trial%s\n\n", p->points * p->replicates,
            number_plural(p->points * p->replicates));
}

static void print_notes(const struct cli *cli, const struct findings *f)
{
    FILE *out = cli->out.stream;

    if (f->plan.excluded > 0)
        fprintf(out, "  not run: %" PRIu64 " trials excluded by constraints\n",
                f->plan.excluded);
    if (f->plan.truncated)
        fprintf(out, "  counted over the first %d trials only\n",
                (int)PLAN_TRIALS);
    if (f->known >= 0)
        fprintf(out, "  already known: %lld of %lld jobs\n",
                (long long)f->known, (long long)f->jobs);
    print_lacking(cli, f);
    for (size_t i = 0; i < json_array_size(f->survey.clashes); i++)
        fprintf(cli->err.stream, "%serror%s: shapes differ, %s\n",
                terminal_red(&cli->err), terminal_plain(&cli->err),
                json_string_value(json_array_get(f->survey.clashes, i)));
}

/* Trials as the verb "trials" would give them, before there are any. */
MUST_CHECK static struct status list_trials(const struct sweep_file *file,
                                            json_t **ret_trials)
{
    AUTO(json_release) json_t *trials = json_array();
    uint64_t count = compiled_trial_count(file->compiled);

    for (uint64_t i = 0; i < count; i++) {
        json_t *values = NULL;
        bool excluded = false;

        TRY_PLAIN(compiled_trial(file->compiled, i, &values, &excluded));
        (void)json_array_append_new(
            trials,
            json_pack("{s:I, s:s, s:o}", "trial", (json_int_t)i + 1, "state",
                      excluded ? "excluded" : "waiting", "values", values));
    }
    *ret_trials = json_incref(trials);
    return SUCCESS;
}

MUST_CHECK static struct status print_points(struct cli *cli,
                                             const struct sweep_file *file)
{
    AUTO(json_release) json_t *trials = NULL;
    AUTO(json_release) json_t *all = NULL;
    AUTO(json_release) json_t *names = json_array();
    struct table *t = NULL;

    TRY_PLAIN(list_trials(file, &trials));
    TRY_PLAIN(trial_columns(file->document, NULL, &all));
    for (size_t i = 0; i < json_array_size(all); i++) {
        json_t *name = json_array_get(all, i);
        const char *text = json_string_value(name);

        /* nothing is measured yet */
        if (strchr(text, '.') == NULL && strcmp(text, "time") != 0 &&
            strcmp(text, "worker") != 0)
            (void)json_array_append(names, name);
    }
    t = table_new();
    trial_table_columns(t, file->document, names, trials);
    trial_table_rows(t, names, trials);
    fputc('\n', cli->out.stream);
    table_print(t, TABLE_PEOPLE, &cli->out, NULL);
    table_free(t);
    return SUCCESS;
}

static json_t *stages_json(const struct findings *f, const json_t *document)
{
    json_t *stages = json_array();

    for (size_t i = 0; i < f->plan.stage_count; i++) {
        const struct plan_stage *s = &f->plan.stages[i];
        struct passes p = passes_of(s, &f->survey, &f->farm);
        uint64_t bytes =
            model_survey_reads(&f->survey, stage_of(document, s->name));
        json_t *stage = json_pack(
            "{s:s, s:s, s:s, s:I, s:I, s:I}", "name", s->name, "kind", s->kind,
            "gives", sort_name(s->sort), "runs", (json_int_t)s->runs, "trials",
            (json_int_t)s->trials, "reads_bytes", (json_int_t)bytes);

        note_remark(s, stage);
        if (s->sort == STAGE_LAZY)
            (void)json_object_set_new(
                stage, "passes",
                json_pack("{s:I, s:I, s:I, s:I}", "points",
                          (json_int_t)p.points, "passes", (json_int_t)p.passes,
                          "bytes", (json_int_t)p.bytes, "bytes_alone",
                          (json_int_t)p.bytes_alone));
        (void)json_array_append_new(stages, stage);
    }
    return stages;
}

MUST_CHECK static struct status print_json(struct cli *cli,
                                           const struct sweep_file *file,
                                           const struct findings *f)
{
    const struct plan_settings *settings = cli->settings;
    const struct plan *p = &f->plan;
    AUTO(json_release) json_t *trials = NULL;
    AUTO(json_release)
    json_t *body = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:o, s:O, s:O}", "name",
        compiled_name(file->compiled), "points", (json_int_t)p->points,
        "replicates", (json_int_t)p->replicates, "trials",
        (json_int_t)p->trials, "excluded", (json_int_t)p->excluded, "truncated",
        (int)p->truncated, "download_bytes", (json_int_t)sum_bytes(f, false),
        "slots", (json_int_t)f->farm.slots, "keep_bytes",
        (json_int_t)f->farm.keep, "stages", stages_json(f, file->document),
        "sources", f->survey.sources, "clashes", f->survey.clashes);

    if (f->known >= 0)
        (void)json_object_set_new(body, "known", json_integer(f->known));
    if (settings->points) {
        TRY_PLAIN(list_trials(file, &trials));
        (void)json_object_set(body, "points_listed", trials);
    }
    cli_print_document(cli, "plan", body);
    return SUCCESS;
}

/* The sweep of this very file, if the farm has it: how much is done? */
MUST_CHECK static struct status ask_known(struct cli *cli,
                                          const struct sweep_file *file,
                                          struct findings *f)
{
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *status = NULL;
    char idempotency[DIGEST_TEXT];
    char id[DIGEST_TEXT + 2];
    struct digest d;
    struct status st;

    sweep_file_idempotency(file->document, idempotency);
    d = digest_of(idempotency, strlen(idempotency));
    digest_to_text(&d, idempotency);
    (void)snprintf(id, sizeof id, "s-%.8s", idempotency);
    TRY_PLAIN(session_open(cli, &session));
    st = follow_status(&session, id, &status);
    f->known = 0;
    if (st.code == STATUS_NOT_FOUND)
        return SUCCESS;
    TRY_PLAIN(st);
    f->known = json_int_or(json_object_get(status, "jobs"), "done", 0);
    f->jobs = json_int_or(json_object_get(status, "jobs"), "total", 0);
    if (strcmp(json_text_or(status, "state", ""), "done") != 0)
        f->jobs = f->jobs > f->known ? f->jobs : f->known + 1;
    return SUCCESS;
}

MUST_CHECK static struct status look(struct cli *cli, struct sweep_file *file,
                                     struct findings *f)
{
    struct source_store *store = NULL;

    TRY_PLAIN(plan_make(file->compiled, &f->plan));
    store = prepare_store();
    model_survey_make(store, f->plan.sources, file->document, &f->survey);
    source_store_free(store);
    f->farm = passes_farm_here();
    f->known = -1;
    if (!has_broker(cli) &&
        !((const struct plan_settings *)cli->settings)->detailed)
        return SUCCESS;
    return ask_known(cli, file, f);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct plan_settings *settings = cli->settings;
    AUTO(sweep_file_release) struct sweep_file file = { .text = NULL };
    AUTO(findings_release) struct findings f = { .known = -1 };

    TRY_PLAIN(sweep_file_load(cli, cli->operands[0], &settings->set, &file));
    if (settings->detailed || has_broker(cli))
        TRY_PLAIN(prepare_sources(cli, &file, false));
    TRY_PLAIN(look(cli, &file, &f));
    if (json_array_size(f.survey.clashes) > 0 || lacks_files(cli, &f))
        cli->exit = CLI_SPEC;
    else if (settings->detailed && (f.jobs == 0 || f.known < f.jobs))
        cli->exit = CLI_WORK;
    if (cli->options->json)
        return print_json(cli, &file, &f);
    print_head(cli, &file, &f.plan);
    print_stages(cli, &f, file.document);
    print_passes(cli, &f);
    print_sources(cli, &f);
    print_remarks(cli, &f.plan);
    print_notes(cli, &f);
    if (settings->points)
        TRY_PLAIN(print_points(cli, &file));
    if (cli->exit != CLI_SPEC)
        cli_note(cli,
                 "Nothing was started. Next: sinter run %s, or sinter submit "
                 "%s",
                 cli->operands[0], cli->operands[0]);
    return SUCCESS;
}

const struct command command_plan = {
    .name = "plan",
    .summary = "Show trials, shared work and bytes; run nothing",
    .usage = "FILE",
    .details =
        "  Reads only the headers of models, a few kilobytes a shard, "
        "and says where\n  models of one merge do not fit. Merges that "
        "differ in scale, density, weight\n  and the like share passes "
        "over their models: the plan says how many passes\n  and bytes "
        "with the memory of this machine, and without sharing.\n  Exit: 0, "
        "3 errors in the file, shapes that differ or\n  files of this machine "
        "that cannot be read, 10 with --detailed-exitcode if\n  there is "
        "work.\n",
    .group = COMMAND_START,
    .options = options,
    .settings_size = sizeof(struct plan_settings),
    .least = 1,
    .most = 1,
    .run = run,
};
