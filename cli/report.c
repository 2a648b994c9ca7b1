#include "cli/report.h"

#include <stdlib.h>
#include <string.h>

#include "cli/board.h"
#include "cli/phase_text.h"
#include "cli/pivot.h"
#include "common/file.h"
#include "common/memory.h"

struct report {
    const char *name; /* of the sweep */
    const json_t *json;
    json_t *trials;
    struct phase phase;
    bool has_phase;
    struct pivot *table;
};

MUST_CHECK static struct status make_parts(struct report *r, const json_t *spec)
{
    if (json_object_get(r->json, "table") != NULL)
        TRY_PLAIN(pivot_make(spec, r->trials, &r->table));
    if (json_object_get(r->json, "phase") == NULL)
        return SUCCESS;
    TRY_PLAIN(phase_make(spec, r->trials, &r->phase));
    r->has_phase = true;
    return SUCCESS;
}

struct status report_load(struct session *s, const char *sweep,
                          const json_t *spec, struct report **ret_report)
{
    struct report *r;
    struct status st;

    *ret_report = NULL;
    if (json_object_size(json_object_get(spec, "report")) == 0)
        return SUCCESS;
    r = xnew(struct report);
    r->json = json_object_get(spec, "report");
    r->name = json_text_or(spec, "name", "sweep");
    st = board_trials(s, sweep, 0, UINT64_MAX, &r->trials);
    if (!status_failed(&st))
        st = make_parts(r, spec);
    if (status_failed(&st)) {
        report_free(r);
        return st;
    }
    *ret_report = r;
    return SUCCESS;
}

void report_free(struct report *r)
{
    if (r == NULL)
        return;
    if (r->has_phase)
        phase_release(&r->phase);
    pivot_free(r->table);
    json_decref(r->trials);
    free(r);
}

static void print_table(struct cli *cli, const struct report *r)
{
    struct table *t = pivot_table(r->table, true, cli->out.utf8);
    struct buf dropped;

    buf_init(&dropped, 4096);
    table_print(t, TABLE_PEOPLE, &cli->out, &dropped);
    if (dropped.size > 0)
        cli_note(cli, "too narrow for: %s", dropped.data);
    if (*pivot_caption(r->table) != '\0')
        cli_note(cli, "%s", pivot_caption(r->table));
    buf_release(&dropped);
    table_free(t);
}

void report_print(struct cli *cli, const struct report *r)
{
    if (r->table != NULL) {
        fputc('\n', cli->out.stream);
        print_table(cli, r);
    }
    if (r->has_phase) {
        fputc('\n', cli->out.stream);
        phase_print(cli, &r->phase, r->name);
    }
    (void)fflush(cli->out.stream); /* notes about files follow */
}

json_t *report_json(const struct report *r)
{
    json_t *json = json_object();

    if (r->table != NULL)
        (void)json_object_set_new(json, "table", pivot_json(r->table));
    if (r->has_phase)
        (void)json_object_set_new(json, "phase", phase_json(&r->phase));
    return json;
}

/* ---- files ------------------------------------------------------------- */

static char *path_of(const char *directory, const char *name, bool flat)
{
    const char *slash = strrchr(name, '/');

    if (flat && slash != NULL)
        name = slash + 1;
    return name[0] == '/' ? xstrdup(name) : xasprintf("%s/%s", directory, name);
}

MUST_CHECK static struct status make_folder(const char *path)
{
    AUTO(free_pointer) char *folder = xstrdup(path);
    char *slash = strrchr(folder, '/');

    if (slash == NULL || slash == folder)
        return SUCCESS;
    *slash = '\0';
    return file_make_directories(folder);
}

MUST_CHECK static struct status write_part(const struct cli *cli,
                                           const struct report *r,
                                           const char *part,
                                           const char *directory, bool flat)
{
    const json_t *files =
        json_object_get(json_object_get(r->json, part), "files");

    for (size_t i = 0; i < json_array_size(files); i++) {
        const char *name = json_string_value(json_array_get(files, i));
        AUTO(free_pointer) char *path = NULL;

        if (name == NULL || *name == '\0')
            continue;
        path = path_of(directory, name, flat);
        TRY_PLAIN(make_folder(path));
        if (strcmp(part, "table") == 0)
            TRY(pivot_write(r->table, path), "%s", path);
        else
            TRY(phase_write(&r->phase, r->name, path), "%s", path);
        cli_note(cli, "%s is written", path);
    }
    return SUCCESS;
}

struct status report_write(const struct cli *cli, const struct report *r,
                           const char *directory, bool flat)
{
    if (r->table != NULL)
        TRY_PLAIN(write_part(cli, r, "table", directory, flat));
    if (r->has_phase)
        TRY_PLAIN(write_part(cli, r, "phase", directory, flat));
    return SUCCESS;
}
