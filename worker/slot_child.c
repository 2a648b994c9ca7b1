#include "worker/slot_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/recipe.h"
#include "sources/source.h"
#include "worker/frame.h"
#include "worker/kept.h"
#include "worker/scratch.h"

enum {
    PROGRESS_MS = 200,    /* between two PROGRESS messages */
    SAVE_MS = 5000,       /* between what a job leaves in keep(), at least */
    SAVE_SHARE = 20,      /* and so many times as long as that took */
    DEPOT_MS = 60 * 1000, /* a broker that restarts may be away so long */
    DEPOT_PAUSE_MS = 200,
    TOKEN_TEXT = 48,
    KEPT_S = 7 * 24 * 3600, /* what a job left is removed after */
};

struct child {
    const struct worker_config *config;
    int fd;
    struct frame_reader reader;
    struct buf out;
    struct source_store *store;
    struct scratch *scratch; /* NULL: none yet, or it failed */
    struct recipe_cache *kept;
    const char **commands; /* NULL-terminated; NULL: none */
    int64_t memory;        /* of this slot */

    /* Of the job that runs. */
    const struct wire_slot_run *run;
    struct buf held; /* the bytes of `run` */
    char *depot;
    json_t *inputs;   /* key as text -> result */
    json_t *siblings; /* NULL: not asked for yet */
    struct source_pins pins;
    struct kept *place; /* NULL: the job asked for none, or has none */
    int64_t told;       /* ns, last PROGRESS */
    int64_t saved;      /* ns, last time a job was told to save */
    int64_t pause;      /* ns until the next time */
    bool saving;        /* told so when it asked last */
};

/* SIGTERM: the job in hand shall end. */
static volatile sig_atomic_t stop_asked;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

MUST_CHECK static struct status send_message(struct child *c,
                                             const struct wire_message *m)
{
    size_t used = 0;

    buf_clear(&c->out);
    TRY_PLAIN(frame_add(&c->out, m));
    while (used < c->out.size) {
        ssize_t put = write(c->fd, c->out.data + used, c->out.size - used);

        if (put < 0 && errno != EINTR)
            return FAIL(STATUS_UNAVAILABLE, "write to the worker: %s",
                        strerror(errno));
        used += put > 0 ? (size_t)put : 0;
    }
    return SUCCESS;
}

static bool cancelled(void *self)
{
    (void)self;
    return stop_asked != 0;
}

static void tell_progress(void *self, uint64_t done, uint64_t total,
                          const char *unit)
{
    struct child *c = self;
    int64_t now = clock_now();
    struct wire_message m = { .type = WIRE_SLOT_PROGRESS };
    struct status st;

    if (now - c->told < PROGRESS_MS * NS_PER_MS)
        return;
    c->told = now;
    m.slot_progress.done = done;
    m.slot_progress.total = total;
    m.slot_progress.unit = wire_text(unit);
    st = send_message(c, &m);
    (void)st; /* a worker that is gone is seen by the next read */
}

static void tell_bytes(void *self, uint64_t done, uint64_t total)
{
    tell_progress(self, done, total, "byte");
}

/* By the same pipe as what the job prints, so the lines keep their order. */
static void write_line(void *self, const char *line)
{
    (void)self;
    (void)dprintf(STDERR_FILENO, "%s\n", line);
}

/* Others may wait for what is there now: the worker is to look. */
static void tell_fetched(struct child *c, uint64_t before)
{
    uint64_t bytes = source_bytes(c->store) - before;

    if (bytes == 0)
        return;
    c->told = 0;
    tell_bytes(c, bytes, bytes);
}

MUST_CHECK static struct status fetch(void *self, const json_t *source,
                                      const char **ret_path)
{
    struct child *c = self;
    struct source_pin *held = NULL;
    uint64_t before = source_bytes(c->store);

    TRY_PLAIN(source_fetch(c->store, source, &held));
    tell_fetched(c, before);
    *ret_path = source_pins_add(&c->pins, held);
    return SUCCESS;
}

MUST_CHECK static struct status fetch_tensors(void *self, const json_t *source,
                                              bool (*wanted)(void *chooser,
                                                             const char *name),
                                              void *chooser,
                                              const char **ret_path)
{
    const struct source_choice choice = { wanted, chooser };
    struct child *c = self;
    struct source_pin *held = NULL;
    uint64_t before = source_bytes(c->store);

    TRY_PLAIN(source_fetch_tensors(c->store, source, &choice, &held));
    tell_fetched(c, before);
    *ret_path = source_pins_add(&c->pins, held);
    return SUCCESS;
}

/* Was the depot moved since? The worker tells so during a job. */
MUST_CHECK static struct status ask_depot(struct child *c)
{
    struct pollfd fd = { .fd = c->fd, .events = POLLIN };
    bool got = true;

    while (got || poll(&fd, 1, 0) == 1) {
        struct wire_decoded d;

        if (!got)
            TRY_PLAIN(frame_read(&c->reader));
        if (c->reader.ended)
            return FAIL(STATUS_LOST, "the worker is gone");
        TRY_PLAIN(frame_next(&c->reader, &d, &got));
        if (got && d.message.type == WIRE_WELCOME) {
            free(c->depot);
            c->depot = wire_take(d.message.welcome.depot);
        }
        if (got)
            wire_release(&d);
    }
    return SUCCESS;
}

/* After a failure that may be over soon: shall it be tried once more? */
static bool try_again(struct child *c, int64_t start, const struct status *st)
{
    struct status asked;

    if (st->code != STATUS_UNAVAILABLE || cancelled(c) ||
        clock_now() - start > DEPOT_MS * NS_PER_MS)
        return false;
    clock_sleep_ms(DEPOT_PAUSE_MS);
    asked = ask_depot(c);
    return !status_failed(&asked);
}

MUST_CHECK static struct status open_artifact(void *self, const char *digest,
                                              const char **ret_path)
{
    struct child *c = self;
    struct source_pin *held = NULL;
    int64_t start = clock_now();
    uint64_t before = source_bytes(c->store);
    struct status st;

    do
        st = source_open_artifact(c->store, c->depot, digest, &held);
    while (try_again(c, start, &st));
    TRY_PLAIN(st);
    tell_fetched(c, before);
    *ret_path = source_pins_add(&c->pins, held);
    return SUCCESS;
}

/* In the directory that is emptied behind the job: other jobs may read it.
 * What is written for somebody outside is too large to be kept. */
static bool is_scratch(const struct child *c, const char *path)
{
    const char *scratch = scratch_path(c->scratch);

    return strncmp(path, scratch, strlen(scratch)) == 0;
}

MUST_CHECK static struct status put_artifact(void *self, const char *path,
                                             char ret_digest[DIGEST_TEXT])
{
    struct child *c = self;
    int64_t start = clock_now();
    struct status st;

    do
        st = source_put_artifact(c->store, c->depot, path, is_scratch(c, path),
                                 ret_digest);
    while (try_again(c, start, &st));
    return st;
}

MUST_CHECK static struct status input(void *self, const char *key,
                                      const json_t **ret_result)
{
    struct child *c = self;
    const struct wire_inputs *inputs = &c->run->job.inputs;
    struct digest wanted;

    *ret_result = json_object_get(c->inputs, key);
    if (*ret_result != NULL)
        return SUCCESS;
    for (size_t i = 0; digest_from_text(key, &wanted) && i < inputs->count;
         i++) {
        const struct wire_input *in = &inputs->items[i];
        json_t *result = NULL;

        if (!digest_equal(&in->key, &wanted))
            continue;
        TRY_PLAIN(json_parse(in->result.data, in->result.size,
                             "result of an input job", &result));
        (void)json_object_set_new(c->inputs, key, result);
        *ret_result = result;
        return SUCCESS;
    }
    return FAIL(STATUS_NOT_FOUND, "job %.12s is no input of this one", key);
}

/* One that cannot be read is left out: it will say so itself. */
static const json_t *siblings(void *self)
{
    struct child *c = self;
    const struct wire_siblings *list = &c->run->siblings;

    if (c->siblings != NULL)
        return c->siblings;
    c->siblings = json_array();
    for (size_t i = 0; i < list->count; i++) {
        struct wire_bytes text = list->items[i].params;
        json_t *params = NULL;
        struct status st =
            json_parse(text.data, text.size, "a sibling", &params);

        if (!status_failed(&st))
            (void)json_array_append_new(c->siblings, params);
    }
    return c->siblings;
}

/* A place that cannot be written is this worker's trouble: the job may do
 * better elsewhere. */
MUST_CHECK static struct status open_scratch(struct child *c)
{
    struct status st = SUCCESS;

    if (c->scratch == NULL) {
        st = scratch_new(c->config->cache, &c->scratch);
        kept_sweep(c->config->cache, KEPT_S);
    }
    if (status_failed(&st) && st.code != STATUS_NO_SPACE)
        st.code = STATUS_UNAVAILABLE;
    return st;
}

/* Of what the job computes: another attempt has the same. Of this version:
 * another one may write other bytes. */
static struct digest computation(const struct wire_assignment *job)
{
    static const char version[] = SINTER_VERSION;
    struct digest_stream *d = digest_begin();

    digest_add(d, version, sizeof version);
    digest_add(d, job->kind.data, job->kind.size);
    digest_add(d, "", 1);
    digest_add(d, job->params.data, job->params.size);
    return digest_end(d);
}

/* Whatever is in its way: the job goes on without. */
static const char *keep(void *self)
{
    struct child *c = self;
    struct digest key = computation(&c->run->job);
    struct status st = SUCCESS;

    if (c->place == NULL)
        st = kept_open(c->config->cache, &key, &c->place);
    return status_failed(&st) ? NULL : kept_path(c->place);
}

/* As often as leaves a twentieth of the time to saving, the step beside it
 * counted too. */
static bool save_due(void *self)
{
    struct child *c = self;
    int64_t now = clock_now();

    if (c->saving && SAVE_SHARE * (now - c->saved) > c->pause)
        c->pause = SAVE_SHARE * (now - c->saved);
    c->saving = now - c->saved >= c->pause;
    if (c->saving)
        c->saved = now;
    return c->saving;
}

/* Does somebody come back for it? On a full disk it would be in the way. */
static void let_go(struct child *c, const struct status *st)
{
    bool again = st->code == STATUS_CANCELLED ||
                 (status_failed(st) && st->code != STATUS_NO_SPACE &&
                  status_retry(st->code) == RETRY_LATER);

    kept_close(c->place, !again);
    c->place = NULL;
    if (st->code == STATUS_NO_SPACE)
        kept_sweep(c->config->cache, 0);
}

/* As many as the job asked cpus for, and this worker has. */
static uint64_t threads_of(const struct child *c)
{
    uint64_t asked = c->run->job.cpus;
    uint64_t cpus = (uint64_t)c->config->cpus;

    if (asked > cpus)
        asked = cpus;
    return asked > 1 ? asked : 1;
}

static struct job_context context_of(struct child *c)
{
    const struct wire_assignment *job = &c->run->job;

    return (struct job_context){
        .self = c,
        .cancelled = cancelled,
        .progress = tell_progress,
        .log = write_line,
        .fetch = fetch,
        .fetch_tensors = fetch_tensors,
        .input = input,
        .open_artifact = open_artifact,
        .put_artifact = put_artifact,
        .keep = keep,
        .save_due = save_due,
        .threads = threads_of(c),
        .memory_bytes = job->memory_bytes > 0 ? job->memory_bytes : c->memory,
        .allowed_commands = c->commands,
        .siblings = siblings,
        .cache = c->kept,
    };
}

/* Run the kind on the decoded parameters. */
MUST_CHECK static struct status run_kind(struct child *c, const char *name,
                                         struct job_context *context,
                                         json_t **ret_result)
{
    const struct wire_assignment *job = &c->run->job;
    const struct job_kind *kind = job_kind_find(name);
    AUTO(json_release) json_t *params = NULL;
    char token[TOKEN_TEXT];

    if (kind == NULL || kind->run == NULL)
        return FAIL(STATUS_INVALID, "this worker (%s) runs no jobs of kind %s",
                    SINTER_VERSION, name);
    TRY(json_parse(job->params.data, job->params.size, name, &params),
        "parameters");
    TRY_PLAIN(open_scratch(c));
    context->scratch = scratch_path(c->scratch);
    (void)snprintf(token, sizeof token, "%llu/%llu",
                   (unsigned long long)job->token.epoch,
                   (unsigned long long)job->token.attempt);
    context->token = token;
    TRY_PLAIN(kind->run(params, context, ret_result));
    return SUCCESS;
}

static void set_peers(const struct child *c, const struct wire_holders *holders)
{
    AUTO(free_pointer)
    struct source_peer *peers = xcalloc(holders->count + 1, sizeof *peers);

    for (size_t i = 0; i < holders->count; i++) {
        const struct wire_holder *h = &holders->items[i];

        peers[i] =
            (struct source_peer){ h->source, h->address.data, h->address.size };
    }
    source_set_peers(c->store, peers, holders->count);
}

MUST_CHECK static struct status begin_job(struct child *c,
                                          const struct wire_slot_run *run)
{
    c->run = run;
    c->depot = wire_take(run->depot);
    c->inputs = json_object();
    c->told = 0;
    c->saved = clock_now();
    c->pause = SAVE_MS * NS_PER_MS;
    c->saving = false;
    stop_asked = 0;
    set_peers(c, &run->job.holders);
    return frame_hold(&c->reader, &c->held);
}

static void end_job(struct child *c)
{
    struct status st = SUCCESS;

    source_pins_release(&c->pins);
    if (c->scratch != NULL)
        st = scratch_clear(c->scratch);
    if (status_failed(&st)) { /* the next job says why it has none */
        scratch_free(c->scratch);
        c->scratch = NULL;
    }
    json_decref(c->inputs);
    json_decref(c->siblings);
    c->siblings = NULL;
    free(c->depot);
    buf_release(&c->held);
    c->run = NULL;
}

/* So that the peak below is this job's, not the process's. */
static void forget_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    ssize_t put;

    if (fd < 0)
        return;
    put = write(fd, "5", 1);
    (void)put; /* refused: the peak of the process is told */
    (void)close(fd);
}

/* Bytes resident at most since forget_peak(); 0: not known. */
static int64_t read_peak(void)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t size;
    const char *line;

    if (fd < 0)
        return 0;
    size = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[size > 0 ? size : 0] = '\0';
    line = strstr(text, "VmHWM:");
    return line == NULL ? 0 : strtoll(line + 6, NULL, 10) * 1024;
}

/* The result as text, or the failure, as an outcome. */
static struct wire_outcome judge(const struct status *st, const char *text)
{
    struct wire_outcome o = { .code = st->code };

    if (status_failed(st)) {
        o.message = wire_text(st->message);
    } else if (text != NULL && strlen(text) <= LIMIT_RESULT) {
        o.result = wire_text(text);
    } else {
        o.code = STATUS_TOO_BIG;
        o.message = wire_text("the job's result is larger than 1 MiB");
    }
    return o;
}

static void add_facts(const struct job_facts *facts, struct wire_outcome *o)
{
    o->bytes_read = (int64_t)facts->bytes_read;
    o->bytes_fetched = (int64_t)facts->bytes_fetched;
    o->model = (uint64_t)facts->model;
}

static void add_pulls(const struct child *c, const struct source_pulls *before,
                      struct wire_outcome *o)
{
    const struct source_pulls now = source_pulls(c->store);

    o->bytes_pulled = (int64_t)(now.bytes - before->bytes);
    o->pulls_failed = now.failed - before->failed;
}

MUST_CHECK static struct status do_job(struct child *c,
                                       const struct wire_slot_run *run)
{
    AUTO(free_pointer) char *kind = wire_take(run->job.kind);
    AUTO(free_pointer) char *text = NULL;
    AUTO(json_release) json_t *result = NULL;
    struct wire_message m = { .type = WIRE_SLOT_DONE };
    uint64_t fetched = source_bytes(c->store);
    struct source_pulls pulls = source_pulls(c->store);
    struct job_context context;
    struct status st;

    TRY_PLAIN(begin_job(c, run));
    forget_peak();
    context = context_of(c);
    st = run_kind(c, kind, &context, &result);
    let_go(c, &st);
    if (!status_failed(&st) && json_is_object(result))
        text = json_canonical(result);
    (void)fflush(NULL);
    m.slot_done.outcome = judge(&st, text);
    m.slot_done.outcome.peak_bytes = read_peak();
    context.facts.bytes_fetched = source_bytes(c->store) - fetched;
    add_facts(&context.facts, &m.slot_done.outcome);
    add_pulls(c, &pulls, &m.slot_done.outcome);
    end_job(c);
    return send_message(c, &m);
}

MUST_CHECK static struct status serve(struct child *c)
{
    while (!c->reader.ended) {
        struct wire_decoded decoded;
        struct status st = SUCCESS;
        bool got;

        TRY_PLAIN(frame_next(&c->reader, &decoded, &got));
        if (!got) {
            TRY_PLAIN(frame_read(&c->reader));
            continue;
        }
        if (decoded.message.type == WIRE_SLOT_RUN)
            st = do_job(c, &decoded.message.slot_run);
        wire_release(&decoded);
        TRY_PLAIN(st);
    }
    return SUCCESS;
}

static void set_up_process(int fd)
{
    struct sigaction stop = { .sa_handler = on_stop };

    /* A worker that died before this line closed the socket: read ends. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NAME, "sinter-slot");
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
}

static const char **terminated(const struct option_list *list)
{
    const char **items;

    if (list->count == 0)
        return NULL;
    items = xcalloc(list->count + 1, sizeof *items);
    memcpy(items, list->items, list->count * sizeof *items);
    return items;
}

struct status slot_child_run(const struct worker_config *config)
{
    struct child c = { .config = config, .fd = (int)config->slot_fd };
    const struct source_settings store = {
        .directory = config->cache,
        .size_limit = (uint64_t)config->cache_size,
        .prefixes = config->urls.items,
        .prefix_count = config->urls.count,
        .token_file = config->token_file,
        .token_prefix = config->token_url,
        .depot_token_file = config->http_token_file,
        .hub = config->hub,
        .give_up_ms = config->fetch_ms,
        .cancelled = cancelled,
        .progress = tell_bytes,
        .note = write_line,
        .self = &c,
    };
    struct status st;

    set_up_process(c.fd);
    frame_reader_init(&c.reader, c.fd);
    buf_init(&c.out, LIMIT_MESSAGE + FRAME_HEAD);
    c.memory = config->memory / config->slots;
    c.commands = terminated(&config->commands);
    c.store = source_store_new(&store);
    c.kept = recipe_cache_new((uint64_t)(config->keep / config->slots));
    st = serve(&c);
    recipe_cache_free(c.kept);
    scratch_free(c.scratch);
    source_store_free(c.store);
    free(c.commands);
    frame_reader_release(&c.reader);
    buf_release(&c.out);
    return st;
}
