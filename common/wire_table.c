#include "common/wire_table.h"

#include "common/limits.h"
#include "common/macros.h"

#include <stddef.h>
#include <string.h>

/* The table. A member's kind and record follow from its C type, so that a row
 * cannot disagree with its struct. */

static const struct wire_record token_record;
static const struct wire_record input_record;
static const struct wire_record holder_record;
static const struct wire_record assignment_record;
static const struct wire_record sibling_record;
static const struct wire_record outcome_record;
static const struct wire_record cached_record;
static const struct wire_record evicted_record;
static const struct wire_record progress_record;

/* clang-format off */
#define MEMBER(type, member) (((struct type *)0)->member)

#define KIND_OF(m) _Generic((m),         \
    uint64_t: WIRE_U64,                  \
    int64_t: WIRE_I64,                   \
    struct wire_bytes: WIRE_BYTES,       \
    struct digest: WIRE_DIGEST,          \
    struct wire_token: WIRE_RECORD,      \
    struct wire_assignment: WIRE_RECORD, \
    struct wire_outcome: WIRE_RECORD,    \
    struct wire_tokens: WIRE_LIST,       \
    struct wire_inputs: WIRE_LIST,       \
    struct wire_assignments: WIRE_LIST,  \
    struct wire_holders: WIRE_LIST,      \
    struct wire_siblings: WIRE_LIST,     \
    struct wire_outcomes: WIRE_LIST,     \
    struct wire_cached_list: WIRE_LIST,  \
    struct wire_evicted_list: WIRE_LIST, \
    struct wire_progresses: WIRE_LIST)

#define RECORD_OF(m) _Generic((m),               \
    struct wire_token: &token_record,            \
    struct wire_tokens: &token_record,           \
    struct wire_inputs: &input_record,           \
    struct wire_assignment: &assignment_record,  \
    struct wire_assignments: &assignment_record, \
    struct wire_holders: &holder_record,         \
    struct wire_siblings: &sibling_record,       \
    struct wire_outcome: &outcome_record,        \
    struct wire_outcomes: &outcome_record,       \
    struct wire_cached_list: &cached_record,     \
    struct wire_evicted_list: &evicted_record,   \
    struct wire_progresses: &progress_record,    \
    default: NULL)

#define FIELD(type, member)                        \
    { #member, offsetof(struct type, member),      \
      KIND_OF(MEMBER(type, member)),               \
      RECORD_OF(MEMBER(type, member)) }

#define BOUNDED(text, type, fields, most) \
    { text, sizeof(struct type), fields, COUNT_OF(fields), most }

#define RECORD(text, type, fields) BOUNDED(text, type, fields, LIMIT_MESSAGE)

static const struct wire_field token_fields[] = {
    FIELD(wire_token, key),
    FIELD(wire_token, epoch),
    FIELD(wire_token, attempt),
};

static const struct wire_field input_fields[] = {
    FIELD(wire_input, key),
    FIELD(wire_input, result),
};

static const struct wire_field holder_fields[] = {
    FIELD(wire_holder, source),
    FIELD(wire_holder, address),
};

static const struct wire_field assignment_fields[] = {
    FIELD(wire_assignment, token),
    FIELD(wire_assignment, kind),
    FIELD(wire_assignment, params),
    FIELD(wire_assignment, label),
    FIELD(wire_assignment, stall_ms),
    FIELD(wire_assignment, limit_ms),
    FIELD(wire_assignment, memory_bytes),
    FIELD(wire_assignment, inputs),
    FIELD(wire_assignment, batch),
    FIELD(wire_assignment, solo),
    FIELD(wire_assignment, cpus),
    FIELD(wire_assignment, holders),
};

static const struct wire_field sibling_fields[] = {
    FIELD(wire_sibling, params),
};

static const struct wire_field outcome_fields[] = {
    FIELD(wire_outcome, token),
    FIELD(wire_outcome, code),
    FIELD(wire_outcome, message),
    FIELD(wire_outcome, result),
    FIELD(wire_outcome, log),
    FIELD(wire_outcome, wall_ms),
    FIELD(wire_outcome, peak_bytes),
    FIELD(wire_outcome, crashed),
    FIELD(wire_outcome, bytes_read),
    FIELD(wire_outcome, bytes_fetched),
    FIELD(wire_outcome, model),
    FIELD(wire_outcome, bytes_pulled),
    FIELD(wire_outcome, pulls_failed),
};

static const struct wire_field cached_fields[] = {
    FIELD(wire_cached, source),
    FIELD(wire_cached, bytes),
    FIELD(wire_cached, served),
};

static const struct wire_field evicted_fields[] = {
    FIELD(wire_evicted, source),
};

static const struct wire_field progress_fields[] = {
    FIELD(wire_progress, token),
    FIELD(wire_progress, done),
    FIELD(wire_progress, total),
    FIELD(wire_progress, unit),
};

static const struct wire_record token_record =
    RECORD("token", wire_token, token_fields);
static const struct wire_record input_record =
    RECORD("input", wire_input, input_fields);
static const struct wire_record holder_record =
    RECORD("holder", wire_holder, holder_fields);
static const struct wire_record assignment_record =
    RECORD("assignment", wire_assignment, assignment_fields);
static const struct wire_record sibling_record =
    RECORD("sibling", wire_sibling, sibling_fields);
static const struct wire_record outcome_record =
    RECORD("outcome", wire_outcome, outcome_fields);
static const struct wire_record cached_record =
    RECORD("cached", wire_cached, cached_fields);
static const struct wire_record evicted_record =
    RECORD("evicted", wire_evicted, evicted_fields);
static const struct wire_record progress_record =
    RECORD("progress", wire_progress, progress_fields);

static const struct wire_field hello_fields[] = {
    FIELD(wire_hello, worker),
    FIELD(wire_hello, incarnation),
    FIELD(wire_hello, least_major),
    FIELD(wire_hello, most_major),
    FIELD(wire_hello, slots),
    FIELD(wire_hello, cpus),
    FIELD(wire_hello, memory_bytes),
    FIELD(wire_hello, labels),
    FIELD(wire_hello, kinds),
    FIELD(wire_hello, version),
    FIELD(wire_hello, running),
    FIELD(wire_hello, cache),
    FIELD(wire_hello, replaces),
    FIELD(wire_hello, address),
};

static const struct wire_field heartbeat_fields[] = {
    FIELD(wire_heartbeat, sequence),
    FIELD(wire_heartbeat, running_count),
    FIELD(wire_heartbeat, running_sum),
    FIELD(wire_heartbeat, free_slots),
    FIELD(wire_heartbeat, progress),
};

static const struct wire_field done_fields[] = {
    FIELD(wire_done, outcomes),
};

static const struct wire_field bye_fields[] = {
    FIELD(wire_bye, reason),
    FIELD(wire_bye, unstarted),
};

static const struct wire_field log_fields[] = {
    FIELD(wire_log, token),
    FIELD(wire_log, text),
};

static const struct wire_field cache_fields[] = {
    FIELD(wire_cache, added),
    FIELD(wire_cache, removed),
};

static const struct wire_field welcome_fields[] = {
    FIELD(wire_welcome, epoch),
    FIELD(wire_welcome, session),
    FIELD(wire_welcome, heartbeat_ms),
    FIELD(wire_welcome, lease_ms),
    FIELD(wire_welcome, depot),
    FIELD(wire_welcome, drop),
};

static const struct wire_field assign_fields[] = {
    FIELD(wire_assign, jobs),
};

static const struct wire_field token_list_fields[] = {
    FIELD(wire_token_list, tokens),
};

static const struct wire_field heartbeat_ack_fields[] = {
    FIELD(wire_heartbeat_ack, sequence),
    FIELD(wire_heartbeat_ack, epoch),
    FIELD(wire_heartbeat_ack, say_hello),
};

static const struct wire_field drain_fields[] = {
    FIELD(wire_drain, reason),
};

static const struct wire_field submit_fields[] = {
    FIELD(wire_submit, request),
    FIELD(wire_submit, idempotency),
    FIELD(wire_submit, compiled),
    FIELD(wire_submit, takes_busy),
};

static const struct wire_field query_fields[] = {
    FIELD(wire_query, request),
    FIELD(wire_query, verb),
    FIELD(wire_query, arguments),
    FIELD(wire_query, takes_busy),
};

static const struct wire_field accepted_fields[] = {
    FIELD(wire_accepted, request),
    FIELD(wire_accepted, sweep),
    FIELD(wire_accepted, duplicate),
};

static const struct wire_field answer_fields[] = {
    FIELD(wire_answer, request),
    FIELD(wire_answer, code),
    FIELD(wire_answer, message),
    FIELD(wire_answer, body),
};

static const struct wire_field error_fields[] = {
    FIELD(wire_error, request),
    FIELD(wire_error, code),
    FIELD(wire_error, message),
};

static const struct wire_field busy_fields[] = {
    FIELD(wire_busy, request),
    FIELD(wire_busy, retry_after_ms),
    FIELD(wire_busy, reason),
};

static const struct wire_field not_leader_fields[] = {
    FIELD(wire_not_leader, address),
    FIELD(wire_not_leader, epoch),
};

static const struct wire_field slot_run_fields[] = {
    FIELD(wire_slot_run, job),
    FIELD(wire_slot_run, depot),
    FIELD(wire_slot_run, siblings),
};

static const struct wire_field slot_progress_fields[] = {
    FIELD(wire_slot_progress, done),
    FIELD(wire_slot_progress, total),
    FIELD(wire_slot_progress, unit),
};

static const struct wire_field slot_done_fields[] = {
    FIELD(wire_slot_done, outcome),
};

static const struct wire_field slot_log_fields[] = {
    FIELD(wire_slot_log, text),
};

static const struct wire_field record_start_fields[] = {
    FIELD(wire_record_start, epoch),
    FIELD(wire_record_start, wall_ms),
    FIELD(wire_record_start, version),
};

static const struct wire_field record_sweep_fields[] = {
    FIELD(wire_record_sweep, id),
    FIELD(wire_record_sweep, idempotency),
    FIELD(wire_record_sweep, compiled),
    FIELD(wire_record_sweep, wall_ms),
};

static const struct wire_field record_result_fields[] = {
    FIELD(wire_record_result, token),
    FIELD(wire_record_result, kind),
    FIELD(wire_record_result, result),
    FIELD(wire_record_result, log),
    FIELD(wire_record_result, worker),
    FIELD(wire_record_result, wall_ms),
    FIELD(wire_record_result, at_ms),
    FIELD(wire_record_result, peak_bytes),
    FIELD(wire_record_result, bytes_read),
    FIELD(wire_record_result, bytes_fetched),
    FIELD(wire_record_result, model),
};

static const struct wire_field record_failure_fields[] = {
    FIELD(wire_record_failure, token),
    FIELD(wire_record_failure, code),
    FIELD(wire_record_failure, crashed),
    FIELD(wire_record_failure, terminal),
    FIELD(wire_record_failure, message),
    FIELD(wire_record_failure, log),
    FIELD(wire_record_failure, worker),
    FIELD(wire_record_failure, at_ms),
    FIELD(wire_record_failure, memory_floor),
};

static const struct wire_field record_command_fields[] = {
    FIELD(wire_record_command, verb),
    FIELD(wire_record_command, arguments),
    FIELD(wire_record_command, at_ms),
};

static const struct wire_field record_job_fields[] = {
    FIELD(wire_record_job, token),
    FIELD(wire_record_job, kind),
    FIELD(wire_record_job, failures),
    FIELD(wire_record_job, crashes),
    FIELD(wire_record_job, suspect),
    FIELD(wire_record_job, settled),
    FIELD(wire_record_job, terminal),
    FIELD(wire_record_job, memory_floor),
    FIELD(wire_record_job, code),
    FIELD(wire_record_job, message),
    FIELD(wire_record_job, log),
    FIELD(wire_record_job, worker),
    FIELD(wire_record_job, at_ms),
};

static const struct wire_field record_part_fields[] = {
    FIELD(wire_record_part, sweep),
    FIELD(wire_record_part, what),
    FIELD(wire_record_part, from),
    FIELD(wire_record_part, data),
};
/* clang-format on */

#define ROW(text, type) RECORD(text, wire_##type, type##_fields)
#define TO_BROKER(text, type, most) \
    BOUNDED(text, wire_##type, type##_fields, most)

static const struct wire_record rows[WIRE_TYPE_END] = {
    [WIRE_HELLO] = TO_BROKER("hello", hello, LIMIT_ORDINARY),
    [WIRE_HEARTBEAT] = TO_BROKER("heartbeat", heartbeat, LIMIT_ORDINARY),
    [WIRE_DONE] = TO_BROKER("done", done, LIMIT_ORDINARY),
    [WIRE_BYE] = TO_BROKER("bye", bye, LIMIT_ORDINARY),
    [WIRE_LOG] = TO_BROKER("log", log, LIMIT_ORDINARY),
    [WIRE_RETRACTED] = TO_BROKER("retracted", token_list, LIMIT_ORDINARY),
    [WIRE_CACHE] = TO_BROKER("cache", cache, LIMIT_ORDINARY),
    [WIRE_WELCOME] = ROW("welcome", welcome),
    [WIRE_ASSIGN] = ROW("assign", assign),
    [WIRE_COMMITTED] = ROW("committed", token_list),
    [WIRE_STALE] = ROW("stale", token_list),
    [WIRE_CANCEL] = ROW("cancel", token_list),
    [WIRE_HEARTBEAT_ACK] = ROW("heartbeat_ack", heartbeat_ack),
    [WIRE_DRAIN] = ROW("drain", drain),
    [WIRE_RETRACT] = ROW("retract", token_list),
    [WIRE_SUBMIT] = TO_BROKER("submit", submit, LIMIT_SUBMIT),
    [WIRE_QUERY] = TO_BROKER("query", query, LIMIT_ORDINARY),
    [WIRE_ACCEPTED] = ROW("accepted", accepted),
    [WIRE_ANSWER] = ROW("answer", answer),
    [WIRE_NOT_LEADER] = ROW("not_leader", not_leader),
    [WIRE_BUSY] = ROW("busy", busy),
    [WIRE_ERROR] = ROW("error", error),
    [WIRE_SLOT_RUN] = ROW("slot_run", slot_run),
    [WIRE_SLOT_PROGRESS] = ROW("slot_progress", slot_progress),
    [WIRE_SLOT_DONE] = ROW("slot_done", slot_done),
    [WIRE_SLOT_LOG] = ROW("slot_log", slot_log),
    [WIRE_RECORD_START] = ROW("record_start", record_start),
    [WIRE_RECORD_SWEEP] = ROW("record_sweep", record_sweep),
    [WIRE_RECORD_RESULT] = ROW("record_result", record_result),
    [WIRE_RECORD_FAILURE] = ROW("record_failure", record_failure),
    [WIRE_RECORD_COMMAND] = ROW("record_command", record_command),
    [WIRE_RECORD_JOB] = ROW("record_job", record_job),
    [WIRE_RECORD_PART] = ROW("record_part", record_part),
};

const struct wire_record *wire_record_of(enum wire_type type)
{
    unsigned row = (unsigned)type;

    return row < WIRE_TYPE_END && rows[row].name != NULL ? &rows[row] : NULL;
}

const char *wire_name(enum wire_type type)
{
    const struct wire_record *record = wire_record_of(type);

    return record != NULL ? record->name : NULL;
}

/* The lists differ in the type of `items` only, and pointers to structs are
 * represented alike; memcpy() keeps the compiler's aliasing rules. */
struct wire_list wire_list_get(const void *member)
{
    struct wire_list list;

    memcpy(&list, member, sizeof list);
    return list;
}
