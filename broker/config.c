#include "broker/config.h"

#include <stddef.h>
#include <string.h>

#include "common/endpoint.h"
#include "common/limits.h"

#define AT(member) offsetof(struct config, member)

const struct option config_options[] = {
    { .name = "store",
      .type = OPTION_TEXT,
      .offset = AT(store),
      .otherwise = "sqlite:sinter.db",
      .value = "URL",
      .help = "sqlite:PATH, redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], "
              "redis+unix:PATH" },
    { .name = "namespace",
      .type = OPTION_TEXT,
      .offset = AT(namespace),
      .otherwise = "sinter",
      .value = "NAME",
      .help = "keeps farms apart in one Redis" },
    { .name = "redis-user-file",
      .type = OPTION_TEXT,
      .offset = AT(user_file),
      .value = "PATH",
      .help = "its first line is the ACL user of Redis" },
    { .name = "redis-password-file",
      .type = OPTION_TEXT,
      .offset = AT(password_file),
      .value = "PATH",
      .help = "its first line is the password of Redis" },
    { .name = "rebuild-from-memory",
      .type = OPTION_SWITCH,
      .offset = AT(rebuild),
      .help = "write Redis anew if it forgets while this broker runs" },
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
    { .name = "key",
      .type = OPTION_TEXT,
      .offset = AT(key),
      .value = "FILE",
      .help = "secret key of this broker (`sinter keygen`): CURVE at both "
              "sockets" },
    { .name = "allow",
      .type = OPTION_TEXT,
      .offset = AT(allow),
      .value = "PATH",
      .help = "public keys that may connect: a file, or a directory's .pub "
              "files; read again on SIGHUP" },
    { .name = "plaintext",
      .type = OPTION_SWITCH,
      .offset = AT(plaintext),
      .help = "without --key, listen where other machines can connect" },
    { .name = "http-token-file",
      .type = OPTION_TEXT,
      .offset = AT(http_token_file),
      .value = "FILE",
      .help = "bearer tokens for --http, each a line \"read TOKEN\" or "
              "\"write TOKEN\"; read again on SIGHUP" },
    { .name = "http-open",
      .type = OPTION_SWITCH,
      .offset = AT(http_open),
      .help = "without tokens, serve HTTP to other machines" },
    { .name = "gc-least",
      .type = OPTION_MS,
      .offset = AT(gc_least_ms),
      .otherwise = "1h",
      .value = "TIME",
      .help = "gc keeps what is younger, whatever it is told" },
    { .name = "standby",
      .type = OPTION_SWITCH,
      .offset = AT(standby),
      .help = "wait until no other broker leads, then take over" },
    { .name = "leader-ttl",
      .type = OPTION_MS,
      .offset = AT(leader_ttl_ms),
      .otherwise = "10s",
      .least = 200,
      .most = INT64_C(3600000),
      .value = "TIME",
      .help = "a standby takes over from a leader silent for so long" },
    { .name = "advertise",
      .type = OPTION_TEXT,
      .offset = AT(advertise),
      .value = "HOST",
      .help = "where others reach this broker's ports (default: as bound; "
              "bound to all: the name of this machine)" },
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
    { .name = "fetches",
      .type = OPTION_NUMBER,
      .offset = AT(fetches),
      .otherwise = "8",
      .least = 1,
      .most = 10000,
      .value = "N",
      .help = "workers that fetch from one origin (host, or hub) at a time" },
    { .name = "backlog",
      .type = OPTION_BYTES,
      .offset = AT(backlog),
      .otherwise = "64MiB",
      .least = 64 << 10,
      .most = INT64_C(1) << 40,
      .value = "SIZE",
      .help = "so much may wait for the store; then nothing more is taken on" },
    { .name = "max-workers",
      .type = OPTION_NUMBER,
      .offset = AT(workers_most),
      .least = 0,
      .most = LIMIT_WORKERS,
      .value = "N",
      .help = "workers that may connect; needs 1.2 descriptors each (default: "
              "as many as the limit of descriptors allows, at most 10,000)" },
    { .name = "scale-drain",
      .type = OPTION_MS,
      .offset = AT(demand.drain_ms),
      .otherwise = "5m",
      .least = 1000,
      .most = INT64_C(86400000),
      .value = "TIME",
      .help =
          "sinter_desired_workers: so many that what waits is done within" },
    { .name = "scale-hold",
      .type = OPTION_MS,
      .offset = AT(demand.hold_ms),
      .otherwise = "2m",
      .least = 1,
      .most = INT64_C(86400000),
      .value = "TIME",
      .help = "... and fewer only when fewer would have done for so long" },
    { .name = "scale-min",
      .type = OPTION_NUMBER,
      .offset = AT(demand.least),
      .otherwise = "0",
      .least = 0,
      .most = LIMIT_WORKERS,
      .value = "N",
      .help = "... and never fewer than this" },
    { .name = "scale-max",
      .type = OPTION_NUMBER,
      .offset = AT(demand.most),
      .otherwise = "100",
      .least = 1,
      .most = LIMIT_WORKERS,
      .value = "N",
      .help = "... nor more" },
    { .name = "snapshot",
      .type = OPTION_MS,
      .offset = AT(snapshot_ms),
      .otherwise = "30s",
      .least = 0,
      .most = INT64_C(86400000),
      .value = "TIME",
      .help = "the state is written and the log cut so often, if there is "
              "news; 0: never, the log is kept whole" },
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
    { .name = "log-format",
      .type = OPTION_TEXT,
      .offset = AT(log_format),
      .otherwise = "logfmt",
      .value = "FORM",
      .help = "logfmt, json" },
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

MUST_CHECK static struct status check_socket(const struct config *c,
                                             const char *flag,
                                             const char *endpoint)
{
    if (c->key != NULL || c->plaintext || endpoint_is_private(endpoint))
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "%s %s can be reached by other machines, unencrypted and "
                "without a question who they are: give --key and --allow "
                "(`sinter keygen` makes keys), or --plaintext if the network "
                "is yours alone",
                flag, endpoint);
}

MUST_CHECK static struct status check_safety(const struct config *c)
{
    if ((c->key == NULL) != (c->allow == NULL))
        return FAIL(STATUS_INVALID,
                    "--key and --allow go together: the secret key of this "
                    "broker, and the public ones of those who may connect");
    TRY_PLAIN(check_socket(c, "--workers", c->workers));
    TRY_PLAIN(check_socket(c, "--clients", c->clients));
    if (c->http_token_file != NULL || c->http_open ||
        endpoint_is_private(c->http))
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "--http %s can be reached by other machines, and whoever does "
                "could read and write the depot: give --http-token-file, or "
                "--http-open if the network is yours alone",
                c->http);
}

struct status config_check(struct config *c)
{
    enum { LEAST_HEARTBEATS = 3 };

    TRY_PLAIN(log_level_find(c->log, &c->level));
    TRY_PLAIN(log_format_find(c->log_format, &c->format));
    c->key = option_given(c->key);
    c->allow = option_given(c->allow);
    c->http_token_file = option_given(c->http_token_file);
    TRY_PLAIN(check_safety(c));
    if (c->demand.least > c->demand.most)
        return FAIL(STATUS_INVALID, "--scale-min is above --scale-max");
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
