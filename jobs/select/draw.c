#include "jobs/select/draw.h"

#include <assert.h>

#include "common/philox.h"

/* Takes each row with the probability that makes the rest come out right
 * (Knuth, 3.4.2, algorithm S): ascending, and no memory. */
void draw_rows(uint32_t seed, const char *use, size_t n, size_t count,
               uint32_t *ret_rows)
{
    const struct philox_key key = { .seed = seed, .stream = philox_hash(use) };
    size_t taken = 0;

    assert(count <= n && n <= UINT32_MAX);
    for (size_t i = 0; i < n && taken < count; i++)
        if (philox_below(key, i, (uint32_t)(n - i)) < count - taken)
            ret_rows[taken++] = (uint32_t)i;
}
