/* session_state.h -- what session.c (what happened) and session_next.c (what
 * to do about it) share; nobody else includes it. */
#ifndef SINTER_WORKER_CORE_SESSION_STATE_H
#define SINTER_WORKER_CORE_SESSION_STATE_H

#include "common/clock.h"
#include "common/map.h"
#include "worker/core/attempt.h"
#include "worker/core/session.h"

#define SESSION_NEVER INT64_MAX

enum {
    SESSION_DONE_MOST = 64, /* outcomes of one DONE */
    SESSION_SIBLINGS = 64,  /* told to a slot with its job */
};

enum session_phase {
    SESSION_WORKING,
    SESSION_DRAINING, /* takes nothing new */
    SESSION_LEAVING,  /* says BYE */
    SESSION_LEFT,
};

struct session_slot {
    struct attempt *attempt; /* NULL: free, unless `dying` */
    uint64_t epoch, batch;   /* of the job started last; 0: no batch */
    struct digest model;     /* that its process made last; all zero: none */
    bool dying;              /* killed; no job until it has died */
    bool stop_due, kill_due;
    bool tell_due; /* the depot is at another place now */
};

struct session {
    struct session_config config;
    struct map *attempts;      /* token -> struct attempt */
    struct attempt_list queue; /* in the order they came */
    struct attempt_list finished;
    struct session_slot *slots;
    size_t running;
    uint64_t sum;        /* xor of the hashes of all tokens */
    int64_t memory_used; /* declared by what runs */
    uint64_t load;       /* slots that what runs takes */
    bool solo;           /* what was started last runs alone */

    bool welcomed;
    char *depot;
    int64_t heartbeat_ms;
    int64_t heard;     /* last message of the broker */
    int64_t hello_at;  /* SESSION_NEVER: none is due */
    int64_t leave_at;  /* a broker that is not the one; SESSION_NEVER: it is */
    unsigned refusals; /* of brokers, since the last WELCOME */
    int64_t heartbeat_at;
    int64_t send_at; /* nothing but HELLO is sent before */
    uint64_t sequence;

    size_t unsent;     /* among the finished */
    int64_t done_at;   /* when they are sent, if some are */
    int64_t resend_at; /* SESSION_NEVER: nothing is waiting for COMMITTED */
    uint64_t batch;

    struct wire_cached *cached; /* what lies in the cache, by name */
    size_t cached_count;
    struct wire_cached *told; /* of these the broker knows */
    size_t told_count;
    bool cache_due;

    enum session_phase phase;
    char reason[128]; /* of the drain */
    int64_t drain_at; /* when running jobs are given up */
    bool bye_due;
    struct wire_token *handed; /* back, not yet said in a BYE */
    size_t handed_count;
    bool given_due;
    struct wire_token *given; /* back as asked, not yet said in a RETRACTED */
    size_t given_count;

    /* What the last SEND action points to. */
    struct wire_message out;
    struct wire_token *tokens;
    struct wire_progress *progress;
    struct wire_cached *added;
    struct wire_evicted *removed;
    struct wire_outcome outcomes[SESSION_DONE_MOST];
    struct wire_sibling siblings[SESSION_SIBLINGS];
};

static inline int64_t session_after_ms(int64_t now, int64_t ms)
{
    return now + ms * NS_PER_MS;
}

/* Say in the next BYE that this token is not ours any more. */
void session_hand_back(struct session *s, const struct wire_token *token);
/* Send every outcome that is still kept once more. */
void session_send_again(struct session *s);
/* End a running attempt; the first reason counts. */
void session_end_running(struct session *s, int64_t now, struct attempt *a,
                         enum attempt_end end);
/* Slots that the attempt takes. */
uint64_t session_load(const struct session *s, const struct attempt *a);
/* The attempt leaves the queue. */
void session_unqueue(struct session *s, struct attempt *a);

#endif
