/* merge_survey.h -- what a method counts in its inputs before it writes.
 *
 * Threads count their own chunks into tallies of their own; then one of them
 * settles all tallies and either stores the result in steps and tallies or
 * asks for another round over the same elements.
 *
 * All points of a run are counted together: what differs between them (ranks
 * of densities, rates) is kept in the tally by steps[p].point. */
#ifndef SINTER_JOBS_MERGE_SURVEY_H
#define SINTER_JOBS_MERGE_SURVEY_H

#include "common/buf.h"
#include "jobs/merge/merge_method.h"

/* What the engine passes over in the next round. */
enum merge_round {
    MERGE_ROUND_DONE,   /* nothing: the survey is complete */
    MERGE_ROUND_SAMPLE, /* MERGE_SAMPLE elements of every MERGE_SAMPLE_OF */
    MERGE_ROUND_FULL,   /* all elements */
};

/* A sample is a run of elements at an offset that the engine draws for each
 * piece of the tensor; equal for all threads and chunks. Few, so that a round
 * over it costs next to nothing, and only ever a hint: results are exact. One
 * chunk holds the runs of many pieces side by side, so its `first` means
 * nothing and it has no whole rows. */
enum { MERGE_SAMPLE = 64, MERGE_SAMPLE_OF = 16384 };

struct merge_survey {
    bool global; /* over all elements of the model as one row; else each
                    tensor by itself */
    /* What is settled holds for any chunk, in any order and with any tally,
     * so that threads may share the writing as they like (always so if
     * `global`). Else a thread writes the chunks it counted, in order, with
     * its own tally. */
    bool anywhere;
    /* Whether that is so this time, by any tally once all are settled; NULL:
     * it never is. The order matters only where some of equal elements are
     * taken, and others not. */
    bool (*in_order)(const void *tally);
    /* A tally may count any chunks in any order: threads take them as they
     * come. Else those of a thread follow each other. */
    bool any_chunks;
    void *(*tally_new)(size_t models, size_t points);
    void (*tally_free)(void *tally);
    /* Before begin(): bytes that this tally may take, which changes no result.
     * NULL: it takes less than is worth it. */
    void (*limit)(void *tally, uint64_t bytes);
    /* Before the first round; says what that is. `elements` of the whole
     * scope. `hints`: a sample may be asked for; without, the number of
     * rounds is fixed (maps on several workers). Gives the same for all
     * tallies of a run. */
    enum merge_round (*begin)(void *tally, const struct merge_step *steps,
                              size_t points, uint64_t elements, bool hints);
    /* Called for chunks of this thread. With global surveys the
     * steps are those of the chunk's tensor. */
    void (*count)(void *tally, const struct merge_step *steps, size_t points,
                  const struct merge_chunk *chunk);
    /* Before settle(): what threads can do side by side, each a share of it
     * that no other touches; NULL: nothing. `tallies` as below. */
    void (*settle_share)(void *const *tallies, size_t threads,
                         uint64_t elements, size_t share, size_t shares);
    /* Unless they are of any chunks, those of tallies[i] come before those of
     * tallies[i + 1] within a tensor. Results are left in the tallies, which combine() finds in its
     * chunks, or in the steps (tensor scope only). */
    enum merge_round (*settle)(void *const *tallies, size_t threads,
                               struct merge_step *steps, size_t points,
                               uint64_t elements);
    /* Global surveys: a tally as bytes, before or after it was settled, so
     * that parts are counted on several machines and statistics are kept.
     * load() takes them into a tally that was begun with the same models and
     * points (no hints); INVALID if they are not such a tally. NULL for
     * tensors. */
    struct status (*save)(const void *tally, struct buf *bytes);
    struct status (*load)(void *tally, const void *bytes, size_t size);
    /* Of tallies that were loaded, whoever made them: how many are of the round
     * of the first one, so that they can be settled; 0: all are, but do not add
     * up to the elements. And whether one is settled for good. */
    size_t (*fit)(void *const *tallies, size_t count, uint64_t elements);
    bool (*complete)(const void *tally);
};

/* Settle by one thread. */
static inline enum merge_round merge_survey_settle(
    const struct merge_survey *survey, void *const *tallies, size_t threads,
    struct merge_step *steps, size_t points, uint64_t elements)
{
    if (survey->settle_share != NULL)
        survey->settle_share(tallies, threads, elements, 0, 1);
    return survey->settle(tallies, threads, steps, points, elements);
}

#endif
