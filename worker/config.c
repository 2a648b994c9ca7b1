#include "worker/config.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/endpoint.h"
#include "common/limits.h"
#include "common/machine.h"

#define AT(member) offsetof(struct worker_config, member)

enum { KEEP_SHARE = 2 }; /* of the memory */

static const struct option options[] = {
    { "broker", 'b', OPTION_TEXT, AT(broker), "tcp://127.0.0.1:7420", 0, 0,
      "ENDPOINT[,...]",
      "where the broker listens for workers; with a standby "
      "the addresses of all" },
    { "key", 0, OPTION_TEXT, AT(key), NULL, 0, 0, "FILE",
      "secret key of this worker (`sinter keygen`)" },
    { "broker-key", 0, OPTION_TEXT, AT(broker_key), NULL, 0, 0, "FILE",
      "public key of the broker" },
    { "plaintext", 0, OPTION_SWITCH, AT(plaintext), NULL, 0, 0, NULL,
      "without keys, connect over a network" },
    { "http-token-file", 0, OPTION_TEXT, AT(http_token_file), NULL, 0, 0,
      "FILE", "bearer token for the broker's depot and for --serve" },
    { "serve", 0, OPTION_TEXT, AT(serve), NULL, 0, 0, "HOST:PORT",
      "let other workers fetch from this one's cache, and fetch from theirs" },
    { "advertise", 0, OPTION_TEXT, AT(advertise), NULL, 0, 0, "HOST",
      "where others reach --serve (default: as bound; bound to all: the name "
      "of this machine)" },
    { "name", 'n', OPTION_TEXT, AT(name), NULL, 0, 0, "NAME",
      "of this worker, for people (default: host-pid)" },
    { "slots", 's', OPTION_NUMBER, AT(slots), "0", 0, LIMIT_SLOTS, "N",
      "jobs at a time; 0: one for each core" },
    { "cpus", 0, OPTION_NUMBER, AT(cpus), "0", 0, LIMIT_CPUS, "N",
      "that all slots may use together; 0: what the machine grants" },
    { "cache", 0, OPTION_TEXT, AT(cache), "cache", 0, 0, "DIR",
      "fetched models and scratch files; workers may share it" },
    { "cache-size", 0, OPTION_BYTES, AT(cache_size), "20GiB", 0, 0, "BYTES",
      "what the cache may hold; 0: no limit" },
    { "memory", 0, OPTION_BYTES, AT(memory), "0", 0, 0, "BYTES",
      "for all slots together; 0: what the machine grants" },
    { "keep", 0, OPTION_BYTES, AT(keep), "0", 0, 0, "BYTES",
      "merged models kept in memory between jobs; 0: half of --memory" },
    { "labels", 0, OPTION_TEXT, AT(labels), "", 0, 0, "WORDS",
      "\"zone=a gpus=2\": what sweeps may ask for (`resources`)" },
    { "allow-command", 0, OPTION_LIST, AT(commands), NULL, 0, 0, "NAME",
      "a program that evaluators may run; may repeat" },
    { "allow-url", 0, OPTION_LIST, AT(urls), NULL, 0, 0, "PREFIX",
      "fetch only URLs that begin so; may repeat" },
    { "fetch-patience", 0, OPTION_MS, AT(fetch_ms), "60s", 0, 0, "TIME",
      "a server that sends nothing for so long fails the job, which is tried "
      "again later" },
    { "drain", 0, OPTION_MS, AT(drain_ms), "120s", 0, 0, "TIME",
      "after SIGTERM running jobs may take so long" },
    { "exit-when-idle", 0, OPTION_MS, AT(idle_ms), "0", 0, 0, "TIME",
      "end when there was no job for so long; 0: never" },
    { "welcome", 0, OPTION_SWITCH, AT(welcome), NULL, 0, 0, NULL,
      "with `health`: can it do jobs as well? It is let in, and the last one "
      "got what it needs" },
    { "token-file", 0, OPTION_TEXT, AT(token_file), NULL, 0, 0, "PATH",
      "bearer token for --token-url; none: HF_TOKEN, for --hub" },
    { "token-url", 0, OPTION_TEXT, AT(token_url), NULL, 0, 0, "PREFIX",
      "URLs that are asked with the token (default: --hub)" },
    { "hub", 0, OPTION_TEXT, AT(hub), NULL, 0, 0, "URL",
      "of hf:// (default: HF_ENDPOINT, or https://huggingface.co)" },
    { "die-with-parent", 0, OPTION_SWITCH, AT(die_with_parent), NULL, 0, 0,
      NULL, "end when the process that started this one does" },
    { "replaces", 0, OPTION_SWITCH, AT(replaces), NULL, 0, 0, NULL,
      "the worker of that --name has died: its jobs need not wait for its "
      "lease to end" },
    { "log", 0, OPTION_TEXT, AT(log), "info", 0, 0, "LEVEL",
      "debug, info, warn or error" },
    { "log-format", 0, OPTION_TEXT, AT(log_format), "logfmt", 0, 0, "FORM",
      "logfmt or json" },
    { "version", 'V', OPTION_SWITCH, AT(version), NULL, 0, 0, NULL,
      "print the version" },
    { "help", 'h', OPTION_SWITCH, AT(help), NULL, 0, 0, NULL,
      "print this help" },
    { "slot-fd", 0, OPTION_NUMBER, AT(slot_fd), "-1", -1, 1 << 20, "FD",
      "internal: be a slot of the worker at the other end" },
    { 0 },
};

MUST_CHECK static struct status check_serve(const struct worker_config *c)
{
    if (c->serve == NULL || c->http_token_file != NULL ||
        endpoint_is_private(c->serve))
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "--serve %s can be reached by other machines, and whoever does "
                "could read the models of this cache: give --http-token-file",
                c->serve);
}

/* What the options leave to the machine. */
MUST_CHECK static struct status fill(struct worker_config *c)
{
    char host[HOST_NAME_MAX + 1] = "";

    TRY_PLAIN(log_level_find(c->log, &c->level));
    TRY_PLAIN(log_format_find(c->log_format, &c->format));
    c->key = option_given(c->key);
    c->broker_key = option_given(c->broker_key);
    c->http_token_file = option_given(c->http_token_file);
    c->serve = option_given(c->serve);
    c->advertise = option_given(c->advertise);
    TRY_PLAIN(check_serve(c));
    if (c->cpus == 0)
        c->cpus = (int64_t)machine_cpus("");
    if (c->slots == 0)
        c->slots = c->cpus < LIMIT_SLOTS ? c->cpus : LIMIT_SLOTS;
    if (c->memory == 0)
        c->memory = machine_memory("");
    if (c->keep == 0)
        c->keep = c->memory / KEEP_SHARE;
    if (c->name == NULL || c->name[0] == '\0') {
        (void)gethostname(host, sizeof host - 1);
        (void)snprintf(c->own_name, sizeof c->own_name, "%.40s-%ld", host,
                       (long)getpid());
        c->name = c->own_name;
    }
    if (strlen(c->name) > LIMIT_NAME)
        return FAIL(STATUS_INVALID, "--name %s is longer than %d characters",
                    c->name, (int)LIMIT_NAME);
    return SUCCESS;
}

struct status worker_config_load(struct worker_config *c, int argc,
                                 char *const *argv)
{
    struct option_list operands = { 0 };
    struct status st;

    *c = (struct worker_config){ 0 };
    TRY_PLAIN(option_parse(options, argc, argv, c, &operands));
    c->health = operands.count == 1 && strcmp(operands.items[0], "health") == 0;
    st = operands.count == 0 || c->health
             ? fill(c)
             : FAIL(STATUS_INVALID,
                    "\"%s\": the worker takes options only, or \"health\"",
                    operands.items[0]);
    free(operands.items);
    if (status_failed(&st))
        worker_config_release(c);
    return st;
}

void worker_config_release(struct worker_config *c)
{
    option_release(options, c);
}

void worker_config_help(FILE *out)
{
    (void)fprintf(out, "usage: sinter-worker [option ...]\n"
                       "       sinter-worker health --cache DIR [--name "
                       "NAME]\n\n"
                       "Runs the jobs of a sinter farm. With `health`: is the "
                       "worker with that cache alive?\nEnds with 0 if it "
                       "is, for probes of containers.\n\n");
    option_help(options, out);
}
