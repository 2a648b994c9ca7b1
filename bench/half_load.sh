#!/bin/bash
# The table "Half load" of docs/performance.md: latencies at fixed rates, of
# the broker and of a program that decides nothing (bench/floor), in turns.
#
#     bench/half_load.sh BENCH FILE [ROUNDS [SECONDS]]
#
# BENCH holds the built benches (build/release/bench). Each round is added to
# what FILE has, and medians of all that is there are printed, so that rounds
# can be run one by one. Rows "rt" run under `chrt -r 1`, if that is allowed:
# all programs then, broker, Redis and load.
set -euo pipefail
bench=$(cd "$1" && pwd)
file=$2
rounds=${3:-3}
seconds=${4:-10}
short=200000 # jobs before, at a rate that is given
long=600000  # and where the rate is half of what they reached

keep() { # LABEL COMMAND...
    "${@:2}" | jq -c --arg run "$1" '{run: $run, name, value}' >>"$file"
}
both() { # LABEL ROW RATE JOBS [COMMAND...]: the broker, then the floor at its rate
    local rate
    keep "$1 broker" "${@:5}" "$bench/dispatch" 0 "$4" "$2" "$3" "$seconds"
    rate=$(jq -r 'select(.name | startswith("half_load_wanted")).value' "$file" |
        tail -n 1)
    keep "$1 floor" "${@:5}" "$bench/floor" "$rate" "$seconds" "$2"
}
round() {
    for rate in 60000 100000 180000; do
        both "$rate" redis_everysec "$rate" "$short"
    done
    both half redis_everysec 0 "$long"
    both single redis_everysec_single 0 "$((5 * short))"
    both curve redis_everysec_curve 0 "$long"
    ! chrt -r 1 true 2>/dev/null ||
        both 180000-rt redis_everysec 180000 "$short" chrt -r 1
}

for _ in $(seq "$rounds"); do
    round
done
# p50 of dispatch and p99 in ms, processor in % of a core, and how many runs the medians are of.
jq -rs '
    def median: sort | .[length / 2 | floor];
    def of($runs; $what): [$runs[] | select(.name | startswith($what + ".")).value];
    def ms($runs; $what): of($runs; $what) |
        if length == 0 then "" else
            "\(median / 10 | round / 100) (\(min / 10 | round / 100) to \(max / 10 | round / 100))" end;
    def percent($runs; $what): of($runs; $what) |
        if length == 0 then "" else median | round | tostring end;
    (["row", "jobs/s", "p50", "dispatch", "given", "commit", "late", "broker", "redis", "load",
      "stopped", "runs"] | @tsv),
    (group_by(.run)[] | . as $r | [
        $r[0].run,
        (of($r; "half_load_wanted") | median | round),
        (of($r; "half_load_dispatch_p50") | median / 10 | round / 100),
        ms($r; "half_load_dispatch_p99"), ms($r; "half_load_given_p99"),
        ms($r; "half_load_commit_p99"), ms($r; "half_load_late_p99"),
        percent($r; "half_load_cpu_broker"), percent($r; "half_load_cpu_redis"),
        percent($r; "half_load_cpu_load"),
        ($r | map(select(.name == "machine.stopped").value) | median * 10 | round / 10),
        (of($r; "half_load_wanted") | length)] | @tsv)' "$file" | column -ts $'\t'
