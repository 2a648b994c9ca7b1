#!/bin/bash
# Ctrl-C, and kill -9 of `sinter run` itself: the same command goes on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"
. "$here/noop.sh"

noop_sweep long.yaml long 100 100ms

some_done() { # LEAST
    [ "$(sinter --json status long | sed -n 's/^  "done": \([0-9]*\),$/\1/p')" -ge "$1" ]
}

start run sinter run long.yaml --workers 2
wait_until 30 "the first results" some_done 3
helpers=$(children "${PID[run]}")
stop run INT
assert_equal "exit after Ctrl-C" "$STATUS" 130
assert_contains run.log "goes on: sinter run long.yaml"
for pid in $helpers; do
    [ ! -e "/proc/$pid" ] || fail "process $pid was left behind"
done

start run2 sinter run long.yaml --workers 2
has_workers() { [ -n "$(children "${PID[run2]}" sinter-worker)" ]; }
wait_until 30 "workers of the second run" has_workers
wait_until 30 "more results" some_done 10
stop run2 KILL
alone() { # no program of ours is left; one that ended but is not reaped is not
    ! grep -qsF "$WORK" /proc/[0-9]*/cmdline
}
wait_until 15 "the farm to die with its parent" alone

# Whenever the parent dies, also while it is starting the others.
for delay in 0.005 0.02 0.04 0.06 0.1; do
    start early sinter run long.yaml --workers 2
    read -r -t "$delay" <> <(:) || true
    stop early KILL
    wait_until 15 "the young farm to die with its parent" alone
done

# Paused while it ran: whoever follows it is told, and running it again means
# that it shall go on.
start run3 sinter run long.yaml --workers 1
wait_until 30 "the third run" grep -q "going on where it was" run3.log
assert_exit 0 sinter pause long
wait_until 30 "a word about the pause" grep -q "warning: long is paused; .sinter resume" run3.log
stop run3 INT
assert_exit 0 sinter run long.yaml --workers 2
assert_contains err.txt "; it was paused, and goes on"
known=$(sed -n 's/.*already known \([0-9]*\).*/\1/p' err.txt)
computed=$(sed -n 's/^computed \([0-9]*\) jobs.*/\1/p' err.txt)
assert_equal "all jobs" $((known + computed)) 100
[ "$known" -ge 10 ] || fail "only $known results were kept"
table all.csv long --columns id,state,x,work.value
assert_equal "trials done" "$(grep -c ',done,' all.csv)" 100
