#!/bin/bash
# A farm of separate programs: submit, watch, cancel, retry, workers; results
# do not depend on the number of workers or the store.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"

start astray sinter-worker --broker "ipc://$WORK/nobody" --cache astray.cache
broker farm
export SINTER_BROKER=$CLIENTS
assert_exit 5 sinter status
assert_contains err.txt "there are no sweeps yet"

# Without a worker it waits, and says so.
noop_sweep early.yaml early 2 0
start early sinter submit early.yaml --watch
wait_until 20 "a word about the workers" grep -q "waits: no worker is connected" early.log
worker w1
worker w2
await early
assert_equal "exit when workers have come" "$STATUS" 0

two_workers() { [ "$(sinter -q workers | wc -l)" = 2 ]; }
wait_until 20 "two workers" two_workers
assert_exit 0 sinter-worker health --cache w1.cache
assert_exit 0 sinter-worker health --cache w1.cache --name w1
assert_exit 1 sinter-worker health --cache w1.cache --name w2
assert_contains err.txt "no worker w2 runs with --cache w1.cache"
assert_exit 2 sinter-worker helth

noop_sweep first.yaml first 20 10ms
id=$(sinter submit first.yaml 2>/dev/null)
assert_equal "the same file is the same sweep" "$(sinter submit first.yaml 2>err.txt)" "$id"
assert_contains err.txt "submitted before"
assert_exit 0 sinter watch "$id"
assert_contains out.txt "work.value"
assert_contains err.txt " 20/20"
assert_exit 0 sinter watch "${id:0:6}" --json
[ "$(grep -c '"schema":"sinter.status/1"' out.txt)" -ge 1 ] || fail "no JSON lines"
assert_exit 0 sinter submit first.yaml --wait
sinter trials "$id" -o csv --columns id,state,x,work.value >two.csv

# Ctrl-C ends the watching, not the sweep.
noop_sweep slow.yaml slow 60 100ms
start watch sinter submit slow.yaml --watch
wait_until 20 "the sweep" sinter status slow
wait_until 20 "the watcher" grep -q submitted watch.log
stop watch INT
assert_equal "exit of an interrupted watch" "$STATUS" 130
assert_contains watch.log "sinter watch s-"
assert_contains watch.log "cancel s-"

assert_exit 0 sinter cancel slow
cancelled() { sinter status slow | grep -q cancelled; }
wait_until 20 "the cancel" cancelled
assert_exit 7 sinter watch slow
assert_exit 0 sinter retry slow
assert_exit 0 sinter watch slow
assert_contains err.txt " 60/60"

wait_until 20 "a word about who does not answer" \
    grep -q "the broker is silent\" broker=ipc://$WORK/nobody" astray.log
stop astray

# Workers that leave are no failure.
stop w1
assert_equal "exit of a drained worker" "$STATUS" 0
assert_exit 1 sinter-worker health --cache w1.cache
stop w2

# One worker, another store: the same bytes.
port=$(free_port)
redis redis "$port"
unset HTTP
broker other --store "redis://127.0.0.1:$port" --namespace other
worker w3 --exit-when-idle 1s # as a Job of a cluster is: docs/autoscaling.md
SINTER_BROKER=$CLIENTS
assert_exit 0 sinter submit first.yaml --watch
sinter trials first -o csv --columns id,state,x,work.value >one.csv
assert_same two.csv one.csv
await w3
assert_equal "exit of a worker without work" "$STATUS" 0

# While the store is away, what is shown is said to rest on it.
stop redis KILL
assert_exit 6 sinter submit early.yaml --timeout 300ms
for shown in ls "trials first" "best first"; do
    # shellcheck disable=SC2086 # words
    assert_exit 0 sinter $shown
    assert_contains err.txt "the store is away (Redis at"
done
redis redis "$port"
back() { sinter submit early.yaml; }
wait_until 20 "the store to be back" back
assert_exit 0 sinter ls
grep -q "store is away" err.txt && fail "the store is back, and said to be away"
stop other
assert_equal "exit of a stopped broker" "$STATUS" 0
