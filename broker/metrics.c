#include "broker/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "common/buf.h"

enum { TEXT_MOST = 1 << 20 };

struct metric {
    const char *name, *type, *help;
    size_t offset; /* in struct sched_stats */
};

#define STAT(member) offsetof(struct sched_stats, member)
static const struct metric counts[] = {
    { "sinter_epoch", "gauge", "epoch of this broker", STAT(epoch) },
    { "sinter_sweeps", "gauge", "sweeps known", STAT(sweeps) },
    { "sinter_sweeps_live", "gauge", "sweeps that are not over",
      STAT(sweeps_live) },
    { "sinter_jobs", "gauge", "jobs known", STAT(jobs) },
    { "sinter_jobs_ready", "gauge", "jobs that wait for a worker",
      STAT(jobs_ready) },
    { "sinter_jobs_running", "gauge", "jobs at workers", STAT(jobs_running) },
    { "sinter_jobs_done", "gauge", "jobs with a result", STAT(jobs_done) },
    { "sinter_jobs_failed", "gauge", "jobs that failed for good",
      STAT(jobs_failed) },
    { "sinter_workers", "gauge", "workers connected", STAT(workers) },
    { "sinter_slots", "gauge", "slots of all workers", STAT(slots) },
    { "sinter_slots_busy", "gauge", "slots with a job", STAT(busy) },
    { "sinter_assigned_total", "counter", "jobs given to workers",
      STAT(assigned) },
    { "sinter_results_total", "counter", "results committed", STAT(results) },
    { "sinter_failures_total", "counter", "runs that ended without a result",
      STAT(failures) },
    { "sinter_workers_lost_total", "counter", "leases that ran out",
      STAT(lost) },
    { "sinter_stale_total", "counter", "outcomes that came too late",
      STAT(stale) },
    { "sinter_duplicates_total", "counter", "outcomes sent twice",
      STAT(duplicates) },
    { "sinter_records_total", "counter", "records of the log", STAT(records) },
    { "sinter_store_backlog_bytes", "gauge", "that wait for the store",
      STAT(backlog_bytes) },
    { "sinter_busy_total", "counter", "requests answered BUSY",
      STAT(busy_replies) },
    { "sinter_fetched_bytes_total", "counter",
      "that workers fetched from the network", STAT(fetched_bytes) },
    { "sinter_pulled_bytes_total", "counter",
      "... and of these from each other", STAT(pulled_bytes) },
    { "sinter_pulls_failed_total", "counter",
      "workers that did not give another one what it was sent for",
      STAT(pulls_failed) },
};

static void print(struct buf *out, const char *name, const char *type,
                  const char *help, double value)
{
    struct status st = buf_print(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n",
                                 name, help, name, type, name, value);

    assert(!status_failed(&st));
}

static void print_counts(struct buf *out, const struct sched *s)
{
    struct sched_stats stats = sched_stats(s);

    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        const struct metric *m = &counts[i];
        uint64_t value;

        memcpy(&value, (const char *)&stats + m->offset, sizeof value);
        print(out, m->name, m->type, m->help, (double)value);
    }
}

static void print_demand(struct buf *out, const struct demand *d)
{
    print(out, "sinter_desired_workers", "gauge",
          "workers there should be (docs/autoscaling.md)", (double)d->desired);
    print(out, "sinter_backlog_seconds", "gauge",
          "of slots: jobs that wait or are still to come", d->backlog_s);
    print(out, "sinter_oldest_wait_seconds", "gauge",
          "the longest that a ready job has waited",
          (double)d->oldest_ms / 1000.0);
    print(out, "sinter_workers_busy", "gauge", "workers with jobs",
          (double)d->busy);
}

char *metrics_text(const struct metrics *m)
{
    struct buf out;

    buf_init(&out, TEXT_MOST);
    print(&out, "sinter_leader", "gauge", "1: this broker leads", 1.0);
    print_counts(&out, m->sched);
    print_demand(&out, sched_demand(m->sched));
    print(&out, "sinter_store_away", "gauge",
          "1: the store takes nothing at present", m->store_away);
    print(&out, "sinter_descriptors", "gauge", "open ones",
          (double)m->descriptors.open);
    print(&out, "sinter_descriptors_limit", "gauge", "that may be open",
          (double)m->descriptors.limit);
    turns_metrics(m->turns, &out);
    times_print(&m->appends, "sinter_append",
                "until the store has made a group of records durable", &out);
    return buf_take(&out);
}
