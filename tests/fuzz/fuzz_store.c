/* fuzz_store.c -- any bytes as an entry of the log: what can be read is read
 * the same when it is packed again, and the scheduler survives the records.
 * Behind an 'S' or 'R': any bytes as a piece of the snapshot. */
#include "broker/core/sched.h"
#include "broker/core/snapshot.h"
#include "broker/store_group.h"
#include "common/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { EPOCH = 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
    const char *begin, *end; /* of the entry; NULL: any */
    struct sched *sched;     /* NULL: none */
    struct store_record *items;
    size_t count;
};

static void must(bool good)
{
    if (!good)
        abort();
}

static struct status visit_record(void *self, const struct store_record *r)
{
    struct reading *reading = self;

    must(r->epoch == EPOCH && r->sequence == reading->count + 1);
    must(reading->begin == NULL ||
         (r->data.data >= reading->begin &&
          r->data.size <= (size_t)(reading->end - r->data.data)));
    reading->items[reading->count++] = *r;
    if (reading->sched != NULL) {
        struct status st =
            sched_replay(reading->sched, r->data.data, r->data.size);

        (void)st; /* the broker would stop there */
    }
    return SUCCESS;
}

/* A group says how many records it has; as many make its sequence right. */
static struct status read_group(struct reading *reading, const void *data,
                                size_t size, uint64_t sequence)
{
    const struct store_visitor visitor = { .self = reading,
                                           .record = visit_record };
    struct store_reader reader = { .visitor = &visitor };

    return store_reader_group(
        &reader, EPOCH, sequence,
        (struct wire_bytes){ .data = data, .size = size });
}

static uint64_t announced(const uint8_t *data, size_t size)
{
    uint64_t low = size > 1 ? data[1] : 0;

    return low < 128 || size < 3 ? low : (low - 128) | (uint64_t)data[2] << 7;
}

static void pack_again(const struct reading *first)
{
    struct reading second = { .items = xcalloc(STORE_GROUP_RECORDS,
                                               sizeof *second.items) };
    struct store_group g =
        store_group_pack(first->items, first->count, UINT64_MAX);
    struct status st;

    if (g.last == first->count) { /* it was not too large for one */
        st = read_group(&second, g.data, g.size, g.last);
        must(!status_failed(&st) && second.count == first->count);
        for (size_t i = 0; i < first->count; i++)
            must(first->items[i].data.size == second.items[i].data.size &&
                 memcmp(first->items[i].data.data, second.items[i].data.data,
                        first->items[i].data.size) == 0);
    }
    store_group_release(&g);
    free(second.items);
}

static void read_log(struct sched *sched, const uint8_t *data, size_t size)
{
    struct reading reading = {
        .begin = (const char *)data,
        .end = (const char *)data + size,
        .sched = sched,
        .items = xcalloc(STORE_GROUP_RECORDS, sizeof *reading.items),
    };
    struct status st = read_group(&reading, data, size, announced(data, size));

    if (!status_failed(&st))
        pack_again(&reading);
    free(reading.items);
}

static void read_piece(struct sched *sched, const char *name,
                       const uint8_t *data, size_t size)
{
    struct status st = snapshot_load(
        sched, name,
        (struct wire_bytes){ .data = (const char *)data, .size = size });

    (void)st; /* the broker would stop there */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sched_settings settings = { .heartbeat_ms = 1000,
                                                    .lease_ms = 10000,
                                                    .depot = "http://d",
                                                    .version = "1" };
    struct sched *sched = sched_new(&settings);

    if (size > 0 && data[0] == 'S')
        read_piece(sched, "state-1-1", data + 1, size - 1);
    else if (size > 0 && data[0] == 'R')
        read_piece(sched, "results-0", data + 1, size - 1);
    else
        read_log(sched, data, size);
    sched_free(sched);
    return 0;
}
