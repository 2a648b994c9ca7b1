/* fuzz_safetensors.c -- the input is a whole file: what parses must lie in
 * the file, byte for byte, and nothing else may. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tensors(const struct st_header *h, uint64_t data_size)
{
    const struct tensor_set *set = st_header_tensors(h);
    uint64_t bytes = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct tensor *t = set->items + i;

        assert(t->rank <= LIMIT_RANK);
        assert(st_header_offset(h, i) <= data_size);
        assert(tensor_bytes(t) <= data_size - st_header_offset(h, i));
        assert(i == 0 || strcmp(t[-1].name, t->name) < 0);
        assert(tensor_find(set, t->name) == t);
        bytes += tensor_bytes(t);
    }
    assert(bytes == data_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct st_header *h = NULL;
    uint64_t header_size = 0;
    struct status st;

    if (size < 8)
        return 0;
    st = st_header_size(data, size, "input", &header_size);
    if (status_failed(&st))
        return 0;
    st = st_header_parse((const char *)data + 8, (size_t)header_size, size,
                         "input", &h);
    if (!status_failed(&st))
        check_tensors(h, size - 8 - header_size);
    st_header_free(h);
    return 0;
}
