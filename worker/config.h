/* config.h -- the worker's settings, which its slots read as well. */
#ifndef SINTER_WORKER_CONFIG_H
#define SINTER_WORKER_CONFIG_H

#include "common/log.h"
#include "common/option.h"
#include "common/status.h"

struct worker_config {
    const char *broker;
    const char *key, *broker_key; /* paths; NULL: none */
    bool plaintext;
    const char *http_token_file;   /* NULL: none */
    const char *serve, *advertise; /* NULL: none */
    const char *name;
    int64_t slots; /* as used: at least 1 */
    const char *cache;
    int64_t cache_size; /* bytes; 0: no limit */
    int64_t memory;     /* bytes for all slots; 0: not known */
    int64_t keep;       /* bytes of them for models kept between jobs */
    const char *labels;
    struct option_list commands;
    struct option_list urls;
    int64_t drain_ms, idle_ms;
    int64_t fetch_ms;
    const char *token_file;
    const char *token_url;
    const char *hub;
    bool die_with_parent;
    bool replaces; /* earlier processes of that name are dead */
    const char *log, *log_format;
    bool version, help;
    bool welcome; /* and see whether it can do jobs */
    bool health;  /* only look at the worker of that cache, and name if given */
    int64_t slot_fd; /* -1: this is a worker, else one of its slots */

    enum log_level level;
    enum log_format format;
    int64_t cpus;      /* as used: at least 1 */
    char own_name[80]; /* what `name` points to if none is given */
};

/* INVALID says which option and why; nothing is held then. */
MUST_CHECK struct status worker_config_load(struct worker_config *c, int argc,
                                            char *const *argv);
void worker_config_release(struct worker_config *c);
void worker_config_help(FILE *out);

#endif
