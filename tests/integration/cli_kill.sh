#!/bin/bash
# kill -9 of the broker, a worker and a slot while a sweep runs: the same
# final table, every trial once. $2: sqlite (default) or redis.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"
store=()
if [ "${2:-sqlite}" = redis ]; then
    port=$(free_port)
    redis redis "$port"
    store=(--store "redis://127.0.0.1:$port")
fi

columns=(--columns "id,state,x,work.value")
noop_sweep sweep.yaml killed 60 100ms

mkdir calm
(cd calm && sinter run ../sweep.yaml --workers 2 >/dev/null 2>&1 &&
    sinter trials killed -o csv "${columns[@]}" >../calm.csv)
assert_equal "trials of the calm run" "$(grep -c ',done,' calm.csv)" 60

count_done() { # AT LEAST
    [ "$(sinter --json status killed | sed -n 's/^  "done": \([0-9]*\),$/\1/p')" -ge "$1" ]
}

start run sinter run sweep.yaml --workers 2 "${store[@]}"
wait_until 30 "the first results" count_done 5
victim=$(children "${PID[run]}" sinter-broker)
kill -9 "$victim"
new_broker() {
    local now
    now=$(children "${PID[run]}" sinter-broker)
    [ -n "$now" ] && [ "$now" != "$victim" ]
}
wait_until 10 "a new broker" new_broker
wait_until 30 "results after the broker's death" count_done 15

welcomed() { # by the new broker
    [ "$(grep -l 'event="welcome" epoch=2 ' .sinter/logs/worker-?.log | wc -l)" -eq "$1" ]
}
wait_until 20 "both workers to be back" welcomed 2
kill -9 "$(children "${PID[run]}" sinter-worker | head -n 1)"
wait_until 30 "results after a worker's death" count_done 25

slot_of_some_worker() {
    local worker
    for worker in $(children "${PID[run]}" sinter-worker); do
        slot=$(children "$worker" | head -n 1)
        [ -z "$slot" ] || return 0
    done
    return 1
}
wait_until 10 "a slot" slot_of_some_worker
kill -9 "$slot"

await run
assert_equal "exit of the run" "$STATUS" 0
# The new one said that the old one was dead: nobody waited for its lease, or
# for it to object (three heartbeats).
lost=$(sed -n 's/.*event="worker lost".* silent_ms=\([0-9]*\).*/\1/p' .sinter/logs/broker.log)
[ -n "$lost" ] && [ "$lost" -lt 6000 ] || fail "lost after: ${lost:-never} ms"
! grep -q 'another broker leads' .sinter/logs/broker.log || fail "another broker leads"
sinter trials killed -o csv "${columns[@]}" >killed.csv
assert_same calm.csv killed.csv
