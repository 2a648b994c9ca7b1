#include "tests/sim/farm.h"

#include "common/memory.h"

/* `jobs`: what stands between the space and the objective. */
static char *document(const char *name, int points, const char *jobs,
                      const char *extra)
{
    return xasprintf(
        "{\"sinter\":1,\"name\":\"%s\",\"parameters\":[{\"name\":\"x\","
        "\"from\":1,\"to\":%d,\"count\":%d,\"scale\":\"linear\"}],"
        "\"strategy\":{\"method\":\"grid\"},%s,"
        "\"objective\":{\"metric\":\"e.value\",\"goal\":\"maximize\"}%s%s}",
        name, points, points, jobs, extra[0] == '\0' ? "" : ",", extra);
}

char *farm_document(const char *name, int points, const char *extra)
{
    return document(
        name, points,
        "\"replicates\":{\"count\":1,\"seeds\":[0]},"
        "\"stages\":[{\"name\":\"base\",\"kind\":\"train\",\"sort\":"
        "\"artifact\",\"variants\":[{\"params\":{\"size\":1}}]}],"
        "\"evaluate\":[{\"name\":\"e\",\"kind\":\"evaluate.noop\","
        "\"variants\":[{\"params\":{\"x\":{\"$param\":\"x\"},\"model\":"
        "{\"$stage\":\"base\"}}}],\"metrics\":[\"value\"]}]",
        extra);
}

char *farm_family(const char *name, int points, const char *extra)
{
    return document(
        name, points,
        "\"stages\":[{\"name\":\"base\",\"kind\":\"train\",\"sort\":"
        "\"artifact\",\"variants\":[{\"params\":{\"size\":2}}]},"
        "{\"name\":\"m\",\"kind\":\"merge\",\"sort\":\"lazy\",\"variants\":"
        "[{\"params\":{\"b\":{\"$stage\":\"base\"},\"x\":{\"$param\":"
        "\"x\"}},\"fuse\":[\"/x\"]}]}],"
        "\"evaluate\":[{\"name\":\"e\",\"kind\":\"evaluate.noop\","
        "\"variants\":[{\"params\":{\"model\":{\"$stage\":\"m\"}}}],"
        "\"metrics\":[\"value\"]},"
        "{\"name\":\"f\",\"kind\":\"evaluate.other\","
        "\"variants\":[{\"params\":{\"model\":{\"$stage\":\"m\"}}}],"
        "\"metrics\":[\"value\"]}]",
        extra);
}
