/* snapshot_parts.h -- for the files of the snapshot only. */
#ifndef SINTER_BROKER_CORE_SNAPSHOT_PARTS_H
#define SINTER_BROKER_CORE_SNAPSHOT_PARTS_H

#include "broker/core/state.h"

/* The stream of records while it is written. */
struct snapshot_stream {
    struct sched *s;
    struct buf bytes;
    struct buf record; /* the last one */
};

/* `order`: the number that the record has when it is replayed. */
void snapshot_put(struct snapshot_stream *stream, uint64_t order,
                  const struct wire_message *m);
void snapshot_put_command(struct snapshot_stream *stream, uint64_t order,
                          const char *verb, const json_t *arguments);

/* snapshot_sweep.c */
void snapshot_put_sweep(struct snapshot_stream *stream,
                        const struct sweep *sweep);
MUST_CHECK struct status snapshot_apply_sweep(struct sched *s,
                                              const json_t *arguments,
                                              int64_t at_ms);
MUST_CHECK struct status snapshot_apply_part(struct sched *s,
                                             const struct wire_record_part *r);

#endif
