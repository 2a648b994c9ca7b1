/* session_story.h -- a worker's session with nothing around it: what happens
 * goes in, what it does comes out as a trace. Times in the trace are
 * milliseconds; jobs are numbers, as "2/1": job 2, attempt 1. */
#ifndef SINTER_TESTS_SIM_SESSION_STORY_H
#define SINTER_TESTS_SIM_SESSION_STORY_H

#include "common/wire.h"
#include "worker/core/session.h"

struct story {
    struct session *session;
    int64_t now; /* ns */
    bool deaf;   /* nothing can be sent */
    bool quiet;  /* heartbeats are not traced */
    char trace[8192];
    size_t used;
};

enum { STORY_HEARTBEAT_MS = 2000, STORY_DRAIN_MS = 5000 };

struct story *story_new(uint64_t slots, int64_t memory);
/* Of two slots, with WELCOME, and quiet from now on. */
struct story *story_welcomed(uint64_t slots);
void story_free(struct story *s);

/* The trace since the last call is this. */
void story_expect(struct story *s, const char *trace);
/* All that it does now. */
void story_settle(struct story *s);
/* Nothing happens but time. */
void story_pass(struct story *s, int64_t ms);

/* The broker speaks. */
struct wire_token story_token(int key, int attempt);
struct wire_assignment story_job(int key);
void story_tell(struct story *s, const struct wire_message *m);
void story_welcome(struct story *s);
void story_welcome_dropping(struct story *s, struct wire_token *drop,
                            size_t count);
void story_assign(struct story *s, int key);
void story_assign_job(struct story *s, struct wire_assignment *a);
void story_tokens(struct story *s, enum wire_type type, int key);
void story_ack(struct story *s, uint64_t say_hello);

/* A slot does. */
void story_finish(struct story *s, size_t slot);
void story_die(struct story *s, size_t slot);
void story_progress(struct story *s, size_t slot, uint64_t done);

/* A signal comes. */
void story_drain(struct story *s);

#endif
