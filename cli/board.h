/* board.h -- the leaderboard of a sweep: fetched, ranked, printed. */
#ifndef SINTER_CLI_BOARD_H
#define SINTER_CLI_BOARD_H

#include "cli/leaderboard.h"
#include "cli/session.h"

struct board {
    json_t *status; /* of the sweep */
    json_t *spec;   /* its compiled document */
    char *metric;   /* NULL: the sweep names no objective */
    bool maximize;
    struct leaderboard ranks;
};

/* `metric` NULL: the objective. Without either the board has no ranks. */
MUST_CHECK struct status board_load(struct session *s, const char *sweep,
                                    const char *metric, bool maximize,
                                    struct board *ret_board);
void board_release(struct board *b);

/* The first `most` points as a table, with what must be said about them. */
void board_print(struct cli *cli, const struct board *b, size_t most);
/* The same as a JSON body. */
json_t *board_json(const struct board *b, size_t most);

/* All trials of a sweep from `from` on, at most `most`; the caller decrefs. */
MUST_CHECK struct status board_trials(struct session *s, const char *sweep,
                                      uint64_t from, uint64_t most,
                                      json_t **ret_trials);

/* The number of the trial a selector means; fails for a whole sweep. */
struct selector;
MUST_CHECK struct status board_trial_of(struct session *s,
                                        const struct selector *selector,
                                        uint64_t *ret_trial);

#endif
