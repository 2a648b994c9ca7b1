/* The YAML tree: whatever is read has places inside the text, and reads as
 * JSON of a bounded size. */
#include <assert.h>
#include <stdlib.h>

#include "common/limits.h"
#include "sweep/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct yaml_node *node)
{
    assert(node->place.line > 0 && node->place.column > 0 &&
           node->place.length > 0);
    assert(node->height <= LIMIT_DEPTH + 1);
    for (size_t i = 0; i < node->count; i++)
        check(node->type == YAML_LIST ? node->items[i] : node->pairs[i].value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yaml_place place = { 0 };
    struct yaml *y = NULL;
    struct status st = yaml_parse((const char *)data, size, &y, &place);
    size_t length;

    if (status_failed(&st)) {
        assert(place.line > 0 && place.column > 0);
        (void)yaml_line((const char *)data, size, place.line, &length);
        return 0;
    }
    assert(yaml_root(y)->nodes <= LIMIT_SPEC_NODES + 1);
    check(yaml_root(y));
    json_decref(yaml_json(yaml_root(y)));
    yaml_tree_free(y);
    return 0;
}
