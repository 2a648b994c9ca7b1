#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "broker/config.h"
#include "broker/depot.h"
#include "broker/health.h"
#include "broker/http.h"
#include "broker/loop.h"
#include "broker/standby.h"
#include "broker/token.h"
#include "common/curve.h"
#include "common/endpoint.h"
#include "common/file.h"
#include "common/json.h"
#include "common/memory.h"

enum {
    EXIT_USAGE = 2,
    MOST_QUEUED = 4096, /* messages for one peer; credit is the real limit */
    STORE_AGAIN_MS = 1000,
    HANDOVER_MS = 1000, /* for a standby to take the lead that we give away */
};

/* Everything that is open, in the order it is closed. */
struct broker {
    const struct config *config;
    struct loop loop;
    struct http_server *http;
    struct depot *depot;
    struct hatch *hatch;
    char *depot_url;
};

static void close_broker(struct broker *b)
{
    http_server_free(b->http);
    if (b->loop.link.self != NULL)
        b->loop.link.close(b->loop.link.self);
    keeper_free(b->loop.keeper);
    sched_free(b->loop.sched);
    if (b->loop.store.self != NULL)
        b->loop.store.close(b->loop.store.self);
    outbox_release(&b->loop.out);
    hatch_free(b->hatch);
    depot_free(b->depot);
    free(b->depot_url);
}

/* Signals as descriptors, blocked before any thread is made. */
MUST_CHECK static struct status catch_signals(struct loop *l)
{
    sigset_t stop;
    sigset_t reload;

    (void)signal(SIGPIPE, SIG_IGN); /* a peer that closes is no disaster */
    (void)signal(SIGCHLD, SIG_IGN); /* as process 1: what others leave behind */
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)sigemptyset(&reload);
    (void)sigaddset(&reload, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL);
    (void)sigprocmask(SIG_BLOCK, &reload, NULL);
    l->stop_descriptor = signalfd(-1, &stop, SFD_CLOEXEC);
    l->reload_descriptor = signalfd(-1, &reload, SFD_CLOEXEC | SFD_NONBLOCK);
    if (l->stop_descriptor < 0 || l->reload_descriptor < 0)
        return FAIL(STATUS_FAILED, "signalfd: %s", strerror(errno));
    return SUCCESS;
}

/* A list that cannot be read changes nothing. */
static void reload_keys(struct broker *b)
{
    struct curve_ring *ring = NULL;
    struct status st = curve_ring_load(b->config->allow, &ring);

    if (status_failed(&st)) {
        log_failure("--allow was not read again; the old list holds", &st);
        return;
    }
    log_event(LOG_INFO, "--allow read again", "keys=%zu",
              curve_ring_count(ring));
    b->loop.link.allow(b->loop.link.self, ring);
}

static void reload_tokens(struct broker *b)
{
    struct token_list *tokens = NULL;
    struct status st = token_list_load(b->config->http_token_file, &tokens);

    if (status_failed(&st)) {
        log_failure("--http-token-file was not read again; the old tokens hold",
                    &st);
        return;
    }
    log_event(LOG_INFO, "--http-token-file read again", "%s", "");
    http_server_set_tokens(b->http, tokens);
}

static void reload(void *self)
{
    struct broker *b = self;
    struct signalfd_siginfo info;

    while (read(b->loop.reload_descriptor, &info, sizeof info) ==
           (ssize_t)sizeof info)
        continue;
    if (b->config->allow != NULL)
        reload_keys(b);
    if (b->config->http_token_file != NULL)
        reload_tokens(b);
}

MUST_CHECK static struct status follow_parent(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        return FAIL(STATUS_FAILED, "prctl: %s", strerror(errno));
    /* It may have died before that took effect. */
    if (getppid() != parent)
        return FAIL(STATUS_CANCELLED, "the parent process has ended");
    return SUCCESS;
}

MUST_CHECK static struct status connect_store(const struct config *c,
                                              struct store *ret_store)
{
    struct store_options options = { .user_file = c->user_file,
                                     .password_file = c->password_file,
                                     .accept_loss = c->accept_loss };

    return store_open(c->store, c->namespace, &options, ret_store);
}

MUST_CHECK static struct status open_store(struct broker *b,
                                           const struct config *c)
{
    TRY_PLAIN(connect_store(c, &b->loop.store));
    b->loop.rebuild = c->rebuild;
    b->loop.snapshot_ms = c->snapshot_ms;
    if (b->loop.store.caution != NULL)
        log_event(LOG_WARN, "store could not be checked", "caution=\"%s\"",
                  b->loop.store.caution);
    return SUCCESS;
}

/* A standby may be there before its store is, or before that has a name; in a
 * cluster they begin together. */
MUST_CHECK static struct status await_store(struct broker *b,
                                            const struct config *c)
{
    struct pollfd stop = { .fd = b->loop.stop_descriptor, .events = POLLIN };
    struct status st = open_store(b, c);

    if (st.code == STATUS_UNAVAILABLE && c->standby)
        log_event(LOG_WARN, "waits for the store", "error=\"%s\"", st.message);
    while (st.code == STATUS_UNAVAILABLE && c->standby &&
           poll(&stop, 1, STORE_AGAIN_MS) == 0) {
        hatch_beat(b->hatch);
        st = open_store(b, c);
    }
    return st;
}

MUST_CHECK static struct status open_http(struct broker *b,
                                          const struct config *c)
{
    struct token_list *tokens = NULL;
    AUTO(free_pointer) char *address = NULL;

    if (c->http_token_file != NULL)
        TRY(token_list_load(c->http_token_file, &tokens), "--http-token-file");
    TRY_PLAIN(depot_open(c->depot, &b->depot));
    TRY_PLAIN(hatch_new(&b->hatch));
    TRY_PLAIN(http_server_new(c->http, b->depot, b->hatch, tokens, &b->http));
    address = endpoint_advertised(http_server_address(b->http), c->advertise);
    b->depot_url = c->depot_url != NULL ? xstrdup(c->depot_url)
                                        : xasprintf("http://%s", address);
    return SUCCESS;
}

/* On failure nothing is held. */
MUST_CHECK static struct status load_keys(const struct config *c,
                                          struct curve_key *ret_key,
                                          struct curve_ring **ret_ring)
{
    struct status st;

    TRY(curve_load_secret(c->key, ret_key), "--key");
    if (ret_key->role != CURVE_BROKER)
        st = FAIL(STATUS_INVALID, "--key %s is the key of a %s", c->key,
                  curve_role_name(ret_key->role));
    else
        st = curve_ring_load(c->allow, ret_ring);
    if (status_failed(&st))
        curve_forget(ret_key);
    return st;
}

/* Before anything is taken from a broker that has the right ones. */
MUST_CHECK static struct status try_keys(const struct config *c)
{
    struct curve_ring *ring = NULL;
    struct curve_key key;

    if (c->key == NULL)
        return SUCCESS;
    TRY_PLAIN(load_keys(c, &key, &ring));
    curve_forget(&key);
    curve_ring_free(ring);
    return SUCCESS;
}

MUST_CHECK static struct status open_link(struct broker *b,
                                          const struct config *c)
{
    struct link_settings settings = { .most_queued = MOST_QUEUED };
    struct curve_key key;
    struct status st;

    settings.endpoints[PEER_WORKER] = c->workers;
    settings.endpoints[PEER_CLIENT] = c->clients;
    if (c->key == NULL) {
        if (c->plaintext)
            log_event(LOG_WARN, "without keys",
                      "whoever reaches %s or %s "
                      "is let in",
                      c->workers, c->clients);
        return link_zmq_open(&settings, &b->loop.link);
    }
    TRY_PLAIN(load_keys(c, &key, &settings.ring));
    settings.key = &key;
    st = link_zmq_open(&settings, &b->loop.link);
    curve_forget(&key);
    return st;
}

static void put_address(char to[STORE_HOLDER_MOST], const char *bound,
                        const struct config *c)
{
    AUTO(free_pointer) char *address = endpoint_advertised(bound, c->advertise);

    (void)snprintf(to, STORE_HOLDER_MOST, "%s", address);
}

MUST_CHECK static struct status open_keeper(struct broker *b,
                                            const struct config *c)
{
    const struct link *link = &b->loop.link;
    struct keeper_leader me = { .known = true };
    struct store store;

    put_address(me.workers, link->endpoint(link->self, PEER_WORKER), c);
    put_address(me.clients, link->endpoint(link->self, PEER_CLIENT), c);
    put_address(me.http, http_server_address(b->http), c);
    TRY_PLAIN(connect_store(c, &store));
    return keeper_new(&store, c->leader_ttl_ms, c->standby, &me,
                      &b->loop.keeper);
}

MUST_CHECK static struct status open_broker(struct broker *b,
                                            const struct config *c)
{
    TRY_PLAIN(try_keys(c));
    TRY_PLAIN(open_http(b, c));
    TRY_PLAIN(await_store(b, c));
    b->loop.hatch = b->hatch;
    b->loop.depot = b->depot;
    b->loop.gc_least_ms = c->gc_least_ms;
    b->loop.backlog_most = (uint64_t)c->backlog;
    return SUCCESS;
}

MUST_CHECK static struct status take_over(struct broker *b,
                                          const struct config *c)
{
    struct sched_settings settings = { .heartbeat_ms = c->heartbeat_ms,
                                       .lease_ms = c->lease_ms,
                                       .workers = b->loop.descriptors.workers,
                                       .fetches = (uint64_t)c->fetches,
                                       .demand = c->demand,
                                       .version = SINTER_VERSION,
                                       .depot = b->depot_url };

    b->loop.sched = sched_new(&settings);
    return loop_recover(&b->loop);
}

/* Where and what this broker is, for the log and for who started it. */
MUST_CHECK static struct status announce(struct broker *b,
                                         const struct config *c,
                                         const char *role)
{
    struct link *link = &b->loop.link;
    AUTO(json_release)
    json_t *ready =
        json_pack("{s:I, s:s, s:s, s:s, s:I, s:s}", "pid", (json_int_t)getpid(),
                  "workers", link->endpoint(link->self, PEER_WORKER), "clients",
                  link->endpoint(link->self, PEER_CLIENT), "http",
                  http_server_address(b->http), "epoch",
                  (json_int_t)b->loop.epoch, "role", role);
    AUTO(free_pointer) char *text = json_dumps(ready, JSON_COMPACT);

    hatch_set_ready(b->hatch);
    log_event(
        LOG_INFO, "broker is ready", "role=%s workers=%s clients=%s http=%s",
        role, link->endpoint(link->self, PEER_WORKER),
        link->endpoint(link->self, PEER_CLIENT), http_server_address(b->http));
    if (c->ready_file == NULL)
        return SUCCESS;
    return file_write(c->ready_file, text, strlen(text));
}

/* The sockets first, which say who leads; the log when we do. */
MUST_CHECK static struct status wait_and_lead(struct broker *b,
                                              const struct config *c,
                                              bool *ret_leads)
{
    TRY_PLAIN(open_link(b, c));
    TRY_PLAIN(open_keeper(b, c));
    TRY_PLAIN(announce(b, c, "standby"));
    TRY_PLAIN(standby_wait(&b->loop, ret_leads));
    if (!*ret_leads)
        return SUCCESS;
    TRY_PLAIN(take_over(b, c));
    hatch_set_standby(b->hatch, false, "");
    return SUCCESS;
}

MUST_CHECK static struct status lead_at_once(struct broker *b,
                                             const struct config *c)
{
    TRY_PLAIN(take_over(b, c));
    TRY_PLAIN(open_link(b, c));
    return open_keeper(b, c);
}

MUST_CHECK static struct status serve(const struct config *c, pid_t parent,
                                      struct broker *b)
{
    bool leads = true;

    TRY_PLAIN(
        descriptors_prepare(&b->loop.descriptors, (uint64_t)c->workers_most));
    TRY_PLAIN(catch_signals(&b->loop));
    b->config = c;
    b->loop.reload = reload;
    b->loop.reload_self = b;
    if (c->die_with_parent)
        TRY_PLAIN(follow_parent(parent));
    TRY_PLAIN(open_broker(b, c));
    TRY_PLAIN(c->standby ? wait_and_lead(b, c, &leads) : lead_at_once(b, c));
    if (!leads)
        return SUCCESS;
    keeper_begun(b->loop.keeper, b->loop.epoch);
    TRY_PLAIN(announce(b, c, "leader"));
    TRY_PLAIN(loop_run(&b->loop));
    return standby_depart(&b->loop, c->standby ? HANDOVER_MS : 0);
}

static int run(const struct config *c, pid_t parent)
{
    struct broker b = { 0 };
    struct status st = serve(c, parent, &b);

    close_broker(&b);
    if (status_failed(&st)) {
        log_failure("broker stops", &st);
        return st.code == STATUS_STALE ? EX_TEMPFAIL : EXIT_FAILURE;
    }
    log_event(LOG_INFO, "broker stops", "reason=signal");
    return EXIT_SUCCESS;
}

static int print_help(void)
{
    puts("usage: sinter-broker [--option VALUE ...]\n"
         "       sinter-broker health [--http HOST:PORT]\n\n"
         "Keeps sweeps, gives jobs to workers, holds their results. health: is "
         "the one\nthat runs here ready?\n");
    option_help(config_options, stdout);
    return EXIT_SUCCESS;
}

/* For probes: one line, and 0 or 1. */
static int look(const struct config *c)
{
    AUTO(free_pointer) char *words = NULL;
    struct status st = health_ask(c->http, &words);

    if (status_failed(&st)) {
        (void)fprintf(stderr, "sinter-broker: %s\n", st.message);
        return EXIT_FAILURE;
    }
    puts(words);
    return EXIT_SUCCESS;
}

static int use(struct config *c, const struct option_list *operands,
               pid_t parent)
{
    struct status st;

    if (c->help)
        return print_help();
    if (c->version) {
        puts("sinter-broker " SINTER_VERSION);
        return EXIT_SUCCESS;
    }
    if (operands->count == 1 && strcmp(operands->items[0], "health") == 0)
        return look(c);
    st = config_check(c);
    if (!status_failed(&st) && operands->count > 0)
        st = FAIL(STATUS_INVALID, "what is \"%s\"? Only --options are known",
                  operands->items[0]);
    log_start("sinter-broker", c->level, c->format);
    if (status_failed(&st)) {
        (void)fprintf(stderr, "sinter-broker: %s\n", st.message);
        return EXIT_USAGE;
    }
    return run(c, parent);
}

int main(int argc, char **argv)
{
    pid_t parent = getppid();
    struct config c = { 0 };
    struct option_list operands = { 0 };
    struct status st = option_parse(config_options, argc, argv, &c, &operands);
    int code = EXIT_USAGE;

    if (status_failed(&st))
        (void)fprintf(stderr, "sinter-broker: %s\n", st.message);
    else
        code = use(&c, &operands, parent);
    free(operands.items);
    option_release(config_options, &c);
    return code;
}
