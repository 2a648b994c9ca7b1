/* fuzz_data.c -- bytes as files of tokens, as JSONL and as text. The first
 * byte says how they are read: the form, how long windows are, and whether the
 * end is held out. */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/memory.h"
#include "jobs/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEQUENCES = 4, MOST_ITEMS = 64 };

static char path[64];

static struct status fetch(void *self, const json_t *source,
                           const char **ret_path)
{
    (void)self;
    (void)source;
    *ret_path = path;
    return SUCCESS;
}

static void write_file(const uint8_t *data, size_t size)
{
    FILE *file;

    if (path[0] == '\0')
        (void)snprintf(path, sizeof(path), "/dev/shm/sinter-fuzz-%ld",
                       (long)getpid());
    file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size ||
        fclose(file) != 0)
        abort();
}

/* Every token is one, every sequence fits, what is drawn is there. */
static void walk(struct data *d)
{
    struct batch b;

    batch_init(&b, SEQUENCES, SEQUENCES * d->window);
    for (uint64_t i = 0; i < d->items && i < MOST_ITEMS; i++) {
        bool added = false;
        struct status st;

        batch_clear(&b);
        st = i % 2 == 0 ? data_add(d, i, &b, &added)
                        : data_draw(d, 1, i * i, &b, &added);
        if (status_failed(&st))
            continue;
        if (!added || b.rows > d->window)
            abort();
        for (size_t k = 0; k < b.rows; k++)
            if (b.tokens[k] < 0 || b.labels[k] < OP_NO_LABEL)
                abort();
    }
    batch_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = { "tokens", "jsonl", "text",
                                           "tokens" };
    struct job_context context = { .fetch = fetch };
    struct data_use use;
    AUTO(json_release) json_t *value = NULL;
    struct status st;
    struct data d;

    if (size < 1)
        return 0;
    use = (struct data_use){ .window = 2U + (data[0] >> 3) };
    value = json_pack("{ss ss s{s{ss}}}", "format", formats[data[0] & 3],
                      "type", (data[0] & 3) == 3 ? "uint32" : "uint16", "file",
                      "$source", "url", "input");
    if ((data[0] & 4) != 0)
        (void)json_object_set_new(value, "held_out", json_real(0.25));
    write_file(data + 1, size - 1);
    st = data_open(value, &use, &context, &d);
    if (status_failed(&st))
        return 0;
    walk(&d);
    data_release(&d);
    return 0;
}
