#include "broker/config.h"

#include <stddef.h>
#include <string.h>

#define AT(member) offsetof(struct config, member)

const struct option config_options[] = {
    { .name = "store",
      .type = OPTION_TEXT,
      .offset = AT(store),
      .otherwise = "sqlite:sinter.db",
      .value = "URL",
      .help = "sqlite:PATH, redis://[:password@]HOST[:PORT][/DB], "
              "redis+unix:PATH" },
    { .name = "namespace",
      .type = OPTION_TEXT,
      .offset = AT(namespace),
      .otherwise = "sinter",
      .value = "NAME",
      .help = "keeps farms apart in one Redis" },
    { .name = "redis-password-file",
      .type = OPTION_TEXT,
      .offset = AT(password_file),
      .value = "PATH",
      .help = "its first line is the password of Redis" },
    { .name = "accept-loss",
      .type = OPTION_SWITCH,
      .offset = AT(accept_loss),
      .help = "take a Redis that may forget what it accepted" },
    { .name = "depot",
      .type = OPTION_TEXT,
      .offset = AT(depot),
      .otherwise = "depot",
      .value = "DIR",
      .help = "where artifacts are kept" },
    { .name = "depot-url",
      .type = OPTION_TEXT,
      .offset = AT(depot_url),
      .value = "URL",
      .help = "how workers reach the depot (default: http://<http>)" },
    { .name = "workers",
      .type = OPTION_TEXT,
      .offset = AT(workers),
      .otherwise = "tcp://127.0.0.1:7420",
      .value = "ENDPOINT",
      .help = "where workers connect" },
    { .name = "clients",
      .type = OPTION_TEXT,
      .offset = AT(clients),
      .otherwise = "tcp://127.0.0.1:7421",
      .value = "ENDPOINT",
      .help = "where `sinter` connects" },
    { .name = "http",
      .type = OPTION_TEXT,
      .offset = AT(http),
      .otherwise = "127.0.0.1:7422",
      .value = "HOST:PORT",
      .help = "depot, API, metrics, page; port 0: any free one" },
    { .name = "lease",
      .type = OPTION_MS,
      .offset = AT(lease_ms),
      .otherwise = "30s",
      .least = 100,
      .most = INT64_C(86400000),
      .value = "TIME",
      .help = "a silent worker loses its jobs after" },
    { .name = "heartbeat",
      .type = OPTION_MS,
      .offset = AT(heartbeat_ms),
      .otherwise = "2s",
      .least = 10,
      .most = INT64_C(600000),
      .value = "TIME",
      .help = "workers speak at least so often" },
    { .name = "ready-file",
      .type = OPTION_TEXT,
      .offset = AT(ready_file),
      .value = "PATH",
      .help = "written (JSON) when the broker serves" },
    { .name = "die-with-parent",
      .type = OPTION_SWITCH,
      .offset = AT(die_with_parent),
      .help = "stop when the program that started this one ends" },
    { .name = "log",
      .type = OPTION_TEXT,
      .offset = AT(log),
      .otherwise = "info",
      .value = "LEVEL",
      .help = "debug, info, warn, error" },
    { .name = "version",
      .type = OPTION_SWITCH,
      .offset = AT(version),
      .help = "print the version and exit" },
    { .name = "help",
      .letter = 'h',
      .type = OPTION_SWITCH,
      .offset = AT(help),
      .help = "print this and exit" },
    { 0 },
};

MUST_CHECK static struct status find_level(const char *name,
                                           enum log_level *ret_level)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i], name) == 0) {
            *ret_level = (enum log_level)i;
            return SUCCESS;
        }
    return FAIL(STATUS_INVALID,
                "--log is debug, info, warn or error, not "
                "\"%s\"",
                name);
}

struct status config_check(const struct config *c, enum log_level *ret_level)
{
    enum { LEAST_HEARTBEATS = 3 };

    TRY_PLAIN(find_level(c->log, ret_level));
    if (c->lease_ms < LEAST_HEARTBEATS * c->heartbeat_ms)
        return FAIL(STATUS_INVALID,
                    "--lease must be at least three times "
                    "--heartbeat, or a late message costs a worker its jobs");
    if (strspn(c->namespace, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
                             "UVWXYZ0123456789-_.") != strlen(c->namespace) ||
        c->namespace[0] == '\0')
        return FAIL(STATUS_INVALID, "--namespace has letters, digits and "
                                    "-_. only");
    return SUCCESS;
}
