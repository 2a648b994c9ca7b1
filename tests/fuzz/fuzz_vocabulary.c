/* tokenizer.json, or vocab.json after a first byte of 'v': a vocabulary that
 * is read finds each of its tokens again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool old = size > 0 && data[0] == 'v';
    struct merge_file file = { .name = old ? "vocab.json" : "tokenizer.json",
                               .bytes = xcalloc(size + 1, 1),
                               .size = size - (old ? 1 : 0) };
    const struct merge_files files = { .count = 1, .items = &file };
    struct merge_vocabulary v = { .loaded = false };
    json_t *model = json_string("fuzz");
    struct status st;

    if (file.size > 0)
        memcpy(file.bytes, data + (old ? 1 : 0), file.size);
    st = merge_vocabulary_read(&v, &files, model);
    for (size_t id = 0; !status_failed(&st) && id < v.count; id++) {
        if (v.texts[id] != NULL)
            assert(merge_vocabulary_id(&v, v.texts[id]) == (int32_t)id);
    }
    merge_vocabulary_release(&v);
    json_decref(model);
    free(file.bytes);
    return 0;
}
