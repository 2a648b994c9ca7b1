/* depth.h -- a merge parameter as mergekit writes it: a number or a yes or no,
 * a list over the depth of the model, or a list of {filter, value} of which
 * the first that fits a tensor's name counts. Pure; the JSON stays the
 * caller's. */
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

/* The number of the block in a name ("model.layers.12.mlp": 12), with its
 * digits at name[at] ... name[end - 1]; -1: it is in none. */
int64_t depth_layer(const char *name, size_t *ret_at, size_t *ret_end);
/* Blocks of "...layers.N. ..." or "...h.N. ..." among the names. */
uint64_t depth_layers(const struct tensor_set *set);
struct depth_place depth_place(const char *tensor, uint64_t layers);

/* The value at a place: of a list of numbers the one between its neighbours,
 * of any other list the item before the place. False if no filter fits.
 * `value` has been checked. */
bool depth_at(const json_t *value, struct depth_place place,
              double *ret_number);
bool depth_flag_at(const json_t *value, struct depth_place place,
                   bool *ret_flag);
/* Is there a value for every tensor? */
bool depth_is_total(const json_t *value);

/* Is it {"$param"} or {"$text"}, a number that is not known yet? */
bool depth_is_reference(const json_t *value);

/* Calls `scalar` for everything in it that is neither list nor filter, with a
 * JSON pointer relative to the value ("", "/2", "/0/value"). False as soon as
 * `scalar` gives false; or after a call of `wrong` if the form is wrong. */
struct depth_visitor {
    void *self;
    bool open; /* references are skipped, else they are visited */
    bool (*scalar)(void *self, const char *path, const json_t *value);
    void (*wrong)(void *self, const char *path, const char *why);
};
bool depth_visit(const json_t *value, const struct depth_visitor *visitor);

/* New value: `first` where its filters fit, else `second`; in the shortest
 * form. Either may be NULL: the other; both: NULL. */
json_t *depth_chain(const json_t *first, const json_t *second);

#endif
