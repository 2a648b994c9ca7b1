/* How fast text becomes tokens, on one thread.
 *
 *     tokenizer TOKENIZER.JSON TEXT
 *
 * Megabytes of the file TEXT a second, the median of a few rounds. */
#include "bench/bench.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/memory.h"
#include "model/tokenizer.h"

enum { LARGEST = 1 << 30, ROUNDS = 5 };

static void stop_on(struct status s)
{
    if (!status_failed(&s))
        return;
    fprintf(stderr, "%s\n", s.message);
    exit(1);
}

int main(int argc, char **argv)
{
    AUTO(free_pointer) char *json = NULL;
    AUTO(free_pointer) char *text = NULL;
    struct tokenizer *t;
    size_t json_size, size, count = 0;
    double rates[ROUNDS];

    if (argc != 3) {
        fprintf(stderr, "usage: %s TOKENIZER.JSON TEXT\n", argv[0]);
        return 2;
    }
    stop_on(file_read(argv[1], LARGEST, &json, &json_size));
    stop_on(file_read(argv[2], LARGEST, &text, &size));
    stop_on(tokenizer_parse(json, json_size, argv[1], &t));
    for (size_t i = 0; i < ROUNDS; i++) {
        AUTO(free_pointer) int32_t *tokens = NULL;
        int64_t begin = clock_now();

        count = 0;
        stop_on(tokenizer_add(t, text, size, &tokens, &count));
        rates[i] = 1e-6 * (double)size / (1e-9 * (double)(clock_now() - begin));
    }
    bench_print("encode", bench_quantile(rates, ROUNDS, 0.5), "MB/s", 0.0,
                NULL);
    bench_print("tokens", (double)count, "tokens", 0.0, NULL);
    tokenizer_free(t);
    return 0;
}
