/* fuzz_wire.c -- any bytes: what decodes is MessagePack, must encode, and
 * decode again to the same bytes. */
#include "common/limits.h"
#include "common/wire.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(struct status st)
{
    if (status_failed(&st)) {
        (void)fprintf(stderr, "%s\n", st.message);
        abort();
    }
}

/* What decodes is MessagePack: msgpack-c reads it to the same end. */
static void check_oracle(const char *data, size_t size)
{
    msgpack_zone *zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
    msgpack_object object;
    size_t at = WIRE_HEADER;

    if (msgpack_unpack(data, size, &at, zone, &object) !=
            MSGPACK_UNPACK_SUCCESS ||
        at != size)
        abort();
    msgpack_zone_free(zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_decoded first;
    struct wire_decoded second;
    struct status st = wire_decode(data, size, &first);
    struct buf once;
    struct buf twice;

    if (status_failed(&st))
        return 0;
    check_oracle((const char *)data, size);
    buf_init(&once, 2 * (size_t)LIMIT_MESSAGE);
    buf_init(&twice, 2 * (size_t)LIMIT_MESSAGE);
    st = wire_encode(&first.message, &once);
    /* Missing digests and numbers are written out: it may become too big. */
    if (status_failed(&st) && st.code != STATUS_TOO_BIG)
        abort();
    if (!status_failed(&st)) {
        must(wire_decode(once.data, once.size, &second));
        must(wire_encode(&second.message, &twice));
        if (once.size != twice.size ||
            memcmp(once.data, twice.data, once.size) != 0)
            abort();
        wire_release(&second);
    }
    wire_release(&first);
    buf_release(&once);
    buf_release(&twice);
    return 0;
}
