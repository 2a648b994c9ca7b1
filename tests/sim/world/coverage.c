#include "tests/sim/world/coverage.h"

#include "common/macros.h"
#include "common/wire.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define FAULT_TEXT(name, text) [FAULT_##name] = (text),
static const char *const texts[FAULT_COUNT] = { FAULTS(FAULT_TEXT) };
#undef FAULT_TEXT

static uint64_t counts[COVERAGE_ROWS];

void coverage_fault(enum fault fault)
{
    counts[fault]++;
}

void coverage_message(const void *data, size_t size)
{
    enum { TYPE_AT = 3 };
    unsigned type = size > TYPE_AT ? ((const unsigned char *)data)[TYPE_AT] : 0;

    if (type < WIRE_TYPE_END)
        counts[FAULT_COUNT + type]++;
}

void coverage_piece(const char *data, size_t size)
{
    const char head[] = { 'S', 'N', WIRE_MAJOR };

    for (size_t i = 0; i + WIRE_HEADER <= size; i++)
        if (memcmp(data + i, head, sizeof head) == 0)
            coverage_message(data + i, size - i);
}

const uint64_t *coverage_counts(void)
{
    return counts;
}

void coverage_add(const uint64_t *others)
{
    for (size_t i = 0; i < COVERAGE_ROWS; i++)
        counts[i] += others[i];
}

/* What no broker says (yet), and what only slots hear. */
static bool is_used(enum wire_type type)
{
    return wire_name(type) != NULL && type != WIRE_DRAIN &&
           type != WIRE_SLOT_PROGRESS && type != WIRE_SLOT_DONE &&
           type != WIRE_SLOT_LOG;
}

size_t coverage_print(FILE *out)
{
    size_t never = 0;

    for (int i = 0; i < FAULT_COUNT; i++) {
        (void)fprintf(out, "%12" PRIu64 "  %s\n", counts[i], texts[i]);
        never += counts[i] == 0;
    }
    for (int i = 1; i < WIRE_TYPE_END; i++) {
        if (!is_used((enum wire_type)i))
            continue;
        (void)fprintf(out, "%12" PRIu64 "  message %s\n",
                      counts[FAULT_COUNT + i], wire_name((enum wire_type)i));
        never += counts[FAULT_COUNT + i] == 0;
    }
    return never;
}
