#include "cli/prepare.h"

#include <string.h>

#include "cli/interrupt.h"
#include "cli/number.h"
#include "cli/programs.h"
#include "cli/sources.h"
#include "common/memory.h"
#include "sources/source_files.h"

static bool cancelled(void *self)
{
    (void)self;
    return interrupt_seen();
}

struct source_store *prepare_store(void)
{
    static const struct source_settings settings = {
        .connect_ms = 3000,
        .stall_ms = 5000,
        .give_up_ms = 5000,
        .cancelled = cancelled,
    };

    return source_store_new(&settings);
}

struct missing {
    const struct cli *cli;
    size_t here; /* of those, files of this machine */
};

static void warn(void *self, const char *url, const struct status *st)
{
    struct missing *m = self;

    cli_warn(m->cli, "source %s is out of reach from here: %s", url,
             st->message);
    m->here += source_is_here(url);
}

struct status prepare_sources(struct cli *cli, struct sweep_file *file,
                              bool runs_here)
{
    struct source_store *store = prepare_store();
    struct missing missing = { cli, 0 };

    sources_complete(store, file->document, warn, &missing);
    programs_complete(cli, file->directory, file->document);
    source_store_free(store);
    if (runs_here && missing.here > 0)
        return cli_here(cli, FAIL(STATUS_NOT_FOUND,
                                  "%zu source%s of %s cannot be read; nothing "
                                  "was started",
                                  missing.here, number_plural(missing.here),
                                  file->input.file));
    return sweep_file_refresh(file);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* "command": ["program", ...] of each variant of an evaluator. */
static size_t add_commands(const json_t *evaluator, const char **names,
                           size_t count, size_t most)
{
    const json_t *variants = json_object_get(evaluator, "variants");

    for (size_t i = 0; i < json_array_size(variants) && count < most; i++) {
        const json_t *params =
            json_object_get(json_array_get(variants, i), "params");
        const json_t *command = json_object_get(params, "command");
        const char *program = json_string_value(json_array_get(command, 0));

        if (program != NULL)
            names[count++] = base_name(program);
    }
    return count;
}

const char **prepare_commands(const json_t *document)
{
    enum { MOST = 16 };
    const json_t *evaluators = json_object_get(document, "evaluate");
    const char **names = xcalloc(MOST + 1, sizeof *names);
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(evaluators); i++)
        count = add_commands(json_array_get(evaluators, i), names, count, MOST);
    return names;
}
