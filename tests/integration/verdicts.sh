#!/bin/bash
# How runs end that say nothing themselves: a slot that crashes, hangs, takes
# more memory than it asked for, or is killed by the kernel for want of it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh" "$1"

# noop FILE NAME KEYS RESOURCES: one trial of one job
noop() {
    cat >"$1" <<YAML
sinter: 1
name: $2
evaluate:
  work: {builtin: noop, value: 3, $3}
objective: {metric: work.value, goal: maximize}
resources: {$4}
YAML
}

broker farm
worker w1 --memory 2GiB --keep 1MiB
export SINTER_BROKER=$CLIENTS
one_worker() { [ "$(sinter -q workers | wc -l)" = 1 ]; }
wait_until 20 "the worker" one_worker

noop crash.yaml crash "fail: crash" "memory: 1MiB"
assert_exit 7 sinter submit crash.yaml --wait
assert_exit 0 sinter why crash/1
assert_contains out.txt "slot died of signal 6"
assert_contains out.txt "took down its slot or worker every time"

noop hang.yaml hang "fail: hang" "memory: 1MiB"
printf 'retries: {max: 0}\nlimits: {stall: 300ms}\n' >>hang.yaml
assert_exit 7 sinter submit hang.yaml --wait
assert_exit 0 sinter why hang/1
assert_contains out.txt "made no progress for 0.3 s and was killed"

noop long.yaml long "sleep: 1m" "memory: 1MiB"
printf 'retries: {max: 0}\nlimits: {trial_time: 300ms}\n' >>long.yaml
assert_exit 7 sinter submit long.yaml --wait
assert_exit 0 sinter why long/1
assert_contains out.txt "ran longer than its limit of 0.3 s"

# It asks for far too little: killed, and given more until it is enough.
noop greedy.yaml greedy "take: 400MiB, sleep: 2s" "memory: 100MiB"
assert_exit 0 sinter submit greedy.yaml --wait
assert_contains "$WORK/w1.log" "asks for too little memory"
stop w1

# The kernel's own verdict, where we may make a control group.
group=/sys/fs/cgroup/memory/sinter-test-$$
if mkdir "$group" 2>/dev/null; then
    trap 'rmdir "$group" 2>/dev/null; cleanup' EXIT
    echo 120M >"$group/memory.limit_in_bytes"
    (echo "$BASHPID" >"$group/cgroup.procs" && exec sinter-worker \
        --broker "$WORKERS" --name w2 --slots 1 --memory 2GiB \
        --cache "$WORK/w2.cache") >w2.log 2>&1 &
    PID[w2]=$!
    noop big.yaml big "take: 300MiB" "memory: 2GiB"
    assert_exit 7 sinter submit big.yaml --wait
    assert_exit 0 sinter why big/1
    assert_contains out.txt "all that the largest worker has"
    assert_contains "$WORK/w2.log" "by the kernel for want of memory"
    stop w2
fi
stop farm
assert_equal "exit of a stopped broker" "$STATUS" 0
