#include "cli/command.h"

#include <string.h>

#include "common/wire.h"
#include "sweep/compiled.h"

MUST_CHECK static struct status run(struct cli *cli)
{
    AUTO(json_release)
    json_t *body = json_pack("{s:s, s:i, s:i, s:s}", "version", SINTER_VERSION,
                             "numerics", (int)SWEEP_NUMERICS, "wire",
                             (int)WIRE_MAJOR, "compiler", __VERSION__);

    if (cli->options->json)
        cli_print_document(cli, "version", body);
    else if (cli->options->quiet)
        fprintf(cli->out.stream, "%s\n", SINTER_VERSION);
    else
        fprintf(cli->out.stream, "sinter %s (numerics %d, wire %d.%d)\n",
                SINTER_VERSION, (int)SWEEP_NUMERICS, (int)WIRE_MAJOR,
                (int)WIRE_MINOR);
    return SUCCESS;
}

const struct command command_version = {
    .name = "version",
    .summary = "Print version, numerics version and wire version",
    .usage = "",
    .group = COMMAND_HELP,
    .run = run,
};
