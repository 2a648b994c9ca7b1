/* depth.h -- a merge parameter as mergekit writes it: a number, a list over
 * the depth of the model, or a list of {filter, value} of which the first that
 * fits a tensor's name counts. Pure; the JSON stays the caller's. */
#ifndef SINTER_JOBS_MERGE_DEPTH_H
#define SINTER_JOBS_MERGE_DEPTH_H

#include "common/json.h"
#include "tensor/tensor.h"

/* Where a tensor stands: 0 at the first layer (and outside of layers), 1 at
 * the last. */
struct depth_place {
    const char *tensor;
    double t;
};

/* Blocks of "...layers.N. ..." or "...h.N. ..." among the names. */
uint64_t depth_layers(const struct tensor_set *set);
struct depth_place depth_place(const char *tensor, uint64_t layers);

/* False if no filter fits. `value` has been checked. */
bool depth_at(const json_t *value, struct depth_place place,
              double *ret_number);

/* Calls `visit` for every number in it, with a JSON pointer relative to the
 * value ("", "/2", "/0/value"); an object that is no filter ($param) is
 * skipped. False as soon as `visit` gives false, or with `visit` not called
 * if the form is wrong. */
struct depth_visitor {
    void *self;
    bool (*number)(void *self, const char *path, double number);
    void (*wrong)(void *self, const char *path, const char *why);
};
bool depth_visit(const json_t *value, const struct depth_visitor *visitor);

#endif
