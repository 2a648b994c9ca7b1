/* config.h -- the settings of sinter-broker. */
#ifndef SINTER_BROKER_CONFIG_H
#define SINTER_BROKER_CONFIG_H

#include "broker/core/demand.h"
#include "common/log.h"
#include "common/option.h"

struct config {
    const char *store, *namespace, *user_file, *password_file;
    const char *depot, *depot_url;
    const char *workers, *clients, *http;
    const char *key, *allow, *http_token_file; /* "" is none as well */
    const char *ready_file, *log, *log_format;
    int64_t lease_ms, heartbeat_ms, snapshot_ms, gc_least_ms;
    int64_t fetches; /* workers that fetch from one origin at a time */
    struct demand_settings demand;
    int64_t backlog;      /* bytes */
    int64_t workers_most; /* 0: what the descriptors allow */
    int64_t leader_ttl_ms;
    const char *advertise; /* NULL or "": what is bound */
    bool standby;
    enum log_level level;
    enum log_format format;
    bool plaintext, http_open;
    bool accept_loss, rebuild, die_with_parent, version, help;
};

extern const struct option config_options[];

/* What the table cannot say; sets level and format; empty
 * paths are none. */
MUST_CHECK struct status config_check(struct config *c);

#endif
