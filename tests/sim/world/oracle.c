#include "tests/sim/world/oracle.h"

#include "tests/sim/world/oracle_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME(name, text) [INVARIANT_##name] = #name,
static const char *const names[INVARIANT_COUNT] = { INVARIANTS(NAME) };
#undef NAME
#define TEXT(name, text) [INVARIANT_##name] = (text),
static const char *const texts[INVARIANT_COUNT] = { INVARIANTS(TEXT) };
#undef TEXT

static struct {
    uint64_t broken[INVARIANT_COUNT];
    char story[500];
} o;

const char *invariant_name(enum invariant i)
{
    return names[i];
}

void oracle_begin(void)
{
    memset(&o, 0, sizeof o);
    oracle_log_begin();
    oracle_wire_begin();
}

void oracle_end(void)
{
    oracle_log_end();
    oracle_wire_end();
}

const uint64_t *oracle_broken(void)
{
    return o.broken;
}

uint64_t oracle_broken_sum(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < INVARIANT_COUNT; i++)
        sum += o.broken[i];
    return sum;
}

const char *oracle_story(void)
{
    return o.story;
}

void oracle_break(enum invariant i, const char *format, ...)
{
    char text[300];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (oracle_broken_sum() == 0)
        (void)snprintf(o.story, sizeof o.story, "%s (%s), %.1f s: %s", names[i],
                       texts[i], (double)time_now() / 1e9, text);
    o.broken[i]++;
    time_tell("BROKEN %s (%s): %s", names[i], texts[i], text);
}
