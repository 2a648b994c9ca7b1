#include "broker/turns.h"

static const struct {
    const char *name, *help;
} rows[TURN_PARTS] = {
    [TURN_TAKE] = { "sinter_loop_take",
                    "of a turn: what is durable is said, messages come in" },
    [TURN_DECIDE] = { "sinter_loop_decide",
                      "of a turn: expanding, settling, dispatching" },
    [TURN_SEND] = { "sinter_loop_send",
                    "of a turn: jobs go out, records go to the store" },
    [TURN_ANSWER] = { "sinter_loop_answer", "of a turn: HTTP and gc" },
    [TURN_SAVE] = { "sinter_loop_save", "of a turn: snapshots and views" },
};

void turns_begin(struct turns *t, int64_t now)
{
    t->began = now;
    t->marked = now;
}

void turns_mark(struct turns *t, enum turn_part part, int64_t now)
{
    times_add(&t->parts[part], now - t->marked);
    t->marked = now;
}

void turns_end(struct turns *t)
{
    times_add(&t->whole, t->marked - t->began);
}

void turns_metrics(const struct turns *t, struct buf *out)
{
    times_print(&t->whole, "sinter_loop_turn",
                "how long nobody is heard: a turn of the loop", out);
    for (int i = 0; i < TURN_PARTS; i++)
        times_print(&t->parts[i], rows[i].name, rows[i].help, out);
}
