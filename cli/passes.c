#include "cli/passes.h"

#include "cli/local.h"
#include "common/json.h"

enum { POINTS_MOST = 64 }; /* of one pass, whatever the memory */

struct passes_farm passes_farm_here(void)
{
    size_t workers = local_processors();

    return (struct passes_farm){ workers, local_keep(workers) };
}

static uint64_t size_of(const struct model_survey *survey, const json_t *source)
{
    const char *url = json_text_or(source, "url", "");

    return (uint64_t)json_int_or(json_object_get(survey->sources, url), "bytes",
                                 0);
}

/* A merge is about as large as the largest model that goes in: one is in use
 * and the others must be kept. */
static uint64_t points_at_once(uint64_t largest, uint64_t keep)
{
    if (largest == 0 || keep / largest >= POINTS_MOST)
        return POINTS_MOST;
    return 1 + keep / largest;
}

static void add_family(struct passes *p, const struct plan_family *f,
                       const struct model_survey *survey,
                       const struct passes_farm *farm)
{
    uint64_t bytes = 0;
    uint64_t largest = 0;
    uint64_t passes;

    for (size_t i = 0; i < json_array_size(f->sources); i++) {
        uint64_t size = size_of(survey, json_array_get(f->sources, i));

        bytes += size;
        largest = size > largest ? size : largest;
    }
    passes = plan_passes(f->points, farm->slots,
                         points_at_once(largest, farm->keep));
    p->points += f->points;
    p->passes += passes;
    p->bytes += passes * bytes;
    p->bytes_alone += f->points * bytes;
}

struct passes passes_of(const struct plan_stage *s,
                        const struct model_survey *survey,
                        const struct passes_farm *farm)
{
    struct passes p = { 0 };

    for (size_t i = 0; i < s->family_count; i++)
        add_family(&p, &s->families[i], survey, farm);
    return p;
}
