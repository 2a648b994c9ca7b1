/* bench_recovery.c -- how fast the store takes records, and how long a broker
 * takes to read them back: bench/recovery STORE-URL [RECORDS [BYTES [GROUP]]]
 *
 * RECORDS (a million) of BYTES (110, a small result) are appended GROUP (4096)
 * at a time, and one at a time for a second; then a second broker begins and
 * reads all of it, once from the log and once from a snapshot. The store must
 * be empty; a Redis of its own is started like this:
 *
 *     redis-server --port 0 --unixsocket /tmp/r.sock --appendonly yes \
 *         --appendfsync always --save "" --dir /tmp/r
 *     bench/recovery redis+unix:/tmp/r.sock */
#include "bench/bench.h"
#include "broker/store.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/memory.h"

#include <inttypes.h>
#include <string.h>

enum { SINGLES_MS = 1000, COUNT = 1000 * 1000, BYTES = 110, GROUP = 4096 };

struct bench {
    const char *url;
    uint64_t count;
    size_t bytes, group;
    char *data; /* of the records of one group */
    struct store store;
    uint64_t epoch, sequence;
};

static void must(struct status st)
{
    if (!status_failed(&st))
        return;
    (void)fprintf(stderr, "recovery: %s\n", st.message);
    exit(EXIT_FAILURE);
}

static double seconds(int64_t since)
{
    return (double)(clock_now() - since) / (double)NS_PER_S;
}

static void open_store(struct bench *b)
{
    static const struct store_options options = { 0 };

    must(store_open(b->url, "bench", &options, &b->store));
    must(b->store.begin(b->store.self, &b->epoch));
    b->sequence = 0;
}

/* The next `count` records, durable. */
static void append(struct bench *b, struct store_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *data = b->data + i * b->bytes;
        uint64_t number = b->sequence + 1 + i;

        memcpy(data, &number, sizeof number);
        records[i] = (struct store_record){
            .epoch = b->epoch,
            .sequence = number,
            .data = { .data = data, .size = b->bytes },
        };
    }
    must(b->store.append(b->store.self, records, count));
    b->sequence += count;
}

static void measure_appends(struct bench *b)
{
    struct store_record *records = xcalloc(b->group, sizeof *records);
    double *times = xcalloc(b->count / b->group + 1, sizeof *times);
    size_t calls = 0;
    int64_t began = clock_now();

    while (b->sequence < b->count) {
        uint64_t left = b->count - b->sequence;
        int64_t from = clock_now();

        append(b, records, left < b->group ? (size_t)left : b->group);
        times[calls++] = 1e3 * seconds(from);
    }
    bench_print("append in groups", (double)b->count / seconds(began),
                "records/s", 0, NULL);
    bench_print("append of one group, median",
                bench_quantile(times, calls, 0.5), "ms", 0, NULL);
    bench_print("append of one group, p99", bench_quantile(times, calls, 0.99),
                "ms", 0, NULL);
    free(times);
    free(records);
}

static void measure_singles(struct bench *b)
{
    struct store_record record;
    uint64_t before = b->sequence;
    int64_t began = clock_now();

    while (clock_now() - began < SINGLES_MS * NS_PER_MS)
        append(b, &record, 1);
    bench_print("append one by one",
                (double)(b->sequence - before) / seconds(began), "records/s", 0,
                NULL);
}

struct sum {
    uint64_t records, bytes;
};

static struct status add_piece(void *self, const char *name,
                               struct wire_bytes data)
{
    struct sum *sum = self;

    (void)name;
    sum->bytes += data.size;
    return SUCCESS;
}

static struct status add_record(void *self, const struct store_record *r)
{
    struct sum *sum = self;

    sum->records++;
    sum->bytes += r->data.size;
    return SUCCESS;
}

/* A new broker: take over and read everything. */
static void measure_replay(struct bench *b, const char *what)
{
    struct sum sum = { 0 };
    const struct store_visitor visitor = { .self = &sum,
                                           .piece = add_piece,
                                           .record = add_record };
    int64_t began;

    b->store.close(b->store.self);
    began = clock_now();
    open_store(b);
    must(b->store.replay(b->store.self, &visitor));
    bench_print(what, seconds(began), "s", 0, NULL);
    (void)fprintf(stderr, "%s: %" PRIu64 " records, %.1f MB\n", what,
                  sum.records, (double)sum.bytes / 1e6);
}

/* As many bytes as the records had, in pieces of 1 MiB. */
static void snapshot(struct bench *b, uint64_t epoch, uint64_t sequence)
{
    size_t count = (size_t)(b->count * b->bytes / STORE_PIECE_MOST) + 1;
    char **names = xcalloc(count, sizeof *names);
    char *piece = xcalloc(STORE_PIECE_MOST, 1);
    int64_t began = clock_now();

    for (size_t i = 0; i < count; i++) {
        names[i] = xasprintf("results-%zu", i);
        must(b->store.put(
            b->store.self, names[i],
            (struct wire_bytes){ .data = piece, .size = STORE_PIECE_MOST }));
    }
    must(b->store.publish(b->store.self, (const char *const *)names, count,
                          epoch, sequence));
    bench_print("write a whole snapshot", seconds(began), "s", 0, NULL);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(piece);
}

/* A number in an argument; the program ends if it is none. */
static uint64_t number(int argc, char **argv, int at, uint64_t otherwise,
                       uint64_t most)
{
    char *end = NULL;
    uint64_t value;

    if (at >= argc)
        return otherwise;
    value = strtoull(argv[at], &end, 10);
    if (*end == '\0' && value > 0 && value <= most)
        return value;
    (void)fprintf(stderr, "recovery: \"%s\" is not 1 to %" PRIu64 "\n",
                  argv[at], most);
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    struct bench b = { .url = argc > 1 ? argv[1] : NULL };
    uint64_t epoch;
    uint64_t sequence;

    if (b.url == NULL) {
        (void)fputs("usage: recovery STORE-URL [RECORDS [BYTES [GROUP]]]\n",
                    stderr);
        return EXIT_FAILURE;
    }
    b.count = number(argc, argv, 2, COUNT, INT64_C(1000000000));
    b.bytes = (size_t)number(argc, argv, 3, BYTES, LIMIT_RESULT);
    b.group = (size_t)number(argc, argv, 4, GROUP, 1 << 20);
    if (b.bytes < sizeof b.sequence)
        b.bytes = sizeof b.sequence;
    b.data = xcalloc(b.group, b.bytes);
    open_store(&b);
    measure_appends(&b);
    epoch = b.epoch;
    sequence = b.sequence;
    measure_replay(&b, "take over and read the log");
    measure_singles(&b);
    snapshot(&b, epoch, sequence);
    measure_replay(&b, "take over and read the snapshot");
    b.store.close(b.store.self);
    free(b.data);
    return EXIT_SUCCESS;
}
